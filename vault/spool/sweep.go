package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// sweep handles the files of processes that were killed. A complete file becomes an entry, although
// its Put never returned, because its value may exist nowhere else. An incomplete file is removed.
func (s *Spool) sweep(ctx context.Context) {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, d := range list {
		id, ok := strings.CutSuffix(strings.TrimPrefix(d.Name(), "."), ".tmp")
		if ok && isID(id) && ctx.Err() == nil {
			s.sweepTemp(id)
		}
	}
}

func (s *Spool) sweepTemp(id string) {
	f, err := os.OpenFile(s.temp(id), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if filelock.Try(f, true) != nil {
		return // its process is still writing it
	}
	_, l, err := readEntry(f, s.config.Store, id)
	if err == nil {
		err = verify(f, l)
	}
	switch {
	case err == nil && s.sys.sync(f) == nil:
		if s.sys.rename(s.temp(id), s.file(id)) == nil {
			s.sys.syncDir(s.dir)
		}
	case errors.Is(err, ErrDamaged):
		os.Remove(s.temp(id))
	}
}

// An Aside is an entry that was set aside: it is kept but no longer sent.
type Aside struct {
	ID     string
	Reason string    // why the entry was set aside
	Size   int64     // bytes of the file
	Time   time.Time // of the last change of the file
	// Entry describes the entry. If the file is not readable, only its ID is set.
	Entry vault.SpoolEntry
}

// Aside returns the entries that were set aside, because their names were removed or because they
// are damaged.
func (s *Spool) Aside(ctx context.Context) ([]Aside, error) {
	dir := filepath.Join(s.dir, asideDir)
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var aside []Aside
	for _, d := range list {
		id, ok := strings.CutSuffix(d.Name(), extension)
		if !ok || !isID(id) {
			continue
		}
		a := Aside{ID: id, Entry: vault.SpoolEntry{ID: id}}
		if fi, err := d.Info(); err == nil {
			a.Size, a.Time = fi.Size(), fi.ModTime()
		}
		a.Reason = s.reason(id)
		if f, err := os.Open(filepath.Join(dir, d.Name())); err == nil {
			if e, _, err := readEntry(f, s.config.Store, id); err == nil {
				a.Entry = e
			}
			f.Close()
		}
		aside = append(aside, a)
	}
	return aside, ctx.Err()
}

// Restore makes the entry with the given id, which was set aside, pending again. If there is no
// such entry, the error wraps [fs.ErrNotExist].
func (s *Spool) Restore(id string) error {
	if !isID(id) {
		return errors.New("not the id of an entry")
	}
	if err := s.sys.rename(s.asideFile(id), s.file(id)); err != nil {
		return err
	}
	os.Remove(s.reasonFile(id))
	return s.sys.syncDir(s.dir)
}

// Forget removes the entry with the given id, which was set aside, and its value. If there is no
// such entry, the error wraps [fs.ErrNotExist].
func (s *Spool) Forget(id string) error {
	if !isID(id) {
		return errors.New("not the id of an entry")
	}
	os.Remove(s.reasonFile(id))
	return os.Remove(s.asideFile(id))
}

// OpenValue opens the value of the entry with the given id, which may be pending, refused or set
// aside. The parameter keys contains the key sources of the vault. If [vault.SpoolEntry].Local is
// set, OpenValue uses the key of the spool instead. If there is no such entry, the error wraps
// [vault.ErrNotFound]. The caller must close the value.
func (s *Spool) OpenValue(ctx context.Context, id string, keys []envelope.KeySource) (io.ReadCloser, error) {
	if !isID(id) {
		return nil, fmt.Errorf("%w: %q is not the id of an entry", vault.ErrInvalidName, id)
	}
	for _, path := range []string{s.file(id), s.asideFile(id)} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		value, err := s.openValue(ctx, f, id, keys)
		if err != nil {
			f.Close()
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{value, f}, nil
	}
	return nil, fmt.Errorf("%w: the spool has no entry %s", vault.ErrNotFound, id)
}

func (s *Spool) openValue(ctx context.Context, f *os.File, id string, keys []envelope.KeySource) (io.Reader, error) {
	e, l, err := readEntry(f, s.config.Store, id)
	if err != nil {
		return nil, err
	}
	if e.Local {
		key, err := s.KeySource(false)
		if err != nil {
			return nil, err
		}
		keys = []envelope.KeySource{key}
	}
	return envelope.Open(ctx, io.NewSectionReader(f, l.start(), l.envelope), e.Ref, keys)
}
