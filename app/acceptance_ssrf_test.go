package app_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/channels/custom/customtest"
)

// inside is a service of the operator's own network that nobody allowed: an address of this machine that ALLOW_HOSTS does not
// name. It counts who reaches it.
func inside(t *testing.T) (port string, reached *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	reached = &atomic.Int64{}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = w.Write([]byte(`{"ok":true}`))
	})}}
	server.Start()
	t.Cleanup(server.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port, reached
}

// Whichever field takes an address, and however that is spelt, Waggle calls nothing inside the operator's network by it.
func TestNoFieldLeadsInside(t *testing.T) {
	onACompanysMessenger(t, func(t *testing.T, p *place) {
		port, reached := inside(t)
		redirect := httptest.NewServer(http.RedirectHandler("http://127.0.0.2:"+port+"/", http.StatusFound)) // allowed itself
		t.Cleanup(redirect.Close)
		for _, to := range []string{
			"http://127.0.0.2:" + port, "https://127.0.0.2:" + port, "http://[::ffff:127.0.0.2]:" + port, "http://[64:ff9b::7f00:2]:" + port,
			"http://2130706434:" + port, "http://0x7f000002:" + port, "http://017700000002:" + port, "http://0177.0.0.2:" + port,
			"http://127.2:" + port, "http://127.0.0.2.:" + port, "http://0.0.0.0:" + port, "http://169.254.169.254", "http://[fd00:ec2::254]",
			"http://metadata.google.internal", redirect.URL,
		} {
			for field, in := range map[string]body{
				"crm_url":      {"crm_url": to, "login": crmAdmin, "password": crmPassword},
				"identity_url": {"crm_url": p.crm.URL(), "generate_api_key": true, "oauth": body{"identity_url": to, "client_id": oauthClient, "client_secret": oauthSecret}},
			} {
				status := p.send(http.MethodPut, "/wizard/credentials", in).status
				require.GreaterOrEqual(t, status, 400, "%s %s", field, to)
				require.NotEqual(t, 500, status, "%s %s", field, to)
			}
			status := p.send(http.MethodPost, "/channels", p.custom(p.messenger, body{"webhook": to})).status
			require.GreaterOrEqual(t, status, 400, "Webhook %s", to)
			require.NotEqual(t, 500, status, "Webhook %s", to)
		}
		require.Zero(t, reached.Load())

		// A file that the messenger names is fetched by itself.
		for _, to := range []string{"http://127.0.0.2:" + port + "/passwd", redirect.URL} {
			_, err := p.messenger.Customer(customtest.Profile{ID: "Eve", Name: "Eve"}).Write(t.Context(), "look", customtest.Attachment{Name: "passwd", MIME: "text/plain", URL: to})
			require.NoError(t, err)
		}
		var list gen.MessageList
		p.get("/chats/"+p.chatOf("Eve").ID.String()+"/messages", &list)
		require.Len(t, list.Items, 2)
		for _, m := range list.Items {
			p.until("the file is given up", func() bool {
				return p.request(http.MethodGet, "/api/v1/media/"+m.ID.String()+"/0", []string{"Authorization", "Bearer " + p.api.Token}).status == http.StatusNotFound
			})
		}
		require.Zero(t, reached.Load())
	})
}
