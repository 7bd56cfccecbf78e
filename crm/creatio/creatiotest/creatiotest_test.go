package creatiotest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/crm/creatio/creatiotest"
)

const (
	contactID = "11111111-1111-4111-8111-111111111111"
	channelID = "22222222-2222-4222-8222-222222222222"
	chatID    = "33333333-3333-4333-8333-333333333333"
	nobodyID  = "99999999-9999-4999-8999-999999999999"
)

// caller sends requests the way a careful client would, so that each test
// spoils one thing.
type caller struct {
	t       *testing.T
	site    *creatiotest.Server
	prefix  string
	cookies []*http.Cookie
}

func newSite(t *testing.T, o creatiotest.Options) *caller {
	t.Helper()
	site := creatiotest.New(o)
	t.Cleanup(site.Close)
	site.AddUser("admin", "secret", true)
	c := &caller{t: t, site: site}
	if o.Framework {
		c.prefix = "/0"
	}
	return c
}

type reply struct {
	status int
	body   string
	json   map[string]any
	header http.Header
}

func (c *caller) send(method, path, body string, edit func(*http.Request)) reply {
	c.t.Helper()
	request, err := http.NewRequest(method, c.site.URL()+path, strings.NewReader(body))
	require.NoError(c.t, err)
	request.Header.Set("Accept", "application/json")
	if body != "" {
		request.Header.Set("Content-Type", "application/json; charset=utf-8; IEEE754Compatible=true")
	}
	for _, cookie := range c.cookies {
		request.AddCookie(cookie)
		if cookie.Name == "BPMCSRF" {
			request.Header.Set("BPMCSRF", cookie.Value)
		}
	}
	if edit != nil {
		edit(request)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(c.t, err)
	defer response.Body.Close()
	c.cookies = append(c.cookies, response.Cookies()...)
	raw, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	r := reply{status: response.StatusCode, body: string(raw), header: response.Header}
	_ = json.Unmarshal(raw, &r.json)
	return r
}

func (c *caller) login() reply {
	return c.send("POST", "/ServiceModel/AuthService.svc/Login", `{"UserName":"admin","UserPassword":"secret"}`, nil)
}

func (c *caller) odata(method, path, body string) reply {
	return c.send(method, c.prefix+"/odata/"+path, body, nil)
}

func (c *caller) list(object, filter string) reply {
	return c.odata("GET", object+"?$filter="+url.PathEscape(filter), "")
}

// wire §2.1: 200 both times, Code tells; the cookies.
func TestLogin(t *testing.T) {
	c := newSite(t, creatiotest.Options{Framework: true})
	wrong := c.send("POST", "/ServiceModel/AuthService.svc/Login", `{"UserName":"admin","UserPassword":"wrong"}`, nil)
	assert.Equal(t, 200, wrong.status)
	assert.Equal(t, 1.0, wrong.json["Code"], "S0.15")
	assert.Empty(t, c.cookies)
	right := c.login()
	assert.Equal(t, 200, right.status)
	assert.Equal(t, 0.0, right.json["Code"])
	names := map[string]bool{}
	for _, cookie := range c.cookies {
		names[cookie.Name] = cookie.HttpOnly
	}
	assert.Equal(t, map[string]bool{".ASPXAUTH": true, "BPMCSRF": false, "UserType": false, "BPMLOADER": true}, names)
}

// wire §1: the login is at the root only; app routes follow the flavour.
func TestFlavours(t *testing.T) {
	for _, framework := range []bool{true, false} {
		c := newSite(t, creatiotest.Options{Framework: framework})
		below := c.send("POST", "/0/ServiceModel/AuthService.svc/Login", `{"UserName":"admin","UserPassword":"secret"}`, nil)
		ping0, ping := c.send("GET", "/0/api/HealthCheck/Ping", "", nil), c.send("GET", "/api/HealthCheck/Ping", "", nil)
		c.login()
		other := map[bool]string{true: "/odata/Contact", false: "/0/odata/Contact"}[framework]
		assert.Equal(t, 200, c.odata("GET", "Contact", "").status)
		assert.Equal(t, 404, c.send("GET", other, "", nil).status)
		if framework {
			assert.Equal(t, []int{401, 200, 404}, []int{below.status, ping0.status, ping.status})
		} else {
			assert.Equal(t, []int{404, 404, 200}, []int{below.status, ping0.status, ping.status})
		}
	}
}

// wire §2.1: BPMCSRF on writes; §2.2: tokens and keys go without.
func TestAuthentication(t *testing.T) {
	c := newSite(t, creatiotest.Options{ClientID: "id", ClientSecret: "cs", APIKey: "key"})
	assert.Equal(t, 401, c.odata("GET", "Contact", "").status, "no session")
	c.login()
	write := func(edit func(*http.Request)) int {
		return c.send("POST", "/odata/Contact", `{"Name":"Ann"}`, edit).status
	}
	assert.Equal(t, 201, write(nil))
	assert.Equal(t, 403, write(func(r *http.Request) { r.Header.Del("BPMCSRF") }))
	assert.Equal(t, 403, write(func(r *http.Request) { r.Header.Set("BPMCSRF", "other") }))
	assert.Equal(t, 200, c.send("GET", "/odata/Contact", "", func(r *http.Request) { r.Header.Del("BPMCSRF") }).status, "reads go without")
	c.cookies = nil
	assert.Equal(t, 201, write(func(r *http.Request) { r.Header.Set("X-Api-Key", "key") }))
	assert.Equal(t, 401, write(func(r *http.Request) { r.Header.Set("X-Api-Key", "wrong") }))
	token := func(secret string) map[string]any {
		response, err := http.PostForm(c.site.IdentityURL()+"/connect/token", url.Values{"client_id": {"id"}, "client_secret": {secret}, "grant_type": {"client_credentials"}})
		require.NoError(t, err)
		defer response.Body.Close()
		var body map[string]any
		require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
		return body
	}
	assert.Equal(t, "invalid_client", token("wrong")["error"])
	bearer := "Bearer " + token("cs")["access_token"].(string)
	assert.Equal(t, 201, write(func(r *http.Request) { r.Header.Set("Authorization", bearer) }))
	assert.Equal(t, 401, write(func(r *http.Request) { r.Header.Set("Authorization", bearer+"x") }))
	asJSON, err := http.Post(c.site.IdentityURL()+"/connect/token", "application/json", bytes.NewBufferString(`{}`))
	require.NoError(t, err)
	defer asJSON.Body.Close()
	assert.Equal(t, 400, asJSON.StatusCode)
	plain := newSite(t, creatiotest.Options{})
	assert.Equal(t, 401, plain.send("GET", "/odata/Contact", "", func(r *http.Request) { r.Header.Set("X-Api-Key", "key") }).status, "no package takes a key")
}

// wire §2.3: a dead session.
func TestEndedSession(t *testing.T) {
	for _, framework := range []bool{true, false} {
		c := newSite(t, creatiotest.Options{Framework: framework})
		c.login()
		c.site.EndSessions()
		assert.Equal(t, 401, c.odata("GET", "Contact", "").status)
		service := c.send("POST", c.prefix+"/DataService/json/SyncReply/QuerySysSettings", `{"sysSettingsNameCollection":["SiteUrl"]}`, nil)
		if !framework {
			assert.Equal(t, 401, service.status)
			continue
		}
		assert.Equal(t, 302, service.status)
		page := c.send("GET", service.header.Get("Location"), "", nil)
		assert.Equal(t, 200, page.status)
		assert.Contains(t, page.body, "<html>")
	}
}

func TestOAuthTokenEnds(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newSite(t, creatiotest.Options{ClientID: "id", ClientSecret: "cs", TokenLife: time.Minute, Now: func() time.Time { return now }})
	response, err := http.PostForm(c.site.IdentityURL()+"/connect/token", url.Values{"client_id": {"id"}, "client_secret": {"cs"}, "grant_type": {"client_credentials"}})
	require.NoError(t, err)
	defer response.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&token))
	read := func() int {
		return c.send("GET", "/odata/Contact", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.AccessToken) }).status
	}
	assert.Equal(t, 200, read())
	now = now.Add(time.Minute)
	assert.Equal(t, 401, read())
}

