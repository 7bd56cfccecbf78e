package custom_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/custom"
	"waggle/channels/custom/customtest"
	"waggle/channels/double"
	"waggle/guard"
)

func adapter(t *testing.T, allow ...string) *custom.Adapter {
	t.Helper()
	client, err := guard.New(guard.Policy{AllowHosts: allow})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return custom.New(client, clock)
}

func messenger(t *testing.T, code string) *customtest.Messenger {
	t.Helper()
	m := customtest.New(code)
	t.Cleanup(m.Close)
	return m
}

func field(t *testing.T, name string) channels.Field {
	t.Helper()
	for _, f := range adapter(t).Describe().Fields {
		if f.Name == name {
			return f
		}
	}
	require.Fail(t, "no such field", name)
	return channels.Field{}
}

func TestTheFormIsTheSeeds(t *testing.T) {
	t.Run("S2.13 Webhook is required and a URL", func(t *testing.T) {
		f := field(t, "Webhook")
		assert.True(t, f.Required)
		assert.True(t, f.URL)
	})
	t.Run("S2.15 Confirmation code is required, S2.16 and never shown again", func(t *testing.T) {
		f := field(t, "ConfirmationCode")
		assert.Equal(t, "Confirmation code", f.Label)
		assert.True(t, f.Required)
		assert.True(t, f.Secret)
	})
	t.Run("S2.18 Company’s public URL is required, S2.19 and filled in", func(t *testing.T) {
		f := field(t, "PublicURL")
		assert.Equal(t, "Company’s public URL", f.Label)
		assert.True(t, f.Required)
		assert.True(t, f.URL)
		assert.Equal(t, "{crm_url}", f.Default)
	})
	t.Run("S2.13 S2.14 S2.16 S2.17 S2.19 the help is the seed's", func(t *testing.T) {
		for name, words := range map[string]string{
			"Webhook":          "copy the webhook, and enter it in this field. It is used to send requests from",
			"ConfirmationCode": "Specify the confirmation code that is used to check whether a request comes from a trusted source. The code is set in the messenger’s settings in any format you prefer",
			"PublicURL":        "In this field, the full address of your company’s CRM is automatically added.",
		} {
			assert.Contains(t, field(t, name).Help, words)
		}
	})
	t.Run("S2.7 administrators only", func(t *testing.T) { assert.True(t, adapter(t).Describe().AdminsOnly) })
	t.Run("S2.6 the kind can start a dialogue", func(t *testing.T) { assert.True(t, adapter(t).Describe().Capabilities.StartDialogue) })
	t.Run("S2.21 the help says what to enter at the messenger", func(t *testing.T) {
		assert.Equal(t, "X-Confirmation-Code", adapter(t).Describe().HookHeader)
		for _, want := range []string{"hook URL", "confirmation code", "percent-encoded", "X-Confirmation-Code"} {
			assert.Contains(t, adapter(t).Describe().HookHelp, want)
		}
	})
	t.Run("a part sent again arrives once", func(t *testing.T) { assert.True(t, adapter(t).Describe().Capabilities.Idempotent) })
	t.Run("c14 says that it is to be confirmed", func(t *testing.T) {
		assert.Contains(t, adapter(t).Describe().Help, "to be confirmed")
	})
}

// codes are confirmation codes as people might choose them (S2.17).
var codes = map[string]string{
	"one character":            "x",
	"spaces":                   "  open  sesame ",
	"quotes":                   `"it's" \ ` + "`so`",
	"emoji":                    "🐝🍯",
	"Cyrillic":                 "пароль",
	"percent and plus":         "100%+20%20",
	"separators":               "a,b;c=d&e/f?g#h:i@j",
	"control characters":       "a\tb\r\nX-Injected: 1",
	"500 characters":           strings.Repeat("c", 500),
	"500 emoji, 6,000 encoded": strings.Repeat("🐝", 500),
}

func TestS2_17_CodeOfAnyFormatWorksOnTheWire(t *testing.T) {
	pattern := regexp.MustCompile(field(t, custom.FieldCode).Pattern)
	for name, c := range codes {
		t.Run(name, func(t *testing.T) {
			assert.True(t, pattern.MatchString(c))
			m := messenger(t, c)
			ch := with(channel(m), custom.FieldCode, c)
			_, err := adapter(t, "127.0.0.1").Verify(ctx(t), ch)
			require.NoError(t, err)
			assert.Empty(t, m.Wrong())
		})
	}
	for name, c := range map[string]string{"empty": "", "501 characters": strings.Repeat("🐝", 501)} {
		t.Run(name+" is refused", func(t *testing.T) { assert.False(t, pattern.MatchString(c)) })
	}
}

