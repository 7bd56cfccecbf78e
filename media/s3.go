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

// openS3 reads s3://bucket/prefix?endpoint=https://host:port&region=name. Without an endpoint it is Amazon's. The keys are those
// of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's own role.
func openS3(u *url.URL) (blobs, error) {
	q := u.Query()
	endpoint := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if given := q.Get("endpoint"); given != "" {
		var err error
		if endpoint, err = url.Parse(given); err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
			return nil, errors.New("endpoint must be an https:// address")
		}
		if strings.Trim(endpoint.Path, "/") != "" {
			return nil, errors.New("endpoint must be an address without a path: the bucket stands before the question mark")
		}
	}
	for name := range q {
		if name != "endpoint" && name != "region" {
			return nil, fmt.Errorf("%q is not a setting of a bucket; there are endpoint and region", name)
		}
	}
	if u.Host == "" || u.User != nil {
		return nil, errors.New("a bucket is written s3://bucket/prefix, its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{Client: &http.Client{Timeout: roleLimit}}}),
		Secure: endpoint.Scheme == "https", Region: q.Get("region"),
		MaxRetries: 1, // a file that has gone by cannot be sent again; who wanted it kept tries again
	})
	if err != nil {
		return nil, fmt.Errorf("open the bucket: %w", err)
	}
	return &bucket{client: client, name: u.Host, prefix: strings.Trim(u.Path, "/")}, nil
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
