package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/crm/creatio/creatiotest"
)

const botApp = "700700700"

// onAPageWithABot proves something with a Facebook page that another app's bot answers too. The bot has no conversation yet, and
// Facebook gives no new one to it before it is made the page's default app.
func onAPageWithABot(t *testing.T, prove func(t *testing.T, p *pagePlace, bot *messengertest.App)) {
	t.Helper()
	onAFacebookPage(t, func(t *testing.T, p *pagePlace) {
		bot := p.server.AddApp(botApp, "the bot's secret")
		p.page.Subscribe(bot, "messages", "messaging_handovers", "standby")
		prove(t, p, bot)
	})
}

// holds waits until a chat's conversation has this owner.
func (p *pagePlace) holds(chat uuid.UUID, owner gen.ChatThreadOwner) (c gen.Chat) {
	p.t.Helper()
	p.until("the conversation is held by "+string(owner), func() bool {
		c = p.place.chat(chat)
		return c.Thread != nil && c.Thread.Owner == owner
	})
	return c
}

// threadPath is where an action on a chat's conversation is asked for.
func threadPath(chat uuid.UUID) string { return "/chats/" + chat.String() + "/thread" }

func TestS3_56_S3_59_S3_60_S3_61_ABotAnswersFirst(t *testing.T) {
	onAPageWithABot(t, func(t *testing.T, p *pagePlace, bot *messengertest.App) {
		p.page.Default(bot)
		tom := p.page.Customer("2002", "Tom", "Ray")
		tom.Write("what are your hours?")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		var list gen.ChatList
		p.get("/chats?status=bot_processing", &list)
		require.Len(t, list.Items, 1, "S3.60 displayed among the chats")
		chat := list.Items[0]
		require.Nil(t, chat.Agent, "S3.61")
		require.Equal(t, gen.ChatThreadOwnerOther, chat.Thread.Owner)
		require.Equal(t, gen.ChatClosesByMonth, *chat.ClosesBy, "b6 only the month would close it")
		row := p.crmRow(chat.ID, "S3.60 with the status BotProcessing", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusBotProcessing })
		require.Empty(t, operatorOf(row), "S3.61 Agent is empty in the CRM")

		require.NoError(t, tom.Answer(bot, "nine to five"))
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Equal(t, []string{"client: what are your hours?", "bot: nine to five"}, p.authors(chat), "S3.56 its conversation is recorded")
		require.Equal(t, botApp, *p.place.chat(chat.ID).Thread.App)
		p.until("S3.56 in the CRM too", func() bool { return len(p.inCRM(chat.ID)) == 2 })

		problem := p.refused(p.api, http.MethodPost, "/chats/"+chat.ID.String()+"/messages", body{"text": "may I?"}, http.StatusConflict)
		require.Contains(t, *problem.Detail, "another app ("+botApp+") holds this conversation", "S3.59 who")
		require.Contains(t, *problem.Detail, "take it back", "S3.59 and what to do")
		p.refused(p.as("Anna"), http.MethodPost, "/chats/"+chat.ID.String()+"/accept", nil, http.StatusConflict)

		tom.Pass(p.app, "a human is needed")
		p.given(chat.ID, "Anna")
		p.reaches("Anna", chat.ID, "how can I help?", gen.MessageStateSent)
		require.Len(t, tom.Inbox(), 2, "S3.59 nothing was sent while the bot had the thread")
		p.crmRow(chat.ID, "S3.59 with its agent", func(r creatiotest.Row) bool { return operatorOf(r) == p.agents["Anna"].crm.ID })

		tom.Take(bot)
		require.Nil(t, p.holds(chat.ID, gen.ChatThreadOwnerOther).Agent, "S3.61 also what the bot takes back has no agent")
		p.crmRow(chat.ID, "S3.61 without an agent", func(r creatiotest.Row) bool { return operatorOf(r) == "" })
	})
}

// operatorOf is a chat's operator in the CRM; Creatio shows none as an id of zeros.
func operatorOf(row creatiotest.Row) string {
	id, _ := row["OperatorId"].(string)
	if id == uuid.Nil.String() {
		return ""
	}
	return id
}

func TestS3_57_S3_58_WhereBotsMayAnswer(t *testing.T) {
	onAPageWithABot(t, func(t *testing.T, p *pagePlace, bot *messengertest.App) {
		for _, k := range []string{"telegram", "x", "custom"} {
			require.False(t, p.kind(k).Capabilities.Bots, "S3.57")
		}
		require.True(t, p.kind("messenger").Capabilities.Bots, "S3.57")
		other := p.writes("Bob", "hello")
		p.refused(p.api, http.MethodPost, threadPath(other.ID), body{"action": "take"}, http.StatusUnprocessableEntity)
		require.Equal(t, []string{"app"}, p.faults(p.api, http.MethodPost, threadPath(p.chat.ID), body{"action": "take", "app": botApp}))
		p.refused(p.api, http.MethodPost, threadPath(uuid.New()), body{"action": "take"}, http.StatusNotFound)
		p.post("/channels/"+p.chat.ChannelID.String()+"/disconnect", nil, nil)
		problem := p.refused(p.api, http.MethodPost, threadPath(p.chat.ID), body{"action": "take"}, http.StatusConflict)
		require.Contains(t, *problem.Detail, "not Active", "S3.58")
	})
}

