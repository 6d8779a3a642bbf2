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
// Whoever fills a Store keeps the contract that package conformance checks:
//
//   - A write is all or nothing, also when its context is cancelled or its source
//     fails midway. A write that returned nil is durable and is what the next
//     read sees.
//   - Create-only has exactly one winner, at every size.
//   - Absent, denied, unauthenticated, conflict and unavailable are told apart by
//     code: by [gocloud.dev/gcerrors], or by wrapping a sentinel of this package,
//     which wins over the code. No error text holds a secret.
//   - A range is answered exactly or with an error.
//   - A list is lazy, paged (1000 keys a page), and in the order of the keys' bytes.
type Store struct {
	// Bucket holds the objects.
	Bucket *blob.Bucket
	// Name is for messages, such as s3://bucket. It holds no credentials.
	Name string
	// Put writes whatever is there. Nil means that Bucket.NewWriter does it well.
	Put Putter
	// Create writes only where nothing is. Nil means that Bucket.NewWriter with
	// IfNotExist is honoured at every size.
	Create Creator
	// Swap replaces only what was last read. Nil: [PutOptions].IfRevision is
	// [ErrUnsupported] and stores nothing.
	Swap Swapper
	// History reads old versions. Nil: there are none.
	History Historian
	// Remover deletes many keys at once. Nil: they are deleted one by one.
	Remover Remover
	// Purge knows what stays behind in history. Nil where there is none, or where the
	// store gives no access to it.
	Purge Purger
	// Tag returns the tag of the object that r reads, without a request: the one that Swap
	// takes, and by which a reader sees that an object was replaced. It is not nil where
	// Swap is not.
	Tag func(r *blob.Reader) string
	// Explain returns the sentinel of this package behind an error that gcerrors
	// calls Unknown (an expired token, say), or nil. It decides on the service's
	// code, never on text. Or it returns an error that wraps the sentinel, tells all of
	// it in its text, and has a method Hint() string: what the user can do. If that error
	// has a method Unapplied() bool, and it says true, the store has surely done nothing,
	// so that a write need not be read back. Nil: nothing to explain.
	Explain func(error) error
	// Close closes Bucket and whatever else the provider started. Whoever opened the
	// Store calls it, a Vault never does.
	Close func() error
}

// A Putter stores an object over what may be there. It calls fill once.
type Putter interface {
	// Put stores what fill writes at key and returns the new version's id, empty where
	// there are no versions. If fill fails or ctx ends what was there stays.
	Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Creator stores an object only where there is none. It calls fill once.
type Creator interface {
	// Create stores what fill writes at key and returns the new version's id, empty
	// where there are no versions. A taken key is an error wrapping [ErrExist]. If
	// fill fails or ctx ends nothing is stored.
	//
	// A request that got no answer may still be under way. If it would then replace what
	// others wrote meanwhile, the error has a method
	// Settle(context.Context) (version string, err error), which is called when there is
	// no further attempt: it looks once more, sees to it that no loser stays, and returns
	// what Create would have, or an error wrapping [ErrUnsure].
	Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error)
}

// A Swapper replaces an object only while it is still the one last read. It calls
// fill once.
type Swapper interface {
	// Swap stores what fill writes at key if the object there still has the given
	// tag, and returns the new tag. A lost race, an absent object included, is an
	// error wrapping [ErrConflict]. If fill fails or ctx ends nothing is stored. Of a
	// request that got no answer the same holds as for a [Creator].
	Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error)
}

// A Historian knows the versions of an object.
type Historian interface {
	// Versions yields the versions of exactly key, newest first, markers of deletion
	// included. A key that never was yields nothing.
	Versions(ctx context.Context, key string) iter.Seq2[Version, error]
	// OpenVersion reads length bytes of one version from offset; a negative length
	// means to the end. A range that reaches past the end is clipped. An unknown id,
	// or one that is a marker of deletion, is an error wrapping [ErrNotFound].
	OpenVersion(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, error)
}

// A Version is one state that an object was in.
type Version struct {
	ID       string    // opaque; names the version in [Historian.OpenVersion]
	Modified time.Time // when it was written
	Size     int64     // bytes stored; 0 for a deletion
	Deleted  bool      // a marker of deletion
	Current  bool      // what a read sees now; a Current marker means that the key is absent
}

// A Remover deletes many objects in one request.
type Remover interface {
	// Remove deletes the current objects of at most 1000 keys. failed holds an entry
	// for each key that is still there, or that is known to have been absent, which
	// is an error wrapping [ErrNotFound]; a cloud that cannot tell leaves absent keys
	// out. err is about the call as a whole, and then nothing is known of any key.
	Remove(ctx context.Context, keys []string) (failed map[string]error, err error)
}

// A Purger knows what stays behind in history when the current objects are gone.
type Purger interface {
	// Leftovers yields every version that is not current, and every marker of
	// deletion, of all keys that start with prefix, in no particular order.
	Leftovers(ctx context.Context, prefix string) iter.Seq2[Leftover, error]
	// Purge removes at most 1000 of them for ever. failed holds an entry for each one
	// that is still there. The caller removes contents before markers: without its
	// marker of deletion the newest content may be current again.
	Purge(ctx context.Context, leftovers []Leftover) (failed map[Leftover]error, err error)
}

// A Leftover is an old version of some key.
type Leftover struct {
	Key, ID string
	Deleted bool // a marker of deletion
}
