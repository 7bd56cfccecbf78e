package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// overdue is a desk with running processes and one chat of Ann's, answered and delivered an hour ago.
func overdue(t *testing.T, s *store.Store) (d *desk, id uuid.UUID, save, closing store.Process, now time.Time) {
	d = newDesk(t, s)
	five := 5
	for _, p := range d.Start(func(e *store.Environment) {
		e.CloseOn, e.CloseMinutes, e.TransferOn, e.TransferMinutes = true, &five, true, &five
	}) {
		if p.Name == chat.SaveAfkChats {
			save = p
		} else {
			closing = p
		}
	}
	id = d.accepted("u")
	d.Replies(id, d.a)
	d.Settle(chat.PartSent)
	d.Pass(time.Hour)
	now, err := d.Now(ctx)
	require.NoError(t, err)
	return d, id, save, closing, now.Add(-5 * time.Minute)
}

// S0.21: what was true when the due chats were read is looked at again in the UPDATE itself.
func TestCloseSilent_S0_21(t *testing.T) {
	tests := []struct {
		name  string
		given func(d *desk, id uuid.UUID)
		done  bool
	}{
		{"S0.21 still silent", func(*desk, uuid.UUID) {}, true},
		{"S0.21 the client has written since", func(d *desk, _ uuid.UUID) { d.Writes(d.channel, "u") }, false},
		{"S0.42 the agent has written since", func(d *desk, id uuid.UUID) { d.Replies(id, d.a) }, false},
		{"S0.42 the agent has written since, delivered", func(d *desk, id uuid.UUID) { d.Replies(id, d.a); d.Settle(chat.PartSent) }, false},
		{"S0.41 switched off since", func(d *desk, _ uuid.UUID) { d.Start(func(e *store.Environment) { e.CloseOn = false }) }, false},
		{"S1.10 chats switched off since", func(d *desk, _ uuid.UUID) { d.Set(func(e *store.Environment) { e.ChatsEnabled = false }) }, false},
		{"S1.17 nobody has it any more", func(d *desk, id uuid.UUID) {
			_, err := d.TransferToQueue(ctx, d.Env, id, d.queue, uuid.Nil)
			require.NoError(d.T, err)
		}, false},
		{"S3.18 put on hold since", func(d *desk, id uuid.UUID) {
			_, err := d.Hold(ctx, d.Env, id, d.a)
			require.NoError(d.T, err)
		}, false},
		{"S3.21 its queue got a timeout of its own (b4)", func(d *desk, _ uuid.UUID) {
			q, err := d.Store.Queue(ctx, d.Env, d.queue)
			require.NoError(d.T, err)
			ten := 10
			q.TimeoutMinutes = &ten
			require.NoError(d.T, d.ChangeQueue(ctx, q, nil))
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				d, id, _, closing, before := overdue(t, s)
				tt.given(d, id)
				_, err := d.CloseSilent(ctx, d.Env, closing.ID, id, before)
				if tt.done {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, store.ErrConflict)
				assert.True(t, must(d.Look(id)).ClosedAt.IsZero())
				d.Kinds(id)
			})
		})
	}
}

// S3.17: the same for the queue's own timeout.
func TestCloseByQueue_S3_17(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d, id, _, _, before := overdue(t, s)
		_, err := d.CloseByQueue(ctx, d.Env, id, 5, before)
		require.ErrorIs(t, err, store.ErrConflict, "S3.21: the queue has no timeout (any more)")
		q, err := d.Store.Queue(ctx, d.Env, d.queue)
		require.NoError(t, err)
		five := 5
		q.TimeoutMinutes = &five
		require.NoError(t, d.ChangeQueue(ctx, q, nil))
		_, err = d.CloseByQueue(ctx, d.Env, id, 4, before)
		require.ErrorIs(t, err, store.ErrConflict, "it has another one now")
		_, err = d.CloseByQueue(ctx, d.Env, id, 5, before)
		require.NoError(t, err)
	})
}

