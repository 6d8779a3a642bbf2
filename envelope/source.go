package envelope

import (
	"errors"
	"fmt"
	"io"
)

// A source reads sealed bytes. Tink reads from it instead of the caller's reader, because Tink
// accepts an early end as the last segment and drops the cause of other errors.
type source struct {
	r    io.Reader
	n    int64 // bytes delivered
	end  bool  // the end was seen by a reader
	done error // last error of r
}

func (s *source) Read(p []byte) (int, error) {
	if s.r == nil && s.done == nil {
		s.done = misuse("the reader is nil")
	}
	if s.done == nil {
		n, err := s.r.Read(p)
		s.n += int64(n)
		// Return an error that comes with bytes after the bytes: io.ReadFull drops it if the
		// bytes suffice.
		if s.done = err; n > 0 || err == nil {
			return n, nil
		}
	}
	if s.done == io.EOF {
		s.end = true
		return 0, io.EOF
	}
	return 0, errSource // not io.ErrUnexpectedEOF, which looks like a regular end
}

var errSource = errors.New("source failed")

// err returns the error of r, or nil if r has none or has just ended.
func (s *source) err() error {
	if s.done == nil || s.done == io.EOF {
		return nil
	}
	return fmt.Errorf("reading the sealed bytes: %w", s.done)
}

// or returns the error of r, or else other.
func (s *source) or(other error) error {
	if err := s.err(); err != nil {
		return err
	}
	return other
}

// fill reads all of b. If r ends early, it returns cut.
func (s *source) fill(b []byte, cut error) error {
	if _, err := io.ReadFull(s, b); err != nil {
		return s.or(cut)
	}
	return nil
}
