package memfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/objectvault/objectvault/vault"
)

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
		err := s.removeEmpty(name)
		switch {
		case errors.Is(err, fs.ErrExist):
			return fmt.Errorf("%w: %s is a directory with objects in it, and so cannot be an object", vault.ErrConflict, s.abs(name))
		case err != nil && !isAbsent(err):
			return err
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
