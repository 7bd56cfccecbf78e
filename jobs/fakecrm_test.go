package jobs_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"waggle/crm"
)

// fakeCRM keeps records by id. It is as strict as a CRM with references: what names a missing record is refused.
type fakeCRM struct {
	mu       sync.Mutex
	have     map[uuid.UUID]any
	order    []any // messages in the order they came to be
	pushes   []crm.Push
	down     map[uuid.UUID]*crm.Error // by environment
	refuse   func(record any) string
	during   func()       // runs inside a push
	after    func() error // what the caller is told once everything is written
	found    func(l crm.Lookup) crm.Found
	users    []crm.User
	settings map[string]string
	checkErr error
}

func newFakeCRM() *fakeCRM {
	return &fakeCRM{have: map[uuid.UUID]any{}, down: map[uuid.UUID]*crm.Error{}}
}

func (f *fakeCRM) Kind() string { return "fake" }

func (f *fakeCRM) Check(context.Context, crm.Connection) (crm.Site, error) {
	return crm.Site{Version: "8.1", Administrator: true}, f.checkErr
}

func (f *fakeCRM) Users(context.Context, crm.Connection) ([]crm.User, error) { return f.users, nil }

func (f *fakeCRM) Settings(context.Context, crm.Connection) (map[string]string, error) {
	return f.settings, nil
}

func (f *fakeCRM) FindContact(_ context.Context, c crm.Connection, l crm.Lookup) (crm.Found, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.down[c.Environment]; e != nil {
		return crm.Found{}, e
	}
	if f.found == nil {
		return crm.Found{}, nil
	}
	return f.found(l), nil
}

func (f *fakeCRM) Push(_ context.Context, c crm.Connection, p crm.Push) (crm.Result, error) {
	if f.during != nil {
		f.during()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pushes = append(f.pushes, p)
	result := crm.Result{}
	if e := f.down[c.Environment]; e != nil {
		return result, e
	}
	keep := func(id uuid.UUID, record any, needs ...uuid.UUID) {
		why := ""
		if f.refuse != nil {
			why = f.refuse(record)
		}
		for _, n := range needs {
			if _, there := f.have[n]; n != uuid.Nil && !there && why == "" {
				why = fmt.Sprintf("there is no record %s", n)
			}
		}
		if why != "" {
			result[id] = crm.Outcome{Reason: why}
			return
		}
		if _, there := f.have[id]; !there {
			if _, message := record.(crm.Message); message {
				f.order = append(f.order, record)
			}
		}
		f.have[id] = record
		result[id] = crm.Outcome{Proven: true}
	}
	for _, r := range p.Queues {
		keep(r.ID, r)
	}
	for _, r := range p.Channels {
		keep(r.ID, r, r.QueueID)
	}
	for _, r := range p.Contacts {
		keep(r.ID, r)
	}
	for _, r := range p.Identities {
		keep(r.ID, r, r.ContactID, r.ChannelID)
	}
	for _, r := range p.Chats {
		keep(r.ID, r, r.ContactID, r.ChannelID, r.QueueID)
	}
	for _, r := range p.Messages {
		keep(r.ID, r, r.ChatID, r.ChannelID)
	}
	if f.after != nil {
		if err := f.after(); err != nil {
			return crm.Result{}, err
		}
	}
	return result, nil
}

func (f *fakeCRM) chat(id uuid.UUID) crm.Chat {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, _ := f.have[id].(crm.Chat)
	return c
}

// messages are a chat's messages in the order of their records.
func (f *fakeCRM) messages(chat uuid.UUID) (all []crm.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.order {
		m := o.(crm.Message)
		if m.ChatID == chat {
			all = append(all, f.have[m.ID].(crm.Message))
		}
	}
	return all
}

func (f *fakeCRM) texts(chat uuid.UUID) (all []string) {
	for _, m := range f.messages(chat) {
		all = append(all, m.Text)
	}
	return all
}

func (f *fakeCRM) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pushes)
}

func (f *fakeCRM) fails(env uuid.UUID, e *crm.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[env] = e
}

func (f *fakeCRM) contact(id uuid.UUID) crm.Contact {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, _ := f.have[id].(crm.Contact)
	return c
}
