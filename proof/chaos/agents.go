package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"waggle/api/client"
	"waggle/api/gen"
)

// agent is one of the staff at his page.
type agent struct {
	w    *world
	id   uuid.UUID
	name string

	mu     sync.Mutex
	api    client.Client
	spoken int
	closed []uuid.UUID // by him; he may reopen them
}

// live lets him do now this, now that.
func (a *agent) live(ctx context.Context, r *rand.Rand) {
	for rest(ctx, between(r, 50*time.Millisecond, 300*time.Millisecond)) {
		switch dice := r.IntN(100); {
		case dice < 12:
			a.accept(ctx, r)
		case dice < 62:
			if c := a.talking(ctx, r); c != nil {
				for range burst(r) {
					pictures := 0
					if r.IntN(8) == 0 {
						pictures = 1 + r.IntN(2)
					}
					a.reply(c, pictures)
				}
			}
		case dice < 69:
			a.holdOrUnhold(ctx, r)
		case dice < 76:
			a.transfer(ctx, r)
		case dice < 86:
			a.close(ctx, r)
		case dice < 91:
			a.reopen(ctx, r)
		case dice < 92:
			_ = a.does(ctx, goesAway, http.MethodPatch, a.path("/status"), gen.AgentStatusInput{Status: gen.AgentStatusInactive})
		case dice < 96:
			_ = a.w.did(comesBack, a.present(ctx))
		default:
			_ = a.call(ctx, http.MethodPost, a.path("/heartbeat"), nil, nil)
		}
	}
}

func (a *agent) path(tail string) string { return "/api/v1/agents/" + a.id.String() + tail }

func chatPath(id uuid.UUID, tail string) string { return "/api/v1/chats/" + id.String() + tail }

// present sets him active.
func (a *agent) present(ctx context.Context) error {
	return a.call(ctx, http.MethodPatch, a.path("/status"), gen.AgentStatusInput{Status: gen.AgentStatusActive}, nil)
}

// does asks once for something that is counted: see everyAction.
func (a *agent) does(ctx context.Context, what action, method, path string, in any) error {
	return a.w.did(what, a.call(ctx, method, path, in, nil))
}

// call asks once. A session that has ended is replaced, as the CRM's server does.
func (a *agent) call(ctx context.Context, method, path string, in, out any) error {
	return a.callOnce(ctx, "", method, path, in, out)
}

func (a *agent) callOnce(ctx context.Context, key, method, path string, in, out any) error {
	return a.ask(ctx, func(api client.Client) error { return api.Once(key).Call(ctx, method, path, in, out) })
}

// ask lets him do something with his session, or with a new one where that has ended.
func (a *agent) ask(ctx context.Context, do func(client.Client) error) error {
	a.mu.Lock()
	api := a.api
	a.mu.Unlock()
	err := do(api)
	if statusOf(err) != http.StatusUnauthorized {
		return err
	}
	var s gen.Session
	if err := a.w.town.API.Call(ctx, http.MethodPost, "/api/v1/sessions", gen.SessionInput{Role: gen.RoleAgent, AgentID: &a.id}, &s); err != nil {
		return err
	}
	a.mu.Lock()
	a.api = a.api.As(s.Token)
	api = a.api
	a.mu.Unlock()
	return do(api)
}

// one finds one of his chats with a status, any of those on the first page; nil: he has none.
func (a *agent) one(ctx context.Context, r *rand.Rand, query string) *gen.Chat {
	var list gen.ChatList
	if a.call(ctx, http.MethodGet, "/api/v1/chats?limit=20&"+query, nil, &list) != nil || len(list.Items) == 0 {
		return nil
	}
	return &list.Items[r.IntN(len(list.Items))]
}

// talking is one of the chats he works in.
func (a *agent) talking(ctx context.Context, r *rand.Rand) *gen.Chat {
	status := "in_progress"
	if r.IntN(2) == 0 {
		status = "assigned"
	}
	return a.one(ctx, r, "mine=true&status="+status)
}

// accept takes what he was given or, of what waits, the oldest: everybody wants that one. A colleague tries at the same time.
func (a *agent) accept(ctx context.Context, r *rand.Rand) {
	colleague := a.w.agents[r.IntN(len(a.w.agents))]
	if c := a.one(ctx, r, "mine=true&status=assigned"); c != nil && r.IntN(2) == 0 {
		a.wins(ctx, acceptsGiven, c.ID)
	}
	var list gen.ChatList
	if a.call(ctx, http.MethodGet, "/api/v1/chats?limit=1&waiting=true", nil, &list) != nil || len(list.Items) == 0 {
		return
	}
	var won atomic.Bool
	var trying sync.WaitGroup
	for _, rival := range []*agent{a, colleague} {
		trying.Go(func() {
			if rival.wins(ctx, acceptsWaiting, list.Items[0].ID) {
				won.Store(true)
			}
		})
	}
	trying.Wait()
	if a != colleague && won.Load() {
		a.w.ledger.raced()
	}
}

