package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/store"
)

func TestUnavailable(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"cut in an answer":   {fmt.Errorf("read the chat: %w", io.EOF), true},
		"refused":            {fmt.Errorf("reach: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), true},
		"too slow":           {context.DeadlineExceeded, true},
		"not found":          {store.ErrNotFound, false},
		"a bug":              {errors.New("syntax error"), false},
		"nothing went wrong": {nil, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.want, store.Unavailable(row.err)) })
	}
}
