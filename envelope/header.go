package envelope

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	// MaxHeaderLen is the maximum length of a header, including the commitment.
	MaxHeaderLen = 32768

	magic          = "OVE1"
	suite          = 1
	fixedSize      = 20 // bytes before the first stanza
	stanzaSize     = 19 // bytes of a stanza without its body
	commitmentSize = 32
	minSegmentLog2 = 12
	maxSegmentLog2 = 20
	maxStanzas     = 16
	maxBody        = 8192
	maxRevision    = 1<<53 - 1
	sealOverhead   = 12 + 16 // nonce and tag
	minSealedMeta  = sealOverhead + 1
	maxSealedMeta  = sealOverhead + maxMetadata
)

// Stanza types of this version of the format.
const (
	typeRoot       = 1
	typePassphrase = 2
	firstReserved  = 4
	firstPrivate   = 128
)

// A Stanza is the data key wrapped for one recipient.
type Stanza struct {
	Type byte     // 1 root, 2 passphrase, 3 KMS, 128–255 private use
	ID   [16]byte // id of the wrapping key
	Body []byte   // the wrapped data key
}

// A Header precedes the payload. It is not secret. [Open] and [OpenHeader] authenticate it.
// [ReadHeader] does not, so the header that it returns may be forged.
//
//	magic[4] suite[1] flags[1] k[1] n[1] H[2] revision[8] rewrap[2]
//	stanza{n}: type[1] id[16] len[2] body[len]
//	mlen[2] metadata[mlen] commitment[32]
//
// k is SegmentLog2, n the number of stanzas, and H the length of the header.
type Header struct {
	Revision    int64    // microseconds since the Unix epoch
	Rewrap      uint16   // how often the object was rewrapped
	SegmentLog2 int      // the payload's segments have 1<<SegmentLog2 bytes
	Stanzas     []Stanza // Open passes them to sources in this order
	Sealed      []byte   // sealed metadata; empty for none
	Commitment  [32]byte // unique to each write
}

// HeaderLen returns the length of the header at the start of b. It needs only the first 20 bytes.
// It returns 0 if b is shorter, or does not start with a readable header.
func HeaderLen(b []byte) int {
	if len(b) < fixedSize || string(b[:6]) != magic+"\x01\x00" {
		return 0
	}
	if _, length, err := parseFixed(b[:fixedSize]); err == nil {
		return length
	}
	return 0
}

// ReadHeader reads a header, and no byte after it. It uses no key, so it does not authenticate the
// header: the header may be forged, or belong to an older object or to another name.
func ReadHeader(r io.Reader) (*Header, error) {
	return readHeader(&source{r: r})
}

func readHeader(src *source) (*Header, error) {
	var fixed [fixedSize]byte
	// Check each byte of the version as soon as it is read: in a newer format the bytes that
	// follow may differ, or be absent.
	for _, step := range []struct {
		from, to int
		check    func([]byte) error
	}{
		{0, 4, checkMagic},
		{4, 5, checkSuite},
		{5, 6, checkFlags},
		{6, fixedSize, func([]byte) error { return nil }},
	} {
		part := fixed[step.from:step.to]
		if err := src.fill(part, errCut); err != nil {
			return nil, err
		}
		if err := step.check(part); err != nil {
			return nil, err
		}
	}
	_, length, err := parseFixed(fixed[:])
	if err != nil {
		return nil, malformed(err)
	}
	b := make([]byte, length)
	copy(b, fixed[:])
	if err := src.fill(b[fixedSize:], errCut); err != nil {
		return nil, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return nil, malformed(err)
	}
	return h, nil
}

func malformed(err error) error { return fmt.Errorf("%w: %w", ErrFormat, err) }

var errCut = malformed(errors.New("it ends inside the header"))

func checkMagic(b []byte) error {
	if string(b) != magic {
		return fmt.Errorf("%w: it does not start with %s", ErrFormat, magic)
	}
	return nil
}

