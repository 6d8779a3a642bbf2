package vault

import (
	"context"
	"io"
	"iter"
	"time"

	"gocloud.dev/blob"
)

// A Store is a bucket with the features that its cloud offers beyond [blob.Bucket]. A nil field
// means that the cloud does not have the feature.
//
// A provider that fills a Store keeps the contract that package conformance checks:
//
//   - A write is all or nothing, even if its context is cancelled or its source fails
//     midway. When a write returns nil, the object is durable and the next read
//     returns it.
//   - Create-only has exactly one winner, at every size.
//   - Absent, denied, unauthenticated, conflict and unavailable are distinguished by
//     code: by [gocloud.dev/gcerrors], or by wrapping a sentinel of this package,
//     which takes precedence over the code. No error text contains a secret.
//   - A range request returns exactly the range, or an error.
//   - A list is lazy, paged (1000 keys a page), and in the order of the keys' bytes.
type Store struct {
	// Bucket contains the objects.
	Bucket *blob.Bucket
	// Name is used in messages, such as s3://bucket. It contains no credentials.
	Name string
	// Put replaces any object. Nil: Bucket.NewWriter does it.
	Put Putter
	// Create stores an object only if there is none. Nil: Bucket.NewWriter with IfNotExist
	// guarantees that at every size.
	Create Creator
	// Swap replaces only the object that was last read. Nil: [PutOptions].IfRevision and
	// IfTag are [ErrUnsupported], and nothing is stored.
	Swap Swapper
	// RemoveIf deletes only the object that was last read. Nil: [DeleteOptions].IfTag is
	// [ErrUnsupported], and nothing is deleted.
	RemoveIf ConditionalRemover
	// Settle finds out which of several writes won, if Create and Swap are optimistic: they
	// write first and detect a conflict after the write. Nil: an object that has the written
	// envelope proves that its write won.
	Settle Settler
	// History reads old versions. Nil: there are none.
	History Historian
	// Remover deletes many keys at once. Nil: they are deleted one by one.
	Remover Remover
	// Purge lists and removes old versions and delete markers. Nil: there are none, or the
	// store gives no access to them.
	Purge Purger
	// Cloud reports on the cloud, the caller and the settings of the bucket. Nil: there is no
	// cloud.
	Cloud Cloud
	// Tag returns the tag of the object that r reads, without a request. Swap compares this
	// tag, and a reader detects by it that an object was replaced. Tag is not nil if Swap is
	// not nil. It returns "" if the server returned no tag.
	Tag func(r *blob.Reader) string
	// Explain returns a sentinel of this package or a [*Cause] for an error that gcerrors calls
	// Unknown, such as an expired token, or nil. It decides on the service's code, never on
	// text. Nil: there is nothing to explain.
	Explain func(error) error
	// Close closes Bucket and everything else that the provider opened. The caller that opened
	// the Store must call it; a Vault does not.
	Close func() error
	// Closed reports whether Close was called; then every request is [ErrClosed]. Nil: the
	// errors of the bucket report it.
	Closed func() bool

	deferral *deferral // not nil: the Store of Deferred
}

// A Putter stores an object and replaces any other. It calls fill once.
type Putter interface {
	// Put stores the bytes that fill writes at key, and returns the id of the new version, or
	// "" if the store has no versions. If fill fails or ctx ends, the previous object stays.
	Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Creator stores an object only if there is none. It calls fill once.
type Creator interface {
	// Create stores the bytes that fill writes at key, and returns the id of the new version,
	// or "" if the store has no versions. If the key has an object, the error wraps [ErrExist].
	// If fill fails or ctx ends, nothing is stored.
	Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Swapper replaces an object only if it has not changed since it was read. It calls fill
// once.
type Swapper interface {
	// Swap stores the bytes that fill writes at key if the current object has the given tag,
	// which is never empty, and returns the new tag. If the object has another tag or is
	// absent, the error wraps [ErrConflict]. If fill fails or ctx ends, nothing is stored.
	Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error)
}

// A ConditionalRemover deletes an object only if it has not changed since it was read.
type ConditionalRemover interface {
	// RemoveIf deletes the object at key if it has the given tag, which is never empty. If the
	// object has another tag or is absent, the error wraps [ErrConflict].
	RemoveIf(ctx context.Context, key, tag string) error
}

// A Settler finds out the outcome of a create or a compare-and-swap that received no response.
type Settler interface {
	// Settle is called after the last attempt at a write, if an attempt ended with a [*Cause]
	// whose Effect is [MayArrive]. It looks for the write and makes sure that no loser remains.
	// It returns the version that was stored, an error wrapping [ErrExist] or [ErrConflict], or
	// one wrapping [ErrUnsure] if the write is not there and may still arrive.
	Settle(ctx context.Context, key string, w UnknownWrite) (version string, err error)
}

// An UnknownWrite is a create or a compare-and-swap with an unknown outcome.
type UnknownWrite struct {
	Tag    string // tag of the object to replace; empty for a create
	Header []byte // the first bytes of the written object; unique to this write
	Size   int64  // number of bytes written
}

// A Historian reads the versions of an object.
type Historian interface {
	// Versions yields the versions of exactly key, newest first, delete markers included.
	// A key that never existed yields nothing.
	Versions(ctx context.Context, key string) iter.Seq2[Version, error]
	// OpenVersion reads length bytes of one version from offset; a negative length means to the
	// end. A range that reaches past the end is clipped. An unknown id, or one that is a delete
	// marker, is an error wrapping [ErrNotFound]. If the content of this id can change, like
	// that of the version "null" of S3 and COS, tag identifies the content; otherwise it is
	// empty.
	OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error)
}

// A Version is one version of an object, or a delete marker.
type Version struct {
	ID       string    // opaque; names the version in [Historian.OpenVersion]
	Modified time.Time // time of the write
	Size     int64     // bytes stored; 0 for a deletion
	Deleted  bool      // a delete marker
	Current  bool      // the version that a read returns; if it is a delete marker, the key is absent
}

// A Remover deletes many objects in one request.
type Remover interface {
	// Remove deletes the current objects of at most 1000 keys. failed has an entry for each key
	// whose object was not removed, and for each key that is known to have been absent: an
	// error wrapping [ErrNotFound]. A cloud that does not report absent keys omits them. If err
	// is not nil, the outcome of every key is unknown.
	Remove(ctx context.Context, keys []string) (failed map[string]error, err error)
}

// A Purger lists and removes the old versions and delete markers that remain after the current
// objects were deleted.
type Purger interface {
	// Leftovers yields every version that is not current, and every delete marker, of all
	// keys that start with prefix, in no particular order.
	Leftovers(ctx context.Context, prefix string) iter.Seq2[Leftover, error]
	// Purge removes at most 1000 leftovers permanently. failed has an entry for each one that
	// was not removed. The caller must remove versions before delete markers: without its
	// delete marker the newest version may become current again.
	Purge(ctx context.Context, leftovers []Leftover) (failed map[Leftover]error, err error)
}

// A Leftover is an old version or a delete marker of a key.
type Leftover struct {
	Key, ID string
	Deleted bool // a delete marker
}
