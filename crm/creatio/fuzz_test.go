package creatio

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever the CRM or what stands before it answers is understood, or an error.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"responses":[{"id":"1","status":201,"body":{"Id":"x"}},{"id":"2","status":400,"body":"{\"error\":{\"message\":\"no\"}}"}]}`,
		`{"responses":[{"id":"-1"},{"id":"99999999999999999999"},{"id":"1","status":-5,"body":null}]}`, `{"responses":null}`, `<html>`, "",
		`{"error":{"code":"","message":"An error","innererror":{"message":"deadlock","type":"x"}}}`, `{"Code":1,"Message":"wrong"}`, `{"Message":"x","ExceptionMessage":"y"}`, `[`, `"x"`,
	} {
		f.Add(200, "3", seed)
	}
	f.Add(429, "9300000000", "")
	f.Add(429, "Thu, 31 Dec 9999 23:59:59 GMT", "")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &session{now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, status int, retry, body string) {
		a := answer{status: status, header: http.Header{"Retry-After": {retry}}, body: []byte(body)}
		_ = problemOf(a)
		require.False(t, s.retryAt(a).After(now.Add(longestPause)))
		if seconds, err := strconv.Atoi(retry); err == nil {
			require.False(t, s.retryAt(a).Before(now), seconds)
		}
		answers, err := parseBatch(a, 3)
		if err == nil {
			require.Len(t, answers, 3)
			for _, one := range answers {
				if one != nil {
					_ = problemOf(*one)
				}
			}
		}
	})
}
