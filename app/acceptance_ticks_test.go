package app_test

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
)

// ticks waits until the permanent deadlines and every running process instance have run twice from now: of two runs that
// end from now on the second has begun after this call.
func (p *place) ticks() {
	p.t.Helper()
	permanent := p.metric(`waggle_job_runs_total{job="permanent",outcome="ok"}`)
	before := map[uuid.UUID]int64{}
	for _, i := range p.processes("") {
		before[i.ID] = i.Runs
	}
	p.until("the rules have run again", func() bool {
		if p.metric(`waggle_job_runs_total{job="permanent",outcome="ok"}`) < permanent+2 {
			return false
		}
		for _, i := range p.processes("") {
			if runs, known := before[i.ID]; known && i.Runs < runs+2 {
				return false
			}
		}
		return true
	})
}

// processes are the running instances, of one name where it is given.
func (p *place) processes(name chat.ProcessName) []gen.Process {
	p.t.Helper()
	path := "/processes?status=running&limit=100"
	if name != "" {
		path += "&process=" + string(name)
	}
	var list gen.ProcessList
	p.get(path, &list)
	return list.Items
}

// metric is the value of one series of GET /metrics; 0 where it is not there yet.
func (p *place) metric(series string) float64 {
	p.t.Helper()
	answer := p.request(http.MethodGet, "/metrics", nil)
	lines := bufio.NewScanner(strings.NewReader(answer.text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), series+" "); found {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(p.t, err)
			return v
		}
	}
	return 0
}

// answer is what came back to a bare request.
type answer struct {
	status int
	header http.Header
	text   string
}

// request makes a request as anybody can; headers are pairs of name and value.
func (p *place) request(method, path string, headers []string, in ...string) answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.config.PublicURL+path, strings.NewReader(strings.Join(in, "")))
	require.NoError(p.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.api.HTTP.Do(r)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}
