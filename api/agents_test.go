package api

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

func TestAgentCard(t *testing.T) {
	tm := newTeam(t)
	channel := tm.Channel(uuid.Nil, 1)
	var g gen.AgentGroup
	tm.do("POST", "/agent-groups", map[string]any{"name": "Seniors", "position": 2}, 201, &g)
	var a gen.Agent
	tm.do("POST", "/agents", map[string]any{"name": "Ann", "crm_user_id": "u1", "channel_ids": []uuid.UUID{channel, channel}, "group_id": g.ID}, 201, &a)
	require.True(t, a.Enabled)
	require.Equal(t, gen.AgentStatusOffline, a.Status)
	require.Equal(t, []uuid.UUID{channel}, a.ChannelIds)
	require.Equal(t, 2, a.QueuePosition)
	require.Nil(t, a.MaxLoad, "S0.51: empty until set")
	path := "/agents/" + a.ID.String()
	tm.do("PATCH", path, map[string]any{"max_load": 5, "nickname": "Annie"}, 200, &a)
	require.Equal(t, 5, *a.MaxLoad, "S0.51")
	require.Equal(t, "Annie", *a.Nickname)
	tm.do("PATCH", path, map[string]any{"max_load": nil, "nickname": nil, "group_id": nil, "channel_ids": []uuid.UUID{}}, 200, &a)
	require.Nil(t, a.MaxLoad)
	require.Nil(t, a.Nickname)
	require.Nil(t, a.GroupID)
	require.Empty(t, a.ChannelIds)
	require.Equal(t, "u1", *a.CRMUserID, "what is left out stays")

	for name, c := range map[string]struct {
		body  map[string]any
		fault string
	}{
		"S0.51 a negative Max load":   {map[string]any{"max_load": -1}, "max_load"},
		"a blank name":                {map[string]any{"name": " "}, "name"},
		"a channel that is not there": {map[string]any{"channel_ids": []string{uuid.NewString()}}, "channel_ids"},
		"a group that is not there":   {map[string]any{"group_id": uuid.NewString()}, "group_id"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, tm.call("PATCH", path, tm.Key, c.body).faults(), c.fault)
		})
	}
	tm.call("POST", "/agents", tm.Key, map[string]any{"name": "Twin", "crm_user_id": "u1"}).problem(409)
	tm.call("GET", path, tm.secretKey(), nil).problem(404)
}

func TestAgentCardsShowLoads_S0_50(t *testing.T) {
	tm := newTeam(t)
	ann, bob := tm.Agent("Ann"), tm.Agent("Bob")
	queue := tm.Queue(chat.ToAnAvailableAgent, 0, ann)
	heavy := tm.Channel(queue, 3)
	tm.Card(ann, func(a *store.Agent) { a.MaxLoad = new(10) })
	tm.Writes(heavy, "1")
	tm.Writes(heavy, "2")
	tm.route()
	var list gen.AgentList
	tm.do("GET", "/agents?queue_id="+queue.String(), nil, 200, &list)
	require.Len(t, list.Items, 1)
	require.Equal(t, 6, list.Items[0].Load)
	require.Equal(t, 2, list.Items[0].OpenChats)
	require.Equal(t, []uuid.UUID{queue}, list.Items[0].QueueIds, "S3.25")
	require.NotNil(t, list.Items[0].LastTakenAt)
	tm.do("PATCH", "/agents/"+bob.String()+"/status", map[string]any{"status": "inactive"}, 200, nil)
	tm.do("GET", "/agents?status=inactive", nil, 200, &list)
	require.Len(t, list.Items, 1)
	require.Equal(t, bob, list.Items[0].ID)
}

func TestOneAgentInTwoQueues_S3_25(t *testing.T) {
	tm := newTeam(t)
	ann := tm.Agent("Ann")
	first, second := tm.Queue(chat.ToAnAvailableAgent, 0, ann), tm.Queue(chat.ToAnAvailableAgent, 0, ann)
	a, b := tm.Channel(first, 1), tm.Channel(second, 1)
	one, two, three := tm.Writes(a, "1"), tm.Writes(b, "2"), tm.Writes(b, "3")
	tm.route()
	require.Equal(t, ann, tm.Look(one).AgentID)
	require.Equal(t, ann, tm.Look(two).AgentID)
	require.Equal(t, uuid.Nil, tm.Look(three).AgentID, "S3.66: one limit over both")
}

