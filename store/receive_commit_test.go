package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/dialect"

	"waggle/store"
)

// What only the COMMIT refuses is stored as little as what a statement refuses: nobody is told that it is, and what came with it is.
func TestReceiveTellsAsStoredWhatIsCommitted_S2_5(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		known := r.take(r.event("7", 1, "hello"), r.event("8", 1, "good day"))
		r.refuseAtCommit("m:7:2")
		out := r.take(r.event("8", 2, "before"), r.event("7", 2, "refused"), r.event("9", 1, "a new customer's"))
		require.Equal(t, []store.ReceiveOutcome{store.Stored, store.Parking, store.Stored}, []store.ReceiveOutcome{out[0].Outcome, out[1].Outcome, out[2].Outcome})
		require.Len(t, r.timeline(known[0].ChatID), 2)
		require.Len(t, r.timeline(known[1].ChatID), 3)
		require.Len(t, r.timeline(out[2].ChatID), 2)
	})
}

// What was found out of an event in a transaction that is refused is found out anew in the next one.
func TestReceiveTakesFilesAfterTheirEditAgain_M_4(t *testing.T) {
	eachReceiving(t, func(t *testing.T, r *receiving) {
		chatID := r.take(r.edit("7", 1, 1, "final"), r.event("8", 1, "good day"))[0].ChatID
		r.refuseAtCommit("m:8:2")
		picture := r.piece("7", 1, "", "first")
		picture.Event.Album = ""
		out := r.take(picture, r.event("8", 2, "refused"))
		require.Equal(t, []store.ReceiveOutcome{store.Stored, store.Parking}, []store.ReceiveOutcome{out[0].Outcome, out[1].Outcome})
		m, files := r.shown(chatID)
		require.Equal(t, "final", m.Now().Text)
		require.Equal(t, []string{"file-1"}, files)
	})
}

// refuseAtCommit makes every transaction fail at its end that writes the event with this key: the entry promises a row that never
// comes, and promises are looked at then.
func (r *receiving) refuseAtCommit(key string) {
	r.t.Helper()
	const promise = "INSERT INTO promised VALUES (1);"
	trigger := "CREATE TRIGGER promise AFTER INSERT ON timeline FOR EACH ROW WHEN (NEW.event_key = '" + key + "') "
	statements := []string{
		"CREATE TABLE promises (id int PRIMARY KEY)",
		"CREATE TABLE promised (id int REFERENCES promises DEFERRABLE INITIALLY DEFERRED)",
	}
	if r.DB().Dialect().Name() == dialect.PG {
		statements = append(statements,
			"CREATE FUNCTION promise() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "+promise+" RETURN NULL; END'",
			trigger+"EXECUTE FUNCTION promise()")
	} else {
		statements = append(statements, trigger+"BEGIN "+promise+" END")
	}
	for _, s := range statements {
		_, err := r.DB().ExecContext(context.Background(), s)
		require.NoError(r.t, err)
	}
}