func checkSuite(b []byte) error {
	if b[0] != suite {
		return fmt.Errorf("%w: suite %d needs a newer vault", ErrFormat, b[0])
	}
	return nil
}

func checkFlags(b []byte) error {
	if b[0] != 0 {
		return fmt.Errorf("%w: the header has a flag (%#02x) that needs a newer vault", ErrFormat, b[0])
	}
	return nil
}

// parseFixed checks the numbers before the first stanza. Magic, suite and flags were checked
// when they were read.
func parseFixed(b []byte) (n, length int, err error) {
	n, length = int(b[7]), int(binary.BigEndian.Uint16(b[8:]))
	switch revision := binary.BigEndian.Uint64(b[10:]); {
	case b[6] < minSegmentLog2 || b[6] > maxSegmentLog2:
		err = fmt.Errorf("segment size 2^%d", b[6])
	case n < 1 || n > maxStanzas:
		err = fmt.Errorf("%d stanzas", n)
	case length > MaxHeaderLen || length < fixedSize+n*(stanzaSize+1)+2+commitmentSize:
		err = fmt.Errorf("a header of %d bytes", length)
	case revision < 1 || revision > maxRevision:
		err = fmt.Errorf("revision %d", revision)
	}
	return n, length, err
}

// parseHeader parses b, a whole header whose first bytes were checked.
func parseHeader(b []byte) (*Header, error) {
	n, _, err := parseFixed(b)
	if err != nil {
		return nil, err
	}
	h := &Header{
		Revision:    int64(binary.BigEndian.Uint64(b[10:])),
		Rewrap:      binary.BigEndian.Uint16(b[18:]),
		SegmentLog2: int(b[6]),
		Stanzas:     make([]Stanza, n),
		Commitment:  [32]byte(b[len(b)-commitmentSize:]),
	}
	wrong := func(what string) error {
		return fmt.Errorf("its length is not the sum of its parts (%s)", what)
	}
	rest := b[fixedSize : len(b)-commitmentSize]
	for i := range h.Stanzas {
		if len(rest) < stanzaSize {
			return nil, wrong("stanzas")
		}
		s := Stanza{Type: rest[0], ID: [16]byte(rest[1:])}
		length := int(binary.BigEndian.Uint16(rest[17:]))
		if rest = rest[stanzaSize:]; len(rest) < length {
			return nil, wrong("stanzas")
		}
		s.Body, rest = rest[:length:length], rest[length:]
		h.Stanzas[i] = s
	}
	if err := checkStanzas(h.Stanzas); err != nil {
		return nil, err
	}
	if len(rest) < 2 {
		return nil, wrong("metadata")
	}
	length := int(binary.BigEndian.Uint16(rest))
	if length != 0 && (length < minSealedMeta || length > maxSealedMeta) {
		return nil, fmt.Errorf("sealed metadata of %d bytes", length)
	}
	if h.Sealed = rest[2:]; len(h.Sealed) != length {
		return nil, wrong("metadata")
	}
	return h, nil
}

func checkStanzas(stanzas []Stanza) error {
	type name struct {
		typ byte
		id  [16]byte
	}
	seen := make(map[name]bool)
	passphrases := 0
	for _, s := range stanzas {
		if s.Type == 0 {
			return errors.New("stanza type 0")
		}
		if n := len(s.Body); n < 1 || n > maxBody || s.Type == typeRoot && n != 60 || s.Type == typePassphrase && n != 82 {
			return fmt.Errorf("stanza type %d with %d bytes", s.Type, n)
		}
		if s.Type == typePassphrase {
			passphrases++
		}
		if passphrases > 1 {
			return errors.New("more than one passphrase")
		}
		if seen[name{s.Type, s.ID}] {
			return fmt.Errorf("two stanzas of type %d for key %x", s.Type, s.ID)
		}
		seen[name{s.Type, s.ID}] = true
	}
	return nil
}

