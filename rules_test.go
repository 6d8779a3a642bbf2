// Package objectvault_test holds the tests of the repository as a whole: who may import
// whom, and whether README.md tells the truth.
package objectvault_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/objectvault/objectvault"

// A goPackage is what go list -json says of a package.
type goPackage struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Standard,Imports,Deps,Module"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// TestImports keeps the layers apart: cmd, then providers, then vault, then envelope.
func TestImports(t *testing.T) {
	modules := make(map[string]string) // of each package that we reach
	for _, p := range goList(t, "-deps", "./...") {
		switch {
		case p.Standard:
			modules[p.ImportPath] = "std"
		case p.Module != nil:
			modules[p.ImportPath] = p.Module.Path
		}
	}
	ours := goList(t, "./...")
	if len(ours) < 5 {
		t.Fatalf("go list found only %d packages", len(ours))
	}
	under := func(p string, dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return p == module+"/"+d || strings.HasPrefix(p, module+"/"+d+"/") })
	}
	for _, p := range ours {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "types"}, p.Name) {
			t.Errorf("%s: a package is named for what it knows, not %s", p.ImportPath, p.Name)
		}
		for _, dep := range p.Deps {
			bad := ""
			switch {
			case dep == "testing" && p.ImportPath != module+"/conformance":
				bad = "only conformance and tests reach package testing"
			case under(dep, "cmd"):
				bad = "nobody imports the command"
			case under(dep, "providers") && !under(p.ImportPath, "cmd", "providers", "internal"):
				bad = "only the command and providers know providers"
			case under(dep, "providers") && under(p.ImportPath, "providers") && provider(dep) != provider(p.ImportPath) && provider(dep) != "federation":
				bad = "providers do not import each other"
			case under(dep, "vault") && under(p.ImportPath, "envelope"):
				bad = "the format does not know the vault"
			case under(p.ImportPath, "envelope") && !slices.Contains([]string{"std", module, "github.com/tink-crypto/tink-go/v2", "google.golang.org/protobuf", "golang.org/x/crypto", "golang.org/x/sys"}, modules[dep]):
				bad = "the format needs Tink and the standard library, nothing else"
			case under(p.ImportPath, "vault", "conformance") && (strings.HasPrefix(dep, "github.com/aws/") || strings.HasPrefix(dep, "github.com/tencent") || strings.HasPrefix(dep, "github.com/urfave/") || strings.HasPrefix(dep, "gocloud.dev/blob/s3blob")):
				bad = "the core knows no cloud and no command line"
			}
			if bad != "" {
				t.Errorf("%s reaches %s: %s", p.ImportPath, dep, bad)
			}
		}
		for _, dep := range p.Imports {
			if p.ImportPath == module+"/conformance/probe" && dep == "testing" {
				t.Errorf("%s imports testing: the command runs these checks too", p.ImportPath)
			}
		}
	}
}

// provider is aws in …/providers/aws/policy.
func provider(importPath string) string {
	rest := strings.TrimPrefix(importPath, module+"/providers/")
	first, _, _ := strings.Cut(path.Clean(rest), "/")
	return first
}
