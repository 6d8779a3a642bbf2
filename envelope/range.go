package envelope

import (
	"context"
	"fmt"
	"io"
	"iter"
)

// An Object opens parts of a payload without reading the rest. [OpenHeader] returns it. On the zero
// Object, each method with an error result returns [ErrInvalid].
type Object struct {
	header   *Header
	metadata Metadata
	start    int64 // offset of the payload
	segments
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
	key, metadata, err := h.open(ctx, ref, sources)
	if err != nil {
		return nil, err
	}
	defer key.clear()
	var payload [payloadHeaderSize]byte
	if err := src.fill(payload[:], ErrDecrypt); err != nil {
		return nil, err
	}
	o := &Object{header: h, metadata: metadata, start: int64(h.Len())}
	if o.segments, err = key.segments(payload, h.SegmentLog2, h.stable()); err != nil {
		return nil, err
	}
	return o, nil
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
	size, err := plaintextSize(payload, o.size)
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
	final := segmentCount(payload, o.size) - 1
	switch {
	case offset+length == size: // the final segment may be empty
		s.first, s.last = min(s.first, final), final
	case length == 0:
		return Span{Offset: o.start, of: o, last: -1}, nil
	}
	s.final = s.last == final
	s.skip = offset - o.plaintextStart(s.first)
	s.Offset = o.start + s.first*o.size
	if s.first == 0 {
		s.Offset += payloadHeaderSize
	}
	s.Length = min(o.start+(s.last+1)*o.size, sealedSize) - s.Offset
	return s, nil
}

// Spans divides the value into consecutive spans for [Object.OpenTo]. Each starts and ends with a segment,
// and the n-th ends at most n*size bytes after the start of the object, so that the first is in the first
// size bytes. size must be at least the length of the header and of a segment.
func (o *Object) Spans(sealedSize, size int64) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		whole, err := o.Range(sealedSize, 0, -1)
		if err == nil && (size-o.start)/o.size < 1 {
			err = misuse("the size of a span is less than a segment")
		}
		if err != nil {
			yield(Span{}, err)
			return
		}
		first := int64(0)
		for end := size; first <= whole.last; end += size {
			next := min((end-o.start)/o.size, whole.last+1)
			if next == first {
				continue
			}
			s := Span{of: o, first: first, last: next - 1, final: next > whole.last, Offset: o.start + first*o.size}
			if first == 0 {
				s.Offset = whole.Offset
			}
			s.Length = min(o.start+next*o.size, sealedSize) - s.Offset
			s.take = s.Length - tagSize*(next-first)
			if !yield(s, nil) {
				return
			}
			first = next
		}
	}
}

// OpenRange returns a reader of the plaintext of the span s. r must return exactly the sealed bytes
// of s. Each byte is verified before it is returned.
//
// If r fails, Read returns that error. If the bytes do not verify, if r ends early, or if r returns
// bytes after the end of a final span, Read returns [ErrDecrypt]. If s was not returned by o.Range,
// Read returns [ErrInvalid] and reads nothing. After an error, every further Read returns the same
// error.
func (o *Object) OpenRange(r io.Reader, s Span) io.Reader {
	return &spanReader{o.opening(r, s)}
}

// OpenRangeInto is [Object.OpenRange] for a caller that reads the whole range into p with [io.ReadFull].
// Segments that are in the range as a whole are opened directly into p, and not copied. So p may contain
// verified bytes of the range that were not returned yet.
func (o *Object) OpenRangeInto(p []byte, r io.Reader, s Span) io.Reader {
	opening := o.opening(r, s)
	opening.target = &target{p[:min(int64(len(p)), s.take)], o.plaintextStart(s.first) + s.skip}
	return &spanReader{opening}
}

// OpenTo opens the span s like [Object.OpenRange], and writes its plaintext to w, each byte at its offset
// in the value. It starts no goroutine and needs one buffer of at most 1 MiB, so that a caller can open
// several spans at once. If the error is not nil, w may have a part of the bytes, which are verified.
func (o *Object) OpenTo(w io.WriterAt, r io.Reader, s Span) error {
	opening := o.opening(r, s)
	opening.alone = true
	for at := o.plaintextStart(s.first) + s.skip; ; {
		switch err := opening.fill(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		n, err := w.WriteAt(opening.plain, at)
		if err != nil {
			return err
		}
		at += int64(n)
		opening.plain = nil
	}
}

// opening returns what opens the span s.
func (o *Object) opening(r io.Reader, s Span) opening {
	opening := opening{segments: o.segments, src: &source{r: r}, next: s.first, left: s.Length, final: s.final, skip: s.skip, take: s.take, limited: true}
	switch {
	case o.aead == nil:
		opening.err = errZeroObject
	case s.of != o:
		opening.err = misuse("the span belongs to another object")
	}
	return opening
}

// A spanReader is the reader of a span.
type spanReader struct{ opening }

// Read implements [io.Reader].
func (r *spanReader) Read(p []byte) (int, error) { return r.read(p) }

// WriteTo implements [io.WriterTo].
func (r *spanReader) WriteTo(w io.Writer) (int64, error) { return r.writeTo(w) }
