package customtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
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
	base := m.URL
	m.Mu.Lock()
	defer m.Mu.Unlock()
	key := fmt.Sprintf("%s/%s", m.nextID("f"), name)
	m.files[key] = file{mime: mime, content: content}
	at := url.URL{Path: filesPath + key}
	return Attachment{Name: name, MIME: mime, Size: int64(len(content)), URL: base + at.String()}
}

// ForgetFiles makes every file kept so far unknown.
func (m *Messenger) ForgetFiles() {
	m.Mu.Lock()
	defer m.Mu.Unlock()
	clear(m.files)
}

func (m *Messenger) serveFile(w http.ResponseWriter, r *http.Request, key string) {
	m.Mu.Lock()
	f, known := m.files[strings.TrimPrefix(key, "/")]
	ok := m.authorised(r)
	m.Mu.Unlock()
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

// form reads a message that brings a file (PROTOCOL.md §4): its parts "message" and "file", in this order and once.
func form(contentType string, body []byte) (message, file []byte, err error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, nil, err
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for _, part := range []struct {
		name string
		into *[]byte
	}{{"message", &message}, {"file", &file}} {
		p, err := parts.NextPart()
		if err != nil {
			return nil, nil, err
		}
		if p.FormName() != part.name {
			return nil, nil, fmt.Errorf("part %q where %q belongs", p.FormName(), part.name)
		}
		if *part.into, err = io.ReadAll(p); err != nil {
			return nil, nil, err
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("more than two parts")
	}
	return message, file, nil
}