// wins tells whether he was answered that he has accepted a chat, which is noted: see auditWins.
func (a *agent) wins(ctx context.Context, as action, chat uuid.UUID) bool {
	asked, err := a.w.commits(ctx)
	if err != nil {
		return false
	}
	if a.does(ctx, as, http.MethodPost, chatPath(chat, "/accept"), nil) != nil {
		return false
	}
	answered, err := a.w.commits(a.w.finish)
	if err != nil {
		return false
	}
	a.w.ledger.won(win{chat: chat, agent: a.id, asked: asked, answered: answered})
	return true
}

// burst is how many replies he writes in a row: of many, some wait while the first is being sent.
func burst(r *rand.Rand) int {
	if r.IntN(6) == 0 {
		return 6
	}
	return 1 + r.IntN(2)
}

// reply writes into one of his chats, with pictures, and repeats the call under the same key until it knows the outcome.
func (a *agent) reply(c *gen.Chat, pictures int) {
	a.mu.Lock()
	a.spoken++
	text := fmt.Sprintf("%s to %s: reply %05d", a.name, c.Contact.Name, a.spoken)
	a.mu.Unlock()
	in := gen.MessageInput{Text: text}
	for _, content := range picturesOf(text, pictures) {
		var f gen.UploadedFile
		_, err := a.untilClear(func() error {
			return a.ask(a.w.finish, func(api client.Client) error {
				return api.Upload(a.w.finish, chatPath(c.ID, "/files?name=picture.png"), content, &f)
			})
		})
		err = a.w.did(sendsPicture, err)
		if err != nil {
			a.notUploaded(c, err)
			return // what was uploaded and is not sent is nobody's
		}
		in.Files = append(in.Files, f.ID)
	}
	key := uuid.NewString()
	unclear, err := a.untilClear(func() error {
		return a.callOnce(a.w.finish, key, http.MethodPost, chatPath(c.ID, "/messages"), in, nil)
	})
	switch err = a.w.did(replies, err); {
	case err == nil:
		a.w.ledger.replied(text, reply{chat: c.ID, accepted: true, pictures: pictures})
	case unclear && !passing(err):
		a.w.ledger.replied(text, reply{chat: c.ID, pictures: pictures})
	case passing(err):
		a.w.find(stuck, "a reply to %s never got an answer: %v", c.Contact.Name, err)
	}
}

// notUploaded judges why he cannot give a file: the chat may have been taken from him or have ended, nothing else.
func (a *agent) notUploaded(c *gen.Chat, err error) {
	var answered *client.Error
	switch {
	case passing(err):
		a.w.find(stuck, "a picture for %s never got an answer: %v", c.Contact.Name, err)
	case errors.As(err, &answered) && (answered.Status == http.StatusNotFound || answered.Status == http.StatusConflict):
	default:
		a.w.find(wrong, "a picture for %s is not taken: %v", c.Contact.Name, err)
	}
}

// untilClear makes a call again until it is answered, and tells whether one before had no answer.
func (a *agent) untilClear(call func() error) (unclear bool, err error) {
	for {
		if err = call(); err == nil || !passing(err) || !rest(a.w.finish, 300*time.Millisecond) {
			return unclear, err
		}
		unclear = true
	}
}

func (a *agent) holdOrUnhold(ctx context.Context, r *rand.Rand) {
	if c := a.one(ctx, r, "mine=true&status=on_hold"); c != nil && r.IntN(2) == 0 {
		_ = a.does(ctx, unholds, http.MethodPost, chatPath(c.ID, "/unhold"), nil)
		return
	}
	if c := a.talking(ctx, r); c != nil {
		_ = a.does(ctx, holds, http.MethodPost, chatPath(c.ID, "/hold"), nil)
	}
}

func (a *agent) transfer(ctx context.Context, r *rand.Rand) {
	c := a.talking(ctx, r)
	if c == nil {
		return
	}
	what, to := transfersToAgent, gen.TransferInput{AgentID: &a.w.agents[r.IntN(len(a.w.agents))].id}
	if r.IntN(3) == 0 {
		what, to = transfersToQueue, gen.TransferInput{QueueID: &a.w.queues[r.IntN(len(a.w.queues))]}
	}
	_ = a.does(ctx, what, http.MethodPost, chatPath(c.ID, "/transfer"), to)
}

func (a *agent) close(ctx context.Context, r *rand.Rand) {
	c := a.talking(ctx, r)
	if c == nil || a.does(ctx, closesChat, http.MethodPost, chatPath(c.ID, "/close"), nil) != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = append(a.closed, c.ID)
}

// reopen takes up a chat he closed; refused where the customer has another one by now.
func (a *agent) reopen(ctx context.Context, r *rand.Rand) {
	a.mu.Lock()
	if len(a.closed) == 0 {
		a.mu.Unlock()
		return
	}
	i := r.IntN(len(a.closed))
	id := a.closed[i]
	a.closed = append(a.closed[:i], a.closed[i+1:]...)
	a.mu.Unlock()
	_ = a.does(ctx, reopensChat, http.MethodPost, chatPath(id, "/reopen"), nil)
}
