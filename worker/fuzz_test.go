package worker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/jobs"
)

var fuzzed = uuid.MustParse("0197a2c4-7c1e-7a3b-9d56-3f8e2b1c4d5e")

// What Redis carries for an environment becomes events of it alone, each one event at the browser, and the same when they are carried
// again.
func FuzzEvents(f *testing.F) {
	f.Add(`[{"type":"message","id":"0197a2c5-11aa-7bbb-8ccc-1234567890ab","chat_id":"0197a2c4-7c1e-7a3b-9d56-3f8e2b1c4d5e","agent_id":"0197a2c5-11aa-7bbb-8ccc-1234567890ab","detail":"sent"}]`)
	f.Add(`[{"type":"chat","queue_id":"0197a2c5-11aa-7bbb-8ccc-1234567890ab","same_room":true,"expected_at":"2026-11-21T10:00:00+01:00"},{"type":"resync"}]`)
	f.Add(`[{"type":"alert","Environment":"0197a2c5-11aa-7bbb-8ccc-1234567890ab","AgentID":"x","Event":{"type":"chat"}},null,{}]`)
	f.Add(`[{"type":"chat\ndata: {}\n\nevent: alert"}]`)
	f.Add(`[{"type":"alert","detail":"a\nb\u2028\u0000"}]`)
	f.Add(`[{"type":"chat","id":"no id"}]`)
	f.Add(`[{"type":"chat","expected_at":"0000-01-01T00:00:00+23:59"}]`)
	f.Add(`{"type":"chat"}`)
	f.Add(`[[[[`)
	f.Fuzz(func(t *testing.T, payload string) {
		var carried []wireEvent
		events := eventsOf(fuzzed, payload)
		for _, e := range events {
			require.Equal(t, fuzzed, e.Environment)
			require.NotEmpty(t, e.Type)
			require.NotContains(t, e.Type, "\n")
			shown, err := json.Marshal(e)
			require.NoError(t, err)
			require.NotContains(t, string(shown), "\n", "the data of an event is one line")
			carried = append(carried, wireOf(e))
		}
		body, err := json.Marshal(carried)
		require.NoError(t, err)
		again := eventsOf(fuzzed, string(body))
		require.Len(t, again, len(events))
		for i, e := range again {
			require.True(t, e.ExpectedAt.Equal(events[i].ExpectedAt))
			e.ExpectedAt = events[i].ExpectedAt // in another zone maybe
			require.Equal(t, events[i], e)
		}
	})
}

// What a task says is the same when it is told again; what says nothing names no process.
func FuzzTasks(f *testing.F) {
	f.Add(string(lookTask(jobs.Look{At: jobs.LookCRM, Environment: fuzzed}).Payload()))
	f.Add(string(processTask(chat.CloseOldChats, fuzzed).Payload()))
	f.Add(string(permanentTask().Payload()))
	f.Add(`{"at":"everything","environment":"{0197a2c4-7c1e-7a3b-9d56-3f8e2b1c4d5e}"}`)
	f.Add(`{"process":"urn:uuid:0197a2c4-7c1e-7a3b-9d56-3f8e2b1c4d5e"}`)
	f.Add(`{"process":7}`)
	f.Add(`[[[[`)
	f.Add(strings.Repeat(`{"at":`, 100))
	f.Fuzz(func(t *testing.T, payload string) {
		if l, err := lookOf([]byte(payload)); err == nil {
			again, err := lookOf(lookTask(l).Payload())
			require.NoError(t, err)
			require.Equal(t, l, again)
		}
		process := processOf([]byte(payload))
		require.Equal(t, process, processOf(processTask(chat.SaveAfkChats, process).Payload()))
		if !json.Valid([]byte(payload)) {
			require.Equal(t, uuid.Nil, process)
		}
	})
}
