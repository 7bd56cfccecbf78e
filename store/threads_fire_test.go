package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

// threadFire acts at random on a few conversations that two apps share.
type threadFire struct {
	*desk
	threads []sharedThread
	idle    store.SendRules

	mu       sync.Mutex
	chats    map[uuid.UUID]bool
	messages map[uuid.UUID]uuid.UUID // accepted replies, by their chat
	attempts int
	refused  int
}

// sharedThread is one conversation. Its version is odd from when it is told that another app holds it until before it is told
// otherwise: as long as it stays odd no attempt may begin.
type sharedThread struct {
	user    string
	telling sync.Mutex
	version atomic.Int64
}

// S3.59: whoever takes, passes, answers and closes at once, no send begins while another app holds the conversation, no such chat
// has an agent, nothing accepted is lost and no timeline has a gap.
func TestNoSendElsewhere_S3_59(t *testing.T) {
	t.Parallel()
	f := &threadFire{desk: newDesk(t, storetest.Concurrent(t)), threads: make([]sharedThread, 3), chats: map[uuid.UUID]bool{}, messages: map[uuid.UUID]uuid.UUID{}}
	for i := range f.threads {
		f.threads[i].user = fmt.Sprint(i)
	}
	var acting, sending sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		sending.Go(func() { f.send(stop) })
	}
	for n := range 4 {
		acting.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 11))
			for i := range 60 {
				f.act(r, fmt.Sprintf("%d.%d", n, i))
			}
		})
	}
	acting.Wait()
	close(stop)
	sending.Wait()
	for i := range f.threads {
		f.Told(f.channel, f.threads[i].user, chat.ThreadOurs, "")
	}
	f.Settle(chat.PartSent)
	for id := range f.chats {
		f.Kinds(id)
	}
	ends := map[chat.MessageState]int{}
	for m, id := range f.messages {
		got, err := f.MessageOf(ctx, f.Env, id, m)
		require.NoError(t, err)
		ends[got.State]++
	}
	assert.Equal(t, len(f.messages), ends[chat.MessageDelivered]+ends[chat.MessageFailed], "%v", ends)
	assert.Positive(t, f.attempts)
	assert.Positive(t, f.refused)
}

// act does one thing to one conversation.
func (f *threadFire) act(r *rand.Rand, key string) {
	th := &f.threads[r.IntN(len(f.threads))]
	id := f.WritesKey(f.channel, th.user, key)
	f.mu.Lock()
	f.chats[id] = true
	f.mu.Unlock()
	var err error
	switch r.IntN(6) {
	case 0:
		th.telling.Lock()
		f.Told(f.channel, th.user, chat.ThreadOthers, "7")
		if th.version.Load()%2 == 0 {
			th.version.Add(1)
		}
		th.telling.Unlock()
	case 1:
		th.telling.Lock()
		if th.version.Load()%2 == 1 {
			th.version.Add(1)
		}
		f.Told(f.channel, th.user, chat.ThreadOurs, "")
		th.telling.Unlock()
	case 2:
		_, err = f.Accept(ctx, f.Env, id, f.a)
	case 3:
		_, err = f.CloseChat(ctx, f.Env, id, uuid.Nil, "")
	default:
		var m uuid.UUID
		if m, _, _, err = f.SendReply(ctx, f.Env, store.Reply{ChatID: id, Text: "reply"}, store.Idem{}); err == nil {
			f.mu.Lock()
			f.messages[m] = id
			f.mu.Unlock()
		}
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		f.T.Errorf("action: %v", err)
	}
	if c := f.Look(id); c.Elsewhere() && c.ClosedAt.IsZero() && c.AgentID != uuid.Nil {
		f.T.Errorf("S3.61 a bot's chat has an agent")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.refused++
	}
}

// send works the lanes until stop.
func (f *threadFire) send(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		lanes, err := f.ClaimSends(ctx, "fire", 10, 10, nil, time.Minute)
		if err != nil && !errors.Is(err, store.ErrLocked) {
			f.T.Errorf("claim: %v", err)
			return
		}
		for _, lane := range lanes {
			for f.sendNext(lane) {
			}
		}
	}
}

func (f *threadFire) sendNext(lane store.SendLane) (more bool) {
	before := make([]int64, len(f.threads))
	for i := range f.threads {
		before[i] = f.threads[i].version.Load()
	}
	s, _, err := f.NextSend(ctx, lane, func(string) (store.SendRules, error) { return f.idle, nil }, time.Minute)
	if err != nil {
		f.T.Errorf("next: %v", err)
	}
	if s == nil {
		return false
	}
	for i := range f.threads {
		if th := &f.threads[i]; th.user == s.User.ExternalID && before[i]%2 == 1 && th.version.Load() == before[i] {
			f.T.Errorf("S3.59 a send to %s began while another app held the conversation", s.User.ExternalID)
		}
	}
	done, err := f.SettleSend(ctx, s, store.PartOutcome{State: chat.PartSent, ExternalID: s.Part.ID.String()}, false)
	if err != nil {
		f.T.Errorf("settle: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts++
	return !done.Released
}