func TestS2_9_OneMessengerHasOneAccount(t *testing.T) {
	m := messenger(t, code)
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"https://Shop.Example/hook", "https://shop.example/hook", true},
		{"https://shop.example:443/hook", "https://shop.example/hook", true},
		{"HTTPS://shop.example./hook", "https://shop.example/hook", true},
		{"https://shop.example/hook/", "https://shop.example/hook", true},
		{"https://shop.example", "https://shop.example/", true},
		{"https://shop.example/a/../hook", "https://shop.example/hook", true},
		{"https://shop.example/%68ook", "https://shop.example/hook", true},
		{"https://shop.example/hook#top", "https://shop.example/hook", true},
		{"https://shop.example/hook?b=2&a=1", "https://shop.example/hook?a=1&b=2", true},
		{"https://[2001:DB8::1]:443/hook", "https://[2001:db8::1]/hook", true},
		{"https://shop.example/hook", "https://shop.example/hook2", false},
		{"https://shop.example/hook", "https://shop.example/Hook", false},
		{"https://shop.example/hook", "https://other.example/hook", false},
		{"https://shop.example/hook", "https://shop.example:8443/hook", false},
		{"https://shop.example/hook?shop=1", "https://shop.example/hook?shop=2", false},
	} {
		t.Run(row.a+" "+row.b, func(t *testing.T) {
			a := custom.New(&http.Client{Transport: diverted{m}}, clock)
			first, err := a.Verify(ctx(t), with(channel(m), custom.FieldWebhook, row.a))
			require.NoError(t, err)
			second, err := a.Verify(ctx(t), with(channel(m), custom.FieldWebhook, row.b))
			require.NoError(t, err)
			assert.Equal(t, row.same, first.ID == second.ID, "%s, %s", first.ID, second.ID)
		})
	}
}

// diverted brings every call to one messenger, whatever its address says.
type diverted struct{ m *customtest.Messenger }

func (d diverted) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := http.NewRequestWithContext(r.Context(), r.Method, d.m.WebhookURL(), r.Body)
	if err != nil {
		return nil, err
	}
	to.Header = r.Header
	return http.DefaultTransport.RoundTrip(to)
}

func TestVerifyNamesTheFieldAtFault(t *testing.T) {
	for _, row := range []struct {
		name    string
		fault   double.Fault
		outcome channels.Outcome
		field   string
	}{
		{"S2.20 code refused", customtest.Status(401), channels.Refused, custom.FieldCode},
		{"channel unknown", customtest.Status(404), channels.Refused, custom.FieldWebhook},
		{"not the protocol", customtest.Refuse("what"), channels.Refused, custom.FieldWebhook},
		{"some website", customtest.Page(200), channels.Refused, custom.FieldWebhook},
		{"a login page", customtest.Redirect("/login"), channels.Refused, custom.FieldWebhook},
		{"S2.20 messenger down", customtest.Down(5), channels.RetryAt, ""},
		{"unexpected error", customtest.Status(500), channels.RetryAt, ""},
		{"connection dropped", double.Drop(), channels.RetryAt, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := messenger(t, code)
			a, ch := adapter(t, "127.0.0.1"), channel(m)
			m.Break(row.fault)
			_, err := a.Verify(ctx(t), ch)
			e := channels.AsError(err)
			assert.Equal(t, row.outcome, e.Outcome)
			assert.Equal(t, row.field, e.Field)
			assert.Equal(t, row.outcome, channels.AsError(a.Connect(ctx(t), ch, channels.ConnectOptions{})).Outcome)
			m.Heal()
			account, err := a.Verify(ctx(t), ch)
			require.NoError(t, err, "fixed")
			assert.Equal(t, channels.Account{ID: m.WebhookURL(), Name: "Acme Messenger"}, account)
		})
	}
}

func TestABlockedWebhookTellsWhichSettingWouldAllowIt(t *testing.T) {
	m := messenger(t, code)
	_, err := adapter(t).Verify(ctx(t), channel(m))
	e := channels.AsError(err)
	assert.Equal(t, channels.Refused, e.Outcome)
	assert.Equal(t, custom.FieldWebhook, e.Field)
	assert.Contains(t, e.Reason, "ALLOW_HOSTS")
	_, err = adapter(t).Send(ctx(t), channel(m), channels.Part{Key: "k", UserID: "ann-42", Text: "hi"})
	assert.Equal(t, channels.Broken, channels.AsError(err).Outcome)
}

