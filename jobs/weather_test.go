package jobs_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/channels/double"
	"waggle/channels/telegram"
	"waggle/channels/telegram/telegramtest"
	"waggle/chat"
	"waggle/crm/creatio"
	"waggle/crm/creatio/creatiotest"
	"waggle/store"
)

// weather is a laneWorld with the doubles of Telegram and Creatio in place of the fakes.
type weather struct {
	*laneWorld
	bot  *telegramtest.Bot
	site *creatiotest.Server
	bob  creatiotest.User
}

const botToken = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1"

func eachWeather(t *testing.T, f func(w *weather)) {
	t.Helper()
	eachLane(t, func(lane *laneWorld) {
		w := &weather{laneWorld: lane}
		api := telegramtest.New()
		w.Cleanup(api.Close)
		w.bot = api.AddBot(botToken, "shop_bot")
		w.site = creatiotest.New(creatiotest.Options{Framework: true})
		w.Cleanup(w.site.Close)
		w.site.AddUser("Supervisor", "pw", true)
		w.bob = w.site.AddUser("Bob", "x", false)
		client := &http.Client{}
		w.Cleanup(client.CloseIdleConnections)
		w.jobs.Channels["telegram"] = telegram.New(client, api.URL)
		w.jobs.CRMs["creatio"] = creatio.New(client, time.Now)
		w.set("environments", "crm_kind = 'creatio', crm_prefix = ?, crm_url = ?, secrets = ?", "?", w.site.URL(), []byte(`{"password":"pw"}`))
		secrets, err := w.store.SealSecrets(w.channel, store.ChannelSecrets{Fields: map[string]string{telegram.FieldToken: botToken}})
		require.NoError(w, err)
		w.set("channels", "kind = 'telegram', receive = 'polling', secrets = ?, account_id = '110201543'", secrets)
		f(w)
	})
}

// polling polls while f runs.
func (w *weather) polling(f func(ctx context.Context)) {
	w.Helper()
	ctx, stop := context.WithTimeout(w.ctx, time.Minute)
	ended := make(chan error)
	go func() { ended <- w.jobs.Poll(ctx) }()
	f(ctx)
	stop()
	require.NoError(w, <-ended)
}

// chatWith lets a customer write and returns his chat once it is stored.
func (w *weather) chatWith(ann *telegramtest.Customer, texts ...string) (id uuid.UUID) {
	w.Helper()
	w.polling(func(context.Context) {
		for _, text := range texts {
			ann.Write(text)
		}
		require.Eventually(w, func() bool {
			var n int
			err := w.db.NewSelect().Table("timeline").ColumnExpr("count(*)").Where("text = ?", texts[len(texts)-1]).Scan(w.ctx, &n)
			return err == nil && n == 1
		}, time.Minute, 20*time.Millisecond)
	})
	require.NoError(w, w.db.NewSelect().Table("chats").Column("id").OrderExpr("id DESC").Limit(1).Scan(w.ctx, &id))
	return id
}

// siteTexts are a chat's messages at the site, in the order of CreatedDate.
func (w *weather) siteTexts(chatID uuid.UUID) []string {
	w.Helper()
	rows := w.site.Messages(chatID.String())
	texts := make([]string, len(rows))
	var before time.Time
	for i, r := range rows {
		texts[i] = fmt.Sprint(r["Message"])
		at, err := time.Parse(time.RFC3339, fmt.Sprint(r["CreatedDate"]))
		require.NoError(w, err)
		require.Greater(w, at, before, "CreatedDate orders the messages")
		before = at
	}
	return texts
}

