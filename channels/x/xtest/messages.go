package xtest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var participant = regexp.MustCompile(`^[0-9]{1,19}$`)

const (
	textLimit   = 10_000
	keptFor     = 30 * 24 * time.Hour
	largestPage = 100
)

// send is POST /2/dm_conversations/with/{participant}/messages (wire/x.md §2).
func (c *call) send() answer {
	var m struct {
		Text        *string `json:"text"`
		Attachments []struct {
			ID string `json:"media_id"`
		} `json:"attachments"`
	}
	to := c.r.PathValue("participant")
	if !c.decode(&m) || !participant.MatchString(to) || m.Text == nil && len(m.Attachments) == 0 || len(m.Attachments) > 1 {
		return invalid("the message is not one")
	}
	if m.Text != nil && (*m.Text == "" || utf8.RuneCountInString(*m.Text) > textLimit) {
		return invalid("text: [" + *m.Text + "] is not between 1 and 10000 characters")
	}
	c.Mu.Lock()
	if refused := c.permitted(); refused != nil {
		c.Mu.Unlock()
		return *refused
	}
	person := c.account.people[to]
	if person == nil || person.refuses {
		c.Mu.Unlock()
		return answer{status: http.StatusForbidden, body: object{"title": "Forbidden", "type": "about:blank", "status": 403, "detail": "You cannot send messages to this user."}}
	}
	sent := &message{sender: c.account.ID, recipient: to, appID: "1"}
	if m.Text != nil {
		sent.text = *m.Text
	}
	for _, media := range m.Attachments {
		u := c.account.uploads[media.ID]
		if u == nil || !u.ready() {
			c.Mu.Unlock()
			return invalid("the media id is not one of this user's")
		}
		sent.file, sent.kind, sent.mime = media.ID, categories[u.category].shown, u.mime
		c.files[media.ID] = u.data
	}
	c.Mu.Unlock()
	id := c.account.add(sent)
	return answer{status: http.StatusCreated, body: object{"data": object{"dm_conversation_id": conversation(sent), "dm_event_id": id}}}
}

// conversation is the id between two: the smaller number first (§2).
func conversation(m *message) string {
	if m.group != "" {
		return m.group
	}
	a, _ := strconv.ParseInt(m.sender, 10, 64)
	b, _ := strconv.ParseInt(m.recipient, 10, 64)
	return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
}

// events is GET /2/dm_events (§3): newest first, in pages, the last 30 days.
func (c *call) events() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if refused := c.permitted(); refused != nil {
		return *refused
	}
	q := c.r.URL.Query()
	size, err := strconv.Atoi(q.Get("max_results"))
	if q.Get("max_results") == "" {
		size, err = largestPage, nil
	}
	if err != nil || size < 1 || size > largestPage || q.Has("since_id") {
		return invalid("max_results is not between 1 and 100, or there is no such parameter")
	}
	newest := slices.Clone(c.account.messages)
	slices.Reverse(newest)
	newest = slices.DeleteFunc(newest, func(m *message) bool { return c.Clock.Now().Sub(m.at) > keptFor })
	if token := q.Get("pagination_token"); token != "" {
		at := slices.IndexFunc(newest, func(m *message) bool { return "T"+m.id == token })
		if at < 0 {
			return invalid("the pagination token is none of ours")
		}
		newest = newest[at:]
	}
	meta := object{"result_count": min(size, len(newest))}
	if len(newest) > size {
		meta["next_token"] = "T" + newest[size].id
		newest = newest[:size]
	}
	c.account.listed += len(newest)
	if len(newest) == 0 {
		return ok(object{"meta": meta}) // no data key
	}
	return ok(c.page(newest, meta, strings.Split(q.Get("dm_event.fields"), ","), strings.Split(q.Get("expansions"), ",")))
}

// page shows the fields asked for: by default id, event_type and text.
func (c *call) page(messages []*message, meta object, fields, expansions []string) object {
	var data, users, media []object
	known := map[string]bool{}
	for _, m := range messages {
		text, urls := m.shown()
		all := object{"entities": object{"urls": urls}, "sender_id": m.sender, "created_at": m.at.UTC().Format("2006-01-02T15:04:05.000Z"), "dm_conversation_id": conversation(m)}
		e := object{"id": m.id, "event_type": "MessageCreate", "text": text}
		for _, f := range fields {
			if v, is := all[f]; is {
				e[f] = v
			}
		}
		if m.file != "" && slices.Contains(fields, "attachments") {
			e["attachments"] = object{"media_keys": []string{"3_" + m.file}}
			media = append(media, object{"media_key": "3_" + m.file, "type": m.kind, "url": c.URL + "/files/" + m.file})
		}
		if p := c.account.people[m.sender]; p != nil && !known[p.ID] {
			known[p.ID] = true
			users = append(users, object{"id": p.ID, "name": p.Name, "username": p.Username})
		}
		data = append(data, e)
	}
	body, includes := object{"data": data, "meta": meta}, object{}
	if slices.Contains(expansions, "sender_id") {
		includes["users"] = users
	}
	if slices.Contains(expansions, "attachments.media_keys") {
		includes["media"] = media
	}
	body["includes"] = includes
	return body
}

// file is what customers sent, for the participants only.
func (c *call) file() answer {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	data, found := c.files[c.r.PathValue("file")]
	if !found {
		return answer{status: http.StatusNotFound, body: object{"title": "Not Found", "type": "about:blank", "status": 404}}
	}
	return answer{raw: data}
}
