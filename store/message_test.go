package store

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"waggle/channels"
	"waggle/chat"
)

// Issue 4, Telegram: an album is one message in several parts, edits are history.
func TestVersions(t *testing.T) {
	entry := func(kind chat.EntryKind, id, text string, files ...string) Entry {
		e := Entry{ID: uuid.New(), Kind: kind, ExternalID: id, Text: text}
		for _, f := range files {
			e.Attachments = append(e.Attachments, channels.Attachment{Kind: "photo", ID: f, Ref: "ref-" + f})
		}
		return e
	}
	message := func(id, text string, files ...string) Entry { return entry(chat.EntryMessage, id, text, files...) }
	add := func(id, text string, files ...string) Entry { return entry(chat.EntryAddition, id, text, files...) }
	edit := func(id, text string, files ...string) Entry { return entry(chat.EntryEdit, id, text, files...) }
	for name, c := range map[string]struct {
		message Entry
		changes []Entry
		texts   []string   // of each version
		files   [][]string // of each version
		edits   int
	}{
		"a text": {message("1", "hello"), nil, []string{"hello"}, [][]string{nil}, 0},
		"edited twice": {
			message("1", "a"), []Entry{edit("1", "b"), edit("1", "c")},
			[]string{"a", "b", "c"}, [][]string{nil, nil, nil}, 2,
		},
		"an album in order, the caption first": {
			message("1", "three pictures", "A"), []Entry{add("2", "", "B"), add("3", "", "C")},
			[]string{"three pictures", "three pictures", "three pictures"}, [][]string{{"A"}, {"A", "B"}, {"A", "B", "C"}}, 0,
		},
		"the last piece first, the caption last": {
			message("10", "", "C"), []Entry{add("9", "", "B"), add("8", "caption", "A")},
			[]string{"", "", "caption"}, [][]string{{"C"}, {"B", "C"}, {"A", "B", "C"}}, 0,
		},
		"captions of two pieces": {
			message("1", "first", "A"), []Entry{add("2", "second", "B")},
			[]string{"first", "first\nsecond"}, [][]string{{"A"}, {"A", "B"}}, 0,
		},
		"a piece's caption is edited": {
			message("1", "first", "A"), []Entry{add("2", "second", "B"), edit("2", "zweiter", "B")},
			[]string{"first", "first\nsecond", "first\nzweiter"}, [][]string{{"A"}, {"A", "B"}, {"A", "B"}}, 1,
		},
		"a piece's picture is replaced": {
			message("1", "", "A"), []Entry{add("2", "", "B"), edit("1", "", "X")},
			[]string{"", "", ""}, [][]string{{"A"}, {"A", "B"}, {"X", "B"}}, 1,
		},
		"an edit without files leaves them": {
			message("1", "a", "A"), []Entry{edit("1", "b")},
			[]string{"a", "b"}, [][]string{{"A"}, {"A"}}, 1,
		},
		"an edit of a kind that names no pieces": {
			message("1", "a", "A"), []Entry{edit("", "b")},
			[]string{"a", "b"}, [][]string{{"A"}, {"A"}}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := versions(c.message, c.changes)
			edits := 0
			for i, v := range all {
				assert.Equal(t, c.texts[i], v.Text)
				var ids []string
				for _, f := range v.Files {
					ids = append(ids, f.ID)
				}
				assert.Equal(t, c.files[i], ids)
				if v.Edited {
					edits++
				}
			}
			assert.Len(t, all, len(c.texts))
			assert.Equal(t, c.edits, edits)
		})
	}
	t.Run("a file that an edit shows again keeps its address", func(t *testing.T) {
		m := message("1", "", "A", "B")
		all := versions(m, []Entry{edit("1", "", "B", "C")})
		now := all[1].Files
		assert.Equal(t, m.ID, now[0].Entry)
		assert.Equal(t, 1, now[0].Index)
		assert.NotEqual(t, m.ID, now[1].Entry)
		assert.Equal(t, 1, now[1].Index)
	})
}
