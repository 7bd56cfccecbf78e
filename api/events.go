package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"waggle/chat"
	"waggle/jobs"
)

// heartbeat is how often a silent stream says that it lives, and looks whether its token still does.
const heartbeat = 15 * time.Second

// stream is one browser's event stream.
type stream struct {
	server *Server
	who    caller
	token  string
	queues map[uuid.UUID]bool // whose waiting chats the agent may see now
	conn   net.Conn
}

// streamEvents serves GET /events: hints to fetch again, until the client leaves, the token ends or the server stops.
func (s *Server) streamEvents(c *fiber.Ctx) error {
	who, err := callerOf(c.UserContext())
	if err != nil {
		return err
	}
	token, _ := bearer(c)
	st := &stream{server: s, who: who, token: token, conn: c.Context().Conn()}
	if err := st.refresh(c.UserContext()); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set("X-Accel-Buffering", "no")
	if c.Method() == fiber.MethodHead {
		return nil
	}
	if !s.streams.take(who.Environment, streamsAtOnce) {
		return tooMany("open event streams of this environment", streamsRetry)
	}
	if !s.streams.take(everybody, streamsInAll) {
		s.streams.give(who.Environment)
		return tooMany("open event streams", streamsRetry)
	}
	c.Response().Header.SetContentLength(-1) // it comes in chunks
	head, stopped := bytes.Clone(c.Response().Header.Header()), c.Context().Done()
	// A stream takes its connection over, so that it holds no buffer of the server's and nothing of its request.
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(conn net.Conn) {
		st.conn = conn
		go st.serve(head, stopped)
	})
	return nil
}

// serve answers with a stream and ends the connection after it.
func (st *stream) serve(head []byte, stopped <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func() { _ = st.conn.Close() }()
	defer st.server.streams.give(st.who.Environment)
	defer st.server.streams.give(everybody)
	if st.write(head) {
		st.run(ctx, stopped)
		st.end()
	}
}

// end tells a client that is still there that the answer is whole: proxies take what just stops for a fault of ours.
func (st *stream) end() {
	if st.conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = st.conn.Write([]byte("0\r\n\r\n"))
	}
}

// run writes events until there is nobody to write to. A stream begins with a resync: what happened before is not known.
func (st *stream) run(ctx context.Context, stopped <-chan struct{}) {
	events := st.server.Jobs.Hints.Subscribe(ctx, st.who.Environment)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	ok := st.say("retry: 3000\n\n") && st.send(&jobs.Event{Type: "resync"})
	for ok {
		select {
		case <-stopped:
			return
		case e, open := <-events:
			ok = open && st.handle(ctx, e, events)
		case <-beat.C:
			ok = st.refresh(ctx) == nil && st.say(": alive\n\n")
		}
	}
}

// handle passes on what concerns the caller of an event and those that wait behind it, and reports whether the stream goes on.
// What may have changed what an agent is offered has that read again, once for all of them: however fast events come, a stream
// does not fall behind.
func (st *stream) handle(ctx context.Context, e *jobs.Event, waiting <-chan *jobs.Event) bool {
	all, changed := []*jobs.Event{e}, mayChangeOffers(e, st.who)
	for _, next := range taken(waiting) {
		all, changed = append(all, next), changed || mayChangeOffers(next, st.who)
	}
	before := st.queues
	if changed {
		if st.refresh(ctx) != nil {
			return false
		}
		if gained(before, st.queues) && !st.send(&jobs.Event{Type: "resync"}) {
			return false
		}
	}
	for _, e := range all {
		if e.Type == eventSessionEnded && e.ID == st.who.SessionID {
			return false
		}
		concerned := concerns(e, st.who, before) || concerns(e, st.who, st.queues)
		if e.Type != eventSessionEnded && concerned && !st.send(e) {
			return false
		}
	}
	return true
}

// taken empties a stream's events without waiting for any: whoever sends may empty them too.
func taken(waiting <-chan *jobs.Event) []*jobs.Event {
	var all []*jobs.Event
	for len(all) < cap(waiting) {
		select {
		case e, open := <-waiting:
			if !open {
				return all // the next receive ends the stream
			}
			all = append(all, e)
		default:
			return all
		}
	}
	return all
}

// mayChangeOffers reports whether an agent may be offered other chats than before: he, his room by one of his chats, a queue or a
// limit was changed, or something was missed.
func mayChangeOffers(e *jobs.Event, who caller) bool {
	switch e.Type {
	case "queue", "configuration", "resync":
		return who.Role == chat.AgentRole
	case "agent":
		return who.Role == chat.AgentRole && e.ID == who.AgentID
	case "chat":
		return who.Role == chat.AgentRole && e.AgentID == who.AgentID && !e.SameRoom
	}
	return false
}

// gained reports whether there is a queue that was not there before: its waiting chats were never told of (S3.65).
func gained(before, now map[uuid.UUID]bool) bool {
	for queue := range now {
		if !before[queue] {
			return true
		}
	}
	return false
}

// refresh looks the token up again, and what the agent is offered.
func (st *stream) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	if _, err := st.server.Store.Authenticate(ctx, st.token); err != nil {
		return err
	}
	if st.who.AgentID == uuid.Nil {
		return nil
	}
	queues, err := st.server.Store.OfferedQueues(ctx, st.who.Environment, st.who.AgentID)
	st.queues = queues
	return err
}

// concerns reports whether a caller may know of an event. Administrators of either kind know of all; an agent of what is for him
// or for one of the queues he is offered chats of, and of what is for everyone but the administrator's business.
func concerns(e *jobs.Event, who caller, queues map[uuid.UUID]bool) bool {
	if who.Role != chat.AgentRole {
		return true
	}
	switch e.Type {
	case "configuration", "channel", "process", "job", "failure", "alert":
		return false
	}
	if e.AgentID == uuid.Nil && e.QueueID == uuid.Nil {
		return true
	}
	return (e.AgentID != uuid.Nil && e.AgentID == who.AgentID) || queues[e.QueueID]
}

func (st *stream) send(e *jobs.Event) bool {
	data, err := json.Marshal(e)
	if err != nil {
		return false
	}
	return st.say(fmt.Sprintf("event: %s\ndata: %s\n\n", e.Type, data))
}

// say sends text as a chunk of the answer.
func (st *stream) say(text string) bool {
	return st.write(fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text))
}

// write reports whether the client was there to take it. Each write has its own deadline.
func (st *stream) write(p []byte) bool {
	if err := st.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return false
	}
	_, err := st.conn.Write(p)
	return err == nil
}
