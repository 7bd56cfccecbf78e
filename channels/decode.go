package channels

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// decoding is how encoding/json reads, but for what it makes of wrong types: it goes on and keeps an error for each, which many of
// them make far larger than the body they came in.
var decoding = json.JoinOptions(v1.DefaultOptionsV1(), v1.ReportErrorsWithLegacySemantics(false))

// Decode reads JSON that came from outside into v as json.Unmarshal does, but faster. At the first value of a wrong type it ends;
// what it has read by then is in v.
func Decode(body []byte, v any) error { return json.Unmarshal(body, v, decoding) }

var (
	errNoList   = errors.New("no list")
	errNoObject = errors.New("no object")
)

// List reads the list that comes next; null is an empty one. element reads each of its elements. With it and its kin an
// UnmarshalJSONFrom keeps of a list what is wanted: decoded whole, many empty objects take many times the memory of their text.
func List(d *jsontext.Decoder, element func() error) error {
	return within(d, '[', errNoList, element)
}

// Each is List with elements that are read into the same place, one after another.
func Each[T any](d *jsontext.Decoder, f func(*T) error) error {
	var place *T // none for an empty list: many of them come as cheap as they are
	return List(d, func() error {
		if place == nil {
			place = new(T)
		}
		var none T
		*place = none
		if err := json.UnmarshalDecode(d, place); err != nil {
			return err
		}
		return f(place)
	})
}

// Members is List for an object: member is told each name and reads the value.
func Members(d *jsontext.Decoder, member func(name string) error) error {
	return within(d, '{', errNoObject, func() error {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		return member(name.String())
	})
}

func within(d *jsontext.Decoder, open jsontext.Kind, not error, one func() error) error {
	switch d.PeekKind() {
	case 'n':
		return d.SkipValue()
	case open:
	default:
		return not
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for k := d.PeekKind(); k != ']' && k != '}'; k = d.PeekKind() {
		if err := one(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken() // its end
	return err
}