func TestWeatherTelegramToCreatioAndBack_S2_2_S2_3_M_4(t *testing.T) {
	eachWeather(t, func(w *weather) {
		ann := w.bot.Customer(5, "Ann")
		id := w.chatWith(ann, "hello", "anyone?")
		agent := uuid.Must(uuid.NewV7())
		now := store.At(time.Now())
		w.insert(&store.Agent{ID: agent, EnvironmentID: w.env, CRMUserID: w.bob.ID, Name: "Bob", Enabled: true, Status: chat.Active, StatusAt: now, CreatedAt: now})
		w.becomes(id, "agent_id = ?, assigned_at = ?, accepted_at = ?", agent, now, now)
		m := w.replies(id, "good day")
		w.deliver()
		require.Equal(w, "good day", ann.Inbox()[0].Text)
		require.Len(w, ann.Inbox(), 1)
		require.Equal(w, chat.MessageDelivered, w.entry(m).State)
		w.push(w.env)
		require.Equal(w, []string{"hello", "anyone?", "good day"}, w.siteTexts(id))
		row := w.site.Row("OmniChat", id.String())
		require.Equal(w, creatiotest.StatusInProgress, row["StatusId"])
		require.Equal(w, w.bob.ID, row["OperatorId"])
		require.Empty(w, w.failures(store.FailureOpen))

		// Synchronize finds that someone has changed the record and repairs it.
		require.NoError(w, w.site.Remove("ChatMessages", fmt.Sprint(w.site.Messages(id.String())[2]["Id"])))
		j := w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobDone, j.State, j.Error)
		require.Equal(w, []string{"hello", "anyone?", "good day"}, w.siteTexts(id))
		require.Empty(w, w.site.Doubled("OmniChat", "Id"))
		require.Empty(w, w.site.Doubled("ContactIdentity", "ChannelIdentity"))
	})
}

func TestWeatherTelegramLimits(t *testing.T) {
	eachWeather(t, func(w *weather) {
		ann := w.bot.Customer(5, "Ann")
		id := w.chatWith(ann, "hello")
		w.bot.FailNext("sendMessage", telegramtest.TooManyRequests(600))
		w.replies(id, "one")
		w.deliver()
		require.Empty(w, ann.Inbox())
		ch, err := w.store.Channel(w.ctx, w.env, w.channel)
		require.NoError(w, err)
		require.WithinDuration(w, time.Now().Add(600*time.Second), ch.SendRetryAt.Time, 10*time.Second, "retry_after is obeyed for the whole bot")
		require.WithinDuration(w, time.Now().Add(600*time.Second), w.chat(id).OutDueAt.Time, 10*time.Second)
		w.set("channels", "send_retry_at = 1")
		w.set("chats", "out_due_at = 1")
		w.deliver()
		require.Len(w, ann.Inbox(), 1)
	})
}

func TestWeatherTelegramRefusesTheCustomerOrTheToken(t *testing.T) {
	eachWeather(t, func(w *weather) {
		ann := w.bot.Customer(5, "Ann")
		id := w.chatWith(ann, "hello")
		ann.Block() // 403
		m := w.replies(id, "one")
		w.deliver()
		require.Equal(w, chat.MessageFailed, w.entry(m).State)
		require.Equal(w, "the customer has blocked the bot", w.entry(m).Error)
		require.False(w, w.chat(id).UnansweredSince.IsZero())

		ann.Unblock()
		w.bot.Revoke() // 401
		m = w.replies(id, "two")
		w.deliver()
		require.Equal(w, chat.MessageFailed, w.entry(m).State)
		ch := w.now(w.channel)
		require.False(w, ch.SendingOK)
		require.Contains(w, ch.SendingWhy, "token")
		require.NotContains(w, ch.SendingWhy, botToken)

		w.bot.ReplaceToken(botToken)
		_, err := w.store.Resend(w.ctx, w.env, id, m, uuid.Nil, 0)
		require.NoError(w, err)
		w.deliver()
		require.Equal(w, "two", ann.Inbox()[0].Text)
		require.True(w, w.now(w.channel).SendingOK)
	})
}

func TestWeatherTelegramTakesASendAndItsAnswerIsLost(t *testing.T) {
	eachWeather(t, func(w *weather) {
		ann := w.bot.Customer(5, "Ann")
		id := w.chatWith(ann, "hello")
		w.bot.FailNext("sendMessage", double.AfterAccepting(double.Drop()))
		m := w.replies(id, "one")
		w.replies(id, "two")
		w.deliver()
		require.Equal(w, chat.MessageUnknown, w.entry(m).State)
		var texts []string
		for _, r := range ann.Inbox() {
			texts = append(texts, r.Text)
		}
		require.Equal(w, []string{"one", "two"}, texts, "nothing is doubled")
	})
}