func TestConnect(t *testing.T) {
	m := messenger(t, code)
	a, ch := adapter(t, "127.0.0.1"), channel(m)
	t.Run("tells the messenger where to send", func(t *testing.T) {
		require.NoError(t, a.Connect(ctx(t), ch, channels.ConnectOptions{}))
		assert.Equal(t, ch.HookURL, m.Hook())
		assert.Equal(t, 1, m.Connects())
	})
	t.Run("S2.27 drops what was kept on reconnecting", func(t *testing.T) {
		m.SetHook("http://127.0.0.1:1/")
		_, err := m.Customer(customtest.Profile{ID: "ann-42"}).Write(ctx(t), "anyone?")
		require.Error(t, err)
		assert.Equal(t, 1, m.Pending())
		require.NoError(t, a.Connect(ctx(t), ch, channels.ConnectOptions{DropPending: true}))
		assert.Zero(t, m.Pending())
	})
	t.Run("needs a public URL", func(t *testing.T) {
		ch.HookURL = ""
		err := a.Connect(ctx(t), ch, channels.ConnectOptions{})
		assert.Equal(t, channels.Refused, channels.AsError(err).Outcome)
	})
	t.Run("S2.22 disconnecting works while the messenger is away", func(t *testing.T) {
		m.RefuseConnections()
		require.NoError(t, a.Disconnect(ctx(t), ch))
	})
	assert.Empty(t, m.Wrong())
}

func TestS2_2_TheUserReceivesTheAnswerOnce(t *testing.T) {
	m := messenger(t, code)
	a, ch := adapter(t, "127.0.0.1"), channel(m)
	ann := m.Customer(customtest.Profile{ID: "ann-42"})
	m.FailNext(double.AfterAccepting(double.Drop()), double.AfterAccepting(customtest.Status(500)))
	part := channels.Part{Key: "k-1", UserID: "ann-42", Text: "Hello", ReplyTo: "m-7"}
	for range 2 {
		_, err := a.Send(ctx(t), ch, part)
		require.Equal(t, channels.RetryAt, channels.AsError(err).Outcome, "the key makes repeating safe")
	}
	first, err := a.Send(ctx(t), ch, part)
	require.NoError(t, err)
	second, err := a.Send(ctx(t), ch, part)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	inbox, err := ann.WaitFor(ctx(t), 1)
	require.NoError(t, err)
	assert.Equal(t, []customtest.Received{{ID: first.MessageID, Key: "k-1", Text: "Hello", ReplyTo: "m-7"}}, inbox)
	assert.Equal(t, 3, m.Repeats("k-1"))
	assert.Empty(t, m.Wrong())
}

func TestReasons(t *testing.T) {
	for _, row := range []struct {
		name, error, want string
	}{
		{"known", "user_blocked", "does not want"},
		{"unknown user", "user_unknown", "does not know this user"},
		{"a word of its own", "outside_hours", "outside_hours"},
		{"free text is not shown", "I will not say Hello", "refuses the request"},
		{"nothing", "", "refuses the request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := messenger(t, code)
			m.FailNext(customtest.Refuse(row.error))
			_, err := adapter(t, "127.0.0.1").Send(ctx(t), channel(m), channels.Part{Key: "k", UserID: "u", Text: "Hello"})
			e := channels.AsError(err)
			assert.Contains(t, e.Reason, row.want)
			assert.NotContains(t, e.Error(), "Hello")
			assert.Empty(t, e.Field, "a field is named when settings are refused")
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, row := range []struct {
		name   string
		header string
		want   time.Time
	}{
		{"seconds", "17", noon.Add(17 * time.Second)},
		{"at once", "0", noon},
		{"a date", noon.Add(time.Minute).Format(http.TimeFormat), noon.Add(time.Minute)},
		{"a date gone by", noon.Add(-time.Minute).Format(http.TimeFormat), noon},
		{"more than an hour counts as an hour", "86400", noon.Add(time.Hour)},
		{"a date in the far future", noon.AddDate(9, 0, 0).Format(http.TimeFormat), noon.Add(time.Hour)},
		{"negative", "-5", time.Time{}},
		{"not a number", "soon", time.Time{}},
		{"missing", "", time.Time{}},
	} {
		for _, status := range []int{429, 503} {
			t.Run(row.name, func(t *testing.T) {
				a := custom.New(&http.Client{Transport: answering{status, row.header}}, clock)
				_, err := a.Send(ctx(t), channels.Channel{Fields: map[string]string{custom.FieldWebhook: "https://shop.example"}}, channels.Part{Key: "k", UserID: "u", Text: "x"})
				e := channels.AsError(err)
				assert.Equal(t, channels.RetryAt, e.Outcome)
				assert.True(t, row.want.Equal(e.At), "%v", e.At)
			})
		}
	}
}

// answering gives every request one answer.
type answering struct {
	status     int
	retryAfter string
}

func TestUntrustedCertificateIsNamed(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report the broken handshake
	srv.StartTLS()
	defer srv.Close()
	_, err := adapter(t, "127.0.0.1").Verify(ctx(t), with(channel(messenger(t, code)), custom.FieldWebhook, srv.URL))
	e := channels.AsError(err)
	assert.Equal(t, channels.RetryAt, e.Outcome)
	assert.Contains(t, e.Reason, "certificate")
}

// huge says that its body is larger than any file that is read.
type huge struct{}

func (huge) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ContentLength: 50<<20 + 1, Body: http.NoBody}, nil
}

