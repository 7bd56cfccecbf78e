package messengertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

const maxUpload = 25 << 20 // wire/messenger.md §4

// query is one call: its node, its edge and its arguments, however they came (query string, form, JSON or multipart;
// objects are JSON text).
type query struct {
	ctx        context.Context
	verb       string
	path       string // without the version
	node, edge string
	args       map[string]string
	file       upload
}

type upload struct {
	name, mime, kind string
	data             []byte
}

// name is what faults and counters know the call by: its edge, or "node", "profile" being one of them.
func (q *query) name() string {
	switch {
	case q.path == "debug_token", q.path == "oauth/access_token":
		return q.path
	case q.edge == "":
		return "node"
	}
	return q.edge
}

// object reads an argument that is an object.
func (q *query) object(name string, into any) bool {
	return json.Unmarshal([]byte(q.args[name]), into) == nil
}

func readQuery(w http.ResponseWriter, r *http.Request, path string) (*query, *graphError) {
	q := &query{ctx: r.Context(), verb: r.Method, path: path, args: map[string]string{}}
	q.node, q.edge, _ = strings.Cut(path, "/")
	for name, values := range r.URL.Query() {
		q.args[name] = values[0]
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload+1<<20)
	if err := q.readBody(r); err != nil {
		return nil, invalid("The request body could not be read")
	}
	return q, nil
}

func (q *query) readBody(r *http.Request) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		return q.readJSON(r.Body)
	case "multipart/form-data":
		return q.readMultipart(r)
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return err
		}
		for name, values := range r.PostForm {
			q.args[name] = values[0]
		}
	}
	return nil
}

func (q *query) readJSON(body io.Reader) error {
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(body).Decode(&fields); err != nil {
		return err
	}
	for name, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		q.args[name] = text
	}
	return nil
}

func (q *query) readMultipart(r *http.Request) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return err
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		if part.FormName() == "filedata" {
			q.file = upload{name: part.FileName(), mime: part.Header.Get("Content-Type"), data: data}
		} else {
			q.args[part.FormName()] = string(data)
		}
	}
}
