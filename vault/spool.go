package vault

import (
	"context"
	"io"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A Spool keeps sealed values on this machine until the store has them. With [Options].Spool,
// [Vault.Put] adds an entry before it sends a request or opens a [Deferred] store. Package spool
// implements a Spool with files.
type Spool interface {
	// Add creates an entry and returns it locked. It calls fill once; fill writes the envelope. If
	// the error is nil, the entry is durable.
	//
	// If Add fails before it calls fill, the returned entry is nil. If Add fails later, it may
	// return an entry that is not durable and contains only the bytes that fill wrote. The caller
	// must remove and unlock that entry.
	Add(ctx context.Context, e SpoolEntry, fill func(io.Writer) error) (Spooled, error)
	// Entries returns the entries of the object ref, oldest first. It includes refused entries, and entries
	// without a tenant that belong to the tenant of ref (see [SpoolEntry].Identity), but not entries that
	// were set aside or replaced. If Name is empty, it returns the entries of all names; if
	// Collection is empty, those of all collections.
	Entries(ctx context.Context, ref envelope.Ref) ([]Spooled, error)
	// KeySource returns the key source of the spool. Put seals an entry with it if the key sources
	// of the Vault cannot be used. If the key does not exist and create is false, the error wraps
	// [envelope.ErrUnknownKey].
	KeySource(create bool) (envelope.KeySource, error)
	// Limit returns the maximum length of a value, in bytes.
	Limit() int64
}

// A Spooled is one entry of a [Spool].
type Spooled interface {
	// Entry describes the entry as it was when it was last read or locked.
	Entry() SpoolEntry
	// Open opens the envelope. The caller must close it.
	Open() (io.ReadCloser, error)
	// Lock waits until no other process or goroutine holds the lock of the entry, and then reads
	// the entry again. Only the holder of the lock may send or change the entry. If the entry no
	// longer exists, the error wraps [ErrNotFound].
	Lock(ctx context.Context) error
	// Unlock releases the lock.
	Unlock()
	// Attempted records an attempt to send the entry, or the start of one. The entry must be
	// locked. If the start cannot be recorded, the attempt must not be made.
	Attempted(SpoolAttempt) error
	// Remove deletes the entry, which must be locked.
	Remove() error
	// SetAside marks the entry, which must be locked, so that it is not sent. The spool keeps it,
	// with the reason, but Entries no longer returns it.
	SetAside(reason string) error
}

// A SpoolEntry describes a value that is saved on this machine.
type SpoolEntry struct {
	ID       string       // unique in the spool; a later entry has a greater id
	Ref      envelope.Ref // full name of the object
	Revision int64        // of the envelope
	Created  time.Time    // time of the Put
	Size     int64        // bytes of the envelope
	// Create, IfTag, IfRevision and IfRewrap are the condition of the Put: see [PutOptions].
	Create     bool
	IfTag      string
	IfRevision int64
	IfRewrap   int
	// Local means that the envelope is sealed only with [Spool].KeySource, because the key sources
	// of the Vault could not be reached.
	Local bool
	// Identity identifies the caller if Ref has no tenant, because the tenant was not known when
	// the value was saved. The entry belongs to the tenant of that caller.
	Identity string
	// Replaces is the ID of an earlier entry with the same value, which this entry replaces. It may
	// be empty.
	Replaces string
	Attempts []SpoolAttempt // the last attempts, oldest first
	// Refused means that the store refused the value. The entry is kept, and is not sent again
	// until the operator requests it.
	Refused bool
	// Overwrite means that the operator decided to replace any object that the store has under the
	// name.
	Overwrite bool
	// Mirrored means that the entry is a note about a change of the primary store that a mirror does not
	// have: see [Mirror]. It has no envelope. Revision is that of the change. Deleted means that the
	// change was a deletion, of every object up to this revision.
	Mirrored, Deleted bool
	// Unsent means that the store certainly applied none of the earlier attempts, and will not apply
	// one later. It is false if that is not known.
	Unsent bool
}

func (e SpoolEntry) isConditional() bool { return e.Create || e.IfTag != "" || e.IfRevision != 0 }

// A SpoolAttempt is one attempt to send an entry.
type SpoolAttempt struct {
	Time    time.Time
	Reason  string // text of the error; contains no secret
	Refused bool   // the store refused the value
	// Unsent means that the store certainly applied neither this attempt nor an earlier one.
	Unsent bool
	// Sending means that an attempt starts. It makes [SpoolEntry].Unsent false, because the process
	// may end before it can record the result. A record with Sending is not added to
	// SpoolEntry.Attempts.
	Sending bool
	// Retry means that the operator requested another attempt after the store refused the value.
	// Overwrite means that the attempt may replace any object that the store has under the name.
	Retry, Overwrite bool
}

// A SpoolMode selects whether [Vault.Put] first saves the value on this machine.
type SpoolMode int

const (
	// SpoolDefault saves the value if the Vault has a [Spool]. If the spool cannot save it, Put
	// still sends the value to the store.
	SpoolDefault SpoolMode = iota
	// SpoolRequire makes Put fail, and send nothing, if the spool cannot save the value. If the
	// Vault has no [Spool], the error wraps [ErrConfig].
	SpoolRequire
	// SpoolOff saves nothing on this machine.
	SpoolOff
)

// A SpooledError means that the value is saved on this machine, but is not known to be in the
// store. [Vault.Put] and [Vault.Deliver] return it. It wraps [ErrSpooled] unless Refused is set.
type SpooledError struct {
	ID      string // of the [SpoolEntry]
	Refused bool   // the store refused the value; it is not sent again until the operator requests it
	Err     error  // why the value is not in the store
}

func (e *SpooledError) Error() string {
	if e.Refused {
		return e.Err.Error() + "; the value is kept on this machine"
	}
	return ErrSpooled.Error() + ": " + e.Err.Error()
}

// Unwrap returns Err, and [ErrSpooled] unless Refused is set.
func (e *SpooledError) Unwrap() []error {
	if e.Refused {
		return []error{e.Err}
	}
	return []error{ErrSpooled, e.Err}
}

// An UnsavedError means that [Vault.Put] could neither store the value nor save it on this machine.
// Only a Vault with a [Spool] returns it. If Err wraps [ErrUnsure], the store may have the value.
type UnsavedError struct {
	Err   error // why the value is not in the store
	Spool error // why it is not on this machine; wraps ErrTooLarge if it is longer than [Spool].Limit
}

func (e *UnsavedError) Error() string {
	text := e.Err.Error() + "; the value is saved neither in the store nor on this machine"
	if e.Spool != nil {
		text += ": " + e.Spool.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *UnsavedError) Unwrap() error { return e.Err }
