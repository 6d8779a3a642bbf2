package vault

import "errors"

// What can go wrong, one sentinel a fact. Test with [errors.Is]. Errors of package
// envelope stay visible behind them: errors.Is(err, envelope.ErrDecrypt).
var (
	// ErrNotFound means that there is no such object, or no such version.
	ErrNotFound = errors.New("not found")
	// ErrExist means that create-only met an object that is there already.
	ErrExist = errors.New("exists already")
	// ErrConflict means that somebody else wrote in between; nothing was stored.
	ErrConflict = errors.New("conflict")
	// ErrPermission means that the caller is known and not allowed.
	ErrPermission = errors.New("permission denied")
	// ErrUnauthenticated means that there are no credentials, or that they expired.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrInvalidName means that a name, collection, tenant or vault id breaks the rules.
	ErrInvalidName = errors.New("invalid name")
	// ErrUnavailable means that a store or key source could not be reached, or
	// stopped answering.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnsure means that a write or a delete may have taken effect, and that this could
	// not be read back.
	// It wraps [ErrUnavailable].
	ErrUnsure error = unsure{}
	// ErrBusy means that a store is held by somebody else for too long; nothing was done.
	// It wraps [ErrUnavailable], and is not tried again.
	ErrBusy error = busy{}
	// ErrNoSpace means that the store is full; nothing was changed.
	ErrNoSpace = errors.New("no space left")
	// ErrUnsupported means that this store cannot do what was asked.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrPartial means that a teardown went to its end and could not remove everything.
	ErrPartial = errors.New("not everything was removed")
	// ErrRollback means that an older object came back than one already seen.
	ErrRollback = errors.New("rolled back")
)

type unsure struct{}

func (unsure) Error() string { return "may or may not have taken effect" }
func (unsure) Unwrap() error { return ErrUnavailable }

type busy struct{}

func (busy) Error() string { return "busy" }
func (busy) Unwrap() error { return ErrUnavailable }

// An Error says which operation failed on which object. Every error that leaves
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

// wrap makes *err an [*Error], once.
func wrap(err *error, op, name string) {
	var already *Error
	if *err != nil && !errors.As(*err, &already) {
		*err = &Error{Op: op, Name: name, Err: *err}
	}
}
