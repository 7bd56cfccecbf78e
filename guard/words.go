package guard

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Quoted is what another server said, fit for a log and for people: without the secrets, valid UTF-8, 300 characters at most.
func Quoted(words string, secrets ...string) string {
	const limit = 300
	words = strings.ToValidUTF8(hidden(words, secrets...), "\uFFFD")
	if runes := []rune(words); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return words
}

// hidden takes secrets out of a text, in their order, as they are and as addresses spell them. The ends of what people write
// are cut on the way. What has three characters or fewer stays: it may be the other side's own word.
func hidden(text string, secrets ...string) string {
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		if utf8.RuneCountInString(secret) <= 3 {
			continue
		}
		query := url.QueryEscape(secret)
		for _, form := range []string{secret, url.PathEscape(secret), query, strings.ReplaceAll(query, "+", "%20")} {
			text = strings.ReplaceAll(text, form, "…")
		}
	}
	return text
}
