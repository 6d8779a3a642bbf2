// Package envelope seals an object so that whoever stores it can neither read it, nor
// change it, nor pass one object off as another. FORMAT.md of this module is the format,
// byte by byte.
//
//	w, err := envelope.Seal(ctx, file, ref, sources, nil)
//	io.Copy(w, value)
//	err = w.Close()
//
//	r, err := envelope.Open(ctx, file, ref, sources)
//	io.Copy(out, r)
//
// An envelope is a header and a payload. The header holds the object's data key,
// wrapped once for every recipient (a [KeySource]); sealed [Metadata]; and a commitment,
// which binds data key, header and name ([Ref]) together and is compared before anything
// else is decrypted. The payload is a stream of Tink (AES256-GCM-HKDF) and can be opened
// with Tink alone by whoever holds its key.
//
// What holds: bytes that come out of a [Reader] were sealed under this very name by
// somebody who had a key of it, and come from one write, in order, from its start.
// [io.EOF] comes only after the end was verified. What does not: whoever can read an
// object can also seal another one under that name, an older object of the name looks as
// good as the newest, and length and revision can be seen by everybody.
//
// Memory is constant, one or two segments whatever the size. An envelope that this
// version writes will be read by every later version.
package envelope

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"
)

// SealOptions configures [Seal]. Nil, or the zero value, is ready to use.
type SealOptions struct {
	// Revision orders the objects of one name, in microseconds since the Unix epoch;
	// 0 means now.
	Revision int64
	// Metadata is sealed beside the payload.
	Metadata Metadata
	// SegmentLog2 makes segments of 1<<SegmentLog2 bytes, 12 to 20; 0 means 16.
	SegmentLog2 int
}

const defaultSegmentLog2 = 16

// Seal writes a header for sources to w and returns a Writer for the plaintext, which
// the caller closes or aborts. ctx is for the key sources only. An error before the
// header was written, such as a source's, or [ErrInvalid], leaves w untouched.
func Seal(ctx context.Context, w io.Writer, ref Ref, sources []KeySource, o *SealOptions) (*Writer, error) {
	if w == nil {
		return nil, misuse("Seal of a nil writer")
	}
	if err := checkSources(sources); err != nil {
		return nil, err
	}
	if o == nil {
		o = &SealOptions{}
	}
	h := &Header{Revision: o.Revision, SegmentLog2: o.SegmentLog2}
	if h.Revision == 0 {
		h.Revision = time.Now().UnixMicro()
	}
	if h.SegmentLog2 == 0 {
		h.SegmentLog2 = defaultSegmentLog2
	}
	metadata, err := o.Metadata.marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	// What no key is needed for comes first: a source may ask its user, or cost money.
	if err := h.checkNumbers(len(sources)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	dek := newDataKey()
	defer clear(dek)
	aad := AAD{Stable: h.stable(), Ctx: ref.Context()}
	if h.Stanzas, err = wrap(ctx, ref, dek, aad, sources, nil); err != nil {
		return nil, err
	}
	if h.Sealed, err = dek.sealMetadata(metadata, aad); err != nil {
		return nil, err
	}
	if err := h.commit(dek, aad.Ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	payload, err := dek.payload(h.SegmentLog2)
	if err != nil {
		return nil, err
	}
	w = fullWriter{w}
	if _, err := w.Write(h.Bytes()); err != nil {
		return nil, err
	}
	stream, err := payload.NewEncryptingWriter(w, aad.Stable[:])
	if err != nil {
		return nil, err
	}
	return &Writer{header: h, stream: stream}, nil
}

// A Writer seals what is written to it. An object is whole only after Close. The zero
// Writer answers every call with [ErrInvalid].
type Writer struct {
	header *Header
	stream io.WriteCloser
	err    error // what every further call answers
}

var (
	errClosed  = errors.New("envelope: write after close")
	errAborted = errors.New("envelope: the writer was aborted")

	errZeroWriter error = misuse("a Writer that Seal did not return")
	errZeroReader error = misuse("a Reader that Open did not return")
	errZeroObject error = misuse("an Object that OpenHeader did not return")
)

// Header returns the header that was written.
func (w *Writer) Header() *Header { return w.header }

// Write seals p; what fills a segment is written. After an error nothing more is.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.stream == nil {
		return 0, errZeroWriter
	}
	n, err := w.stream.Write(p)
	w.err = err
	return n, err
}

// Close writes the final segment, without which nobody takes the object for whole. It
// does not close what is written to.
func (w *Writer) Close() error {
	if w.err == errClosed {
		return nil
	}
	if w.err == nil && w.stream == nil {
		return errZeroWriter
	}
	if w.err == nil {
		if w.err = w.stream.Close(); w.err == nil {
			w.err = errClosed
			return nil
		}
	}
	return w.err
}

// Abort gives the object up: the final segment will not be written, so that what was
// can never be taken for a whole object. After Close it does nothing.
func (w *Writer) Abort() {
	if w.err == nil {
		w.err = errAborted
	}
}

