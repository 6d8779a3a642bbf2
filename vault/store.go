package vault

import (
	"context"
	"io"
	"iter"
	"time"

	"gocloud.dev/blob"
)

// A Store is a bucket, and the features that its cloud offers in addition to [blob.Bucket]. All
// fields but Bucket may be nil or empty; the comment of a field describes what nil means.
//
// Every provider must keep this contract. Package conformance checks it:
//
//   - A write is all or nothing, even if its context is cancelled or its source fails
//     midway. When a write returns nil, the object is durable and the next read
//     returns it.
//   - If several writers create the same key at once, exactly one of them succeeds,
//     whatever the size of the object.
//   - An error has a code of [gocloud.dev/gcerrors], or wraps a sentinel of this
//     package, which takes precedence. The code or the sentinel distinguishes a missing
//     object, a denied request, missing credentials, a conflict and an unavailable
//     service. No error text contains a secret.
//   - A range request returns exactly the range, or an error.
//   - A listing requests pages of 1000 keys when they are needed, and yields the keys
//     in the order of their bytes.
type Store struct {
	// Bucket contains the objects. If As of a [blob.Reader] sets an [io.ReaderAt], which reads the object of
	// the Reader at any offset until the Reader is closed, [Reader.Download] opens a large object on all
	// processors.
	Bucket *blob.Bucket
	// Name identifies the store in messages, for example s3://bucket. It contains no credentials.
	Name string
	// Put stores an object, and replaces an existing object at the same key. If it is nil, a Vault
	// uses Bucket.NewWriter.
	Put Putter
	// Create stores an object only if the key has none. If it is nil, a Vault uses Bucket.NewWriter
	// with IfNotExist. The driver of Bucket must then enforce IfNotExist for objects of every size.
	Create Creator
	// QuickCreate is Create with fewer requests. Of several writers that create a key at the same
	// moment, more than one may succeed. A [Delivery] uses it for values that were put without a
	// condition, if its list contains no object of that name. If it is nil, a Delivery uses Create.
	QuickCreate Creator
	// Swap replaces an object only if it still has a given tag. If it is nil, [Vault.Put] with
	// IfTag or IfRevision fails with [ErrUnsupported] and stores nothing.
	Swap Swapper
	// Splice replaces the start of a large object, and copies the rest inside the store. If it is
	// nil, [Vault.Rewrap] copies a large object through this process.
	Splice Splicer
	// RemoveIf deletes an object only if it still has a given tag. If it is nil, [Vault.Delete]
	// with IfTag fails with [ErrUnsupported] and deletes nothing.
	RemoveIf ConditionalRemover
	// Settle finds out whether a create or a compare-and-swap took effect. A provider needs it if
	// its Create and Swap write first and detect a conflict after the write. If it is nil, a Vault
	// reads the object back. The write took effect if the object is the envelope that was written.
	Settle Settler
	// History reads old versions. If it is nil, the store has none.
	History Historian
	// Remover deletes many keys in one request. If it is nil, a Vault deletes them one by one.
	Remover Remover
	// Purge lists and removes old versions and delete markers. If it is nil, the store has none, or
	// gives no access to them.
	Purge Purger
	// Cloud reports on the cloud, the caller and the settings of the bucket. It is nil if the store
	// is not in a cloud.
	Cloud Cloud
	// Tag returns the tag of the object that r reads. It sends no request, and returns "" if the
	// server returned no tag. Swap and RemoveIf compare this tag. If an object is read with several
	// requests and the tag changes, the object was replaced. Tag must not be nil if Swap or
	// RemoveIf is not nil.
	Tag func(r *blob.Reader) string
	// ListAfter returns a [blob.ListOptions].BeforeList that starts a list after a key. If it is nil, a
	// Vault skips the keys before.
	ListAfter func(key string) func(as func(any) bool) error
	// Parallel is the number of range requests that a Vault sends ahead, in all reads of large objects
	// together. If it is 0 or 1, a Vault reads an object with one request. Otherwise the first request is
	// for the first 8 MiB, and each request for a further range must return the same object, or fail.
	Parallel int
	// Explain returns a sentinel of this package or a [*Cause] for an error of the store. It uses
	// the error code of the service, never the text. If Explain is nil, or returns nil because it
	// does not know the error, a Vault uses the code of gcerrors.
	Explain func(error) error
	// Close closes Bucket and everything else that the provider opened. The caller that opened
	// the Store must call it; a Vault does not.
	Close func() error
	// Closed reports whether Close was called. If it returns true, every request fails with
	// [ErrClosed]. If it is nil, the bucket's own errors report that it was closed.
	Closed func() bool

	deferral *deferral // not nil for a Store that Deferred returned
}

