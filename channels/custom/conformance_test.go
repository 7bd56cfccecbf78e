package custom_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/custom"
	"waggle/channels/custom/customtest"
	"waggle/channels/double"
)

const code = "open sesame 🐝 \"%+&'"

// noon is the adapter's time in these tests.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// channel is a channel on m.
func channel(m *customtest.Messenger) channels.Channel {
	id := uuid.MustParse("0197a2c4-7c1e-7a3b-9d56-3f8e2b1c4d5e")
	return channels.Channel{
		ID: id,
		Fields: map[string]string{
			custom.FieldWebhook:   m.WebhookURL(),
			custom.FieldCode:      code,
			custom.FieldPublicURL: "https://crm.example.com",
		},
		Receive: channels.Webhook,
		HookURL: "https://waggle.example.com/hooks/custom/" + id.String(),
	}
}

// with returns ch with one field changed.
func with(ch channels.Channel, field, value string) channels.Channel {
	ch.Fields = maps.Clone(ch.Fields)
	ch.Fields[field] = value
	return ch
}

// request is a call of the channel's hook; encoded is the raw header.
func request(encoded string, body []byte) channels.Request {
	return channels.Request{
		Method: http.MethodPost,
		Header: func(name string) string { return map[string]string{"X-Confirmation-Code": encoded}[name] },
		Query:  func(string) string { return "" },
		Body:   body,
	}
}

const encodedCode = "open%20sesame%20%F0%9F%90%9D%20%22%25%2B%26%27"

