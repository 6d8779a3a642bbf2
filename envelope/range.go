package envelope

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// An Object opens parts of a payload without reading the rest. [OpenHeader] returns it. On the zero
// Object, each method with an error result returns [ErrInvalid].
type Object struct {
	header   *Header
	metadata Metadata
	start    int64 // offset of the payload
	segment  int64 // sealed bytes of a segment
	aead     cipher.AEAD
	prefix   [7]byte // of every segment's nonce
}

// OpenHeader reads and authenticates the header and the metadata. It also reads the first 40 bytes
// of the payload, and no byte after them. The Object that it returns opens ranges of the payload.
// The errors are those of [Open].
func OpenHeader(ctx context.Context, r io.Reader, ref Ref, sources []KeySource) (*Object, error) {
	if err := checkSources(sources); err != nil {
		return nil, err
	}
	src := &source{r: r}
	h, err := readHeader(src)
	if err != nil {
		return nil, err
	}
	dek, metadata, err := h.open(ctx, ref, sources)
	if err != nil {
		return nil, err
	}
	defer clear(dek)
	var start [payloadHeaderSize]byte
	if err := src.fill(start[:], ErrDecrypt); err != nil {
		return nil, err
	}
	if start[0] != payloadHeaderSize {
		return nil, ErrDecrypt
	}
	o := &Object{
		header: h, metadata: metadata,
		start: int64(h.Len()), segment: 1 << h.SegmentLog2,
		prefix: [7]byte(start[33:]),
	}
	if o.aead, err = dek.segmentAEAD(start[1:33], h.stable()); err != nil {
		return nil, err
	}
	return o, nil
}

// segmentAEAD returns the cipher of all segments, derived as in Tink.
func (k dataKey) segmentAEAD(salt []byte, stable [15]byte) (cipher.AEAD, error) {
	main := k.payloadKey()
	defer clear(main)
	key, err := hkdf.Key(sha256.New, main, salt, string(stable[:]), 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Header returns the header, which is authenticated.
func (o *Object) Header() *Header { return o.header }

// Metadata returns the metadata that was sealed with the payload.
func (o *Object) Metadata() Metadata { return o.metadata }

// A Span identifies the sealed bytes that contain a range of plaintext. [Object.Range] returns it.
type Span struct {
	Offset, Length int64 // relative to the start of the object's header

	of          *Object
	first, last int64 // segment numbers; last < first if there is none
	final       bool  // last is the object's final segment
	skip, take  int64 // plaintext bytes to skip, then to return
}

// Final reports whether the span contains the final segment. If it does, reading the span verifies
// the end of the object.
func (s Span) Final() bool { return s.final }

// Range returns the span that contains length bytes of plaintext, starting at offset. sealedSize is
// the length of the sealed object. A negative length means all bytes to the end. A range that
// extends past the end of the plaintext is shortened.
//
// A range that reaches the end includes the final segment, so reading it also verifies sealedSize.
// Reading any other range verifies only the bytes of that range. If no object can have sealedSize
// bytes, the error is [ErrDecrypt].
func (o *Object) Range(sealedSize, offset, length int64) (Span, error) {
	if o.aead == nil {
		return Span{}, errZeroObject
	}
	payload := sealedSize - o.start
	size, err := plaintextSize(payload, o.segment)
	if err != nil {
		return Span{}, err
	}
	if offset < 0 {
		return Span{}, fmt.Errorf("the offset %d is negative", offset)
	}
	offset = min(offset, size)
	if length < 0 || length > size-offset {
		length = size - offset
	}
	s := Span{of: o, take: length, first: o.segmentOf(offset), last: o.segmentOf(offset + length - 1)}
	final := segments(payload, o.segment) - 1
	switch {
	case offset+length == size: // the final segment may be empty
		s.first, s.last = min(s.first, final), final
	case length == 0:
		return Span{Offset: o.start, of: o, last: -1}, nil
	}
	s.final = s.last == final
	s.skip = offset - o.plaintextStart(s.first)
	s.Offset = o.start + s.first*o.segment
	if s.first == 0 {
		s.Offset += payloadHeaderSize
	}
	s.Length = min(o.start+(s.last+1)*o.segment, sealedSize) - s.Offset
	return s, nil
}

// segmentOf returns the number of the segment that contains the plaintext byte at offset.
func (o *Object) segmentOf(offset int64) int64 {
	// The first segment is shorter by Tink's header.
	return (offset + payloadHeaderSize) / (o.segment - tagSize)
}

// plaintextStart returns the offset of a segment's first plaintext byte.
func (o *Object) plaintextStart(segment int64) int64 {
	return max(0, segment*(o.segment-tagSize)-payloadHeaderSize)
}

// OpenRange returns a reader of the plaintext of the span s. r must return exactly the sealed bytes
// of s. Each byte is verified before it is returned.
//
// If r fails, Read returns that error. If the bytes do not verify, if r ends early, or if r returns
// bytes after the end of a final span, Read returns [ErrDecrypt]. If s was not returned by o.Range,
// Read returns [ErrInvalid] and reads nothing. After an error, every further Read returns the same
// error.
func (o *Object) OpenRange(r io.Reader, s Span) io.Reader {
	rr := &rangeReader{o: o, s: s, src: &source{r: r}, next: s.first}
	switch {
	case o.aead == nil:
		rr.err = errZeroObject
	case s.of != o:
		rr.err = misuse("the span belongs to another object")
	}
	return rr
}

type rangeReader struct {
	o     *Object
	s     Span
	src   *source
	next  int64  // segment
	buf   []byte // one segment
	plain []byte // verified bytes not returned yet; part of buf
	err   error
}

func (r *rangeReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, r.after()
	}
	for len(r.plain) == 0 && r.err == nil {
		if r.next > r.s.last {
			r.err = io.EOF
		} else {
			r.err = r.fill()
		}
	}
	n := copy(p, r.plain)
	if r.plain = r.plain[n:]; n > 0 {
		return n, nil
	}
	return 0, r.err
}

// after returns the error that follows the verified bytes.
func (r *rangeReader) after() error {
	if len(r.plain) > 0 {
		return nil
	}
	return r.err
}

// fill decrypts the next segment.
func (r *rangeReader) fill() error {
	o := r.o
	if r.buf == nil {
		r.buf = make([]byte, min(r.s.Length, o.segment)+1)
	}
	from := r.s.Offset
	if r.next != r.s.first {
		from = o.start + r.next*o.segment
	}
	sealed := r.buf[:min(o.start+(r.next+1)*o.segment, r.s.Offset+r.s.Length)-from]
	if err := r.src.fill(sealed, ErrDecrypt); err != nil {
		return err
	}
	last := r.s.final && r.next == r.s.last
	if last {
		// Verify that r ends here before the bytes of the final segment are returned.
		if _, err := io.ReadFull(r.src, r.buf[len(sealed):len(sealed)+1]); err != io.EOF {
			return r.src.or(ErrDecrypt)
		}
	}
	plain, err := o.aead.Open(sealed[:0], o.nonce(r.next, last), sealed, nil)
	if err != nil {
		return ErrDecrypt
	}
	r.plain = plain[min(r.s.skip, int64(len(plain))):]
	r.s.skip = 0
	r.plain = r.plain[:min(r.s.take, int64(len(r.plain)))]
	r.s.take -= int64(len(r.plain))
	r.next++
	return nil
}

func (o *Object) nonce(segment int64, last bool) []byte {
	b := make([]byte, 0, 12)
	b = append(b, o.prefix[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(segment))
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}
