package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestWhoKnowsWhat: only the main files depend on the system, only open.go and open_*.go import
// providers, only they and the commands about keys import key sources, only exit.go contains exit
// codes, and main is short.
func TestWhoKnowsWhat(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	const ours = "github.com/objectvault/objectvault/"
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			switch system := slices.Contains([]string{"os", "os/exec", "os/signal", "syscall"}, path); {
			case system && !strings.HasPrefix(file, "main"):
				t.Errorf("%s imports %s: only the main files may depend on the system", file, path)
			case (path == ours+"policy/aws" || path == ours+"policy/tencent") && strings.HasPrefix(file, "policy"):
			case strings.HasPrefix(path, ours+"providers/"):
				t.Errorf("%s imports %s: vaulturl opens stores", file, path)
			case (strings.HasPrefix(path, ours+"envelope/") || path == ours+"vaulturl") && !strings.HasPrefix(file, "open") && !strings.HasPrefix(file, "keys") && file != "init.go":
				t.Errorf("%s imports %s: only the files open*.go, and init and keys, open stores and key sources", file, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1; n.Name.Name == "main" && lines >= 25 {
					t.Errorf("main has %d lines", lines)
				}
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s runs code before main", file)
				}
			case *ast.BasicLit:
				if file != "exit.go" && n.Kind == token.INT && slices.Contains([]string{"75", "130"}, n.Value) {
					t.Errorf("%s contains the exit code %s", file, n.Value)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && n.Sel.Name == "Exit" && file != "main.go" {
					t.Errorf("%s calls os.Exit", file)
				}
			}
			return true
		})
	}
}
