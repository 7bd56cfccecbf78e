package chat

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Piece is one send of a message: a text, or a file with the text as its caption.
type Piece struct {
	Text string
	File int // which of the message's files; -1: none
}

// Pieces plans the sends of a text and some files: the first file carries the text as its caption where it fits into captionLimit
// UTF-16 code units; otherwise the text follows the files, split as Parts does.
func Pieces(text string, files, textLimit, captionLimit int) []Piece {
	var pieces []Piece
	for i := range files {
		pieces = append(pieces, Piece{File: i})
	}
	switch {
	case files > 0 && strings.TrimSpace(text) == "":
	case files > 0 && len(utf16.Encode([]rune(text))) <= captionLimit:
		pieces[0].Text = text
	default:
		for _, part := range Parts(text, textLimit) {
			pieces = append(pieces, Piece{Text: part, File: -1})
		}
	}
	return pieces
}

// TransferTime is what a file of this size, in bytes, is given beside the time of any call, over a slow line.
func TransferTime(size int64) time.Duration {
	return time.Duration(size) * time.Second / (256 << 10)
}

// Parts splits a text into pieces of at most limit UTF-16 code units, which is how messengers count: at the end of a line
// where one is in the second half of the piece, else between words, else between characters as people see them (a flag, a family, a
// letter with its accents). The blank at a border is
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
		cut := betweenCharacters(text, i)
		return cut, cut
	}
	return len(text), len(text)
}

// betweenCharacters is the last border between two characters at or before end; where the first one is longer, the last one between
// two code points, and after the first code point at least: that cannot be cut.
func betweenCharacters(text string, end int) int {
	cut, state := 0, -1
	for rest := text; ; {
		cluster, after, _, next := uniseg.FirstGraphemeClusterInString(rest, state)
		if cut+len(cluster) > end {
			break
		}
		cut, rest, state = cut+len(cluster), after, next
	}
	_, first := utf8.DecodeRuneInString(text)
	if cut == 0 {
		cut = max(end, first)
	}
	return cut
}
