package chat

import "strings"

// Storable returns text as both databases can keep it: without NUL, with broken UTF-8 replaced by U+FFFD.
func Storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}
