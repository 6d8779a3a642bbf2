package memfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/objectvault/objectvault/vault"
)

const (
	format     = "objectvault file store 1\n"
	formatFile = meta + "/format"
	tmpDir     = meta + "/tmp"
	lockDir    = meta + "/lock"
	versions   = meta + "/versions"
)

// maxTries bounds how often an operation begins again because somebody else changed
// the directory under it. Each time means that somebody else has got on.
const maxTries = 100

// errAgain is why an operation begins again.
var errAgain = errors.New("the directory has changed")

// files is the shelf in a directory.
type files struct {
	disk   disk
	dir    string // for messages
	config Config
	folds  bool // the file system takes A and a for one name
	locks  locks
}

// openFiles opens the store in c.Dir, and makes it if it is not there.
func openFiles(ctx context.Context, c Config) (*files, error) {
	if err := makeRoot(c.Dir, syncPath); err != nil {
		return nil, classify(err)
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return nil, classify(err)
	}
	return newFiles(ctx, &rootDisk{root}, c)
}

func newFiles(ctx context.Context, d disk, c Config) (*files, error) {
	s := &files{disk: d, dir: c.Dir, config: c, locks: newLocks()}
	if err := s.prepare(ctx); err != nil {
		d.close()
		return nil, classify(err)
	}
	return s, nil
}

// makeRoot makes dir and what is missing above it, durably.
func makeRoot(dir string, sync func(dir string) error) error {
	parent := filepath.Dir(dir)
	fi, err := os.Stat(dir)
	switch {
	case err == nil && !fi.IsDir():
		return &fs.PathError{Op: "open", Path: dir, Err: errNotDir}
	case err == nil:
		// Who made it may have been killed before it was durable; but if it is an old
		// one, the directory above it need not even be ours to read.
		sync(parent)
		return nil
	case !errors.Is(err, fs.ErrNotExist) || parent == dir:
		return err
	}
	if err := makeRoot(parent, sync); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return sync(parent)
}

func syncPath(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncDir(f)
}

// prepare checks that the directory is a store, and makes an empty one a store.
func (s *files) prepare(ctx context.Context) error {
	if err := s.checkDir("."); err != nil {
		return err
	}
	found, err := s.small(formatFile)
	fresh := isAbsent(err)
	if fresh {
		if err := s.checkEmpty(); err != nil {
			return err
		}
		if err := s.disk.mkdir(meta); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := s.checkDir(meta); err != nil {
		return err
	}
	if !fresh {
		if err := s.checkFormat(found); err != nil {
			return err
		}
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
	if fresh {
		if err := s.stamp(ctx); err != nil {
			return err
		}
		if found, err = s.small(formatFile); err != nil {
			return err
		}
		if err := s.checkFormat(found); err != nil { // of the faster one
			return err
		}
	}
	if err := s.probeLocks(); err != nil {
		return err
	}
	// Also where the store is not new: whoever made it may not have got here yet.
	if err := s.syncUp(meta, "."); err != nil {
		return err
	}
	upper, err := s.disk.lstat(".OBJECTVAULT")
	if err == nil {
		lower, err := s.disk.lstat(meta)
		s.folds = err == nil && os.SameFile(upper, lower)
	}
	s.sweep()
	return nil
}

func (s *files) checkFormat(found []byte) error {
	if string(found) == format {
		return nil
	}
	return fmt.Errorf("%w: %s says %q, and this program knows %q: the store needs a newer one, or is none",
		vault.ErrUnsupported, s.abs(formatFile), found, format)
}

// stamp makes the format file, unless another process was faster.
func (s *files) stamp(ctx context.Context) error {
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
		return fmt.Errorf("%w: the file system has no hard links, and the store needs them: choose another one: %w", vault.ErrUnsupported, err)
	}
	return err
}

// checkDir refuses a directory of the store that is not the user's alone.
func (s *files) checkDir(name string) error {
	fi, err := s.disk.lstat(name)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%w: %s is not a directory", vault.ErrPermission, s.abs(name))
	}
	if err := checkOwner(s.abs(name), fi); err != nil {
		return err
	}
	return checkPrivate(s.abs(name), fi)
}

