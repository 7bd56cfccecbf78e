package jobs_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/chat"
	"waggle/store"
)

// nameless lets a customer write whose messenger does not tell his name, and is his chat.
func (w *laneWorld) nameless(user string) store.Chat {
	w.Helper()
	ch := w.row(w.channel)
	key := nextKey()
	out := w.store.Receive(w.ctx, []store.Inbound{{EnvironmentID: w.env, ChannelID: ch.ID, AccountID: ch.AccountID, Event: channels.Event{
		Kind: channels.Message, Key: key, MessageID: key, Text: "hello", User: channels.User{ID: user},
	}}})
	require.NoError(w, out[0].Err)
	return w.chat(out[0].ChatID)
}

// names are a customer's and his contact's.
func (w *laneWorld) names(c store.Chat) [2]string {
	w.Helper()
	var i store.Identity
	var co store.Contact
	require.NoError(w, w.db.NewSelect().Model(&i).Where("id = ?", c.IdentityID).Scan(w.ctx))
	require.NoError(w, w.db.NewSelect().Model(&co).Where("id = ?", c.ContactID).Scan(w.ctx))
	return [2]string{i.Name, co.Name}
}

func (w *laneWorld) askProfiles() int {
	w.Helper()
	n, err := w.jobs.Profiles(w.ctx)
	require.NoError(w, err)
	return n
}

// Who came without a name is asked for at the messenger; the name goes to his contact, the browsers and the CRM.
func TestProfilesNameNewCustomers(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		asked := map[string]int{}
		w.messenger.known = func(user string) (channels.User, error) {
			asked[user]++
			switch user {
			case "hidden":
				return channels.User{}, nil
			case "away":
				return channels.User{}, &channels.Error{Outcome: channels.RetryAt, Reason: "away"}
			}
			return channels.User{ID: user, Name: "Ann Lee"}, nil
		}
		named := w.writes(w.channel, "9", "hello") // came with a name
		ann, hidden, renamed := w.nameless("7"), w.nameless("hidden"), w.nameless("8")
		w.push(w.env)
		_, err := w.db.NewUpdate().Table("contacts").Set("name = 'Our best customer'").Where("id = ?", renamed.ContactID).Exec(w.ctx)
		require.NoError(w, err)
		require.Equal(w, [2]string{"7", "7"}, w.names(ann))

		require.Equal(w, 3, w.askProfiles())
		require.Zero(w, w.askProfiles(), "once is enough")
		require.Equal(w, map[string]int{"7": 1, "8": 1, "hidden": 1}, asked)
		require.Equal(w, [2]string{"Ann Lee", "Ann Lee"}, w.names(ann))
		require.Equal(w, [2]string{"hidden", "hidden"}, w.names(hidden), "refused for good: his id stays")
		require.Equal(w, [2]string{"Ann Lee", "Our best customer"}, w.names(renamed), "a contact's own name stays")
		require.Equal(w, [2]string{"Ann 9", "Ann 9"}, w.names(w.chat(named)))
		var told []uuid.UUID
		for _, e := range w.hints.events {
			if e.Type == "chat" {
				told = append(told, e.ID)
			}
		}
		require.ElementsMatch(w, []uuid.UUID{ann.ID, renamed.ID}, told)
		w.push(w.env)
		require.Equal(w, "Ann Lee", w.crm.contact(ann.ContactID).Name, "the CRM knows the name")

		w.nameless("7")
		require.Zero(w, w.askProfiles(), "he has a name now")
	})
}

// A messenger that cannot be asked is asked again, ever more rarely, and at last not at all; out of service nobody is asked.
func TestProfilesAreAskedForAFewTimes(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		away := true
		w.messenger.known = func(user string) (channels.User, error) {
			if away {
				return channels.User{}, &channels.Error{Outcome: channels.RetryAt, Reason: "away"}
			}
			return channels.User{ID: user, Name: "Ann Lee"}, nil
		}
		who := func(c store.Chat) (i store.Identity) {
			require.NoError(w, w.db.NewSelect().Model(&i).Where("id = ?", c.IdentityID).Scan(w.ctx))
			return i
		}
		ann := w.nameless("7")
		w.set("channels", "state = ?", chat.ChannelDisconnected)
		require.Zero(w, w.askProfiles())
		w.set("channels", "state = ?", chat.ChannelActive)
		for try := range 5 {
			require.Equal(w, 1, w.askProfiles(), "try %d", try)
			require.Zero(w, w.askProfiles(), "try %d: not at once again", try)
			require.Equal(w, try == 4, who(ann).ProfileAt.IsZero(), "try %d", try)
			if try < 4 {
				w.set("identities", "profile_at = 0")
			}
		}
		require.Equal(w, [2]string{"7", "7"}, w.names(ann))

		away = false
		bea := w.nameless("8")
		require.Equal(w, 1, w.askProfiles())
		require.Equal(w, "Ann Lee", w.names(bea)[0])
	})
}
