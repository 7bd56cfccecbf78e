package x

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/x/xtest"
)

// polling is a fixture that polls, a minute later at each call.
func polling(t *testing.T) (*fixture, func(offset string) ([]string, string)) {
	f := setUp(t)
	f.ch.Receive, f.ch.HookURL = channels.Polling, ""
	f.clock.advance(time.Second) // past the channel's making
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	return &f, func(offset string) ([]string, string) {
		d, next, err := f.Poll(t.Context(), f.ch, offset)
		require.NoError(t, err)
		return texts(d), next
	}
}

func texts(d channels.Delivery) (all []string) {
	for _, e := range d.Events {
		all = append(all, e.Text)
	}
	return all
}

// Polling works without a public URL: oldest first, with names, own messages as echoes.
func TestPoll(t *testing.T) {
	f, poll := polling(t)
	got, next := poll("")
	assert.Empty(t, got, "§3 an empty list has no data")
	assert.NotEmpty(t, next)
	f.ann.Write("1")
	first, err := f.Send(t.Context(), f.ch, channels.Part{UserID: annID, Text: "2"})
	require.NoError(t, err)
	f.ann.Write("3")
	d, after, err := f.Poll(t.Context(), f.ch, next)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2", "3"}, texts(d))
	assert.Equal(t, channels.User{ID: annID, Name: "Jordan Brinks", Username: "furiouscamper"}, d.Events[0].User, "S4.6")
	assert.Equal(t, channels.Echo, d.Events[1].Kind, "S4.2 §3 own messages are in the list too")
	assert.Equal(t, first.MessageID, d.Events[1].MessageID)
	assert.Equal(t, annID, d.Events[1].User.ID)

	again, same, err := f.Poll(t.Context(), f.ch, next)
	require.NoError(t, err)
	assert.Equal(t, d.Events, again.Events, "a crash before the commit brings them again")
	assert.Equal(t, after, same)
	got, unchanged := poll(after)
	assert.Empty(t, got)
	assert.Equal(t, after, unchanged)
	f.ann.Write("4")
	got, _ = poll(after)
	assert.Equal(t, []string{"4"}, got)
}

// The same message has the same key by both ways.
func TestPollAndWebhookAgree(t *testing.T) {
	f := setUp(t)
	f.clock.advance(time.Second)
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	f.ann.SendFile("photo", []byte("jpeg"), "look")
	pushed, err := f.Webhook(t.Context(), f.ch, <-f.posted)
	require.NoError(t, err)
	polled, _, err := f.Poll(t.Context(), f.ch, "")
	require.NoError(t, err)
	require.Len(t, polled.Events, 1)
	assert.Equal(t, pushed.Events[0].Key, polled.Events[0].Key)
	assert.Equal(t, pushed.Events[0].MessageID, polled.Events[0].MessageID)
	assert.Equal(t, pushed.Events[0].At, polled.Events[0].At)
	assert.Equal(t, "look", pushed.Events[0].Text)
	assert.Equal(t, "look", polled.Events[0].Text)
	assert.Equal(t, pushed.Events[0].Attachments, polled.Events[0].Attachments)
}

// What was written before the channel was connected is history: the first time and each time after (b39, S2.27).
func TestPollBeginsWithTheConnection(t *testing.T) {
	f, poll := polling(t)
	next := ""
	for _, part := range []string{"first", "second"} {
		f.ann.Write("written while it was not connected, " + part)
		f.clock.advance(10 * time.Second)
		f.ch.Since = f.clock.Now()
		f.ann.Write("in the same millisecond, " + part)
		got, after := poll(next)
		assert.Equal(t, []string{"in the same millisecond, " + part}, got)
		next = after
	}
}

// A pass that was under way when the channel was disconnected is forgotten with what it had seen.
func TestPollForgetsAPassOfAnotherConnection(t *testing.T) {
	f, poll := polling(t)
	_, start := poll("")
	for i := range 150 {
		f.ann.Write(fmt.Sprint(i))
	}
	_, _ = poll(start) // a first page
	f.clock.advance(time.Second)
	f.ch.Since = f.clock.Now()
	f.ann.Write("since connected")
	got, _ := poll(start)
	assert.Equal(t, []string{"since connected"}, got)
}

