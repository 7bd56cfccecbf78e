package telegramtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// §4: a 2xx answer to a webhook may carry a method call; getters and webhook methods there are ignored.
func TestTheAnswerToAWebhookMayBeACall(t *testing.T) {
	s := New()
	defer s.Close()
	bot := s.AddBot("1:secret", "b")
	answers := make(chan string, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, <-answers)
	}))
	defer hook.Close()
	res, err := http.Get(s.URL + "/bot1:secret/setWebhook?url=" + hook.URL)
	require.NoError(t, err)
	_ = res.Body.Close()
	ann := bot.Customer(5, "Ann")
	for i, answer := range []string{`{"method":"sendMessage","chat_id":5,"text":"hi"}`, `{"method":"deleteWebhook"}`, `{"method":"getMe"}`, `not JSON`, ``} {
		answers <- answer
		ann.Write("hello")
		require.NoError(t, bot.WaitDelivered(t.Context()), i)
	}
	inbox := ann.Inbox()
	require.Len(t, inbox, 1)
	assert.Equal(t, "hi", inbox[0].Text)
	assert.NotEmpty(t, bot.Webhook().URL)
	assert.Zero(t, bot.Calls("getMe"))
}
