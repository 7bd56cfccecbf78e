package api

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

// chatFloor is a façade with two agents in a queue "To all agents", a channel, and everybody's session.
type chatFloor struct {
	*storetest.Scene
	h                    *harness
	a, b, queue, channel uuid.UUID
	ann, bob, boss       string
}

func newChatFloor(t *testing.T, with ...func(*Server)) *chatFloor {
	h := newAPI(t, with...)
	sc := storetest.NewScene(t, h.Server.Store)
	f := &chatFloor{Scene: sc, h: h, a: sc.Agent("Ann"), b: sc.Agent("Bob")}
	f.queue = sc.Queue(chat.ToAllAgents, 0, f.a, f.b)
	f.channel = sc.Channel(f.queue, 1)
	f.ann, f.bob = h.session(sc.Key, chat.AgentRole, f.a), h.session(sc.Key, chat.AgentRole, f.b)
	f.boss = h.session(sc.Key, chat.ChatAdministrator, uuid.Nil)
	return f
}

func (f *chatFloor) list(bearer, query string) []gen.Chat {
	f.T.Helper()
	var out gen.ChatList
	f.h.call("GET", "/chats"+query, bearer, nil).status(200).into(&out)
	return out.Items
}

func (f *chatFloor) do(bearer string, id uuid.UUID, action string, body any) *answer {
	f.T.Helper()
	return f.h.call("POST", fmt.Sprintf("/chats/%s/%s", id, action), bearer, body)
}

func (f *chatFloor) chat(bearer string, id uuid.UUID) gen.Chat {
	f.T.Helper()
	var c gen.Chat
	f.h.call("GET", "/chats/"+id.String(), bearer, nil).status(200).into(&c)
	return c
}

func TestChats_S3_9(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	require.Len(t, f.list(f.ann, "?waiting=true"), 1, "S3.9: available for all agents of the queue")
	require.Len(t, f.list(f.bob, "?waiting=true"), 1)
	stranger := f.h.session(f.Key, chat.AgentRole, f.Agent("Carl"))
	require.Empty(t, f.list(stranger, ""), "S3.5: agents of another queue do not see it")
	f.do(stranger, id, "accept", nil).problem(404)

	var c gen.Chat
	f.do(f.ann, id, "accept", nil).status(200).into(&c)
	assert.Equal(t, gen.ChatStatusInProgress, c.Status)
	assert.Equal(t, f.a, c.Agent.ID)
	p := f.do(f.bob, id, "accept", nil).problem(409)
	assert.Equal(t, "another agent has the chat", *p.Detail)
	assert.Equal(t, id, f.list(f.ann, "?mine=true")[0].ID)
	assert.Contains(t, f.h.Hints.Events(), jobs.Event{Type: "chat", Environment: f.Env, ID: id, AgentID: f.a}, "S3.9: on /events for who has it")
	assert.Contains(t, f.h.Hints.Events(), jobs.Event{Type: "chat", Environment: f.Env, ID: id, QueueID: f.queue}, "…and for those it was offered to")
}

func TestChats_S1_7(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	f.do(f.ann, id, "accept", nil).status(200)
	f.h.call("GET", "/chats/"+id.String(), f.bob, nil).problem(404)
	f.h.call("GET", "/chats/"+id.String()+"/messages", f.bob, nil).problem(404)
	f.h.call("GET", "/chats/"+id.String()+"/timeline", f.bob, nil).problem(404)
	for _, action := range []string{"hold", "unhold", "close", "reopen"} {
		f.do(f.bob, id, action, nil).problem(404)
	}
	f.do(f.bob, id, "transfer", map[string]any{"agent_id": f.b}).problem(404)
	f.do(f.bob, id, "messages", map[string]any{"text": "x"}).problem(404)
	require.Empty(t, f.list(f.bob, ""), "a plain agent sees only what is his or offered to him")
	require.Len(t, f.list(f.boss, ""), 1, "S1.7: chat administrators see all")
	require.Len(t, f.list(f.h.session(f.Key, chat.Administrator, uuid.Nil), ""), 1, "S1.6: administrators too")
	assert.Equal(t, id, f.chat(f.boss, id).ID)
}

