package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/vault"
	driver "modernc.org/sqlite"
)

// Result codes of SQLite. See https://www.sqlite.org/rescode.html.
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeIO       = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26

	codeReadOnlyRollback = 776 // an extended result code
)

// code returns the primary result code of an error, or 0.
func code(err error) int {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// isBusy reports whether another program locked the database for too long.
func isBusy(err error) bool { return code(err) == codeBusy || code(err) == codeLocked }

// A failure is an error of SQLite with text for the operator. It keeps the result code, but not the
// text of SQLite, which may contain SQL.
type failure struct {
	sentinel error
	text     string
	cause    error
}

func (e failure) Error() string   { return e.sentinel.Error() + ": " + e.text }
func (e failure) Unwrap() []error { return []error{e.sentinel, e.cause} }

// explain returns an error of database/sql with text for the operator.
func (s *Source) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %s: a row of the table credentials cannot be read", migrate.ErrSource, s.file)
	}
	switch code(err) {
	case codeBusy, codeLocked:
		return failure{migrate.ErrUnavailable, s.file + " is in use by another program: stop the old server", err}
	case codeNotADB:
		return failure{migrate.ErrSource, s.file + " is not a SQLite database, or it is encrypted: pass the database file of the old server", err}
	case codeCorrupt:
		return failure{migrate.ErrSource, s.file + " is damaged: restore a copy of it", err}
	case codeReadOnly, codeCantOpen:
		if e.Code() == codeReadOnlyRollback {
			return failure{migrate.ErrSource, s.file + " contains an unfinished write of a server that was killed: start and stop the old server once, so that SQLite repairs the file", err}
		}
		return failure{migrate.ErrSource, s.file + " cannot be opened: check the permissions of the file and its directory. If the directory cannot be made writable, copy the file, and the file with -wal at the end of its name, to another directory", err}
	case codeFull:
		return failure{vault.ErrNoSpace, s.file + ": the disk is full", err}
	case codeIO:
		return failure{migrate.ErrUnavailable, fmt.Sprintf("%s: the disk reported an error (SQLite error code %d)", s.file, e.Code()), err}
	}
	return failure{migrate.ErrSource, fmt.Sprintf("%s: SQLite error code %d", s.file, e.Code()), err}
}
