package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// piece is what is in memory of a file whose size is not known: the smallest that S3 takes, in bytes.
const piece = 5 << 20

// roleLimit is how long a machine may take to tell its role. One that has none may not answer at all.
const roleLimit = 2 * time.Second

// bucket keeps files in an S3-compatible store.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

// bucketOf reads s3://bucket/prefix?endpoint=https://host:port&region=name. Without an endpoint it is Amazon's. The keys are those
// of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's own role.
func bucketOf(u *url.URL) (place, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return place{}, errors.New("its settings cannot be read: they are joined by &, and a % or ; in one is written %25 or %3B")
	}
	for name, values := range q {
		if name != "endpoint" && name != "region" {
			return place{}, errors.New("a bucket has no settings but endpoint and region") // the name may be a key that was pasted there
		}
		if len(values) > 1 {
			return place{}, fmt.Errorf("%s is set twice", name)
		}
	}
	if u.Host == "" || strings.Contains(u.Host, ":") || u.User != nil {
		return place{}, errors.New("a bucket is written s3://bucket/prefix, its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	p := place{
		endpoint: url.URL{Scheme: "https", Host: "s3.amazonaws.com"}, bucket: u.Host, prefix: strings.Trim(u.Path, "/"), region: q.Get("region"),
	}
	if q.Has("endpoint") {
		e, err := url.Parse(q.Get("endpoint"))
		if err != nil || e.Host == "" || e.Scheme != "https" && e.Scheme != "http" {
			return place{}, errors.New("endpoint must be an https:// address")
		}
		if strings.Trim(e.Path, "/") != "" || e.RawQuery != "" || e.Fragment != "" || e.User != nil {
			return place{}, errors.New("endpoint must be an address without a path: the bucket stands before the question mark")
		}
		p.endpoint = url.URL{Scheme: e.Scheme, Host: e.Host}
	}
	return p, nil
}

func openBucket(p place) (blobs, error) {
	client, err := minio.New(p.endpoint.Host, &minio.Options{
		Creds:  credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{Client: &http.Client{Timeout: roleLimit}}}),
		Secure: p.endpoint.Scheme == "https", Region: p.region,
		MaxRetries: 1, // a file that has gone by cannot be sent again; who wanted it kept tries again
	})
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	return &bucket{client: client, name: p.bucket, prefix: p.prefix}, nil
}

func (b *bucket) at(key string) string { return path.Join(b.prefix, key) }

// put streams a file whose size is known as one request; otherwise it goes up in pieces. The bytes go as they are: the signed
// chunks that the library makes of them otherwise, where there is no TLS, some stores keep as if they were the file.
func (b *bucket) put(ctx context.Context, key string, r io.Reader, size int64, mime string) error {
	_, err := b.client.PutObject(ctx, b.name, b.at(key), r, size, minio.PutObjectOptions{
		ContentType: mime, DisableMultipart: size >= 0, PartSize: piece, NumThreads: 1, DisableContentSha256: true,
	})
	return err
}

func (b *bucket) open(ctx context.Context, key string, from int64) (io.ReadCloser, error) {
	o := minio.GetObjectOptions{}
	if from > 0 {
		if err := o.SetRange(from, 0); err != nil {
			return nil, err
		}
	}
	// GetObject asks only when it is read, with requests of its own for each seek: this is the one request it stands for.
	r, _, _, err := (&minio.Core{Client: b.client}).GetObject(ctx, b.name, b.at(key), o)
	if why := minio.ToErrorResponse(err); why.StatusCode == http.StatusNotFound && why.Code != minio.NoSuchBucket {
		return nil, ErrNotFound
	}
	return r, err
}

func (b *bucket) remove(ctx context.Context, key string) error {
	return b.client.RemoveObject(ctx, b.name, b.at(key), minio.RemoveObjectOptions{})
}

// tidy leaves the pieces of what was not finished, which nobody sees, to the bucket's own rule for them
// (AbortIncompleteMultipartUpload).
func (b *bucket) tidy(time.Time) error { return nil }
