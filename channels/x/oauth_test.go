package x

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/channels/x/xtest"
)

// documented are the keys of X's own documentation, long revoked.
var documented = credentials{
	consumerKey: "xvz1evFS4wEEPTGEFPHBog", consumerSecret: "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
	accessToken: "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb", accessSecret: "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
}

const (
	documentedNonce = "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"
	documentedTime  = 1318622958
)

// The vectors of wire/x.md §1, by our signer and by the double's own. S4.4, S4.12: every call of the account is signed so.
func TestSignature(t *testing.T) {
	status := url.Values{"status": {"Hello Ladies + Gentlemen, a signed OAuth request!"}}
	for _, row := range []struct {
		name, method, address string
		form                  url.Values
		want                  string
	}{
		{"the documented request", "POST", "https://api.x.com/1.1/statuses/update.json?include_entities=true", status, "Ls93hJiZbQ3akF3HF3x1Bz8/zU4="},
		{"the old host", "POST", "https://api.twitter.com/1.1/statuses/update.json?include_entities=true", status, "hCtSmYh+iHYCEqBWrE7C7hYmtUk="},
		{"trap: the value printed beside another address", "POST", "https://api.twitter.com/1/statuses/update.json?include_entities=true", status, "tnnArxj06cWHq44gCs1OSKk/jLY="},
		{"a JSON body is not signed", "POST", "https://api.x.com/2/dm_conversations/with/9876543210/messages", nil, "k9oKAc/6+m9zK24BJvwiQZWMMDc="},
		{"a comma is encoded twice", "GET", "https://api.x.com/2/dm_events?dm_event.fields=id,created_at,sender_id,dm_conversation_id,text,event_type,attachments&event_types=MessageCreate&max_results=100", nil, "CXbP0c4UGULnJMWgIuEt7MfpGPw="},
		{"users/me", "GET", "https://api.x.com/2/users/me", nil, "s6npKHEFSxFN4Kn7jGHKfpcDUOI="},
	} {
		t.Run("S4.12 §1 "+row.name, func(t *testing.T) {
			address, err := url.Parse(row.address)
			require.NoError(t, err)
			header := documented.header(row.method, address, row.form, documentedNonce, time.Unix(documentedTime, 0))
			assert.Contains(t, header, `oauth_signature="`+encode(row.want)+`"`)
			assert.True(t, strings.HasPrefix(header, `OAuth oauth_consumer_key="xvz1evFS4wEEPTGEFPHBog", oauth_nonce="`))

			where, query, _ := strings.Cut(row.address, "?")
			theirs, err := xtest.Signature(row.method, where, query, row.form.Encode(), map[string]string{
				"oauth_consumer_key": documented.consumerKey, "oauth_nonce": documentedNonce, "oauth_signature_method": "HMAC-SHA1",
				"oauth_timestamp": "1318622958", "oauth_token": documented.accessToken, "oauth_version": "1.0", "oauth_signature": "not counted",
			}, documented.consumerSecret, documented.accessSecret)
			require.NoError(t, err)
			assert.Equal(t, row.want, theirs)
		})
	}
}

// The examples of X's page on percent encoding.
func TestEncode(t *testing.T) {
	for in, want := range map[string]string{
		"Ladies + Gentlemen": "Ladies%20%2B%20Gentlemen", "An encoded string!": "An%20encoded%20string%21", "Dogs, Cats & Mice": "Dogs%2C%20Cats%20%26%20Mice",
		"☃": "%E2%98%83", "-._~": "-._~", "/=*'()": "%2F%3D%2A%27%28%29", "": "",
	} {
		assert.Equal(t, want, encode(in), in)
	}
}

func TestBaseString(t *testing.T) {
	address, err := url.Parse("HTTPS://API.x.com/a%20b?c=1")
	require.NoError(t, err)
	got := baseString("GET", address, [][2]string{{"a", "2"}, {"a-b", "1"}, {"a", "1"}, {"a.c", "x y"}})
	assert.Equal(t, "GET&https%3A%2F%2Fapi.x.com%2Fa%2520b&a%3D1%26a%3D2%26a-b%3D1%26a.c%3Dx%2520y", got, "by name, then by value, not by the joined pair")
	assert.Equal(t, 2, strings.Count(got, "&"), "exactly two raw &")
}

// S4.23: the bearer goes into app-level calls only, the signature into the account's only.
func TestWhoSigns(t *testing.T) {
	for _, row := range []struct {
		as   signer
		want string
	}{{documented.user(), "OAuth "}, {credentials{bearer: "AAA%3D"}.asApp(), "Bearer AAA%3D"}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.x.com/2/users/me", http.NoBody)
		require.NoError(t, err)
		row.as.authorize(r, time.Now())
		assert.True(t, strings.HasPrefix(r.Header.Get("Authorization"), row.want))
		first := r.Header.Get("Authorization")
		row.as.authorize(r, time.Now())
		assert.Equal(t, row.as.app, first == r.Header.Get("Authorization"), "each signature has a nonce of its own")
	}
}
