package envelope_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The format depends on Tink, its dependencies, and the standard library. No package that is
// not a test depends on package testing.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "./kek").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/objectvault/objectvault/"
	seen := 0
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		first, _, _ := strings.Cut(dep, "/")
		switch {
		case dep == module+"envelope", dep == module+"envelope/kek":
			seen++
		case dep == module+"internal/durable": // for kek: key files
		case dep == module+"internal/text": // for kek: an imported key may come from any editor
		case dep == "testing", strings.HasPrefix(dep, "testing/"):
			t.Errorf("envelope depends on %s", dep)
		case !strings.Contains(first, "."), // the standard library
			strings.HasPrefix(dep, "github.com/tink-crypto/tink-go/v2/"),
			strings.HasPrefix(dep, "google.golang.org/protobuf/"),
			strings.HasPrefix(dep, "golang.org/x/"):
		default:
			t.Errorf("envelope depends on %s", dep)
		}
	}
	if seen != 2 {
		t.Errorf("go list shows %d own packages, want 2:\n%s", seen, out)
	}
	// Package kek imports envelope. Package envelope does not import kek.
	out, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil || strings.Contains(string(out), module+"envelope/kek") {
		t.Errorf("envelope depends on envelope/kek (%v)", err)
	}
}
