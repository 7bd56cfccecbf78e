package store_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/store"
	"waggle/store/storetest"
)

// pooler stands before PostgreSQL as PgBouncer does: it greets with a process id of its own. It notes what would not survive a
// change of the backend between two transactions: statements prepared by a name.
type pooler struct {
	server string
	direct bool // it greets with the backend's id after all, as where nothing stands between

	mu    sync.Mutex
	named []string
}

// pooled is a URL that leads through the pooler to where this one leads.
func (p *pooler) pooled(t *testing.T, to string) string {
	u, err := url.Parse(to)
	require.NoError(t, err)
	p.server = u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	u.Host = l.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String()
}

func (p *pooler) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		defer func() { _ = server.Close() }()
		if pass(server, client, 0, nil) == nil { // the start has no kind
			_ = passAll(server, client, p.note)
		}
	}()
	_ = passAll(client, server, func(kind byte, body []byte) {
		if kind == 'K' && !p.direct { // BackendKeyData
			binary.BigEndian.PutUint32(body, 4_000_000_000)
		}
	})
}

func (p *pooler) note(kind byte, body []byte) {
	if name, _, _ := strings.Cut(string(body), "\x00"); kind == 'P' && name != "" { // Parse
		p.mu.Lock()
		p.named = append(p.named, name)
		p.mu.Unlock()
	}
}

func passAll(to io.Writer, from io.Reader, look func(kind byte, body []byte)) error {
	for {
		if err := pass(to, from, 1, look); err != nil {
			return err
		}
	}
}

// pass hands one message on: its kind, if it has one, its length, which counts itself, and its body.
func pass(to io.Writer, from io.Reader, kind int, look func(kind byte, body []byte)) error {
	head := make([]byte, kind+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[kind:])-4)
	if _, err := io.ReadFull(from, body); err != nil {
		return err
	}
	if look != nil {
		look(head[0], body)
	}
	_, err := to.Write(slices.Concat(head, body))
	return err
}

// A pooler may give each transaction another backend (PgBouncer: pool_mode=transaction). What a backend alone would know is not
// relied on then.
func TestNothingIsLeftOnABackendBehindAPooler(t *testing.T) {
	for name, p := range map[string]*pooler{"through a pooler": {}, "direct": {direct: true}} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var locks []string
			s, err := store.Open(t.Context(), store.Options{URL: p.pooled(t, storetest.PostgresURL(t)), Watch: func(statement string) {
				if strings.Contains(statement, "advisory") {
					mu.Lock()
					locks = append(locks, statement)
					mu.Unlock()
				}
			}})
			require.NoError(t, err)
			t.Cleanup(func() { _ = s.Close() })
			_, err = s.Migrate(t.Context())
			require.NoError(t, err)
			require.Len(t, locks, 1, "it is the transaction's and ends with it: %v", locks)
			require.Contains(t, locks[0], "pg_advisory_xact_lock")

			r := newReceiving(t, s)
			for i := range 3 {
				out := r.take(r.event("u", i, fmt.Sprint("message ", i)))
				require.Equal(t, store.Stored, out[0].Outcome)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			require.Equal(t, p.direct, len(p.named) > 0, "%v", p.named)
		})
	}
}
