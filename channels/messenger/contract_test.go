package messenger

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"waggle/channels"
	"waggle/channels/channelstest"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
)

func TestContract(t *testing.T) {
	channelstest.Run(t, channelstest.Harness{New: subject})
}

// subject plugs the double into the suite. What comes in is what the double really posts to a webhook.
func subject(t *testing.T, client *http.Client) channelstest.Subject {
	f := setUp(t)
	f.Adapter = New(client, f.server.URL)
	posted := f.hooked(t)
	last := f.ann.Write("the window is open")
	<-posted
	gone := messengertest.New() // an address where nobody is any more
	gone.Close()
	edits := 0
	ignored := func(event map[string]any) channels.Request {
		event["sender"], event["recipient"], event["timestamp"] = map[string]string{"id": "2"}, map[string]string{"id": "1"}, 1780000000000
		f.page.Push(f.app, "messaging", event)
		return <-posted
	}
	other := request(sealed(`{"object":"page","entry":[{"id":"99","time":1,"messaging":[` + said(`"mid":"m_1","text":"x"`) + `]}]}`))
	failingAt := func(edge string, faults ...double.Fault) func() {
		return func() { f.server.FailNext(edge, faults...) }
	}
	failing := func(fault double.Fault) func() { return failingAt("messages", fault) }
	uploading := func(fault double.Fault) func() { return failingAt("message_attachments", fault) }
	f.page.Subscribe(f.bot, "messages", "messaging_handovers", "standby")
	refuse := messengertest.Refuse
	return channelstest.Subject{
		Adapter: f.Adapter, Channel: f.ch, Hosts: []string{strings.TrimPrefix(f.server.URL, "http://"), strings.TrimPrefix(gone.URL, "http://")},
		Secrets: []string{proof(appSecret, f.ch.Fields[FieldToken])},
		Message: func(text string) channels.Request { last = f.ann.Write(text); return <-posted },
		Edit:    func(text string) channels.Request { edits++; f.ann.Edit(last, text, edits); return <-posted },
		Sign:    func(body []byte) channels.Request { return request(sealed(string(body))) },
		Forge: func(body []byte) map[string]channels.Request {
			_, right := sealed(string(body))
			_, wrong := sealed(string(body) + " ")
			return map[string]channels.Request{
				"no signature":       request(body, ""),
				"of another body":    request(body, wrong),
				"half a signature":   request(body, right[:20]),
				"without its prefix": request(body, strings.TrimPrefix(right, "sha256=")),
				"the old algorithm":  request(body, "sha1="+strings.TrimPrefix(right, "sha256=")),
			}
		},
		Ignored: map[string]channels.Request{
			"a reaction":     ignored(map[string]any{"reaction": map[string]any{"reaction": "love", "emoji": "❤", "action": "react", "mid": "m_1"}}),
			"app_roles":      ignored(map[string]any{"app_roles": map[string]any{ourApp: []string{"primary_receiver"}}}),
			"a referral":     ignored(map[string]any{"referral": map[string]any{"ref": "x"}}),
			"an opt-in":      ignored(map[string]any{"optin": map[string]any{"ref": "x"}}),
			"something new":  ignored(map[string]any{"telepathy": true}),
			"another page's": other,
		},
		Reports: channelstest.Reports{
			Echo:      func() channels.Request { return <-posted },
			Lose:      failing(double.AfterAccepting(double.Drop())),
			Elsewhere: func(text string) channels.Request { f.ann.Type(text); return <-posted },
			Arrived:   func(id string) channels.Request { f.ann.Arrive(id); return <-posted },
			Read:      func() channels.Request { f.ann.Read(); return <-posted },
		},
		Files: channelstest.Files{
			Send: func(caption string, pictures ...[]byte) []channels.Request {
				f.ann.SendPictures(caption, pictures...)
				return []channels.Request{<-posted}
			},
			Album: true,
			Lost: []channelstest.Fault{
				{Name: "expired", Set: f.server.ExpireFiles, Want: channels.Permanent},
				{Name: "502 with HTML", Set: failingAt("cdn", double.BadGateway()), Want: channels.RetryAt},
				{Name: "no answer", Set: failingAt("cdn", double.Hang()), Want: channels.RetryAt, Hangs: true},
				{Name: "connection lost", Set: failingAt("cdn", double.Drop(), double.Drop()), Want: channels.RetryAt}, // net/http repeats a GET once
			},
			Received: func() (files []channelstest.File) {
				for _, m := range f.ann.Inbox() {
					if m.File != nil {
						files = append(files, channelstest.File{As: m.FileKind, MIME: m.FileMIME, Name: m.FileName, Caption: m.Text, Content: m.File})
					}
				}
				return files
			},
			Shown: map[string]string{"photo": "image", "document": "file", "voice": "audio", "audio": "audio", "video": "video"},
			Faults: []channelstest.Fault{
				{Name: "the file is refused", Set: uploading(refuse(100, 2018047, "(#100) Upload attachment failure.")), Want: channels.Permanent},
				{Name: "613 for the file", Set: uploading(messengertest.TooFast(17)), Want: channels.RetryAt, Timed: true, Whole: true},
				{Name: "502 with HTML for the file", Set: uploading(double.BadGateway()), Want: channels.RetryAt},
				{Name: "connection lost with the file", Set: uploading(double.Drop()), Want: channels.RetryAt},
				{Name: "connection lost though the file was taken", Set: uploading(double.AfterAccepting(double.Drop())), Want: channels.RetryAt},
				{Name: "connection lost though all was taken", Set: failing(double.AfterAccepting(double.Drop())), Want: channels.Unknown},
			},
		},
		Threads: channelstest.Threads{
			Us: ourApp, Other: botApp, Holder: f.ann.Owner,
			Let:   func() { f.page.Default(f.app) },
			Takes: func() channels.Request { f.ann.Take(f.bot); return <-posted },
			Gives: func() channels.Request { f.ann.Pass(f.app, ""); return <-posted },
			Asks:  func() channels.Request { f.ann.Ask(f.bot); return <-posted },
		},
		UserID: f.ann.PSID,
		Inbox: func() (texts []string) {
			for _, m := range f.ann.Inbox() {
				texts = append(texts, m.Text)
			}
			return texts
		},
		Faults: []channelstest.Fault{
			{Name: "613", Set: failing(messengertest.TooFast(17)), Want: channels.RetryAt, Timed: true, Whole: true},
			{Name: "4 without a time", Set: failing(refuse(4, 0, "(#4) Application request limit reached")), Want: channels.RetryAt, Timed: true, Whole: true},
			{Name: "190", Set: func() { f.page.Revoke() }, Want: channels.Broken},
			{Name: "230", Set: func() { f.page.Forbid("pages_messaging") }, Want: channels.Broken},
			{Name: "551", Set: func() { f.ann.Block() }, Want: channels.Permanent, Block: true},
			{Name: "1", Set: failing(messengertest.RefuseWith(500, 1, 99, "An unknown error occurred")), Want: channels.Unknown},
			{Name: "502 with HTML", Set: failing(double.BadGateway()), Want: channels.Unknown},
			{Name: "no answer", Set: failing(double.Hang()), Want: channels.Unknown, Hangs: true},
			{Name: "no answer though taken", Set: failing(double.AfterAccepting(double.Hang())), Want: channels.Unknown, Hangs: true},
			{Name: "connection lost", Set: failing(double.Drop()), Want: channels.Unknown},
			{Name: "nobody there", Set: func() { f.api.base = gone.URL }, Want: channels.RetryAt},
		},
		Replace: func() channels.Channel { f.page.Revoke(); return with(f.ch, FieldToken, f.page.Token(f.app)) },
		Refusals: map[string]channels.Channel{
			"an unknown token":    with(f.ch, FieldToken, "EAABother"),
			"no token":            with(f.ch, FieldToken, ""),
			"another app secret":  with(f.ch, FieldAppSecret, "other"),
			"a page of no number": with(f.ch, FieldPage, "me"),
		},
	}
}

// requestOf copies a call as the web server does.
func requestOf(r *http.Request) channels.Request {
	body, _ := io.ReadAll(r.Body)
	return channels.Request{Method: r.Method, Header: r.Header.Get, Query: r.URL.Query().Get, Body: body}
}
