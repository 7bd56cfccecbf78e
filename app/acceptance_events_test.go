package app_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/client"
	"waggle/jobs"
)

// events is a browser's event stream.
type events struct {
	t    *testing.T
	news chan jobs.Event
}

// listen opens GET /events and waits for its first event.
func (p *place) listen(as client.Client) *events {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, as.Base+"/api/v1/events", nil)
	require.NoError(p.t, err)
	r.Header.Set("Authorization", "Bearer "+as.Token)
	res, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(p.t, http.StatusOK, res.StatusCode)
	e := &events{t: p.t, news: make(chan jobs.Event, 10_000)}
	go func() {
		defer close(e.news)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			var event jobs.Event
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found && json.Unmarshal([]byte(data), &event) == nil {
				e.news <- event
			}
		}
	}()
	e.has("resync", uuid.Nil)
	return e
}

// has waits for an event of this type about this thing.
func (e *events) has(kind string, id uuid.UUID) {
	e.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case event, open := <-e.news:
			require.True(e.t, open, "the stream has ended")
			if event.Type == kind && event.ID == id {
				return
			}
		case <-late:
			require.FailNow(e.t, "no event came", "%s of %s", kind, id)
		}
	}
}
