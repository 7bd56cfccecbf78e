package app_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/crm/creatio/creatiotest"
)

// job waits until a job has ended.
func (p *place) job(job gen.Job) gen.Job {
	p.t.Helper()
	p.until("the job has ended", func() bool { p.get("/jobs/"+job.ID.String(), &job); return job.FinishedAt != nil })
	return job
}

func (p *place) synchronize() (job gen.Job) {
	p.t.Helper()
	p.post("/configuration/synchronize", nil, &job)
	return job
}

func TestS0_38_TheLeftPanel(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 3)
		var c gen.Configuration
		p.get("/configuration", &c)
		require.Equal(t, "Beesender", c.Name)
		require.Equal(t, []string{"name"}, p.faults(p.api, "PATCH", "/configuration", body{"name": "Waggle"}), "S0.39")
		p.get("/configuration", &c)
		require.Equal(t, "Beesender", c.Name, "S0.39 unchanged")
		require.True(t, c.CloseChatsWithoutMessages && c.TransferChatsWithoutAgentAnswer, "S0.41 S0.44")
		require.Equal(t, []int{5, 3}, []int{*c.CloseChatsMinutes, *c.ChangeAgentMinutes}, "S0.42 S0.45")
		require.Len(t, c.TransferConditions, 5, "S0.46")
		a := p.send("PATCH", "/configuration", body{"close_chats_minutes": 2})
		require.Equal(t, http.StatusOK, a.status, "S0.43")
		require.Contains(t, a.text, "raised", "S0.43 says so")
		p.get("/configuration", &c)
		require.Equal(t, 5, *c.CloseChatsMinutes, "S0.43")
	})
}

func TestS0_53_ChangingTheAdministrator(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(5, 3)
		p.staff("Ann")
		require.Equal(t, []string{"password"}, p.faults(p.api, "PATCH", "/configuration", body{"login": crmAdmin}))
		require.Equal(t, []string{"login"}, p.faults(p.api, "PATCH", "/configuration", body{"password": crmPassword}))
		save := func(login, password string) (c gen.Configuration) {
			p.patch("/configuration", body{"login": login, "password": password}, &c)
			require.Equal(t, login, *c.Login, "S0.40")
			require.True(t, c.SynchronizeNeeded, "S0.54 b35")
			require.NotContains(t, p.send("GET", "/configuration", nil).text, password, "S0.40")
			return c
		}
		save(crmAdmin, "wrong!1")
		failed := p.job(p.synchronize())
		require.Equal(t, gen.JobStatusFailed, failed.Status, "S0.54")
		require.Contains(t, *failed.Error, "login", "S0.54 with that reason")
		late := p.writes("Carl", "Hello?")
		p.stays("pushes pause", func() bool { return p.crm.Row("OmniChat", late.ID.String()) == nil })
		var c gen.Configuration
		p.get("/configuration", &c)
		require.False(t, c.CRMAccess.Ok)
		require.Equal(t, *failed.Error, *c.CRMAccess.Reason, "S0.54 b35 with the reason")

		p.crm.AddUser("Mary", "Mary!1", false)
		save("Mary", "Mary!1")
		failed = p.job(p.synchronize())
		require.Equal(t, gen.JobStatusFailed, failed.Status, "S0.14")
		require.Contains(t, *failed.Error, "system administrator", "S0.14")

		save(crmAdmin, crmPassword)
		done := p.job(p.synchronize())
		require.Equal(t, gen.JobStatusSucceeded, done.Status)
		require.NotNil(t, done.Total, "S0.54 progress")
		require.Equal(t, *done.Total, done.Done, "S0.54 progress")
		p.crmRow(late.ID, "what waited is there", func(creatiotest.Row) bool { return true })
		p.get("/configuration", &c)
		require.True(t, c.CRMAccess.Ok)
		require.False(t, c.SynchronizeNeeded)
	})
}

func TestM_7_SynchronizeIsTheAdministrators(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.wizard(0, 0)
		p.staff("Ann")
		gate := p.crm.Hold(func(creatiotest.Request) bool { return true })
		first := p.synchronize()
		<-gate.Arrived()
		require.Equal(t, first.ID, p.synchronize().ID, "a double click gives one job")
		for _, role := range []body{{"role": "chat_administrator"}, {"role": "agent", "crm_user_id": p.agents["Ann"].crm.ID}} {
			p.refused(p.session(role), "POST", "/configuration/synchronize", nil, http.StatusForbidden)
		}
		gate.Open()
		require.Equal(t, gen.JobStatusSucceeded, p.job(first).Status)
		require.NotEqual(t, first.ID, p.synchronize().ID, "afterwards a new one")
	})
}
