package customtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const filesPath = "/files/"

type file struct {
	mime    string
	content []byte
}

// Upload keeps a file and returns the attachment that points at it. Its address wants the confirmation code, which Waggle
// sends to the webhook's own origin (PROTOCOL.md §5).
func (m *Messenger) Upload(name, mime string, content []byte) Attachment {
	base := m.base()
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprintf("%s/%s", m.nextID("f"), name)
	m.files[key] = file{mime: mime, content: content}
	at := url.URL{Path: filesPath + key}
	return Attachment{Name: name, MIME: mime, Size: int64(len(content)), URL: base + at.String()}
}

func (m *Messenger) serveFile(w http.ResponseWriter, r *http.Request, key string) {
	m.mu.Lock()
	f, known := m.files[strings.TrimPrefix(key, "/")]
	ok := m.authorised(r)
	m.mu.Unlock()
	switch {
	case !ok:
		answer{http.StatusUnauthorized, `{"error":"unauthorized"}`}.write(w)
	case !known || r.Method != http.MethodGet:
		answer{http.StatusNotFound, `{"error":"file_unknown"}`}.write(w)
	default:
		w.Header().Set("Content-Type", f.mime)
		_, _ = w.Write(f.content)
	}
}
