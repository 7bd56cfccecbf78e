package creatio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// row is a record as OData shows it; numbers are json.Number.
type row map[string]any

func (r row) text(column string) string {
	s, _ := r[column].(string)
	return s
}

// quoted is an OData string literal: single quotes, ' doubled
// (wire/creatio.md §3).
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// query reads an object's records. The options are without their $:
// query(ctx, "Contact", "filter", "…", "top", "2"). An object that the site
// does not publish is errNoObject.
func (s *session) query(ctx context.Context, object string, options ...string) ([]row, error) {
	parts := make([]string, 0, len(options)/2)
	for i := 0; i+1 < len(options); i += 2 {
		// Path escaping of spaces: ASP.NET reads + and %20, proxies not always +.
		parts = append(parts, "$"+options[i]+"="+strings.ReplaceAll(url.QueryEscape(options[i+1]), "+", "%20"))
	}
	a, err := s.call(ctx, http.MethodGet, "/odata/"+object+"?"+strings.Join(parts, "&"), http.Header{}, nil)
	if err != nil {
		return nil, err
	}
	var list struct{ Value *[]row }
	if problem := problemOf(a); problem != nil {
		// A page is somebody else's: only OData's own word, or none at all, says that the object is not there.
		if problem.noObject || a.status == http.StatusNotFound && (problem.fromOData || len(bytes.TrimSpace(a.body)) == 0) {
			return nil, errNoObject
		}
		return nil, s.failed(a, "reading "+object+problem.against(options))
	}
	if a.status != http.StatusOK || decode(a.body, &list) != nil || list.Value == nil {
		return nil, s.failed(a, "reading "+object)
	}
	return *list.Value, nil
}

// errNoObject: the site does not publish the object through OData.
var errNoObject = unavailable("the CRM does not publish an object that Waggle needs through OData (yet)", nil)

// operation is one write of a record.
type operation struct {
	method string
	url    string // relative to odata/
	body   map[string]any
}

func insertOp(object string, body map[string]any) operation {
	return operation{http.MethodPost, object, body}
}

func updateOp(object, id string, body map[string]any) operation {
	return operation{http.MethodPatch, object + "(" + id + ")", body}
}

// do writes one record. A site that changes nothing without If-Match gets the
// change again with one that any version fits: the lane has just read the row,
// and Waggle's columns are Waggle's. Failure policy: see call; a refusal by the
// site is an answer, not an error.
func (s *session) do(ctx context.Context, op operation) (answer, error) {
	body, err := json.Marshal(op.body)
	if err != nil {
		return answer{}, unavailable("a record could not be written as JSON", nil)
	}
	a, err := s.call(ctx, op.method, "/odata/"+op.url, http.Header{}, body)
	if err == nil && a.status == http.StatusPreconditionRequired {
		a, err = s.call(ctx, op.method, "/odata/"+op.url, http.Header{"If-Match": {"*"}}, body)
	}
	if err != nil {
		return a, err
	}
	if p := problemOf(a); p != nil && p.passing && !p.fromOData {
		return a, s.failed(a, "writing "+op.url) // the site as a whole, not this record
	}
	return a, nil
}

// maxBatch is how many requests a $batch may hold.
const maxBatch = 100

// batchAgain is after how long a site that did not take $batch is given one again: a proxy's page may have answered for it.
const batchAgain = 10 * time.Minute

// write does the operations in order and stops at the first that fails. The
// answers stand at their operations' places; nil is a missing one: not done, or
// done and not answered. It is one $batch where the site takes it, else single
// calls. No more than maxBatch operations.
func (s *session) write(ctx context.Context, ops []operation) ([]*answer, error) {
	if len(ops) > 1 && s.takesBatch() {
		answers, err := s.batch(ctx, ops)
		if !errors.Is(err, errNoBatch) && !errors.Is(err, errBatchBroke) {
			return answers, err
		}
		if errors.Is(err, errNoBatch) {
			s.mu.Lock()
			s.noBatchUntil = s.now().Add(batchAgain)
			s.mu.Unlock()
		}
	}
	answers := make([]*answer, len(ops))
	for i, op := range ops {
		a, err := s.do(ctx, op)
		if err != nil {
			return answers, err
		}
		answers[i] = &a
		if problemOf(a) != nil {
			break
		}
	}
	return answers, nil
}

func (s *session) takesBatch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.now().Before(s.noBatchUntil)
}

// errNoBatch: the site does not take $batch, or does not answer it as JSON. What
// it may have done of it all the same is met again by the single calls.
var errNoBatch = errors.New("the CRM does not take $batch")

// errBatchBroke: one of the operations broke the whole $batch. Sent singly, it
// is found out and the others get through.
var errBatchBroke = errors.New("the CRM broke off the $batch")

// batch sends the operations as one JSON $batch (wire/creatio.md §3). Without
// "Prefer: continue-on-error" the site stops at the first error, which keeps
// the messages of a chat in order.
func (s *session) batch(ctx context.Context, ops []operation) ([]*answer, error) {
	type request struct {
		ID      string            `json:"id"`
		Method  string            `json:"method"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Body    map[string]any    `json:"body"`
	}
	requests := make([]request, len(ops))
	for i, op := range ops {
		requests[i] = request{strconv.Itoa(i + 1), op.method, op.url, map[string]string{"Content-Type": "application/json"}, op.body}
	}
	body, err := json.Marshal(map[string]any{"requests": requests})
	if err != nil {
		return nil, unavailable("a $batch could not be written as JSON", nil)
	}
	a, err := s.call(ctx, http.MethodPost, "/odata/$batch", http.Header{}, body)
	switch {
	case err != nil && a.status == http.StatusOK && a.isHTML():
		return nil, errNoBatch // signed in, and still a page: no such service
	case err != nil:
		return nil, err
	case a.status == http.StatusInternalServerError && !problemOf(a).passing:
		return nil, errBatchBroke
	case a.status >= http.StatusInternalServerError && a.status != http.StatusNotImplemented, a.status == http.StatusTooManyRequests:
		return nil, s.failed(a, "writing a $batch")
	case a.status >= http.StatusBadRequest:
		return nil, errNoBatch
	}
	return parseBatch(a, len(ops))
}

func parseBatch(a answer, n int) ([]*answer, error) {
	var result struct {
		Responses *[]struct {
			ID     any // a string, or a number where the site is careless
			Status int
			Body   json.RawMessage
		}
	}
	if err := decode(a.body, &result); err != nil || result.Responses == nil {
		return nil, errNoBatch
	}
	answers := make([]*answer, n)
	for _, r := range *result.Responses {
		i, err := strconv.Atoi(fmt.Sprint(r.ID))
		if err != nil || i < 1 || i > n {
			continue
		}
		answers[i-1] = &answer{status: r.Status, body: unwrapped(r.Body)}
	}
	return answers, nil
}

// unwrapped takes a body that came as a JSON string for what it holds.
func unwrapped(body json.RawMessage) []byte {
	var text string
	if json.Unmarshal(body, &text) == nil {
		return []byte(text)
	}
	return body
}

func decode(body []byte, out any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	return decoder.Decode(out)
}

func (op operation) isInsert() bool { return op.method == http.MethodPost }
