package migrate

import (
	"context"
	"errors"
	"time"
)

// An Item is one credential of a source.
type Item struct {
	Agent   string // the id under which the source keeps it: a wallet, in lower case
	Service string
	Updated time.Time // zero: the source does not know it
}

// A Source is where credentials are taken from. Its methods must not be called concurrently.
//
// An error of List or Read wraps one of the sentinels below, or the error of ctx. No error contains
// a value or a token.
type Source interface {
	// List returns the credentials of the agent, sorted by service, and the number of credentials of
	// other agents that the source has (-1: not known).
	List(ctx context.Context) (items []Item, others int, err error)
	// Read returns the value of an item, which the caller may clear. The error wraps [ErrGone] if the
	// item is gone.
	Read(ctx context.Context, item Item) ([]byte, error)
	// Shred removes the verified items from the source, if each still has the value that was
	// verified. It removes nothing else. The report contains each item once, as removed or as kept,
	// even if Shred also returns an error. After an error of the connection or of the disk, the items
	// that may still be in the source are among those kept: run Shred again.
	Shred(ctx context.Context, verified []Verified) (ShredReport, error)
	// Close releases the source. The caller calls it once.
	Close() error
}

// A Verified is an item whose value was read back from the vault.
type Verified struct {
	Item
	// Same reports whether a value is the one that was verified. It compares keyed digests, and keeps
	// no reference to value.
	Same func(value []byte) bool
}

// A ShredReport is the result of [Source.Shred].
type ShredReport struct {
	Removed []Item // no longer in the source
	Kept    []Kept
	// Remarks are sentences for the operator, for example about copies that a file system may keep.
	Remarks []string
}

// A Kept is an item that was not removed.
type Kept struct {
	Item
	Reason string // a clause in lower case, such as "the value has changed since it was verified"
}

var (
	// ErrGone means that the source does not have the item.
	ErrGone = errors.New("the source does not have this credential")
	// ErrUnauthorized means that the source rejected the token, or that there is none.
	ErrUnauthorized = errors.New("the source denied access")
	// ErrDenied means that the token does not permit the request, for example because it has a scope.
	ErrDenied = errors.New("the source does not permit this")
	// ErrUnavailable means that the source did not respond, failed or is in use. A later attempt may
	// succeed.
	ErrUnavailable = errors.New("the source is not available")
	// ErrSource means that the source is not what it should be: a malformed response, or a file that
	// is not the database of a credential server.
	ErrSource = errors.New("the source cannot be read")
)
