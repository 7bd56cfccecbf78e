package telegram

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/telegram/telegramtest"
)

// hooked connects the bot to a webhook that answers as ours does and hands over what comes.
func (f *fixture) hooked(t *testing.T) <-chan channels.Event {
	t.Helper()
	events := make(chan channels.Event, 20)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d, err := f.Webhook(r.Context(), f.ch, channels.Request{Method: r.Method, Header: r.Header.Get, Query: r.URL.Query().Get, Body: body})
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for _, e := range d.Events {
			events <- e
		}
		_, _ = w.Write(d.Answer)
	}))
	t.Cleanup(hook.Close)
	f.ch.HookURL = hook.URL + "/hooks/telegram/" + f.ch.ID.String()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	return events
}

// What people do in the app, from the double through a real connection into events.
func TestEverythingFromTheDouble(t *testing.T) {
	f := setUp(t)
	events := f.hooked(t)
	ann := f.bot.Customer(5, "Ann")
	ids := ann.SendAlbum(telegramtest.Picture{Data: []byte("one")}, telegramtest.Picture{Data: []byte("two"), Caption: "both"})
	ann.EditCaption(ids[0], "one")
	ann.ReplacePhoto(ids[0], []byte("uno"))
	ann.ShareContact("+43660123")
	ann.ShareLocation(48.2, 16.37)
	require.NoError(t, f.bot.WaitDelivered(t.Context()))
	one, two, edit, replaced, contact, place := <-events, <-events, <-events, <-events, <-events, <-events
	assert.Equal(t, one.Album, two.Album)
	assert.Equal(t, "both", two.Text)
	assert.Equal(t, one.Key, edit.MessageKey)
	assert.Equal(t, one.Attachments, edit.Attachments, "the picture is the same")
	assert.False(t, replaced.Attachments[0].Same(one.Attachments[0]))
	assert.Equal(t, "+43660123", contact.User.Phone)
	assert.Equal(t, &channels.Place{Latitude: 48.2, Longitude: 16.37}, place.Attachments[0].Place)

	press := ann.Press(ann.Buttons("Again?", "Yes", "No"), "yes")
	ann.Block()
	require.NoError(t, f.bot.WaitDelivered(t.Context()))
	require.NoError(t, f.bot.WaitAnswered(t.Context(), press))
	kinds := map[channels.EventKind]channels.Event{}
	for range 2 { // they have queues of their own: any order
		e := <-events
		kinds[e.Kind] = e
	}
	assert.Equal(t, "Yes", kinds[channels.Message].Text)
	assert.Equal(t, "5", kinds[channels.Block].User.ID)
}

func TestPressesWhilePolling(t *testing.T) {
	f := setUp(t)
	f.ch.Receive = channels.Polling
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	ann := f.bot.Customer(5, "Ann")
	late := ann.Press(ann.Buttons("Again?", "Yes"), "yes")
	f.clock.advance(20 * time.Second)
	d, offset, err := f.Poll(t.Context(), f.ch, "")
	require.NoError(t, err, "an answer that comes too late is refused, which concerns nobody")
	require.Len(t, d.Events, 1)
	assert.False(t, f.bot.Answered(late))
	assert.Nil(t, d.Answer)

	late = ann.Press(ann.Buttons("Still there?", "Yes"), "yes")
	f.clock.advance(20 * time.Second)
	press := ann.Press(ann.Buttons("And now?", "Yes"), "yes")
	d, _, err = f.Poll(t.Context(), f.ch, offset)
	require.NoError(t, err)
	require.Len(t, d.Events, 2)
	assert.False(t, f.bot.Answered(late))
	assert.True(t, f.bot.Answered(press), "one that is too old keeps no other from its answer")
}
