package jobs_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/crm"
	"waggle/store"
)

// synchronize runs steps, and pushes as a worker would, until the job ends.
func (w *laneWorld) synchronize(job uuid.UUID) store.Job {
	w.Helper()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = w.jobs.Push(w.ctx, w.env)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for range 100 {
		_, err := w.jobs.Synchronize(w.ctx)
		require.NoError(w, err)
		j, err := w.store.Job(w.ctx, w.env, job)
		require.NoError(w, err)
		if j.State != store.JobPending && j.State != store.JobRunning {
			return j
		}
	}
	w.Fatal("the job does not end")
	return store.Job{}
}

func (w *laneWorld) startSynchronize() uuid.UUID {
	w.Helper()
	j, started, err := w.store.StartJob(w.ctx, w.env, store.JobSynchronize)
	require.NoError(w, err)
	require.True(w, started)
	return j.ID
}

func TestSynchronizeRepairsTheCRM_S0_54_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		first, second := w.writes(w.channel, "ann", "hello"), w.writes(w.channel, "bob", "hi")
		w.push(w.env)
		w.set("environments", "sync_needed = ?, crm_state = 'unchecked'", true)
		gone := uuid.Must(uuid.NewV7())
		w.insert(&store.Agent{ID: gone, EnvironmentID: w.env, CRMUserID: "u9", Name: "Gone", Enabled: true, Status: chat.Active, StatusAt: store.At(time.Now()), CreatedAt: store.At(time.Now())})
		w.insert(&store.Agent{ID: uuid.Must(uuid.NewV7()), EnvironmentID: w.env, CRMUserID: "u1", Name: "Old name", Enabled: true, Status: chat.Active, StatusAt: store.At(time.Now()), CreatedAt: store.At(time.Now())})
		w.set("chats", "agent_id = ?, assigned_at = ?", gone, store.At(time.Now()))
		// Someone has tampered with the CRM.
		w.crm.mu.Lock()
		wrong := w.crm.have[second].(crm.Chat)
		wrong.Preview = "tampered"
		w.crm.have[second] = wrong
		delete(w.crm.have, w.channel)
		w.crm.users = []crm.User{{ID: "u1", Name: "Bob"}, {ID: "u2", Name: "Eve"}}
		w.crm.settings = map[string]string{"SimultaneousChats": "5"}
		w.crm.mu.Unlock()

		j := w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobDone, j.State, j.Error)
		require.EqualValues(w, 2, j.Total)
		require.EqualValues(w, 2, j.Done)
		require.Zero(w, j.Failed)
		require.Equal(w, "hi", w.crm.chat(second).Preview)
		require.Contains(w, w.crm.have, w.channel)
		w.requireTexts(first, "hello")
		e := w.environment()
		require.False(w, e.SyncNeeded)
		require.Equal(w, store.CRMOK, e.CRMState)
		require.Equal(w, "8.1", e.CRMVersion)
		require.Equal(w, 5, e.SimultaneousLimit())

		var agents []store.Agent
		require.NoError(w, w.db.NewSelect().Model(&agents).OrderExpr("crm_user_id").Scan(w.ctx))
		require.Len(w, agents, 3)
		require.Equal(w, "Bob", agents[0].Name)
		require.Equal(w, chat.Active, agents[0].Status, "a status is Waggle's own")
		require.Equal(w, "Eve", agents[1].Name)
		require.True(w, agents[1].Enabled)
		require.Equal(w, chat.Offline, agents[1].Status)
		require.False(w, agents[2].Enabled)
		require.Zero(w, w.chat(first).AgentID, "the chats of who is gone wait again")
	})
}

func TestSynchronizeWithoutSettingsBringsTheRest_S0_54(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.crm.settings = map[string]string{"SimultaneousChats": "5"}
		require.Equal(w, store.JobDone, w.synchronize(w.startSynchronize()).State)
		w.crm.settings, w.crm.users = nil, []crm.User{{ID: "u1", Name: "Bob"}}
		j := w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobDone, j.State, j.Error)
		e := w.environment()
		require.Equal(w, 5, e.SimultaneousLimit(), "what was read before stays")
		n, err := w.db.NewSelect().Model((*store.Agent)(nil)).Where("crm_user_id = 'u1'").Count(w.ctx)
		require.NoError(w, err)
		require.Equal(w, 1, n)
	})
}

func TestSynchronizeWithBadCredentialsFailsWithTheReason_S0_54(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		w.crm.checkErr = &crm.Error{Cause: crm.Refused, Reason: "the password is wrong"}
		j := w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobFailed, j.State)
		require.Equal(w, "the password is wrong", j.Error)
		require.Equal(w, store.CRMRefused, w.environment().CRMState, "pushes pause with the reason")
		w.crm.checkErr = nil
		j = w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobDone, j.State)
		require.Equal(w, store.CRMOK, w.environment().CRMState)
	})
}

func TestSynchronizeGoesOnAfterACrashAndEndsWhenCancelled_M_4(t *testing.T) {
	eachLane(t, func(w *laneWorld) {
		id := w.writes(w.channel, "ann", "hello")
		job := w.startSynchronize()
		for range 3 { // credentials, settings, agents
			n, err := w.jobs.Synchronize(w.ctx)
			require.NoError(w, err)
			require.Equal(w, 1, n)
		}
		dead, err := w.store.ClaimJob(w.ctx, store.JobSynchronize, "dead", longLease)
		require.NoError(w, err)
		n, err := w.jobs.Synchronize(w.ctx)
		require.NoError(w, err)
		require.Zero(w, n, "its lease keeps others away")
		w.set("jobs", "until_at = 1")
		j := w.synchronize(job)
		require.Equal(w, store.JobDone, j.State)
		require.Greater(w, j.Fence, dead.Fence)
		w.requireTexts(id, "hello")

		job = w.startSynchronize()
		_, err = w.jobs.Synchronize(w.ctx)
		require.NoError(w, err)
		_, err = w.store.CancelJob(w.ctx, w.env, job)
		require.NoError(w, err)
		n, err = w.jobs.Synchronize(w.ctx)
		require.NoError(w, err)
		require.Zero(w, n)
	})
}
