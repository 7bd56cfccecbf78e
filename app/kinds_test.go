package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is outside the kinds' own folders neither imports nor names one of them, but for app, which chooses them; demo and proof,
// which play with their doubles; and what a CRM itself calls them.
func TestKindsAreNamedNowhereElse(t *testing.T) {
	kinds := map[string]bool{}
	folders, err := filepath.Glob("../channels/*/describe.go")
	require.NoError(t, err)
	more, err := filepath.Glob("../channels/*/webhook.go")
	require.NoError(t, err)
	for _, file := range append(folders, more...) {
		kinds[filepath.Base(filepath.Dir(file))] = true
	}
	delete(kinds, "channelstest")
	require.Subset(t, kinds, map[string]bool{"telegram": true, "x": true, "messenger": true, "custom": true})
	may := map[string]bool{"../crm/creatio/records.go": true}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "../channels" || path == "../app" || path == "../demo" || path == "../proof" || path == "../.git" || path == "../store/storetest"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || may[path]:
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, is := n.(*ast.BasicLit); is && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				require.False(t, kinds[text] || kinds[strings.TrimPrefix(text, "waggle/channels/")], "%s names the kind %s", path, text)
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
}
