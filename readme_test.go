package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

//go:generate go test . -run ^TestREADMEShowsTheFlags$ -update

var update = flag.Bool("update", false, "rewrite what is generated in README.md")

// TestREADMEShowsTheFlags keeps README.md's table of settings what the commands really take.
func TestREADMEShowsTheFlags(t *testing.T) {
	const file, begin, end = "README.md", "<!-- flags: begin -->\n", "<!-- flags: end -->\n"
	readme, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(readme), begin)
	require.True(t, found, "%s has no line %s", file, begin)
	shown, after, found := strings.Cut(rest, end)
	require.True(t, found, "%s has no line %s", file, end)

	want := flagTable(t, "serve")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(before+begin+want+end+after), 0o600))
		return
	}
	require.Equal(t, want, shown, "the flags have changed: run go generate .")
}

// flagTable is a command's flags as a table in Markdown.
func flagTable(t *testing.T, command string) string {
	t.Helper()
	k, err := kong.New(&commands{}, kong.Vars{"version": ""})
	require.NoError(t, err)
	i := slices.IndexFunc(k.Model.Children, func(n *kong.Node) bool { return n.Name == command })
	require.GreaterOrEqual(t, i, 0, "there is no command %s", command)

	var b strings.Builder
	b.WriteString("| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, f := range k.Model.Children[i].Flags {
		require.NotEmpty(t, f.Envs, "--%s is no environment variable", f.Name)
		initial := "–"
		switch {
		case f.IsBool():
			initial = "off"
		case f.Default != "":
			initial = "`" + f.Default + "`"
		}
		help := f.Help
		if f.Enum != "" {
			help = strings.TrimSuffix(help, ".") + ": " + strings.ReplaceAll(f.Enum, ",", ", ") + "."
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s | %s |\n", f.Envs[0], f.Name, initial, strings.ReplaceAll(help, "|", `\|`))
	}
	return b.String()
}
