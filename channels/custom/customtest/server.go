package customtest

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf16"
)

const (
	textLimit = 10_000   // UTF-16 code units (PROTOCOL.md §4)
	idLimit   = 128      // bytes (PROTOCOL.md §2)
	fileLimit = 50 << 20 // bytes (PROTOCOL.md §4)
)

// request is everything Waggle may send (PROTOCOL.md §3, §4).
type request struct {
	Type        string  `json:"type"`
	Channel     string  `json:"channel"`
	CompanyURL  string  `json:"company_url"`
	HookURL     string  `json:"hook_url"`
	DropPending bool    `json:"drop_pending"`
	ID          string  `json:"id"`
	User        *user   `json:"user"`
	Text        *string `json:"text"`
	ReplyTo     *string `json:"reply_to"`
	File        *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		MIME string `json:"mime"`
		Size int64  `json:"size"`
	} `json:"file"`
}

type user struct {
	ID string `json:"id"`
}

// answer is a status with a JSON body.
type answer struct {
	status int
	body   string
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// ServeHTTP answers Waggle's requests and gives out files.
func (m *Messenger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, filesPath); ok {
		m.serveFile(w, r, name)
		return
	}
	// The body is read first: only then the server notices that a caller has gone.
	body, err := io.ReadAll(io.LimitReader(r.Body, fileLimit+1<<20))
	if err != nil {
		return
	}
	fault, failing := m.takeFault()
	if failing && !fault.Accepts() {
		m.Spoil(w, r.Context(), fault)
		return
	}
	a := m.handle(r, body)
	if failing {
		m.Spoil(w, r.Context(), fault)
		return
	}
	a.write(w)
}

// handle is PROTOCOL.md §2's order: address, code, then the rest.
func (m *Messenger) handle(r *http.Request, body []byte) answer {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	if r.URL.Path != webhookPath {
		return m.blame(http.StatusNotFound, "address "+r.URL.Path)
	}
	if !m.authorised(r) {
		return answer{http.StatusUnauthorized, `{"error":"unauthorized"}`}
	}
	if r.Method != http.MethodPost {
		return m.blame(http.StatusBadRequest, "method "+r.Method)
	}
	file := []byte(nil)
	if ct := r.Header.Get("Content-Type"); strings.HasPrefix(ct, "multipart/form-data;") {
		var err error
		if body, file, err = form(ct, body); err != nil {
			return m.blame(http.StatusBadRequest, "form: "+err.Error())
		}
	} else if ct != "application/json" && !strings.HasPrefix(ct, "application/json;") {
		return m.blame(http.StatusBadRequest, fmt.Sprintf("content type %q", ct))
	}
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return m.blame(http.StatusBadRequest, "body: "+err.Error())
	}
	if in.Channel == "" {
		return m.blame(http.StatusBadRequest, in.Type+" without channel")
	}
	switch in.Type {
	case "check", "connect":
		return m.greet(in)
	case "message":
		return m.message(in, string(body), file)
	default:
		return m.blame(http.StatusBadRequest, fmt.Sprintf("type %q", in.Type))
	}
}

func (m *Messenger) authorised(r *http.Request) bool {
	codes := r.Header.Values("X-Confirmation-Code")
	if len(codes) != 1 {
		return false
	}
	code, ok := decodeCode(codes[0])
	return ok && subtle.ConstantTimeCompare([]byte(code), []byte(m.code)) == 1
}

// blame notes a request that breaks the protocol and answers it.
func (m *Messenger) blame(status int, why string) answer {
	m.wrong = append(m.wrong, why)
	m.Announce()
	return answer{status, `{"error":"wrong_request"}`}
}

// greet answers check and connect (§3).
func (m *Messenger) greet(in request) answer {
	if !absolute(in.CompanyURL) {
		return m.blame(http.StatusBadRequest, in.Type+" without company_url")
	}
	if in.Type == "connect" {
		if !absolute(in.HookURL) {
			return m.blame(http.StatusBadRequest, "connect without hook_url")
		}
		m.hook, m.channel = in.HookURL, in.Channel
		m.connects++
		if in.DropPending {
			for _, c := range m.customers {
				c.outbox = nil
			}
		}
		m.Announce()
	}
	name, _ := json.Marshal(map[string]string{"name": m.name}) // a map of strings cannot fail
	return answer{http.StatusOK, string(name)}
}

func absolute(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.IsAbs() && u.Host != ""
}

// message shows a part to its user, once (§4).
func (m *Messenger) message(in request, body string, file []byte) answer {
	switch {
	case m.channel != "" && in.Channel != m.channel:
		return answer{http.StatusNotFound, `{"error":"channel_unknown"}`}
	case in.ID == "" || len(in.ID) > idLimit:
		return m.blame(http.StatusBadRequest, "message without a proper id")
	case in.User == nil || in.User.ID == "":
		return m.blame(http.StatusBadRequest, "message without user.id")
	case (in.File == nil) != (file == nil) || in.File != nil && (in.File.Name == "" || in.File.Size != int64(len(file))):
		return m.blame(http.StatusBadRequest, "a file that is not the one the message tells of")
	case in.Text == nil || *in.Text == "" && in.File == nil:
		return m.blame(http.StatusBadRequest, "message without text")
	case in.ReplyTo != nil && *in.ReplyTo == "":
		return m.blame(http.StatusBadRequest, "message with an empty reply_to")
	}
	if p := m.parts[in.ID]; p != nil {
		p.repeats++
		if p.body != body {
			return m.blame(http.StatusBadRequest, "message "+in.ID+" repeated with another content")
		}
		m.Announce()
		return sent(p.messageID)
	}
	c := m.customers[in.User.ID]
	switch {
	case c == nil:
		return answer{http.StatusBadRequest, `{"error":"user_unknown"}`}
	case c.blocked:
		return answer{http.StatusBadRequest, `{"error":"user_blocked"}`}
	case len(utf16.Encode([]rune(*in.Text))) > textLimit:
		m.wrong = append(m.wrong, "text over the limit")
		return answer{http.StatusBadRequest, `{"error":"text_too_long"}`}
	}
	p := &part{messageID: m.nextID("a"), body: body}
	m.parts[in.ID] = p
	r := Received{ID: p.messageID, Key: in.ID, Text: *in.Text}
	if in.File != nil {
		r.File = &SentFile{Kind: in.File.Kind, Name: in.File.Name, MIME: in.File.MIME, Content: file}
	}
	if in.ReplyTo != nil {
		r.ReplyTo = *in.ReplyTo
	}
	c.inbox = append(c.inbox, r)
	m.Announce()
	return sent(p.messageID)
}

func sent(id string) answer {
	body, _ := json.Marshal(map[string]string{"message_id": id}) // a map of strings cannot fail
	return answer{http.StatusOK, string(body)}
}

// nextID numbers everything the messenger names. The caller holds Mu.
func (m *Messenger) nextID(prefix string) string {
	m.lastID++
	return fmt.Sprintf("%s-%d", prefix, m.lastID)
}
