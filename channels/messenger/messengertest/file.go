package messengertest

import (
	"fmt"
	"net/http"
	"net/url"
)

// keep stores a file and returns its address. The caller holds the lock.
func (s *Server) keep(name string, data []byte) string {
	path := fmt.Sprintf("/cdn/%d/%s", s.number(), name)
	s.files[path] = data
	return s.URL + (&url.URL{Path: path}).EscapedPath() + "?oh=signature&oe=expiry"
}

// ExpireFiles lets all addresses given out so far expire (wire/messenger.md §3).
func (s *Server) ExpireFiles() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	clear(s.files)
}

func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, path string) {
	if fault, faulty := s.Take("cdn"); faulty {
		s.Spoil(w, r.Context(), fault)
		return
	}
	s.Mu.Lock()
	data, ok := s.files[path]
	s.Mu.Unlock()
	if !ok {
		http.Error(w, "URL signature expired", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data)
}
