package envelope

import (
	"errors"
	"fmt"
	"io"
)

// A source is where sealed bytes come from. It stands below Tink, which takes any
// early end for the last segment and drops the cause of other errors.
type source struct {
	r    io.Reader
	n    int64 // bytes delivered
	end  bool  // the end was seen, by whoever reads here
	done error // what r said last
}

func (s *source) Read(p []byte) (int, error) {
	if s.r == nil && s.done == nil {
		s.done = misuse("the reader is nil")
	}
	if s.done == nil {
		n, err := s.r.Read(p)
		s.n += int64(n)
		// An error that comes with bytes is told after them: io.ReadFull drops it
		// when the bytes suffice.
		if s.done = err; n > 0 || err == nil {
			return n, nil
		}
	}
	if s.done == io.EOF {
		s.end = true
		return 0, io.EOF
	}
	return 0, errSource // never io.ErrUnexpectedEOF, which would pass for an honest end
}

var errSource = errors.New("source failed")

// err returns what went wrong below, or nil when r is fine or just at its end.
func (s *source) err() error {
	if s.done == nil || s.done == io.EOF {
		return nil
	}
	return fmt.Errorf("reading the sealed bytes: %w", s.done)
}

// or returns what went wrong below, or else other.
func (s *source) or(other error) error {
	if err := s.err(); err != nil {
		return err
	}
	return other
}

// fill reads all of b; an early end is the error cut.
func (s *source) fill(b []byte, cut error) error {
	if _, err := io.ReadFull(s, b); err != nil {
		return s.or(cut)
	}
	return nil
}
