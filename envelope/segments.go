package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
)

// A payload is the stream of Tink's AES256-GCM-HKDF: a header of 40 bytes, which counts as a part of
// the first segment, and segments of equal length, of which the last may be shorter.
// https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming
//
//	header: length[1] salt[32] prefix[7]
//	nonce of a segment: prefix[7] index[4] last[1]

// segments seals and opens the segments of one payload. A segment index must never be sealed twice
// with different plaintext.
type segments struct {
	aead   cipher.AEAD
	prefix [7]byte // of every nonce
	size   int64   // of a sealed segment
}

// newSegments returns a fresh header for the payload of k, and the segments that follow it.
func (k dataKey) newSegments(log2 int, stable [15]byte) (header [payloadHeaderSize]byte, s segments, err error) {
	header[0] = payloadHeaderSize
	rand.Read(header[1:])
	s, err = k.segments(header, log2, stable)
	return header, s, err
}

// segments returns the segments that follow a header.
func (k dataKey) segments(header [payloadHeaderSize]byte, log2 int, stable [15]byte) (segments, error) {
	if header[0] != payloadHeaderSize {
		return segments{}, ErrDecrypt
	}
	main := k.payloadKey()
	defer clear(main)
	key, err := hkdf.Key(sha256.New, main, header[1:33], string(stable[:]), 32)
	if err != nil {
		return segments{}, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return segments{}, err
	}
	aead, err := cipher.NewGCM(block)
	return segments{aead, [7]byte(header[33:]), 1 << log2}, err
}

// Seal appends the sealed segment to dst. dst may be plain[:0].
func (s *segments) Seal(dst []byte, index int64, last bool, plain []byte) []byte {
	return s.aead.Seal(dst, s.nonce(index, last), plain, nil)
}

// Open appends the plaintext of a segment to dst. dst may be sealed[:0].
func (s *segments) Open(dst []byte, index int64, last bool, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(dst, s.nonce(index, last), sealed, nil)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}

func (s *segments) nonce(index int64, last bool) []byte {
	n := binary.BigEndian.AppendUint32(append(make([]byte, 0, 12), s.prefix[:]...), uint32(index))
	if last {
		return append(n, 1)
	}
	return append(n, 0)
}

// sealed returns the length of a sealed segment that is not the last.
func (s *segments) sealed(index int64) int64 {
	if index == 0 {
		return s.size - payloadHeaderSize
	}
	return s.size
}

// plain returns the length of the plaintext of a segment that is not the last.
func (s *segments) plain(index int64) int64 { return s.sealed(index) - tagSize }

// segmentOf returns the index of the segment that contains the plaintext byte at offset.
func (s *segments) segmentOf(offset int64) int64 {
	// The first segment is shorter by Tink's header.
	return (offset + payloadHeaderSize) / (s.size - tagSize)
}

// plaintextStart returns the offset of a segment's first plaintext byte.
func (s *segments) plaintextStart(index int64) int64 {
	return max(0, index*(s.size-tagSize)-payloadHeaderSize)
}

// Segments are sealed and opened in batches. A goroutine for each segment would cost more than it
// saves. A batch has 1 MiB, except the first: if the value fits into it, no goroutine is started.
const (
	batchSize = 1 << 20
	firstSize = 256 << 10
)

// limit returns the maximum length of a batch that starts with a segment.
func (s *segments) limit(index int64) int64 {
	if index == 0 {
		return max(firstSize, s.size) - payloadHeaderSize
	}
	return max(batchSize, s.size)
}

// workers returns how many batches are sealed or opened at once. A stream of eight cores is faster than any
// network, and the memory of many streams should not grow with the number of cores.
func workers() int { return min(runtime.GOMAXPROCS(0), 8) }

// A batch is a buffer with consecutive segments, one after another. They are sealed and opened in
// place: the plaintext of a segment starts where its sealed bytes start.
type batch struct {
	buf   []byte
	first int64 // index of the first segment
	last  bool  // the last segment of the batch is the last one of the payload

	done   chan struct{} // closed when the segments are sealed or opened; nil: they are
	plain  [][]byte      // opened segments
	target *target       // where segments are opened; nil: in buf
	err    error
	panic  any
}