// A Putter stores an object, and replaces an existing object at the same key.
type Putter interface {
	// Put calls fill once, and stores the bytes that fill writes as the object at key. It returns
	// the id of the new version, or "" if the store has no versions. If fill fails or ctx ends, the
	// previous object stays.
	Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A PartWriter is a writer that can store an object of known length in parts, several at a time. The writer
// that a [Putter], a [Creator] or a [Swapper] passes to fill may be one. A [Vault] then uses WriteParts, and
// not Write, for a value that can be read at any offset, such as an [*os.File]: see [Content].
type PartWriter interface {
	io.Writer
	// WriteParts stores the object s, to which fill adds nothing. It may call s.Part from several goroutines
	// at once. When it returns, no call of s.Part is in progress.
	WriteParts(s Sealed) error
}

// A Sealed is an object of known length, whose parts can be requested in any order.
type Sealed struct {
	Size int64 // in bytes
	// Part fills p with the bytes from offset on. A provider requests each byte once, and keeps it until the
	// part is stored, because the bytes cannot be made again.
	Part func(p []byte, offset int64) error
}

// A Creator stores an object only if the key has none.
type Creator interface {
	// Create calls fill once, and stores the bytes that fill writes as the object at key. It
	// returns the id of the new version, or "" if the store has no versions. If the key already has
	// an object, the error wraps [ErrExist]. If fill fails or ctx ends, nothing is stored.
	Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Swapper replaces an object only if it has not changed since it was read.
type Swapper interface {
	// Swap replaces the object at key if it has the given tag, which is never empty. It calls fill
	// once, stores the bytes that fill writes, and returns the new tag. If the object has another
	// tag or is absent, the error wraps [ErrConflict]. If fill fails or ctx ends, nothing is
	// stored.
	Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error)
}

// A Splicer replaces the start of a large object, and copies the rest inside the store.
type Splicer interface {
	// Splice replaces the object at key by s.Start, followed by the bytes of the old object from
	// offset s.From. It returns the id of the new version, or "" if the store has no versions. If
	// the object does not have the tag s.Tag any more, the error wraps [ErrConflict]. If the server
	// cannot copy a part of an object, the error wraps [ErrUnsupported]. If Splice fails or ctx ends,
	// the old object stays.
	Splice(ctx context.Context, key string, s Splice) (version string, err error)
}

// A Splice is one request to a [Splicer].
type Splice struct {
	// Tag is the tag of the object, and never empty. Every byte that is copied is of an object with
	// this tag.
	Tag string
	// Conditional means that the write itself is a compare-and-swap with Tag. It is false only if
	// the store has no compare-and-swap and the caller guarantees that there is no other writer.
	Conditional bool
	Start       []byte // at least 5 MiB
	From, Size  int64  // From is less than Size, the length of the old object
}

// A ConditionalRemover deletes an object only if it has not changed since it was read.
type ConditionalRemover interface {
	// RemoveIf deletes the object at key if it has the given tag, which is never empty. If the
	// object has another tag or is absent, the error wraps [ErrConflict].
	RemoveIf(ctx context.Context, key, tag string) error
}

// A Settler finds out whether a create or a compare-and-swap without a response took effect. The Swapper
// of its store returns the id of the new version as the new tag.
type Settler interface {
	// A Vault calls Settle after the last attempt at a write, if an attempt ended with a [*Cause]
	// whose Effect is [MayArrive]. Settle looks for versions of key that this write stored. It
	// returns the version that took effect.
	//
	// If the condition of the write did not hold, Settle deletes what the write stored. The error
	// then wraps [ErrExist] for a create, and [ErrConflict] for a compare-and-swap. If Settle does
	// not find the write, and the write may be applied later, the error wraps [ErrUnsure].
	Settle(ctx context.Context, key string, w UnknownWrite) (version string, err error)
	// IsSettled reports whether a version is the current one of key, and its writer no longer deletes
	// it. Until then, [Vault.PurgeVersions] keeps the versions that the writer compares it with.
	IsSettled(ctx context.Context, key, version string) (bool, error)
}

// An UnknownWrite is a create or a compare-and-swap with an unknown outcome.
type UnknownWrite struct {
	Tag    string // tag of the object to replace; empty for a create
	Header []byte // the first bytes of the written object; unique to this write
	Size   int64  // number of bytes written
}

// A Historian reads the versions of an object.
type Historian interface {
	// Versions yields the versions of key, newest first, including delete markers. It does not
	// yield those of other keys that start with key. For a key that never existed it yields
	// nothing.
	Versions(ctx context.Context, key string) iter.Seq2[Version, error]
	// OpenVersion reads length bytes of one version, starting at offset. A negative length means
	// all bytes to the end. A range that extends past the end is shortened. If id is unknown or is
	// a delete marker, the error wraps [ErrNotFound].
	//
	// tag is usually empty. If a later write can replace the content of the version, as for the
	// version "null" of S3 and COS, tag identifies the content that is read.
	OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error)
}

// A Version is one version of an object, or a delete marker.
type Version struct {
	ID       string    // opaque; the id parameter of [Historian.OpenVersion]
	Modified time.Time // time of the write
	Size     int64     // bytes stored; 0 for a delete marker
	Deleted  bool      // a delete marker
	Current  bool      // the version that a read returns; if it is a delete marker, the key is absent
}

// A Remover deletes many objects in one request.
type Remover interface {
	// Remove deletes the current objects of at most 1000 keys. failed contains an error for each
	// key that could not be removed. If the cloud reports that a key had no object, failed contains
	// an error wrapping [ErrNotFound] for that key. If err is not nil, the outcome of every key is
	// unknown.
	Remove(ctx context.Context, keys []string) (failed map[string]error, err error)
}

// A Purger lists and removes the old versions and delete markers that remain after the current
// objects were deleted.
type Purger interface {
	// Leftovers yields every version that is not current, and every delete marker, of all
	// keys that start with prefix, in no particular order.
	Leftovers(ctx context.Context, prefix string) iter.Seq2[Leftover, error]
	// Purge removes at most 1000 leftovers permanently. failed contains an error for each leftover
	// that was not removed. The caller must remove versions before delete markers: if a delete
	// marker is removed first, the newest version may become current again.
	Purge(ctx context.Context, leftovers []Leftover) (failed map[Leftover]error, err error)
}

// A Leftover is an old version or a delete marker of a key.
type Leftover struct {
	Key, ID string
	Deleted bool // a delete marker
}
