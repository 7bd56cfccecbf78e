package channelstest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
)

// text is what the failing sends carry; no error may show it.
const text = "the customer's own business"

func send(t *testing.T, h Harness) {
	t.Run("shown once, as written", func(t *testing.T) {
		s := start(t, h)
		for i, want := range []string{"Good morning", "multi\nline <b>&amp; \"quoted\" 世界 🐝", strings.Repeat("x", s.Adapter.Describe().Capabilities.TextLimit)} {
			sent, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(i, want))
			require.NoError(t, err)
			assert.NotEmpty(t, sent.MessageID)
			require.Len(t, s.Inbox(), i+1)
			assert.Equal(t, want, s.Inbox()[i])
		}
	})
	t.Run("an idempotent kind shows a repeated part once", func(t *testing.T) {
		s := start(t, h)
		if !s.Adapter.Describe().Capabilities.Idempotent {
			return
		}
		first, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(0, "once"))
		require.NoError(t, err)
		second, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(0, "once"))
		require.NoError(t, err)
		assert.Equal(t, first, second)
		assert.Equal(t, []string{"once"}, s.Inbox())
	})
	t.Run("many at once", func(t *testing.T) {
		s := start(t, h)
		const n = 10
		ids := make([]string, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				sent, err := s.Adapter.Send(within(t, patience), s.Channel, s.part(i, fmt.Sprint("number ", i)))
				assert.NoError(t, err)
				ids[i] = sent.MessageID
			})
		}
		all.Wait()
		assert.Len(t, s.Inbox(), n)
		distinct := map[string]bool{}
		for _, id := range ids {
			distinct[id] = true
		}
		assert.Len(t, distinct, n)
	})
	for i, f := range start(t, h).Faults {
		t.Run("fault: "+f.Name, func(t *testing.T) {
			s := start(t, h)
			s.meet(t, s.Faults[i], func(ctx context.Context) error {
				_, err := s.Adapter.Send(ctx, s.Channel, s.part(0, text))
				return err
			}, text)
		})
	}
	t.Run("a context that has ended sends nothing", func(t *testing.T) {
		s := start(t, h)
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		_, err := s.Adapter.Send(ctx, s.Channel, s.part(0, text))
		var e *channels.Error
		require.ErrorAs(t, err, &e)
		assert.Contains(t, []channels.Outcome{channels.RetryAt, channels.Unknown}, e.Outcome)
		assert.Empty(t, s.Inbox())
	})
}

func (s Subject) part(i int, text string) channels.Part {
	return channels.Part{Key: fmt.Sprint("part-", i), UserID: s.UserID, Text: text}
}
