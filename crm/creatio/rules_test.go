package creatio

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bodies of wire/creatio.md §3, "Error bodies", at any status.
func TestProblemOf(t *testing.T) {
	tests := map[string]struct {
		status  int
		body    string
		problem bool
		passing bool
		reason  string
	}{
		"created":                      {201, `{"@odata.context":"…","Id":"x","Name":"n"}`, false, false, ""},
		"updated":                      {204, ``, false, false, ""},
		"list":                         {200, `{"@odata.context":"…","value":[]}`, false, false, ""},
		"record with a column Message": {200, `{"Id":"x","Message":"hello"}`, false, false, ""},
		"error":                        {400, `{"error":{"code":"","message":"Column Name is required"}}`, true, false, "the CRM refused the record (HTTP 400): Column Name is required"},
		"error with status 200":        {200, `{"error":{"code":"","message":"No rights"}}`, true, false, "the CRM refused the record (HTTP 200): No rights"},
		"database": {500, `{"error":{"message":"An error has occurred.","innererror":{"message":"String or binary data would be truncated in column 'Sender'. Truncated value: 'my secret'."}}}`,
			true, false, "the CRM refused the record (HTTP 500): An error has occurred. String or binary data would be truncated in column 'Sender'."},
		"postgres": {500, `{"error":{"message":"23502: null value. DETAIL: Failing row contains (my secret)."}}`, true, false, "the CRM refused the record (HTTP 500): 23502: null value."},
		"quotes a word of ours in a refusal": {500, `{"error":{"message":"x","innererror":{"message":"Truncated value: 'deadlock timed out'"}}}`,
			true, false, "the CRM refused the record (HTTP 500): x"},
		"echoes the text":  {400, `{"error":{"message":"Bad text my secret!"}}`, true, false, "the CRM refused the record (HTTP 400): Bad text …!"},
		"deadlock":         {500, `{"error":{"message":"Transaction was deadlocked on lock resources"}}`, true, true, ""},
		"ASP.NET":          {500, `{"Message":"An error has occurred.","ExceptionMessage":"Boom"}`, true, false, "the CRM refused the record (HTTP 500): An error has occurred. Boom"},
		"bare 500":         {500, ``, true, true, ""},
		"bad gateway":      {502, `<html>bad gateway</html>`, true, true, ""},
		"too many":         {429, ``, true, true, ""},
		"not yet an OData": {200, `{"Message":"No HTTP resource was found that matches the request URI 'x'.","MessageDetail":"d"}`, true, true, ""},
		"model state":      {400, `{"Message":"The request is invalid.","ModelState":{"entity.Phone":["my secret"]}}`, true, false, "the CRM refused the record (HTTP 400): The request is invalid. entity.Phone"},
		"words in an object": {400, `{"error":{"code":"","message":{"lang":"en","value":"Column Name is required"},"innererror":"Boom"}}`,
			true, false, "the CRM refused the record (HTTP 400): Column Name is required Boom"},
		"page":  {200, `<!DOCTYPE html>`, true, false, "the CRM refused the record (HTTP 200)"},
		"moved": {301, ``, true, false, "the CRM refused the record (HTTP 301)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := problemOf(answer{status: test.status, body: []byte(test.body)})
			require.Equal(t, test.problem, p != nil)
			if p == nil {
				return
			}
			assert.Equal(t, test.passing, p.passing)
			if !p.passing {
				reason := p.reason(map[string]any{"Message": "my secret", "Count": 1, "Name": "x"})
				assert.Equal(t, test.reason, reason)
				assert.NotContains(t, reason, "my secret")
			}
		})
	}
}

func TestSame(t *testing.T) {
	id, at := uuid.New(), time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	tests := []struct {
		name string
		want any
		have any
		same bool
	}{
		{"id", id, id.String(), true},
		{"other id", id, uuid.NewString(), false},
		{"empty lookup as zero GUID", uuid.Nil, "00000000-0000-0000-0000-000000000000", true},
		{"empty lookup as null", uuid.Nil, nil, true},
		{"lookup to be emptied", uuid.Nil, id.String(), false},
		{"date to the millisecond", at, "2026-03-01T12:00:00.123Z", true},
		{"date of another zone", at, "2026-03-01T14:00:00.123+02:00", true},
		{"date, one millisecond off", at, "2026-03-01T12:00:00.124Z", false},
		{"empty date", time.Time{}, "0001-01-01T00:00:00Z", true},
		{"empty date as null", time.Time{}, nil, true},
		{"date to be emptied", time.Time{}, "2026-03-01T12:00:00Z", false},
		{"date to be set", at, "0001-01-01T00:00:00Z", false},
		{"number", 3, json.Number("3"), true},
		{"number as text", 3, "3", true},
		{"zero as null", 0, nil, true},
		{"other number", 3, json.Number("4"), false},
		{"bool", true, true, true},
		{"false as null", false, nil, true},
		{"text", "a", "a", true},
		{"empty text as null", "", nil, true},
		{"other text", "a", "A", false},
	}
	for _, test := range tests {
		assert.Equal(t, test.same, same(test.want, test.have), test.name)
	}
}

func TestBodies(t *testing.T) {
	r := record{uuid.New(), "OmniChat", map[string]any{"Name": "Chat-1", "OperatorId": uuid.Nil, "CloseDate": time.Time{}}}
	assert.Equal(t, map[string]any{"Id": r.id.String(), "Name": "Chat-1"}, r.inserted(), "what is empty is left out")
	have := row{"Name": "Chat-1", "OperatorId": uuid.NewString(), "CloseDate": "2026-03-01T12:00:00Z"}
	assert.Equal(t, map[string]any{"OperatorId": nil, "CloseDate": nil}, r.differences(have), "what is to be emptied is null")
}

// wire/creatio.md §2.1: the header follows the cookie, also a renewed one.
func TestRenewedCookies(t *testing.T) {
	c := credential{cookies: map[string]string{}}
	c.take(answer{header: http.Header{"Set-Cookie": {"BPMCSRF=one; path=/", ".ASPXAUTH=a; HttpOnly"}}})
	s := &session{current: credential{generation: 1, cookies: c.cookies}}
	s.remember(1, answer{header: http.Header{"Set-Cookie": {"BPMCSRF=two", ".ASPXAUTH=; Max-Age=0"}}})
	s.remember(0, answer{header: http.Header{"Set-Cookie": {"BPMCSRF=late"}}})
	header := http.Header{}
	s.sign(header, s.current)
	assert.Equal(t, "two", header.Get("BPMCSRF"))
	assert.Equal(t, "BPMCSRF=two", header.Get("Cookie"))
	assert.Equal(t, "true", header.Get("ForceUseSession"))
}

func TestParseBatch(t *testing.T) {
	answers, err := parseBatch(answer{status: 200, body: []byte(`{"responses":[{"id":"2","status":201,"body":"{\"Id\":\"x\"}"},{"id":"9","status":201},{"id":"x","status":201}]}`)}, 2)
	require.NoError(t, err)
	assert.Nil(t, answers[0], "missing is unknown")
	assert.Nil(t, problemOf(*answers[1]))
	_, err = parseBatch(answer{status: 200, body: []byte(`{"Message":"No HTTP resource was found that matches the request URI"}`)}, 2)
	require.ErrorIs(t, err, errNoBatch)
	_, err = parseBatch(answer{status: 200, body: []byte(`{}`)}, 2)
	require.Error(t, err)
}
