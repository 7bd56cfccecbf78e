package proof

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels/double"
	"waggle/channels/telegram/telegramtest"
	"waggle/crm/creatio/creatiotest"
	"waggle/proof/proxy"
	"waggle/proof/runner"
)

// quick is how soon a webhook is answered although Redis is away or frozen: hints are sent afterwards.
const quick = time.Second

// chatter is what goes on while the weather is bad: customers write, agents answer.
func (p place) chatter(t *testing.T, ctx context.Context, people []*runner.Customer, rounds int) {
	runner.WriteAll(ctx, people, 1)
	for range rounds {
		runner.WriteAll(ctx, people, 2)
		p.answerAll(t, ctx, people, 1)
	}
	for _, c := range people {
		require.NoError(t, c.Has(ctx, rounds))
	}
}

// answerAll lets the agents of all these customers write n replies each, at the same time.
func (p place) answerAll(t *testing.T, ctx context.Context, people []*runner.Customer, n int) {
	chats, err := p.town.Assigned(ctx, people)
	require.NoError(t, err)
	answers := make(chan error, len(people))
	for _, c := range people {
		go func() { answers <- p.town.Reply(ctx, c, chats[c.Name], n) }()
	}
	for range people {
		require.NoError(t, <-answers)
	}
}

func TestRedisAway(t *testing.T) {
	onServers(t, "M.4 FLUSHALL while everybody writes", func(t *testing.T, ctx context.Context, p place) {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					_ = p.FlushRedis(ctx)
				}
			}
		}()
		p.chatter(t, ctx, append(p.town.OnTelegram(8), p.town.OnMessenger(4)...), 3)
		close(stop)
		<-stopped
	})
	weathers := []struct {
		name       string
		come, pass func(*proxy.Proxy)
	}{
		{"M.4 connections to Redis are refused", (*proxy.Proxy).Refuse, (*proxy.Proxy).Heal},
		{"M.4 Redis is frozen", (*proxy.Proxy).Freeze, (*proxy.Proxy).Thaw},
	}
	for _, w := range weathers {
		onServers(t, w.name, func(t *testing.T, ctx context.Context, p place) {
			w.come(p.ToRedis)
			h := p.hook()
			for n := range 5 {
				h.zoe.Wrote(h.text(n))
				status, took := h.post(t, ctx, p.APIs[n%2].Process.Base, n)
				require.Equal(t, http.StatusOK, status)
				require.Less(t, took, quick, "delivery %d", n)
			}
			p.inCRM(t, ctx, 5)
			p.chatter(t, ctx, append(p.town.OnTelegram(3), p.town.OnMessenger(2)...), 2)
			w.pass(p.ToRedis)
			p.chatter(t, ctx, p.town.OnTelegram(2), 1)
		})
	}
}

func TestDatabaseAway(t *testing.T) {
	onServers(t, "M.4 connections are cut while everybody writes", func(t *testing.T, ctx context.Context, p place) {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			tick := time.NewTicker(150 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					p.ToDatabase.Cut()
				}
			}
		}()
		people := append(p.town.OnTelegram(8), p.town.OnMessenger(4)...)
		runner.WriteAll(ctx, people, 10)
		close(stop)
		<-stopped
		_, err := p.Database.EndLeases(ctx) // a worker that could not give a lane back leaves it to its lease
		require.NoError(t, err)
		p.answerAll(t, ctx, people, 1)
		_, err = p.Database.EndLeases(ctx)
		require.NoError(t, err)
	})
	onServers(t, "M.4 refused: 503 with Retry-After, and all of it comes when the database is back", func(t *testing.T, ctx context.Context, p place) {
		people := append(p.town.OnTelegram(6), p.town.OnMessenger(3)...)
		runner.WriteAll(ctx, people, 1)
		_, err := p.town.Assigned(ctx, people)
		require.NoError(t, err)
		before := len(p.Bot.Failures())
		p.ToDatabase.Refuse()
		runner.WriteAll(ctx, people, 5)
		require.NoError(t, p.Bot.WaitForFailures(ctx, before+6))
		for _, f := range p.Bot.Failures()[before:] {
			require.Contains(t, f.Message, "503")
			require.Positive(t, f.Delay, "Retry-After is there, and heeded")
		}
		p.ToDatabase.Heal()
		for _, api := range p.APIs {
			require.NoError(t, api.Ready(ctx))
		}
		p.Bot.RetryNow()
		_, err = p.Database.EndLeases(ctx)
		require.NoError(t, err)
	})
}

func TestCRMAway(t *testing.T) {
	everywhere(t, "M.4 the backlog drains when it is back", func(t *testing.T, ctx context.Context, p place) {
		p.CRM.Down()
		p.chatter(t, ctx, append(p.town.OnTelegram(6), p.town.OnMessenger(3)...), 3)
		require.Empty(t, p.CRM.Messages(""))
		p.CRM.Up()
	})
	everywhere(t, "M.4 it crashes, answers pages, ends sessions and loses answers", func(t *testing.T, ctx context.Context, p place) {
		people, written := p.town.OnTelegram(4), 0
		for _, fault := range []func(){
			func() { p.CRM.Crash(1, creatiotest.OData) },
			func() { p.CRM.AnswerHTML(1, creatiotest.OData) },
			func() { p.CRM.EndSessionAt(1, creatiotest.OData) },
			func() { p.CRM.LoseAnswer(1, creatiotest.OData) },
			func() { p.CRM.OmitBatchAnswers(2, creatiotest.Inserts("ChatMessages")) },
		} {
			fault()
			runner.WriteAll(ctx, people, 2)
			written += 2 * len(people)
			p.inCRM(t, ctx, written)
		}
	})
}

func TestTelegramLimits(t *testing.T) {
	everywhere(t, "M.6 429 with retry_after: the replies come later and once", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(3)
		runner.WriteAll(ctx, people, 1)
		p.Bot.FailNext("sendMessage", telegramtest.TooManyRequests(1), telegramtest.TooManyRequests(1), telegramtest.TooManyRequests(2))
		p.answerAll(t, ctx, people, 2)
		for _, c := range people {
			require.NoError(t, c.Has(ctx, 2))
		}
		unknown, err := p.town.Unknown(ctx)
		require.NoError(t, err)
		require.Zero(t, unknown, "a refused call is no unknown outcome")
	})
	everywhere(t, "M.6 a lost answer: the reply stands as unknown, once, and the next ones go on", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(2)
		runner.WriteAll(ctx, people, 1)
		p.Bot.FailNext("sendMessage", double.AfterAccepting(double.Drop()), double.Drop())
		p.answerAll(t, ctx, people, 3)
		require.NoError(t, p.town.Audit(ctx))
		unknown, err := p.town.Unknown(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, unknown)
	})
}
