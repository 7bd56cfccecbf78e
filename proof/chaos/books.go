package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"waggle/crm/creatio/creatiotest"
)

// entry is one timeline entry as it stands in the database.
type entry struct {
	id, chat, agent uuid.UUID
	seq             int
	kind            string
	direction       string
	author          string
	text            string
	target          uuid.UUID
	state, error    string
	crmError        string
	files           int    // that it brought
	parts           string // what became of each send of an outgoing one
	data            entryData
	committed       int64 // orders all entries of all chats; µs on PostgreSQL, a count on SQLite
}

// entryData is what an entry tells about the chat's course.
type entryData struct {
	From     uuid.UUID `json:"from"`
	To       uuid.UUID `json:"to"`
	Reason   string    `json:"reason"`
	Why      string    `json:"why"`
	Process  uuid.UUID `json:"process"`
	Accepted bool      `json:"accepted"`
	Released bool      `json:"released"`
	Reopened bool      `json:"reopened"`
}

// story is one chat with its timeline.
type story struct {
	id       uuid.UUID
	customer string
	weight   int
	closed   bool
	onHold   bool
	agent    uuid.UUID // zero: nobody
	entries  []entry
}

// commits is the clock by which entries are committed: the machine's, as PostgreSQL's is, or how many entries SQLite has.
func (w *world) commits(ctx context.Context) (int64, error) {
	if !w.plan.embedded {
		return time.Now().UnixMicro(), nil
	}
	n, err := w.in.Database.Int(ctx, "SELECT coalesce(max(rowid), 0) FROM timeline")
	return int64(n), err
}

