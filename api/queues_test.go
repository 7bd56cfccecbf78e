package api

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store/storetest"
)

// team is a façade with an environment whose chats are switched on.
type team struct {
	*harness
	*storetest.Scene
}

func newTeam(t *testing.T) *team {
	t.Helper()
	h := newAPI(t)
	return &team{harness: h, Scene: storetest.NewScene(t, h.Server.Store)}
}

// do calls an operation as the administrator and decodes the answer.
func (tm *team) do(method, path string, body any, status int, into any) {
	tm.T.Helper()
	a := tm.call(method, path, tm.Key, body).status(status)
	if into != nil {
		a.into(into)
	}
}

func (tm *team) route() {
	tm.T.Helper()
	require.NoError(tm.T, tm.Server.Jobs.Route(context.Background(), tm.Env))
}

func (tm *team) looked(at jobs.LookAt) bool {
	for _, l := range tm.Hints.Looks() {
		if l.At == at && l.Environment == tm.Env {
			return true
		}
	}
	return false
}

func TestQueueForm(t *testing.T) {
	tm := newTeam(t)
	for name, c := range map[string]struct {
		body  map[string]any
		fault string
	}{
		"S3.7 name missing":          {map[string]any{}, "name"},
		"S3.7 name blank":            {map[string]any{"name": " "}, "name"},
		"S3.8 another rule":          {map[string]any{"name": "x", "routing_rule": "to_the_best_agent"}, "routing_rule"},
		"S3.21 a timeout of nothing": {map[string]any{"name": "x", "completion_timeout_minutes": 0}, "completion_timeout_minutes"},
		"an agent who is not there":  {map[string]any{"name": "x", "agent_ids": []string{uuid.NewString()}}, "agent_ids"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, tm.call("POST", "/queues", tm.Key, c.body).faults(), c.fault)
		})
	}
}

func TestQueue(t *testing.T) {
	tm := newTeam(t)
	ann, bob := tm.Agent("Ann"), tm.Agent("Bob")
	var q gen.Queue
	tm.do("POST", "/queues", map[string]any{"name": "1st-line support"}, 201, &q)
	require.Equal(t, "1st-line support", q.Name, "S3.7")
	require.Nil(t, q.CompletionTimeoutMinutes, "S3.21: no value")
	path := "/queues/" + q.ID.String()

	for _, rule := range []gen.RoutingRule{gen.RoutingRuleToAllAgents, gen.RoutingRuleToAnAvailableAgent} {
		tm.do("PATCH", path, map[string]any{"routing_rule": rule}, 200, &q)
		require.Equal(t, rule, q.RoutingRule, "S3.8")
	}
	tm.do("PATCH", path, map[string]any{"completion_timeout_minutes": 10, "agent_ids": []uuid.UUID{bob, ann, bob}}, 200, &q)
	require.Equal(t, 10, *q.CompletionTimeoutMinutes)
	require.Len(t, q.Agents, 2, "S3.22: users; S3.24: one who is named twice counts once")
	require.Equal(t, "Ann", q.Agents[0].Name)
	tm.do("PATCH", path, map[string]any{"completion_timeout_minutes": nil}, 200, &q)
	require.Nil(t, q.CompletionTimeoutMinutes, "S3.21: cleared")
	require.Len(t, q.Agents, 2)
	tm.do("PATCH", path, map[string]any{"agent_ids": []uuid.UUID{}}, 200, &q)
	require.Empty(t, q.Agents)

	var list gen.QueueList
	tm.do("POST", "/queues", map[string]any{"name": "Another"}, 201, nil)
	tm.do("GET", "/queues?limit=1", nil, 200, &list)
	require.Equal(t, "1st-line support", list.Items[0].Name, "S2.10")
	tm.do("GET", "/queues?limit=1&cursor="+*list.NextCursor, nil, 200, &list)
	require.Equal(t, "Another", list.Items[0].Name)
	require.Nil(t, list.NextCursor)
	require.Equal(t, []string{"cursor"}, tm.call("GET", "/queues?cursor=nonsense", tm.Key, nil).faults())
	tm.call("GET", path, tm.secretKey(), nil).problem(404)
}