// The suite also sees to S2.14: nothing is sent anywhere but to the webhook.
func TestConformance_S2_14_NothingGoesElsewhere(t *testing.T) {
	channelstest.Run(t, channelstest.Harness{New: func(t *testing.T, client *http.Client) channelstest.Subject {
		m := customtest.New(code)
		t.Cleanup(m.Close)
		customer := m.Customer(customtest.Profile{ID: "ann-42"})
		blocked := func() { customer.Block(true) }
		n := 0
		event := func(v map[string]any) channels.Request {
			n++
			v["id"], v["user"] = fmt.Sprint(v["type"], n), map[string]string{"id": "ann-42"}
			body, _ := json.Marshal(v)
			return request(encodedCode, body)
		}
		ch := channel(m)
		host := m.WebhookURL()[len("http://") : len(m.WebhookURL())-len("/waggle/webhook")]
		next := func(f double.Fault) func() { return func() { m.FailNext(f) } }
		return channelstest.Subject{
			Adapter: custom.New(client, clock),
			Channel: ch,
			Hosts:   []string{host},
			Secrets: []string{encodedCode},
			Message: func(text string) channels.Request {
				return event(map[string]any{"type": "message", "text": text})
			},
			Edit: func(text string) channels.Request {
				return event(map[string]any{"type": "edit", "message_id": "m-1", "text": text})
			},
			Sign: func(body []byte) channels.Request { return request(encodedCode, body) },
			Forge: func(body []byte) map[string]channels.Request {
				return map[string]channels.Request{
					"no code":             request("", body),
					"wrong code":          request("guess", body),
					"not percent-encoded": request(code, body),
					"longer":              request(encodedCode+"x", body),
					"shorter":             request(encodedCode[:len(encodedCode)-3], body),
					"another case":        request("O"+encodedCode[1:], body),
				}
			},
			Ignored: map[string]channels.Request{"a later type": event(map[string]any{"type": "typing"})},
			Files: channelstest.Files{
				Send: func(caption string, pictures ...[]byte) []channels.Request {
					var attachments []customtest.Attachment
					for _, data := range pictures {
						attachments = append(attachments, m.Upload("photo.jpg", "image/jpeg", data))
					}
					return []channels.Request{event(map[string]any{"type": "message", "text": caption, "attachments": attachments})}
				},
				Album: true,
				Lost: []channelstest.Fault{
					{Name: "gone", Set: m.ForgetFiles, Want: channels.Permanent},
					{Name: "code changed at the messenger", Set: func() { m.SetCode("another") }, Want: channels.Refused},
					{Name: "connection refused", Set: m.RefuseConnections, Want: channels.RetryAt, Whole: true},
				},
				Received: func() (files []channelstest.File) {
					for _, r := range customer.Inbox() {
						if r.File != nil {
							files = append(files, channelstest.File{As: r.File.Kind, MIME: r.File.MIME, Name: r.File.Name, Caption: r.Text, Content: r.File.Content})
						}
					}
					return files
				},
				Shown: map[string]string{"photo": "photo", "document": "document", "voice": "voice", "audio": "audio", "video": "video"},
				Faults: []channelstest.Fault{
					{Name: "not supported", Set: next(customtest.Refuse("not_supported")), Want: channels.Permanent},
					{Name: "connection lost though taken", Set: next(double.AfterAccepting(double.Drop())), Want: channels.RetryAt},
				},
			},
			UserID: "ann-42",
			Inbox: func() []string {
				var texts []string
				for _, r := range customer.Inbox() {
					texts = append(texts, r.Text)
				}
				return texts
			},
			Faults: []channelstest.Fault{
				{Name: "user blocked", Set: blocked, Want: channels.Permanent, Block: true},
				{Name: "400 quoting the message", Set: next(customtest.Refuse("cannot say: the customer's own business, code " + code)), Want: channels.Permanent},
				{Name: "400 as a page", Set: next(customtest.Page(400)), Want: channels.Permanent},
				{Name: "413", Set: next(customtest.Status(413)), Want: channels.Permanent},
				{Name: "code changed at the messenger", Set: func() { m.SetCode("another") }, Want: channels.Broken},
				{Name: "401", Set: next(customtest.Status(401)), Want: channels.Broken},
				{Name: "403", Set: next(customtest.Page(403)), Want: channels.Broken},
				{Name: "404", Set: next(customtest.Status(404)), Want: channels.Broken},
				{Name: "204", Set: next(customtest.Status(204)), Want: channels.Broken},
				{Name: "redirect", Set: next(customtest.Redirect("http://127.0.0.1:1/elsewhere")), Want: channels.Broken},
				{Name: "408", Set: next(customtest.Status(408)), Want: channels.RetryAt},
				{Name: "429", Set: next(customtest.TooManyRequests(17)), Want: channels.RetryAt, Timed: true, Whole: true},
				{Name: "429 without Retry-After", Set: next(customtest.TooManyRequests(0)), Want: channels.RetryAt, Whole: true},
				{Name: "500", Set: next(customtest.Status(500)), Want: channels.RetryAt},
				{Name: "500 after accepting", Set: next(double.AfterAccepting(customtest.Status(500))), Want: channels.RetryAt},
				{Name: "502 as a page", Set: next(customtest.Page(502)), Want: channels.RetryAt},
				{Name: "503", Set: next(customtest.Down(30)), Want: channels.RetryAt, Timed: true, Whole: true},
				{Name: "200 as a page", Set: next(customtest.Page(200)), Want: channels.RetryAt},
				{Name: "200 with null", Set: next(customtest.Answer("null")), Want: channels.RetryAt},
				{Name: "200 with wrong types", Set: next(customtest.Answer(`{"message_id":7}`)), Want: channels.RetryAt},
				{Name: "200 without a body", Set: next(customtest.Answer("")), Want: channels.RetryAt},
				{Name: "200 without end", Set: next(customtest.Answer(`{"message_id":"` + strings.Repeat("x", 1<<20) + `"}`)), Want: channels.RetryAt},
				{Name: "connection dropped", Set: next(double.Drop()), Want: channels.RetryAt},
				{Name: "no answer", Set: next(double.Hang()), Want: channels.RetryAt, Hangs: true},
				{Name: "no answer after accepting", Set: next(double.AfterAccepting(double.Hang())), Want: channels.RetryAt, Hangs: true},
				{Name: "connection refused", Set: m.RefuseConnections, Want: channels.RetryAt, Whole: true},
			},
			Replace: func() channels.Channel { m.SetCode("renewed"); return with(ch, custom.FieldCode, "renewed") },
			Refusals: map[string]channels.Channel{
				"wrong code":          with(ch, custom.FieldCode, "wrong"),
				"another path":        with(ch, custom.FieldWebhook, m.WebhookURL()+"/x"),
				"no URL":              with(ch, custom.FieldWebhook, "webhook"),
				"user in the address": with(ch, custom.FieldWebhook, "https://me:pw@example.com/hook"),
			},
		}
	}})
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}
