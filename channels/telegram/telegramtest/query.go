package telegramtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxUpload = 50 << 20 // wire/telegram.md §2: 50 MB by multipart

// query is one API call: its method in lower case and its arguments, however they came (§1: query string, form,
// JSON or multipart; arrays and objects are JSON text).
type query struct {
	ctx    context.Context
	method string
	args   map[string]string
	files  map[string]upload
}

type upload struct {
	name, mime string
	data       []byte
}

func (q *query) has(name string) bool { _, ok := q.args[name]; return ok }

func (q *query) bool(name string) bool {
	v := strings.ToLower(q.args[name])
	return v == "true" || v == "yes" || v == "1"
}

// int reads an integer argument, or fallback if it is missing or none.
func (q *query) int(name string, fallback int64) int64 {
	n, err := strconv.ParseInt(q.args[name], 10, 64)
	if err != nil {
		return fallback
	}
	return n
}

func readQuery(w http.ResponseWriter, r *http.Request, method string) (*query, *apiError) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost { // §1: GET or POST
		return nil, &apiError{Code: 405, Description: "Method Not Allowed: only GET and POST are allowed"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload+1<<20)
	q := &query{ctx: r.Context(), method: strings.ToLower(method), args: map[string]string{}, files: map[string]upload{}}
	for name, values := range r.URL.Query() {
		q.args[name] = values[0]
	}
	if err := q.readBody(r); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return nil, &apiError{Code: 413, Description: "Request Entity Too Large"}
		}
		return nil, badRequest("can't parse the request body")
	}
	for _, value := range q.args {
		if !utf8.ValidString(value) {
			return nil, badRequest("strings must be encoded in UTF-8")
		}
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
		return nil
	}
	_, err := io.Copy(io.Discard, r.Body) // any other type carries no arguments
	return err
}

func (q *query) readJSON(body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil || len(data) == 0 {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for name, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
			q.args[name] = text
		} else if string(raw) != "null" {
			q.args[name] = string(raw)
		}
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
		if part.FileName() == "" {
			q.args[part.FormName()] = string(data)
		} else {
			q.files[part.FormName()] = upload{name: part.FileName(), mime: part.Header.Get("Content-Type"), data: data}
		}
	}
}
