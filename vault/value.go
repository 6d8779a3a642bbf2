package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/envelope"
)

// Sealing a value: what Put is given becomes the bytes of an envelope. A value of up to
// 1 MiB is sealed in memory, so that the same bytes can be sent again; a longer one streams. It
// is read again from its start, where its reader can seek, only if the store applied nothing and
// asked for the whole upload to be made again.

// A sealing is one value on its way into an envelope.
type sealing struct {
	ref       envelope.Ref
	keys      []envelope.KeySource
	metadata  envelope.Metadata
	value     io.Reader // what is left to read; nil once that was sealed
	source    *source   // the reader of the value; nil if it cannot be read again
	revisions *revisions
	name      Name

	header  *envelope.Header // of the envelope that was written last
	read    int64            // plaintext bytes
	written int64            // sealed bytes

	plain  []byte // the whole value, if it is short
	sealed []byte // its envelope
}

// replayable is the longest value that is kept in memory.
const replayable = 1 << 20

// readStart reads the start of the value and reports whether that is all of it, so that it can
// be sealed, and sent, again.
func (s *sealing) readStart() (again bool, err error) {
	if len(s.keys) == 0 {
		return false, fmt.Errorf("%w: there is no key source to seal for", envelope.ErrUnknownKey)
	}
	var start bytes.Buffer
	if _, err := io.CopyN(&start, s.value, replayable+1); err != nil && err != io.EOF {
		return false, err
	}
	if start.Len() > replayable {
		s.value = io.MultiReader(&start, s.value)
		return false, nil
	}
	s.plain = start.Bytes()
	return true, nil
}

// sealAgain makes a new envelope of a short value, under a new revision.
func (s *sealing) sealAgain(ctx context.Context) error {
	s.value = bytes.NewReader(s.plain)
	var sealed bytes.Buffer
	if err := s.seal(ctx, &sealed); err != nil {
		return err
	}
	s.sealed = sealed.Bytes()
	return nil
}

// refresh seals a short value, and seals it again if an object with a later revision was stored
// since. Nothing of the old envelope may have been sent.
func (s *sealing) refresh(ctx context.Context) error {
	if s.plain == nil {
		return nil
	}
	// Sealing may take long, when a key source is asked over the network.
	for s.sealed == nil || s.revisions.latest(s.name) > s.header.Revision {
		if err := s.sealAgain(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errTwice = errors.New("a store asked twice for a value that streams")

// rewind goes back to the start of a value that streams. Nothing of its old envelope may have
// been stored.
func (s *sealing) rewind() error {
	if err := s.source.rewind(); err != nil {
		return err
	}
	s.value = s.source
	return nil
}

// fill writes the envelope.
func (s *sealing) fill(ctx context.Context, w io.Writer) error {
	switch {
	case s.sealed != nil:
		_, err := w.Write(s.sealed)
		return err
	case s.value == nil: // what is left of the value would pass for all of it
		return errTwice
	}
	defer func() { s.value = nil }()
	if err := s.seal(ctx, w); err != nil {
		return err
	}
	if s.revisions.latest(s.name) > s.header.Revision {
		return fmt.Errorf("%w: a value with a later revision was stored while this one was being written", ErrConflict)
	}
	return nil
}

// seal takes a revision and seals the value.
func (s *sealing) seal(ctx context.Context, w io.Writer) (err error) {
	revision, err := s.revisions.next(s.name)
	if err != nil {
		return err
	}
	count := &counter{w: w}
	sealer, err := envelope.Seal(ctx, count, s.ref, s.keys, &envelope.SealOptions{Revision: revision, Metadata: s.metadata})
	if err != nil {
		return err
	}
	s.header = sealer.Header()
	if s.read, err = io.Copy(sealer, s.value); err != nil {
		sealer.Abort()
		return err
	}
	err = sealer.Close()
	s.written = count.n
	return err
}

// A source is the caller's reader. It stops when ctx ends, and marks its errors, so that
// they never pass for errors of the store.
type source struct {
	ctx   context.Context
	r     io.Reader
	seek  io.Seeker // nil if r cannot be read again
	start int64     // where r was
}

func newSource(ctx context.Context, r io.Reader) *source {
	s := &source{ctx: ctx, r: r}
	if seeker, ok := r.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil { // a pipe is an *os.File, too
			s.seek, s.start = seeker, start
		}
	}
	return s
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &SourceError{err}
	}
	return n, err
}

// rewind goes back to where the reader was.
func (s *source) rewind() error {
	if _, err := s.seek.Seek(s.start, io.SeekStart); err != nil {
		return &SourceError{err}
	}
	return nil
}