// S0.25: the transfer, too, looks at everything again.
func TestTransferUnanswered_S0_25(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d, id, save, _, _ := overdue(t, s)
		d.Writes(d.channel, "u")
		d.Pass(time.Hour)
		now, err := d.Now(ctx)
		require.NoError(t, err)
		move := store.AfkTransfer{Process: save.ID, ChatID: id, Version: d.Look(id).AssignmentVersion, To: d.b, Before: now.Add(-5 * time.Minute)}
		stale := move
		stale.Version--
		_, err = d.TransferUnanswered(ctx, d.Env, stale)
		require.ErrorIs(t, err, store.ErrConflict, "it was assigned anew meanwhile")
		early := move
		early.Before = now.Add(-2 * time.Hour)
		_, err = d.TransferUnanswered(ctx, d.Env, early)
		require.ErrorIs(t, err, store.ErrConflict, "S0.25: the period is not over")
		d.Status(d.b, chat.Offline)
		_, err = d.TransferUnanswered(ctx, d.Env, move)
		require.ErrorIs(t, err, store.ErrConflict, "S0.49: he went offline meanwhile")
		d.Status(d.b, chat.Active)
		d.Replies(id, d.a)
		_, err = d.TransferUnanswered(ctx, d.Env, move)
		require.ErrorIs(t, err, store.ErrConflict, "S0.52: it was answered meanwhile")
		d.Settle(chat.PartFailed)
		_, err = d.TransferUnanswered(ctx, d.Env, move)
		require.NoError(t, err, "the answer failed: the client waits since before")
		assert.Equal(t, d.b, d.Look(id).AgentID)
	})
}

// S3.13: and so does the accept timeout.
func TestPassOn_S3_13(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.Writes(d.channel, "u")
		_, err := d.TransferToAgent(ctx, d.Env, id, d.a, uuid.Nil)
		require.NoError(t, err)
		version := d.Look(id).AssignmentVersion
		now, err := d.Now(ctx)
		require.NoError(t, err)
		_, err = d.PassOn(ctx, d.Env, id, version, d.b, now.Add(-5*time.Minute))
		require.ErrorIs(t, err, store.ErrConflict, "not yet")
		_, err = d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		_, err = d.PassOn(ctx, d.Env, id, version, d.b, now)
		require.ErrorIs(t, err, store.ErrConflict, "he accepted at the last moment")
		assert.Equal(t, chat.Active, d.StatusOf(d.a), "S3.14: and so stays active")
	})
}

// S1.19: a customer who is still writing is not cut off.
func TestCloseUntaken_S1_19(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		id := d.Writes(d.channel, "u")
		read := d.Look(id).LastMessageAt
		d.Pass(32 * 24 * time.Hour)
		d.Writes(d.channel, "u")
		_, err := d.CloseUntaken(ctx, d.Env, id, read)
		require.ErrorIs(t, err, store.ErrConflict)
		_, err = d.Accept(ctx, d.Env, id, d.a)
		require.NoError(t, err)
		_, err = d.CloseUntaken(ctx, d.Env, id, d.Look(id).LastMessageAt)
		require.ErrorIs(t, err, store.ErrConflict, "S1.17: an agent has it")
	})
}

// S0.49: who sent heartbeats and stopped is offline; the moved clock alone makes nobody silent.
func TestSilentAgents_S0_49(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		d := newDesk(t, s)
		require.NoError(t, d.AgentHeartbeat(ctx, d.Env, d.a))
		gone, err := d.SilentAgentsOffline(ctx)
		require.NoError(t, err)
		require.Empty(t, gone)
		_, err = s.DB().NewUpdate().Model((*store.Agent)(nil)).Set("heartbeat_at = heartbeat_at - ?", (store.Silence+time.Second).Microseconds()).
			Where("id = ?", d.a).Exec(ctx)
		require.NoError(t, err)
		gone, err = d.SilentAgentsOffline(ctx)
		require.NoError(t, err)
		require.Len(t, gone, 1)
		assert.Equal(t, chat.Offline, d.StatusOf(d.a))
		assert.Equal(t, chat.Active, d.StatusOf(d.b), "who never sent one is not watched")
	})
}