// More than a page: one call a minute, newest first, and nothing is handed over or confirmed before the pass is complete.
func TestPollManyPages(t *testing.T) {
	f, poll := polling(t)
	_, start := poll("")
	var want []string
	for i := range 250 {
		want = append(want, fmt.Sprint(i))
		f.ann.Write(fmt.Sprint(i))
	}
	before := f.clock.Now()
	for range 2 {
		got, next := poll(start)
		assert.Empty(t, got)
		assert.Equal(t, start, next, "the watermark moves only after a complete pass")
	}
	f.ann.Write("meanwhile")
	next := start
	for _, part := range [][]string{want[:100], want[100:200], want[200:]} {
		for range 2 {
			got, _ := poll(next)
			require.Equal(t, part, got, "oldest first, as much at a time as a page holds, and again until it is confirmed")
		}
		_, next = poll(next)
	}
	assert.Equal(t, 3*time.Minute, f.clock.Now().Sub(before), "one call a minute, and none for what was fetched already")
	got, _ := poll(next)
	assert.Equal(t, []string{"meanwhile"}, got)
}

// A page that X did not give is asked for again. A pass whose page it refuses, or whose offset somebody else has moved, is begun
// anew: nothing is lost.
func TestPollBrokenPass(t *testing.T) {
	f, poll := polling(t)
	_, start := poll("")
	for i := range 150 {
		f.ann.Write(fmt.Sprint(i))
	}
	_, _ = poll(start)
	f.server.FailNext("events", xtest.ServerError())
	_, next, err := f.Poll(t.Context(), f.ch, start)
	assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
	assert.Equal(t, start, next)
	got, half := poll(start)
	assert.Len(t, got, 100)
	got, end := poll(half)
	assert.Len(t, got, 50)

	for i := range 150 {
		f.ann.Write(fmt.Sprint(i))
	}
	_, _ = poll(end) // a first page
	f.server.FailNext("events", xtest.Refuse(400, `{"title":"Invalid Request"}`))
	got, _ = poll(end)
	assert.Empty(t, got, "the way back is lost")
	got, _ = poll(end)
	assert.Empty(t, got, "from the first page again")
	f.server.FailNext("events", xtest.Refuse(400, `{"title":"Invalid Request"}`))
	_, next, err = f.Poll(t.Context(), f.ch, end)
	assert.Equal(t, channels.Refused, asError(t, err).Outcome, "who is refused again says so")
	assert.Equal(t, end, next)
	got, _ = poll(end)
	assert.Empty(t, got, "and begins anew all the same")
	got, _ = poll(end)
	assert.Len(t, got, 100)

	f, poll = polling(t)
	_, start = poll("")
	for i := range 150 {
		f.ann.Write(fmt.Sprint(i))
	}
	_, _ = poll(start) // a first page
	got, _ = poll(f.ann.Write("last"))
	assert.Empty(t, got, "another offset, another pass")
}

// At most one call a minute, whoever asks how often; the wait ends before ctx does.
func TestPollKeepsItsMinute(t *testing.T) {
	f, poll := polling(t)
	_, next := poll("")
	calls := f.server.Calls("events")
	for range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // far less than the minute
		waited := time.Duration(0)
		f.wait = func(_ context.Context, d time.Duration) error { waited += d; return nil }
		_, same, err := f.Poll(ctx, f.ch, next)
		cancel()
		require.NoError(t, err)
		assert.Equal(t, next, same)
		assert.Positive(t, waited, "it does not spin")
		assert.Less(t, waited, time.Second)
	}
	assert.Equal(t, calls, f.server.Calls("events"))
	f.still()
	began := f.clock.Now()
	for range 20 {
		_, next = poll(next)
	}
	assert.GreaterOrEqual(t, f.clock.Now().Sub(began), 20*time.Minute, "§3 15 calls in 15 minutes are never used up")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, same, err := f.Poll(ctx, f.ch, next)
	require.NoError(t, err)
	assert.Equal(t, next, same)
}

