package api

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// configured is a façade whose wizard is finished with both switches off, and its API key.
func configured(t *testing.T) (*harness, string) {
	t.Helper()
	h := newAPI(t, withCRM(&fakeCRM{}))
	key := h.step1(h.secretKey())
	h.call("PUT", "/wizard/waiting-periods", key, body{}).status(200)
	h.call("POST", "/wizard/finish", key, nil).status(200)
	return h, key
}

func TestLeftPanel(t *testing.T) {
	h, key := configured(t)
	var c gen.Configuration
	h.call("GET", "/configuration", key, nil).status(200).into(&c)
	require.Equal(t, "Beesender", c.Name, "S0.38")
	require.Len(t, c.TransferConditions, 5, "S0.46 to S0.52")
	require.Equal(t, []string{"name"}, h.call("PATCH", "/configuration", key, body{"name": "Other"}).faults(), "S0.39")

	h.call("PATCH", "/configuration", key, body{"close_chats_without_messages": true, "close_chats_minutes": 2}).status(200).into(&c)
	require.Equal(t, 5, *c.CloseChatsMinutes, "S0.43")
	require.Contains(t, warningCodes(c.Warnings), "raised_to_minimum", "S0.43")
	require.Equal(t, 1, h.running(key, chat.CloseOldChats), "S0.41 an instance is started where none runs (b26)")
	h.call("PATCH", "/configuration", key, body{"close_chats_minutes": 8}).status(200).into(&c)
	require.True(t, c.CloseChatsWithoutMessages, "S0.42 what was not sent stays")
	require.Equal(t, 1, h.running(key, chat.CloseOldChats), "S0.41 no second one")

	h.call("PATCH", "/configuration", key, body{"change_agent_minutes": 2}).status(200).into(&c)
	require.Equal(t, 2, *c.ChangeAgentMinutes, "S0.45")
	require.Zero(t, h.running(key, chat.SaveAfkChats), "S0.41 minutes alone change nothing")
	require.Equal(t, []string{"change_agent_minutes"},
		h.call("PATCH", "/configuration", key, body{"transfer_chats_without_agent_answer": true, "change_agent_minutes": nil}).faults(), "S0.47")
	h.call("PATCH", "/configuration", key, body{"transfer_chats_without_agent_answer": true}).status(200).into(&c)
	require.True(t, c.TransferChatsWithoutAgentAnswer, "S0.44")
	require.Equal(t, 1, h.running(key, chat.SaveAfkChats), "S0.37 effect without restart")

	h.call("PATCH", "/configuration", key, body{"public_url": "https://waggle.acme.example/"}).status(200).into(&c)
	require.Equal(t, "https://waggle.acme.example", *c.PublicURL)
	h.call("PATCH", "/configuration", key, body{"public_url": nil}).status(200).into(&c)
	require.Equal(t, "https://waggle.example.com", *c.PublicURL, "the installation's own again")
}

func TestS0_53_LoginAndPasswordTogether(t *testing.T) {
	h, key := configured(t)
	require.Equal(t, []string{"password"}, h.call("PATCH", "/configuration", key, body{"login": "Supervisor"}).faults())
	require.Equal(t, []string{"login"}, h.call("PATCH", "/configuration", key, body{"password": "n3w"}).faults())
	a := h.call("PATCH", "/configuration", key, body{"login": "Supervisor", "password": "n3w-s3cret"}).status(200)
	require.NotEmpty(t, a.Header.Get("Deprecation"), "S0.17")
	require.NotContains(t, string(a.Body), "n3w-s3cret", "S0.40")
	var c gen.Configuration
	a.into(&c)
	require.Equal(t, "Supervisor", *c.Login, "S0.40")
	require.True(t, c.SynchronizeNeeded, "S0.54 stored unchecked (b35)")
	require.Contains(t, warningCodes(c.Warnings), "synchronize_needed")
	require.False(t, c.CRMAccess.Ok)
	require.Contains(t, *c.CRMAccess.Reason, "Synchronize")
}

