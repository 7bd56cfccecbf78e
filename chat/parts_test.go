package chat

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParts(t *testing.T) {
	tests := []struct {
		name  string
		text  string
		limit int
		want  []string
	}{
		{"a text that fits stays as it is", "  hello\n", 8, []string{"  hello\n"}},
		{"no limit", strings.Repeat("x", 9000), 0, []string{strings.Repeat("x", 9000)}},
		{"empty", "", 5, []string{""}},
		{"between words", "one two three", 8, []string{"one two", "three"}},
		{"a blank just after the limit is a border", "one two", 3, []string{"one", "two"}},
		{"at a line's end rather than between words", "line one\nand two", 13, []string{"line one", "and two"}},
		{"a line's end too early is only a blank", "a\nbb cc dd ee", 10, []string{"a\nbb cc dd", "ee"}},
		{"a word longer than the limit is cut", "abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"an emoji is two units and never cut", "ab😀cd", 3, []string{"ab", "😀c", "d"}},
		{"an emoji is longer than the limit", "😀😀", 1, []string{"😀", "😀"}},
		{"a family stays together", "abc👨‍👩‍👧", 10, []string{"abc", "👨‍👩‍👧"}},
		{"a flag stays whole", "ab🇦🇹🇩🇪", 6, []string{"ab🇦🇹", "🇩🇪"}},
		{"a letter keeps its accent", "abcde\u0301f", 5, []string{"abcd", "e\u0301f"}},
		{"a family longer than the limit is cut between people", "👨‍👩‍👧", 4, []string{"👨‍", "👩‍", "👧"}},
		{"blanks alone make no piece", "ab          cd", 3, []string{"ab ", "cd"}},
		{"a text of blanks stays a text", "     ", 2, []string{"     "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Parts(tt.text, tt.limit)) })
	}
}

func TestPartsLoseNothing_S2_2(t *testing.T) {
	inked := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab \n\tж😀𝔘\u0301\u200d🇦")), 0, 300, -1).Draw(t, "text")
		limit := rapid.IntRange(2, 40).Draw(t, "limit")
		parts := Parts(text, limit)
		require.Equal(t, inked(text), inked(strings.Join(parts, "")))
		for _, p := range parts {
			if strings.TrimSpace(text) != "" {
				require.LessOrEqual(t, len(utf16.Encode([]rune(p))), limit)
				require.NotContains(t, p, "\uFFFD")
			}
		}
	})
}

func TestPieces(t *testing.T) {
	none := []Piece{}
	for name, c := range map[string]struct {
		text                       string
		files, textLimit, captions int
		want                       []Piece
	}{
		"words alone":                  {"one two", 0, 4, 10, []Piece{{"one", -1}, {"two", -1}}},
		"a file alone":                 {"", 1, 10, 10, []Piece{{"", 0}}},
		"a caption":                    {"look", 1, 10, 10, []Piece{{"look", 0}}},
		"several files, one caption":   {"look", 3, 10, 10, []Piece{{"look", 0}, {"", 1}, {"", 2}}},
		"too long for a caption":       {"look at this", 2, 20, 10, []Piece{{"", 0}, {"", 1}, {"look at this", -1}}},
		"counted in UTF-16":            {"🐝🐝🐝🐝🐝🐝", 1, 20, 10, []Piece{{"", 0}, {"🐝🐝🐝🐝🐝🐝", -1}}},
		"files carry no caption":       {"look", 1, 20, 0, []Piece{{"", 0}, {"look", -1}}},
		"long text behind the file":    {"one two", 1, 4, 0, []Piece{{"", 0}, {"one", -1}, {"two", -1}}},
		"blanks beside a file are not": {" \n", 1, 4, 0, []Piece{{"", 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, append(none, c.want...), Pieces(c.text, c.files, c.textLimit, c.captions))
		})
	}
}
