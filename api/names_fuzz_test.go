package api

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waggle/media"
)

// What others called a file or put into an address is harmless as a header, a file's name and a line of the log.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"report.pdf", "../../etc/passwd", `C:\x.exe`, "a\r\nSet-Cookie: x", "\u202egpj.exe", "…", "/api/v1/chats/wsk_secret", strings.Repeat("é", 300), "", ".", "\xff", "text/html; charset=\"x"} {
		f.Add(seed)
	}
	logged := regexp.MustCompile(`^[a-z0-9A-F./…_-]*$`)
	f.Fuzz(func(t *testing.T, s string) {
		name := mediaName(s)
		require.NotEmpty(t, name)
		require.NotContains(t, name, "/")
		require.LessOrEqual(t, utf8.RuneCountInString(name), 120)
		header := mime.FormatMediaType("attachment", map[string]string{"filename": name})
		require.False(t, strings.ContainsAny(header, "\r\n\x00"))
		require.True(t, strings.HasPrefix(header, "attachment"), "%q gives %q", name, header)
		require.NotContains(t, media.Shown(s), "html")
		require.Regexp(t, logged, plainPath(s))
		require.LessOrEqual(t, lengths([]byte(s)), 1+strings.Count(s, "\n"))
	})
}

// A body is read as one JSON value or refused as a problem of the request's.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":"\u0000"}]}`, `{} {}`, "[[[", `"\ud800"`, "1e999", `{"a":1,"a":2}`, "\xff", "\ufeff{}", "nul"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		value, err := parse(raw)
		if err != nil {
			var p *problem
			require.ErrorAs(t, err, &p)
			require.Equal(t, http.StatusBadRequest, p.Status)
			return
		}
		require.True(t, json.Valid(raw))
		require.LessOrEqual(t, depth(raw), maxDepth)
		_ = unstorable("", value)
		_, err = json.Marshal(value)
		require.NoError(t, err)
	})
}
