package guard

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func client(t *testing.T, allow ...string) *http.Client {
	t.Helper()
	c, err := New(Policy{AllowHosts: allow})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string, error) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestPublicAddresses(t *testing.T) {
	for ip, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "172.32.0.1": true, "100.128.0.1": true, "2606:4700::1111": true,
		"64:ff9b::808:808": true, "::ffff:8.8.8.8": true,

		"0.0.0.0": false, "10.1.2.3": false, "100.64.0.1": false, "100.100.100.200": false, "127.0.0.1": false,
		"127.255.255.254": false, "168.63.129.16": false, "169.254.169.254": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.0.0.192": false, "192.0.2.1": false, "192.168.0.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.255.255.250": false, "240.0.0.1": false,
		"255.255.255.255": false,

		"::": false, "::1": false, "::127.0.0.1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::a00:1": false, "100::1": false,
		"2001::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "3fff::1": false, "fc00::1": false,
		"fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false,
	} {
		t.Run(ip, func(t *testing.T) {
			assert.Equal(t, want, public(netip.MustParseAddr(ip)))
		})
	}
}

func TestHostileAddressesAreNeverDialled(t *testing.T) {
	c := client(t)
	for _, host := range []string{
		"127.0.0.1", "127.1.2.3", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]",
		"169.254.169.254", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200", "168.63.129.16",
		"10.0.0.1", "192.168.1.1", "172.16.0.1", "[fd00:ec2::254]", "[fe80::1]", "224.0.0.1", "255.255.255.255",
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(scheme+" "+host, func(t *testing.T) {
				_, err := c.Get(scheme + "://" + host + ":9/")
				require.ErrorIs(t, err, ErrBlocked)
				assert.ErrorContains(t, err, "ALLOW_HOSTS")
			})
		}
	}
}

func TestOtherSpellingsOfLoopbackDoNotReachIt(t *testing.T) {
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
	for _, host := range []string{"2130706433", "017700000001", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "LOCALHOST."} {
		t.Run(host, func(t *testing.T) {
			// Each of them either does not resolve or resolves to an address that is refused.
			c, err := New(Policy{Resolver: resolver("127.0.0.1")})
			require.NoError(t, err)
			_, err = c.Get("http://" + host + ":" + port + "/")
			require.Error(t, err)
		})
	}
	assert.False(t, reached)
}

func TestAllowHosts(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	port := u.Port()
	for _, row := range []struct {
		allow string
		host  string
		ok    bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1:" + port, "127.0.0.1", true},
		{"127.0.0.1:1", "127.0.0.1", false},
		{"127.0.0.0/8", "127.0.0.1", true},
		{"10.0.0.0/8", "127.0.0.1", false},
		{"::1", "127.0.0.1", false},
		{"::ffff:127.0.0.1", "127.0.0.1", true},
		{" bots.internal ", "bots.internal", true},
		{"BOTS.internal.", "bots.internal", true},
		{"bots.internal", "Bots.Internal.", true},
		{"bots.internal:" + port, "bots.internal", true},
		{"bots.internal:1", "bots.internal", false},
		{"bots.internal", "other.internal", false},
		{"internal", "bots.internal", false},
		{"127.0.0.1/32", "bots.internal", true},
		{"127.0.0.1", "[::ffff:127.0.0.1]", true},
	} {
		t.Run(row.allow+" "+row.host, func(t *testing.T) {
			c, err := New(Policy{AllowHosts: []string{"", row.allow}, Resolver: resolver("127.0.0.1")})
			require.NoError(t, err)
			_, body, err := get(t, c, "http://"+row.host+":"+port)
			if !row.ok {
				require.ErrorIs(t, err, ErrBlocked)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "hello", body)
		})
	}
}

func TestAllowHostsRefusesWhatItCannotRead(t *testing.T) {
	for _, entry := range []string{"https://bots.internal", "10.0.0.0/33", "10.0.0.0/", "*.internal", "host:0", "host:70000", "host:http", "a b", "user@host", ":80", "1:2:3"} {
		t.Run(entry, func(t *testing.T) {
			_, err := New(Policy{AllowHosts: []string{"fine.example", entry}})
			require.ErrorContains(t, err, "ALLOW_HOSTS")
			assert.ErrorContains(t, err, fmt.Sprintf("%q", entry))
		})
	}
}

func TestAllowedHostMayNotPermitAnotherNameOfItsAddress(t *testing.T) {
	c, err := New(Policy{AllowHosts: []string{"bots.internal"}, Resolver: resolver("127.0.0.1")})
	require.NoError(t, err)
	_, err = c.Get("http://evil.example:9/")
	require.ErrorIs(t, err, ErrBlocked)
	assert.NotContains(t, err.Error(), "127.0.0.1", "what a name resolves to inside is nobody's business")
}