func TestWeatherCreatio_M_4(t *testing.T) {
	messages := creatiotest.Holding(creatiotest.Inserts("ChatMessages"))
	tests := []struct {
		name  string
		spoil func(s *creatiotest.Server)
		down  bool // the environment is left alone for a while
	}{
		{"every connection is cut", func(s *creatiotest.Server) { s.Down() }, true},
		{"500", func(s *creatiotest.Server) { s.Fail(-1, 500, creatiotest.OData) }, true},
		{"HTML with 200", func(s *creatiotest.Server) { s.AnswerHTML(-1, nil) }, true},
		{"an answer lost after the commit", func(s *creatiotest.Server) { s.LoseAnswer(1, messages) }, false},
		{"the session ends", func(s *creatiotest.Server) { s.EndSessionAt(1, messages) }, false},
		{"answers missing in a batch", func(s *creatiotest.Server) { s.OmitBatchAnswers(2, creatiotest.Inserts("ChatMessages")) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachWeather(t, func(w *weather) {
				id := w.writes(w.channel, "5", "zero")
				w.push(w.env)
				w.writes(w.channel, "5", "one")
				w.writes(w.channel, "5", "two")
				w.replies(id, "three")
				tt.spoil(w.site)
				w.push(w.env)
				if tt.down {
					require.Equal(w, store.CRMUnavailable, w.environment().CRMState)
				}
				w.site.Up()
				w.set("environments", "crm_retry_at = 1")
				w.set("chats", "crm_due_at = 1")
				w.push(w.env)
				require.Equal(w, []string{"zero", "one", "two", "three"}, w.siteTexts(id))
				require.Equal(w, store.CRMOK, w.environment().CRMState)
				require.Empty(w, w.failures(store.FailureOpen))
				require.Empty(w, w.site.Doubled("ChatMessages", "Id"))
			})
		})
	}
}

func TestWeatherCreatioRefusesARecordForEver(t *testing.T) {
	eachWeather(t, func(w *weather) {
		id := w.writes(w.channel, "5", "one")
		w.writes(w.channel, "5", "bad")
		w.writes(w.channel, "5", "three")
		bad := func(op creatiotest.Op) bool { return op.Object == "ChatMessages" && op.Body["Message"] == "bad" }
		w.site.Refuse("The value is not allowed.", bad)
		w.push(w.env)
		require.Equal(w, []string{"one", "three"}, w.siteTexts(id))
		require.Len(w, w.failures(store.FailureOpen), 1)
		require.Equal(w, store.CRMOK, w.environment().CRMState)
		w.site.Up()
		n, err := w.jobs.RedriveAll(w.ctx, w.env, store.FailureFilter{})
		require.NoError(w, err)
		require.Equal(w, 1, n)
		w.push(w.env)
		require.Len(w, w.site.Messages(id.String()), 3)
		require.Empty(w, w.failures(store.FailureOpen))
	})
}

func TestWeatherCreatioRefusesThePassword_S0_54(t *testing.T) {
	eachWeather(t, func(w *weather) {
		id := w.writes(w.channel, "5", "one")
		w.push(w.env)
		w.site.SetPassword("Supervisor", "new")
		w.writes(w.channel, "5", "two")
		w.push(w.env)
		require.Equal(w, store.CRMRefused, w.environment().CRMState)
		j := w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobFailed, j.State)
		require.NotEmpty(w, j.Error)
		w.set("environments", "secrets = ?", []byte(`{"password":"new"}`))
		j = w.synchronize(w.startSynchronize())
		require.Equal(w, store.JobDone, j.State, j.Error)
		require.Equal(w, []string{"one", "two"}, w.siteTexts(id))
	})
}
