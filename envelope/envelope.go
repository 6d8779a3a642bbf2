// Package envelope seals an object so that the party that stores it can neither read nor change
// it, nor replace it by another object. FORMAT.md of this module specifies the format byte by
// byte.
//
//	w, err := envelope.Seal(ctx, file, ref, sources, nil)
//	io.Copy(w, value)
//	err = w.Close()
//
//	r, err := envelope.Open(ctx, file, ref, sources)
//	io.Copy(out, r)
//
// An envelope is a header and a payload. The header contains the data key of the object, wrapped
// for each recipient (a [KeySource]). Each wrapped copy is a [Stanza]. The header also contains the
// sealed [Metadata] and a commitment. The commitment binds data key, header and name ([Ref])
// together. It is compared after the data key is unwrapped, and before metadata and payload are
// decrypted. The payload is a Tink stream (AES256-GCM-HKDF), so a holder of its key can open it
// with Tink alone.
//
// The bytes that a [Reader] returns were sealed under the requested name by a holder of a key for
// that name. They come from one write, in order, from the start of the value. The Reader returns
// [io.EOF] only after it has verified the end.
//
// The format has limits. A party that can read an object can also seal another one under the
// same name. An older object of the name is as valid as the newest. Length and revision are not
// secret.
//
// Sealing and opening use up to GOMAXPROCS + 2 buffers of 1 MiB, and at most ten, whatever the size of the
// object, and small ones for a small object. Every later version of this package will open the envelopes of this
// version.
package envelope

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"
)

// SealOptions configures [Seal]. Nil, or the zero value, is ready to use.
type SealOptions struct {
	// Revision orders the objects of one name, in microseconds since the Unix epoch; 0 means
	// the current time.
	Revision int64
	// Metadata is sealed with the payload.
	Metadata Metadata
	// SegmentLog2 is the base-2 logarithm of the segment size in bytes, from 12 to 20; 0 means 16.
	SegmentLog2 int
	// OneSuffices makes Seal leave out the key sources that fail with [ErrUnavailable],
	// [ErrUnauthenticated], [ErrDenied] or [ErrChanged], if at least one source can be used.
	// [Writer.Missing] returns the sources that were left out. A later [Rewrap] can add them.
	OneSuffices bool
}

const defaultSegmentLog2 = 16

// Seal writes a header to w, with the data key wrapped by each of sources. It returns a Writer that
// seals plaintext and writes it to w. The caller must close or abort the Writer. Only the key
// sources use ctx. If the error wraps [ErrInvalid] or is the error of a source, Seal has written
// nothing to w.
func Seal(ctx context.Context, w io.Writer, ref Ref, sources []KeySource, o *SealOptions) (*Writer, error) {
	if w == nil {
		return nil, misuse("the writer passed to Seal is nil")
	}
	b, err := begin(ctx, ref, sources, o)
	if err != nil {
		return nil, err
	}
	w = fullWriter{w}
	if _, err := w.Write(append(b.header.Bytes(), b.payload[:]...)); err != nil {
		return nil, err
	}
	return &Writer{header: b.header, missing: b.missing, w: w, segments: b.segments}, nil
}

// A beginning is the start of an envelope: everything but the segments.
type beginning struct {
	header  *Header
	missing []KeySource // left out
	payload [payloadHeaderSize]byte
	segments
}

