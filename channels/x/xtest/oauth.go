package xtest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

const clockSkew = 5 * time.Minute

// byUser demands a user's OAuth 1.0a signature (wire/x.md §1).
func byUser(c *call) *answer {
	header := c.r.Header.Get("Authorization")
	if strings.HasPrefix(header, "Bearer ") {
		a := answer{status: http.StatusForbidden, body: object{
			"title": "Unsupported Authentication",
			"detail": "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.  Supported authentication types are " +
				"[OAuth 1.0a User Context, OAuth 2.0 User Context].",
			"type": "https://api.twitter.com/2/problems/unsupported-authentication", "status": 403,
		}}
		return &a
	}
	if err := c.verify(header); err != nil {
		return unauthorized()
	}
	return nil
}

// byApp demands an app's bearer.
func byApp(c *call) *answer {
	bearer, found := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for _, app := range c.apps {
		if found && app.bearer == bearer {
			c.app = app
			return nil
		}
	}
	return unauthorized()
}

func unauthorized() *answer {
	return &answer{status: http.StatusUnauthorized, body: object{"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}}
}

// verify finds the account by its token and computes the signature anew.
func (c *call) verify(header string) error {
	oauth, err := parseHeader(header)
	if err != nil {
		return err
	}
	stamp, err := strconv.ParseInt(oauth["oauth_timestamp"], 10, 64)
	if err != nil || oauth["oauth_version"] != "1.0" || oauth["oauth_signature_method"] != "HMAC-SHA1" || oauth["oauth_nonce"] == "" {
		return fmt.Errorf("not an OAuth 1.0 header: %v", oauth)
	}
	if off := c.Clock.Now().Sub(time.Unix(stamp, 0)); off > clockSkew || off < -clockSkew {
		return fmt.Errorf("the timestamp is %s off", off)
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for _, account := range c.accounts {
		if account.token == oauth["oauth_token"] && account.app.consumerKey == oauth["oauth_consumer_key"] {
			c.app, c.account = account.app, account
		}
	}
	if c.account == nil || c.nonces[oauth["oauth_nonce"]] {
		return fmt.Errorf("an unknown token or a nonce used before")
	}
	form := ""
	if c.r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		form = string(c.body)
	}
	want, err := Signature(c.r.Method, "http://"+c.r.Host+c.r.URL.EscapedPath(), c.r.URL.RawQuery, form, oauth, c.app.consumerSecret, c.account.secret)
	if err != nil || !hmac.Equal([]byte(want), []byte(oauth["oauth_signature"])) {
		return fmt.Errorf("a wrong signature")
	}
	c.nonces[oauth["oauth_nonce"]] = true
	return nil
}

// parseHeader takes an Authorization header apart. A plus is no encoding of a space here, and stands for nothing else either.
func parseHeader(header string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(header, "OAuth ")
	if !ok || strings.Contains(rest, "+") {
		return nil, fmt.Errorf("no OAuth header, or one with a plus")
	}
	params := map[string]string{}
	for _, pair := range strings.Split(rest, ",") {
		name, quoted, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found || len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
			return nil, fmt.Errorf("a parameter without quotes")
		}
		value, err := url.PathUnescape(quoted[1 : len(quoted)-1])
		if err != nil {
			return nil, err
		}
		if _, twice := params[name]; twice {
			return nil, fmt.Errorf("%s appears twice", name)
		}
		params[name] = value
	}
	return params, nil
}

// Signature is the OAuth 1.0a signature of one request (RFC 5849 §3.4): address is the URL without its query, form a
// form-encoded body, oauth the parameters of the header, of which oauth_signature does not count.
func Signature(method, address, query, form string, oauth map[string]string, consumerSecret, tokenSecret string) (string, error) {
	type pair struct{ name, value string }
	var pairs []pair
	for _, encoded := range []string{query, form} {
		values, err := url.ParseQuery(encoded)
		if err != nil {
			return "", err
		}
		for name, all := range values {
			for _, v := range all {
				pairs = append(pairs, pair{percent(name), percent(v)})
			}
		}
	}
	for name, v := range oauth {
		if name != "oauth_signature" && name != "realm" {
			pairs = append(pairs, pair{percent(name), percent(v)})
		}
	}
	sort.Slice(pairs, func(i, j int) bool {
		if pairs[i].name != pairs[j].name {
			return pairs[i].name < pairs[j].name
		}
		return pairs[i].value < pairs[j].value
	})
	joined := make([]string, len(pairs))
	for i, p := range pairs {
		joined[i] = p.name + "=" + p.value
	}
	base := method + "&" + percent(address) + "&" + percent(strings.Join(joined, "&"))
	mac := hmac.New(sha1.New, []byte(percent(consumerSecret)+"&"+percent(tokenSecret)))
	_, _ = mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// percent encodes all but RFC 3986's unreserved characters.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			_ = b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
