// A messenger in one page. Run it, then enter http://localhost:9000/webhook and the code in Waggle.
package main

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const code = "open sesame 🐝"

var (
	mu    sync.Mutex
	hook  string              // where Waggle listens; "connect" tells it
	shown = map[string]bool{} // ids of messages the users have seen; a real messenger keeps them on disk
)

func webhook(w http.ResponseWriter, r *http.Request) {
	mu.Lock()
	defer mu.Unlock()
	var m struct {
		Type, ID, Text string
		HookURL        string `json:"hook_url"`
		User           struct{ ID string }
	}
	given, err := url.PathUnescape(r.Header.Get("X-Confirmation-Code"))
	body := io.Reader(r.Body)
	if message := r.FormValue("message"); message != "" { // with a file, which r.FormFile("file") would give
		body = strings.NewReader(message)
	}
	switch {
	case err != nil || subtle.ConstantTimeCompare([]byte(given), []byte(code)) != 1:
		w.WriteHeader(http.StatusUnauthorized)
	case json.NewDecoder(body).Decode(&m) != nil:
		w.WriteHeader(http.StatusBadRequest)
	case m.Type == "check":
		fmt.Fprint(w, `{"name":"Sample messenger"}`)
	case m.Type == "connect":
		hook = m.HookURL
		fmt.Fprint(w, `{"name":"Sample messenger"}`)
	case m.Type == "message":
		if !shown[m.ID] {
			shown[m.ID] = true
			fmt.Printf("%s reads: %s\n", m.User.ID, m.Text)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"message_id": m.ID})
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// say plays a user: curl 'localhost:9000/say?id=1&user=ann&text=Hello'. Anything but 200 has to be repeated later.
func say(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	body, _ := json.Marshal(map[string]any{
		"type": "message", "id": q.Get("id"), "user": map[string]string{"id": q.Get("user")}, "text": q.Get("text"),
	})
	mu.Lock()
	out, _ := http.NewRequest(http.MethodPost, hook, bytes.NewReader(body))
	mu.Unlock()
	out.Header.Set("Content-Type", "application/json")
	out.Header.Set("X-Confirmation-Code", url.PathEscape(code))
	resp, err := http.DefaultClient.Do(out)
	if err != nil {
		http.Error(w, "Waggle is away", http.StatusBadGateway)
		return
	}
	_ = resp.Body.Close()
	fmt.Fprintln(w, resp.Status)
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhook", webhook)
	mux.HandleFunc("GET /say", say)
	return mux
}

func main() { log.Fatal(http.ListenAndServe("localhost:9000", routes())) }