// checkEmpty refuses a directory without a format that holds something.
func (s *files) checkEmpty() error {
	var stranger string
	err := s.disk.list(".", func(e fs.DirEntry) error {
		if e.Name() != meta {
			stranger = e.Name()
		}
		return nil
	})
	if err != nil || stranger == "" {
		return err
	}
	// Another process may just have made the store and put that there; then there is
	// a format by now.
	if _, err := s.disk.lstat(formatFile); !isAbsent(err) {
		return err
	}
	return fmt.Errorf("%w: the directory holds %s and is no store: choose an empty one, or, if these are "+
		"the objects of a store, write %q into %s", vault.ErrUnsupported, stranger, format, s.abs(formatFile))
}

// small reads a file of our own that is short, or none of ours.
func (s *files) small(name string) ([]byte, error) {
	f, err := s.disk.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, maxAttrs))
}

func (s *files) abs(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// classify puts the sentinel of package vault before what the system said.
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
	if other, err := s.clash(name); err != nil || other != "" {
		return nil, errors.Join(vault.ErrNotFound, err)
	}
	c, err := s.openFile(name, key, nil)
	if isAbsent(err) || errors.Is(err, errIsDir) {
		return nil, vault.ErrNotFound
	}
	return c, err
}

// openFile opens an object, current or not, with its attributes. Its id is the given
// one or, if that is nil, its mtime. errAgain means that it was replaced meanwhile.
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
		// It has none, unless it was superseded and then dropped since it was opened.
		if now, err := s.disk.lstat(name); err != nil || !os.SameFile(now, fi) {
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

// again calls try until it returns something other than errAgain.
func (s *files) again(ctx context.Context, try func() error) error {
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := try(); !errors.Is(err, errAgain) {
			return err
		}
	}
	return fmt.Errorf("%w: %s is being changed all the time: try again", vault.ErrUnavailable, s.dir)
}

// clash returns the other spelling under which a file system that folds case has
// name, or something above it. Other file systems have none.
func (s *files) clash(name string) (other string, err error) {
	if !s.folds || name == "." {
		return "", nil
	}
	if other, err := s.clash(path.Dir(name)); err != nil || other != "" {
		return other, err
	}
	fi, err := s.disk.lstat(name)
	if err != nil {
		if isAbsent(err) {
			err = nil
		}
		return "", err
	}
	// It answers to this name; but does it bear it?
	err = s.disk.list(path.Dir(name), func(e fs.DirEntry) error {
		if e.Name() == path.Base(name) {
			other = ""
			return errBears
		}
		if other == "" {
			if there, err := e.Info(); err == nil && os.SameFile(there, fi) {
				other = path.Join(path.Dir(name), e.Name())
			}
		}
		return nil
	})
	if errors.Is(err, errBears) {
		return "", nil
	}
	return other, err
}

// errBears ends a list that has shown the name.
var errBears = errors.New("it bears the name")

func (s *files) close() error { return s.disk.close() }

// draft begins a write.
func (s *files) draft(ctx context.Context, key string) (draft, error) {
	s.sweep()
	t, err := s.newTemp(ctx)
	if err != nil {
		return nil, classify(err)
	}
	return &fileDraft{temp: t, s: s, key: key}, nil
}

// A temp is a file in tmp with a flock on it: an unlocked one is what a killed
// writer left.
type temp struct {
	file
	disk disk
	name string
}

// newTemp makes a temp.
func (s *files) newTemp(ctx context.Context) (*temp, error) {
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := tmpDir + "/" + rand.Text()
		f, err := s.disk.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return nil, err
		}
		// Until it is locked it looks like a leftover, and somebody may be removing it.
		err = f.lock(true)
		if err == nil && s.isNamed(f, name) {
			return &temp{f, s.disk, name}, nil
		}
		s.disk.remove(name)
		f.Close()
		if err != nil && !errors.Is(err, errBusy) {
			return nil, noLocks(err)
		}
	}
	return nil, fmt.Errorf("%w: files in %s vanish: is another program cleaning up there?", vault.ErrUnavailable, s.abs(tmpDir))
}

// remove removes the file, or its name if it has got another one.
func (t *temp) remove() {
	t.disk.remove(t.name)
	t.Close()
}

// sweep removes what killed writers left in tmp. What it cannot remove is in
// nobody's way.
func (s *files) sweep() {
	s.disk.list(tmpDir, func(e fs.DirEntry) error {
		name := tmpDir + "/" + e.Name()
		f, err := s.disk.open(name, os.O_RDWR)
		if err != nil {
			return nil
		}
		defer f.Close()
		// Its writer may have published it, under another name, before the lock.
		if f.lock(true) == nil && s.isNamed(f, name) {
			s.disk.remove(name)
		}
		return nil
	})
}

