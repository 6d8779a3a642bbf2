package probe

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/vault"
)

// A value is the content of an object. Its bytes differ from every other value. They are
// computed when they are needed, so a large value uses no memory.
type value struct {
	seed uint64
	size int64
}

func newValue(size int64) value {
	var b [8]byte
	rand.Read(b[:])
	return value{binary.LittleEndian.Uint64(b[:]), size}
}

// ReadAt implements [io.ReaderAt].
func (v value) ReadAt(p []byte, offset int64) (n int, err error) {
	if int64(len(p)) > v.size-offset {
		p, err = p[:max(0, v.size-offset)], io.EOF
	}
	for n < len(p) {
		at := offset + int64(n)
		word := mix(v.seed + uint64(at>>3))
		if skip := at & 7; skip == 0 && len(p)-n >= 8 {
			binary.LittleEndian.PutUint64(p[n:], word)
			n += 8
		} else {
			p[n] = byte(word >> (8 * skip))
			n++
		}
	}
	return n, err
}

// mix is the output function of SplitMix64.
func mix(z uint64) uint64 {
	z *= 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// fill writes the whole value. It hides the ReadFrom method of w, because a vault also writes in
// pieces.
func (v value) fill(w io.Writer) error { return v.fillTo(w, v.size) }

func (v value) fillTo(w io.Writer, n int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(v, 0, n)}, make([]byte, 64<<10))
	return err
}

// fillParts writes the whole value in parts, if w can take them.
func (v value) fillParts(w io.Writer) error {
	return v.fillPartsWith(w, func(int64) error { return nil })
}

// fillPartsWith is fillParts; before is called before each part and may fail.
func (v value) fillPartsWith(w io.Writer, before func(offset int64) error) error {
	parts, ok := w.(vault.PartWriter)
	if !ok {
		parts = oneByOne{w}
	}
	return parts.WriteParts(vault.Sealed{Size: v.size, Part: func(p []byte, offset int64) error {
		if err := before(offset); err != nil {
			return err
		}
		_, err := v.ReadAt(p, offset)
		return err
	}})
}

// A oneByOne writes parts one after another.
type oneByOne struct{ io.Writer }

func (w oneByOne) WriteParts(s vault.Sealed) error {
	const size = 1 << 20
	buf := make([]byte, min(size, s.Size))
	for from := int64(0); from < s.Size; from += size {
		part := buf[:min(size, s.Size-from)]
		if err := s.Part(part, from); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// A difference describes how the data that was read differs from a value.
type difference struct{ text string }

func (d *difference) Error() string { return d.text }

// compare reads r to its end. It returns a [*difference] if the data is not the n bytes of v at
// offset, or the error of r.
func (v value) compare(r io.Reader, offset, n int64) error {
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		k, err := r.Read(got)
		if at+int64(k) > n {
			return &difference{fmt.Sprintf("more than the expected %d bytes", n)}
		}
		v.ReadAt(want[:k], offset+at)
		if string(got[:k]) != string(want[:k]) {
			return &difference{fmt.Sprintf("the bytes differ after byte %d of %d", at, n)}
		}
		at += int64(k)
		if err == io.EOF {
			if at < n {
				return &difference{fmt.Sprintf("the data ends after %d of %d bytes", at, n)}
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
