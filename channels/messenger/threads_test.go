package messenger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
)

// withBot is a page whose default app is a bot.
func withBot(t *testing.T) (fixture, <-chan channels.Request) {
	f := setUp(t)
	posted := f.hooked(t)
	f.page.Subscribe(f.bot, "messages", "messaging_handovers", "standby")
	f.page.Default(f.bot)
	return f, posted
}

// A bot's conversation from its beginning to an agent's answer.
func TestBotHandsOver(t *testing.T) {
	f, posted := withBot(t)
	f.ann.Write("what are your hours?")
	asked := f.event(t, posted)
	assert.Equal(t, channels.Message, asked.Kind)
	assert.True(t, asked.Standby, "S3.56 S3.60: what the bot is asked is told to us as well, and that nobody else is to answer")

	require.NoError(t, f.ann.Answer(f.bot, "nine to five"))
	answered := f.event(t, posted)
	assert.Equal(t, channels.Echo, answered.Kind)
	assert.True(t, answered.Standby)
	assert.Equal(t, "nine to five", answered.Text, "S3.56: what the bot says is recorded")
	assert.Equal(t, &channels.EchoNote{App: botApp, Bot: true}, answered.Echo, "S3.61: it is nobody's of ours")

	e := asError(t, f.send(t, "an agent interrupts"))
	assert.Equal(t, channels.Elsewhere, e.Outcome, "S3.59: Facebook does not let us write while the bot owns the thread")
	assert.Contains(t, e.Reason, "another app holds this conversation")

	f.ann.Pass(f.app, "a human is needed")
	passed := f.event(t, posted)
	assert.Equal(t, &channels.ControlNote{Owner: channels.OwnedByUs, App: ourApp}, passed.Control, "S3.59: a thread passed to us is for an agent")
	assert.Equal(t, "2", passed.User.ID)
	require.NoError(t, f.send(t, "how can I help?"))
	<-posted
	f.ann.Write("thanks")
	assert.False(t, f.event(t, posted).Standby, "S3.59: now the conversation is ours")

	f.ann.Take(f.bot)
	assert.Equal(t, &channels.ControlNote{Owner: channels.OwnedByOther, App: botApp}, f.event(t, posted).Control)
	f.ann.Write("one more thing")
	assert.True(t, f.event(t, posted).Standby)
}

func TestThreads(t *testing.T) {
	f, posted := withBot(t)
	f.ann.Write("hello")
	<-posted
	require.Equal(t, botApp, f.ann.Owner(), "the default app has the new conversation")

	e := asError(t, f.Take(t.Context(), f.ch, "2"))
	assert.Equal(t, channels.Permanent, e.Outcome, "c10: who is not the default app cannot take what another app holds")
	assert.Contains(t, e.Reason, "ask for it")
	require.NoError(t, f.Request(t.Context(), f.ch, "2"))
	e = asError(t, f.Release(t.Context(), f.ch, "2"))
	assert.Equal(t, channels.Permanent, e.Outcome, "what is not ours cannot be released")

	f.page.Default(f.app)
	require.NoError(t, f.Take(t.Context(), f.ch, "2"), "c10: the default app can")
	assert.Equal(t, ourApp, f.ann.Owner())
	require.NoError(t, f.Take(t.Context(), f.ch, "2"), "repeating it is harmless")
	<-posted // Facebook tells who had it, which was ourselves

	f.ann.Ask(f.bot)
	wish := f.event(t, posted)
	assert.Equal(t, &channels.ControlNote{Owner: channels.Asked, App: botApp}, wish.Control)
	require.NoError(t, f.Pass(t.Context(), f.ch, "2", botApp))
	assert.Equal(t, botApp, f.ann.Owner())

	require.NoError(t, f.Take(t.Context(), f.ch, "2"))
	require.NoError(t, f.Pass(t.Context(), f.ch, "2", ""))
	assert.Equal(t, PageInbox, f.ann.Owner(), "without an app it goes to the page's inbox")
	require.NoError(t, f.Take(t.Context(), f.ch, "2"))
	require.NoError(t, f.Release(t.Context(), f.ch, "2"))
	assert.Empty(t, f.ann.Owner())

	require.NoError(t, f.send(t, "who answers has it"))
	assert.Equal(t, ourApp, f.ann.Owner())
	f.clock.advance(24 * time.Hour)
	assert.Empty(t, f.ann.Owner(), "and loses it in the end")

	for name, row := range map[string]struct {
		fault double.Fault
		want  channels.Outcome
	}{
		"unclear":         {messengertest.Refuse(1, 99, "x"), channels.RetryAt},
		"connection lost": {double.Drop(), channels.RetryAt},
		"a dead token":    {messengertest.Refuse(190, 0, "x"), channels.Broken},
		"no such person":  {messengertest.Refuse(100, 2018001, "No matching user found"), channels.Permanent},
		"a limit":         {messengertest.TooFast(7), channels.RetryAt},
	} {
		t.Run(name, func(t *testing.T) {
			f.server.FailNext("take_thread_control", row.fault)
			assert.Equal(t, row.want, asError(t, f.Take(t.Context(), f.ch, "2")).Outcome)
		})
	}
}
