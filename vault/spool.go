package vault

import (
	"context"
	"io"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A Spool keeps sealed values on this machine until the store has them. With [Options].Spool set,
// [Vault.Put] adds an entry before it sends a request or opens a [Deferred] store. Package spool
// implements it with files.
type Spool interface {
	// Add stores an entry durably. It calls fill once, which writes the envelope, and returns the
	// entry, locked. If Add fails before it calls fill, the entry is nil. If it fails later, the
	// entry, unless it is nil, contains the bytes that fill wrote; it is not durable, and the
	// caller must remove it.
	Add(ctx context.Context, e SpoolEntry, fill func(io.Writer) error) (Spooled, error)
	// Entries returns the entries of the object ref, oldest first. An empty Name, or an empty
	// Collection, selects all of them.
	Entries(ctx context.Context, ref envelope.Ref) ([]Spooled, error)
	// KeySource returns the key for values whose own key sources cannot be reached.
	KeySource() (envelope.KeySource, error)
	// Limit returns the maximum length of a value, in bytes.
	Limit() int64
}

// A Spooled is one entry of a [Spool].
type Spooled interface {
	// Entry describes the entry, as it was when it was read or locked last.
	Entry() SpoolEntry
	// Open opens the envelope.
	Open() (io.ReadCloser, error)
	// Lock waits until no other process, and no other goroutine, sends or changes the entry, and
	// reads the entry again. If the entry is gone, the error wraps [ErrNotFound].
	Lock(ctx context.Context) error
	Unlock()
	// Attempted records an attempt to send the entry. The entry must be locked.
	Attempted(SpoolAttempt) error
	// Remove removes the entry. The entry must be locked.
	Remove() error
	// SetAside ends the entry: it is kept, listed with the reason, and never sent again.
	SetAside(reason string) error
}

// A SpoolEntry describes a value that is saved on this machine.
type SpoolEntry struct {
	ID       string // unique in the spool; later entries have greater ids
	Ref      envelope.Ref
	Revision int64     // of the envelope
	Created  time.Time // time of the Put
	Size     int64     // bytes of the envelope
	// Create, IfTag, IfRevision and IfRewrap are the condition of the Put: see [PutOptions].
	Create     bool
	IfTag      string
	IfRevision int64
	IfRewrap   int
	// Local means that the envelope is sealed for [Spool].KeySource only, because the key sources of
	// the vault could not be reached.
	Local bool
	// Identity identifies the caller of an entry whose Ref has no tenant, because the tenant was not
	// known yet. It belongs to the tenant of that caller.
	Identity string
	// Replaces is the ID of the entry with the same value that this one replaces; may be empty.
	Replaces string
	Attempts []SpoolAttempt // the last ones, oldest first
	// Refused means that the store refused the value: it is kept and not sent again until the
	// operator decides.
	Refused bool
	// Overwrite means that the operator decided to replace whatever the store has.
	Overwrite bool
}

// A SpoolAttempt is one attempt to send an entry.
type SpoolAttempt struct {
	Time    time.Time
	Reason  string // the text of a sentinel, and the service's code; no secret
	Refused bool   // the store refused the value
	// Retry means that the operator asked for another attempt, which ends the refusal. Overwrite
	// means that it shall replace whatever the store has.
	Retry, Overwrite bool
}

// A SpoolMode is whether [Vault.Put] saves a value on this machine first.
type SpoolMode int

const (
	// SpoolDefault saves the value if the Vault has a [Spool]. If the spool cannot be written, Put
	// still tries the store.
	SpoolDefault SpoolMode = iota
	// SpoolRequire makes Put fail before it reads the value if the spool cannot be written.
	SpoolRequire
	// SpoolOff saves nothing on this machine.
	SpoolOff
)

// A SpooledError is the error of a [Vault.Put] whose value is not in the store, or not certainly,
// but is saved on this machine. It wraps [ErrSpooled] unless Refused is set.
type SpooledError struct {
	ID      string // of the [SpoolEntry]
	Refused bool   // the store refused the value; it will not be sent again by itself
	Err     error  // why the value is not in the store
}

func (e *SpooledError) Error() string {
	if e.Refused {
		return e.Err.Error() + "; the value is kept on this machine"
	}
	return ErrSpooled.Error() + ": " + e.Err.Error()
}

// Unwrap returns the cause, and [ErrSpooled] unless the store refused the value.
func (e *SpooledError) Unwrap() []error {
	if e.Refused {
		return []error{e.Err}
	}
	return []error{ErrSpooled, e.Err}
}

// An UnsavedError is the error of a [Vault.Put] whose value is neither in the store nor on this
// machine. It wraps Err.
type UnsavedError struct {
	Err   error // why the value is not in the store
	Spool error // why it is not on this machine; nil: it is longer than [Spool].Limit
}

func (e *UnsavedError) Error() string {
	text := e.Err.Error() + "; the value is saved neither in the store nor on this machine"
	if e.Spool != nil {
		text += ": " + e.Spool.Error()
	}
	return text
}

func (e *UnsavedError) Unwrap() error { return e.Err }
