package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"time"
)

const (
	resultsFile = "proof/bench/results.json"
	chartFile   = "docs/bench.svg"
)

// results is what is known of one machine: for every step its latest figures.
type results struct {
	Machine machine      `json:"machine"`
	Steps   []stepResult `json:"steps"`

	commit    string
	elsewhere bool // the file tells of another machine: it stays as it is
}

type stepResult struct {
	Name    string    `json:"name"`
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit,omitempty"` // as git describes it; empty: unknown
	Figures []figure  `json:"figures"`
}

type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Wanted string  `json:"wanted,omitempty"` // "≥ 0.7", "< 25"; empty: only stated
	Met    bool    `json:"met"`
}

// recall starts the results with those measured before on this machine. Those of another machine are forgotten by a run of
// all steps, and kept by a run of some.
func recall(ctx context.Context, all bool) (*results, error) {
	m, err := thisMachine(ctx)
	if err != nil {
		return nil, err
	}
	fresh := &results{Machine: m, commit: describe(ctx)}
	text, err := os.ReadFile(resultsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	known := &results{commit: fresh.commit}
	if err := json.Unmarshal(text, known); err != nil {
		return nil, fmt.Errorf("%s: %w", resultsFile, err)
	}
	known.elsewhere = known.Machine != m
	if known.elsewhere && all {
		return fresh, nil
	}
	return known, nil
}

// put puts a step's figures in the place of its former ones, and forgets steps that there are no more.
func (r *results) put(s stepResult) {
	s.Commit = r.commit
	var all []stepResult
	for _, known := range steps {
		if known.name == s.Name {
			all = append(all, s)
		} else if i := slices.IndexFunc(r.Steps, func(old stepResult) bool { return old.Name == known.name }); i >= 0 {
			all = append(all, r.Steps[i])
		}
	}
	r.Steps = all
}

// save writes the file and the picture.
func (r *results) save() error {
	if r.elsewhere {
		fmt.Fprintf(os.Stdout, "%s tells of another machine and stays as it is; a run without -only replaces it\n", resultsFile)
		return nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	if err := os.WriteFile(resultsFile, text.Bytes(), 0o644); err != nil { //nolint:gosec // it is published
		return err
	}
	picture, err := r.picture()
	if err != nil {
		return err
	}
	return os.WriteFile(chartFile, picture, 0o644) //nolint:gosec // it is published
}

// value is a figure's value; false: it has not been measured.
func (r *results) value(step, name string) (figure, bool) {
	for _, s := range r.Steps {
		for _, f := range s.Figures {
			if s.Name == step && f.Name == name {
				return f, true
			}
		}
	}
	return figure{}, false
}

// describe is the commit as git names it; empty where there is no git or no repository.
func describe(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(out))
}
