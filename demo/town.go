package demo

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
	"waggle/api/client"

	"waggle/app"
	"waggle/channels/custom/customtest"
	"waggle/channels/telegram/telegramtest"
	"waggle/crm/creatio/creatiotest"
	"waggle/store"
)

// What the doubles and the people of the demo are called.
const (
	botToken      = "7001234567:AAFdemo-demo-demo-demo-demo-demo-demo"
	botName       = "honey_shop_bot"
	messengerCode = "our secret word: 🐝"
	adminLogin    = "Supervisor"
	adminPassword = "Supervisor!1"
	oauthClient   = "waggle"
	oauthSecret   = "demo-client-secret"
)

// town is everything the demo runs: Waggle itself and the other sides.
type town struct {
	say func(who, format string, args ...any)

	dir       string
	app       *app.App
	telegram  *telegramtest.Server
	bot       *telegramtest.Bot
	messenger *customtest.Messenger
	crm       *creatiotest.Server

	secretKey string
	apiKey    string
	server    client.Client // as the CRM's server: with the API key
	queue     queueRef
	agents    map[string]*agent
	customers []*customer
	ledger    ledger
	transfers int // the story's own count
	closes    int
}

// build starts the doubles and Waggle, embedded, on a listener.
func build(ctx context.Context, l net.Listener, showLog bool) (_ *town, err error) {
	t := &town{agents: map[string]*agent{}}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.dir, err = os.MkdirTemp("", "waggle-demo-"); err != nil {
		return nil, fmt.Errorf("make a folder for the demo: %w", err)
	}
	t.telegram = telegramtest.New()
	t.bot = t.telegram.AddBot(botToken, botName)
	t.messenger = customtest.New(messengerCode)
	t.crm = creatiotest.New(creatiotest.Options{Framework: true, ClientID: oauthClient, ClientSecret: oauthSecret})
	t.crm.AddUser(adminLogin, adminPassword, true)

	c := app.Config{
		DataDir: t.dir, Listener: l, PublicURL: "http://" + l.Addr().String(), AllowHosts: []string{"127.0.0.1"},
		TelegramURL: t.telegram.URL, Vendor: "keys@waggle.example", MovableClock: true,
		Tick: 200 * time.Millisecond, Sweep: 500 * time.Millisecond, Drain: 5 * time.Second, LogLevel: "info", LogFormat: "text",
	}
	if !showLog {
		c.LogLevel = "off"
	}
	if t.app, err = app.Build(ctx, c, app.Parts{API: true, Worker: true}); err != nil {
		return nil, err
	}
	if err := t.app.Start(ctx); err != nil {
		return nil, err
	}
	t.server = client.New("http://" + t.app.Addr)
	return t, t.issueKey(ctx, c)
}

// issueKey does what the operator does with waggle keys issue.
func (t *town) issueKey(ctx context.Context, c app.Config) error {
	s, err := app.OpenStore(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	t.secretKey, _, err = s.IssueKey(ctx, store.KeyOwner{Company: "Honey Shop"}, 0)
	return err
}

func (t *town) close() {
	if t.app != nil {
		t.app.Stop()
	}
	if t.telegram != nil {
		t.telegram.Close()
	}
	if t.messenger != nil {
		t.messenger.Close()
	}
	if t.crm != nil {
		t.crm.Close()
	}
	if t.dir != "" {
		_ = os.RemoveAll(t.dir)
	}
}
