package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/custom"
	"waggle/guard"
)

// The sample a stranger copies must work with our adapter, in both directions.
func TestSampleSpeaksTheProtocol(t *testing.T) {
	client, err := guard.New(guard.Policy{AllowHosts: []string{"127.0.0.1"}})
	require.NoError(t, err)
	a := custom.New(client, time.Now)
	ch := channels.Channel{ID: uuid.New(), Fields: map[string]string{custom.FieldCode: code, custom.FieldPublicURL: "https://crm.example.com"}}

	var got channels.Delivery
	waggle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, err = a.Webhook(r.Context(), ch, channels.Request{Method: r.Method, Header: r.Header.Get, Body: body})
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer waggle.Close()
	sample := httptest.NewServer(routes())
	defer sample.Close()
	ch.Fields[custom.FieldWebhook], ch.HookURL = sample.URL+"/webhook", waggle.URL

	account, err := a.Verify(t.Context(), ch)
	require.NoError(t, err)
	assert.Equal(t, "Sample messenger", account.Name)
	require.NoError(t, a.Connect(t.Context(), ch, channels.ConnectOptions{}))

	for range 2 {
		sent, err := a.Send(t.Context(), ch, channels.Part{Key: "k-1", UserID: "ann", Text: "Hi"})
		require.NoError(t, err)
		assert.Equal(t, "k-1", sent.MessageID)
	}

	resp, err := http.Get(sample.URL + "/say?id=1&user=ann&text=Hello")
	require.NoError(t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "200 OK\n", string(answer))
	require.Len(t, got.Events, 1)
	assert.Equal(t, "Hello", got.Events[0].Text)

	stranger := ch
	stranger.Fields = map[string]string{custom.FieldWebhook: ch.Fields[custom.FieldWebhook], custom.FieldCode: "guess"}
	_, err = a.Verify(t.Context(), stranger)
	assert.Equal(t, channels.Refused, channels.AsError(err).Outcome)
}