func TestPollErrors(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault double.Fault
		want  channels.Outcome
		words string
	}{
		{"S4.13 §6 403 permission", xtest.Refuse(403, `{"type":"https://api.x.com/2/problems/oauth1-permissions","status":403,"title":"Forbidden"}`), channels.Refused, "Regenerate"},
		{"§0 the old code 93", xtest.Refuse(403, `{"errors":[{"code":93,"message":"This application is not allowed to access or delete your direct messages."}]}`), channels.Refused, "Regenerate"},
		{"§6 401", xtest.Refuse(401, `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`), channels.Refused, "AccessToken"},
		{"§6 400", xtest.Refuse(400, `{"title":"Invalid Request"}`), channels.Refused, "Invalid Request"},
		{"§6 5xx", xtest.ServerError(), channels.RetryAt, "no clear answer"},
		{"HTML", double.BadGateway(), channels.RetryAt, "no clear answer"},
		{"a list that is too long", xtest.Refuse(200, `{"data":[`+strings.Repeat(`{},`, 100)+`{}]}`), channels.RetryAt, "no clear answer"},
		{"no JSON", xtest.Refuse(200, `<html>`), channels.RetryAt, "no clear answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, _ := polling(t)
			f.server.FailNext("events", row.fault)
			_, next, err := f.Poll(t.Context(), f.ch, "77")
			e := asError(t, err)
			assert.Equal(t, row.want, e.Outcome)
			assert.Contains(t, e.Reason, row.words)
			assert.Equal(t, "77", next, "nothing is confirmed by a failure")
		})
	}
	t.Run("§3 429 with x-rate-limit-reset", func(t *testing.T) {
		f, poll := polling(t)
		f.shop.UseUp("events", false)
		_, _, err := f.Poll(t.Context(), f.ch, "77")
		e := asError(t, err)
		assert.Equal(t, channels.RetryAt, e.Outcome)
		assert.WithinDuration(t, f.clock.Now().Add(15*time.Minute), e.At, time.Second)
		f.clock.advance(15 * time.Minute)
		_, _ = poll("77")
	})
	t.Run("b44 a channel without its keys", func(t *testing.T) {
		f, _ := polling(t)
		_, _, err := f.Poll(t.Context(), channels.Channel{}, "1")
		assert.Equal(t, channels.Refused, asError(t, err).Outcome)
	})
}

// Without credits polling rests, probes, and goes on where it was.
func TestPollWithoutCredits(t *testing.T) {
	for name, body := range map[string]string{"A": xtest.NoCreditsOld, "B": xtest.NoCreditsNew} {
		t.Run("§6 402 "+name, func(t *testing.T) {
			f, poll := polling(t)
			_, next := poll("")
			f.ann.Write("while there were none")
			f.app.SpendCredits(body)
			_, same, err := f.Poll(t.Context(), f.ch, next)
			e := asError(t, err)
			assert.Equal(t, channels.RetryAt, e.Outcome)
			assert.Equal(t, f.clock.Now().Add(15*time.Minute), e.At, "it rests")
			assert.Contains(t, e.Reason, "no credits")
			assert.Equal(t, next, same)
			f.app.TopUp()
			got, _ := poll(next)
			assert.Equal(t, []string{"while there were none"}, got)
		})
	}
}

func TestPollIgnores(t *testing.T) {
	f, poll := polling(t)
	_, next := poll("")
	f.ann.Write("1")
	f.ann.WriteInGroup("to many")
	d, after, err := f.Poll(t.Context(), f.ch, next)
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, texts(d))
	assert.Equal(t, map[string]int{"group": 1}, d.Ignored)
	newest := strconv.FormatInt(1<<62, 10)
	f.server.FailNext("events", xtest.Refuse(200, `{"data":[{"id":"x"},{"id":"`+newest+`","event_type":"ParticipantsJoin"},{"id":"`+newest+`","text":"no sender","dm_conversation_id":"1-2"}]}`))
	d, after, err = f.Poll(t.Context(), f.ch, after)
	require.NoError(t, err)
	assert.Empty(t, d.Events)
	assert.Equal(t, map[string]int{"malformed": 2, "other": 1}, d.Ignored)
	assert.Equal(t, newest, after)
}

