package x

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // OAuth 1.0a's HMAC-SHA1 is what X takes
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This is our own signer because the rule is tiny and the well-kept library (dghubble/oauth1) takes no clock from outside,
// so that the wire's vectors could not be tried on it. It also signs inside an http.Client made for one token, while here
// one guarded client serves the channels of all tenants.

// authorize signs r as the account (RFC 5849, HMAC-SHA1). What a form-encoded body would add to the signature does not occur:
// X's v2 calls carry JSON or multipart, and those are not signed (wire/x.md §1).
func (c credentials) authorize(r *http.Request, at time.Time) {
	r.Header.Set("Authorization", c.header(r.Method, r.URL, nil, rand.Text(), at))
}

// header is the Authorization header of one request; form are the parameters of a form-encoded body.
func (c credentials) header(method string, address *url.URL, form url.Values, nonce string, at time.Time) string {
	oauth := [][2]string{
		{"oauth_consumer_key", c.consumerKey},
		{"oauth_nonce", nonce},
		{"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", strconv.FormatInt(at.Unix(), 10)},
		{"oauth_token", c.accessToken},
		{"oauth_version", "1.0"},
	}
	params := slices.Clone(oauth)
	for _, more := range []url.Values{address.Query(), form} {
		for name, values := range more {
			for _, v := range values {
				params = append(params, [2]string{name, v})
			}
		}
	}
	key := encode(c.consumerSecret) + "&" + encode(c.accessSecret)
	mac := hmac.New(sha1.New, []byte(key))
	_, _ = mac.Write([]byte(baseString(method, address, params))) // never fails
	oauth = append(oauth, [2]string{"oauth_signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))})
	for i, p := range oauth {
		oauth[i][0] = p[0] + `="` + encode(p[1]) + `"`
	}
	return "OAuth " + join(oauth, 0, ", ")
}

// baseString is what is signed: method, address and all parameters (RFC 5849 §3.4.1).
func baseString(method string, address *url.URL, params [][2]string) string {
	for i, p := range params {
		params[i] = [2]string{encode(p[0]), encode(p[1])}
	}
	// By name and then by value; sorting the joined pairs would be wrong, since '=' is above '-' and '.'.
	slices.SortFunc(params, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for i, p := range params {
		params[i][0] = p[0] + "=" + p[1]
	}
	where := strings.ToLower(address.Scheme) + "://" + strings.ToLower(address.Host) + address.EscapedPath()
	return method + "&" + encode(where) + "&" + encode(join(params, 0, "&"))
}

func join(pairs [][2]string, part int, separator string) string {
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p[part]
	}
	return strings.Join(out, separator)
}

// encode is RFC 3986's: QueryEscape differs from it in the space alone.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
