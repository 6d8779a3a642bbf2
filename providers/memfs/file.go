package memfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/vault"
)

const (
	format     = "objectvault file store 1\n"
	formatFile = meta + "/format"
	tmpDir     = meta + "/tmp"
	lockDir    = meta + "/lock"
	versions   = meta + "/versions"
)

// maxTries limits how often an operation starts again because another process changed the
// directory. Each time another process has made progress.
const maxTries = 100

// errAgain means that the operation must start again.
var errAgain = errors.New("the directory has changed")

// files is a shelf in a directory.
type files struct {
	disk   disk
	dir    string // for messages
	config Config
	folds  bool // the file system ignores case
	locks  locks

	listings listings
	maxHeld  int // see maxHeld
	synced   syncedDirs

	workDirs  atomic.Bool // makeWorkDirs is complete
	preparing sync.Mutex
	prepared  bool // preparePut is complete
	unsynced  sync.Once

	clock    func() time.Time // monotonic clock
	sweeping sync.Mutex
	swept    time.Time
}

// openFiles opens the store in c.Dir, and creates it if it does not exist.
func openFiles(ctx context.Context, c Config) (*files, error) {
	fi, err := os.Stat(c.Dir)
	switch {
	case err == nil && !fi.IsDir(), errors.Is(err, errNotDir):
		return nil, fmt.Errorf("%w: %w", vault.ErrConfig, &fs.PathError{Op: "open", Path: c.Dir, Err: errNotDir})
	case errors.Is(err, fs.ErrNotExist) && !c.MustExist:
		if err := durable.MakeDir(c.Dir); err != nil {
			return nil, classify(err)
		}
	}
	root, err := os.OpenRoot(c.Dir)
	if c.MustExist && errors.Is(err, fs.ErrNotExist) {
		return nil, errNoStore
	}
	if err != nil {
		return nil, classify(err)
	}
	return newFiles(ctx, &rootDisk{root}, c)
}

// newFiles opens the store on d. If it fails, it closes d.
func newFiles(ctx context.Context, d disk, c Config) (*files, error) {
	s := &files{disk: d, dir: c.Dir, config: c, locks: newLocks(), maxHeld: maxHeld, clock: time.Now}
	if err := s.prepare(ctx); err != nil {
		d.close()
		return nil, classify(err)
	}
	return s, nil
}

// prepare checks that the directory is a store, and makes a store of an empty directory.
func (s *files) prepare(ctx context.Context) error {
	if err := s.checkDir(".", checkUnshared); err != nil {
		return err
	}
	found, err := s.small(formatFile)
	fresh := isAbsent(err)
	if fresh {
		if err := s.checkEmpty(); err != nil {
			return err
		}
		if s.config.MustExist {
			return errNoStore
		}
		if err := s.disk.mkdir(meta); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := s.checkDir(meta, checkPrivate); err != nil {
		return err
	}
	if !fresh {
		if err := s.checkFormat(found); err != nil {
			return err
		}
	}
	if fresh {
		if err := s.makeWorkDirs(); err != nil {
			return err
		}
		if err := s.makeFormat(ctx); err != nil {
			return err
		}
		if found, err = s.small(formatFile); err != nil {
			return err
		}
		if err := s.checkFormat(found); err != nil { // made by another process
			return err
		}
	}
	if err := s.probeLocks(); err != nil {
		return err
	}
	upper, err := s.disk.lstat(".OBJECTVAULT")
	if err == nil {
		lower, err := s.disk.lstat(meta)
		s.folds = err == nil && os.SameFile(upper, lower)
	}
	s.sweepIfDue()
	return nil
}

// makeWorkDirs creates the directories that only writes need. A copy of a store may lack them,
// because some copy programs omit empty directories.
func (s *files) makeWorkDirs() error {
	if s.workDirs.Load() {
		return nil
	}
	for _, dir := range []string{tmpDir, lockDir, versions} {
		if _, err := s.disk.lstat(dir); isAbsent(err) {
			if err := s.disk.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	s.workDirs.Store(true)
	return nil
}

// preparePut makes the store itself complete and durable before the first put, because the
// process that created it may have been killed earlier. [Open] does not do this, so that a
// store can be read where nothing can be written or synced. A delete does not need it: the put
// of the object did it.
func (s *files) preparePut() error {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if s.prepared {
		return nil
	}
	if err := s.makeWorkDirs(); err != nil {
		return err
	}
	if !s.config.MustExist {
		if err := durable.MakeDir(s.dir); err != nil { // the directory exists; this makes its name durable
			return err
		}
	}
	if err := errors.Join(s.syncDir(meta), s.syncDir(".")); err != nil {
		return err
	}
	s.prepared = true
	return nil
}

func (s *files) checkFormat(found []byte) error {
	if string(found) == format {
		return nil
	}
	return fmt.Errorf("%w: %s contains the format %q, but this program supports only %q: use a newer program, or check that the directory is a store",
		vault.ErrUnsupported, s.abs(formatFile), found, format)
}

// makeFormat creates the format file, unless another process was faster. It fails on a file
// system without hard links.
func (s *files) makeFormat(ctx context.Context) error {
	t, err := s.newTemp(ctx)
	if err != nil {
		return err
	}
	defer t.remove()
	if _, err := io.WriteString(t, format); err != nil {
		return err
	}
	if err := t.Sync(); err != nil {
		return err
	}
	err = s.disk.link(t.name, formatFile)
	switch {
	case err == nil, errors.Is(err, fs.ErrExist):
		return nil
	case hasNoLinks(err):
		return fmt.Errorf("%w: the file system does not support hard links, which the store needs: use another file system: %w", vault.ErrUnsupported, err)
	}
	return err
}

// checkDir rejects a directory of the store that belongs to another user, or whose mode does
// not pass check.
func (s *files) checkDir(name string, check func(name string, fi fs.FileInfo) error) error {
	fi, err := s.disk.lstat(name)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.NotPlain, Message: s.abs(name) + " is not a directory"}
	}
	if err := checkOwner(s.abs(name), fi); err != nil {
		return err
	}
	return check(s.abs(name), fi)
}

// checkEmpty rejects a directory that has no format file and is not empty.
func (s *files) checkEmpty() error {
	var other string
	err := s.disk.list(".", func(e fs.DirEntry) error {
		if e.Name() != meta {
			other = e.Name()
		}
		return nil
	})
	if err != nil || other == "" {
		return err
	}
	// Another process may have created the store in the meantime; then the format file exists.
	if _, err := s.disk.lstat(formatFile); !isAbsent(err) {
		return err
	}
	return fmt.Errorf("%w: the directory contains %s, but is not a store: choose an empty directory. If the "+
		"directory is a store that lost its format file, create the file %s with the text %q", vault.ErrUnsupported, other, s.abs(formatFile), format)
}

// small reads a short file of the store. Longer files are not files of the store.
func (s *files) small(name string) ([]byte, error) {
	f, err := s.disk.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, maxAttrs))
}

