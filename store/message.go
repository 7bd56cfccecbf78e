package store

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
)

// File is an attachment of a message. Entry and Index are its address, which never changes: the timeline entry that brought it —
// the message itself, an addition or an edit — and its place there.
type File struct {
	channels.Attachment
	Entry  uuid.UUID
	Index  int
	Stored *StoredFile // what is known of its bytes; nil where it is no file, and where it was not asked for
}

// Version is what a message said from a moment on.
type Version struct {
	At     Time
	Edited bool // by the one who wrote it; otherwise a further piece of it came
	Text   string
	Files  []File
}

// piece is what one message of the messenger contributes: most messages have one piece, an album has several.
type piece struct {
	id    string // on the messenger
	text  string
	files []File
}

// versions is a message's history out of its own entry and the additions and edits that belong to it, in the timeline's order. The
// first one is what came first, the last one how it stands. Pieces stand in the order of their ids on the messenger, not in that
// of their arrival.
func versions(message Entry, changes []Entry) []Version {
	pieces := []piece{{id: message.ExternalID, text: message.Text, files: message.Files()}}
	all := []Version{versionOf(pieces, message)}
	for _, e := range changes {
		switch e.Kind {
		case chat.EntryAddition:
			pieces = append(pieces, piece{id: e.ExternalID, text: e.Text, files: e.Files()})
			slices.SortStableFunc(pieces, func(a, b piece) int {
				return cmp.Or(cmp.Compare(len(a.id), len(b.id)), strings.Compare(a.id, b.id))
			})
		case chat.EntryEdit:
			at := max(slices.IndexFunc(pieces, func(p piece) bool { return p.id == e.ExternalID }), 0)
			pieces[at].text = e.Text
			if len(e.Attachments) > 0 {
				pieces[at].files = edited(pieces[at].files, e.Files())
			}
		default:
			continue
		}
		all = append(all, versionOf(pieces, e))
	}
	return all
}

func versionOf(pieces []piece, e Entry) Version {
	v := Version{At: e.At, Edited: e.Kind == chat.EntryEdit}
	var texts []string
	for _, p := range pieces {
		if p.text != "" {
			texts = append(texts, p.text)
		}
		v.Files = append(v.Files, p.files...)
	}
	v.Text = strings.Join(texts, "\n")
	return v
}

// Files are the attachments that came with this entry.
func (e *Entry) Files() []File {
	var files []File
	for i, a := range e.Attachments {
		files = append(files, File{Attachment: a, Entry: e.ID, Index: i})
	}
	return files
}

// edited is the files an edit leaves: those it shows again keep their address.
func edited(before, shown []File) []File {
	after := slices.Clone(shown)
	for i, f := range shown {
		if same := slices.IndexFunc(before, func(b File) bool { return b.Same(f.Attachment) }); same >= 0 {
			after[i] = before[same]
		}
	}
	return after
}