func TestChats_S3_65(t *testing.T) {
	f := newChatFloor(t)
	one, two := f.Writes(f.channel, "1"), f.Writes(f.channel, "2")
	f.do(f.ann, one, "accept", nil).status(200)
	f.do(f.ann, two, "accept", nil).status(200)
	three := f.Writes(f.channel, "3")
	require.Empty(t, f.list(f.ann, "?waiting=true"), "at the maximum he sees no new chats")
	require.Len(t, f.list(f.bob, "?waiting=true"), 1)
	p := f.do(f.ann, three, "accept", nil).problem(409)
	assert.Contains(t, *p.Detail, "2 of 2 chats", "S3.62")
	f.do(f.ann, one, "close", nil).status(200)
	require.Len(t, f.list(f.ann, "?waiting=true"), 1, "he ended one: he sees them at once")
	f.Status(f.a, chat.Inactive)
	require.Empty(t, f.list(f.ann, "?waiting=true"), "b17: only who is active")
}

func TestChats_S1_10(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	f.Set(func(e *store.Environment) { e.ChatsEnabled = false })
	contact := f.list(f.boss, "")[0].Contact.ID.String()
	for path, administrators := range map[string]int{
		"/chats": 200, "/chats/" + id.String(): 200, "/chats/" + id.String() + "/messages": 200, "/contacts": 200, "/contacts/" + contact: 200,
		"/media/" + uuid.NewString() + "/0": 404,
	} {
		assert.Equal(t, "chats are switched off", f.h.call("GET", path, f.ann, nil).problem(409).Title, path)
		f.h.call("GET", path, f.boss, nil).status(administrators)
	}
	f.do(f.ann, id, "accept", nil).problem(409)
	f.do(f.boss, id, "close", nil).problem(409)
	require.Len(t, f.list(f.boss, ""), 1, "administrators still read")
	f.Set(func(e *store.Environment) { e.ChatsEnabled = true })
	f.do(f.ann, id, "accept", nil).status(200)
}

func TestMessages_S2_2(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	var sent, again gen.Message
	body := map[string]any{"text": "hello"}
	f.h.call("POST", "/chats/"+id.String()+"/messages", f.ann, body, "Idempotency-Key", "k1").status(201).into(&sent)
	f.h.call("POST", "/chats/"+id.String()+"/messages", f.ann, body, "Idempotency-Key", "k1").status(201).into(&again)
	assert.Equal(t, sent.ID, again.ID)
	assert.Equal(t, gen.MessageStateAccepted, sent.State)
	f.Settle(chat.PartSent)

	var list gen.MessageList
	f.h.call("GET", "/chats/"+id.String()+"/messages?limit=1", f.ann, nil).status(200).into(&list)
	require.Len(t, list.Items, 1)
	assert.Equal(t, gen.DirectionIn, list.Items[0].Direction)
	question := list.Items[0].ID
	require.NotNil(t, list.NextCursor)
	f.h.call("GET", "/chats/"+id.String()+"/messages?cursor="+*list.NextCursor, f.ann, nil).status(200).into(&list)
	require.Len(t, list.Items, 1, "S2.2: once")
	assert.Equal(t, sent.ID, list.Items[0].ID)
	assert.Equal(t, gen.MessageStateDelivered, list.Items[0].State)
	require.Len(t, list.Items[0].Parts, 1)

	f.do(f.ann, id, "messages", map[string]any{"text": "re", "reply_to": question}).status(201)
	assert.Equal(t, []string{"reply_to"}, f.do(f.ann, id, "messages", map[string]any{"text": "re", "reply_to": uuid.New()}).faults())
	assert.Equal(t, []string{"text"}, f.do(f.ann, id, "messages", map[string]any{"text": " \n"}).faults())
	f.h.call("GET", "/chats/"+id.String()+"/messages?cursor=x", f.ann, nil).problem(422)
	f.do(f.ann, id, "messages/"+sent.ID.String()+"/resend", nil).problem(409)

	c := f.chat(f.ann, id)
	assert.Equal(t, gen.ChatStatusInProgress, c.Status, "M.6: the first reply accepted it")
	assert.Nil(t, c.UnansweredSince)
}

