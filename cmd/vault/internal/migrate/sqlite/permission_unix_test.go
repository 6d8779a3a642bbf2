//go:build unix

package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/sqlite"
)

// A file that this user may only read is read, and its items are kept.
func TestPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes every file")
	}
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'a value'")+insert(alice, "b", "'b value'"))
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	s := source(t, file)
	const reason = "the database file cannot be written; check its permissions"
	report, err := s.Shred(t.Context(), []migrate.Verified{verified("a", "a value"), verified("b", "b value")})
	if got, want := outcome(t, report), map[string]string{"a": reason, "b": reason}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if got := values(t, s); got["a"] != "a value" {
		t.Errorf("%q", got)
	}
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{File: file, Agent: alice}); !errors.Is(err, migrate.ErrSource) || !strings.Contains(err.Error(), file+" cannot be opened: check the permissions") {
		t.Errorf("error %v", err)
	}
}

// A database in WAL mode needs write access to its directory. The error says what to do.
func TestDirectoryPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes to every directory")
	}
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, "PRAGMA journal_mode=WAL;"+create+insert(alice, "a", "'a value'"))
	if err := os.Chmod(filepath.Dir(file), 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{File: file, Agent: alice})
	if !errors.Is(err, migrate.ErrSource) || !strings.Contains(err.Error(), "copy the file, and the file with -wal") {
		t.Errorf("error %v", err)
	}
	if err := os.Chmod(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
}
