package load

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var mu sync.Mutex
	seen := map[int64]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var u struct {
			UpdateID int64 `json:"update_id"`
			Message  struct {
				Text string
				From struct{ ID int64 }
			}
		}
		if json.Unmarshal(body, &u) != nil || u.Message.Text == "" || u.Message.From.ID == 0 || r.Header.Get("X-Secret") != "s" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		seen[u.UpdateID] = true
		if u.UpdateID == 1007 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	r, err := Run(Options{
		URL: s.URL, Header: map[string]string{"X-Secret": "s"}, Body: Telegram, First: 1000, Connections: 4, Duration: time.Minute, Limit: 100,
	})
	require.NoError(t, err)
	require.EqualValues(t, 99, r.OK)
	require.Equal(t, map[string]int64{"status 503": 1}, r.Faults)
	require.Len(t, seen, 100, "each request is its own")
	require.True(t, seen[1000] && seen[1099])
	require.Positive(t, r.PerSecond())
	require.LessOrEqual(t, r.Quantile(0.5), r.Quantile(0.99))
}

// A server may end a connection with any answer; the next request takes a new one.
func TestRunConnectsAgain(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer s.Close()
	r, err := Run(Options{URL: s.URL, Body: Telegram, Connections: 2, Duration: time.Minute, Limit: 10})
	require.NoError(t, err)
	require.EqualValues(t, 10, r.OK)
	require.Empty(t, r.Faults)
}

func TestRunCountsWhatIsNotAnswered(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		wire, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = wire.Close()
		}
	}))
	defer s.Close()
	r, err := Run(Options{URL: s.URL, Body: Telegram, Connections: 1, Duration: time.Minute, Limit: 3})
	require.NoError(t, err)
	require.Zero(t, r.OK)
	var faults int64
	for _, n := range r.Faults {
		faults += n
	}
	require.EqualValues(t, 3, faults)
}

func TestWhyThereWasNoAnswer(t *testing.T) {
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		<-ended
	}))
	defer s.Close()
	defer close(ended)
	ask := func(address, path string, patience time.Duration) string {
		target, err := url.Parse(address + path)
		require.NoError(t, err)
		c := newConnection(Options{}, target)
		defer c.hangUp()
		return reason(c.ask(append(c.head, "Content-Length: 0\r\n\r\n"...), time.Now().Add(patience)))
	}
	require.Equal(t, "no answer in time", ask(s.URL, "/none", 50*time.Millisecond))
	require.Equal(t, "no answer in time", ask(s.URL, "/half", 50*time.Millisecond))
	gone := httptest.NewServer(nil)
	gone.Close()
	require.Equal(t, "dial: connect: connection refused", ask(gone.URL, "/", time.Minute), "and no port, which each connection has of its own")
}

func TestRunStaysAtHome(t *testing.T) {
	_, err := Run(Options{URL: "http://192.0.2.1/hooks", Body: Telegram, Connections: 1, Duration: time.Second})
	require.ErrorContains(t, err, "loopback")
	_, err = Run(Options{URL: "http://127.0.0.1:1", Beside: "http://192.0.2.1/hooks", Body: Telegram, Connections: 1, Duration: time.Second})
	require.ErrorContains(t, err, "loopback")
}

func TestRepeating(t *testing.T) {
	const first = 100
	var sent []int64
	body := Repeating(func(b []byte, n int64) []byte {
		sent = append(sent, n)
		return b
	}, first, 5)
	different := map[int64]bool{}
	for n := range int64(11) {
		body(nil, first+n)
		different[sent[n]] = true
		require.EqualValues(t, len(different), Distinct(n+1, 5))
	}
	require.Equal(t, []int64{100, 100, 101, 102, 103, 104, 104, 105, 106, 107, 108}, sent)
	require.Zero(t, Distinct(0, 5))
}

func TestRunBeside(t *testing.T) {
	var calls [2]atomic.Int64
	var urls [2]string
	for i := range calls {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls[i].Add(1) }))
		defer s.Close()
		urls[i] = s.URL
	}
	r, err := Run(Options{URL: urls[0], Beside: urls[1], Body: Telegram, Connections: 2, Duration: time.Minute, Limit: 100})
	require.NoError(t, err)
	require.EqualValues(t, 100, r.OK)
	require.EqualValues(t, 100, calls[0].Load()+calls[1].Load())
	require.Positive(t, calls[0].Load())
	require.Positive(t, calls[1].Load())
}
