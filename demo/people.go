package demo

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"waggle/api/client"

	"waggle/api/gen"
	"waggle/channels/custom/customtest"
	"waggle/channels/telegram/telegramtest"
)

// customer is a person on one messenger.
type customer struct {
	name  string
	where string
	// write sends a text and returns the message's id on the messenger.
	write func(ctx context.Context, text string) (string, error)
	edit  func(ctx context.Context, id, text string) error
	// inbox is what he got, in order.
	inbox func() []string
}

func onTelegram(c *telegramtest.Customer, name string) *customer {
	return &customer{
		name: name, where: "Telegram",
		write: func(_ context.Context, text string) (string, error) { return strconv.FormatInt(c.Write(text), 10), nil },
		edit: func(_ context.Context, id, text string) error {
			n, err := strconv.ParseInt(id, 10, 64)
			if err == nil {
				c.Edit(n, text)
			}
			return err
		},
		inbox: func() (texts []string) {
			for _, m := range c.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
	}
}

func onMessenger(c *customtest.Customer, name string) *customer {
	return &customer{
		name: name, where: "own messenger",
		write: func(ctx context.Context, text string) (string, error) { return c.Write(ctx, text) },
		edit:  c.Edit,
		inbox: func() (texts []string) {
			for _, m := range c.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
	}
}

// line is one message somebody wrote, with the text it should have in the end.
type line struct {
	customer string
	text     string
	out      bool // an agent's
}

// ledger is the story's own account of what was written, in order.
type ledger struct{ lines []line }

func (l *ledger) wrote(c *customer, text string, out bool) {
	l.lines = append(l.lines, line{customer: c.name, text: text, out: out})
}

func (l *ledger) edited(from, to string) {
	for i := range l.lines {
		if l.lines[i].text == from {
			l.lines[i].text = to
		}
	}
}

// writes lets a customer write and waits until the message stands in his open chat, which it returns.
func (t *town) writes(ctx context.Context, c *customer, text string) (id string, _ gen.Chat, err error) {
	t.say(c.name+" ("+c.where+")", "writes “%s”", short(text))
	if id, err = c.write(ctx, text); err != nil {
		return "", gen.Chat{}, err
	}
	t.ledger.wrote(c, text, false)
	var found gen.Chat
	err = client.Until(ctx, c.name+"'s message has arrived", func() (bool, error) {
		chats, err := t.openChats(ctx)
		if err != nil {
			return false, err
		}
		for _, chat := range chats {
			if chat.Contact.Name != c.name {
				continue
			}
			found = chat
			messages, err := t.messages(ctx, chat)
			if err != nil || len(messages) == 0 {
				return false, err
			}
			return messages[len(messages)-1].Text == text, nil
		}
		return false, nil
	})
	return id, found, err
}

// given waits until a chat has an agent and returns his name.
func (t *town) given(ctx context.Context, chat *gen.Chat, but string) (string, error) {
	err := client.Until(ctx, "the chat has an agent", func() (bool, error) {
		err := t.server.Call(ctx, http.MethodGet, "/api/v1/chats/"+chat.ID.String(), nil, chat)
		return err == nil && chat.Agent != nil && chat.Agent.Name != but, err
	})
	if err != nil {
		return "", err
	}
	t.say("Waggle", "gives chat %d to %s", chat.Number, chat.Agent.Name)
	return chat.Agent.Name, nil
}

// answers lets a chat's agent accept, where he has not yet, and reply; it waits until the customer has the reply.
func (t *town) answers(ctx context.Context, c *customer, chat gen.Chat, text string) error {
	a := t.agents[chat.Agent.Name]
	path := "/api/v1/chats/" + chat.ID.String()
	if chat.AcceptedAt == nil {
		if err := a.api.Call(ctx, http.MethodPost, path+"/accept", nil, nil); err != nil {
			return err
		}
	}
	before := len(c.inbox())
	t.say(a.name, "answers %s: “%s”", c.name, short(text))
	var m gen.Message
	if err := a.api.Call(ctx, http.MethodPost, path+"/messages", gen.MessageInput{Text: text}, &m); err != nil {
		return err
	}
	t.ledger.wrote(c, text, true)
	err := client.Until(ctx, "the reply is delivered", func() (bool, error) {
		messages, err := t.messages(ctx, chat)
		if err != nil {
			return false, err
		}
		last := messages[len(messages)-1]
		if last.State == gen.MessageStateFailed || last.State == gen.MessageStateUnknown {
			return false, fmt.Errorf("it ended as %s", last.State)
		}
		return last.State == gen.MessageStateDelivered, nil
	})
	if err == nil {
		t.say(c.name+" ("+c.where+")", "has it, in %d message(s)", len(c.inbox())-before)
	}
	return err
}

func (t *town) openChats(ctx context.Context) ([]gen.Chat, error) {
	var list gen.ChatList
	err := t.server.Call(ctx, http.MethodGet, "/api/v1/chats?limit=100", nil, &list)
	open := list.Items[:0]
	for _, c := range list.Items {
		if c.Status != gen.ChatStatusClosed {
			open = append(open, c)
		}
	}
	return open, err
}

func (t *town) messages(ctx context.Context, chat gen.Chat) ([]gen.Message, error) {
	var list gen.MessageList
	err := t.server.Call(ctx, http.MethodGet, "/api/v1/chats/"+chat.ID.String()+"/messages?limit=100", nil, &list)
	return list.Items, err
}

// short keeps a line of the story a line.
func short(text string) string {
	r := []rune(text)
	if len(r) <= 60 {
		return text
	}
	return fmt.Sprintf("%s… (%d characters)", string(r[:40]), len(r))
}
