package telegram

import (
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"

	"waggle/channels"
)

// largest is the last of a photo's sizes, which ascend.
type largest struct{ media }

func (l *largest) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return channels.Each(d, func(m *media) error {
		l.media = *m
		return nil
	})
}

// link is an address hidden behind a piece of text. Offset and length count UTF-16 code units.
type link struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	URL    string `json:"url"`
}

// links are those of a message's entities that the text alone does not show.
type links []link

func (l *links) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = (*l)[:0]
	return channels.Each(d, func(e *link) error {
		if e.Type == "text_link" && e.URL != "" {
			*l = append(*l, *e)
		}
		return nil
	})
}

// shown is the text with each hidden address after its piece, in parentheses. An entity that does not fit the text is passed over.
func (l links) shown(text string) string {
	if len(l) == 0 {
		return text
	}
	units := utf16.Encode([]rune(text))
	var out []uint16
	done := 0
	for _, e := range l {
		end := e.Offset + e.Length
		if e.Offset < 0 || e.Length <= 0 || e.Length > len(units) || end < done || end > len(units) {
			continue
		}
		// A piece longer than the address is not it, and is not read: many long ones would take very long.
		if e.Length <= len(e.URL) {
			if piece := string(utf16.Decode(units[e.Offset:end])); piece == e.URL || piece+"/" == e.URL {
				continue
			}
		}
		out = append(out, units[done:end]...)
		out = append(out, utf16.Encode([]rune(" ("+e.URL+")"))...)
		done = end
	}
	return string(utf16.Decode(append(out, units[done:]...)))
}

// points are the texts of a list's elements, one to a line.
type points string

func (p *points) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var lines strings.Builder
	err := channels.Each(d, func(e *struct {
		Text string `json:"text"`
	}) error {
		if e.Text != "" {
			lines.WriteString("\n- " + e.Text)
		}
		return nil
	})
	*p = points(lines.String())
	return err
}

// keyboard has the caption of each button by the data it sends.
type keyboard map[string]string

func (k *keyboard) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*k = keyboard{}
	return channels.List(d, func() error {
		return channels.Each(d, func(b *struct {
			Text string `json:"text"`
			Data string `json:"callback_data"`
		}) error {
			if b.Data != "" {
				(*k)[b.Data] = b.Text
			}
			return nil
		})
	})
}