func TestRebindingNameIsCheckedAtEachDial(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	// 127.0.0.1 stands for the harmless address the name shows first, 127.0.0.2 for the one it turns to.
	c, err := New(Policy{AllowHosts: []string{"127.0.0.1"}, Resolver: resolver("127.0.0.1", "127.0.0.2")})
	require.NoError(t, err)
	_, _, err = get(t, c, "http://rebind.example:"+u.Port())
	require.NoError(t, err)
	_, _, err = get(t, c, "http://rebind.example:"+u.Port())
	require.ErrorIs(t, err, ErrBlocked)
}

func TestPlainHTTPGoesToAllowedHostsOnly(t *testing.T) {
	c, err := New(Policy{Resolver: resolver("93.184.216.34")})
	require.NoError(t, err)
	_, err = c.Get("http://public.example/") // refused before the first packet
	require.ErrorIs(t, err, ErrBlocked)
	assert.ErrorContains(t, err, "plain http://")
}

func TestHTTPSReachesAnAllowedHost(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret talk") }))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c, err := New(Policy{AllowHosts: []string{"127.0.0.1"}, RootCAs: roots})
	require.NoError(t, err)
	_, body, err := get(t, c, srv.URL)
	require.NoError(t, err)
	assert.Equal(t, "secret talk", body)
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	c, err := New(Policy{AllowHosts: []string{"bots.internal"}, Resolver: resolver("127.0.0.1")})
	require.NoError(t, err)
	_, _, err = get(t, c, strings.Replace(srv.URL, "127.0.0.1", "bots.internal", 1))
	require.NoError(t, err)
}

func TestRedirects(t *testing.T) {
	var asked http.Header
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Clone()
		_, _ = io.WriteString(w, "file")
	}))
	defer target.Close()
	var to string
	hops := 0
	start := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops++
		asked = r.Header.Clone()
		if r.URL.Path == "/end" {
			return
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	defer start.Close()
	c := client(t, "127.0.0.1")
	do := func(method string) (*http.Response, error) {
		r, err := http.NewRequest(method, start.URL+"/?token=t0k3n", strings.NewReader("body"))
		require.NoError(t, err)
		r.Header.Set("X-Confirmation-Code", "c0de")
		r.Header.Set("Accept", "text/plain")
		resp, err := c.Do(r)
		if err == nil {
			require.NoError(t, resp.Body.Close())
		}
		return resp, err
	}

	for _, hostile := range []string{
		"http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "https://10.0.0.1/",
	} {
		t.Run("to "+hostile, func(t *testing.T) {
			to = hostile
			_, err := do(http.MethodGet)
			require.ErrorIs(t, err, ErrBlocked)
		})
	}
	for _, odd := range []string{"file:///etc/passwd", "gopher://example.com/", "http://u:p@example.com/", "http:///nohost"} {
		t.Run("to "+odd, func(t *testing.T) {
			to = odd
			_, err := do(http.MethodGet)
			require.ErrorContains(t, err, "redirect")
		})
	}
	t.Run("another origin gets no secret", func(t *testing.T) {
		to = target.URL
		resp, err := do(http.MethodGet)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Empty(t, asked.Get("X-Confirmation-Code"))
		assert.Empty(t, asked.Get("Referer"))
		assert.Equal(t, "text/plain", asked.Get("Accept"))
	})
	t.Run("the same origin keeps its headers", func(t *testing.T) {
		to = "/end"
		_, err := do(http.MethodGet)
		require.NoError(t, err)
		assert.Equal(t, "c0de", asked.Get("X-Confirmation-Code"))
		assert.Empty(t, asked.Get("Referer"), "the former address may hold a token")
	})
	t.Run("a POST is not redirected", func(t *testing.T) {
		to = target.URL
		resp, err := do(http.MethodPost)
		require.NoError(t, err)
		assert.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	})
	t.Run("endless", func(t *testing.T) {
		to, hops = "/again", 0
		_, err := do(http.MethodGet)
		require.ErrorContains(t, err, "redirects")
		assert.Equal(t, maxRedirects+1, hops)
	})
}

