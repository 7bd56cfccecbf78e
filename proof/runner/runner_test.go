package runner

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcess(t *testing.T) {
	// shell runs until it is told to end, and then does onTerm.
	shell := func(onTerm string) *Process {
		script := fmt.Sprintf("trap '%s' TERM; echo $WORD >&2; while :; do sleep 0.01; done", onTerm)
		p, err := Start("/bin/sh", "shell", []string{"-c", script}, []string{"WORD=honey"})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(p.Log()) == 1 }, 5*time.Second, time.Millisecond)
		require.Equal(t, []string{"honey"}, p.Log())
		return p
	}
	t.Run("one that ends well", func(t *testing.T) { require.NoError(t, shell("exit 0").Stop(5*time.Second)) })
	t.Run("one that ends with a fault says so", func(t *testing.T) {
		require.ErrorContains(t, shell("exit 3").Stop(5*time.Second), "status 3")
	})
	t.Run("one that does not end is ended", func(t *testing.T) {
		require.ErrorContains(t, shell("").Stop(50*time.Millisecond), "did not end")
	})
	t.Run("a frozen one is seen to be", func(t *testing.T) {
		p := shell("exit 0")
		require.False(t, p.Frozen())
		p.Freeze()
		require.Eventually(t, p.Frozen, 5*time.Second, time.Millisecond)
		p.Thaw()
		require.Eventually(t, func() bool { return !p.Frozen() }, 5*time.Second, time.Millisecond)
		p.Kill()
		require.False(t, p.Frozen())
	})
	t.Run("a crash is no end by itself", func(t *testing.T) {
		p := shell("exit 0")
		p.Kill()
		require.ErrorContains(t, p.Stop(time.Second), "status -1")
	})
	t.Run("one that ends is never ready", func(t *testing.T) {
		p, err := Start("/bin/false", "false", nil, nil)
		require.NoError(t, err)
		addr, err := FreePort()
		require.NoError(t, err)
		p.Base = "http://" + addr
		require.ErrorContains(t, p.Ready(context.Background()), "ended before it was ready")
	})
}

func TestFront(t *testing.T) {
	named := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Name", name)
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	dead, err := FreePort()
	require.NoError(t, err)
	f, err := NewFront(named("a"), dead, named("b"))
	require.NoError(t, err)
	defer f.Close()
	seen := map[string]int{}
	for range 6 {
		res, err := http.Post("http://"+f.Addr+"/x?y=1", "text/plain", strings.NewReader("honey"))
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, http.StatusTeapot, res.StatusCode)
		require.Equal(t, "POST /x?y=1 honey", string(body))
		seen[res.Header.Get("X-Name")]++
	}
	require.Len(t, seen, 2, "both that live get requests, the dead one is passed over")
}

func TestFrontSpoilsWhatPasses(t *testing.T) {
	var done atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done.Add(1)
		if strings.HasSuffix(r.URL.Path, "/away") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	f, err := NewFront(s.Listener.Addr().String())
	require.NoError(t, err)
	seen := make(chan string, 10)
	f.Watch(func(path string, body []byte) func(int) {
		return func(status int) { seen <- fmt.Sprint(path, " ", string(body), " ", status) }
	})
	post := func(path string) int {
		res, err := http.Post("http://"+f.Addr+path, "text/plain", strings.NewReader("honey"))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	f.LoseAnswers(1)
	require.Equal(t, http.StatusBadGateway, post("/a"))
	require.EqualValues(t, 1, done.Load(), "it was done, and nobody was told")
	require.Equal(t, http.StatusOK, post("/b"), "only one is lost")

	f.DoubleDeliveries(2)
	require.Equal(t, http.StatusOK, post("/api"))
	require.EqualValues(t, 3, done.Load(), "only deliveries are doubled")
	require.Equal(t, http.StatusOK, post("/hooks/x"))
	require.Equal(t, http.StatusServiceUnavailable, post("/hooks/away"))
	f.Close()
	require.EqualValues(t, 7, done.Load())
	require.Equal(t, []int{1, 1}, []int{f.Lost(), f.Doubled()}, "as often as it took effect: a twin that was refused is none")
	for _, want := range []string{"/a honey 502", "/b honey 200", "/api honey 200", "/hooks/x honey 200", "/hooks/away honey 503"} {
		require.Equal(t, want, <-seen)
	}
}