func TestChannelOfAgents_S0_48(t *testing.T) {
	tm := newTeam(t)
	served, other := tm.Channel(uuid.Nil, 1), tm.Channel(uuid.Nil, 1)
	ann := tm.Agent("Ann", other)
	waiting := tm.Writes(served, "7")
	tm.route()
	require.Equal(t, uuid.Nil, tm.Look(waiting).AgentID, "she does not serve it")
	tm.do("PATCH", "/agents/"+ann.String(), map[string]any{"channel_ids": []uuid.UUID{served, other}}, 200, nil)
	tm.route()
	require.Equal(t, ann, tm.Look(waiting).AgentID, "b16, S4.27: assign the channel and it is routed")
}

func TestStatusIsTheAgentsOwn_S3_16(t *testing.T) {
	tm := newTeam(t)
	ann, bob := tm.Agent("Ann"), tm.Agent("Bob")
	queue := tm.Queue(chat.ToAnAvailableAgent, 0, ann)
	channel := tm.Channel(queue, 1)
	tm.Status(ann, chat.Inactive)
	waiting := tm.Writes(channel, "7")
	tm.route()
	require.Equal(t, uuid.Nil, tm.Look(waiting).AgentID, "an inactive agent gets nothing")

	asAnn := tm.session(tm.Key, chat.AgentRole, ann)
	status := func(id uuid.UUID) string { return "/agents/" + id.String() + "/status" }
	tm.call("PATCH", status(bob), asAnn, map[string]any{"status": "offline"}).problem(403)
	tm.call("PATCH", status(ann), asAnn, map[string]any{"status": "asleep"}).faults()
	var a gen.Agent
	tm.call("PATCH", status(ann), asAnn, map[string]any{"status": "active"}).status(200).into(&a)
	require.Equal(t, gen.AgentStatusActive, a.Status)
	require.True(t, tm.looked(jobs.LookRoute))
	tm.route()
	require.Equal(t, ann, tm.Look(waiting).AgentID, "sets himself active: routed at once")

	tm.call("POST", "/agents/"+ann.String()+"/heartbeat", asAnn, nil).status(204)
	tm.call("POST", "/agents/"+bob.String()+"/heartbeat", asAnn, nil).problem(403)
	tm.call("PATCH", status(bob), tm.Key, map[string]any{"status": "offline"}).status(200)
}

func TestDeactivatedAgentsChatsGoBack(t *testing.T) {
	for name, leave := range map[string]func(tm *team, id uuid.UUID){
		"disabled": func(tm *team, id uuid.UUID) {
			tm.do("PATCH", "/agents/"+id.String(), map[string]any{"enabled": false}, 200, nil)
		},
		"deleted": func(tm *team, id uuid.UUID) { tm.do("DELETE", "/agents/"+id.String(), nil, 204, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			tm := newTeam(t)
			ann := tm.Agent("Ann")
			queue := tm.Queue(chat.ToAnAvailableAgent, 0, ann)
			chatID := tm.Writes(tm.Channel(queue, 1), "7")
			tm.route()
			had := tm.Look(chatID)
			require.Equal(t, ann, had.AgentID)
			leave(tm, ann)
			now := tm.Look(chatID)
			require.Equal(t, chat.Waiting, now.Status())
			require.Equal(t, queue, now.QueueID)
			require.True(t, now.AgentDueSince.IsZero())
			require.Greater(t, now.CRMVersion, had.CRMVersion, "the CRM hears of it")
			require.Equal(t, []chat.EntryKind{chat.EntryOpened, chat.EntryMessage, chat.EntryAssigned, chat.EntryAssigned}, tm.Kinds(chatID))
			bob := tm.Agent("Bob")
			tm.Members(queue, bob)
			tm.route()
			require.Equal(t, bob, tm.Look(chatID).AgentID)
		})
	}
}

