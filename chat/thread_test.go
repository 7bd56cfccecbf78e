package chat_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"waggle/chat"
)

func TestTold_S3_59(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_780_000_000+int64(s), 0) }
	bot, ours := chat.Thread{Owner: chat.ThreadOthers, App: "7", At: at(5)}, chat.Thread{Owner: chat.ThreadOurs, At: at(5)}
	for _, row := range []struct {
		name        string
		known, word chat.Thread
		want        chat.Thread
		news        bool
	}{
		{"the first word", chat.Thread{}, bot, bot, true},
		{"the same again", bot, bot, bot, false},
		{"the same, later", bot, chat.Thread{Owner: chat.ThreadOthers, App: "7", At: at(6)}, chat.Thread{Owner: chat.ThreadOthers, App: "7", At: at(6)}, false},
		{"passed to us", bot, chat.Thread{Owner: chat.ThreadOurs, App: "1", At: at(6)}, chat.Thread{Owner: chat.ThreadOurs, At: at(6)}, true},
		{"passed to us before the bot took it, told afterwards", bot, chat.Thread{Owner: chat.ThreadOurs, At: at(4)}, bot, false},
		{"a message on standby of before it was passed to us", ours, chat.Thread{Owner: chat.ThreadOthers, At: at(4)}, ours, false},
		{"taken by another in the same moment as it became ours", ours, bot, bot, true},
		{"a message on standby does not say by whom", bot, chat.Thread{Owner: chat.ThreadOthers, At: at(6)}, chat.Thread{Owner: chat.ThreadOthers, App: "7", At: at(6)}, false},
		{"nor does the first one", ours, chat.Thread{Owner: chat.ThreadOthers, At: at(6)}, chat.Thread{Owner: chat.ThreadOthers, At: at(6)}, true},
		{"from one app to another", bot, chat.Thread{Owner: chat.ThreadOthers, App: "8", At: at(6)}, chat.Thread{Owner: chat.ThreadOthers, App: "8", At: at(6)}, true},
		{"nobody's", bot, chat.Thread{Owner: chat.ThreadNobodys, At: at(6)}, chat.Thread{Owner: chat.ThreadNobodys, At: at(6)}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			after, news := row.known.Told(row.word)
			assert.Equal(t, row.want, after)
			assert.Equal(t, row.news, news)
		})
	}
}

// Whatever the order and however often, the latest word decides.
func TestToldInAnyOrder(t *testing.T) {
	words := []chat.Thread{
		{Owner: chat.ThreadOthers, App: "7", At: time.Unix(1, 0)}, {Owner: chat.ThreadOurs, At: time.Unix(2, 0)},
		{Owner: chat.ThreadOthers, App: "8", At: time.Unix(3, 0)}, {Owner: chat.ThreadNobodys, At: time.Unix(4, 0)},
	}
	permutations(words, func(order []chat.Thread) {
		var known chat.Thread
		for _, w := range append(order, order...) {
			known, _ = known.Told(w)
		}
		assert.Equal(t, words[3], known)
	})
}

func permutations(of []chat.Thread, f func([]chat.Thread)) {
	var walk func(done, left []chat.Thread)
	walk = func(done, left []chat.Thread) {
		if len(left) == 0 {
			f(append([]chat.Thread(nil), done...))
		}
		for i := range left {
			rest := append(append([]chat.Thread(nil), left[:i]...), left[i+1:]...)
			walk(append(append([]chat.Thread(nil), done...), left[i]), rest)
		}
	}
	walk(nil, of)
}

func TestBotTimeout(t *testing.T) {
	zero, three := 0, 3
	assert.Equal(t, chat.Setting{Value: 5, Source: chat.SourceDefault}, chat.BotTimeout(nil))
	assert.Equal(t, chat.Setting{Value: 3, Source: chat.SourceHere}, chat.BotTimeout(&three))
	assert.Equal(t, chat.Setting{Value: 0, Source: chat.SourceHere}, chat.BotTimeout(&zero), "0 switches it off")
}
