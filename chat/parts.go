package chat

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Parts splits a text into pieces of at most limit UTF-16 code units, which is how messengers count: at the end of a line
// where one is in the second half of the piece, else between words, else between characters. The blank at a border is
// dropped, and so are pieces of blanks alone. A text that fits, and any text where limit is 0, is one piece, unchanged.
func Parts(text string, limit int) []string {
	var parts []string
	rest := text
	for rest != "" {
		end, next := border(rest, limit)
		if strings.TrimSpace(rest[:end]) != "" {
			parts = append(parts, rest[:end])
		}
		rest = rest[next:]
	}
	if len(parts) == 0 {
		return []string{text}
	}
	return parts
}

// border says where the first piece of a text ends and where the next one begins.
func border(text string, limit int) (end, next int) {
	if limit <= 0 {
		return len(text), len(text)
	}
	units, blank, line := 0, -1, -1
	for i, r := range text {
		if unicode.IsSpace(r) {
			blank = i
			if r == '\n' && 2*units >= limit {
				line = i
			}
		}
		units += max(utf16.RuneLen(r), 1)
		if units <= limit {
			continue
		}
		if line >= 0 {
			blank = line
		}
		if blank >= 0 {
			_, size := utf8.DecodeRuneInString(text[blank:])
			return blank, blank + size
		}
		if i == 0 { // one character that is longer than the limit: it cannot be cut
			_, size := utf8.DecodeRuneInString(text)
			return size, size
		}
		return i, i
	}
	return len(text), len(text)
}
