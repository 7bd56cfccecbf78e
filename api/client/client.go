// Package client calls Waggle's façade from outside, as a CRM's server or an agent's page does. The demo and the proofs use it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client is the façade at one address for one bearer.
type Client struct {
	Base  string // http://host:port
	Token string // secret key, API key or session; empty: none
	Key   string // Idempotency-Key of each call; empty: none
	HTTP  *http.Client
}

// New returns a client without a bearer.
func New(base string) Client {
	return Client{Base: base, HTTP: &http.Client{Timeout: 30 * time.Second}}
}

// As returns the same façade for another bearer.
func (c Client) As(token string) Client {
	c.Token = token
	return c
}

// Once returns the same façade whose calls, made again under the same key, are done once.
func (c Client) Once(key string) Client {
	c.Key = key
	return c
}

// Error is an answer other than 2xx.
type Error struct {
	Method, Path string
	Status       int
	Body         string // the problem, as it came
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, e.Body)
}

// Call sends in as JSON and reads the answer into out; both may be nil. An answer other than 2xx is an *Error.
func (c Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = b
	}
	return c.send(ctx, method, path, "application/json", body, out)
}

// Upload posts a file as it is and reads the answer into out.
func (c Client) Upload(ctx context.Context, path string, content []byte, out any) error {
	return c.send(ctx, http.MethodPost, path, "application/octet-stream", content, out)
}

// Download reads a file.
func (c Client) Download(ctx context.Context, path string) ([]byte, error) {
	return c.answer(ctx, http.MethodGet, path, "", nil)
}

func (c Client) send(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	b, err := c.answer(ctx, method, path, contentType, body)
	if err != nil || out == nil || len(b) == 0 {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

func (c Client) answer(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", contentType)
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.Key != "" {
		req.Header.Set("Idempotency-Key", c.Key)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		return nil, &Error{Method: method, Path: path, Status: res.StatusCode, Body: string(bytes.TrimSpace(b))}
	}
	return b, nil
}

// Until asks again and again until ask says true, for at most two minutes.
func Until(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		ok, err := ask()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-t.C:
		}
	}
}
