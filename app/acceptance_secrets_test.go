package app_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/custom/customtest"
	"waggle/channels/double"
	"waggle/channels/telegram/telegramtest"
	"waggle/crm/creatio/creatiotest"
)

// private stands in everything that customers and agents write.
const private = "Zpr1vate"

// capturedLog is a process's log, kept.
type capturedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *capturedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *capturedLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(l.text.String(), "\n")
}

// A working day in which much fails, logged in every detail: neither the log nor the metrics hold a secret or what people wrote, and
// the database's file holds no secret in clear.
func TestNoSecretAndNoMessageLeavesByLogOrMetrics(t *testing.T) {
	var bots sync.Map
	everywhere(t, func(t *testing.T, p *place) {
		tg, _ := bots.Load(p.config.TelegramURL)
		telegram := tg.(*telegramtest.Server)
		t.Cleanup(telegram.Close)
		p.wizard(5, 2)
		p.staff("Ann", "Bob")
		secrets := []string{p.secretKey, p.api.Token, oauthSecret, confirmationCode, url.PathEscape(confirmationCode), botToken}
		bot := telegram.AddBot(botToken, "shop_bot")
		keyed := p.api
		keyed.Key = "once" // the answer that is kept must not hold the token either
		p.does(keyed, http.MethodPost, "/channels", p.botInput(botToken, nil), nil)
		secrets = append(secrets, bot.Webhook().Secret)

		p.aPrivateDay(bot)
		secrets = append(secrets, p.wrongKeys()...)

		metrics := p.request(http.MethodGet, "/metrics", nil)
		require.Equal(t, http.StatusOK, metrics.status)
		places := append([]string{metrics.text}, p.config.LogTo.(*capturedLog).lines()...)
		require.Greater(t, len(places), 50, "the log was kept")
		for _, place := range places {
			for _, secret := range append(secrets, private) {
				require.NotContains(t, place, secret)
			}
		}
		p.nothingClearOnDisk(secrets)
	}, func(c *app.Config) {
		tg := telegramtest.New()
		bots.Store(tg.URL, tg)
		c.TelegramURL, c.LogTo, c.LogLevel = tg.URL, &capturedLog{}, "debug"
	})
}

// aPrivateDay has people write on both messengers while both sides fail in every way they can.
func (p *place) aPrivateDay(bot *telegramtest.Bot) {
	p.t.Helper()
	carl := p.writes("Carl", "Hello "+private)
	p.until("somebody has it", func() bool { return p.holder(carl.ID) != "" })
	agent := p.holder(carl.ID)
	p.replies(agent, carl.ID, "Good day "+private)
	bot.Customer(7, "Tom").Write("Hello from Telegram " + private)
	tom := p.chatOf("Tom")

	p.messenger.FailNext(customtest.Status(500), customtest.Page(502), double.Drop(), customtest.Refuse("text_refused_"+private))
	p.does(p.as(agent), http.MethodPost, "/chats/"+carl.ID.String()+"/messages", body{"text": "Refused " + private}, nil)
	p.until("the messenger has refused a message", func() bool { return p.failed(gen.FailureKindUnsent) })

	p.crm.AnswerHTML(1, creatiotest.OData)
	p.crm.Crash(1, creatiotest.OData)
	p.crm.Refuse("The column's value '"+private+"' is too long", func(op creatiotest.Op) bool { return op.Object == "ChatMessages" && op.Method == http.MethodPost })
	p.writes("Dora", "Refused by the CRM "+private)
	p.until("the CRM has refused a message", func() bool { return p.failed(gen.FailureKindRefused) })
	p.crm.Up()
	p.post("/failures/redrive", nil, nil)

	hook := "/hooks/custom/" + p.channel.String()
	for _, code := range []string{"wrong " + private, url.PathEscape(confirmationCode)} {
		p.request(http.MethodPost, hook, []string{"X-Confirmation-Code", code}, `{"type":"message","text":"`+private)
	}
	require.NotEqual(p.t, uuid.Nil, tom.ID)
	p.crmRow(carl.ID, "the chat is there", func(creatiotest.Row) bool { return true })
}

func (p *place) failed(kind gen.FailureKind) bool {
	p.t.Helper()
	var list gen.FailureList
	p.get("/failures?limit=100", &list)
	return slices.ContainsFunc(list.Items, func(f gen.Failure) bool { return f.Kind == kind })
}

// wrongKeys makes and uses keys of every kind, sound and wrong, in the right and the wrong places, and returns them.
func (p *place) wrongKeys() (secrets []string) {
	p.t.Helper()
	session := p.session(body{"role": "administrator"}).Token
	var key gen.APIKey
	p.post("/configuration/api-key", body{"overlap_minutes": 5}, &key)
	wrong := "wsk_" + strings.Repeat("w", 43)
	secrets = append(secrets, session, key.APIKey, wrong, "Wr0ngPassword")
	for _, secret := range secrets {
		auth := []string{"Authorization", "Bearer " + secret}
		p.request(http.MethodGet, "/api/v1/chats?token="+secret, auth)
		p.request(http.MethodGet, "/api/v1/events/"+secret+"?token="+secret, nil)
		p.request(http.MethodGet, "/"+secret, auth)
		p.request(http.MethodPost, "/hooks/custom/"+secret, auth, secret)
		p.request(http.MethodPut, "/api/v1/wizard/credentials", append(auth, "Content-Type", "application/json"), `{"secret_key":"`+secret)
	}
	for _, in := range []body{
		{"crm_url": p.crm.URL(), "login": crmAdmin, "password": "Wr0ngPassword"},
		{"crm_url": p.crm.URL(), "secret_key": wrong, "generate_api_key": true},
		{"crm_url": p.crm.URL(), "generate_api_key": true, "oauth": body{"identity_url": p.crm.IdentityURL(), "client_id": oauthClient, "client_secret": "Wr0ngPassword"}},
		{"crm_url": p.crm.URL(), "api_key": 1, "password": []string{"Wr0ngPassword"}},
	} {
		require.GreaterOrEqual(p.t, p.send(http.MethodPut, "/wizard/credentials", in).status, 400)
	}
	return secrets
}

// nothingClearOnDisk reads the embedded database's files.
func (p *place) nothingClearOnDisk(secrets []string) {
	p.t.Helper()
	files, err := filepath.Glob(p.config.DataDir + "/waggle.db*")
	require.NoError(p.t, err)
	require.Equal(p.t, p.config.DatabaseURL == "", len(files) > 0)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(p.t, err)
		for _, secret := range secrets {
			require.False(p.t, bytes.Contains(content, []byte(secret)), "%s holds %q in clear", filepath.Base(file), secret)
		}
	}
}
