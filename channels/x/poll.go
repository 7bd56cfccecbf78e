package x

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
)

const (
	pollEvery = time.Minute      // X permits 15 calls in 15 minutes (wire/x.md §3)
	pollRoom  = 10 * time.Second // what a call needs before the deadline
	pageSize  = 100              // the largest X gives
	firstPage = 10               // beside a webhook, where most passes find little: X takes money for each message it lists (§7)
)

// Poll waits for its minute and fetches one page of the account's messages. X lists them newest first and takes no "since",
// so a pass goes back page by page, a minute each, to the last message of the pass before, and no further than the channel's
// connection (b39). Only then is it handed over, oldest first, as much at a time as a page holds; the offset is the id of the
// newest message that was. What comes twice has the same keys.
func (a *Adapter) Poll(ctx context.Context, ch channels.Channel, offset string) (channels.Delivery, string, error) {
	d, next, _, err := a.Reread(ctx, ch, offset, time.Time{})
	return d, next, err
}

// Reread is Poll; a pass that is handed over is all there is, as X lists it for 30 days (wire/x.md §3).
func (a *Adapter) Reread(ctx context.Context, ch channels.Channel, offset string, asked time.Time) (d channels.Delivery, next string, done bool, err error) {
	c, err := credentialsOf(ch)
	if err != nil {
		return d, offset, false, err
	}
	mark := watermark(ch, offset)
	p := a.passes.take(ch.ID, mark, asked)
	defer func() { a.passes.put(ch.ID, p, a.api.now()) }()
	if !p.complete {
		if err := a.turnPage(ctx, ch, c, &p); err != nil || !p.complete {
			return d, offset, false, err
		}
	}
	d, next, done = p.hand(mark)
	return d, next, done, nil
}

// turnPage fetches a pass's next page when it is time. A page that X did not give is asked for again. One that it refused cannot be
// had: the pass is begun anew, and if more is wrong than where it had got to, its first page tells, or the second refusal.
func (a *Adapter) turnPage(ctx context.Context, ch channels.Channel, c credentials, p *pass) error {
	if !a.due(ctx, p.due) {
		return nil
	}
	p.due = a.api.now().Add(pollEvery)
	size := pageSize
	if ch.Receive == channels.Webhook && p.token == "" {
		size = firstPage
	}
	var answer page
	if fail := a.api.call(ctx, request{verb: http.MethodGet, path: "/2/dm_events", query: pollQuery(p.token, size), as: c.user(), result: &answer}); fail != nil {
		e := a.pollError(fail)
		if e.Outcome != channels.RetryAt && p.token != "" {
			again := p.refused
			p.restart(p.mark, p.asked)
			if p.refused = true; !again {
				return nil
			}
		}
		return e
	}
	if more := p.add(answer, ch.AccountID); more {
		p.token = answer.Meta.NextToken
		return nil
	}
	p.complete = true
	slices.SortStableFunc(p.d.Events, func(a, b channels.Event) int { return compareIDs(a.MessageID, b.MessageID) })
	return nil
}

// due waits until it is time, or as long as ctx allows and then says no.
func (a *Adapter) due(ctx context.Context, at time.Time) bool {
	left := at.Sub(a.api.now())
	if left <= 0 {
		return true
	}
	allowed := left
	if deadline, ok := ctx.Deadline(); ok {
		until := time.Until(deadline)
		allowed = max(until-min(pollRoom, until/2), 0)
	}
	return a.wait(ctx, min(left, allowed)) == nil && left <= allowed
}

// pollError: without credits polling rests and then probes again.
func (a *Adapter) pollError(f *failure) *channels.Error {
	if f.credits() {
		return &channels.Error{Outcome: channels.RetryAt, At: a.api.now().Add(creditPause), WholeChannel: true, Reason: noCreditsPolling, Err: f}
	}
	return a.setupError(f, false)
}

// watermark is the id after which messages are new: the last one seen, or that of the moment the channel was connected.
func watermark(ch channels.Channel, offset string) string {
	if connected := idAt(ch.Since); later(connected, offset) {
		return connected
	}
	return offset
}

func pollQuery(token string, size int) url.Values {
	q := url.Values{
		"max_results":     {strconv.Itoa(size)},
		"event_types":     {"MessageCreate"},
		"dm_event.fields": {"id,created_at,sender_id,dm_conversation_id,text,entities,event_type,attachments"}, // without asking nobody knows who wrote (§3)
		"expansions":      {"sender_id,attachments.media_keys"},
		"user.fields":     {"id,name,username"},
		"media.fields":    {"media_key,type,url,variants"},
	}
	if token != "" {
		q.Set("pagination_token", token)
	}
	return q
}

// page is one answer of dm_events, newest first.
type page struct {
	Data     list[pollEvent] `json:"data"`
	Includes struct {
		Users list[struct {
			ID string `json:"id"`
			person
		}] `json:"users"`
		Media list[pollMedia] `json:"media"`
	} `json:"includes"`
	Meta struct {
		NextToken string `json:"next_token"`
	} `json:"meta"`
}

