package memfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// draft begins a write.
func (s *files) draft(ctx context.Context, key string) (draft, error) {
	if err := s.preparePut(); err != nil {
		return nil, classify(err)
	}
	s.sweepIfDue()
	t, err := s.newTemp(ctx)
	if err != nil {
		return nil, classify(err)
	}
	return &fileDraft{temp: t, s: s, key: key}, nil
}

// A temp is a file in tmp with a flock on it. A file without flock was left by a killed writer.
type temp struct {
	file
	disk disk
	name string
}

// newTemp creates a temp.
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
		// Until it is locked it looks like a leftover, and another process may remove it.
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
	return nil, fmt.Errorf("%w: files in %s disappear: check whether another program deletes them", vault.ErrUnavailable, s.abs(tmpDir))
}

// remove removes the file, or only its name if the file has another one.
func (t *temp) remove() {
	t.disk.remove(t.name)
	t.Close()
}

// sweepEvery is the minimum time between two sweeps of a store: each one opens the temporary
// files of all writers.
const sweepEvery = time.Minute

// sweepIfDue sweeps unless the last sweep was less than sweepEvery ago.
func (s *files) sweepIfDue() {
	current := s.clock()
	s.sweeping.Lock()
	age := current.Sub(s.swept)
	due := age < 0 || age >= sweepEvery
	if due {
		s.swept = current
	}
	s.sweeping.Unlock()
	if due {
		s.sweep()
	}
}

// sweep removes the files that killed writers left in tmp. It ignores errors, because those
// files do no harm.
func (s *files) sweep() {
	s.disk.list(tmpDir, func(e fs.DirEntry) error {
		name := tmpDir + "/" + e.Name()
		f, err := s.disk.open(name, os.O_RDWR)
		if err != nil {
			return nil
		}
		defer f.Close()
		// Before the lock its writer may have published it under another name.
		if f.lock(true) == nil && s.isNamed(f, name) {
			s.disk.remove(name)
		}
		return nil
	})
}

// isNamed reports whether f still has name.
func (s *files) isNamed(f file, name string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := s.disk.lstat(name)
	return err == nil && os.SameFile(opened, named)
}

// A fileDraft is a write to a file store.
type fileDraft struct {
	*temp
	s   *files
	key string
	id  uint64 // set by stamp
}

func (d *fileDraft) Write(p []byte) (int, error) {
	n, err := d.temp.Write(p)
	return n, classify(err)
}

// copyStep is the number of bytes that are copied before the context is checked again.
const copyStep = 64 << 20

func (d *fileDraft) copyFrom(ctx context.Context, c *content, offset, n int64) error {
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := min(n, copyStep)
		if err := d.temp.copyRange(c.ReaderAt.(file), offset, step); err != nil {
			return classify(err)
		}
		offset, n = offset+step, n-step
	}
	return nil
}

func (d *fileDraft) discard() { d.remove() }

// publish makes the draft the object at its key. It syncs the data before it takes the lock, so
// that other writers do not wait for that.
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

// stamp gives the draft its id and makes it durable.
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
		return fmt.Errorf("%w: the file system stored the time %v instead of %v, but a store needs a resolution of microseconds: use another file system",
			vault.ErrUnsupported, fi.ModTime(), timeOf(id))
	}
	d.id = id
	return nil
}

// place makes the draft the object at its key, under the lock of the key. If it fails, nothing
// has changed, except that the current object may also be among the versions.
func (d *fileDraft) place(attrs []byte, c condition) error {
	s := d.s
	p, err := s.past(d.key)
	if err != nil {
		return err
	}
	if err := c.check(p.current != nil, p.id); err != nil {
		return err
	}
	if d.id <= p.last {
		if err := d.stamp(p.last + 1); err != nil {
			return err
		}
	}
	if err := s.execute(planPut(p, d.name, d.id, attrs, s.config.versions())); err != nil {
		return err
	}
	if p.current == nil {
		s.listings.created(d.key)
	}
	return nil
}

// remove deletes the object at key, if c is true, and leaves a delete marker.
func (s *files) remove(ctx context.Context, key string, c condition) error {
	if err := s.makeWorkDirs(); err != nil {
		return classify(err)
	}
	s.sweepIfDue()
	release, err := s.lock(ctx, key)
	if err != nil {
		return classify(err)
	}
	defer release()
	return classify(s.again(ctx, func() error { return s.removeLocked(key, c) }))
}

// removeLocked removes the object at key, under the lock of the key.
func (s *files) removeLocked(key string, c condition) (err error) {
	switch other, err := s.clash(objectPath(key)); {
	case err != nil:
		return err
	case other != "":
		return vault.ErrNotFound
	}
	p, err := s.past(key)
	switch {
	case err != nil:
		return err
	case p.current == nil && c.tag == "":
		return vault.ErrNotFound
	}
	if err := c.check(p.current != nil, p.id); err != nil {
		return err
	}
	return s.execute(planRemove(p, max(s.config.now(), p.last+1), s.config.versions()))
}
