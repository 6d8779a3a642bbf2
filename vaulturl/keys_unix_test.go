//go:build unix

package vaulturl_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// A descriptor is read to its end. The test does not open it again, because its number may belong to
// another file by then.
func TestDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, rootText)
	w.Close()
	fd, err := syscall.Dup(int(r.Fd())) // OpenKeySource closes it, and r must not close it again
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("fd:%d", fd)
	source, err := vaulturl.OpenKeySource(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l, ok := source.(*kek.Local); !ok || l.Fingerprint() != rootPrint || l.Name() != fmt.Sprintf("fd %d", fd) {
		t.Errorf("%T %s", source, source.Name())
	}
}

// A descriptor of another kind is neither read nor closed.
func TestOtherDescriptor(t *testing.T) {
	d, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := vaulturl.OpenKeySource(t.Context(), fmt.Sprintf("fd:%d", d.Fd()), nil); !errors.Is(err, vault.ErrConfig) {
		t.Error(err)
	}
	if _, err := d.Stat(); err != nil {
		t.Errorf("the descriptor was closed: %v", err)
	}
}
