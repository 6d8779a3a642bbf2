package envelope

import "errors"

// What can go wrong, one sentinel a fact. Test with [errors.Is]. An error of the
// reader or writer that an envelope comes from or goes to is none of these: it comes
// through as itself.
var (
	// ErrFormat means that the bytes do not follow the format: no key was tried.
	ErrFormat = errors.New("not a readable envelope")
	// ErrUnknownKey means that no stanza is for a key of ours, so the object is of
	// another name, tenant, collection or vault, or sealed for somebody else.
	ErrUnknownKey = errors.New("sealed for another name, vault or key")
	// ErrDecrypt means that a stanza named a key of ours and anything after that did
	// not verify. It does not say what.
	ErrDecrypt = errors.New("cannot decrypt")
	// ErrInvalid means that no envelope can be made of what was given: metadata that is
	// too long, a revision out of range, too many recipients. Nothing was written. A nil
	// argument, and a call of a zero value that needs a constructor, are ErrInvalid too.
	ErrInvalid = errors.New("cannot seal")
	// ErrUnavailable means that a key source could not be reached.
	ErrUnavailable = errors.New("key source unavailable")
	// ErrUnauthenticated means that a key source wants credentials, or newer ones.
	ErrUnauthenticated = errors.New("not authenticated to the key source")
)

// A misuse is an [ErrInvalid] with a text of its own: a nil argument or a zero value.
type misuse string

func (m misuse) Error() string { return "envelope: " + string(m) }

func (misuse) Unwrap() error { return ErrInvalid }
