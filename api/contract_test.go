package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
)

// contractRouter finds the operation a request belongs to.
var contractRouter = sync.OnceValue(func() routers.Router {
	spec := must(gen.GetSpec())
	// The router cannot match a server without a host: paths are looked up without theirs.
	spec.Servers = nil
	for _, item := range spec.Paths.Map() {
		item.Servers = nil
	}
	for _, kind := range []string{"text/html", "image/png"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder) // pages and pictures have no shape
	}
	openapi3filter.RegisterBodyDecoder("text/event-stream", lastEvent)
	return must(legacy.NewRouter(spec))
})

// lastEvent is what the last event of a stream that has ended says.
func lastEvent(stream io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (event any, err error) {
	text, err := io.ReadAll(stream)
	if err != nil {
		return nil, err
	}
	_, data, _ := strings.Cut(string(text[max(0, bytes.LastIndex(text, []byte("\nevent: "))):]), "\ndata: ")
	return event, json.Unmarshal([]byte(data), &event)
}

// operation finds what the contract says about a request, below /api/v1 or not: it does not heed which of the two.
func operation(r *http.Request) (*routers.Route, map[string]string, error) {
	inside := r.Clone(r.Context())
	inside.URL.Path = strings.TrimPrefix(r.URL.Path, base)
	inside.URL.RawPath = ""
	return contractRouter().FindRoute(inside)
}

// keepsContract checks an answer against openapi.yaml: its status is one the contract names, its body has the shape. Every test
// that calls the façade checks it on the way. The demo's clock is in no contract.
func keepsContract(t *testing.T, r *http.Request, a *answer) {
	t.Helper()
	if r.Method == http.MethodOptions || r.Method == http.MethodHead || r.URL.Path == "/demo/clock" {
		return
	}
	route, params, err := operation(r)
	if err != nil {
		require.GreaterOrEqual(t, a.Status, 400, "%s is not in the contract and was answered %d", a.what, a.Status)
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 a.Status, Header: a.Header,
		Body:    io.NopCloser(bytes.NewReader(a.Body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	err = openapi3filter.ValidateResponse(context.Background(), in)
	require.NoError(t, err, "%s was answered %d, and not as the contract says", a.what, a.Status)
}

// raw operations stream and are mounted by hand.
func raw(o *openapi3.Operation) bool {
	for _, tag := range o.Tags {
		if tag == "raw" || tag == "hooks" {
			return true
		}
	}
	return false
}

func TestTheContractIsReallyChecked(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "http://example.com/api/v1/settings", nil)
	require.NoError(t, err)
	route, _, err := operation(r)
	require.NoError(t, err)
	require.Equal(t, "getSettings", route.Operation.OperationID)
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route}, Status: http.StatusOK,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"display": 7}`)),
	}
	require.Error(t, openapi3filter.ValidateResponse(context.Background(), in))
}