func TestDeletedAgentComesBack(t *testing.T) {
	tm := newTeam(t)
	var a, again gen.Agent
	tm.do("POST", "/agents", map[string]any{"name": "Ann", "crm_user_id": "u1"}, 201, &a)
	token := tm.session(tm.Key, chat.AgentRole, a.ID)
	tm.do("DELETE", "/agents/"+a.ID.String(), nil, 204, nil)
	tm.call("GET", "/agents", token, nil).problem(401)
	tm.call("GET", "/agents/"+a.ID.String(), tm.Key, nil).problem(404)
	tm.do("POST", "/agents", map[string]any{"name": "Ann B.", "crm_user_id": "u1"}, 201, &again)
	require.Equal(t, a.ID, again.ID, "what he wrote stays under his name")
	require.Equal(t, "Ann B.", again.Name)
}

func TestWhoAdministersAgents_S1_8_S1_9(t *testing.T) {
	tm := newTeam(t)
	ann := tm.Agent("Ann")
	asAgent, asChatAdministrator := tm.session(tm.Key, chat.AgentRole, ann), tm.session(tm.Key, chat.ChatAdministrator, uuid.Nil)
	agent := "/agents/" + ann.String()
	for _, c := range []struct {
		right, method, path string
		body                any
		status              int
	}{
		{"S1.8: agents", "PATCH", agent, map[string]any{"max_load": 3}, 200},
		{"S1.8: queues", "POST", "/queues", map[string]any{"name": "x"}, 201},
		{"S1.8: groups", "POST", "/agent-groups", map[string]any{"name": "x"}, 201},
		{"S1.8: channels", "GET", "/channels", nil, 200},
		{"S1.9: not the API key", "POST", "/configuration/api-key", nil, 403},
		{"S1.9: not the CRM login", "PATCH", "/configuration", map[string]any{"login": "x", "password": "y"}, 403},
		{"S1.9: not the secret key", "PUT", "/wizard/credentials", map[string]any{"crm_url": "https://crm.example.com"}, 403},
	} {
		require.Equal(t, c.status, tm.call(c.method, c.path, asChatAdministrator, c.body).Status, c.right)
	}

	tm.call("GET", "/agents", asAgent, nil).status(200)
	tm.call("PATCH", agent, asAgent, map[string]any{"max_load": 3}).problem(403)
	tm.call("DELETE", agent, asAgent, nil).problem(403)
	tm.call("POST", "/agents", asAgent, map[string]any{"name": "x"}).problem(403)
	tm.call("GET", "/queues", asAgent, nil).problem(403)
	tm.call("POST", "/queues", asAgent, map[string]any{"name": "x"}).problem(403)
	tm.call("POST", "/agent-groups", asAgent, map[string]any{"name": "x"}).problem(403)
	tm.call("GET", "/agents", "", nil).problem(401)
}

func TestAgentGroups(t *testing.T) {
	tm := newTeam(t)
	var last, first gen.AgentGroup
	tm.do("POST", "/agent-groups", map[string]any{"name": "Last", "position": 2}, 201, &last)
	tm.do("POST", "/agent-groups", map[string]any{"name": "First"}, 201, &first)
	var list gen.AgentGroupList
	tm.do("GET", "/agent-groups?limit=1", nil, 200, &list)
	require.Equal(t, "First", list.Items[0].Name)
	tm.do("GET", "/agent-groups?limit=1&cursor="+*list.NextCursor, nil, 200, &list)
	require.Equal(t, "Last", list.Items[0].Name)
	require.Nil(t, list.NextCursor)
	tm.do("PATCH", "/agent-groups/"+last.ID.String(), map[string]any{"position": 0, "name": "Renamed"}, 200, &last)
	require.Equal(t, "Renamed", last.Name)
	require.Equal(t, []string{"position"}, tm.call("PATCH", "/agent-groups/"+last.ID.String(), tm.Key, map[string]any{"position": -1}).faults())
	require.Equal(t, []string{"name"}, tm.call("PATCH", "/agent-groups/"+last.ID.String(), tm.Key, map[string]any{"name": " "}).faults())

	var a gen.Agent
	tm.do("POST", "/agents", map[string]any{"name": "Ann", "group_id": last.ID}, 201, &a)
	tm.do("DELETE", "/agent-groups/"+last.ID.String(), nil, 204, nil)
	tm.do("GET", "/agents/"+a.ID.String(), nil, 200, &a)
	require.Nil(t, a.GroupID, "its agents stay")
	tm.call("GET", "/agent-groups/"+last.ID.String(), tm.Key, nil).problem(404)
	tm.call("GET", "/agent-groups/"+first.ID.String(), tm.secretKey(), nil).problem(404)
}