func TestMessages_edits(t *testing.T) {
	f := newChatFloor(t)
	receive := func(e channels.Event) uuid.UUID {
		e.User = channels.User{ID: "u", Name: "Ann"}
		out := f.Receive(context.Background(), []store.Inbound{{EnvironmentID: f.Env, ChannelID: f.channel, AccountID: "1", Event: e}})
		require.NoError(t, out[0].Err)
		return out[0].ChatID
	}
	id := receive(channels.Event{Kind: channels.Message, Key: "1", MessageID: "1", Text: "one", Attachments: []channels.Attachment{{Kind: "photo", Name: "a.jpg", Size: 3, Ref: "r"}}})
	receive(channels.Event{Kind: channels.Edit, Key: "1.1", MessageKey: "1", MessageID: "1", Text: "two"})
	receive(channels.Event{Kind: channels.Edit, Key: "1.2", MessageKey: "1", MessageID: "1", Text: "three"})
	var list gen.MessageList
	f.h.call("GET", "/chats/"+id.String()+"/messages", f.boss, nil).status(200).into(&list)
	require.Len(t, list.Items, 1)
	m := list.Items[0]
	assert.Equal(t, "three", m.Text)
	require.Len(t, m.Edits, 2, "an edit does not rewrite history")
	assert.Equal(t, []string{"one", "two"}, []string{m.Edits[0].Text, m.Edits[1].Text})
	assert.Equal(t, fmt.Sprintf("/api/v1/media/%s/0", m.ID), *m.Attachments[0].URL, "never the provider's address")
}

func TestMessages_S2_22(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	f.do(f.ann, id, "accept", nil).status(200)
	ch, err := f.Store.Channel(context.Background(), f.Env, f.channel)
	require.NoError(t, err)
	_, err = f.DisconnectChannel(context.Background(), ch.EnvironmentID, ch.ID)
	require.NoError(t, err)
	p := f.do(f.ann, id, "messages", map[string]any{"text": "x"}).problem(409)
	assert.Contains(t, *p.Detail, "Disconnected")
}

func TestTimeline_S2_3(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	f.do(f.ann, id, "accept", nil).status(200)
	f.do(f.ann, id, "messages", map[string]any{"text": "hello"}).status(201)
	f.do(f.ann, id, "hold", nil).status(200)
	f.do(f.ann, id, "unhold", nil).status(200)
	f.do(f.ann, id, "transfer", map[string]any{"agent_id": f.b}).status(200)
	f.do(f.bob, id, "accept", nil).status(200)
	f.do(f.bob, id, "close", map[string]any{"reason": "solved"}).status(200)
	f.do(f.bob, id, "reopen", nil).status(200)
	var tl gen.Timeline
	f.h.call("GET", "/chats/"+id.String()+"/timeline", f.boss, nil).status(200).into(&tl)
	kinds := []gen.TimelineKind{}
	for i, e := range tl.Items {
		require.EqualValues(t, i+1, e.Seq)
		require.True(t, e.Kind.Valid())
		kinds = append(kinds, e.Kind)
	}
	assert.Equal(t, []gen.TimelineKind{"opened", "message", "assigned", "message", "held", "unheld", "transferred", "accepted", "closed", "reopened"}, kinds)
	assert.EqualValues(t, len(kinds), tl.LastSeq)
	assert.Equal(t, "Closed by Agent: solved", *tl.Items[8].Reason)
	f.h.call("GET", "/chats/"+id.String()+"/timeline?after=8", f.boss, nil).status(200).into(&tl)
	require.Len(t, tl.Items, 2)
}