// Take, pass, request and release, as agents and administrators use them.
func TestS3_59_TheConversationChangesHands(t *testing.T) {
	onAPageWithABot(t, func(t *testing.T, p *pagePlace, bot *messengertest.App) {
		p.page.Default(p.app)
		path, anna := threadPath(p.chat.ID), p.as("Anna")
		var chat gen.Chat
		p.does(anna, http.MethodPost, path, body{"action": "pass", "app": botApp}, &chat)
		require.Equal(t, gen.ChatStatusBotProcessing, chat.Status)
		require.Equal(t, botApp, *chat.Thread.App)
		require.Nil(t, chat.Agent)
		require.Equal(t, botApp, p.ann.Owner())

		p.does(anna, http.MethodPost, path, body{"action": "take"}, &chat)
		require.Equal(t, "Anna", chat.Agent.Name, "who takes it has it")
		require.Equal(t, metaApp, p.ann.Owner())

		p.does(anna, http.MethodPost, path, body{"action": "release"}, &chat)
		require.Equal(t, gen.ChatThreadOwnerNobody, chat.Thread.Owner)
		require.Equal(t, "Anna", chat.Agent.Name, "and keeps it")
		require.Empty(t, p.ann.Owner())
		p.reaches("Anna", p.chat.ID, "still here", gen.MessageStateSent)
		p.holds(p.chat.ID, gen.ChatThreadOwnerUs)

		p.does(anna, http.MethodPost, path, body{"action": "pass"}, nil)
		p.page.Default(bot)
		problem := p.refused(p.api, http.MethodPost, path, body{"action": "take"}, http.StatusConflict)
		require.Contains(t, *problem.Detail, "ask for it instead")
		p.post("/chats/"+p.chat.ID.String()+"/thread", body{"action": "request"}, &chat)
		require.Equal(t, gen.ChatStatusBotProcessing, chat.Status, "it is the other app's to answer")
		p.server.FailNext("request_thread_control", double.BadGateway())
		p.refused(p.api, http.MethodPost, path, body{"action": "request"}, http.StatusBadGateway)
		p.ann.Pass(p.app, "")
		p.given(p.chat.ID, "Anna")

		news := p.listen(p.as("Anna"))
		p.ann.Ask(bot)
		news.has("chat", p.chat.ID)
		var timeline gen.Timeline
		p.get("/chats/"+p.chat.ID.String()+"/timeline?limit=100", &timeline)
		last := timeline.Items[len(timeline.Items)-1]
		require.Equal(t, gen.TimelineKindThread, last.Kind)
		require.Contains(t, *last.Reason, "asks for the conversation", "the agent is told")

		p.acts("Anna", p.chat.ID, "close", nil)
		p.until("it is released when the chat is closed", func() bool { return p.ann.Owner() == "" })
		p.ann.Write("one more thing")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		require.Equal(t, botApp, p.ann.Owner(), "S3.56 the bot answers what comes next")
	})
}

func TestS3_59_ASilentBotHandsOver(t *testing.T) {
	onAPageWithABot(t, func(t *testing.T, p *pagePlace, bot *messengertest.App) {
		var s gen.Settings
		p.get("/settings", &s)
		require.Equal(t, 5, s.BotTimeoutMinutes)
		require.Equal(t, []string{"bot_timeout_minutes"}, p.faults(p.api, http.MethodPatch, "/settings", body{"bot_timeout_minutes": -1}))
		p.patch("/settings", body{"bot_timeout_minutes": 3}, &s)
		require.Equal(t, 3, s.BotTimeoutMinutes)

		p.page.Default(p.app)
		p.ann.Take(bot) // it was nobody's: Facebook tells it to nobody
		p.ann.Write("is anybody there?")
		require.NoError(t, p.app.WaitDelivered(p.soon()))
		p.holds(p.chat.ID, gen.ChatThreadOwnerOther)
		p.advance(2 * time.Minute)
		p.ticks()
		require.Equal(t, botApp, p.ann.Owner(), "it has three minutes")
		p.advance(2 * time.Minute)
		p.given(p.chat.ID, "Anna")
		require.Equal(t, metaApp, p.ann.Owner(), "S3.59 taken")
		p.reaches("Anna", p.chat.ID, "I am", gen.MessageStateSent)
	})
}
