package media

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// withEndpoint is an address that names a bucket's store.
var withEndpoint = regexp.MustCompile(`^s3:[^?#]*\?endpoint=`)

// What MEDIA_URL says is read whole and is the same when it is spelled again; what is refused shows no password. No file goes to
// another store than the one that was named.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"", "file:///var/lib/waggle/media", "file:///a%20b%3F%23", "file:/a", "file:a", "file://host/x", "file://u:PASSWORD@/x", "file:///a?b", "file:///a#b", "file:///a?", "s3://b/a#", "FILE:///a/../b", "file:///%00",
		"s3://files/waggle?region=eu-central-1&endpoint=https://minio.example:9000", "s3://b", "s3://b/", "s3://b//a//", "s3:b", "s3:///x", "s3://k:PASSWORD@b", "s3://b:9000/x",
		"s3://b?endpoint=http://[::1]:9000/", "s3://b?endpoint=https://k:PASSWORD@h", "s3://b?endpoint=https://h;region=x", "s3://b?endpoint=%zz", "s3://b?endpoint=https://h%23x", "s3://b#?endpoint=https://h",
		"s3://b?endpoint=https://a&endpoint=https://b", "s3://b?endpoint=", "s3://b?PASSWORD", "s3://b?endpoint=minio:9000", "s3://%C3%A4/%E4", "http://k:PASSWORD@h/%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		p, err := parse(address)
		if err != nil {
			require.Equal(t, place{}, p)
			require.NotContains(t, err.Error(), "PASSWORD")
			return
		}
		require.NotContains(t, address, "#", "what follows it would not be heeded")
		require.NotEqual(t, p.folder == "", p.bucket == "", "a folder or a bucket")
		spelled := url.URL{Scheme: "file", Path: p.folder}
		if p.bucket != "" {
			require.Contains(t, []string{"http", "https"}, p.endpoint.Scheme)
			require.NotEmpty(t, p.endpoint.Host)
			if withEndpoint.MatchString(address) && !strings.Contains(address, "amazon") {
				require.NotEqual(t, "s3.amazonaws.com", p.endpoint.Host)
			}
			spelled = url.URL{Scheme: "s3", Host: p.bucket, Path: "/" + p.prefix, RawQuery: url.Values{"endpoint": {p.endpoint.String()}, "region": {p.region}}.Encode()}
		} else {
			require.True(t, path.IsAbs(p.folder))
		}
		again, err := parse(spelled.String())
		require.NoError(t, err, spelled.String())
		require.Equal(t, p, again)
	})
}