// stories reads every chat with its timeline.
func (w *world) stories(ctx context.Context) (map[uuid.UUID]*story, error) {
	chats, err := w.in.Database.Query(ctx, `SELECT CAST(c.id AS text), k.name, c.weight, c.closed_at IS NOT NULL, c.on_hold, CAST(c.agent_id AS text) FROM chats AS c JOIN contacts AS k ON k.id = c.contact_id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = chats.Close() }()
	all := map[uuid.UUID]*story{}
	for chats.Next() {
		s := &story{}
		var agent uuid.NullUUID
		if err := chats.Scan(&s.id, &s.customer, &s.weight, &s.closed, &s.onHold, &agent); err != nil {
			return nil, fmt.Errorf("read a chat: %w", err)
		}
		s.agent = agent.UUID
		all[s.id] = s
	}
	if err := chats.Err(); err != nil {
		return nil, err
	}
	committed := "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint"
	if w.plan.embedded {
		committed = "rowid"
	}
	rows, err := w.in.Database.Query(ctx, `SELECT CAST(id AS text), CAST(chat_id AS text), CAST(agent_id AS text), seq, kind, direction, author, text,
CAST(target_id AS text), state, error, crm_error, CAST(attachments AS text), CAST(data AS text), coalesce(`+committed+`, 0) FROM timeline ORDER BY chat_id, seq`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	sends, err := w.sends(ctx)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var e entry
		var agent, target uuid.NullUUID
		var attachments, data *string
		err := rows.Scan(&e.id, &e.chat, &agent, &e.seq, &e.kind, &e.direction, &e.author, &e.text, &target, &e.state, &e.error, &e.crmError, &attachments,
			&data, &e.committed)
		if err != nil {
			return nil, fmt.Errorf("read a timeline: %w", err)
		}
		e.agent, e.target, e.parts = agent.UUID, target.UUID, sends[e.id]
		var files []json.RawMessage
		for text, into := range map[*string]any{data: &e.data, attachments: &files} {
			if text == nil {
				continue
			}
			if err := json.Unmarshal([]byte(*text), into); err != nil {
				return nil, fmt.Errorf("read a timeline: %w", err)
			}
		}
		e.files = len(files)
		if s := all[e.chat]; s != nil {
			s.entries = append(s.entries, e)
		}
	}
	return all, rows.Err()
}

// sends tells of each outgoing message what became of its parts.
func (w *world) sends(ctx context.Context) (map[uuid.UUID]string, error) {
	rows, err := w.in.Database.Query(ctx, "SELECT CAST(message_id AS text), state, attempts, file_id IS NOT NULL, error FROM parts ORDER BY message_id, n")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[uuid.UUID]string{}
	for rows.Next() {
		var message uuid.UUID
		var state, why string
		var attempts int
		var file bool
		if err := rows.Scan(&message, &state, &attempts, &file, &why); err != nil {
			return nil, fmt.Errorf("read a part: %w", err)
		}
		all[message] += fmt.Sprintf("; %s after %d tries, a file: %t, %q", state, attempts, file, why)
	}
	return all, rows.Err()
}

// message is one message with the text and the number of files it has in the end: an edit of ours changes words only.
type message struct {
	entry
	final  string
	opened int64 // when its chat was opened, or reopened, before it
}

// halfSent tells of a message of several sends whose first was unknown for so long that the rest was given up, and proved to have
// arrived later. It stands as failed, and its agent may send the rest.
func (m message) halfSent() bool {
	return m.state == "failed" && strings.HasPrefix(m.error, "only the beginning arrived")
}

// received are the messages of a customer over all his chats in order. No two of them are open at the same time, but one may be
// reopened after a later one.
func received(chats []*story) (list []message) {
	for _, s := range chats {
		for _, m := range s.messages() {
			if m.direction == "in" {
				list = append(list, m)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b message) int { return cmp.Compare(a.opened, b.opened) })
	return list
}

// messages are the chat's messages in order.
func (s *story) messages() (list []message) {
	at := map[uuid.UUID]int{}
	opened := int64(0)
	for i, e := range s.entries {
		if i == 0 || e.kind == "opened" {
			opened = e.committed
		}
		switch e.kind {
		case "message":
			at[e.id] = len(list)
			list = append(list, message{entry: e, final: e.text, opened: opened})
		case "addition": // of an album, one piece of which has its words
			if i, ok := at[e.target]; ok {
				list[i].final += e.text
				list[i].files += e.files
			}
		case "edit":
			if i, ok := at[e.target]; ok {
				list[i].final = e.text
			}
		}
	}
	return list
}

// record is one message as the CRM has it.
type record struct {
	id, text string
	links    []string // to its files
}

// newRecord takes a record's text apart: below what was said, there is a line for each file.
func newRecord(id, text string) record {
	r := record{id: id}
	var said []string
	for row := range strings.SplitSeq(text, "\n") {
		if _, link, ok := strings.Cut(row, ": http"); ok && strings.Contains(link, "/media/") {
			r.links = append(r.links, "http"+link)
		} else {
			said = append(said, row)
		}
	}
	r.text = strings.Join(said, "\n")
	return r
}

// inCRM returns the CRM's message records by chat, in the order of their dates.
func (w *world) inCRM() map[string][]record {
	rows := map[string][]creatiotest.Row{}
	for _, m := range w.in.CRM.Messages("") {
		chat := fmt.Sprint(m["OmniChatId"])
		rows[chat] = append(rows[chat], m)
	}
	records := map[string][]record{}
	for chat, list := range rows {
		slices.SortStableFunc(list, func(a, b creatiotest.Row) int { return dated(a).Compare(dated(b)) })
		for i, m := range list {
			if i > 0 && dated(m).Equal(dated(list[i-1])) {
				w.find(swapped, "chat %s: two records of the CRM have the same date", chat)
			}
			records[chat] = append(records[chat], newRecord(fmt.Sprint(m["Id"]), fmt.Sprint(m["Message"])))
		}
	}
	return records
}

// dated is when a record says it was written.
func dated(m creatiotest.Row) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(m["CreatedDate"])) // several broken ones are found: they are equal
	return at
}
