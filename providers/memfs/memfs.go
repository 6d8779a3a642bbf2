// Package memfs is the embedded store: mem:// in the memory of the process, and
// file:// in a directory, both as a [vault.Store] over a gocloud driver of our own.
// Both keep versions, create only where nothing is, and swap; what one of them
// claims the other claims too.
//
// A file:// store is an ordinary directory that rsync and backup programs can read:
//
//	DIR/<key>                              current object, a plain file 0600
//	DIR/.objectvault/format                "objectvault file store 1\n"
//	DIR/.objectvault/tmp/<random>          being written; its writer holds a flock on it
//	DIR/.objectvault/lock/<hh>             flock while publishing and deleting; hh is the first byte of SHA-256(key)
//	DIR/.objectvault/versions/<key>/<id>   superseded contents; <id>.deleted marks a deletion;
//	                                       <id>.attrs holds gocloud attributes, only if any
//
// An id is a time in microseconds as 16 hexadecimal digits, raised above every id
// of its key. The current object's id is its mtime, so that tools have to preserve
// mtimes (rsync -t, cp -p). Keys that a file name cannot hold are escaped (bytes as
// !XX), and two keys cannot be there at once if one is the directory of the other.
//
// Several processes may use one directory. A write that returned has been synced,
// its directories included, where the file system can do that; reading syncs nothing and
// changes nothing, so that a store on a read-only file system can be read. A reader sees whole objects only; what a killed writer
// leaves behind is ignored, and removed by the next one. Everything but the format
// file may be lost without making the current objects unreadable.
//
// The file system must have flock, hard links and mtimes of a microsecond. Hard links are
// what makes create-only atomic and keeps the old version while the new one gets its name, and
// there is no substitute for them: [Open] makes no store on a file system without them, such
// as exFAT, or on Android, where programs may not make them. Symbolic
// links below DIR, files that others may read, and a DIR that others may write to are
// refused. If others may read DIR itself, they see the names, sizes and times of what lies
// directly in it; the directories and files that the store makes there are 0700 and 0600. On a file system
// that folds case, a key that exists in another spelling is a conflict. Windows
// compiles and is untested.
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

// Config says where the store is. The zero value is an empty store in memory.
type Config struct {
	// Dir is the directory of a file:// store, an absolute path. It is created, for
	// its owner alone, if it is not there. Empty means mem://.
	Dir string
	// MustExist refuses, with [ErrNoStore], to make a store where there is none: an empty
	// directory may be a disk that is not mounted.
	MustExist bool
	// Memory is what a mem:// store holds; nil means a new, empty one. Stores that
	// are opened on the same Memory are clients of one store. It goes with no Dir.
	Memory *Memory
	// Versions is how many superseded versions of a key are kept: 0 means 16, a
	// negative number none, and then the store has no History and no Purge.
	Versions int
	// LockTimeout is how long a write waits for one of another process to end, which
	// takes milliseconds unless that process was stopped; 0 means 30 s.
	LockTimeout time.Duration
	// Unsynced is called once, at the first write, where the file system of Dir does not sync
	// directories, as some network file systems and FUSE do not. Whether a write that returned
	// survives a power failure then depends on how it is mounted. Nil means that nobody is told.
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
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	return idAt(now())
}

// ErrNoStore means that there is no store at a directory where there must be one. What
// Open returns wraps [vault.ErrUnavailable] as well.
var ErrNoStore = errors.New("there is no store")

var errNoStore = fmt.Errorf("%w: %w", vault.ErrUnavailable, ErrNoStore)

// Open opens the store that c describes, and creates it if need be. Close it when
// done. A directory that holds something else, or that others may write to, is refused
// and left as it is.
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
		return nil, fmt.Errorf("open %s: a file store needs an absolute directory and no memory", name)
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
		Create:  b,
		Swap:    b,
		Remover: b, RemoveIf: b,
		Purge:   b, // also where no versions are kept: there may be some from before
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
