package custom_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/custom"
	"waggle/channels/custom/customtest"
)

// The page strangers build from must be true: its examples are tried, its sample server is the one that is tested.

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	return string(text)
}

func TestPageShowsTheSampleServer(t *testing.T) {
	sample, err := os.ReadFile("sample/main.go")
	require.NoError(t, err)
	assert.Contains(t, page(t), "```go\n"+string(sample)+"```")
}

func TestPageTellsTheRules(t *testing.T) {
	for _, want := range []string{"To be confirmed", "X-Confirmation-Code", "10,000 UTF-16", "Retry-After", "idempotency key"} {
		assert.Contains(t, page(t), want)
	}
	for _, status := range []string{"200", "400", "401", "404", "429", "500", "503"} {
		assert.Contains(t, page(t), "\n| "+status+" |")
	}
}

var (
	jsonBlock = regexp.MustCompile("(?s)```json\n(.*?)```")
	curlBody  = regexp.MustCompile(`curl -i "\$(HOOK|WEBHOOK)" -H "X-Confirmation-Code: \$CODE".*\\\n  -d '(.*)'`)
)

func TestPagesExamplesWork(t *testing.T) {
	m := customtest.New(code)
	t.Cleanup(m.Close)
	m.Customer(customtest.Profile{ID: "ann-42"})
	toWaggle := func(body string) {
		d, err := custom.New(http.DefaultClient, clock).Webhook(t.Context(), hooked, request(encodedCode, []byte(body)))
		require.NoError(t, err, body)
		assert.Len(t, d.Events, 1, body)
	}
	toMessenger := func(body string) {
		status, err := m.Post(ctx(t), m.WebhookURL(), code, []byte(body))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, status, body)
	}
	tried := 0
	for _, block := range jsonBlock.FindAllStringSubmatch(page(t), -1) {
		switch body := block[1]; {
		case !strings.Contains(body, `"type"`): // an answer
			continue
		case strings.Contains(body, `"channel"`):
			toMessenger(body)
		default:
			toWaggle(body)
		}
		tried++
	}
	for _, command := range curlBody.FindAllStringSubmatch(page(t), -1) {
		if command[1] == "HOOK" {
			toWaggle(command[2])
		} else {
			toMessenger(command[2])
		}
		tried++
	}
	assert.Equal(t, 5+5, tried, "a new example must be tried too")
	assert.Empty(t, m.Wrong())
}

func TestPagesEncodedCode(t *testing.T) {
	match := regexp.MustCompile(`CODE='(.*)'`).FindStringSubmatch(page(t))
	require.Len(t, match, 2)
	ch := channels.Channel{Fields: map[string]string{custom.FieldCode: "open sesame 🐝"}}
	_, err := custom.New(http.DefaultClient, clock).Webhook(t.Context(), ch, request(match[1], []byte(`{"type":"typing"}`)))
	require.NoError(t, err)
}
