package vault

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/objectvault/objectvault/envelope"
)

// A journalled value is sealed once. Put writes its envelope to the entry, and sends it to the
// store from there. If the value turns out to be longer than the limit of the spool, Put sends the
// bytes that are in the entry, and seals the rest of the value directly into the request. It does
// the same if the entry cannot be written any further.

// begin takes a revision and seals the header, but no part of the value.
func (s *sealing) begin(ctx context.Context) error {
	revision, err := s.revision, error(nil)
	if revision == 0 {
		revision, err = s.revisions.next(s.name)
	}
	if err != nil {
		return err
	}
	var start bytes.Buffer
	s.out = redirect{w: &start}
	if s.sealer, err = envelope.Seal(ctx, &s.out, s.ref, s.keys, s.options(revision)); err != nil {
		return err
	}
	s.sealedFor(s.sealer.Header(), s.sealer.Missing())
	s.start, s.read = start.Bytes(), 0
	return nil
}

// errPastLimit means that the value is longer than the limit of the spool.
var errPastLimit = errors.New("the value is longer than the limit of the spool")

// An unreadError means that the value could not be read to its end, because its reader failed or the
// context ended. The rest of the value cannot be sealed.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

func isUnread(err error) bool {
	var unread *unreadError
	return errors.As(err, &unread)
}

// sealStart seals up to limit bytes of the value into the entry w. After an error, sealer can still
// seal the rest of the value, unless the error is an unreadError.
func (s *sealing) sealStart(w io.Writer, limit int64) error {
	entry := &entryWriter{w: w}
	s.out.w = entry
	s.out.Write(s.start)
	const piece = 64 << 10
	for entry.err == nil {
		next := int64(piece)
		if left := limit - s.read; left < piece {
			next = left + 1 // one byte more than the limit shows that there is more
		}
		n, err := io.CopyN(s.sealer, s.value, next)
		s.read += n
		switch {
		case err == io.EOF:
			if err := s.sealer.Close(); err != nil {
				return &unreadError{err}
			}
			s.sealer, s.value, s.rest, s.written = nil, nil, entry.rest, s.out.n
			if entry.err != nil { // only the end is missing: there is no whole envelope to replay
				s.sealer = closedSealer
			}
			return entry.err
		case err != nil:
			s.sealer.Abort()
			return &unreadError{err}
		case s.read > limit:
			s.rest = entry.rest
			return errPastLimit
		}
	}
	s.rest = entry.rest
	return entry.err
}

// closedSealer stands for a sealer that has sealed all of the value.
var closedSealer = new(envelope.Writer)

// sealRest writes the start of the envelope from the entry, and seals value, the rest of the value.
func (s *sealing) sealRest(w io.Writer, start func() (io.ReadCloser, error), value io.Reader) error {
	if err := copyFrom(w, start); err != nil {
		return err
	}
	if _, err := w.Write(s.rest); err != nil {
		return err
	}
	if s.sealer == closedSealer {
		return nil
	}
	s.out.w = w
	n, err := io.Copy(s.sealer, value)
	s.read += n
	if err != nil {
		s.sealer.Abort()
		return err
	}
	err = s.sealer.Close()
	s.written = s.out.n
	return err
}

// copyFrom copies the bytes of the reader that open returns to w.
func copyFrom(w io.Writer, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// A redirect is a writer whose target can be replaced. It counts what was written.
type redirect struct {
	w io.Writer
	n int64
}

func (r *redirect) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	r.n += int64(n)
	return n, err
}

// An entryWriter writes to an entry. If the entry cannot be written any further, it keeps the
// remaining bytes in rest and returns no error, because a sealer writes nothing more after an
// error.
type entryWriter struct {
	w    io.Writer
	rest []byte
	err  error
}

func (e *entryWriter) Write(p []byte) (int, error) {
	n := 0
	if e.err == nil {
		n, e.err = e.w.Write(p)
	}
	if e.err != nil {
		e.rest = append(e.rest, p[n:]...)
	}
	return len(p), nil
}
