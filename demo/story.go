package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"waggle/api/client"

	"waggle/api/gen"
	"waggle/channels/custom/customtest"
)

// play tells the whole story: the set-up and then a working day, and a month.
func (t *town) play(ctx context.Context) error {
	if err := t.setUp(ctx); err != nil {
		return err
	}
	ann := onTelegram(t.bot.Customer(5551001, "Ann"), "Ann")
	dan := onTelegram(t.bot.Customer(5551002, "Dan"), "Dan")
	eve := onMessenger(t.messenger.Customer(customtest.Profile{ID: "eve", Name: "Eve"}), "Eve")
	t.customers = []*customer{ann, dan, eve}
	scenes := []func(context.Context, *customer, *customer, *customer) error{
		t.questionAndAnswer, t.editAndLongAnswer, t.silentAgent, t.crmAway, t.silentClients, t.unansweredMonth,
	}
	for _, scene := range scenes {
		if err := scene(ctx, ann, dan, eve); err != nil {
			return err
		}
	}
	return t.settle(ctx)
}

func (t *town) questionAndAnswer(ctx context.Context, ann, _, _ *customer) error {
	_, chat, err := t.writes(ctx, ann, "Good morning! Where is my parcel 4711?")
	if err != nil {
		return err
	}
	if _, err := t.given(ctx, &chat, ""); err != nil {
		return err
	}
	return t.answers(ctx, ann, chat, "Good morning, Ann! It left our warehouse yesterday.")
}

func (t *town) editAndLongAnswer(ctx context.Context, _, dan, _ *customer) error {
	t.say("Telegram", "will deliver the next two updates twice")
	t.bot.DuplicateNext(2)
	if _, _, err := t.writes(ctx, dan, "Hello?"); err != nil {
		return err
	}
	id, chat, err := t.writes(ctx, dan, "My lamp arrived brokken")
	if err != nil {
		return err
	}
	const final = "My lamp arrived broken"
	t.say("Dan (Telegram)", "edits it: “%s”", final)
	if err := dan.edit(ctx, id, final); err != nil {
		return err
	}
	t.ledger.edited("My lamp arrived brokken", final)
	if _, err := t.given(ctx, &chat, ""); err != nil {
		return err
	}
	manual := strings.TrimSpace(strings.Repeat("Unscrew the base, turn the lamp over and press the small lever until it clicks. ", 70))
	return t.answers(ctx, dan, chat, "We are sorry, Dan. "+manual)
}

func (t *town) silentAgent(ctx context.Context, _, _, eve *customer) error {
	_, chat, err := t.writes(ctx, eve, "Can I still change my address?")
	if err != nil {
		return err
	}
	first, err := t.given(ctx, &chat, "")
	if err != nil {
		return err
	}
	t.say(first, "says nothing")
	if err := t.advance(ctx, "4m"); err != nil {
		return err
	}
	t.say("SaveAfkChats", "looks for chats whose agent has been silent for 3 minutes")
	if _, err := t.given(ctx, &chat, first); err != nil {
		return err
	}
	t.transfers++
	return t.answers(ctx, eve, chat, "Of course, Eve. Where shall it go?")
}

func (t *town) crmAway(ctx context.Context, ann, _, _ *customer) error {
	t.say("Creatio", "is down")
	t.crm.Down()
	_, chat, err := t.writes(ctx, ann, "Thank you!")
	if err != nil {
		return err
	}
	if err := t.server.Call(ctx, http.MethodGet, "/api/v1/chats/"+chat.ID.String(), nil, &chat); err != nil {
		return err
	}
	if err := t.answers(ctx, ann, chat, "You are welcome, Ann."); err != nil {
		return err
	}
	t.say("Creatio", "is back")
	t.crm.Up()
	return nil
}

func (t *town) silentClients(ctx context.Context, _, _, _ *customer) error {
	open, err := t.openChats(ctx)
	if err != nil {
		return err
	}
	if err := t.advance(ctx, "11m"); err != nil {
		return err
	}
	t.say("CloseOldChats", "looks for chats whose client has been silent for 10 minutes")
	for _, chat := range open {
		if err := t.closed(ctx, chat); err != nil {
			return err
		}
	}
	return nil
}

func (t *town) unansweredMonth(ctx context.Context, ann, _, _ *customer) error {
	for _, name := range []string{"Ben", "Carla"} {
		if err := t.setStatus(ctx, name, gen.AgentStatusOffline); err != nil {
			return err
		}
	}
	_, chat, err := t.writes(ctx, ann, "One more question: do you repair lamps?")
	if err != nil {
		return err
	}
	t.say("Waggle", "opens chat %d; nobody is there to take it", chat.Number)
	if err := t.advance(ctx, fmt.Sprint(32*24*time.Hour)); err != nil {
		return err
	}
	return t.closed(ctx, chat)
}

// closed waits until a chat is closed and counts it.
func (t *town) closed(ctx context.Context, chat gen.Chat) error {
	err := client.Until(ctx, fmt.Sprintf("chat %d is closed", chat.Number), func() (bool, error) {
		err := t.server.Call(ctx, http.MethodGet, "/api/v1/chats/"+chat.ID.String(), nil, &chat)
		return chat.Status == gen.ChatStatusClosed, err
	})
	if err != nil {
		return err
	}
	t.closes++
	t.say("Waggle", "closes chat %d: %s", chat.Number, *chat.CloseReason)
	return nil
}

// advance moves the business clock.
func (t *town) advance(ctx context.Context, by string) error {
	t.say("Clock", "moves on by %s", by)
	return t.server.Call(ctx, http.MethodPost, "/demo/clock", map[string]string{"advance": by}, nil)
}