func TestOpenFileRefusesWhatIsTooLarge(t *testing.T) {
	_, err := custom.New(&http.Client{Transport: huge{}}, clock).OpenFile(ctx(t), channels.Channel{}, "https://files.example/film")
	e := channels.AsError(err)
	assert.Equal(t, channels.Permanent, e.Outcome)
	assert.Contains(t, e.Reason, "50 MiB")
}

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{}
	h.Set("Retry-After", a.retryAfter)
	return &http.Response{StatusCode: a.status, Header: h, Body: http.NoBody}, nil
}

func TestOpenFile(t *testing.T) {
	m := messenger(t, code)
	a, ch := adapter(t, "127.0.0.1"), channel(m)
	at := m.Upload("Rechnung März.pdf", "application/pdf", []byte("%PDF-1.7"))
	t.Run("streams the file, showing the code to the webhook's origin", func(t *testing.T) {
		f, err := a.OpenFile(ctx(t), ch, at.URL)
		require.NoError(t, err)
		defer f.Close()
		content, err := io.ReadAll(f)
		require.NoError(t, err)
		assert.Equal(t, "%PDF-1.7", string(content))
		assert.EqualValues(t, 8, f.Size)
	})
	t.Run("another origin never sees the code", func(t *testing.T) {
		_, err := a.OpenFile(ctx(t), with(ch, custom.FieldWebhook, "http://localhost:9/"), at.URL)
		e := channels.AsError(err)
		assert.Equal(t, channels.Permanent, e.Outcome, "the double refuses without the code")
	})
	for _, row := range []struct {
		name, ref string
		want      channels.Outcome
	}{
		{"gone", at.URL + "x", channels.Permanent},
		{"metadata service", "https://169.254.169.254/latest/meta-data/", channels.Permanent},
		{"inside", "https://10.0.0.1/", channels.Permanent},
		{"a local file", "file:///etc/passwd", channels.Permanent},
		{"no URL", "receipt.pdf", channels.Permanent},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := a.OpenFile(ctx(t), ch, row.ref)
			e := channels.AsError(err)
			assert.Equal(t, row.want, e.Outcome)
			assert.NotContains(t, e.Error(), code)
		})
	}
	t.Run("messenger away", func(t *testing.T) {
		m.RefuseConnections()
		_, err := a.OpenFile(ctx(t), ch, at.URL)
		assert.Equal(t, channels.RetryAt, channels.AsError(err).Outcome)
	})
}

func TestSendAFile(t *testing.T) {
	m := customtest.New(code)
	t.Cleanup(m.Close)
	ann := m.Customer(customtest.Profile{ID: "ann"})
	a := custom.New(http.DefaultClient, clock)
	content := strings.Repeat("a receipt ", 100_000)
	part := channels.Part{Key: "k-1", UserID: "ann", Text: "here it is", File: &channels.Upload{
		Kind: "document", Name: "re\"ceipt\r\n.pdf", MIME: "application/pdf", Size: int64(len(content)),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}}
	for range 2 { // a repetition under the same key is the same message
		_, err := a.Send(ctx(t), channel(m), part)
		require.NoError(t, err)
	}
	require.Empty(t, m.Wrong())
	require.Len(t, ann.Inbox(), 1)
	got := ann.Inbox()[0]
	assert.Equal(t, "here it is", got.Text)
	assert.Equal(t, content, string(got.File.Content))
	assert.Equal(t, "document", got.File.Kind)
	part.File.Size = 51 << 20
	_, err := a.Send(ctx(t), channel(m), part)
	assert.Equal(t, channels.Permanent, channels.AsError(err).Outcome)
}
