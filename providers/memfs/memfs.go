// Package memfs contains the embedded stores: mem:// in the memory of the process, and file://
// in a directory. Both are a [vault.Store] with a gocloud driver of this package. Both support
// versions, create-only and compare-and-swap.
//
// A file:// store is an ordinary directory that rsync and backup programs can read:
//
//	DIR/<key>                              current object, a plain file 0600
//	DIR/.objectvault/format                "objectvault file store 1\n"
//	DIR/.objectvault/tmp/<random>          temporary file; its writer has a flock on it
//	DIR/.objectvault/lock/<hh>             flock while publishing and deleting; hh is the first byte of SHA-256(key)
//	DIR/.objectvault/versions/<key>/<id>   old versions; <id>.deleted is a delete marker;
//	                                       <id>.attrs holds gocloud attributes, only if any
//
// An id is a time in microseconds, as 16 hexadecimal digits. It is raised if necessary to
// exceed every other id of its key. The id of the current object is its mtime, so copy programs
// must preserve mtimes (rsync -t, cp -p). Bytes of keys that file names cannot contain are
// escaped as !XX. Two keys cannot exist at once if one is a directory of the other: the second
// write fails with [vault.ErrConflict].
//
// Several processes may use one directory. When a write returns nil, the file and its directories
// have been synced, if the file system can sync directories. A read changes nothing and syncs
// nothing, so a store on a read-only file system can be read. A reader sees complete objects only.
// Readers ignore the files that a killed writer left, and the next writer removes them. If files in
// .objectvault are lost, the current objects remain readable if the file DIR/.objectvault/format
// still exists.
//
// The file system must support flock, hard links and mtimes with microseconds. Hard links make
// create-only atomic. They also keep the old version when the new one takes the name of the key.
// [Open] fails on a file system without hard links, such as exFAT, and on Android, where programs
// may not create them. The store rejects symbolic links below DIR, files that other users may read,
// and a DIR that other users may write to. If other users may read DIR itself, they see the names,
// sizes and times of its entries; directories and files of the store have modes 0700 and 0600. On a
// file system that ignores case, a write fails with [vault.ErrConflict] if its key exists in
// another spelling. The package compiles on Windows but is not tested there.
package memfs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/vault"
)

// Config describes a store. The zero value is an empty store in memory.
type Config struct {
	// Dir is the directory of a file:// store, an absolute path. Open creates it with mode 0700
	// if it does not exist. Empty means mem://.
	Dir string
	// MustExist makes Open fail with [ErrNoStore] instead of creating a store. An empty
	// directory may be the mount point of a disk that is not mounted.
	MustExist bool
	// Memory contains the objects of a mem:// store; nil means a new, empty one. Stores that
	// are opened with the same Memory are clients of one store. It cannot be combined with Dir.
	Memory *Memory
	// Versions is the number of old versions of a key that are kept: 0 means 16; a negative
	// number means none, and then the store has no History and no Purge.
	Versions int
	// LockTimeout is the maximum time that a write waits for a write of another process; 0
	// means 30 s. A write takes milliseconds, unless its process was stopped.
	LockTimeout time.Duration
	// Unsynced, if not nil, is called once, at the first write, if the file system of Dir
	// cannot sync directories, like some network file systems and FUSE. Then the mount options
	// decide whether a completed write survives a power failure.
	Unsynced func(dir string)
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
}

func (c Config) lockTimeout() time.Duration {
	if c.LockTimeout <= 0 {
		return 30 * time.Second
	}
	return c.LockTimeout
}

func (c Config) versions() int {
	if c.Versions == 0 {
		return 16
	}
	return max(c.Versions, 0)
}

func (c Config) now() uint64 {
	clock := time.Now
	if c.Now != nil {
		clock = c.Now
	}
	return idAt(clock())
}

// ErrNoStore means that [Config].MustExist is set, but Dir contains no store. The error then also
// wraps [vault.ErrUnavailable].
var ErrNoStore = errors.New("there is no store")

var errNoStore = fmt.Errorf("%w: %w", vault.ErrUnavailable, ErrNoStore)

// Open opens the store that c describes, and creates it if necessary. The caller must close it.
// Open fails if the directory has other content than a store, or if other users may write to it. It
// then leaves the directory unchanged. If c.Dir is not a directory, the error wraps [vault.ErrConfig].
func Open(ctx context.Context, c Config) (*vault.Store, error) {
	if c.Dir == "" {
		if c.Memory == nil {
			c.Memory = new(Memory)
		}
		return newStore("mem://", &memory{c.Memory, c}, c), nil
	}
	c.Dir = filepath.Clean(c.Dir)
	name := (&url.URL{Scheme: "file", Path: filepath.ToSlash(c.Dir)}).String()
	if c.Memory != nil || !filepath.IsAbs(c.Dir) {
		return nil, fmt.Errorf("open %s: %w: the directory of a file store must be an absolute path, and Memory must be nil", name, vault.ErrConfig)
	}
	s, err := openFiles(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return newStore(name, s, c), nil
}

func newStore(name string, s shelf, c Config) *vault.Store {
	b := &bucket{s}
	portable := blob.NewBucket(b)
	closed := new(atomic.Bool)
	store := &vault.Store{
		Bucket:  portable,
		Name:    name,
		Put:     b,
		Create:  b,
		Swap:    b,
		Splice:  b,
		Remover: b, RemoveIf: b,
		Purge:   b, // needed without versions, too: old ones may exist
		Tag:     func(r *blob.Reader) string { return formatID(idAt(r.ModTime())) },
		Explain: explain,
		Closed:  closed.Load,
		Close: func() error {
			closed.Store(true)
			return portable.Close()
		},
	}
	if c.versions() > 0 {
		store.History = b
	}
	return store
}

// explain returns the sentinel of package vault that err wraps.
func explain(err error) error {
	for _, sentinel := range []error{
		vault.ErrUnsure, vault.ErrPermission, vault.ErrNoSpace, vault.ErrConflict, vault.ErrExist,
		vault.ErrNotFound, vault.ErrUnsupported, vault.ErrInvalidName, vault.ErrBusy, vault.ErrUnavailable,
	} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return nil
}
