package api

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/jobs"
)

// listen opens an event stream: its lines come on the channel, which closes at its end.
func (h *harness) listen(query string) <-chan string {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.serve()+base+"/events"+query, nil)
	require.NoError(h.t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(h.t, err)
	require.Equal(h.t, 200, resp.StatusCode)
	require.Equal(h.t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			if s.Text() != "" {
				lines <- s.Text()
			}
		}
	}()
	return lines
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(10 * time.Second):
		require.Fail(t, "no line came")
		return ""
	}
}

func TestEventStream(t *testing.T) {
	h := newAPI(t)
	key := h.secretKey()
	env := h.environment(key)
	agent := h.agent(env, "user-1")
	token := h.session(key, chat.AgentRole, agent)
	lines := h.listen("?token=" + token)
	require.Equal(t, "retry: 3000", next(t, lines))
	require.Equal(t, "event: resync", next(t, lines))
	require.Equal(t, `data: {"type":"resync"}`, next(t, lines))

	mine := uuid.New()
	h.Hints.Publish(jobs.Event{Type: "chat", Environment: uuid.New(), ID: uuid.New()})
	h.Hints.Publish(jobs.Event{Type: "chat", Environment: env, ID: uuid.New(), AgentID: uuid.New()})
	h.Hints.Publish(jobs.Event{Type: "configuration", Environment: env})
	h.Hints.Publish(jobs.Event{Type: "message", Environment: env, ID: mine, ChatID: mine, AgentID: agent})
	require.Equal(t, "event: message", next(t, lines), "others' events stay out")
	require.Contains(t, next(t, lines), mine.String())

	h.call("DELETE", "/sessions/current", token, nil).status(204)
	for line := range lines {
		require.NotContains(t, line, "session", "the end is not an event")
	}
}

func TestEventStreamEndsWithTheServer(t *testing.T) {
	h := newAPI(t)
	lines := h.listen("?token=" + h.session(h.secretKey(), chat.Administrator, uuid.Nil))
	require.Equal(t, "retry: 3000", next(t, lines))
	require.NoError(t, h.App.ShutdownWithTimeout(5*time.Second))
	for line := range lines {
		require.True(t, strings.HasPrefix(line, "event: ") || strings.HasPrefix(line, "data: "), line)
	}
}

func TestEventStreamNeedsAToken(t *testing.T) {
	h := newAPI(t)
	h.call("GET", "/events", "", nil).problem(401)
	h.call("GET", "/events?token=wst_wrong", "", nil).problem(401)
}

func TestWhoIsConcerned(t *testing.T) {
	me, other, queue, foreign := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	for name, tc := range map[string]struct {
		role  chat.Role
		event jobs.Event
		want  bool
	}{
		"an administrator by everything":      {chat.Administrator, jobs.Event{Type: "chat", AgentID: other}, true},
		"a chat administrator too":            {chat.ChatAdministrator, jobs.Event{Type: "chat", QueueID: foreign}, true},
		"an agent by what is for everyone":    {chat.AgentRole, jobs.Event{Type: "agent"}, true},
		"an agent by his chat":                {chat.AgentRole, jobs.Event{Type: "chat", AgentID: me}, true},
		"not by another's":                    {chat.AgentRole, jobs.Event{Type: "chat", AgentID: other}, false},
		"an agent by his queue's":             {chat.AgentRole, jobs.Event{Type: "chat", QueueID: queue}, true},
		"not by another queue's":              {chat.AgentRole, jobs.Event{Type: "chat", QueueID: foreign}, false},
		"when a colleague takes his queue's":  {chat.AgentRole, jobs.Event{Type: "chat", AgentID: other, QueueID: queue}, true},
		"when he gets another queue's":        {chat.AgentRole, jobs.Event{Type: "chat", AgentID: me, QueueID: foreign}, true},
		"not by the administrator's business": {chat.AgentRole, jobs.Event{Type: "job"}, false},
		"not by an alert, which is one too":   {chat.AgentRole, jobs.Event{Type: "alert"}, false},
		"nor by a channel he cannot fetch":    {chat.AgentRole, jobs.Event{Type: "channel"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, concerns(&tc.event, caller{Role: tc.role, AgentID: me}, map[uuid.UUID]bool{queue: true}))
		})
	}
}

// A stream that ends is a whole answer, not one that broke off.
func TestAnEndedStreamIsWhole(t *testing.T) {
	h := newAPI(t)
	token := h.session(h.secretKey(), chat.Administrator, uuid.Nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.serve()+base+"/events?token="+token, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	in := bufio.NewReader(res.Body)
	for line := ""; line != "event: resync\n"; { // it listens now
		line, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	h.call("DELETE", "/sessions/current", token, nil).status(204)
	_, err = io.ReadAll(in)
	require.NoError(t, err)
}
