package chat_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
)

func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  chat.Setting
		want chat.Setting
	}{
		{"S3.63 two chats by default", chat.SimultaneousChats(nil, nil),
			chat.Setting{Code: "SimultaneousChats", Value: 2, Source: chat.SourceDefault}},
		{"S3.64 the value set here wins", chat.SimultaneousChats(minutesOf(5), map[string]string{"SimultaneousChats": "3"}),
			chat.Setting{Code: "SimultaneousChats", Value: 5, Source: chat.SourceHere, CRM: minutesOf(3)}},
		{"S3.64 otherwise the CRM's", chat.SimultaneousChats(nil, map[string]string{"SimultaneousChats": " 3 "}),
			chat.Setting{Code: "SimultaneousChats", Value: 3, Source: chat.SourceCRM, CRM: minutesOf(3)}},
		{"S3.64 0 is no limit, not no value", chat.SimultaneousChats(nil, map[string]string{"SimultaneousChats": "0"}),
			chat.Setting{Code: "SimultaneousChats", Value: 0, Source: chat.SourceCRM, CRM: minutesOf(0)}},
		{"S3.63 what is no number counts as none", chat.SimultaneousChats(nil, map[string]string{"SimultaneousChats": "many"}),
			chat.Setting{Code: "SimultaneousChats", Value: 2, Source: chat.SourceDefault}},
		{"S3.15 five minutes by default", chat.AcceptTimeout(nil, nil),
			chat.Setting{Code: "OmniChatOperatorAcceptChatTimeout", Value: 5, Source: chat.SourceDefault}},
		{"S3.15 an empty setting of the CRM is 0", chat.AcceptTimeout(nil, map[string]string{"OmniChatOperatorAcceptChatTimeout": "0"}),
			chat.Setting{Code: "OmniChatOperatorAcceptChatTimeout", Value: 5, Source: chat.SourceDefault}},
		{"S3.15 changed to 2", chat.AcceptTimeout(minutesOf(2), nil),
			chat.Setting{Code: "OmniChatOperatorAcceptChatTimeout", Value: 2, Source: chat.SourceHere}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, tc.got) })
	}
}

func TestPublicAddress(t *testing.T) {
	for _, tc := range []struct {
		name, in  string
		allowHTTP bool
		want      string
		err       error
	}{
		{"https", "https://Waggle.example.com/", false, "https://waggle.example.com", nil},
		{"with a path", "https://example.com/waggle/", false, "https://example.com/waggle", nil},
		{"plain http", "http://waggle.example.com", false, "", chat.ErrAddressScheme},
		{"plain http where allowed", "http://127.0.0.1:8080", true, "http://127.0.0.1:8080", nil},
		{"no host", "https:///hooks", false, "", chat.ErrAddressHost},
		{"a password in it", "https://a:b@example.com", false, "", chat.ErrAddressHost},
		{"a query", "https://example.com?x=1", false, "", chat.ErrAddressExtra},
		{"no address", "waggle", false, "", chat.ErrAddressScheme},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := chat.PublicAddress(tc.in, tc.allowHTTP)
			require.ErrorIs(t, err, tc.err)
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestS3_43_CRMAddress(t *testing.T) {
	for _, tc := range []struct {
		name, in     string
		root, prefix string
		err          error
	}{
		{"with /0", "https://yoursite.domain.com/0", "https://yoursite.domain.com", "/0", nil},
		{"with /0/ and capitals", "https://YourSite.domain.com/0/", "https://yoursite.domain.com", "/0", nil},
		{"without it", "https://yoursite.domain.com", "https://yoursite.domain.com", "", nil},
		{"its own port and the root's dot say nothing", "https://yoursite.domain.com.:443/0", "https://yoursite.domain.com", "/0", nil},
		{"another port does", "https://yoursite.domain.com:8443", "https://yoursite.domain.com:8443", "", nil},
		{"an IPv6 address", "https://[2001:DB8::1]:443/0", "https://[2001:db8::1]", "/0", nil},
		{"only a dot", "https://./0", "", "", chat.ErrAddressHost},
		{"plain http", "http://yoursite.domain.com/0", "", "", chat.ErrAddressScheme},
		{"missing host", "https:///0", "", "", chat.ErrAddressHost},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, prefix, err := chat.CRMAddress(tc.in, false)
			require.ErrorIs(t, err, tc.err)
			assert.Equal(t, tc.root, root)
			assert.Equal(t, tc.prefix, prefix)
		})
	}
}
