package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/vault"
)

// ErrNeedsKey means that [Spool.Export] must also copy the key of the spool, because an entry is
// sealed with it.
var ErrNeedsKey = errors.New("the entry is sealed for the key of this spool")

// Export copies entries into the directory dir, in the layout of a spool. On another machine, a Spool
// whose [Config].Dir is dir can send them. Entries that were set aside are set aside there, too. An entry
// that dir already has is not copied again, and an entry that was sent or removed meanwhile is left out. The
// entries also stay in s. Export returns the number of entries that it has copied, and of those that dir
// already had.
//
// If withKey is true, Export also copies the key of the spool. If withKey is false and an entry is
// sealed with that key, the error wraps [ErrNeedsKey], and nothing is copied. If Export fails later,
// dir may contain some of the entries.
func (s *Spool) Export(ctx context.Context, dir string, entries []vault.SpoolEntry, withKey bool) (copied, had int, err error) {
	for _, e := range entries {
		if e.Local && !withKey {
			return 0, 0, fmt.Errorf("%w: %s", ErrNeedsKey, e.ID)
		}
	}
	to, err := Open(Config{Dir: dir, Store: s.config.Store})
	if err != nil {
		return 0, 0, err
	}
	if err := to.prepare(); err != nil {
		return 0, 0, err
	}
	if withKey {
		if err := s.copyKey(to); err != nil {
			return 0, 0, err
		}
	}
	for _, e := range entries {
		if to.has(e.ID) {
			had++
			continue
		}
		switch err := s.copyEntry(ctx, to, e.ID); {
		case err == nil:
			copied++
		case !errors.Is(err, vault.ErrNotFound):
			return copied, had, err
		}
	}
	return copied, had, nil
}

// copyKey copies the key of the spool, if it exists.
func (s *Spool) copyKey(to *Spool) error {
	text, err := os.ReadFile(s.keyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer clear(text)
	err = durable.Create(to.keyFile(), text)
	if errors.Is(err, fs.ErrExist) {
		old, rerr := os.ReadFile(to.keyFile())
		defer clear(old)
		switch {
		case rerr != nil:
			return rerr
		case bytes.Equal(old, text):
			return nil // copied before
		}
		return fmt.Errorf("%w: %s has the key of another spool", vault.ErrExist, to.config.Dir)
	}
	return err
}

// has reports whether the spool has an entry, which may be set aside.
func (s *Spool) has(id string) bool {
	for _, path := range []string{s.file(id), s.asideFile(id)} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

func (s *Spool) copyEntry(ctx context.Context, to *Spool, id string) error {
	from := &entry{spool: s, e: vault.SpoolEntry{ID: id}}
	switch err := from.Lock(ctx); {
	case err == nil:
		defer from.Unlock()
		return copyFile(to.file(id), from.f)
	case !errors.Is(err, vault.ErrNotFound):
		return err
	}
	f, err := os.Open(s.asideFile(id))
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := to.writeReason(id, s.reason(id)); err != nil {
		return err
	}
	return copyFile(to.asideFile(id), f)
}

func copyFile(name string, from *os.File) error {
	f, err := durable.NewFile(name)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return f.Create()
}