func TestDeleteQueue(t *testing.T) {
	tm := newTeam(t)
	queue := tm.Queue(chat.ToAllAgents, 0)
	channel := tm.Channel(queue, 1)
	path := "/queues/" + queue.String()
	require.Contains(t, *tm.call("DELETE", path, tm.Key, nil).problem(409).Detail, "channel")
	chatID := tm.Writes(channel, "7")
	_, err := tm.Server.Store.Channel(context.Background(), tm.Env, channel)
	require.NoError(t, err)
	tm.do("PATCH", "/channels/"+channel.String(), map[string]any{"queue_id": nil}, 200, nil)
	require.Contains(t, *tm.call("DELETE", path, tm.Key, nil).problem(409).Detail, "open chat")
	_, err = tm.Server.Store.CloseChat(context.Background(), tm.Env, chatID, uuid.Nil, "done")
	require.NoError(t, err)
	tm.do("DELETE", path, nil, 204, nil)
	tm.call("GET", path, tm.Key, nil).problem(404)
	tm.call("DELETE", path, tm.Key, nil).problem(404)
}

func TestRoutingFollowsTheQueue_S1_16(t *testing.T) {
	tm := newTeam(t)
	ann, bob := tm.Agent("Ann"), tm.Agent("Bob")
	queue := tm.Queue(chat.ToAllAgents, 0, ann)
	channel := tm.Channel(queue, 1)
	path := "/queues/" + queue.String()
	first := tm.Writes(channel, "1")
	tm.route()
	require.Equal(t, uuid.Nil, tm.Look(first).AgentID, "it is offered")
	tm.do("PATCH", path, map[string]any{"routing_rule": "to_an_available_agent", "agent_ids": []uuid.UUID{bob}}, 200, nil)
	require.True(t, tm.looked(jobs.LookRoute))
	tm.route()
	require.Equal(t, bob, tm.Look(first).AgentID, "S1.16, S3.10: the waiting one too")
	second := tm.Writes(channel, "2")
	tm.route()
	require.Equal(t, bob, tm.Look(second).AgentID)
	third := tm.Writes(channel, "3")
	tm.route()
	require.Equal(t, uuid.Nil, tm.Look(third).AgentID, "his two are had")
	tm.do("PATCH", path, map[string]any{"agent_ids": []uuid.UUID{bob, ann}}, 200, nil)
	tm.route()
	require.Equal(t, ann, tm.Look(third).AgentID, "whoever joins is given what waits")
}

func TestChannelWithoutQueue_S3_4_S3_40(t *testing.T) {
	tm := newTeam(t)
	ann := tm.Agent("Ann")
	queue := tm.Queue(chat.ToAnAvailableAgent, 0, ann)
	channel, other := tm.Channel(uuid.Nil, 1), tm.Channel(uuid.Nil, 1)
	waiting, stays := tm.Writes(channel, "7"), tm.Writes(other, "8")
	tm.route()
	require.Equal(t, uuid.Nil, tm.Look(waiting).AgentID)
	tm.do("PATCH", "/channels/"+channel.String(), map[string]any{"queue_id": queue}, 200, nil)
	require.True(t, tm.looked(jobs.LookRoute))
	tm.route()
	require.Equal(t, ann, tm.Look(waiting).AgentID, "queue set: routed")
	require.Equal(t, uuid.Nil, tm.Look(stays).AgentID, "only that one is processed")
}

func TestWeightOfNewChats_S4_24(t *testing.T) {
	tm := newTeam(t)
	channel := tm.Channel(uuid.Nil, 3)
	before := tm.Writes(channel, "7")
	var ch gen.Channel
	tm.do("PATCH", "/channels/"+channel.String(), map[string]any{"weight": 0}, 200, &ch)
	require.Zero(t, ch.Weight, "b18: 0 is allowed")
	require.Contains(t, tm.call("PATCH", "/channels/"+channel.String(), tm.Key, map[string]any{"weight": -1}).faults(), "weight")
	require.Equal(t, 3, tm.Look(before).Weight, "what is open keeps its weight")
	require.Zero(t, tm.Look(tm.Writes(channel, "8")).Weight)
}
