package chat

import (
	"errors"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
)

// Phone returns a phone number as its digits with a leading +, so that two spellings of one number are equal; "" where
// there are fewer than 7 digits.
func Phone(s string) string {
	var b strings.Builder
	for _, r := range strings.TrimPrefix(strings.TrimSpace(s), "00") {
		if r <= unicode.MaxASCII && unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	if b.Len() < 7 {
		return ""
	}
	return "+" + b.String()
}

// Email returns an e-mail address in lower case, or "" where s is not one plain address.
func Email(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return "" // most customers: not worth a parser
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || !strings.Contains(s, "@") {
		return ""
	}
	return strings.ToLower(s)
}

// Errors of CRMAddress.
var (
	ErrAddressScheme = errors.New("the address must begin with https://")
	ErrAddressHost   = errors.New("the address has no host name")
)

// CRMAddress splits the address of a CRM's site into its normalised root and its prefix: "https://Crm.example.com/0/" is
// "https://crm.example.com" and "/0" (S3.43). Plain http:// is refused unless allowHTTP.
func CRMAddress(s string, allowHTTP bool) (root, prefix string, err error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || (u.Scheme == "http" && !allowHTTP) {
		return "", "", ErrAddressScheme
	}
	if strings.Trim(u.Hostname(), ".") == "" || u.User != nil {
		return "", "", ErrAddressHost
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if rest, ok := strings.CutSuffix(path, "/0"); ok {
		path, prefix = rest, "/0"
	}
	return u.Scheme + "://" + hostOf(u) + path, prefix, nil
}

// hostOf writes a URL's host as browsers do: in lower case, without the scheme's own port, and without the root's dot.
func hostOf(u *url.URL) string {
	host, port := strings.TrimRight(strings.ToLower(u.Hostname()), "."), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		return host
	}
	return host + ":" + port
}
