package vault

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/objectvault/objectvault/envelope"
)

// What can go wrong, one sentinel for each fact. Test with [errors.Is]. Errors of package
// envelope stay visible behind them: errors.Is(err, envelope.ErrDecrypt).
var (
	// ErrNotFound means that there is no such object, or no such version. It matches
	// [fs.ErrNotExist].
	ErrNotFound error = &sentinel{"not found", fs.ErrNotExist}
	// ErrExist means that a create-only write found an object. It matches [fs.ErrExist].
	ErrExist error = &sentinel{"exists already", fs.ErrExist}
	// ErrConflict means that another writer wrote in between: the object that is there now is
	// not the caller's.
	ErrConflict = errors.New("conflict")
	// ErrPermission means that the caller is known and not allowed.
	ErrPermission = errors.New("permission denied")
	// ErrUnauthenticated means that there are no credentials, or that they expired.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrInvalidName means that a name, collection, tenant or vault id breaks the rules.
	ErrInvalidName = errors.New("invalid name")
	// ErrConfig means that a value that a program or a user configured makes no sense: an
	// incomplete Config of a provider, a nil store, two conditions that exclude each other.
	ErrConfig = errors.New("invalid configuration")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrRefused means that the store understood a request and refuses it for a reason that has no
	// sentinel of its own: nothing changed, and the same request would be refused again.
	ErrRefused = errors.New("refused by the store")
	// ErrUnavailable means that a store or key source could not be reached, or stopped
	// responding.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnsure means that the outcome of a write or a delete is unknown: it may have been
	// applied, or may yet be. It wraps [ErrUnavailable].
	ErrUnsure error = &sentinel{"may or may not have taken effect", ErrUnavailable}
	// ErrBusy means that a lock could not be acquired, or that the service asks for fewer
	// requests; nothing changed. It wraps [ErrUnavailable], and is not retried.
	ErrBusy error = &sentinel{"busy", ErrUnavailable}
	// ErrNoSpace means that the store is full; nothing was changed.
	ErrNoSpace = errors.New("no space left")
	// ErrUnsupported means that this store cannot do what was asked.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrPartial means that a teardown went to its end and could not remove everything.
	ErrPartial = errors.New("not everything was removed")
	// ErrRollback means that an object came back that is older than one already seen.
	ErrRollback = errors.New("rolled back")
)

// sentinels in the order in which an error that holds several is classified: the more
// specific one comes first.
var sentinels = []error{
	ErrRollback, ErrUnsure, ErrBusy, ErrUnauthenticated, ErrPermission, ErrNoSpace, ErrConflict,
	ErrExist, ErrNotFound, ErrPartial, ErrUnsupported, ErrInvalidName, ErrConfig, ErrClosed, ErrRefused, ErrUnavailable,
}

// A sentinel is an error that is also another one.
type sentinel struct {
	text string
	also error
}

func (s *sentinel) Error() string { return s.text }
func (s *sentinel) Unwrap() error { return s.also }

// An Error reports which operation failed on which object. Every error that leaves
// [Vault] is one.
type Error struct {
	Op   string // the method, in lower case: "get"
	Name string // the object's name, or what else the operation was about; may be empty
	Err  error
}

func (e *Error) Error() string {
	if e.Name == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Name + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// wrap makes *err an [*Error], once. An [*Error] further down is another Vault's, whose
// reader was the value of a Put.
func wrap(err *error, op, name string) {
	if *err == nil {
		return
	}
	if _, done := (*err).(*Error); !done {
		*err = &Error{Op: op, Name: name, Err: *err}
	}
}

// A SourceError means that the reader which was to give the value of a [Vault.Put] failed;
// nothing was stored. Err is the reader's own error. [errors.Is] and [errors.As] find it,
// except for the sentinels and types of this package and of package envelope: an object that
// another Vault could not read is not missing, or damaged, in this one.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "reading the value: " + e.Err.Error() }

// Is reports whether the reader's error is target.
func (e *SourceError) Is(target error) bool {
	ours := slices.Contains(sentinels, target) || slices.Contains(envelopeErrors, target)
	return !ours && errors.Is(e.Err, target)
}

// As finds target in the reader's error.
func (e *SourceError) As(target any) bool {
	switch target.(type) {
	case **Error, **Cause:
		return false
	}
	return errors.As(e.Err, target)
}

// envelopeErrors are those that concern the object or the keys, and not the store.
var envelopeErrors = []error{
	envelope.ErrFormat, envelope.ErrUnknownKey, envelope.ErrDecrypt, envelope.ErrInvalid,
	envelope.ErrUnavailable, envelope.ErrUnauthenticated,
}
