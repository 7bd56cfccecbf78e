package chat_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
)

func minutesOf(n int) *int { return &n }

func TestClientPeriod(t *testing.T) {
	for _, tc := range []struct {
		name   string
		in     chat.Period
		want   *int
		raised bool
		err    error
	}{
		{"S0.19 off without minutes", chat.Period{}, nil, false, nil},
		{"S0.20 on with 10", chat.Period{On: true, Minutes: minutesOf(10)}, minutesOf(10), false, nil},
		{"S0.20 on without minutes", chat.Period{On: true}, nil, false, chat.ErrMinutesMissing},
		{"S0.22 5 stays", chat.Period{On: true, Minutes: minutesOf(5)}, minutesOf(5), false, nil},
		{"S0.22 6 stays", chat.Period{On: true, Minutes: minutesOf(6)}, minutesOf(6), false, nil},
		{"S0.23 4 is raised", chat.Period{On: true, Minutes: minutesOf(4)}, minutesOf(5), true, nil},
		{"S0.23 1 is raised", chat.Period{On: true, Minutes: minutesOf(1)}, minutesOf(5), true, nil},
		{"S0.23 0 is raised", chat.Period{On: true, Minutes: minutesOf(0)}, minutesOf(5), true, nil},
		{"S0.43 raised also when off (b25)", chat.Period{Minutes: minutesOf(2)}, minutesOf(5), true, nil},
		{"S0.23 negative is no lower value (b25)", chat.Period{Minutes: minutesOf(-1)}, nil, false, chat.ErrMinutesNegative},
		{"more than a year", chat.Period{Minutes: minutesOf(chat.MaxMinutes + 1)}, nil, false, chat.ErrMinutesTooMany},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, raised, err := chat.ClientPeriod(tc.in)
			require.ErrorIs(t, err, tc.err)
			assert.Equal(t, tc.raised, raised)
			assert.Equal(t, tc.want, got.Minutes)
			assert.Equal(t, tc.in.On && err == nil, got.On)
		})
	}
}

func TestAgentPeriod(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   chat.Period
		err  error
	}{
		{"S0.19 off without minutes", chat.Period{}, nil},
		{"S0.24 on with 3", chat.Period{On: true, Minutes: minutesOf(3)}, nil},
		{"S0.24 on without minutes", chat.Period{On: true}, chat.ErrMinutesMissing},
		{"S0.26 1 stays 1", chat.Period{On: true, Minutes: minutesOf(1)}, nil},
		{"S0.26 0 is no time", chat.Period{Minutes: minutesOf(0)}, chat.ErrMinutesTooFew},
		{"S0.47 on with the minutes cleared", chat.Period{On: true, Minutes: nil}, chat.ErrMinutesMissing},
	} {
		t.Run(tc.name, func(t *testing.T) { require.ErrorIs(t, chat.AgentPeriod(tc.in), tc.err) })
	}
}

func TestPrompts(t *testing.T) {
	const save = "Number of process running instances “BeesenderSaveAfkChats” found 3. Cancel them?"
	const closeOld = "Number of process running instance “BeesenderCloseOldChats” found 12. Cancel them?"
	for _, tc := range []struct {
		name    string
		running map[chat.ProcessName]int
		want    []string
	}{
		{"S0.29 nothing runs: no window", map[chat.ProcessName]int{}, nil},
		{"S0.29 never with 0", map[chat.ProcessName]int{chat.SaveAfkChats: 0, chat.CloseOldChats: 0}, nil},
		{"S0.27 the plural one", map[chat.ProcessName]int{chat.SaveAfkChats: 3}, []string{save}},
		{"S0.28 the singular one", map[chat.ProcessName]int{chat.CloseOldChats: 12}, []string{closeOld}},
		{"S0.30 both, in order", map[chat.ProcessName]int{chat.CloseOldChats: 12, chat.SaveAfkChats: 3}, []string{save, closeOld}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var texts []string
			for _, p := range chat.Prompts(tc.running) {
				texts = append(texts, p.Text)
				assert.Equal(t, tc.running[p.Process], p.Count)
			}
			assert.Equal(t, tc.want, texts)
		})
	}
}

func TestUnanswered(t *testing.T) {
	both := chat.Prompts(map[chat.ProcessName]int{chat.SaveAfkChats: 1, chat.CloseOldChats: 1})
	for _, tc := range []struct {
		name    string
		prompts []chat.Prompt
		given   chat.Answers
		want    []chat.Prompt
	}{
		{"S0.32 one answered, one not", both, chat.Answers{chat.SaveAfkChats: false}, both[1:]},
		{"S0.32 No is an answer", both, chat.Answers{chat.SaveAfkChats: false, chat.CloseOldChats: true}, nil},
		{"S0.32 none answered", both, nil, both},
		{"S0.29 answers nobody asked for", nil, chat.Answers{chat.SaveAfkChats: true}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, chat.Unanswered(tc.prompts, tc.given)) })
	}
}

func TestS0_34_TheSentence(t *testing.T) {
	assert.Equal(t, "Done! Beesender is set up. You can proceed to adding channels and agents.", chat.DoneMessage)
}
