package vault

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/objectvault/objectvault/envelope"
)

// Errors of this package. Each sentinel is one kind of failure; test for it with [errors.Is]. An
// error of package envelope, such as [envelope.ErrDecrypt], is wrapped, so [errors.Is] finds it,
// too.
var (
	// ErrNotFound means that the object or the version does not exist. It matches
	// [fs.ErrNotExist].
	ErrNotFound error = &sentinel{"not found", fs.ErrNotExist}
	// ErrExist means that a create-only write found an existing object. It matches
	// [fs.ErrExist].
	ErrExist error = &sentinel{"exists already", fs.ErrExist}
	// ErrConflict means that another writer changed or removed the object after the caller read it,
	// or while [Vault.Put] streamed a value. Read the object again before another attempt.
	ErrConflict = errors.New("conflict")
	// ErrPermission means that the store knows the caller and denies the request, or that the
	// operation is outside the [Scope] of the Vault.
	ErrPermission = errors.New("permission denied")
	// ErrScope means that the operation is outside the [Scope] of the Vault. It matches
	// [ErrPermission].
	ErrScope error = &sentinel{"permission denied", ErrPermission}
	// ErrUnauthenticated means that there are no valid credentials: none were found, they have
	// expired, or the service rejected them.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrInvalidName means that a name, collection, tenant, vault id or version has an invalid
	// form.
	ErrInvalidName = errors.New("invalid name")
	// ErrConfig means that a configuration or an argument is invalid. Examples are an incomplete
	// Config of a provider, a nil store, and two conditions that exclude each other.
	ErrConfig = errors.New("invalid configuration")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrRefused means that the store refused a request for a reason that has no sentinel of its
	// own. Nothing changed, and the store would refuse the same request again.
	ErrRefused = errors.New("refused by the store")
	// ErrUnavailable means that a store or key source could not be reached, or stopped
	// responding.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnsure means that the outcome of a write or a delete is unknown. The request may have been
	// applied, may be applied later, or may never be applied. ErrUnsure wraps [ErrUnavailable].
	ErrUnsure error = &sentinel{"may or may not have taken effect", ErrUnavailable}
	// ErrBusy means that nothing changed, because a lock could not be acquired or the service
	// throttled the request. A Vault does not send the write or delete again; the caller may try
	// again later. ErrBusy wraps [ErrUnavailable].
	ErrBusy error = &sentinel{"busy", ErrUnavailable}
	// ErrNoSpace means that the store, or the [Spool], is full. Nothing changed.
	ErrNoSpace = errors.New("no space left")
	// ErrUnsupported means that this store does not support the operation.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrPartial means that [Vault.Teardown] ran to the end but could not remove every object, or that
	// [Vault.Delete] could not remove the object of agentKeys that has the same name.
	ErrPartial = errors.New("not everything was removed")
	// ErrRollback means that the store returned an older revision of an object than this Vault has
	// already read or written, or another revision than the requested one. [Vault.Get],
	// [Vault.ReadAll] and [Vault.Stat] return it, without the value. [Vault.Rollback] returns it if
	// the store returned another revision than the requested "r:REVISION". The cause may also be
	// the slow clock of another writer. A Vault itself remembers revisions only in memory. With
	// [Options].Seen, a Vault also detects an object that is older than one that an earlier Vault
	// has read or written. Put and Delete with a condition then return ErrRollback, too: see
	// [SeenError].
	ErrRollback = errors.New("rolled back")
	// ErrUnchanged means that the object has the tag that the caller passed as
	// [GetOptions].IfNoneTag.
	ErrUnchanged = errors.New("unchanged")
	// ErrSpooled means that the value is saved on this machine, but is not known to be in the
	// store.
	ErrSpooled = errors.New("saved on this machine, not yet in the store")
	// ErrTooLarge means that a value is longer than the limit of [Vault.ReadAll], or of the
	// [Spool].
	ErrTooLarge = errors.New("too large")
)

// sentinels lists the sentinels in the order in which an error that wraps several is
// classified: the more specific one comes first.
var sentinels = []error{
	ErrSpooled, ErrRollback, ErrUnsure, ErrBusy, ErrUnauthenticated, ErrPermission, ErrNoSpace, ErrConflict,
	ErrExist, ErrNotFound, ErrPartial, ErrUnsupported, ErrInvalidName, ErrConfig, ErrClosed, ErrTooLarge, ErrUnchanged, ErrRefused, ErrUnavailable,
}

// A sentinel is an error that wraps a more general one.
type sentinel struct {
	text string
	also error
}

func (s *sentinel) Error() string { return s.text }
func (s *sentinel) Unwrap() error { return s.also }

// An Error reports which operation failed on which object. [New], [Reader.Read] and the
// methods of [Vault] return only errors of this type, except [io.EOF].
type Error struct {
	Op   string // the operation, such as "get"; "open" for New, "sync" for Deliver
	Name string // the object's name, or the prefix of a List; may be empty
	Err  error
}

func (e *Error) Error() string {
	if e.Name == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Name + ": " + e.Err.Error()
}

// Unwrap returns Err.
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

// A SourceError means that the reader of the value passed to [Vault.Put] failed. Nothing was
// stored. Err is the reader's error.
//
// [errors.Is] and [errors.As] also search Err, but do not find the sentinels and types of this
// package and of package envelope there. The value may be the [Reader] of another Vault, whose
// errors must not look like errors of this Vault.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "reading the value: " + e.Err.Error() }

// Is reports whether Err matches target, unless target is a sentinel of this package or of package
// envelope.
func (e *SourceError) Is(target error) bool {
	ours := slices.Contains(sentinels, target) || slices.Contains(envelopeErrors, target)
	return !ours && errors.Is(e.Err, target)
}

// As finds target in Err, unless target is a type of this package.
func (e *SourceError) As(target any) bool {
	switch target.(type) {
	case **Error, **Cause, **SeenError:
		return false
	}
	return errors.As(e.Err, target)
}

// envelopeErrors concern the object or the keys, and not the store.
var envelopeErrors = []error{
	envelope.ErrFormat, envelope.ErrUnknownKey, envelope.ErrDecrypt, envelope.ErrInvalid,
	envelope.ErrUnavailable, envelope.ErrUnauthenticated, envelope.ErrDenied, envelope.ErrChanged, envelope.ErrNotEnrolled,
}