// isNamed reports whether name is still the name of f.
func (s *files) isNamed(f file, name string) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := s.disk.lstat(name)
	return err == nil && os.SameFile(is, named)
}

// makeDirs makes dir and what is missing above it; undo removes it again. What is
// empty may be gone the next moment: a deletion removes what it has emptied.
func (s *files) makeDirs(dir string, undo *undo) error {
	if dir == "." {
		return nil
	}
	err := s.disk.mkdir(dir)
	if isAbsent(err) {
		if err := s.makeDirs(path.Dir(dir), undo); err != nil {
			return err
		}
		err = s.disk.mkdir(dir)
	}
	switch {
	case err == nil:
		undo.push(func() error { return s.disk.remove(dir) })
	case errors.Is(err, fs.ErrExist):
		fi, err := s.disk.lstat(dir)
		switch {
		case isAbsent(err):
			return errAgain // a deletion has just removed it, empty as it was
		case err != nil:
			return err
		case !fi.IsDir():
			return fmt.Errorf("%w: %s is an object, and so nothing can lie below it", vault.ErrConflict, s.abs(dir))
		}
		if other, err := s.clash(dir); err != nil || other != "" {
			return errors.Join(s.conflict(other), err) // made while we were at it
		}
	case isAbsent(err):
		return errAgain
	default:
		return err
	}
	return nil
}

// syncUp makes durable what has been put into dir, and every directory from there to
// top: whoever made them may have been killed before it came to that. It works only
// once there is something in dir, since then none of them can be removed.
func (s *files) syncUp(dir, top string) error {
	for {
		if err := s.disk.sync(dir); err != nil || dir == top {
			return err
		}
		dir = path.Dir(dir)
	}
}

// removeEmpty removes dir if there are no files in it, only directories, such as a
// killed writer leaves behind.
func (s *files) removeEmpty(dir string) error {
	err := s.disk.list(dir, func(e fs.DirEntry) error {
		if !e.IsDir() {
			return fs.ErrExist
		}
		return s.removeEmpty(dir + "/" + e.Name())
	})
	if err != nil {
		return err
	}
	return s.disk.remove(dir)
}

// removeUp removes dir and what is above it, up to but without top, as far as they
// are empty. Who was about to put something there begins again.
func (s *files) removeUp(dir, top string) {
	for dir != top && s.disk.remove(dir) == nil {
		dir = path.Dir(dir)
	}
}

// undo is how to take back what was done so far, the last thing first.
type undo []func() error

func (u *undo) push(f func() error) { *u = append(*u, f) }

// run takes everything back. What cannot be taken back is a leftover of the kind
// that a kill leaves.
func (u *undo) run() {
	for i := len(*u) - 1; i >= 0; i-- {
		(*u)[i]()
	}
	*u = nil
}

// A fileDraft is a write to a file store.
type fileDraft struct {
	*temp
	s   *files
	key string
	id  uint64 // once it is stamped
}

func (d *fileDraft) Write(p []byte) (int, error) {
	n, err := d.temp.Write(p)
	return n, classify(err)
}

func (d *fileDraft) discard() { d.remove() }

// publish makes the draft the object at its key. The data are synced before the lock
// is taken, so that nobody waits for them.
func (d *fileDraft) publish(ctx context.Context, a attrs, c condition) (id string, err error) {
	defer d.discard()
	encoded, err := a.encode()
	if err != nil {
		return "", err
	}
	if err := d.stamp(d.s.config.now()); err != nil {
		return "", classify(err)
	}
	release, err := d.s.lock(ctx, d.key)
	if err != nil {
		return "", classify(err)
	}
	defer release()
	if err := d.s.again(ctx, func() error { return d.place(encoded, c) }); err != nil {
		return "", classify(err)
	}
	return formatID(d.id), nil
}

// stamp gives the draft its id, and makes it durable.
func (d *fileDraft) stamp(id uint64) error {
	if err := d.s.disk.chtime(d.name, timeOf(id)); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	fi, err := d.Stat()
	if err != nil {
		return err
	}
	if idAt(fi.ModTime()) != id {
		return fmt.Errorf("%w: the file system made %v of the time %v, and a store needs microseconds: choose another one",
			vault.ErrUnsupported, fi.ModTime(), timeOf(id))
	}
	d.id = id
	return nil
}

