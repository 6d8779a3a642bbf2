package probe

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
)

// A value is what an object holds: bytes that no other value has, computed where they
// are needed, so that a large one costs no memory.
type value struct {
	seed uint64
	size int64
}

func newValue(size int64) value {
	var b [8]byte
	rand.Read(b[:])
	return value{binary.LittleEndian.Uint64(b[:]), size}
}

// ReadAt makes a value an [io.ReaderAt].
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

// fill writes the whole value. w is hidden, so that its ReadFrom is not used: a vault
// writes piece by piece, too.
func (v value) fill(w io.Writer) error { return v.fillTo(w, v.size) }

func (v value) fillTo(w io.Writer, n int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(v, 0, n)}, make([]byte, 64<<10))
	return err
}

// A difference is what was read instead of a value.
type difference struct{ text string }

func (d *difference) Error() string { return d.text }

// compare reads r to its end and returns a [*difference] when it is not the n bytes
// at offset, or the error of r.
func (v value) compare(r io.Reader, offset, n int64) error {
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		k, err := r.Read(got)
		if at+int64(k) > n {
			return &difference{fmt.Sprintf("more than the %d bytes that were to come", n)}
		}
		v.ReadAt(want[:k], offset+at)
		if string(got[:k]) != string(want[:k]) {
			return &difference{fmt.Sprintf("other bytes from %d of %d on", at, n)}
		}
		at += int64(k)
		if err == io.EOF {
			if at < n {
				return &difference{fmt.Sprintf("the end after %d of %d bytes", at, n)}
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
