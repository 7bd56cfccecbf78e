package creatiotest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

const maxBatch = 100

type batchRequest struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

type batchResponse struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

// parseBatch reads a JSON $batch (wire/creatio.md §3, last bullet) into
// operations. Two requests with one id, more than 100, or a body without a JSON
// Content-Type refuse the whole batch.
func parseBatch(body []byte) ([]batchRequest, []Op, error) {
	var in struct {
		Requests []batchRequest `json:"requests"`
	}
	if err := json.Unmarshal(body, &in); err != nil || len(in.Requests) == 0 {
		return nil, nil, badRequest("The batch request is invalid.")
	}
	if len(in.Requests) > maxBatch {
		return nil, nil, badRequest("The current number of requests in the batch exceeds the maximum of 100.")
	}
	ids := map[string]bool{}
	ops := make([]Op, 0, len(in.Requests))
	for _, r := range in.Requests {
		if r.ID == "" || ids[r.ID] {
			return nil, nil, badRequest("The request id is missing or not unique in the batch.")
		}
		ids[r.ID] = true
		if len(r.Body) > 0 && !isJSON(header(r.Headers, "Content-Type")) {
			return nil, nil, badRequest("A request of the batch has a body without a JSON Content-Type.")
		}
		u, err := url.Parse(r.URL)
		if err != nil || u.IsAbs() || strings.HasPrefix(u.Path, "/") {
			return nil, nil, badRequest("A request of the batch has no URL relative to the service root.")
		}
		op, err := parseOp(r.Method, u.Path, u.Query(), r.Body)
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, op)
	}
	return in.Requests, ops, nil
}

func header(headers map[string]string, name string) string {
	for k, v := range headers {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// batch executes the operations in order. It stops after the first error, so
// that the later ones are neither done nor answered, unless the caller prefers
// continue-on-error.
func (s *Server) batch(w http.ResponseWriter, r *http.Request, body []byte) {
	requests, ops, err := parseBatch(body)
	if err != nil {
		e := asODataError(err)
		writeJSON(w, e.status, e.body)
		return
	}
	goOn := strings.Contains(r.Header.Get("Prefer"), "continue-on-error")
	responses := []batchResponse{}
	for i, op := range ops {
		res := s.execute(op)
		if !s.omitted(op) {
			responses = append(responses, batchResponse{ID: requests[i].ID, Status: res.status,
				Headers: map[string]string{"content-type": "application/json; odata.metadata=minimal"}, Body: res.body})
		}
		if res.status >= http.StatusBadRequest && !goOn {
			break
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"responses": responses})
}
