package envelope

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A Sealed is the envelope of a value of known length. Its bytes are sealed when they are requested, in any
// order and by several goroutines at once. [SealAt] returns it.
type Sealed struct {
	header  *Header
	missing []KeySource
	start   []byte // the header, and that of the payload
	value   io.ReaderAt
	length  int64 // of the value
	size    int64 // of the envelope
	last    int64 // index of the last segment
	segments

	mu    sync.Mutex
	done  []uint64        // a bit for each segment that was requested
	edges map[int64]*edge // segments that were requested in a part
}

// An edge is a segment that lies in two parts or more.
type edge struct {
	once   sync.Once
	sealed []byte
	err    error
	left   int // bytes that were not requested yet
}

// SealAt returns the envelope of the first length bytes of value, with the data key wrapped by each of
// sources. Only the key sources use ctx. The errors are those of [Seal]; if length is negative, the error
// wraps [ErrInvalid].
//
// The value must not change as long as the Sealed is used: see [Sealed.Part].
func SealAt(ctx context.Context, value io.ReaderAt, length int64, ref Ref, sources []KeySource, o *SealOptions) (*Sealed, error) {
	switch {
	case value == nil:
		return nil, misuse("the value passed to SealAt is nil")
	case length < 0:
		return nil, misuse("the length passed to SealAt is negative")
	}
	b, err := begin(ctx, ref, sources, o)
	if err != nil {
		return nil, err
	}
	s := &Sealed{
		header: b.header, missing: b.missing, start: append(b.header.Bytes(), b.payload[:]...),
		value: value, length: length, segments: b.segments, edges: make(map[int64]*edge),
	}
	s.last = s.segmentOf(max(0, length-1))
	if s.last >= maxSegments {
		return nil, errTooLong
	}
	s.size = int64(len(s.start)) + length + (s.last+1)*tagSize
	s.done = make([]uint64, s.last/64+1)
	return s, nil
}

// Header returns the header of the envelope.
func (s *Sealed) Header() *Header { return s.header }

// Missing returns the sources that [SealOptions].OneSuffices left out. They cannot open the object.
func (s *Sealed) Missing() []KeySource { return s.missing }

// Size returns the length of the envelope in bytes.
func (s *Sealed) Size() int64 { return s.size }

// Part fills p with the bytes of the envelope from offset on. Several goroutines may call it at once. Each
// byte must be requested only once: keep p until it is not needed any more. A segment is never sealed twice,
// because that would break the encryption if the value has changed. If a segment would have to be, or a byte
// is not in the envelope, the error wraps [ErrInvalid]. If the value has fewer bytes than the length, the
// error wraps [io.ErrUnexpectedEOF]. Otherwise an error is that of the value. After an error the content of
// p is undefined, and must not be used.
//
// Part keeps the segments, of at most 64 KiB each, that p contains only in part, until the rest of each is
// requested.
func (s *Sealed) Part(p []byte, offset int64) error {
	switch {
	case s.aead == nil:
		return misuse("the Sealed was not returned by SealAt")
	case offset < 0 || offset > s.size || int64(len(p)) > s.size-offset:
		return misuse("the part is not in the envelope")
	}
	if offset < int64(len(s.start)) {
		n := copy(p, s.start[offset:])
		p, offset = p[n:], offset+int64(n)
	}
	for len(p) > 0 {
		index := (offset - int64(s.header.Len())) / s.segments.size
		from := int64(len(s.start)) // of the segment
		if index > 0 {
			from = int64(s.header.Len()) + index*s.segments.size
		}
		to := min(s.size, int64(s.header.Len())+(index+1)*s.segments.size)
		n := min(to-offset, int64(len(p)))
		if err := s.fill(p[:n], index, int(offset-from), int(to-from)); err != nil {
			return err
		}
		p, offset = p[n:], offset+n
	}
	return nil
}

// fill fills p with the bytes of a sealed segment from skip on. size is the length of the sealed segment.
func (s *Sealed) fill(p []byte, index int64, skip, size int) error {
	if len(p) == size {
		if !s.claim(index) {
			return errSealedTwice
		}
		return s.seal(p, index)
	}
	e := s.edge(index, size, len(p))
	if e == nil {
		return errSealedTwice
	}
	e.once.Do(func() {
		e.sealed = make([]byte, size)
		e.err = s.seal(e.sealed, index)
	})
	if e.err == nil {
		copy(p, e.sealed[skip:])
	}
	return e.err
}

var (
	errSealedTwice = misuse("a part was requested twice")
	errNotSealed   = errors.New("envelope: the value panicked while a part was sealed")
)

// claim reports whether the segment was not requested before.
func (s *Sealed) claim(index int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claimLocked(index)
}

func (s *Sealed) claimLocked(index int64) bool {
	word, bit := &s.done[index/64], uint64(1)<<(index%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// edge returns the segment of which n bytes are requested, or nil if that was sealed and is not there any
// more. After its last byte was requested, the segment is forgotten.
func (s *Sealed) edge(index int64, size, n int) *edge {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.edges[index]
	if e == nil {
		if !s.claimLocked(index) {
			return nil
		}
		e = &edge{left: size, err: errNotSealed} // also after a panic of the value
		s.edges[index] = e
	}
	if e.left -= n; e.left <= 0 {
		delete(s.edges, index)
	}
	return e
}

// seal reads the plaintext of a segment into sealed, and seals it in place. If it fails or panics, it leaves
// no plaintext there.
func (s *Sealed) seal(sealed []byte, index int64) error {
	done := false
	defer func() {
		if !done {
			clear(sealed)
		}
	}()
	at := s.plaintextStart(index)
	plain := sealed[:len(sealed)-tagSize]
	for len(plain) > 0 {
		n, err := s.value.ReadAt(plain, at)
		switch {
		case n == len(plain):
		case err == io.EOF:
			return fmt.Errorf("%w: the value has less than %d bytes", io.ErrUnexpectedEOF, s.length)
		case err != nil:
			return err
		case n == 0:
			return io.ErrNoProgress
		}
		plain, at = plain[n:], at+int64(n)
	}
	s.Seal(sealed[:0], index, index == s.last, sealed[:len(sealed)-tagSize])
	done = true
	return nil
}
