package chat

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// What people type is brought into one form, or refused; bringing it there again changes nothing.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{
		"", "+49 (30) 123-456", "0049301234567", "١٢٣٤٥٦٧", "Ann@Example.com", "Ann <ann@example.com>", "a@b@c", "\"a b\"@c",
		"https://Crm.example.com:443/0/", "http://crm.example.com:80", "https://crm.example.com./a%2fb/%3f/0", "https://u:p@h/", "https://[::1]:8080//0/0", "https://h/a/../b?c#d", "a\x00b\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p := Phone(s); p != "" {
			require.Regexp(t, `^\+[0-9]{7,}$`, p)
			require.Equal(t, p, Phone(p))
		}
		if e := Email(s); e != "" {
			require.Contains(t, e, "@")
			require.Equal(t, e, Email(e))
		}
		text := Storable(s)
		require.True(t, utf8.ValidString(text) && !strings.Contains(text, "\x00"))
		require.Equal(t, text, Storable(text))
		root, prefix, err := CRMAddress(s, true)
		if err != nil {
			require.Empty(t, root+prefix)
			return
		}
		again, same, err := CRMAddress(root+prefix, true)
		require.NoError(t, err, root)
		require.Equal(t, []string{root, prefix}, []string{again, same})
		u, err := url.Parse(root)
		require.NoError(t, err)
		require.True(t, u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "", root)
	})
}
