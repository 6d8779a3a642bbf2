package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/envelope"
)

// minParts is the minimum length of a value that is read, sealed and stored in parts. Stores send a shorter
// one with one request.
const minParts = 8 << 20

// A randomValue is the value of a Put that can be read at any offset.
type randomValue struct {
	source *source
	r      io.ReaderAt
	start  int64 // offset of the value in r
	size   int64
	stat   func() (os.FileInfo, error) // nil: the value is no file
	before os.FileInfo
}

// randomAccess returns the value, or nil if it must be read in sequence or is short. Its start was read before.
func (s *sealing) randomAccess() *randomValue {
	if s.source == nil || s.plain != nil {
		return nil
	}
	v := &randomValue{source: s.source, start: s.source.start}
	r := s.source.r
	c, isContent := r.(*Content)
	if isContent {
		if r, v.size = c.r, c.Size; r == nil {
			return nil
		}
		v.start = 0
		if seeker, ok := r.(io.Seeker); ok {
			at, err := seeker.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil
			}
			v.start = at - c.n
		}
	} else if left, ok := sizeOf(r); ok {
		at, err := r.(io.Seeker).Seek(0, io.SeekCurrent)
		if err != nil {
			return nil
		}
		v.size = at - v.start + left
	}
	if v.r = readerAt(r); v.r == nil {
		return nil
	}
	if f, ok := r.(interface{ Stat() (os.FileInfo, error) }); ok {
		var err error
		if v.before, err = f.Stat(); err != nil || !v.before.Mode().IsRegular() {
			return nil
		}
		if v.stat = f.Stat; !isContent {
			v.size = v.before.Size() - v.start // the size that end compares
		}
	}
	if v.size <= minParts {
		return nil
	}
	return v
}

// readerAt returns r if its ReadAt certainly returns the same bytes as its Read, or nil. A type that is based on
// a file, and changes what Read returns, has the ReadAt of the file.
func readerAt(r io.Reader) io.ReaderAt {
	switch r := r.(type) {
	case *os.File:
		return r
	case *bytes.Reader:
		return r
	case *strings.Reader:
		return r
	case interface {
		io.ReaderAt
		Size() (int64, bool) // see sizeOf
	}:
		return r
	}
	return nil
}

// ReadAt implements [io.ReaderAt].
func (v *randomValue) ReadAt(p []byte, offset int64) (int, error) {
	if err := v.source.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := v.r.ReadAt(p, v.start+offset)
	switch {
	case n == len(p), err == nil:
		return n, nil
	case err == io.EOF:
		err = fmt.Errorf("%w: it had %d bytes before", io.ErrUnexpectedEOF, v.size)
	}
	return n, &SourceError{err}
}

var errValueChanged = errors.New("the file was changed while it was read")

// end returns an error if the value was changed meanwhile, as far as its file shows that. Otherwise it
// leaves the reader at the end of the value, as reading in sequence does.
func (v *randomValue) end() error {
	if v.stat != nil {
		after, err := v.stat()
		if err == nil && (after.Size() != v.before.Size() || !after.ModTime().Equal(v.before.ModTime())) {
			err = errValueChanged
		}
		if err != nil {
			return &SourceError{err}
		}
	}
	if c, ok := v.source.r.(*Content); ok {
		if n, _ := v.r.ReadAt(make([]byte, 1), v.start+v.size); n > 0 {
			return &SourceError{c.tooLong(v.size + 1)}
		}
		c.close()
		c.err = io.EOF
	}
	if s, ok := v.source.r.(io.Seeker); ok {
		s.Seek(v.start+v.size, io.SeekStart)
	}
	return nil
}

// sealParts seals the value in the parts that the store requests.
func (s *sealing) sealParts(ctx context.Context, w PartWriter, value *randomValue, revision int64) error {
	sealed, err := envelope.SealAt(ctx, value, value.size, s.ref, s.keys, s.options(revision))
	if err != nil {
		return err
	}
	s.sealedFor(sealed.Header(), sealed.Missing())
	var panicked onePanic
	err = w.WriteParts(Sealed{Size: sealed.Size(), Part: func(p []byte, offset int64) (err error) {
		defer panicked.recover(&err)
		return sealed.Part(p, offset)
	}})
	panicked.panic()
	s.read, s.written = value.size, sealed.Size()
	if err != nil {
		return err
	}
	return value.end()
}

// A onePanic takes the first panic of several goroutines to the one that waits for them.
type onePanic struct {
	mu    sync.Mutex
	value any
}

var errPanic = errors.New("the reader of the value panicked")

// recover is deferred in a goroutine.
func (p *onePanic) recover(err *error) {
	v := recover()
	if v == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.value == nil {
		p.value = v
	}
	*err = &SourceError{errPanic}
}

// panic repeats the panic, if there was one.
func (p *onePanic) panic() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.value != nil {
		panic(p.value)
	}
}

// copyParts copies the envelope that open returns to w, in parts if w and the envelope can do that.
func copyParts(w io.Writer, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	sealed, random := r.(interface {
		io.ReaderAt
		Size() int64
	})
	if parts, ok := w.(PartWriter); ok && random && sealed.Size() > minParts {
		return parts.WriteParts(Sealed{Size: sealed.Size(), Part: func(p []byte, offset int64) error {
			n, err := sealed.ReadAt(p, offset)
			switch {
			case n == len(p):
				return nil
			case err == io.EOF:
				return io.ErrUnexpectedEOF
			}
			return err
		}})
	}
	_, err = io.Copy(w, r)
	return err
}