// S4.3: what a webhook did not deliver is read once, from where the gap began, and each message is the one it would have been.
func TestReread(t *testing.T) {
	f := setUp(t)
	f.clock.advance(time.Second)
	f.ann.Write("before it was connected")
	f.clock.advance(time.Second)
	f.ch.Since = f.clock.Now()
	require.NoError(t, f.Connect(t.Context(), f.ch, channels.ConnectOptions{}))
	asked := f.clock.Now()
	reread := func(offset string) ([]string, string) {
		asked = asked.Add(time.Hour) // another reading
		d, next, done, err := f.Reread(t.Context(), f.ch, offset, asked)
		require.NoError(t, err)
		require.True(t, done)
		return texts(d), next
	}
	got, _ := reread("")
	assert.Empty(t, got, "b39")
	for i := range 300 {
		f.ann.Write(fmt.Sprint("long ago, ", i))
		_, err := f.Webhook(t.Context(), f.ch, <-f.posted)
		require.NoError(t, err)
	}
	f.clock.advance(time.Hour)
	f.ch.Since = f.clock.Now()
	f.ann.Write("delivered")
	delivered, err := f.Webhook(t.Context(), f.ch, <-f.posted)
	require.NoError(t, err)
	f.app.Invalidate()
	f.ann.Write("missed")
	f.app.Revalidate()
	before := f.shop.Listed()
	d, second, done, err := f.Reread(t.Context(), f.ch, "", asked)
	require.NoError(t, err)
	require.True(t, done)
	assert.Equal(t, []string{"delivered", "missed"}, texts(d))
	assert.Equal(t, delivered.Events[0], d.Events[0], "a repeat is known as one")
	assert.Empty(t, f.posted)
	assert.LessOrEqual(t, f.shop.Listed()-before, 10, "§7 X takes money for what it lists: no more than the gap, and what a page holds")
	got, same := reread(second)
	assert.Empty(t, got)
	assert.Equal(t, second, same)

	t.Run("more than a little: a page's worth at a time, oldest first", func(t *testing.T) {
		f.app.Invalidate()
		for i := range 130 {
			f.ann.Write(fmt.Sprint(i))
		}
		began, asked := f.clock.Now(), f.clock.Now()
		for range 2 {
			d, next, done, err := f.Reread(t.Context(), f.ch, second, asked)
			require.NoError(t, err)
			assert.False(t, done)
			assert.Empty(t, d.Events)
			assert.Equal(t, second, next)
		}
		d, next, done, err := f.Reread(t.Context(), f.ch, second, asked)
		require.NoError(t, err)
		assert.False(t, done)
		assert.Len(t, d.Events, 100)
		assert.Equal(t, "0", d.Events[0].Text)
		d, _, done, err = f.Reread(t.Context(), f.ch, next, asked)
		require.NoError(t, err)
		assert.True(t, done)
		assert.Len(t, d.Events, 30)
		assert.GreaterOrEqual(t, f.clock.Now().Sub(began), 2*time.Minute, "§3 within X's budget")
	})
	t.Run("what is asked for while it is under way is another reading", func(t *testing.T) {
		asked := f.clock.Now()
		_, _, done, err := f.Reread(t.Context(), f.ch, second, asked)
		require.NoError(t, err)
		require.False(t, done, "the first page of some")
		f.ann.Write("later than that page")
		asked = f.clock.Now()
		var all []string
		for next := second; !done; {
			d, next, done, err = f.Reread(t.Context(), f.ch, next, asked)
			require.NoError(t, err)
			all = append(all, texts(d)...)
		}
		assert.Len(t, all, 131)
		assert.Equal(t, "later than that page", all[130])
	})
	t.Run("a failure is not the end", func(t *testing.T) {
		f.server.FailNext("events", xtest.ServerError())
		_, next, done, err := f.Reread(t.Context(), f.ch, second, f.clock.Now())
		assert.Equal(t, channels.RetryAt, asError(t, err).Outcome)
		assert.False(t, done)
		assert.Equal(t, second, next)
	})
	t.Run("a call that has no time yet is not the end", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, done, err := f.Reread(ctx, f.ch, second, f.clock.Now())
		require.NoError(t, err)
		assert.False(t, done)
	})
}