func TestS0_11_GenerateAnAPIKey(t *testing.T) {
	h := newAPI(t, withCRM(&fakeCRM{}))
	secret := h.secretKey()
	var first, second gen.APIKey
	h.call("POST", "/configuration/api-key", secret, nil).status(201).into(&first)
	require.Nil(t, first.OldKeyStopsAt)
	h.call("GET", "/configuration", secret, nil).problem(403)
	h.call("POST", "/configuration/api-key", first.APIKey, body{"overlap_minutes": 5}).status(201).into(&second)
	require.NotNil(t, second.OldKeyStopsAt)
	for _, key := range []string{first.APIKey, second.APIKey} {
		a := h.call("GET", "/configuration", key, nil).status(200)
		require.NotContains(t, string(a.Body), key)
		var c gen.Configuration
		a.into(&c)
		require.Equal(t, mask(second.APIKey[len(second.APIKey)-4:]), c.APIKey.Masked)
	}
	var third gen.APIKey
	h.call("POST", "/configuration/api-key", second.APIKey, body{}).status(201).into(&third)
	h.call("GET", "/configuration", second.APIKey, nil).problem(401)
	h.call("PUT", "/wizard/credentials", third.APIKey, body{"crm_url": testCRM, "api_key": third.APIKey}).status(200)
}

func TestM_7_Synchronize(t *testing.T) {
	h, key := configured(t)
	session := h.session(key, chat.ChatAdministrator, uuid.Nil)
	h.call("POST", "/configuration/synchronize", session, nil).problem(403)
	var first, second gen.Job
	h.call("POST", "/configuration/synchronize", key, nil).status(202).into(&first)
	h.call("POST", "/configuration/synchronize", key, nil).status(202).into(&second)
	require.Equal(t, first.ID, second.ID, "a double click is one job")
	looks := 0
	for _, l := range h.Hints.Looks() {
		if l.At == jobs.LookSynchronize {
			looks++
		}
	}
	require.Equal(t, 1, looks)

	claimed, err := h.Server.Store.ClaimJob(context.Background(), store.JobSynchronize, "w", time.Minute)
	require.NoError(t, err)
	require.NoError(t, h.Server.Store.ProgressJob(context.Background(), claimed, store.JobProgress{Phase: "Checking the access to the CRM", Done: 1, Total: 4}, time.Minute))
	h.call("GET", "/jobs/"+first.ID.String(), key, nil).status(200).into(&second)
	require.Equal(t, gen.JobStatusRunning, second.Status, "S0.54 shows progress")
	require.EqualValues(t, 4, *second.Total)
	require.NoError(t, h.Server.Store.FinishJob(context.Background(), claimed, "the user name or password is wrong"))
	var list gen.JobList
	h.call("GET", "/jobs?status=failed", key, nil).status(200).into(&list)
	require.Equal(t, "the user name or password is wrong", *list.Items[0].Error, "S0.54 fails with that reason")
	h.call("POST", "/jobs/"+first.ID.String()+"/cancel", key, nil).problem(409)
	h.call("POST", "/configuration/synchronize", key, nil).status(202).into(&second)
	require.NotEqual(t, first.ID, second.ID)
	h.call("POST", "/jobs/"+second.ID.String()+"/cancel", key, nil).status(200).into(&second)
	require.Equal(t, gen.JobStatusCanceled, second.Status)
	h.call("GET", "/jobs/"+uuid.NewString(), key, nil).problem(404)
	require.Equal(t, []string{"cursor"}, h.call("GET", "/jobs?cursor=nonsense", key, nil).faults())
}

func TestM_2_CancelAProcess(t *testing.T) {
	h, key := configured(t)
	h.call("PATCH", "/configuration", key, body{"close_chats_without_messages": true, "close_chats_minutes": 5}).status(200)
	var list gen.ProcessList
	h.call("GET", "/processes", key, nil).status(200).into(&list)
	require.Len(t, list.Items, 1)
	p := list.Items[0]
	require.NotNil(t, p.NextRunAt, "M.3")
	for range 2 {
		h.call("POST", "/processes/"+p.ID.String()+"/cancel", key, nil).status(200).into(&p)
		require.Equal(t, gen.ProcessStatusCanceled, p.Status)
		require.Nil(t, p.NextRunAt)
	}
	stranger := h.secretKey()
	h.call("GET", "/processes/"+p.ID.String(), stranger, nil).problem(404)
	h.call("POST", "/processes/"+p.ID.String()+"/cancel", stranger, nil).problem(404)
}
