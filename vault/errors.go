package vault

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/objectvault/objectvault/envelope"
)

// Errors of this package, one sentinel for each kind of failure. Test with [errors.Is].
// Sentinels of package envelope remain visible: errors.Is(err, envelope.ErrDecrypt).
var (
	// ErrNotFound means that the object or the version does not exist. It matches
	// [fs.ErrNotExist].
	ErrNotFound error = &sentinel{"not found", fs.ErrNotExist}
	// ErrExist means that a create-only write found an existing object. It matches
	// [fs.ErrExist].
	ErrExist error = &sentinel{"exists already", fs.ErrExist}
	// ErrConflict means that another writer changed the object in between: the caller's value
	// is not the current one.
	ErrConflict = errors.New("conflict")
	// ErrPermission means that the caller is authenticated and not allowed.
	ErrPermission = errors.New("permission denied")
	// ErrUnauthenticated means that there are no credentials, or that they expired.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrInvalidName means that a name, collection, tenant or vault id breaks the rules.
	ErrInvalidName = errors.New("invalid name")
	// ErrConfig means that the configuration is invalid: an incomplete Config of a provider, a
	// nil store, two conditions that exclude each other.
	ErrConfig = errors.New("invalid configuration")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrRefused means that the store refused a request for a reason without a sentinel:
	// nothing changed, and the store would refuse the same request again.
	ErrRefused = errors.New("refused by the store")
	// ErrUnavailable means that a store or key source could not be reached, or stopped
	// responding.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnsure means that the outcome of a write or a delete is unknown: it may have been
	// applied, or may still be. It wraps [ErrUnavailable].
	ErrUnsure error = &sentinel{"may or may not have taken effect", ErrUnavailable}
	// ErrBusy means that a lock could not be acquired, or that the service throttled the
	// request. Nothing changed. It wraps [ErrUnavailable], and is not retried.
	ErrBusy error = &sentinel{"busy", ErrUnavailable}
	// ErrNoSpace means that the store is full; nothing changed.
	ErrNoSpace = errors.New("no space left")
	// ErrUnsupported means that this store does not support the operation.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrPartial means that a teardown completed but could not remove every object.
	ErrPartial = errors.New("not everything was removed")
	// ErrRollback means that the store returned an object older than one that was already read
	// or stored.
	ErrRollback = errors.New("rolled back")
	// ErrSpooled means that the value is saved on this machine, and not certainly in the store.
	ErrSpooled = errors.New("saved on this machine, not yet in the store")
	// ErrTooLarge means that a value is longer than the caller, or the spool, accepts.
	ErrTooLarge = errors.New("too large")
)

// sentinels lists the sentinels in the order in which an error that wraps several is
// classified: the more specific one comes first.
var sentinels = []error{
	ErrSpooled, ErrRollback, ErrUnsure, ErrBusy, ErrUnauthenticated, ErrPermission, ErrNoSpace, ErrConflict,
	ErrExist, ErrNotFound, ErrPartial, ErrUnsupported, ErrInvalidName, ErrConfig, ErrClosed, ErrTooLarge, ErrRefused, ErrUnavailable,
}

// A sentinel is an error that wraps a more general one.
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

// wrap makes *err an [*Error] unless it is one. An [*Error] that *err wraps belongs to another
// Vault, whose reader was the value of a Put.
func wrap(err *error, op, name string) {
	if *err == nil {
		return
	}
	if _, done := (*err).(*Error); !done {
		*err = &Error{Op: op, Name: name, Err: *err}
	}
}

// A SourceError means that the reader of the value passed to [Vault.Put] failed; nothing was
// stored. Err is the error of that reader. [errors.Is] and [errors.As] find it, except for the
// sentinels and types of this package and of package envelope: an error of another Vault, whose
// reader was the value, is not an error of this one.
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

// envelopeErrors concern the object or the keys, and not the store.
var envelopeErrors = []error{
	envelope.ErrFormat, envelope.ErrUnknownKey, envelope.ErrDecrypt, envelope.ErrInvalid,
	envelope.ErrUnavailable, envelope.ErrUnauthenticated,
}