// A gap that began when the documented messages of wire/x.md §3 and §5.4 were written has them, and nothing from before.
func TestRereadBeginsWithTheGap(t *testing.T) {
	for id, at := range map[string]time.Time{
		"954491830116155396":  time.UnixMilli(1516403560557), // §5.4 created_timestamp
		"1582838499983564806": bornAt("1582838499983564806"),
	} {
		n, err := strconv.ParseInt(id, 10, 64)
		require.NoError(t, err)
		f := setUp(t)
		list := ""
		for _, id := range []int64{n + 1<<22, n, n - 1<<22} { // the same moment, a millisecond after and one before
			list += fmt.Sprintf(`{"id":"%d","event_type":"MessageCreate","text":"Hi","sender_id":"%s","dm_conversation_id":"%s-%s"},`, id, annID, annID, shopID)
		}
		f.ch.Since = at
		f.server.FailNext("events", xtest.Refuse(200, `{"data":[`+strings.TrimSuffix(list, ",")+`],"meta":{"next_token":"more"}}`))
		d, next, done, err := f.Reread(t.Context(), f.ch, "", f.clock.Now())
		require.NoError(t, err)
		require.True(t, done, "what is older is not asked for")
		require.Len(t, d.Events, 2)
		assert.Equal(t, id, d.Events[0].MessageID)
		assert.Equal(t, d.Events[1].MessageID, next)
	}
}

// The ids of wire/x.md §5.4 and §2: when they were made, and which is later.
func TestIDs(t *testing.T) {
	assert.EqualValues(t, 1516403560557, bornAt("954491830116155396").UnixMilli(), "§5.4 created_timestamp of the documented event")
	assert.Equal(t, "2022-10-19T20:58:00Z", bornAt("1582838499983564806").Truncate(time.Minute).Format(time.RFC3339), "§3 created_at of the documented event")
	at := time.UnixMilli(1516403560557)
	assert.True(t, later("954491830116155396", idAt(at)))
	assert.False(t, later("954491830116155396", idAt(at.Add(time.Millisecond))))
	assert.Equal(t, idAt(time.Time{}), idAt(time.UnixMilli(0)), "before X there was nothing")
	sorted := []string{"9", "10", "99", "1582838499983564806", "9223372036854775807"}
	assert.True(t, slices.IsSortedFunc(sorted, func(a, b string) int {
		if later(a, b) {
			return 1
		}
		return -1
	}), "by number, not by character")
}

func TestPageStaysSmall(t *testing.T) {
	const n = 100_000
	for name, body := range map[string]string{
		"events":     `{"data":[` + strings.Repeat(`{},`, n) + `{}]}`,
		"users":      `{"includes":{"users":[` + strings.Repeat(`{},`, n) + `{}]}}`,
		"media keys": `{"data":[{"attachments":{"media_keys":[` + strings.Repeat(`"",`, n) + `""]}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			assert.LessOrEqual(t, allocated(func() { _ = channels.Decode([]byte(body), &page{}) }), uint64(10*len(body)+96<<10))
		})
	}
}

func FuzzPage(f *testing.F) {
	f.Add(`{"data":[{"id":"5","event_type":"MessageCreate","text":"Hi","sender_id":"3001969357","dm_conversation_id":"3001969357-4337869213","created_at":"2022-10-19T20:58:00.000Z"}]}`)
	f.Add(`{"data":[{"id":"5","sender_id":"4337869213","dm_conversation_id":"-","attachments":{"media_keys":["a"]}}],"includes":{"media":[{"media_key":"a","type":"video","variants":[]}]},"meta":{"next_token":"x"}}`)
	f.Add(`{"meta":{"result_count":0}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var answer page
		if json.Unmarshal([]byte(body), &answer) != nil {
			return
		}
		p := pass{mark: "4"}
		if more := p.add(answer, shopID); more {
			require.NotEmpty(t, answer.Meta.NextToken)
		}
		if p.newest != "" {
			require.True(t, later(p.newest, "4"))
		}
		checkEvents(t, p.d)
	})
}
