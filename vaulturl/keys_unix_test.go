//go:build unix

package vaulturl_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"golang.org/x/sys/unix"

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

// CloseOnExec hides a descriptor from other programs, and OpenKeySource accepts it once.
func TestCloseOnExec(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprintln(w, rootText)
	w.Close()
	fd, err := syscall.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("fd:%d", fd)
	vaulturl.CloseOnExec(url)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	if _, err := vaulturl.OpenKeySource(t.Context(), url, nil); err != nil {
		t.Fatal(err)
	}
	again, err := unix.FcntlInt(r.Fd(), unix.F_DUPFD_CLOEXEC, fd) // the number belongs to this process now
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(again)
	if _, err := vaulturl.OpenKeySource(t.Context(), url, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, other := range []string{"fd:1", "fd:x", "env:A", ""} {
		vaulturl.CloseOnExec(other)
	}
	if flags, err := unix.FcntlInt(1, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		t.Errorf("standard output: flags %#x, %v", flags, err)
	}
}

// Descriptors of this process, and those of values and messages, are neither read nor closed.
func TestOwnDescriptor(t *testing.T) {
	r, w, err := os.Pipe() // with FD_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprintln(w, rootText)
	w.Close()
	if _, err := vaulturl.OpenKeySource(t.Context(), fmt.Sprintf("fd:%d", r.Fd()), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != rootText+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, n := range []int{0, 1, 2} {
		if _, err := vaulturl.OpenKeySource(t.Context(), fmt.Sprintf("fd:%d", n), nil); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("fd:%d: %v", n, err)
		}
	}
}

// If the file of a passphrase or of a token is a pipe without a writer, reading it ends with the timeout.
func TestEmptyPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	o := &vaulturl.Options{
		Timeout: time.Millisecond,
		Getenv:  func(name string) string { return map[string]string{"OBJECTVAULT_PASSPHRASE_FILE": path}[name] },
	}
	ref := envelope.Ref{Name: "x"}
	for _, u := range []string{"passphrase:", "signer+http://127.0.0.1:1?omni=" + strings.Repeat("ab", 32) + "&token=file:" + path} {
		source, err := vaulturl.OpenKeySource(t.Context(), u, o)
		if err != nil {
			t.Fatal(err)
		}
		stanza := envelope.Stanza{Type: 2, Body: append([]byte{1, 0, 0, 0, 32, 4}, make([]byte, 76)...)}
		if strings.HasPrefix(u, "signer") {
			stanza = envelope.Stanza{Type: 1, Body: make([]byte, 60)}
		}
		if _, err := source.(envelope.Recognizer).Recognizes(t.Context(), ref, stanza, envelope.AAD{Ctx: ref.Context()}); !errors.Is(err, envelope.ErrUnauthenticated) {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// The descriptor of a directory is rejected, and not closed.
func TestDirectoryDescriptor(t *testing.T) {
	d, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := unix.FcntlInt(d.Fd(), unix.F_SETFD, 0); err != nil { // as if the parent had opened it
		t.Fatal(err)
	}
	if _, err := vaulturl.OpenKeySource(t.Context(), fmt.Sprintf("fd:%d", d.Fd()), nil); !errors.Is(err, vault.ErrConfig) {
		t.Error(err)
	}
	if _, err := d.Stat(); err != nil {
		t.Errorf("the descriptor was closed: %v", err)
	}
}
