package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/store"
)

const (
	newsDeadline = 5 * time.Second
	newsLimit    = 1000 // chats named one by one; beyond it a resync says "fetch everything again"
)

// Administrators is the AgentID of events that concern no agent: nobody has this id.
var Administrators = uuid.Max

// intakeNews gives hints about what was stored, apart from the transactions: neither the next slice nor the messenger waits
// for Redis. What cannot be told in time is told in fewer words; the workers' sweeps do not depend on it.
type intakeNews struct {
	jobs *Jobs
	wake chan struct{}

	mu    sync.Mutex
	looks map[Look]bool
	chats map[uuid.UUID]chatNews
	lost  map[uuid.UUID]bool // environments whose browsers must fetch everything again
}

// chatNews is what happened in one chat.
type chatNews struct {
	environment uuid.UUID
	opened      bool
}

func newIntakeNews(j *Jobs) *intakeNews {
	return &intakeNews{jobs: j, wake: make(chan struct{}, 1), looks: map[Look]bool{}, chats: map[uuid.UUID]chatNews{}, lost: map[uuid.UUID]bool{}}
}

func (n *intakeNews) add(events []store.Inbound, out []store.Received) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, r := range out {
		env := events[i].EnvironmentID
		if r.Err != nil || r.Outcome != store.Stored {
			continue
		}
		n.looks[Look{At: LookCRM, Environment: env}] = true
		if r.Opened {
			n.looks[Look{At: LookRoute, Environment: env}] = true
		}
		if len(n.chats) >= newsLimit {
			n.lost[env] = true
			continue
		}
		n.chats[r.ChatID] = chatNews{environment: env, opened: r.Opened || n.chats[r.ChatID].opened}
	}
	if len(n.looks) == 0 {
		return
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run tells what there is to tell until ctx ends, and the rest of it then.
func (n *intakeNews) run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
			n.tell()
		case <-ctx.Done():
			n.tell()
			return
		}
	}
}

func (n *intakeNews) tell() {
	n.mu.Lock()
	looks, chats, lost := n.looks, n.chats, n.lost
	n.looks, n.chats, n.lost = map[Look]bool{}, map[uuid.UUID]chatNews{}, map[uuid.UUID]bool{}
	n.mu.Unlock()
	for l := range looks {
		n.jobs.Hints.Look(l)
	}
	for env := range lost {
		n.jobs.Hints.Publish(Event{Type: "resync", Environment: env})
	}
	ids := make([]uuid.UUID, 0, len(chats))
	for id := range chats {
		ids = append(ids, id)
	}
	ctx, cancel := context.WithTimeout(context.Background(), newsDeadline)
	defer cancel()
	audiences, err := n.jobs.Store.Audiences(ctx, ids)
	if err != nil {
		n.jobs.Log.Warn("browsers could not be told of new messages", slog.Any("error", err))
		return
	}
	for _, a := range audiences {
		if chats[a.ChatID].opened {
			n.jobs.Hints.Publish(audienceEvent(a, Event{Type: "chat", ID: a.ChatID}))
		}
		n.jobs.Hints.Publish(audienceEvent(a, Event{Type: "message", ChatID: a.ChatID}))
	}
}

// PublishChats tells browsers that chats changed, after the commit. A failure costs a hint.
func (j *Jobs) PublishChats(ctx context.Context, chats []uuid.UUID) {
	audiences, err := j.Store.Audiences(ctx, chats)
	if err != nil {
		j.Log.Warn("browsers could not be told of changed chats", slog.Any("error", err))
		return
	}
	for _, a := range audiences {
		j.Hints.Publish(audienceEvent(a, Event{Type: "chat", ID: a.ChatID}))
	}
}

// audienceEvent addresses an event about a chat to those who may know of it.
func audienceEvent(a store.Audience, e Event) Event {
	e.Environment, e.AgentID, e.QueueID = a.EnvironmentID, a.AgentID, a.QueueID
	if e.AgentID == uuid.Nil && e.QueueID == uuid.Nil {
		e.AgentID = Administrators
	}
	return e
}