// wire §3: the table of operations, and every rule below it.
func TestOData(t *testing.T) {
	c := newSite(t, creatiotest.Options{})
	c.login()
	insert := c.odata("POST", "Contact", `{"Id":"`+contactID+`","Name":"O'Hara","Email":"o@example.com"}`)
	require.Equal(t, 201, insert.status)
	assert.Equal(t, contactID, insert.json["Id"])
	assert.Equal(t, "00000000-0000-0000-0000-000000000000", insert.json["OwnerId"], "empty lookup")
	require.Equal(t, 201, c.odata("POST", "Channel", `{"Id":"`+channelID+`","Name":"Bot","ProviderId":"`+creatiotest.ProviderTelegram+`"}`).status)
	chat := c.odata("POST", "OmniChat", `{"Id":"`+chatID+`","ContactId":"`+contactID+`","StatusId":"`+creatiotest.StatusWaiting+`","UnprocessedMsgCount":2}`)
	require.Equal(t, 201, chat.status)
	assert.Equal(t, "0001-01-01T00:00:00Z", chat.json["AcceptDate"], "empty date")

	tests := []struct {
		name, method, path, body string
		status                   int
		has                      string
	}{
		{"read one", "GET", "Contact(" + contactID + ")", "", 200, "O'Hara"},
		{"read none", "GET", "Contact(" + nobodyID + ")", "", 404, "error"},
		{"quoted key", "GET", "Contact('" + contactID + "')", "", 400, "unquoted"},
		{"update", "PATCH", "OmniChat(" + chatID + ")", `{"AcceptDate":"2026-01-02T03:04:05.678Z"}`, 204, ""},
		{"update none", "PATCH", "OmniChat(" + nobodyID + ")", `{"Name":"x"}`, 404, "error"},
		{"empty a lookup", "PATCH", "OmniChat(" + chatID + ")", `{"OperatorId":null}`, 204, ""},
		{"put", "PUT", "OmniChat(" + chatID + ")", `{"Name":"x"}`, 405, "Message"},
		{"same Id twice", "POST", "Contact", `{"Id":"` + contactID + `","Name":"Ann"}`, 500, "innererror"},
		{"required column missing", "POST", "Contact", `{"Surname":"Ann"}`, 400, "Column Name is required"},
		{"required column emptied", "PATCH", "Contact(" + contactID + ")", `{"Name":""}`, 400, "Column Name is required"},
		{"unknown column", "POST", "Contact", `{"Name":"Ann","Telegram":"@ann"}`, 400, "does not exist"},
		{"identity of 51 characters", "POST", "ContactIdentity", `{"ChannelIdentity":"` + strings.Repeat("x", 51) + `"}`, 500, "truncated"},
		{"identity of 50 characters", "POST", "ContactIdentity", `{"ContactId":"` + contactID + `","ChannelIdentity":"` + strings.Repeat("ж", 50) + `"}`, 201, ""},
		{"missing contact", "POST", "OmniChat", `{"ContactId":"` + nobodyID + `"}`, 500, "FOREIGN KEY"},
		{"not a GUID", "POST", "OmniChat", `{"ContactId":"me"}`, 400, "Cannot convert"},
		{"number as text", "POST", "OmniChat", `{"UnprocessedMsgCount":"2"}`, 400, "Cannot convert"},
		{"NUL in a text", "POST", "ChatMessages", `{"Message":"a\u0000b"}`, 500, "invalid byte"},
		{"unknown object", "GET", "Telegram", "", 200, "No HTTP resource was found"},
		{"unknown option", "GET", "Contact?$where=1", "", 400, "not supported"},
		{"select of no column", "GET", "Contact?$select=Telegram", "", 400, "Could not find a property"},
		{"not JSON", "POST", "Contact", `Name=Ann`, 400, "not a JSON"},
		{"delete none", "DELETE", "Contact(" + nobodyID + ")", "", 404, "error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := c.odata(test.method, test.path, test.body)
			assert.Equal(t, test.status, r.status, r.body)
			assert.Contains(t, r.body, test.has)
		})
	}
	assert.Equal(t, 415, c.send("POST", "/odata/Contact", `{"Name":"Ann"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }).status)
	ignored := c.odata("POST", "OmniChat", `{"Contact":{"Id":"`+contactID+`"},"Contact/Id":"`+contactID+`"}`)
	assert.Equal(t, 201, ignored.status, "a navigation path is silently ignored")
	assert.Equal(t, "00000000-0000-0000-0000-000000000000", ignored.json["ContactId"])
	assert.Equal(t, 204, c.odata("DELETE", "OmniChat("+chatID+")", "").status)
	assert.Equal(t, 404, c.odata("GET", "OmniChat("+chatID+")", "").status)
}

// The site remembers whom a chat was given to, each time it was somebody else.
func TestOperators(t *testing.T) {
	c := newSite(t, creatiotest.Options{})
	c.login()
	const nobody = "00000000-0000-0000-0000-000000000000"
	ann, ben := c.site.AddUser("Ann", "secret", false).ID, c.site.AddUser("Ben", "secret", false).ID
	require.Equal(t, 201, c.odata("POST", "OmniChat", `{"Id":"`+chatID+`"}`).status)
	for _, change := range []string{`"OperatorId":"` + ann + `"`, `"OperatorId":"` + ann + `"`, `"Name":"x"`, `"OperatorId":"` + ben + `"`, `"OperatorId":null`} {
		require.Equal(t, 204, c.odata("PATCH", "OmniChat("+chatID+")", "{"+change+"}").status)
	}
	require.Equal(t, 500, c.odata("PATCH", "OmniChat("+chatID+")", `{"OperatorId":"`+nobodyID+`"}`).status, "a refused one was not given it")
	assert.Equal(t, []string{nobody, ann, ben, nobody}, c.site.Operators(chatID))
}

// wire §3: lookups by navigation path, bare GUIDs, doubled quotes.
func TestFilter(t *testing.T) {
	c := newSite(t, creatiotest.Options{})
	c.login()
	c.odata("POST", "Contact", `{"Id":"`+contactID+`","Name":"O'Hara","MobilePhone":"+1 202"}`)
	c.odata("POST", "OmniChat", `{"Id":"`+chatID+`","Name":"Chat-1","ContactId":"`+contactID+`","UnprocessedMsgCount":3,"AcceptDate":"2026-01-02T00:00:00Z"}`)
	good := map[string]int{
		"Contact/Id eq " + contactID: 1, "Contact/Id eq " + nobodyID: 0, "Id eq " + strings.ToUpper(chatID): 1,
		"Contact/Name eq 'O''Hara'": 1, "contains(Name,'hat')": 1, "startswith(Name,'hat')": 0, "endswith(Name,'-1')": 1,
		"UnprocessedMsgCount gt 2 and UnprocessedMsgCount le 3": 1, "not (Name eq 'Chat-1')": 0,
		"Name eq 'x' or Name eq 'Chat-1' and UnprocessedMsgCount eq 3": 1, "AcceptDate ge 2026-01-01T00:00:00Z": 1,
		"Operator/Id eq null": 1,
	}
	for filter, n := range good {
		r := c.list("OmniChat", filter)
		require.Equal(t, 200, r.status, filter+r.body)
		assert.Len(t, r.json["value"], n, filter)
	}
	for _, filter := range []string{"ContactId eq " + contactID, "Contact eq " + contactID, "Contact/Id eq '" + contactID + "'", "Name eq Chat", "Name eq " + contactID,
		"Name = 'x'", "Name eq 'x", "(Name eq 'x'", "length(Name) eq 1", "contains(UnprocessedMsgCount,'1')", "Nothing eq 1", "Name eq 'a' Name"} {
		r := c.list("OmniChat", filter)
		assert.GreaterOrEqual(t, r.status, 400, filter)
		assert.Contains(t, r.body, "error", filter)
	}
	assert.Contains(t, c.list("OmniChat", "ContactId eq "+contactID).body, "Column by path ContactId not found in schema OmniChat")
	r := c.odata("GET", "OmniChat?$select=Name&$expand=Contact($select=Name)&$count=true&$orderby=CreatedOn%20desc,Id&$top=1", "")
	assert.Equal(t, "O'Hara", r.json["value"].([]any)[0].(map[string]any)["Contact"].(map[string]any)["Name"])
	assert.Equal(t, 1.0, r.json["@odata.count"])
	assert.Len(t, c.list("ContactCommunication", "SearchNumber eq '2021'").json["value"], 1, "phones become communication options")
}

func TestPaging(t *testing.T) {
	c := newSite(t, creatiotest.Options{})
	c.login()
	for _, name := range []string{"b", "a", "c"} {
		c.site.Add("ChatQueue", map[string]any{"Name": name})
	}
	names := func(options string) (names []string) {
		for _, r := range c.odata("GET", "ChatQueue?"+options, "").json["value"].([]any) {
			names = append(names, r.(map[string]any)["Name"].(string))
		}
		return names
	}
	assert.Equal(t, []string{"a", "b"}, names("$orderby=Name&$top=2"))
	assert.Equal(t, []string{"c"}, names("$orderby=Name%20asc&$skip=2"))
	assert.Equal(t, []string{"c", "b", "a"}, names("$orderby=Name%20desc"))
	assert.Equal(t, 400, c.odata("GET", "ChatQueue?$top=-1", "").status)
}

// wire §3, $batch.
func TestBatch(t *testing.T) {
	const contact = `{"id":"%","method":"POST","url":"Contact","headers":{"Content-Type":"application/json;odata=verbose"},"body":{"Name":"N"}}`
	const broken = `{"id":"2","method":"POST","url":"Contact","headers":{"Content-Type":"application/json"},"body":{"Surname":"x"}}`
	one, three := strings.ReplaceAll(contact, "%", "1"), strings.ReplaceAll(contact, "%", "3")
	statuses := func(r reply) (all []int) {
		for _, response := range r.json["responses"].([]any) {
			all = append(all, int(response.(map[string]any)["status"].(float64)))
		}
		return all
	}
	c := newSite(t, creatiotest.Options{})
	c.login()
	body := `{"requests":[` + one + "," + broken + "," + three + `]}`
	stopped := c.odata("POST", "$batch", body)
	assert.Equal(t, 200, stopped.status)
	assert.Equal(t, []int{201, 400}, statuses(stopped), "stops at the first error")
	goOn := c.send("POST", "/odata/$batch", body, func(r *http.Request) { r.Header.Set("Prefer", "continue-on-error") })
	assert.Equal(t, []int{201, 400, 201}, statuses(goOn))
	for name, bad := range map[string]string{
		"same id":        `{"requests":[` + one + "," + one + `]}`,
		"no type":        `{"requests":[{"id":"1","method":"POST","url":"Contact","body":{"Name":"N"}}]}`,
		"absolute":       strings.ReplaceAll(`{"requests":[`+one+`]}`, `"Contact"`, `"/0/odata/Contact"`),
		"no requests":    `{}`,
		"101 of them":    `{"requests":[` + strings.TrimSuffix(numbered(contact, 101), ",") + `]}`,
		"malformed path": strings.ReplaceAll(`{"requests":[`+one+`]}`, `"Contact"`, `"Contact('x')"`),
	} {
		assert.Equal(t, 400, c.odata("POST", "$batch", bad).status, name)
	}
	assert.Equal(t, 200, c.odata("POST", "$batch", `{"requests":[`+strings.TrimSuffix(numbered(contact, 100), ",")+`]}`).status)
	without := newSite(t, creatiotest.Options{NoBatch: true})
	without.login()
	assert.Equal(t, 404, without.odata("POST", "$batch", body).status)
}

func numbered(request string, n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(strings.ReplaceAll(request, "%", string(rune('A'+i/26))+string(rune('a'+i%26))) + ",")
	}
	return all.String()
}

// wire §4.
func TestSettings(t *testing.T) {
	c := newSite(t, creatiotest.Options{Framework: true})
	c.login()
	const path = "/0/DataService/json/SyncReply/"
	r := c.send("POST", path+"QuerySysSettings", `{"sysSettingsNameCollection":["SiteUrl","Nothing"]}`, nil)
	assert.Equal(t, true, r.json["success"])
	assert.Equal(t, c.site.URL()+"/0", r.json["values"].(map[string]any)["SiteUrl"].(map[string]any)["value"], "S3.43")
	assert.Equal(t, []any{"Nothing"}, r.json["notFoundSettings"])
	assert.Equal(t, false, c.send("POST", path+"QuerySysSettings", `{}`, nil).json["success"])
	assert.Equal(t, true, c.send("POST", path+"PostSysSettingsValues", `{"isPersonal":false,"sysSettingsValues":{"SimultaneousChats":5}}`, nil).json["success"])
	assert.Contains(t, c.send("POST", path+"QuerySysSettings", `{"sysSettingsNameCollection":["SimultaneousChats"]}`, nil).body, `"value":5`)
}