// Open reads and authenticates header and metadata and returns a Reader for the
// payload. It fails with [ErrFormat], [ErrUnknownKey], [ErrDecrypt], with
// [ErrUnavailable] or [ErrUnauthenticated] of a source, or with the error of r. A nil
// reader or source is [ErrInvalid].
//
// Sources that are not remote look at all stanzas first, then remote ones, see
// [Recognizer]. The first stanza that is a source's own decides: if it does not verify, no
// other is tried.
func Open(ctx context.Context, r io.Reader, ref Ref, sources []KeySource) (*Reader, error) {
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
	payload, err := dek.payload(h.SegmentLog2)
	if err != nil {
		return nil, err
	}
	stable := h.stable()
	plain, err := payload.NewDecryptingReader(src, stable[:])
	if err != nil {
		return nil, src.or(ErrDecrypt)
	}
	return &Reader{header: h, metadata: metadata, src: src, plain: plain}, nil
}

// A Reader yields the plaintext of one object, each byte verified before it is given
// out. Every error is final. Reading from the zero Reader is [ErrInvalid].
type Reader struct {
	header   *Header
	metadata Metadata
	src      *source
	plain    io.Reader
	given    int64
	complete bool
	err      error // what every further Read answers
}

// Header returns the header, which is authenticated.
func (r *Reader) Header() *Header { return r.header }

// Metadata returns what was sealed beside the payload.
func (r *Reader) Metadata() Metadata { return r.metadata }

// Complete says whether all of the plaintext was read and the final segment verified.
// While it is false, what was read may be only the start of the object.
func (r *Reader) Complete() bool { return r.complete }

func (r *Reader) Read(p []byte) (int, error) {
	if r.plain == nil {
		return 0, errZeroReader
	}
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	for {
		// Tink forgets its errors, and answers EOF after a final segment that failed.
		n, err := r.plain.Read(p)
		switch {
		case err == io.EOF:
			r.complete, r.err = true, io.EOF
			return 0, io.EOF
		case err != nil:
			r.err = r.src.or(ErrDecrypt)
			return 0, r.err
		case n > 0:
			r.given += int64(n)
			r.complete = r.src.end && r.given == r.size()
			return n, nil
		}
	}
}

// size is the plaintext's, once the end of the sealed bytes was seen.
func (r *Reader) size() int64 {
	n, err := r.header.PlaintextSize(r.src.n)
	if err != nil {
		return -1
	}
	return n
}

// open finds the data key among the stanzas and opens the metadata.
func (h *Header) open(ctx context.Context, ref Ref, sources []KeySource) (dataKey, Metadata, error) {
	aad := AAD{Stable: h.stable(), Ctx: ref.Context()}
	dek, err := h.unwrap(ctx, ref, aad, sources)
	if err != nil {
		return nil, Metadata{}, err
	}
	metadata, err := dek.openMetadata(h.Sealed, aad)
	if err != nil {
		clear(dek)
		return nil, Metadata{}, err
	}
	return dek, metadata, nil
}

func (h *Header) verify(dek dataKey, ctx [32]byte) (dataKey, error) {
	if len(dek) == dataKeySize {
		want := dek.commitment(h.Bytes(), ctx)
		if subtle.ConstantTimeCompare(want[:], h.Commitment[:]) == 1 {
			return dek, nil
		}
	}
	clear(dek)
	return nil, ErrDecrypt
}

// commit sets the commitment of an otherwise finished header.
func (h *Header) commit(dek dataKey, ctx [32]byte) error {
	if err := h.check(); err != nil {
		return err
	}
	h.Commitment = dek.commitment(h.Bytes(), ctx)
	return nil
}

// wrap asks every source for its stanza. keep holds those that [Keep] may carry over.
func wrap(ctx context.Context, ref Ref, dek dataKey, aad AAD, sources []KeySource, keep []Stanza) ([]Stanza, error) {
	stanzas := make([]Stanza, len(sources))
	for i, source := range sources {
		if k, ok := source.(kept); ok {
			if !k.in(keep) {
				return nil, errKeep
			}
			stanzas[i] = Stanza(k)
			continue
		}
		own := append(dataKey(nil), dek...) // so that no source can change what the next one wraps
		s, err := source.Wrap(ctx, ref, own, aad)
		clear(own)
		if err != nil {
			return nil, err
		}
		if s.Type >= firstReserved && s.Type < firstPrivate {
			return nil, fmt.Errorf("%w: stanza type %d is reserved", ErrInvalid, s.Type)
		}
		stanzas[i] = s
	}
	return stanzas, nil
}

func (k dataKey) sealMetadata(text []byte, aad AAD) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	a, err := k.metadata()
	if err != nil {
		return nil, err
	}
	return a.Encrypt(text, aad.Stable[:])
}

func (k dataKey) openMetadata(sealed []byte, aad AAD) (Metadata, error) {
	if len(sealed) == 0 {
		return Metadata{}, nil
	}
	a, err := k.metadata()
	if err != nil {
		return Metadata{}, err
	}
	text, err := a.Decrypt(sealed, aad.Stable[:])
	if err != nil {
		return Metadata{}, ErrDecrypt
	}
	m, err := parseMetadata(text)
	if err != nil {
		return Metadata{}, ErrDecrypt
	}
	return m, nil
}

// A fullWriter makes a short write an error: what follows it would be garbage.
type fullWriter struct{ w io.Writer }

func (f fullWriter) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
