package telegramtest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"waggle/channels/double"
)

const maxUpload = 50 << 20 // wire/telegram.md §2: 50 MB by multipart

// query is one API call: its method in lower case and its arguments, however they came (§1: query string, form,
// JSON or multipart; arrays and objects are JSON text).
type query struct {
	ctx    context.Context
	method string
	args   map[string]string
	files  map[string]double.Upload
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
	read, err := double.ReadArguments(r)
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return nil, &apiError{Code: 413, Description: "Request Entity Too Large"}
		}
		return nil, badRequest("can't parse the request body")
	}
	q := &query{ctx: r.Context(), method: strings.ToLower(method), args: read.Values, files: read.Files}
	for _, value := range q.args {
		if !utf8.ValidString(value) {
			return nil, badRequest("strings must be encoded in UTF-8")
		}
	}
	return q, nil
}
