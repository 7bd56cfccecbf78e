package telegramtest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	maxDownload = 20 << 20  // wire/telegram.md §2 getFile: 20<<20
	linkLife    = time.Hour // §2: the link is valid for at least an hour
)

type file struct {
	path  string
	data  []byte
	size  int64 // as Telegram tells it; more than len(data) for a file too big to fetch
	until time.Time
}

// SendPhoto sends a picture.
func (k *Customer) SendPhoto(data []byte, caption string) int64 {
	return k.Send(k.photo(data, caption, nil))
}

// SendDocument sends a file.
func (k *Customer) SendDocument(name, mime string, data []byte) int64 {
	return k.SendBigDocument(name, mime, data, int64(len(data)))
}

// SendBigDocument sends a file that Telegram says has this size; above 20 MB getFile refuses it.
func (k *Customer) SendBigDocument(name, mime string, data []byte, size int64) int64 {
	d := k.keep("documents", "."+name[strings.LastIndex(name, ".")+1:], data, size)
	d["file_name"], d["mime_type"] = name, mime
	return k.Send(object{"document": d})
}

// SendVoice sends a voice message.
func (k *Customer) SendVoice(data []byte, seconds int) int64 {
	v := k.keep("voice", ".oga", data, 0)
	v["duration"], v["mime_type"] = seconds, "audio/ogg"
	return k.Send(object{"voice": v})
}

// keep stores a file and returns its description.
func (k *Customer) keep(folder, extension string, data []byte, size int64) object {
	k.b.s.Mu.Lock()
	defer k.b.s.Mu.Unlock()
	return k.b.keep(folder, extension, data, max(size, int64(len(data))))
}

// keep stores a file of the bot. The caller holds the lock.
func (b *Bot) keep(folder, extension string, data []byte, size int64) object {
	n := len(b.files)
	id := fmt.Sprintf("AgAC%d_%d", b.ID, n)
	b.files[id] = &file{path: fmt.Sprintf("%s/file_%d%s", folder, n, extension), data: data, size: size}
	return object{"file_id": id, "file_unique_id": fmt.Sprintf("AQAD%d", n), "file_size": size}
}

// getFile is §2 getFile.
func (b *Bot) getFile(q *query) (any, string, *apiError) {
	id := q.args["file_id"]
	if id == "" {
		return nil, "", badRequest("file_id not specified")
	}
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	f := b.files[id]
	if f == nil {
		return nil, "", badRequest("wrong file_id or the file is temporarily unavailable")
	}
	if f.size > maxDownload {
		return nil, "", badRequest("file is too big")
	}
	f.until = b.s.Clock.Now().Add(linkLife)
	return object{"file_id": id, "file_unique_id": "AQAD" + id, "file_size": f.size, "file_path": f.path}, "", nil
}

// serveFile answers /file/bot<token>/<file_path>. A link works only after getFile gave it, and for its time.
func (s *Server) serveFile(w http.ResponseWriter, rest string) {
	token, path, _ := strings.Cut(rest, "/")
	bot, fail := s.authorise(token)
	if fail != nil {
		writeError(w, fail)
		return
	}
	data, ok := bot.linked(path)
	if !ok {
		writeError(w, &apiError{Code: 404, Description: "Not Found"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // §2: the MIME type is not preserved
	_, _ = w.Write(data)
}

func (b *Bot) linked(path string) ([]byte, bool) {
	b.s.Mu.Lock()
	defer b.s.Mu.Unlock()
	for _, f := range b.files {
		if f.path == path && b.s.Clock.Now().Before(f.until) {
			return f.data, true
		}
	}
	return nil, false
}
