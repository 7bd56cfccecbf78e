package guard_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"waggle/guard"
)

// What another server says may repeat what we sent it.
func TestQuotedShowsNoSecret(t *testing.T) {
	for name, row := range map[string]struct {
		words   string
		secrets []string
		want    string
	}{
		"as it is":                        {"bad token 123:AbC", []string{"123:AbC"}, "bad token …"},
		"as a path spells it":             {"/bot12%2F3/x", []string{"12/3"}, "/bot…/x"},
		"as a query spells it":            {"q=a+b%26c", []string{"a b&c"}, "q=…"},
		"as RFC 3986 spells it":           {"q=a%20b%26c", []string{"a b&c"}, "q=…"},
		"with its ends cut":               {"text too long: Hello there", []string{"  Hello there\n"}, "text too long: …"},
		"everywhere":                      {"secret and secret", []string{"secret"}, "… and …"},
		"the first one first":             {"token-abc-def", []string{"token-abc-def", "token"}, "…"},
		"none":                            {"chat not found", []string{"", "   "}, "chat not found"},
		"a short word is the other's own": {"it is not so", []string{"it", "not"}, "it is not so"},
		"and so is one in other letters":  {"не то", []string{"не", "то"}, "не то"},
		"what is no UTF-8":                {"a\xffb", nil, "a\uFFFDb"},
		"as much as fits":                 {strings.Repeat("ä", 300), nil, strings.Repeat("ä", 300)},
		"more than fits":                  {strings.Repeat("ä", 301), nil, strings.Repeat("ä", 300) + "…"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, row.want, guard.Quoted(row.words, row.secrets...)) })
	}
}

func TestScrubbedKeepsWhatCallersAskFor(t *testing.T) {
	inner := errors.Join(guard.ErrBlocked, errors.New("dial with 123:AbC"))
	err := guard.Scrubbed(&url.Error{Op: "Get", URL: "https://api.example/bot123:AbC", Err: inner}, "123:AbC")
	assert.ErrorIs(t, err, guard.ErrBlocked)
	assert.NotContains(t, err.Error(), "123:AbC")
	assert.Contains(t, err.Error(), "dial with …")
}
