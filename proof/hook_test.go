package proof

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/proof/runner"
)

// hook is where Telegram delivers, for updates sent past the double. They are all Zoe's.
type hook struct {
	path, secret string
	zoe          *runner.Customer
}

func (p place) hook() hook {
	state := p.Bot.Webhook()
	u, _ := url.Parse(state.URL)
	return hook{path: u.Path, secret: state.Secret, zoe: p.town.Visitor("Zoe")}
}

// text is what Zoe's message n says.
func (hook) text(n int) string { return fmt.Sprint("message ", n) }

// post delivers Zoe's message n at one API process and returns the answer's status and time.
func (h hook) post(t *testing.T, ctx context.Context, base string, n int) (int, time.Duration) {
	const user = 9_000_001
	body := fmt.Sprintf(`{"update_id":%[1]d,"message":{"message_id":%[1]d,"date":%[3]d,"text":%[4]q,`+
		`"from":{"id":%[2]d,"is_bot":false,"first_name":"Zoe"},"chat":{"id":%[2]d,"first_name":"Zoe","type":"private"}}}`,
		n+1, user, time.Now().Unix(), h.text(n))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+h.path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Telegram-Bot-Api-Secret-Token", h.secret)
	began := time.Now()
	res, err := web.Do(r)
	if err != nil {
		return 0, time.Since(began)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode, time.Since(began)
}

var web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}

func TestSameMessageManyTimesAtOnce(t *testing.T) {
	everywhere(t, "M.4 100 messages 16 times each, at all API processes at once", func(t *testing.T, ctx context.Context, p place) {
		const messages, times = 100, 16
		h := p.hook()
		var refused atomic.Int64
		for n := range messages {
			h.zoe.Wrote(h.text(n))
			var posting sync.WaitGroup
			for i := range times {
				posting.Go(func() {
					if status, _ := h.post(t, ctx, p.APIs[i%len(p.APIs)].Process.Base, n); status != http.StatusOK {
						refused.Add(1)
					}
				})
			}
			posting.Wait()
		}
		require.Zero(t, refused.Load())
		stored, err := p.Database.Int(ctx, "SELECT count(*) FROM timeline WHERE kind = 'message'")
		require.NoError(t, err)
		require.Equal(t, messages, stored)
	})
}

func TestBurst(t *testing.T) {
	everywhere(t, "M.4 32 connections, 3200 messages of 32 people", func(t *testing.T, ctx context.Context, p place) {
		people := p.town.OnTelegram(32)
		p.Bot.DuplicateNext(200)
		var writing sync.WaitGroup
		for _, c := range people {
			writing.Go(func() { c.Write(ctx, 100) })
		}
		writing.Wait()
		require.NoError(t, p.Bot.WaitDelivered(ctx))
		require.Empty(t, p.Bot.Failures(), "nothing had to be delivered again")
	})
}

// inCRM waits until the CRM has n messages, none of them twice.
func (p place) inCRM(t *testing.T, ctx context.Context, n int) {
	require.NoError(t, client.Until(ctx, fmt.Sprintf("the CRM has %d messages", n), func() (bool, error) {
		return len(p.CRM.Messages("")) >= n, nil
	}))
	require.Empty(t, p.CRM.Doubled("ChatMessages", "Message"))
}