func TestBodyLimit(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.URL.Query().Get("n"), &n)
		body := bytes.Repeat([]byte("x"), n)
		if r.URL.Query().Has("gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(body)
			_ = z.Close()
			return
		}
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	c := client(t, "127.0.0.1")
	for _, row := range []struct {
		name  string
		query string
		limit int64 // 0: the default
		fails bool
	}{
		{"empty", "n=0", 10, false},
		{"just fits", "n=10", 10, false},
		{"one too many", "n=11", 10, true},
		{"decompressed size counts", "n=1000000&gzip", 10000, true},
		{"the default just fits", fmt.Sprint("n=", DefaultBodyLimit), 0, false},
		{"over the default", fmt.Sprint("n=", DefaultBodyLimit+1), 0, true},
		{"a larger limit may be asked for", fmt.Sprint("n=", DefaultBodyLimit+1), DefaultBodyLimit + 1, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := context.Background()
			if row.limit > 0 {
				ctx = WithBodyLimit(ctx, row.limit)
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/?"+row.query, nil)
			require.NoError(t, err)
			resp, err := c.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if row.fails {
				require.ErrorIs(t, err, ErrTooLarge)
				assert.LessOrEqual(t, n, bodyLimit(ctx))
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestCheckURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://shop.example":                "",
		"https://shop.example:8443/hook?x=1":  "",
		"http://127.0.0.1:8080/":              "", // whether it is permitted is decided at the call
		"https://[2606:4700::1111]/":          "",
		"":                                    "begin with https",
		"shop.example/hook":                   "begin with https",
		"/hook":                               "begin with https",
		"ftp://shop.example/":                 "begin with https",
		"javascript:alert(1)":                 "begin with https",
		"https:///hook":                       "no host",
		"https://:443/":                       "no host",
		"https:shop.example":                  "no host",
		"https://s3cret:p4ss@shop.example/":   "user name",
		"https://s3cret@shop.example/":        "user name",
		"https://shop.example:0/":             "port",
		"https://shop.example:65536/":         "port",
		"https://shop.example:99999999999999": "port",
		"https://shop.example:x/s3cret":       "not a URL",
		"https://shop.example/%zz/s3cret":     "not a URL",
		"https://shop example/":               "not a URL",
		"https://shop.example/\x00s3cret":     "not a URL",
	} {
		t.Run(raw, func(t *testing.T) {
			err := CheckURL(raw)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
}

// Addresses that are internal by their spelling, in the forms browsers and resolvers understand.
func TestPolicyCheckURL(t *testing.T) {
	const inside = "internal address; the operator of this installation can permit the host or its network in ALLOW_HOSTS"
	for raw, want := range map[string]string{
		"https://shop.example/":            "",
		"http://shop.example/":             "", // shown, it harms nobody; called, it is refused then
		"https://1.shop.example/":          "",
		"https://8.8.8.8/":                 "",
		"https://[2606:4700::1111]/":       "",
		"http://10.1.2.3:8080/":            "", // allowed with its network
		"http://intranet.example/":         "", // a name tells nothing
		"http://crm.internal/":             "", // allowed by its name
		"javascript:alert(1)":              "begin with https",
		"file:///etc/passwd":               "begin with https",
		"http://127.0.0.1/":                inside,
		"https://192.168.0.1:8443/hook":    inside,
		"https://169.254.169.254/latest":   inside,
		"http://[::1]/":                    inside,
		"http://[::ffff:192.168.0.1]/":     inside,
		"http://[64:ff9b::7f00:2]/":        inside,
		"http://[fe80::1%25eth0]/":         inside,
		"http://[fd00:ec2::254]/":          inside,
		"http://localhost:80/":             inside,
		"http://LOCALHOST./":               inside,
		"http://a.localhost/":              inside,
		"http://metadata.google.internal/": inside,
		"http://2130706433/":               inside,
		"http://0x7f000002/":               inside,
		"http://0177.0.0.2/":               inside,
		"http://127.1/":                    inside,
		"http://127.0.0.2./":               inside,
	} {
		t.Run(raw, func(t *testing.T) {
			err := Policy{AllowHosts: []string{"10.0.0.0/8", "crm.internal"}}.CheckURL(raw)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
		})
	}
	require.ErrorContains(t, Policy{AllowHosts: []string{"*"}}.CheckURL("https://shop.example/"), "ALLOW_HOSTS")
}

func TestWhatCheckURLRefusesIsNotCalledEither(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer srv.Close()
	_, err := client(t, "127.0.0.1").Post(strings.Replace(srv.URL, "//", "//user:pass@", 1), "text/plain", strings.NewReader("x"))
	require.ErrorContains(t, err, "user name")
}

func TestWithoutURL(t *testing.T) {
	_, err := client(t).Get("https://127.0.0.1:9/bot123:s3cret/getMe")
	require.ErrorContains(t, err, "s3cret", "net/http puts the address into its errors")
	assert.NotContains(t, WithoutURL(err).Error(), "s3cret")
	assert.ErrorIs(t, WithoutURL(err), ErrBlocked)
	assert.NoError(t, WithoutURL(nil))
}