func (s *files) abs(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// classify wraps an error of the system in the sentinel of package vault.
func classify(err error) error {
	switch {
	case err == nil, explain(err) != nil:
		return err
	case isFull(err):
		return fmt.Errorf("%w: %w", vault.ErrNoSpace, err)
	case isDenied(err):
		return fmt.Errorf("%w: %w", vault.ErrPermission, err)
	}
	return err
}

// open opens the object at key, or a version of it.
func (s *files) open(ctx context.Context, key, id string) (*content, error) {
	var c *content
	err := s.again(ctx, func() (err error) {
		if id == "" {
			c, err = s.openCurrent(key)
		} else {
			c, err = s.openVersion(key, id)
		}
		return err
	})
	return c, classify(err)
}

func (s *files) openCurrent(key string) (*content, error) {
	name := objectPath(key)
	switch other, err := s.clash(name); {
	case err != nil:
		return nil, err
	case other != "":
		return nil, vault.ErrNotFound
	}
	c, err := s.openFile(name, key, nil)
	if isAbsent(err) || errors.Is(err, errIsDir) {
		return nil, vault.ErrNotFound
	}
	return c, err
}

// openFile opens an object, current or not, with its attributes. Its id is the given one or, if
// that is nil, its mtime. errAgain means that the object was replaced in the meantime.
func (s *files) openFile(name, key string, id *uint64) (_ *content, err error) {
	f, err := s.disk.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(s.abs(name), fi); err != nil {
		return nil, err
	}
	c := &content{ReaderAt: f, size: fi.Size(), id: idAt(fi.ModTime()), close: f.Close}
	if id != nil {
		c.id = *id
	}
	attrsName := versionsPath(key) + "/" + formatID(c.id) + attrsSuffix
	b, err := s.small(attrsName)
	switch {
	case isAbsent(err):
		// The object has no attributes, unless it was replaced and its old version removed
		// after it was opened.
		if current, err := s.disk.lstat(name); err != nil || !os.SameFile(current, fi) {
			return nil, errAgain
		}
		return c, nil
	case err != nil:
		return nil, err
	}
	if c.attrs, err = decodeAttrs(b); err != nil {
		return nil, fmt.Errorf("attributes in %s: %w", s.abs(attrsName), err)
	}
	return c, nil
}

// again calls try until it returns an error other than errAgain, or nil.
func (s *files) again(ctx context.Context, try func() error) error {
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := try(); !errors.Is(err, errAgain) {
			return err
		}
	}
	return fmt.Errorf("%w: other processes keep changing %s: try again", vault.ErrUnavailable, s.dir)
}

func (s *files) close() error {
	s.synced.close()
	return s.disk.close()
}
