package x

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"waggle/channels"
)

// X shows a text with three characters escaped for HTML, whoever wrote it: in messages of v1.1, of which webhooks bring theirs
// (seen at TwidereProject/Twidere-Android#653, which names sent and received ones), and in texts of v2 (seen of posts at
// kbravh.dev/html-entities-twitter-api-v2; of messages nobody shows either, and a message has one text and one id in both).
// Where X should not escape, only he who writes an escape himself sees another text.
var unescaped = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")

// shortener begins an address as X writes it into a text, instead of the one somebody wrote.
const shortener = "https://t.co/"

// link is a shortened address and what it stands for.
type link struct {
	Short    string `json:"url"`
	Address  string `json:"expanded_url"`
	MediaKey string `json:"media_key"` // v2: it is that of a file
}

// links are those of one text, in its order.
type links []link

// UnmarshalJSON takes a list of links, or the entities that hold one, and keeps the first ones. It is no reason to refuse a
// message that its links cannot be read.
func (l *links) UnmarshalJSON(raw []byte) error {
	if *l != nil {
		return errList
	}
	*l = links{}
	_ = l.read(jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))) // keeping no names
	return nil
}

// read adds links until there are no more, or one that is none.
func (l *links) read(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '{' && !toMember(dec, "urls") {
		return nil
	}
	if begin, err := dec.ReadToken(); err != nil || begin.Kind() != '[' {
		return err
	}
	for dec.PeekKind() == '{' && len(*l) < listLimit {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		var one link
		if err := channels.Decode(raw, &one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// toMember passes over an object's first members up to the value of this one.
func toMember(dec *jsontext.Decoder, name string) bool {
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for range listLimit {
		member, err := dec.ReadToken()
		if err != nil || member.Kind() != '"' {
			return false
		}
		if member.String() == name {
			return true
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}

// written gives back the text as it was written: without X's escapes, and with the addresses people gave in place of X's own.
// The link of the message's file, of which ofFile tells, is nobody's text. Each link stands for one place in the text, so
// that it cannot grow beyond what X sent.
func (l links) written(text string, ofFile func(link) bool) string {
	if strings.Contains(text, "&") {
		text = unescaped.Replace(text)
	}
	left, dropped, done := slices.Clone(l), false, strings.Builder{}
	done.Grow(len(text))
	for at := strings.Index(text, shortener); at >= 0; at = strings.Index(text, shortener) {
		end := at + len(shortener)
		for end < len(text) && isAlphanumeric(text[end]) {
			end++
		}
		one := left.take(text[at:end])
		done.WriteString(text[:at])
		text = text[end:]
		switch {
		case ofFile(one):
			dropped = true
		case isWeb(one.Address):
			done.WriteString(one.Address)
		default:
			done.WriteString(one.Short)
		}
	}
	done.WriteString(text)
	if dropped {
		return strings.TrimSpace(done.String())
	}
	return done.String()
}

// take takes the first link with this short address out of the list; one that is not there stands for nothing.
func (l *links) take(short string) link {
	at := slices.IndexFunc(*l, func(k link) bool { return k.Short == short })
	if at < 0 {
		return link{Short: short}
	}
	one := (*l)[at]
	*l = slices.Delete(*l, at, at+1)
	return one
}

// opensFile tells whether a link leads to the file of the message with this id, as X's own apps show it (seen in deliveries
// that zammad keeps: test/data/twitter/webhook_events/direct_message-incoming_with_media.yml).
func (k link) opensFile(messageID string) bool {
	return strings.HasSuffix(k.Address, "/messages/media/"+messageID)
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

const addressLimit = 8 << 10 // bytes of an address; browsers and servers stop far below

func isWeb(address string) bool {
	if len(address) > addressLimit {
		return false
	}
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
