package xtest

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
)

var (
	address = regexp.MustCompile(`https?://[^\s<>]+`)
	escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
)

// shown is a message's text as X's API shows it, with the links in it: escaped for HTML, every address shortened, and that of
// the message's file at its end. (The address a link stands for is not escaped.)
func (m *message) shown() (text string, urls []object) {
	urls = []object{}
	var b strings.Builder
	add := func(short, stands string) {
		begin := len([]rune(b.String()))
		b.WriteString(short)
		urls = append(urls, object{"url": short, "expanded_url": stands, "display_url": strings.TrimPrefix(stands, "https://"), "indices": []int{begin, begin + len(short)}})
	}
	end := 0
	for _, at := range address.FindAllStringIndex(m.text, -1) {
		b.WriteString(escaped.Replace(m.text[end:at[0]]))
		add(shorten(m.text[at[0]:at[1]]), m.text[at[0]:at[1]])
		end = at[1]
	}
	b.WriteString(escaped.Replace(m.text[end:]))
	if m.file != "" {
		b.WriteString(" ") // also where there is no text before it
		add(m.fileLink(), "https://twitter.com/messages/media/"+m.id)
	}
	return b.String(), urls
}

// fileLink is how the text names the message's file.
func (m *message) fileLink() string { return shorten("file " + m.file) }

// shorten is the same for the same address.
func shorten(address string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(address))
	return fmt.Sprintf("https://t.co/%010x", h.Sum64()&(1<<40-1))
}
