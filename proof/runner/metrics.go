package runner

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics reads a process's /metrics: values by name with labels, as they stand there.
func (s *Slot) Metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Process.Base+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", s.name, err)
	}
	defer func() { _ = res.Body.Close() }()
	values := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), "} ")
		if found {
			name += "}"
		} else if name, value, found = strings.Cut(lines.Text(), " "); !found {
			continue
		}
		if x, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = x
		}
	}
	return values, lines.Err()
}