// Len returns the length of the header in bytes, which is the offset of the payload.
func (h *Header) Len() int {
	n := fixedSize + 2 + len(h.Sealed) + commitmentSize
	for _, s := range h.Stanzas {
		n += stanzaSize + len(s.Body)
	}
	return n
}

// Bytes returns the encoded header. For a header that was read, these are the bytes that were
// read.
func (h *Header) Bytes() []byte {
	length := h.Len()
	b := make([]byte, 0, length)
	b = append(b, magic...)
	b = append(b, suite, 0, byte(h.SegmentLog2), byte(len(h.Stanzas)))
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Revision))
	b = binary.BigEndian.AppendUint16(b, h.Rewrap)
	for _, s := range h.Stanzas {
		b = append(b, s.Type)
		b = append(b, s.ID[:]...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.Body)))
		b = append(b, s.Body...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Sealed)))
	b = append(b, h.Sealed...)
	return append(b, h.Commitment[:]...)
}

// check rejects a header that the parser would reject, before it is written.
func (h *Header) check() error {
	if err := h.checkNumbers(len(h.Stanzas)); err != nil {
		return err
	}
	if n := h.Len(); n > MaxHeaderLen {
		return fmt.Errorf("the header has %d bytes; the maximum is %d", n, MaxHeaderLen)
	}
	return checkStanzas(h.Stanzas)
}

func (h *Header) checkNumbers(stanzas int) error {
	switch {
	case h.Revision < 1 || h.Revision > maxRevision:
		return fmt.Errorf("revision %d", h.Revision)
	case h.SegmentLog2 < minSegmentLog2 || h.SegmentLog2 > maxSegmentLog2:
		return fmt.Errorf("segment size 2^%d", h.SegmentLog2)
	case stanzas < 1 || stanzas > maxStanzas:
		return fmt.Errorf("%d stanzas; there must be 1 to %d", stanzas, maxStanzas)
	case len(h.Sealed) != 0 && (len(h.Sealed) < minSealedMeta || len(h.Sealed) > maxSealedMeta):
		return fmt.Errorf("sealed metadata of %d bytes", len(h.Sealed))
	}
	return nil
}

// stable returns the bytes that a rewrap does not change: those before n, and the revision.
func (h *Header) stable() (s [15]byte) {
	copy(s[:], magic)
	s[4], s[5], s[6] = suite, 0, byte(h.SegmentLog2)
	binary.BigEndian.PutUint64(s[7:], uint64(h.Revision))
	return s
}

// PlaintextSize returns the length of the plaintext if the sealed object has sealedSize bytes. If
// no object can have that length, the error is [ErrDecrypt]. The result is verified only when the
// object is read to its end. If the segment size in the header is invalid, the error wraps
// [ErrFormat].
func (h *Header) PlaintextSize(sealedSize int64) (int64, error) {
	if h.SegmentLog2 < minSegmentLog2 || h.SegmentLog2 > maxSegmentLog2 {
		return 0, malformed(fmt.Errorf("segment size 2^%d", h.SegmentLog2))
	}
	return plaintextSize(sealedSize-int64(h.Len()), int64(1)<<h.SegmentLog2)
}

// Sizes of Tink's stream: its own header is part of the first segment.
const (
	payloadHeaderSize = 40
	tagSize           = 16
	maxSegments       = math.MaxUint32 // the highest segment number is one less
)

func plaintextSize(payload, segment int64) (int64, error) {
	last := payload % segment
	if payload < payloadHeaderSize+tagSize || last != 0 && last < tagSize || segmentCount(payload, segment) > maxSegments {
		return 0, ErrDecrypt
	}
	return payload - payloadHeaderSize - tagSize*segmentCount(payload, segment), nil
}

// segmentCount returns how many segments a payload has.
func segmentCount(payload, segment int64) int64 {
	n := payload / segment
	if payload%segment != 0 {
		n++
	}
	return n
}