type pollEvent struct {
	ID           string    `json:"id"`
	Type         string    `json:"event_type"`
	Text         string    `json:"text"`
	SenderID     string    `json:"sender_id"`
	Conversation string    `json:"dm_conversation_id"`
	Created      time.Time `json:"created_at"`
	Entities     links     `json:"entities"`
	URLs         links     `json:"urls"` // where X's own description of its API has them
	Attachments  struct {
		MediaKeys list[string] `json:"media_keys"`
	} `json:"attachments"`
}

// pass is one way back through the account's messages.
type pass struct {
	due      time.Time // when the next call may be made
	asked    time.Time // for which reading; zero: polling
	mark     string    // where it ends; once complete, up to where it has been handed over
	token    string    // of the next page; empty: the first
	newest   string    // id of the first message seen; empty: none yet
	refused  bool      // a page after the first was, and the pass was begun anew for it
	complete bool
	d        channels.Delivery // newest first; once complete, oldest first and without what was handed over
}

func (p *pass) restart(mark string, asked time.Time) {
	*p = pass{due: p.due, mark: mark, asked: asked}
}

// over reports whether all of a complete pass was handed over and is stored.
func (p *pass) over(mark string) bool { return p.complete && !later(p.newest, mark) }

// hand gives what comes after mark, up to which all is stored, and tells whether that is the end.
func (p *pass) hand(mark string) (d channels.Delivery, next string, done bool) {
	stored := slices.IndexFunc(p.d.Events, func(e channels.Event) bool { return later(e.MessageID, mark) })
	if stored < 0 {
		stored = len(p.d.Events)
	}
	p.mark, p.d.Events = mark, p.d.Events[stored:]
	if len(p.d.Events) > pageSize {
		d.Events = p.d.Events[:pageSize]
		return d, d.Events[pageSize-1].MessageID, false
	}
	if next = p.newest; next == "" {
		next = mark
	}
	return p.d, next, true
}

// add takes a page in and tells whether there is more before the pass ends.
func (p *pass) add(answer page, account string) (more bool) {
	people, files := map[string]person{}, map[string]pollMedia{}
	for _, u := range answer.Includes.Users {
		people[u.ID] = u.person
	}
	for _, m := range answer.Includes.Media {
		files[m.Key] = m
	}
	for _, e := range answer.Data {
		if !userID.MatchString(e.ID) {
			ignore(&p.d, "malformed")
			continue
		}
		if !later(e.ID, p.mark) {
			return false
		}
		if p.newest == "" || later(e.ID, p.newest) {
			p.newest = e.ID
		}
		e.into(&p.d, account, people, files)
	}
	return answer.Meta.NextToken != "" && len(answer.Data) > 0
}

func (e pollEvent) into(d *channels.Delivery, account string, people map[string]person, files map[string]pollMedia) {
	if e.Type != "" && e.Type != "MessageCreate" {
		ignore(d, "other")
		return
	}
	// Between two the conversation's id is both ids (§2); of more it is a number of its own.
	first, second, pair := strings.Cut(e.Conversation, "-")
	if !pair {
		ignore(d, "group")
		return
	}
	m := message{id: e.ID, sender: e.SenderID, recipient: first, at: e.Created.UTC()}
	if e.SenderID == first {
		m.recipient = second
	}
	for _, key := range e.Attachments.MediaKeys {
		m.files = append(m.files, files[key].attachments()...)
	}
	m.text = slices.Concat(e.Entities, e.URLs).written(e.Text, func(k link) bool {
		// A link X says nothing of is the file's, if there is one.
		return len(m.files) > 0 && (k.Address == "" || k.opensFile(e.ID) || slices.Contains(e.Attachments.MediaKeys, k.MediaKey))
	})
	m.into(d, account, people)
}

// passes are those of the channels this process polls. One is in the hands of at most one Poll.
type passes struct {
	mu sync.Mutex
	of map[uuid.UUID]pass
}

// take returns the channel's pass, or a new one where it is over, what is asked for is another reading, or others have moved the
// watermark.
func (s *passes) take(channel uuid.UUID, mark string, asked time.Time) pass {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.of[channel]
	delete(s.of, channel)
	moved := p.mark != mark
	if p.complete { // it may be handed over from any point it has not passed
		moved = later(p.mark, mark)
	}
	if moved || p.over(mark) || !p.asked.Equal(asked) {
		p.restart(mark, asked)
	}
	return p
}

// put keeps a pass for the next Poll, and drops those nobody has asked for in a long time.
func (s *passes) put(channel uuid.UUID, p pass, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[uuid.UUID]pass{}
	}
	s.of[channel] = p
	for id, old := range s.of {
		if now.Sub(old.due) > time.Hour {
			delete(s.of, id)
		}
	}
}
