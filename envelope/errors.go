package envelope

import "errors"

// Errors of this package. Each sentinel is one kind of failure; test for it with [errors.Is]. An
// error of the underlying reader or writer is returned, possibly wrapped, and matches none of the
// sentinels.
var (
	// ErrFormat means that the bytes do not follow the format. No key was tried.
	ErrFormat = errors.New("not a readable envelope")
	// ErrUnknownKey means that none of the sources has made a stanza of the object. Either the
	// object has another name, tenant, collection or vault, or it was sealed for other recipients.
	ErrUnknownKey = errors.New("sealed for another name, vault or key")
	// ErrDecrypt means that a source has made a stanza of the object, but the stanza or a later
	// part did not verify. The error does not disclose which part.
	ErrDecrypt = errors.New("cannot decrypt")
	// ErrInvalid means that an argument is invalid: for example metadata that is too long, a
	// revision out of range, too many recipients, or nil. Nothing was written. The methods of a
	// zero Reader, Writer or Object also return it.
	ErrInvalid = errors.New("cannot seal")
	// ErrUnavailable means that a key source could not be reached.
	ErrUnavailable = errors.New("key source unavailable")
	// ErrUnauthenticated means that a key source requires credentials, or that they have expired.
	ErrUnauthenticated = errors.New("not authenticated to the key source")
	// ErrDenied means that a key source does not permit the caller to use its key.
	ErrDenied = errors.New("denied by the key source")
	// ErrChanged means that a key source has changed since it was enrolled: it has another key,
	// address or passphrase. Nothing was sealed.
	ErrChanged = errors.New("the key source has changed since it was enrolled")
	// ErrNotEnrolled means that a key source is not enrolled on this machine. It can open objects,
	// but it seals none.
	ErrNotEnrolled = errors.New("the key source is not enrolled on this machine")
)

// A misuse is an [ErrInvalid] with its own text: a nil argument or a zero value.
type misuse string

func (m misuse) Error() string { return "envelope: " + string(m) }

func (misuse) Unwrap() error { return ErrInvalid }
