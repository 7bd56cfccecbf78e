package runner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"waggle/api/gen"
)

// An audit that overlooks something proves nothing.
func TestAuditFinds(t *testing.T) {
	in := func(text string) gen.Message {
		return gen.Message{Direction: gen.DirectionIn, State: gen.MessageStateReceived, Text: text}
	}
	out := func(text string, state gen.MessageState, why *string) gen.Message {
		return gen.Message{Direction: gen.DirectionOut, State: state, Text: text, Error: why}
	}
	sent := out("hi", gen.MessageStateDelivered, nil)
	cases := []struct {
		name     string
		messages []gen.Message
		crm      []string
		inbox    []string
		fault    string // empty: none
	}{
		{"all is well", []gen.Message{in("a"), in("b"), sent}, []string{"a", "b", "hi"}, []string{"hi"}, ""},
		{"lost at Waggle", []gen.Message{in("a"), sent}, []string{"a", "hi"}, []string{"hi"}, "received"},
		{"doubled at Waggle", []gen.Message{in("a"), in("a"), in("b"), sent}, []string{"a", "a", "b", "hi"}, []string{"hi"}, "received"},
		{"swapped at Waggle", []gen.Message{in("b"), in("a"), sent}, []string{"b", "a", "hi"}, []string{"hi"}, "received"},
		{"lost in the CRM", []gen.Message{in("a"), in("b"), sent}, []string{"a", "hi"}, []string{"hi"}, "in the CRM"},
		{"doubled in the CRM", []gen.Message{in("a"), in("b"), sent}, []string{"a", "b", "b", "hi"}, []string{"hi"}, "in the CRM"},
		{"swapped in the CRM", []gen.Message{in("a"), in("b"), sent}, []string{"a", "hi", "b"}, []string{"hi"}, "in the CRM"},
		{"sent twice", []gen.Message{in("a"), in("b"), sent}, []string{"a", "b", "hi"}, []string{"hi", "hi"}, "2 times"},
		{"not sent", []gen.Message{in("a"), in("b"), sent}, []string{"a", "b", "hi"}, nil, "0 times"},
		{"sent and not known so", []gen.Message{in("a"), in("b"), out("hi", gen.MessageStateAccepted, nil)}, []string{"a", "b", "hi"}, []string{"hi"}, "is accepted"},
		{"unknown with its reason", []gen.Message{in("a"), in("b"), out("hi", gen.MessageStateUnknown, ptr("no answer"))}, []string{"a", "b", "hi"}, nil, ""},
		{"unknown without", []gen.Message{in("a"), in("b"), out("hi", gen.MessageStateUnknown, nil)}, []string{"a", "b", "hi"}, nil, "is unknown"},
		{"unknown and sent twice", []gen.Message{in("a"), in("b"), out("hi", gen.MessageStateUnknown, ptr("no answer"))}, []string{"a", "b", "hi"}, []string{"hi", "hi"}, "2 times"},
		{"what nobody wrote", []gen.Message{in("a"), in("b"), sent}, []string{"a", "b", "hi"}, []string{"hi", "spam"}, "at the messenger"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			customer := &Customer{
				Name: "Zoe", written: []string{"a", "b"}, replies: []string{"hi"},
				inbox: func() (come []arrival) {
					for _, text := range c.inbox {
						come = append(come, arrival{text: text})
					}
					return come
				},
			}
			var faults []string
			customer.compare(c.messages, c.crm, func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) })
			if c.fault == "" {
				require.Empty(t, faults)
				return
			}
			require.NotEmpty(t, faults)
			require.Contains(t, fmt.Sprint(faults), c.fault)
		})
	}
}
