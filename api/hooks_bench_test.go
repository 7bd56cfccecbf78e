package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"waggle/channels"
	"waggle/channels/telegram"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
	"waggle/store/storetest"
)

const benchSecret = "a-secret-of-the-webhook"

// BenchmarkHook takes webhooks of 1,000 customers from the request to the answer, into SQLite; an op is one message.
func BenchmarkHook(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			app, path := hookOnSQLite(b)
			handle := app.Handler()
			next := make(chan int)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for n := range next {
						var c fasthttp.RequestCtx
						c.Request.Header.SetMethod(http.MethodPost)
						c.Request.SetRequestURI(path)
						c.Request.Header.Set("X-Telegram-Bot-Api-Secret-Token", benchSecret)
						c.Request.SetBodyString(fmt.Sprintf(`{"update_id":%d,"message":{"message_id":%[1]d,"from":{"id":%[2]d,"is_bot":false,"first_name":"Ann"},`+
							`"chat":{"id":%[2]d,"first_name":"Ann","type":"private"},"date":1780000000,"text":"Where is my order?"}}`, n, n%1000+1))
						if handle(&c); c.Response.StatusCode() != http.StatusOK {
							b.Errorf("%d: %s", c.Response.StatusCode(), c.Response.Body())
						}
					}
				})
			}
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				next <- n
			}
			close(next)
			wg.Wait()
		})
	}
}

// hookOnSQLite is a façade with one Telegram channel, and the path of its webhook.
func hookOnSQLite(b *testing.B) (app *fiber.App, path string) {
	s := storetest.SQLite(b)
	_, key, err := s.IssueKey(b.Context(), store.KeyOwner{}, 0)
	require.NoError(b, err)
	ch := &store.Channel{
		ID: uuid.Must(uuid.NewV7()), EnvironmentID: key.EnvironmentID, Kind: "telegram", Name: "Bot", State: chat.ChannelActive,
		AccountID: "1", Weight: 1, Receive: "webhook", Fields: map[string]string{},
	}
	ch.Secrets, err = s.SealSecrets(ch.ID, store.ChannelSecrets{HookSecret: benchSecret})
	require.NoError(b, err)
	_, _, err = s.CreateChannel(b.Context(), ch, store.Idem{})
	require.NoError(b, err)
	registry := prometheus.NewRegistry()
	server := &Server{
		Store: s, Channels: channels.NewRegistry(telegram.New(http.DefaultClient, telegram.DefaultAPI)), Metrics: registry,
		Log: slog.New(slog.DiscardHandler),
	}
	server.Jobs = &jobs.Jobs{
		Store: s, Channels: server.Channels, Hints: &hintsInMemory{}, Metrics: jobs.NewMetrics(registry), Log: server.Log, Owner: "bench",
	}
	server.Jobs.Intake = jobs.NewIntake(server.Jobs)
	b.Cleanup(server.Jobs.Intake.Close)
	return server.App(), "/hooks/telegram/" + ch.ID.String()
}
