package worker

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/jobs"
	"waggle/media"
	"waggle/store"
	"waggle/store/storetest"
)

// newWorker builds a worker on a fresh database, which raw leads to.
func newWorker(t *testing.T, o Options) (w *Worker, s *store.Store, raw *sql.DB) {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "waggle.db")
	s, err := store.Open(ctx, store.Options{URL: "sqlite:" + path})
	require.NoError(t, err)
	_, err = s.Migrate(ctx)
	require.NoError(t, err)
	raw, err = sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	m := miniredis.RunT(t)
	r := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = r.Close(); _ = raw.Close(); _ = s.Close() })
	log := slog.New(slog.DiscardHandler)
	files, err := media.Open("file://" + t.TempDir())
	require.NoError(t, err)
	j := &jobs.Jobs{Store: s, Media: files, Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Log: log, Owner: t.Name(), Hints: newHints(t, r)}
	return New(j, r, log, o), s, raw
}

// A worker is alive whatever its scheduler does: a rare tick is no outage of ours, after which the clocks would count anew.
func TestAWorkerIsAliveBetweenTicks_S0_25(t *testing.T) {
	w, s, raw := newWorker(t, Options{Tick: time.Hour, Heartbeat: time.Millisecond, Drain: time.Second})
	require.NoError(t, w.Start(context.Background()))
	t.Cleanup(w.Stop)
	_, err := raw.Exec(`UPDATE clock SET heartbeat_at = 1, resumed_at = 1`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		resumed, err := s.Resumed(context.Background())
		return err == nil && resumed.Year() > 2000
	}, time.Minute, 5*time.Millisecond, "the heartbeat goes on")
}

func TestAWorkerThatCouldNotStartCanBeStopped(t *testing.T) {
	w, s, _ := newWorker(t, Options{Drain: time.Second})
	require.NoError(t, s.Close())
	require.Error(t, w.Start(context.Background()))
	w.Stop()
}

// Once a day the scheduler forgets sessions that have ended and old answers to repeated requests.
func TestTheSchedulerForgetsDaily(t *testing.T) {
	ctx := context.Background()
	w, s, _ := newWorker(t, Options{Tick: time.Hour, Drain: time.Second})
	sc := storetest.NewScene(t, s)
	token, _, err := s.OpenSession(ctx, sc.Env, store.NewSession{Role: chat.Administrator, Life: time.Hour})
	require.NoError(t, err)
	create := func(key byte) error {
		id := uuid.Must(uuid.NewV7())
		_, _, err := s.CreateChannel(ctx, &store.Channel{
			ID: id, EnvironmentID: sc.Env, Kind: "telegram", Name: "Bot", State: chat.ChannelActive, AccountID: id.String(), Weight: 1, Receive: "webhook",
			Fields: map[string]string{},
		}, store.Idem{Operation: "createChannel", Key: "k", RequestHash: []byte{key}})
		return err
	}
	require.NoError(t, create(1))

	schedule, err := newSchedule(w)
	require.NoError(t, err)
	t.Cleanup(schedule.stop)
	names := map[string]time.Time{}
	for _, j := range schedule.cron.Jobs() {
		if names[j.Name()], err = j.NextRun(); j.Name() == "forget" {
			require.NoError(t, err)
			require.WithinDuration(t, time.Now().Add(12*time.Hour), names["forget"], 13*time.Hour, "within a day")
		}
	}
	require.Contains(t, names, "tick")
	require.Contains(t, names, "forget")

	files := t.TempDir()
	w.jobs.Media, err = media.Open("file://" + files)
	require.NoError(t, err)
	long := time.Now().Add(-48 * time.Hour)
	left := filepath.Join(files, ".unfinished", "x")
	require.NoError(t, os.Mkdir(filepath.Dir(left), 0o700))
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	require.NoError(t, os.Chtimes(left, long, long))

	sc.Pass(24 * time.Hour)
	schedule.forget(ctx)
	require.NoFileExists(t, left, "what a crash left of a file")
	_, err = s.Authenticate(ctx, token)
	require.ErrorIs(t, err, store.ErrExpired, "a session that ended less than a day ago is still told apart")
	require.ErrorIs(t, create(2), store.ErrConflict, "the key is still known")

	sc.Pass(25 * time.Hour)
	schedule.forget(ctx)
	_, err = s.Authenticate(ctx, token)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, create(2))
}