// place puts the draft where its key is, under the lock of the key. If it fails
// everything is as it was, but for a version equal to the current object.
func (d *fileDraft) place(attrs []byte, c condition) (err error) {
	s, name := d.s, objectPath(d.key)
	p, err := s.past(d.key)
	if err != nil {
		return err
	}
	if err := c.check(p.current != nil, p.id); err != nil {
		return err
	}
	s.tidy(p)
	if d.id <= p.last {
		if err := d.stamp(p.last + 1); err != nil {
			return err
		}
	}
	var undo undo
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	if err := s.makeDirs(path.Dir(name), &undo); err != nil {
		return err
	}
	var kept string
	if p.current != nil || attrs != nil {
		if err := s.makeDirs(p.dir, &undo); err != nil {
			return err
		}
		if attrs != nil {
			if err := s.writeFile(p.dir+"/"+formatID(d.id)+attrsSuffix, attrs, &undo); err != nil {
				return err
			}
		}
		if p.current != nil {
			if kept, err = s.keep(p, name, &undo); err != nil {
				return err
			}
		}
		// Before the object is replaced: a power cut could take it from both places.
		if err := s.syncUp(p.dir, versions); err != nil {
			return err
		}
	}
	if p.current != nil {
		err = s.disk.rename(d.name, name)
		undo.push(func() error { return s.disk.rename(kept, name) })
	} else {
		err = s.disk.link(d.name, name) // not rename: if there is something after all, it stays
		undo.push(func() error { return s.disk.remove(name) })
	}
	if err != nil {
		undo = undo[:len(undo)-1]
		return s.refused(err, name)
	}
	if err := s.commit(path.Dir(name), ".", &undo); err != nil {
		return err
	}
	s.prune(d.key)
	return nil
}

// refused says why there was no place for an object, or errAgain.
func (s *files) refused(err error, name string) error {
	switch {
	case isAbsent(err):
		return errAgain // a deletion has just removed the directory, empty as it was
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if fi, err := s.disk.lstat(name); err == nil && fi.IsDir() {
		if err := s.removeEmpty(name); err != nil && !isAbsent(err) {
			return fmt.Errorf("%w: %s is a directory with objects in it, and so cannot be an object", vault.ErrConflict, s.abs(name))
		}
	}
	return errAgain
}

// commit makes durable what has just become visible in dir, up to top, or takes it
// back: the last step of undo.
func (s *files) commit(dir, top string, undo *undo) error {
	err := s.syncUp(dir, top)
	if err == nil {
		*undo = nil
		return nil
	}
	last := len(*undo) - 1
	if undone := (*undo)[last](); undone != nil {
		*undo = nil // what was kept may be all there is
		return fmt.Errorf("%w: %w, and then %w", vault.ErrUnsure, err, undone)
	}
	*undo = (*undo)[:last]
	s.disk.sync(dir)
	return err
}

// writeFile makes a file that others know by its name alone, durable but for the name.
func (s *files) writeFile(name string, b []byte, undo *undo) error {
	f, err := s.disk.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if isAbsent(err) {
		err = errAgain // the directory was removed, empty as it was
	}
	if err != nil {
		return err
	}
	undo.push(func() error { return s.disk.remove(name) })
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// remove deletes the object at key and leaves a marker.
func (s *files) remove(ctx context.Context, key string) error {
	s.sweep()
	release, err := s.lock(ctx, key)
	if err != nil {
		return classify(err)
	}
	defer release()
	return classify(s.again(ctx, func() error { return s.take(key) }))
}

// take removes the object at key, under the lock of the key.
func (s *files) take(key string) (err error) {
	name := objectPath(key)
	if other, err := s.clash(name); err != nil || other != "" {
		return errors.Join(vault.ErrNotFound, err)
	}
	p, err := s.past(key)
	switch {
	case err != nil:
		return err
	case p.current == nil:
		return vault.ErrNotFound
	}
	s.tidy(p)
	var undo undo
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	if err := s.makeDirs(p.dir, &undo); err != nil {
		return err
	}
	kept, err := s.keep(p, name, &undo)
	if err != nil {
		return err
	}
	id := max(s.config.now(), p.last+1)
	if err := s.writeFile(p.dir+"/"+formatID(id)+deletedSuffix, nil, &undo); err != nil {
		return err
	}
	if err := s.syncUp(p.dir, versions); err != nil {
		return err
	}
	if err := s.disk.remove(name); err != nil {
		return err
	}
	undo.push(func() error { return s.disk.rename(kept, name) })
	if err := s.commit(path.Dir(name), path.Dir(name), &undo); err != nil {
		return err
	}
	s.prune(key)
	s.removeUp(path.Dir(name), ".")
	return nil
}
