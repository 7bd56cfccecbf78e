package messengertest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"waggle/channels/double"
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
	file       double.Upload
}

type upload struct {
	double.Upload
	kind string
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
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload+1<<20)
	read, err := double.ReadArguments(r)
	if err != nil {
		return nil, invalid("The request body could not be read")
	}
	q := &query{ctx: r.Context(), verb: r.Method, path: path, args: read.Values, file: read.Files["filedata"]}
	q.node, q.edge, _ = strings.Cut(path, "/")
	return q, nil
}