func TestTransfer_S0_50(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	f.Card(f.b, func(a *store.Agent) { zero := 0; a.MaxLoad = &zero })
	p := f.do(f.boss, id, "transfer", map[string]any{"agent_id": f.b}).problem(409)
	assert.Contains(t, *p.Detail, "0 + 1 > 0")
	f.do(f.boss, id, "transfer", map[string]any{}).problem(422)
	f.do(f.boss, id, "transfer", map[string]any{"agent_id": uuid.New()}).problem(404)
	f.do(f.boss, id, "transfer", map[string]any{"agent_id": f.a}).status(200)
	f.do(f.bob, id, "transfer", map[string]any{"queue_id": f.queue}).problem(404)
	f.do(f.ann, id, "transfer", map[string]any{"queue_id": f.queue}).status(200)
	f.do(f.ann, id, "close", nil).problem(409)
	f.do(f.boss, f.Writes(f.channel, "u"), "accept", nil).problem(409)
}

func TestClosesAt_S3_17(t *testing.T) {
	f := newChatFloor(t)
	ten := 10
	f.Start(func(e *store.Environment) { e.CloseOn, e.CloseMinutes = true, &ten })
	id := f.Writes(f.channel, "u")
	c := f.chat(f.boss, id)
	require.Equal(t, gen.ChatClosesByMonth, *c.ClosesBy, "S1.18: nobody has it")
	f.do(f.ann, id, "messages", map[string]any{"text": "hello"}).status(201)
	require.Nil(t, f.chat(f.boss, id).ClosesAt, "not yet delivered")
	f.Settle(chat.PartSent)
	c = f.chat(f.boss, id)
	require.Equal(t, gen.ChatClosesByEnvironment, *c.ClosesBy)
	assert.WithinDuration(t, *c.LastMessageAt, c.ClosesAt.Add(-10*time.Minute), time.Minute)
	q, err := f.Store.Queue(context.Background(), f.Env, f.queue)
	require.NoError(t, err)
	five := 5
	q.TimeoutMinutes = &five
	require.NoError(t, f.ChangeQueue(context.Background(), q, nil))
	c = f.chat(f.boss, id)
	require.Equal(t, gen.ChatClosesByQueue, *c.ClosesBy, "b4: the queue's own replaces it")
	assert.WithinDuration(t, *c.LastMessageAt, c.ClosesAt.Add(-5*time.Minute), time.Minute)
}

func TestBlockedCustomerIsShownAndNotWrittenTo(t *testing.T) {
	f := newChatFloor(t)
	id := f.Writes(f.channel, "u")
	f.do(f.ann, id, "accept", nil).status(200)
	require.Nil(t, f.chat(f.ann, id).BlockedAt)
	_, _, err := f.Store.NoteBlock(context.Background(), store.Inbound{EnvironmentID: f.Env, ChannelID: f.channel, Event: channels.Event{
		Kind: channels.Block, Key: "b:1", User: channels.User{ID: "u"},
	}})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), *f.chat(f.ann, id).BlockedAt, time.Minute)
	p := f.do(f.ann, id, "messages", map[string]any{"text": "hello?"}).problem(409)
	require.Contains(t, *p.Detail, "the customer has blocked the channel")
	f.Writes(f.channel, "u")
	require.Nil(t, f.chat(f.ann, id).BlockedAt, "who writes takes messages again")
	f.do(f.ann, id, "messages", map[string]any{"text": "hello again"}).status(201)
}