// run calls f. With more than one worker, and unless inline is true, it calls f in a goroutine, which
// ends by itself after one batch.
func (b *batch) run(inline bool, f func(*batch)) {
	if inline || workers() == 1 {
		f(b)
		return
	}
	b.done = make(chan struct{})
	go func() {
		defer close(b.done)
		defer func() { b.panic = recover() }()
		f(b)
	}()
}

// wait waits for run. A panic of run reaches the caller.
func (b *batch) wait() {
	if b.done == nil {
		return
	}
	<-b.done
	b.done = nil
	if b.panic != nil {
		panic(b.panic)
	}
}

// isDone reports whether wait would return at once.
func (b *batch) isDone() bool {
	if b.done == nil {
		return true
	}
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// seal seals the plaintext of the batch, which ends at the end of buf[:len(buf)-tagSize].
func (s *segments) seal(b *batch) {
	for index, rest := b.first, b.buf; len(rest) > 0; index++ {
		n := min(s.sealed(index), int64(len(rest)))
		s.Seal(rest[:0:n], index, b.last && int(n) == len(rest), rest[:n-tagSize])
		rest = rest[n:]
	}
}

// open opens the segments of the batch up to the first that does not verify.
func (s *segments) open(b *batch) {
	b.plain = b.plain[:0]
	for index, rest := b.first, b.buf; len(rest) > 0; index++ {
		n := min(s.sealed(index), int64(len(rest)))
		dst := b.target.of(s, index, n-tagSize)
		if dst == nil {
			dst = rest[:0]
		}
		plain, err := s.Open(dst, index, b.last && int(n) == len(rest), rest[:n])
		if err != nil {
			b.err = err
			return
		}
		b.plain = append(b.plain, plain)
		rest = rest[n:]
	}
}

// A target is the buffer of the caller for a range of the plaintext. Segments that are in the range are
// opened directly into it.
type target struct {
	buf   []byte
	start int64 // offset of buf in the plaintext
}

// of returns the place of n bytes of plaintext, those of a segment, or nil if they are not in the range.
func (t *target) of(s *segments, index, n int64) []byte {
	if t == nil {
		return nil
	}
	at := s.plaintextStart(index) - t.start
	if at < 0 || n > int64(len(t.buf))-at {
		return nil
	}
	return t.buf[at : at : at+n]
}

// buffers has buffers for a whole batch and the byte after it, of Writers and Readers that have ended.
// Allocating them for each value of a megabyte would take longer than sealing it.
var buffers = sync.Pool{New: func() any { return new([batchSize + 1]byte) }}

// smallBuffer is the largest buffer that grows with its content, and is not used again: that of a small
// secret.
const smallBuffer = 64 << 10

// grow makes room for n bytes in buf, and keeps its content. n is at most batchSize + 1.
func grow(buf []byte, n int) []byte {
	switch {
	case n <= cap(buf):
		return buf[:n]
	case n <= smallBuffer:
		return append(make([]byte, 0, min(max(n, 2*cap(buf)), smallBuffer)), buf...)[:n]
	}
	return append(buffers.Get().(*[batchSize + 1]byte)[:0], buf...)[:n]
}

// A spares has the buffers that one Writer or Reader uses again.
type spares [][]byte

// keep takes the buffer of a batch to which nothing refers any more.
func (s *spares) keep(b *batch) {
	if cap(b.buf) == batchSize+1 {
		*s = append(*s, b.buf[:0])
	}
	b.buf, b.plain = nil, nil
}

// take returns an empty buffer for a whole batch.
func (s *spares) take() []byte {
	if n := len(*s); n > 0 {
		buf := (*s)[n-1]
		*s = (*s)[:n-1]
		return buf
	}
	return grow(nil, smallBuffer+1)[:0]
}

// release lets others use the buffers.
func (s *spares) release() {
	for _, buf := range *s {
		buffers.Put((*[batchSize + 1]byte)(buf[:batchSize+1]))
	}
	*s = nil
}

var errTooLong error = fmt.Errorf("%w: the value has too many segments: use a larger segment size", ErrInvalid)
