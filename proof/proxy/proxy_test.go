package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echo answers each line with the same line.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

type line struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) line {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return line{Conn: c, in: bufio.NewReader(c)}
}

// says sends a line and reads the answer, waiting for it at most d.
func (l line) says(text string, d time.Duration) (string, error) {
	if _, err := fmt.Fprintln(l, text); err != nil {
		return "", err
	}
	return l.hears(d)
}

func (l line) hears(d time.Duration) (string, error) {
	if err := l.SetReadDeadline(time.Now().Add(d)); err != nil {
		return "", err
	}
	s, err := l.in.ReadString('\n')
	return strings.TrimSpace(s), err
}

func TestProxy(t *testing.T) {
	p, err := New(echo(t))
	require.NoError(t, err)
	defer p.Close()
	l := dial(t, p.Addr)
	got, err := l.says("one", time.Second)
	require.NoError(t, err)
	require.Equal(t, "one", got)

	p.Freeze()
	_, err = l.says("two", 50*time.Millisecond)
	require.ErrorContains(t, err, "timeout", "a frozen proxy lets nothing through")
	require.Equal(t, 1, p.Held())
	p.Thaw()
	got, err = l.hears(time.Second)
	require.NoError(t, err)
	require.Equal(t, "two", got, "what was sent meanwhile comes afterwards")

	require.Equal(t, 2, p.Cut(), "both ends")
	_, err = l.says("three", time.Second)
	require.Error(t, err, "a cut connection is gone")
	got, err = dial(t, p.Addr).says("four", time.Second)
	require.NoError(t, err, "a new one is taken")
	require.Equal(t, "four", got)

	p.Refuse()
	_, err = dial(t, p.Addr).says("five", time.Second)
	require.Error(t, err, "while it refuses none is taken")
	require.Equal(t, 1, p.Refused())
	p.Heal()
	_, err = dial(t, p.Addr).says("six", time.Second)
	require.NoError(t, err)
}
