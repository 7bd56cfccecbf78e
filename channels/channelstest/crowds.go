package channelstest

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	crowd  = 20_000   // bytes of a crowd
	beside = 32 << 10 // bytes that reading any body may take
)

// Crowds makes bodies that nobody sends: in each of the examples, which are good ones, wherever it can be, something comes again and
// again. reading gets one ready to be read; what it returns reads it and may allocate ten times its size, and beside that a little
// (issue 4).
func Crowds(t *testing.T, reading func(body string) (read func() error), examples ...string) {
	for _, example := range examples {
		require.NoError(t, reading(example)(), "%.60s… is read to its end", example)
		for name, body := range crowds(t, example) {
			most := uint64(10*len(body) + beside)
			read := reading(body)
			cost := allocated(read)
			// Others in this process allocate too, and under the race detector a pool forgets what it has at random.
			for n := 1; n < 10 && cost > most; n++ {
				cost = min(cost, allocated(read))
			}
			assert.LessOrEqual(t, cost, most, "%s in %.60s…: %.1f times the body", name, example, float64(cost)/float64(len(body)))
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func() error) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = f() // a crowd may be refused
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// crowds are the crowded forms of an example, by what they are crowded with.
func crowds(t *testing.T, example string) map[string]string {
	w := &crowding{example: example, d: json.NewDecoder(strings.NewReader(example)), bodies: map[string]string{}}
	require.NoError(t, w.value("the body"))
	return w.bodies
}

// crowding walks through an example.
type crowding struct {
	example string
	d       *json.Decoder
	bodies  map[string]string
}

func (w *crowding) value(path string) error {
	token, err := w.d.Token()
	if err != nil {
		return err
	}
	begin := w.d.InputOffset()
	switch token {
	case json.Delim('{'):
		for w.d.More() {
			name, err := w.d.Token()
			if err != nil {
				return err
			}
			after := w.d.InputOffset()
			if err := w.value(fmt.Sprint(path, ".", name)); err != nil {
				return err
			}
			w.member(path, begin, fmt.Sprintf("%q", name), w.example[after:w.d.InputOffset()])
		}
		w.names(path, begin)
	case json.Delim('['):
		for n := 0; w.d.More(); n++ {
			before := w.d.InputOffset()
			if err := w.value(fmt.Sprint(path, "[", n, "]")); err != nil {
				return err
			}
			w.again(path+": elements like this", begin, strings.TrimLeft(w.example[before:w.d.InputOffset()], ", \n\t"))
		}
		for _, element := range []string{`{}`, `[]`, `""`, `null`} {
			w.again(path+": elements "+element, begin, element)
		}
	default:
		return nil
	}
	_, err = w.d.Token()
	return err
}

// member repeats a member of an object, as it is and as what it is not. value has the colon before it.
func (w *crowding) member(path string, begin int64, name, value string) {
	w.again(path+"."+name+" as it is", begin, name+value)
	w.again(path+"."+name+" and null by turns", begin, name+value, name+":null")
	for _, other := range []string{`{}`, `[]`, `""`} {
		w.again(path+"."+name+" as "+other, begin, name+":"+other, name+":null")
	}
}

// names fills an object with names that nobody knows.
func (w *crowding) names(path string, begin int64) {
	for _, name := range []string{"n", "a_name_that_is_longer_than_any_that_is_known"} {
		var names []string
		for size := 0; size < crowd; size += len(names[0]) {
			names = append(names, fmt.Sprintf(`"%s%06d":0`, name, len(names)))
		}
		w.put(path+": unknown names like "+name, begin, strings.Join(names, ","))
	}
	w.again(path+": one unknown name", begin, `"x":0`)
}

func (w *crowding) again(name string, begin int64, pieces ...string) {
	piece := strings.Join(pieces, ",")
	w.put(name, begin, strings.Repeat(piece+",", crowd/(len(piece)+1))+piece)
}

// put has a crowd come first in the object or list that begins there.
func (w *crowding) put(name string, begin int64, crowd string) {
	rest := w.example[begin:]
	if !strings.HasPrefix(strings.TrimLeft(rest, " \n\t"), "}") && !strings.HasPrefix(strings.TrimLeft(rest, " \n\t"), "]") {
		crowd += ","
	}
	w.bodies[name] = w.example[:begin] + crowd + rest
}
