package vault

import (
	"context"
	"io"
	"iter"
	"time"

	"gocloud.dev/blob"
)

// A Store is a bucket and what its cloud offers beyond [blob.Bucket]. Every nil
// field means "this cloud has none".
//
// A provider that fills a Store keeps the contract that package conformance checks:
//
//   - A write is all or nothing, also when its context is cancelled or its source
//     fails midway. A write that returned nil is durable and is what the next
//     read sees.
//   - Create-only has exactly one winner, at every size.
//   - Absent, denied, unauthenticated, conflict and unavailable are distinguished by
//     code: by [gocloud.dev/gcerrors], or by wrapping a sentinel of this package,
//     which wins over the code. No error text holds a secret.
//   - A range is answered exactly or with an error.
//   - A list is lazy, paged (1000 keys a page), and in the order of the keys' bytes.
type Store struct {
	// Bucket holds the objects.
	Bucket *blob.Bucket
	// Name is for messages, such as s3://bucket. It holds no credentials.
	Name string
	// Put replaces any object. Nil means that Bucket.NewWriter does it well.
	Put Putter
	// Create writes only where there is no object. Nil means that Bucket.NewWriter with
	// IfNotExist guarantees it at every size.
	Create Creator
	// Swap replaces only the object that was last read. Nil: [PutOptions].IfRevision and
	// IfTag are [ErrUnsupported], and nothing is stored.
	Swap Swapper
	// RemoveIf deletes only the object that was last read. Nil: [DeleteOptions].IfTag is
	// [ErrUnsupported], and nothing is deleted.
	RemoveIf ConditionalRemover
	// Settle finds out which of several writes won, where Create and Swap are optimistic:
	// they write first and detect a conflict after the write. Nil: an object with the
	// envelope that was written proves that its write won.
	Settle Settler
	// History reads old versions. Nil: there are none.
	History Historian
	// Remover deletes many keys at once. Nil: they are deleted one by one.
	Remover Remover
	// Purge lists and removes what stays behind in history. Nil where there is none, or
	// where the store gives no access to it.
	Purge Purger
	// Cloud says what the cloud knows of itself, of the caller and of the bucket. Nil: there is
	// no cloud.
	Cloud Cloud
	// Tag returns the tag of the object that r reads, without a request: the one that Swap
	// takes, and by which a reader detects that an object was replaced. It is not nil where
	// Swap is not. It returns "" where the server gave none.
	Tag func(r *blob.Reader) string
	// Explain returns the sentinel of this package behind an error that gcerrors
	// calls Unknown (an expired token, say), or a [*Cause], or nil. It decides on the
	// service's code, never on text. Nil: nothing to explain.
	Explain func(error) error
	// Close closes Bucket and whatever else the provider started. The caller that opened
	// the Store calls it, a Vault never does.
	Close func() error
	// Closed reports whether Close was called, so that every later request is [ErrClosed].
	// Nil: the bucket's own errors show it.
	Closed func() bool
}

// A Putter stores an object over any other. It calls fill once.
type Putter interface {
	// Put stores what fill writes at key and returns the new version's id, empty where
	// there are no versions. If fill fails or ctx ends the previous object stays.
	Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Creator stores an object only where there is none. It calls fill once.
type Creator interface {
	// Create stores what fill writes at key and returns the new version's id, empty
	// where there are no versions. A taken key is an error wrapping [ErrExist]. If
	// fill fails or ctx ends nothing is stored.
	Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Swapper replaces an object only while it is still the one last read. It calls
// fill once.
type Swapper interface {
	// Swap stores what fill writes at key if the object there still has the given
	// tag, which is never empty, and returns the new tag. A lost race, an absent object
	// included, is an error wrapping [ErrConflict]. If fill fails or ctx ends nothing is
	// stored.
	Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error)
}

// A ConditionalRemover deletes an object only while it is still the one last read.
type ConditionalRemover interface {
	// RemoveIf deletes the object at key if it still has the given tag, which is never
	// empty. Another object, or none, is an error wrapping [ErrConflict].
	RemoveIf(ctx context.Context, key, tag string) error
}

// A Settler finds out what became of a create or a swap that got no response.
type Settler interface {
	// Settle is called after the last attempt at a write of which at least one ended with a
	// [*Cause] whose Effect is [MayArrive]. It looks for the write and sees to it that no loser
	// stays. It returns the version that was stored, an error wrapping [ErrExist] or
	// [ErrConflict], or one wrapping [ErrUnsure] where the write is not there and may yet arrive.
	Settle(ctx context.Context, key string, w UnknownWrite) (version string, err error)
}

// An UnknownWrite is a create or a swap whose outcome is unknown.
type UnknownWrite struct {
	Tag    string // of the object that a swap was to replace; empty for a create
	Header []byte // the first bytes of what was written; no other write has the same
	Size   int64  // how many bytes were written
}

// A Historian reads the versions of an object.
type Historian interface {
	// Versions yields the versions of exactly key, newest first, delete markers included.
	// A key that never existed yields nothing.
	Versions(ctx context.Context, key string) iter.Seq2[Version, error]
	// OpenVersion reads length bytes of one version from offset; a negative length
	// means to the end. A range that reaches past the end is clipped. An unknown id,
	// or one that is a delete marker, is an error wrapping [ErrNotFound]. The tag changes
	// when the content of this id does, as that of the version "null" of S3 and COS may;
	// it is empty for an id whose content never changes.
	OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error)
}

// A Version is one state that an object was in.
type Version struct {
	ID       string    // opaque; names the version in [Historian.OpenVersion]
	Modified time.Time // when it was written
	Size     int64     // bytes stored; 0 for a deletion
	Deleted  bool      // a delete marker
	Current  bool      // what a read sees now; a Current delete marker means that the key is absent
}

// A Remover deletes many objects in one request.
type Remover interface {
	// Remove deletes the current objects of at most 1000 keys. failed holds an entry
	// for each key that is still there, or that is known to have been absent, which
	// is an error wrapping [ErrNotFound]; a cloud that cannot tell leaves absent keys
	// out. err is about the call as a whole, and then nothing is known of any key.
	Remove(ctx context.Context, keys []string) (failed map[string]error, err error)
}

// A Purger lists and removes what stays behind in history when the current objects are
// deleted.
type Purger interface {
	// Leftovers yields every version that is not current, and every delete marker, of all
	// keys that start with prefix, in no particular order.
	Leftovers(ctx context.Context, prefix string) iter.Seq2[Leftover, error]
	// Purge removes at most 1000 of them permanently. failed holds an entry for each one
	// that is still there. The caller removes contents before delete markers: without its
	// delete marker the newest content may become current again.
	Purge(ctx context.Context, leftovers []Leftover) (failed map[Leftover]error, err error)
}

// A Leftover is an old version of some key.
type Leftover struct {
	Key, ID string
	Deleted bool // a delete marker
}
