package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

type bodyLimitKey struct{}

// WithBodyLimit lets the calls made with the returned context read up to limit bytes of body instead of DefaultBodyLimit.
func WithBodyLimit(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, bodyLimitKey{}, limit)
}

func bodyLimit(ctx context.Context) int64 {
	if n, ok := ctx.Value(bodyLimitKey{}).(int64); ok {
		return n
	}
	return DefaultBodyLimit
}

// transport checks each request, redirected ones too, and limits each body. The two schemes have transports of their own
// because they may go to different places.
type transport struct {
	https, http http.RoundTripper
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := check(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes the body even when it refuses
		}
		return nil, err
	}
	via := t.https
	if r.URL.Scheme == "http" {
		via = t.http
	}
	resp, err := via.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: bodyLimit(r.Context())}
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach both transports.
func (t *transport) CloseIdleConnections() {
	for _, rt := range []http.RoundTripper{t.https, t.http} {
		if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// limitedBody gives exactly its limit of bytes and fails with ErrTooLarge if there are more.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more tells "too large" from "just fits"
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}

// redirectHeaders may follow a redirect to another origin; any other header might carry a secret.
var redirectHeaders = []string{"Accept", "Accept-Encoding", "Accept-Language", "Range", "User-Agent"}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if first := via[0].Method; first != http.MethodGet && first != http.MethodHead {
		return http.ErrUseLastResponse // a repeated body could leak, and a POST turned into a GET could look like success
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	r.Header.Del("Referer") // the former address may hold a token
	if !sameOrigin(r.URL, via[0].URL) {
		kept := http.Header{}
		for _, name := range redirectHeaders {
			if v := r.Header.Values(name); len(v) > 0 {
				kept[name] = v
			}
		}
		r.Header = kept
	}
	if err := check(r.URL); err != nil {
		return errors.New("the redirect leads nowhere: " + err.Error())
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