func TestChats_filters(t *testing.T) {
	f := newChatFloor(t)
	other := f.Scene.Channel(uuid.Nil, 1)
	var ids []uuid.UUID
	for _, user := range []string{"1", "2", "3"} {
		ids = append(ids, f.Writes(f.channel, user))
	}
	lost := f.Writes(other, "4")
	require.Len(t, f.list(f.boss, "?channel_id="+f.channel.String()), 3, "S3.26")
	c := f.list(f.boss, "?channel_id="+other.String())
	require.Len(t, c, 1)
	assert.Equal(t, lost, c[0].ID)
	assert.Contains(t, *c[0].HeldReason, "no queue and no agent lists it", "S3.4: visible as such")
	f.do(f.ann, ids[0], "accept", nil).status(200)
	assert.Len(t, f.list(f.boss, "?status=in_progress"), 1)
	assert.Len(t, f.list(f.boss, "?status=waiting"), 3)
	assert.Empty(t, f.list(f.boss, "?status=bot_processing"))
	assert.Len(t, f.list(f.boss, "?agent_id="+f.a.String()), 1)

	var page gen.ChatList
	f.h.call("GET", "/chats?limit=3", f.boss, nil).status(200).into(&page)
	require.Len(t, page.Items, 3)
	assert.Equal(t, lost, page.Items[0].ID, "newest first")
	f.h.call("GET", "/chats?limit=3&cursor="+*page.NextCursor, f.boss, nil).status(200).into(&page)
	require.Len(t, page.Items, 1)
	assert.Nil(t, page.NextCursor)
	waiting := f.list(f.boss, "?waiting=true")
	assert.Equal(t, ids[1], waiting[0].ID, "the oldest first")
	f.h.call("GET", "/chats?cursor=x", f.boss, nil).problem(422)
}

// starter is a kind whose agents may write first.
type starter struct{ channels.Adapter }

func (starter) Describe() channels.Description {
	return channels.Description{Kind: "telegram", Capabilities: channels.Capabilities{StartDialogue: true}}
}

func TestStartChat_S1_1(t *testing.T) {
	f := newChatFloor(t, func(s *Server) { s.Channels["telegram"] = starter{} })
	id := f.Writes(f.channel, "u")
	contact := f.Look(id).ContactID
	body := map[string]any{"channel_id": f.channel, "contact_id": contact, "text": "hello"}
	p := f.h.call("POST", "/chats", f.ann, body).problem(409)
	assert.Contains(t, *p.Detail, startRefused, "the channel's switch is off")

	require.NoError(t, f.allowStarting())
	f.h.call("POST", "/chats", f.boss, body).problem(409)
	body["contact_id"] = uuid.New()
	p = f.h.call("POST", "/chats", f.ann, body).problem(409)
	assert.Contains(t, *p.Detail, "has never written on this channel", "S1.1")
	body["contact_id"] = contact
	p = f.h.call("POST", "/chats", f.ann, body).problem(409)
	assert.Equal(t, "this person has an open chat on this channel", *p.Detail)

	f.do(f.boss, id, "close", nil).status(200)
	var c gen.Chat
	f.h.call("POST", "/chats", f.ann, body, "Idempotency-Key", "s").status(201).into(&c)
	var again gen.Chat
	f.h.call("POST", "/chats", f.ann, body, "Idempotency-Key", "s").status(201).into(&again)
	assert.Equal(t, c.ID, again.ID)
	assert.Equal(t, f.a, c.Agent.ID, "S2.6: assigned to who started it")
	assert.Equal(t, gen.ChatStatusInProgress, c.Status)
	assert.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage}, f.Kinds(c.ID))
	assert.Equal(t, c.ID, f.Writes(f.channel, "u"), "his answer comes into the same chat")
}

func TestStartChat_refused_S1_1(t *testing.T) {
	f := newChatFloor(t)
	contact := f.Look(f.Writes(f.channel, "u")).ContactID
	p := f.h.call("POST", "/chats", f.ann, map[string]any{"channel_id": f.channel, "contact_id": contact, "text": "hello"}).problem(409)
	assert.Contains(t, *p.Detail, startRefused)
	assert.Empty(t, f.h.Hints.Looks(), "nothing is sent")
}

// allowStarting switches on that agents may start dialogues on the channel.
func (f *chatFloor) allowStarting() error {
	on := true
	return f.ChangeChannel(context.Background(), f.Env, f.channel, store.ChannelSettings{AgentsMayStart: &on})
}
