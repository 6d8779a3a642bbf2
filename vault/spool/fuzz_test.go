package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// FuzzEntry: reading a file that is not an entry returns ErrDamaged, and a file that verifies has the
// bytes of an entry.
func FuzzEntry(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(Config{Dir: dir, Store: "0123456789abcdef"})
	if err != nil {
		f.Fatal(err)
	}
	ref := envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "openai"}
	added, err := s.Add(f.Context(), vault.SpoolEntry{Ref: ref, Create: true}, func(w io.Writer) error {
		_, err := w.Write([]byte("sealed bytes"))
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := added.Attempted(vault.SpoolAttempt{Reason: "unavailable"}); err != nil {
		f.Fatal(err)
	}
	id := added.Entry().ID
	added.Unlock()
	whole, err := os.ReadFile(s.file(id))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:preambleLen])
	f.Add([]byte(magic))
	f.Add([]byte{})
	path := filepath.Join(dir, "entry")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		e, l, err := readEntry(file, "0123456789abcdef", id)
		if err == nil {
			err = verify(file, l)
		}
		switch {
		case errors.Is(err, ErrDamaged):
		case err != nil:
			t.Errorf("%v, want %v", err, ErrDamaged)
		case e.ID != id || e.Size != l.envelope || l.attempts() > int64(len(text)):
			t.Errorf("%+v, %+v of %d bytes", e, l, len(text))
		}
	})
}