// begin makes the start of a new envelope. The errors are those of [Seal].
func begin(ctx context.Context, ref Ref, sources []KeySource, o *SealOptions) (*beginning, error) {
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
	// Checks that need no key come first, because a source may ask its user, or cost money.
	if err := h.checkNumbers(len(sources)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	key := randomDataKey()
	defer key.clear()
	aad := AAD{Stable: h.stable(), Ctx: ref.Context()}
	b := &beginning{header: h}
	if o.OneSuffices {
		h.Stanzas, b.missing, err = wrapSome(ctx, ref, key.dek, aad, sources)
	} else {
		h.Stanzas, err = wrap(ctx, ref, key.dek, aad, sources, nil)
	}
	if err != nil {
		return nil, err
	}
	if h.Sealed, err = key.sealMetadata(metadata, aad); err != nil {
		return nil, err
	}
	if err := h.commit(key, aad.Ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	b.payload, b.segments, err = key.newSegments(h.SegmentLog2, aad.Stable)
	return b, err
}

// Open reads and authenticates the header and the metadata, and returns a Reader for the payload.
// Its errors are [ErrFormat], [ErrUnknownKey], [ErrDecrypt], [ErrUnavailable] or
// [ErrUnauthenticated] of a source, and the error of r. If r or a source is nil, the error wraps
// [ErrInvalid].
//
// Open passes the stanzas to the local sources first, and then to the remote ones: see
// [Recognizer]. It uses the first stanza that a source recognizes. If that stanza does not verify,
// Open fails and tries no other.
func Open(ctx context.Context, r io.Reader, ref Ref, sources []KeySource) (*Reader, error) {
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
	o := Object{header: h, metadata: metadata, start: int64(h.Len())}
	if o.segments, err = key.segments(payload, h.SegmentLog2, h.stable()); err != nil {
		return nil, err
	}
	return &Reader{o: o, opening: opening{segments: o.segments, src: src, left: -1, final: true}}, nil
}

// open unwraps the data key from a stanza and decrypts the metadata.
func (h *Header) open(ctx context.Context, ref Ref, sources []KeySource) (dataKey, Metadata, error) {
	aad := AAD{Stable: h.stable(), Ctx: ref.Context()}
	key, err := h.unwrap(ctx, ref, aad, sources)
	if err != nil {
		return dataKey{}, Metadata{}, err
	}
	metadata, err := key.openMetadata(h.Sealed, aad)
	if err != nil {
		key.clear()
		return dataKey{}, Metadata{}, err
	}
	return key, metadata, nil
}

// verify returns the data key dek if it is the one of the commitment.
func (h *Header) verify(dek []byte, ctx [32]byte) (dataKey, error) {
	if len(dek) != dataKeySize {
		clear(dek)
		return dataKey{}, ErrDecrypt
	}
	key := newDataKey(dek)
	want := key.commitment(h.Bytes(), ctx)
	if subtle.ConstantTimeCompare(want[:], h.Commitment[:]) != 1 {
		key.clear()
		return dataKey{}, ErrDecrypt
	}
	return key, nil
}

// commit sets the commitment of an otherwise finished header.
func (h *Header) commit(key dataKey, ctx [32]byte) error {
	if err := h.check(); err != nil {
		return err
	}
	h.Commitment = key.commitment(h.Bytes(), ctx)
	return nil
}

// wrap returns the stanzas of all sources. The error of a source that cannot be used now has its name.
// keep contains the stanzas that [Keep] may select.
func wrap(ctx context.Context, ref Ref, dek []byte, aad AAD, sources []KeySource, keep []Stanza) ([]Stanza, error) {
	stanzas := make([]Stanza, len(sources))
	for i, source := range sources {
		if k, ok := source.(kept); ok {
			if !k.in(keep) {
				return nil, errKeep
			}
			stanzas[i] = Stanza(k)
			continue
		}
		dekCopy := bytes.Clone(dek) // a source must not change the key that the next source wraps
		s, err := source.Wrap(ctx, ref, dekCopy, aad)
		clear(dekCopy)
		if isAway(err) {
			return nil, fmt.Errorf("%s: %w", source.Name(), err)
		}
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

// wrapSome returns the stanzas of the sources that can be used now, and the other sources. If there
// is no stanza, it returns the error of each source.
func wrapSome(ctx context.Context, ref Ref, dek []byte, aad AAD, sources []KeySource) (stanzas []Stanza, missing []KeySource, err error) {
	var away failures
	for _, source := range sources {
		s, err := wrap(ctx, ref, dek, aad, []KeySource{source}, nil)
		switch {
		case err == nil:
			stanzas = append(stanzas, s...)
		case errors.Is(err, ErrNotEnrolled) || !isAway(err):
			return nil, nil, err
		default:
			away = append(away, err)
			missing = append(missing, source)
		}
	}
	if len(stanzas) == 0 {
		return nil, nil, errors.Join(away...)
	}
	return stanzas, missing, nil
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

// A fullWriter returns an error for a short write, after which further bytes would be
// misplaced.
type fullWriter struct{ w io.Writer }

func (f fullWriter) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
