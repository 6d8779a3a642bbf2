package envelope

import "errors"

// Errors of this package, one sentinel for each kind of failure. Test with [errors.Is]. An
// error of the underlying reader or writer is returned as it is and matches none of them.
var (
	// ErrFormat means that the bytes do not follow the format. No key was tried.
	ErrFormat = errors.New("not a readable envelope")
	// ErrUnknownKey means that no stanza is for a key of the given sources: the object has
	// another name, tenant, collection or vault, or was sealed for other recipients.
	ErrUnknownKey = errors.New("sealed for another name, vault or key")
	// ErrDecrypt means that a stanza was for a key of the given sources, but the stanza or a
	// later part did not verify. The error does not disclose which.
	ErrDecrypt = errors.New("cannot decrypt")
	// ErrInvalid means that the arguments cannot be sealed: metadata that is too long, a
	// revision out of range, too many recipients. Nothing was written. A nil argument, and a
	// method of a zero value that needs a constructor, are ErrInvalid, too.
	ErrInvalid = errors.New("cannot seal")
	// ErrUnavailable means that a key source could not be reached.
	ErrUnavailable = errors.New("key source unavailable")
	// ErrUnauthenticated means that a key source requires credentials, or newer ones.
	ErrUnauthenticated = errors.New("not authenticated to the key source")
)

// A misuse is an [ErrInvalid] with its own text: a nil argument or a zero value.
type misuse string

func (m misuse) Error() string { return "envelope: " + string(m) }

func (misuse) Unwrap() error { return ErrInvalid }
