package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/channels/custom/customtest"
)

// Town is the people around an installation: customers who write, agents who answer, and an account of what they wrote.
type Town struct {
	API client.Client // as the CRM's server: with the API key

	in     *Installation
	staff  []uuid.UUID
	agents map[uuid.UUID]client.Client // by agent: with his session

	mu        sync.Mutex
	customers []*Customer
}

// Staff lists the agents.
func (t *Town) Staff() []uuid.UUID { return slices.Clone(t.staff) }

// Agent is the façade as an agent's page sees it.
func (t *Town) Agent(id uuid.UUID) client.Client { return t.agents[id] }

// Customer is a person on one messenger.
type Customer struct {
	Name string

	send  func(context.Context, string)
	inbox func() []arrival

	mu      sync.Mutex
	written []string
	replies []string
	at      map[string]time.Time // when each text was written, by him or to him
}

// arrival is a reply at the messenger.
type arrival struct {
	text string
	at   time.Time // zero where the messenger does not tell
}

// OnTelegram lets n more customers come to Telegram.
func (t *Town) OnTelegram(n int) []*Customer {
	return t.come(n, "Telegram", func(c *Customer, i int) {
		k := t.in.Bot.Customer(int64(5_551_000+i), c.Name)
		c.send = func(_ context.Context, text string) { k.Write(text) }
		c.inbox = func() (come []arrival) {
			for _, m := range k.Inbox() {
				come = append(come, arrival{text: m.Text, at: m.At})
			}
			return come
		}
	})
}

// OnMessenger lets n more customers come to the company's own messenger.
func (t *Town) OnMessenger(n int) []*Customer {
	return t.come(n, "Messenger", func(c *Customer, i int) {
		k := t.in.Messenger.Customer(customtest.Profile{ID: fmt.Sprint("user-", i), Name: c.Name})
		// What Waggle did not take stays in the messenger's outbox and is repeated: see Audit.
		c.send = func(ctx context.Context, text string) { _, _ = k.Write(ctx, text) }
		c.inbox = func() (come []arrival) {
			for _, m := range k.Inbox() {
				come = append(come, arrival{text: m.Text})
			}
			return come
		}
	})
}

func (t *Town) come(n int, where string, settle func(*Customer, int)) (come []*Customer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range n {
		i := len(t.customers) + 1
		c := &Customer{Name: fmt.Sprintf("%s customer %d", where, i), at: map[string]time.Time{}}
		settle(c, i)
		t.customers = append(t.customers, c)
		come = append(come, c)
	}
	return come
}

// Visitor is a customer of whom only the account is kept here: the proof itself delivers what he writes.
func (t *Town) Visitor(name string) *Customer {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &Customer{Name: name, at: map[string]time.Time{}, inbox: func() []arrival { return nil }}
	t.customers = append(t.customers, c)
	return c
}

// Wrote notes a message that is delivered past the customer's messenger.
func (c *Customer) Wrote(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written, c.at[text] = append(c.written, text), time.Now()
}

// Write sends n messages, one after another. Whether Waggle takes them at once is the weather's matter.
func (c *Customer) Write(ctx context.Context, n int) {
	for range n {
		c.mu.Lock()
		text := fmt.Sprintf("%s, message %d", c.Name, len(c.written)+1)
		c.written, c.at[text] = append(c.written, text), time.Now()
		c.mu.Unlock()
		c.send(ctx, text)
	}
}

// WriteAll lets many customers write n messages each, all at the same time.
func WriteAll(ctx context.Context, customers []*Customer, n int) {
	var writing sync.WaitGroup
	for _, c := range customers {
		writing.Go(func() { c.Write(ctx, n) })
	}
	writing.Wait()
}

// Chats returns the open chats by their customers' names.
func (t *Town) Chats(ctx context.Context) (map[string]gen.Chat, error) {
	found := map[string]gen.Chat{}
	err := pages(ctx, t.API, "/api/v1/chats", func(c gen.Chat) {
		if c.Status != gen.ChatStatusClosed {
			found[c.Contact.Name] = c
		}
	})
	return found, err
}

// pages calls each for every item of a list.
func pages[T any](ctx context.Context, api client.Client, path string, each func(T)) error {
	cursor := ""
	for {
		var list struct {
			Items      []T     `json:"items"`
			NextCursor *string `json:"next_cursor"`
		}
		if err := api.Call(ctx, http.MethodGet, path+"?limit=100"+cursor, nil, &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			each(item)
		}
		if list.NextCursor == nil || *list.NextCursor == "" {
			return nil
		}
		cursor = "&cursor=" + url.QueryEscape(*list.NextCursor)
	}
}

// Assigned waits until each of the customers has a chat with an agent.
func (t *Town) Assigned(ctx context.Context, customers []*Customer) (chats map[string]gen.Chat, err error) {
	err = client.Until(ctx, "every customer has an agent", func() (bool, error) {
		if chats, err = t.Chats(ctx); err != nil {
			return false, unlessPassing(err)
		}
		for _, c := range customers {
			if chats[c.Name].Agent == nil {
				return false, nil
			}
		}
		return true, nil
	})
	return chats, err
}

// Reply lets the agent of a customer's chat write n messages, each accepted before the next. A call whose outcome got lost is
// made again under the same key.
func (t *Town) Reply(ctx context.Context, c *Customer, chat gen.Chat, n int) error {
	for range n {
		c.mu.Lock()
		text := fmt.Sprintf("%s, answer %d", c.Name, len(c.replies)+1)
		c.at[text] = time.Now()
		c.mu.Unlock()
		api := t.agents[chat.Agent.ID].Once(uuid.NewString())
		err := client.Until(ctx, "Waggle takes the reply", func() (bool, error) {
			err := api.Call(ctx, http.MethodPost, "/api/v1/chats/"+chat.ID.String()+"/messages", gen.MessageInput{Text: text}, nil)
			return err == nil, unlessPassing(err)
		})
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.replies = append(c.replies, text)
		c.mu.Unlock()
	}
	return nil
}

// unlessPassing is nil for what a caller should try again: no answer, or one of 5xx.
func unlessPassing(err error) error {
	var answered *client.Error
	if errors.As(err, &answered) && answered.Status < http.StatusInternalServerError {
		return err
	}
	return nil
}

// Has waits until the customer has n messages.
func (c *Customer) Has(ctx context.Context, n int) error {
	return client.Until(ctx, fmt.Sprintf("%s has %d messages", c.Name, n), func() (bool, error) { return len(c.inbox()) >= n, nil })
}

// auditLimit bounds the wait for everything to arrive. A double of Telegram waits up to two minutes before it tries again;
// the audit hurries it.
const auditLimit = 2 * time.Minute

// Runs is how often the running instance of a process has run.
func (t *Town) Runs(ctx context.Context, name gen.ProcessName) (runs int, err error) {
	err = pages(ctx, t.API, "/api/v1/processes", func(p gen.Process) {
		if p.Process == name {
			runs = int(p.Runs)
		}
	})
	return runs, err
}

// Advance moves the installation's business clock; it wants MOVABLE_CLOCK.
func (t *Town) Advance(ctx context.Context, by string) error {
	return t.API.Call(ctx, http.MethodPost, "/demo/clock", map[string]string{"advance": by}, nil)
}
