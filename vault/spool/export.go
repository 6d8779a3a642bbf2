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

// Export copies entries into the directory dir, in the layout of a spool. On another machine, a
// Spool whose [Config].Dir is dir can send them. The entries also stay in s.
//
// If withKey is true, Export also copies the key of the spool. If withKey is false and an entry is
// sealed with that key, the error wraps [ErrNeedsKey], and nothing is copied. If Export fails
// later, dir may contain some of the entries.
func (s *Spool) Export(ctx context.Context, dir string, entries []vault.Spooled, withKey bool) error {
	for _, e := range entries {
		if e.Entry().Local && !withKey {
			return fmt.Errorf("%w: %s", ErrNeedsKey, e.Entry().ID)
		}
	}
	to, err := Open(Config{Dir: dir, Store: s.config.Store})
	if err != nil {
		return err
	}
	if err := to.prepare(); err != nil {
		return err
	}
	if withKey {
		text, err := os.ReadFile(s.keyFile())
		if err == nil {
			defer clear(text)
			err = durable.Create(to.keyFile(), text)
			if old, rerr := os.ReadFile(to.keyFile()); errors.Is(err, fs.ErrExist) && rerr == nil && bytes.Equal(old, text) {
				err = nil // copied before
			}
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, e := range entries {
		if err := s.copyEntry(ctx, to, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) copyEntry(ctx context.Context, to *Spool, e vault.Spooled) error {
	id := e.Entry().ID
	from := &entry{spool: s, e: vault.SpoolEntry{ID: id}}
	if err := from.Lock(ctx); err != nil {
		return err
	}
	defer from.Unlock()
	f, err := durable.NewFile(to.file(id))
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := from.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(f, from.f); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(to.file(id)), err)
	}
	return f.Create()
}
