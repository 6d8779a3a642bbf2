package spool

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/vault"
)

// A disk records what would survive a power failure: the content that a file had when it was synced,
// and the names that a directory had when it was synced.
type disk struct {
	calls    []string
	drop     string // this call has no effect, as if the code did not make it
	stop     string // this call fails, as if the process was killed before it
	contents map[string][]byte
	names    map[string][]string // by directory
	dirs     map[string]bool
}

func newDisk() *disk {
	return &disk{contents: map[string][]byte{}, names: map[string][]string{}, dirs: map[string]bool{}}
}

var errKilled = errors.New("killed")

// call records a call, and reports whether it has an effect.
func (d *disk) call(name string) (bool, error) {
	d.calls = append(d.calls, name)
	if name == d.stop {
		return false, errKilled
	}
	return name != d.drop, nil
}

func (d *disk) system() system {
	return system{
		makeDir: func(dir string) error {
			if err := durable.MakeDir(dir); err != nil {
				return err
			}
			effect, err := d.call("make directory")
			d.dirs[dir] = d.dirs[dir] || effect
			return err
		},
		sync: func(f *os.File) error {
			effect, err := d.call("sync file")
			if effect {
				text, rerr := os.ReadFile(f.Name())
				if rerr != nil {
					return rerr
				}
				d.contents[f.Name()] = text
			}
			return err
		},
		rename: func(from, to string) error {
			if _, err := d.call("rename"); err != nil {
				return err
			}
			if err := os.Rename(from, to); err != nil {
				return err
			}
			if text, ok := d.contents[from]; ok {
				d.contents[to] = text
				delete(d.contents, from)
			}
			return nil
		},
		syncDir: func(dir string) error {
			effect, err := d.call("sync directory")
			if effect {
				list, rerr := os.ReadDir(dir)
				if rerr != nil {
					return rerr
				}
				d.names[dir] = nil
				for _, e := range list {
					d.names[dir] = append(d.names[dir], e.Name())
				}
			}
			return err
		},
	}
}

// fail returns a directory with what is left of dir after a power failure.
func (d *disk) fail(t *testing.T, dir string) string {
	t.Helper()
	after := t.TempDir()
	for _, sub := range slices.Sorted(maps.Keys(d.dirs)) {
		rel, err := filepath.Rel(dir, sub)
		if err != nil {
			t.Fatal(err)
		}
		if !d.dirs[sub] {
			continue
		}
		if err := os.MkdirAll(filepath.Join(after, rel), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range d.names[sub] {
			if err := os.WriteFile(filepath.Join(after, rel, name), d.contents[filepath.Join(sub, name)], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return after
}

// survives adds an entry, cuts the power, and reports whether the next process finds the entry whole.
func survives(t *testing.T, d *disk) (added, found bool) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	s.sys = d.system()
	ref := envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "openai"}
	entry, err := s.Add(t.Context(), vault.SpoolEntry{Ref: ref}, func(w io.Writer) error {
		_, err := w.Write([]byte("sealed bytes"))
		return err
	})
	if entry != nil {
		defer entry.Unlock()
	}
	after, oerr := Open(Config{Dir: d.fail(t, dir), Store: "0123456789abcdef"})
	if oerr != nil {
		t.Fatal(oerr)
	}
	after.sweep(t.Context())
	all, aerr := after.Entries(t.Context(), ref)
	if aerr != nil {
		t.Fatal(aerr)
	}
	for _, e := range all {
		if e.Lock(t.Context()) == nil {
			found = true
			e.Unlock()
		}
	}
	return err == nil, found
}

// TestPower: an entry survives a power failure once Add has returned, and each of the calls that make it
// durable is needed.
func TestPower(t *testing.T) {
	d := newDisk()
	if added, found := survives(t, d); !added || !found {
		t.Fatalf("added %v, found %v", added, found)
	}
	if want := []string{"make directory", "sync file", "rename", "sync directory"}; !slices.Equal(d.calls, want) {
		t.Errorf("calls %q, want %q", d.calls, want)
	}
	for _, call := range d.calls {
		if call != "rename" { // without it there is no entry at all
			drop := newDisk()
			drop.drop = call
			if added, found := survives(t, drop); !added || found {
				t.Errorf("without %q: added %v, found %v, want the entry to be lost", call, added, found)
			}
		}
		stop := newDisk()
		stop.stop = call
		if added, _ := survives(t, stop); added {
			t.Errorf("killed before %q: the entry was acknowledged", call)
		}
	}
}

// TestSyncs: in a directory that exists, an entry costs one created file and two syncs.
func TestSyncs(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		s, err := Open(Config{Dir: dir, Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		d := newDisk()
		s.sys = d.system()
		entry, err := s.Add(t.Context(), vault.SpoolEntry{Ref: envelope.Ref{Name: "a"}}, func(io.Writer) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := entry.Remove(); err != nil {
			t.Fatal(err)
		}
		entry.Unlock()
		if calls := strings.Join(d.calls, ", "); n > 0 && calls != "sync file, rename, sync directory" {
			t.Errorf("put %d: %s", n, calls)
		}
	}
}

// TestAddBesideSweep: a sweep that runs in another process while an entry is created does not remove it.
func TestAddBesideSweep(t *testing.T) {
	dir := t.TempDir()
	open := func() *Spool {
		s, err := Open(Config{Dir: dir, Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ctx, cancel := context.WithCancel(t.Context())
	var sweepers sync.WaitGroup
	defer sweepers.Wait()
	defer cancel()
	for range 4 {
		s := open()
		sweepers.Go(func() {
			for ctx.Err() == nil {
				s.sweep(ctx)
			}
		})
	}
	s := open()
	s.sys.sync, s.sys.syncDir = func(*os.File) error { return nil }, func(string) error { return nil }
	for n := range 2000 {
		entry, err := s.Add(t.Context(), vault.SpoolEntry{Ref: envelope.Ref{Name: "a"}}, func(io.Writer) error { return nil })
		if err != nil {
			t.Fatalf("entry %d: %v", n, err)
		}
		if err := entry.Remove(); err != nil {
			t.Fatal(err)
		}
		entry.Unlock()
	}
}

// TestNoName: the envelope of an entry whose file lost its name can still be read, and sent.
func TestNoName(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	s.sys.rename = func(from, _ string) error {
		os.Remove(from)
		return os.ErrNotExist
	}
	entry, err := s.Add(t.Context(), vault.SpoolEntry{Ref: envelope.Ref{Name: "a"}}, func(w io.Writer) error {
		_, err := w.Write([]byte("sealed bytes"))
		return err
	})
	if err == nil || entry == nil {
		t.Fatalf("add: %v, %v", entry, err)
	}
	defer entry.Unlock()
	r, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "sealed bytes" {
		t.Errorf("%q, %v", got, err)
	}
}
