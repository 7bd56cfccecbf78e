package creatiotest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/crm/creatio/creatiotest"
)

func TestFaults(t *testing.T) {
	c := newSite(t, creatiotest.Options{})
	c.login()
	contacts := func() int { return len(c.site.Contacts()) }
	before := contacts()
	broken := func() {
		request, err := http.NewRequest("POST", c.site.URL()+"/odata/Contact", strings.NewReader(`{"Name":"lost"}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		for _, cookie := range c.cookies {
			request.AddCookie(cookie)
			if cookie.Name == "BPMCSRF" {
				request.Header.Set("BPMCSRF", cookie.Value)
			}
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		require.Error(t, err)
	}
	c.site.LoseAnswer(1, creatiotest.Holding(creatiotest.Inserts("Contact")))
	broken()
	assert.Equal(t, before+1, contacts(), "done, answer lost")
	c.site.Down()
	broken()
	c.site.Up()
	assert.Equal(t, before+1, contacts(), "not done")
	c.site.Fail(1, 500, nil)
	assert.Equal(t, 500, c.odata("GET", "Contact", "").status)
	c.site.AnswerHTML(1, creatiotest.OData)
	assert.Contains(t, c.odata("GET", "Contact", "").body, "<html>")
	c.site.Refuse("No such person", creatiotest.Inserts("Contact"))
	assert.Contains(t, c.odata("POST", "Contact", `{"Name":"x"}`).body, "No such person")
	c.site.Up()
	assert.Equal(t, 201, c.odata("POST", "Contact", `{"Name":"lost"}`).status)
	assert.Len(t, c.site.Doubled("Contact", "Name"), 1)
	gate := c.site.Hold(creatiotest.OData)
	answered := make(chan int)
	go func() { answered <- c.odata("GET", "Contact", "").status }()
	<-gate.Arrived()
	gate.Open()
	assert.Equal(t, 200, <-answered)
	require.NoError(t, c.site.WaitSpoilt(t.Context(), 5), "lost, down, 500, a page and held; a refusal is no fault of the site")
	assert.Equal(t, 5, c.site.Spoilt())
	c.site.Up()
	c.site.Refuse("No such person", creatiotest.Inserts("Contact"))
	c.site.LoseAnswer(1, creatiotest.OData)
	broken()
	assert.Equal(t, 5, c.site.Spoilt(), "nothing was done whose answer could be lost")
}

func TestCallsAreLoggedWithoutSecrets(t *testing.T) {
	c := newSite(t, creatiotest.Options{})
	c.login()
	c.odata("GET", "Contact", "")
	calls := c.site.Calls()
	require.Len(t, calls, 2)
	assert.Equal(t, []any{"POST", "/ServiceModel/AuthService.svc/Login", 200}, []any{calls[0].Method, calls[0].Path, calls[0].Status})
	assert.Equal(t, []any{"cookie", "admin", "Contact"}, []any{calls[1].Auth, calls[1].User, calls[1].Ops[0].Object})
	logged, err := json.Marshal(calls)
	require.NoError(t, err)
	assert.NotContains(t, string(logged), "secret")
}
