package double

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrder(t *testing.T) {
	var went []string
	var o Order
	pass := func(all ...string) string {
		went = nil
		for _, d := range all {
			o.Pass(d[:1], func() { went = append(went, d) })
		}
		return strings.Join(went, " ")
	}
	require.Equal(t, "a1 b1 a2", pass("a1", "b1", "a2"), "as they come")
	o.Reverse(3)
	require.Equal(t, "c1 b2 a3 a4", pass("a3", "b2", "c1", "a4"), "of different senders, and three only")
	require.Zero(t, o.Reordered())
	o.Reverse(3)
	require.Equal(t, "b3 a6 a5", pass("a5", "a6", "b3"))
	require.Equal(t, 1, o.Reordered())
	o.Reverse(3)
	require.Empty(t, pass("a7", "a8"))
	o.Reverse(2)
	require.Equal(t, []string{"a8", "a7"}, went, "what was held is not lost")
	require.Empty(t, pass("b4"))
	o.Reverse(0)
	require.Equal(t, []string{"b4"}, went)
	require.Equal(t, "a9 b5", pass("a9", "b5"))
	require.Equal(t, 2, o.Reordered())
}
