package creatio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// problem is a site's refusal of one operation.
type problem struct {
	status    int
	message   string // as the site wrote it: may quote what was sent, never show it as it is
	fromOData bool   // it has OData's own error object
	noObject  bool   // the object is not published, or not yet (wire/creatio.md §3)
	passing   bool   // the same operation may succeed later
}

// problemOf reads the error bodies of wire/creatio.md §3, whatever the status,
// and returns nil for a success. A record has a column Message too
// (ChatMessages), so that a body with an Id or an @odata.context is a record.
func problemOf(a answer) *problem {
	var body struct {
		Context       string `json:"@odata.context"`
		ID            any    `json:"Id"`
		Message       words
		MessageDetail words
		Exception     words `json:"ExceptionMessage"`
		ModelState    map[string]any
		Error         json.RawMessage
	}
	_ = json.Unmarshal(a.body, &body) // what is no JSON, or has other fields than these, says nothing
	isRecord := body.Context != "" || body.ID != nil
	isError := len(body.Error) > 0 && string(body.Error) != "null"
	if a.status < http.StatusMultipleChoices && (isRecord || !isError && body.Message == "") && !a.isHTML() {
		return nil
	}
	p := &problem{status: a.status}
	switch {
	case isError && body.Error[0] == '{': // a gateway's is a word
		var e struct {
			Message words
			Inner   words `json:"innererror"`
		}
		_ = json.Unmarshal(body.Error, &e)
		p.fromOData = true
		p.message = strings.TrimSpace(string(e.Message + " " + e.Inner))
	default:
		p.message = strings.TrimSpace(string(body.Message + " " + body.Exception + " " + body.MessageDetail))
		for field := range body.ModelState {
			p.message += " " + field
		}
	}
	p.noObject = strings.Contains(p.message, "No HTTP resource was found")
	p.passing = p.noObject || p.isPassing()
	return p
}

// words is a text that stands there by itself, or in an object as its value (OData 3) or message.
type words string

// UnmarshalJSON takes anything else for no words.
func (w *words) UnmarshalJSON(b []byte) error {
	var text string
	var object struct{ Value, Message string }
	if json.Unmarshal(b, &text) != nil && json.Unmarshal(b, &object) == nil {
		text = object.Value + object.Message
	}
	*w = words(text)
	return nil
}

// passingText marks database refusals that are nobody's fault: deadlock,
// timeout, lost connection. It is narrow, because a record taken for passing
// that is not would stop the whole environment.
var passingText = regexp.MustCompile(`(?i)deadlock|timeout expired|timed out|40001|40P01|transport-level error`)

// isPassing: a 5xx that names no reason, or one that passes; 408, 425, 429.
func (p *problem) isPassing() bool {
	switch p.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return p.status > http.StatusInternalServerError ||
		p.status == http.StatusInternalServerError && (p.message == "" || passingText.MatchString(p.unquoted()))
}

// databaseQuote is where a database starts to quote the refused values.
var databaseQuote = regexp.MustCompile(`(?i)truncated value:|failing row contains|the duplicate key value is|detail:|key \(`)

// unquoted is the message without the values a database quotes.
func (p *problem) unquoted() string {
	if at := databaseQuote.FindStringIndex(p.message); at != nil {
		return p.message[:at[0]]
	}
	return p.message
}

// reason says why the site refused a record, for people, without anything of
// what was sent in it.
func (p *problem) reason(sent map[string]any) string {
	message := p.unquoted()
	for _, value := range sent {
		if text, ok := value.(string); ok && utf8.RuneCountInString(text) >= 3 {
			message = strings.ReplaceAll(message, text, "…")
		}
	}
	message = strings.TrimSpace(message)
	if message == "" {
		return fmt.Sprintf("the CRM refused the record (HTTP %d)", p.status)
	}
	return fmt.Sprintf("the CRM refused the record (HTTP %d): %s", p.status, brief(message))
}

// against is what the site says against a reading, to stand behind what was read; the name of a column it lacks, say. It is empty
// where the reading asked by a text: a person's phone or e-mail, which the site may repeat.
func (p *problem) against(asked []string) string {
	if p.message == "" || strings.Contains(strings.Join(asked, ""), "'") {
		return ""
	}
	return ": " + brief(p.unquoted())
}

func brief(message string) string {
	if runes := []rune(message); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return message
}
