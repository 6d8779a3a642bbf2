package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// An entry is a file of the spool. It implements [vault.Spooled].
type entry struct {
	spool *Spool
	e     vault.SpoolEntry
	layout
	f       *os.File        // open and locked; nil: it is not locked
	noWait  bool            // Lock does not wait: if the entry is locked, it returns [filelock.ErrLocked]
	removed bool            // the file has no name any more
	closing *sync.WaitGroup // not nil: while Sync runs, the files of removed entries may be closed in the background
	temp    bool            // the entry is not complete, and has its temporary name
}

// Entry implements [vault.Spooled].
func (e *entry) Entry() vault.SpoolEntry { return e.e }

func (e *entry) path() string {
	if e.temp {
		return e.spool.temp(e.e.ID)
	}
	return e.spool.file(e.e.ID)
}

// read reads head and attempts of the entry.
func (e *entry) read() error {
	f, err := os.Open(e.path())
	if err != nil {
		return err
	}
	defer f.Close()
	e.e, e.layout, err = readEntry(f, e.spool.config.Store, e.e.ID)
	return err
}

// Open implements [vault.Spooled].
func (e *entry) Open() (io.ReadCloser, error) {
	if e.f != nil { // it is locked; if it was not completed, its name may be gone
		return &section{io.NewSectionReader(e.f, e.start(), e.layout.envelope), nil}, nil
	}
	f, err := os.Open(e.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	return &section{io.NewSectionReader(f, e.start(), e.layout.envelope), f}, nil
}

// A section is the envelope of an entry.
type section struct {
	*io.SectionReader
	f *os.File // closed with the section; nil: the entry closes its own file
}

func (s *section) Close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}

// WriteTo implements [io.WriterTo], so that [io.Copy] takes no buffer of 32 KiB for a short envelope.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(w, struct{ io.Reader }{s.SectionReader}, make([]byte, min(max(1, s.Size()), 32<<10)))
}

// Lock implements [vault.Spooled]. It verifies the digest of the entry. If the entry is damaged,
// Lock sets it aside, and the error wraps [ErrDamaged]. If the entry replaces another one that cannot be
// removed, Lock fails: otherwise the former one would be sent after it.
func (e *entry) Lock(ctx context.Context) error {
	f, err := e.lockFile(func(f *os.File) error {
		if e.noWait {
			return filelock.Try(f, true)
		}
		return filelock.Lock(ctx, f)
	})
	if err != nil {
		return err
	}
	read, l, err := readEntry(f, e.spool.config.Store, e.e.ID)
	if err == nil {
		err = verify(f, l)
	}
	if err == nil {
		err = e.spool.removeReplaced(read)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, ErrDamaged) {
			e.spool.damaged(e.e.ID, err)
		}
		return err
	}
	e.e, e.layout, e.f = read, l, f
	return nil
}

// lockFile opens the file of the entry and locks it with lock.
func (e *entry) lockFile(lock func(*os.File) error) (*os.File, error) {
	f, err := os.OpenFile(e.path(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if err = lock(f); err == nil && !isNamed(f, e.path()) {
		err = errGone
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// tryLock locks the entry without waiting and without reading it. If it is locked, the error is
// [filelock.ErrLocked].
func (e *entry) tryLock() (err error) {
	e.f, err = e.lockFile(func(f *os.File) error { return filelock.Try(f, true) })
	return err
}

// errGone means that the file of an entry does not exist any more.
var errGone = fmt.Errorf("%w: the entry was already sent or removed", vault.ErrNotFound)

// Unlock implements [vault.Spooled].
func (e *entry) Unlock() {
	switch {
	case e.f == nil:
		return
	case e.removed && e.closing != nil: // the system frees the blocks of the file, which takes long
		e.closing.Go(func(f *os.File) func() { return func() { f.Close() } }(e.f))
	default:
		e.f.Close()
	}
	e.f = nil
}

var errUnlocked = errors.New("the entry is not locked")

// Attempted implements [vault.Spooled]. It does not sync the file, so that a power failure may lose the
// line. An entry that was sent may then seem unsent: see ARCHITECTURE.md.
func (e *entry) Attempted(a vault.SpoolAttempt) error {
	if e.f == nil {
		return errUnlocked
	}
	a.Time = a.Time.UTC()
	const maxReason = 500
	if len(a.Reason) > maxReason {
		a.Reason = a.Reason[:maxReason] + "…"
	}
	add(&e.e, a)
	if len(e.e.Attempts) <= maxAttempts {
		return e.appendLine(a)
	}
	// Keep the last attempts only. At most the last line without retry is unsent: a line with sending may
	// have followed the others, and if a write fails, the file has only the first of these lines.
	e.e.Attempts = append([]vault.SpoolAttempt(nil), e.e.Attempts[len(e.e.Attempts)-keptAttempts:]...)
	e.e.Attempts[0].Refused, e.e.Attempts[0].Overwrite = e.e.Refused, e.e.Overwrite
	last := 0
	for i := range e.e.Attempts {
		e.e.Attempts[i].Unsent = false
		if !e.e.Attempts[i].Retry {
			last = i
		}
	}
	e.e.Attempts[last].Unsent = e.e.Unsent
	if err := e.f.Truncate(e.attempts()); err != nil {
		return explain(err)
	}
	for _, a := range e.e.Attempts {
		if err := e.appendLine(a); err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) appendLine(a vault.SpoolAttempt) error {
	text, err := json.Marshal(line(a))
	if err != nil {
		return err
	}
	end, err := e.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var before [1]byte
	if end > e.attempts() {
		if _, err := e.f.ReadAt(before[:], end-1); err != nil {
			return err
		}
		if before[0] != '\n' { // a process was killed while it wrote a line
			text = append([]byte{'\n'}, text...)
		}
	}
	_, err = e.f.WriteAt(append(bytes.TrimRight(text, "\n"), '\n'), end)
	return explain(err)
}

// Remove implements [vault.Spooled]. It does not sync the directory. If the entry reappears after a
// power failure, [vault.Vault.Deliver] finds its envelope in the store, or in the history of the name, and
// removes it again. Without a history, a value that was deleted in the meantime is stored again.
func (e *entry) Remove() error {
	if e.f == nil {
		return errUnlocked
	}
	err := os.Remove(e.path())
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		e.removed = true
		return nil
	}
	if err != nil { // on Windows an open file cannot be removed
		if _, werr := e.f.WriteAt(make([]byte, len(magic)), 0); werr != nil {
			return err
		}
		e.Unlock()
		return os.Remove(e.path())
	}
	return nil
}

// discard removes an entry that was not completed.
func (e *entry) discard() {
	os.Remove(e.path())
	e.Unlock()
}

// SetAside implements [vault.Spooled].
func (e *entry) SetAside(reason string) error {
	return e.spool.setAside(e.e.ID, reason)
}
