package bench

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"
	"testing"

	"filippo.io/age"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"
)

const segment = 64 << 10

var sizes = []struct {
	name string
	n    int64
}{{"64B", 64}, {"1KiB", kib}, {"16KiB", 16 * kib}, {"256KiB", 256 * kib}, {"1MiB", mib}, {"16MiB", 16 * mib}, {"256MiB", 256 * mib}, {"1GiB", gib}}

// A scheme seals and opens a stream. open must read up to the verified end.
type scheme struct {
	name string
	seal func(w io.Writer, r io.Reader) error
	open func(w io.Writer, r io.Reader) error
}

func schemes(b *testing.B) []scheme {
	ctx := context.Background()
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	keys := []envelope.KeySource{kek.InsecureFixed()}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	tink, err := subtle.NewAESGCMHKDF(make([]byte, 32), "SHA256", 32, segment, 0)
	if err != nil {
		b.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	return []scheme{
		{ // the minimum: the same bytes without a format, key derivation or allocation
			name: "stdlib",
			seal: func(w io.Writer, r io.Reader) error {
				return segments(r, segment-16, func(dst, nonce, src []byte) ([]byte, error) { return gcm.Seal(dst, nonce, src, nil), nil }, w)
			},
			open: func(w io.Writer, r io.Reader) error {
				return segments(r, segment, func(dst, nonce, src []byte) ([]byte, error) { return gcm.Open(dst, nonce, src, nil) }, w)
			},
		},
		{
			name: "tink",
			seal: func(w io.Writer, r io.Reader) error { return through(tink.NewEncryptingWriter(w, nil))(r) },
			open: func(w io.Writer, r io.Reader) error { return all(tink.NewDecryptingReader(r, nil))(w) },
		},
		{
			name: "age",
			seal: func(w io.Writer, r io.Reader) error { return through(age.Encrypt(w, identity.Recipient()))(r) },
			open: func(w io.Writer, r io.Reader) error { return all(age.Decrypt(r, identity))(w) },
		},
		{
			name: "objectvault",
			seal: func(w io.Writer, r io.Reader) error {
				sealer, err := envelope.Seal(ctx, w, ref, keys, nil)
				return through(sealer, err)(r)
			},
			open: func(w io.Writer, r io.Reader) error {
				opener, err := envelope.Open(ctx, r, ref, keys)
				return all(opener, err)(w)
			},
		},
	}
}

func through(w io.WriteCloser, err error) func(io.Reader) error {
	return func(r io.Reader) error {
		if err != nil {
			return err
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{w}, r, transfer); err != nil {
			return err
		}
		return w.Close()
	}
}

func all(r io.Reader, err error) func(io.Writer) error {
	return func(w io.Writer) error {
		if err != nil {
			return err
		}
		_, err := io.CopyBuffer(w, r, transfer)
		return err
	}
}

// The buffers exist once: a caller that allocates one for each value pays more for it than for sealing a small
// value.
var in, out, transfer = make([]byte, segment), make([]byte, 0, segment+16), make([]byte, 32<<10)

// segments copies the stream and seals or opens each segment.
func segments(r io.Reader, size int, do func(dst, nonce, src []byte) ([]byte, error), w io.Writer) error {
	var nonce [12]byte
	for i := uint32(0); ; i++ {
		n, err := io.ReadFull(r, in[:size])
		if err == io.EOF {
			return nil
		}
		binary.BigEndian.PutUint32(nonce[:], i)
		sealed, derr := do(out[:0], nonce[:], in[:n])
		if derr != nil {
			return derr
		}
		if _, err := w.Write(sealed); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
}

// A pattern is an endless stream of bytes.
type pattern struct{}

var filler = bytes.Repeat([]byte("objectvault benchmark "), 3000)

func (pattern) Read(p []byte) (int, error) { return copy(p, filler), nil }

// A discard only counts bytes. With io.Discard, io.Copy would not use the buffer.
type discard struct{ n int64 }

func (d *discard) Write(p []byte) (int, error) { d.n += int64(len(p)); return len(p), nil }

// Each scheme reports its duration relative to the standard library, because on a busy machine the
// ratio is more reliable than the duration.
func run(b *testing.B, do func(b *testing.B, s scheme, size int64)) {
	for _, size := range sizes {
		baseline := 0.0
		for _, s := range schemes(b) {
			b.Run(size.name+"/"+s.name, func(b *testing.B) {
				b.SetBytes(size.n)
				b.ReportAllocs()
				do(b, s, size.n)
				each := float64(b.Elapsed()) / float64(b.N)
				if s.name == "stdlib" {
					baseline = each
				}
				if baseline > 0 {
					b.ReportMetric(each/baseline, "x-stdlib")
				}
			})
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	run(b, func(b *testing.B, s scheme, size int64) {
		for b.Loop() {
			var w discard
			if err := s.seal(&w, io.LimitReader(pattern{}, size)); err != nil {
				b.Fatal(err)
			}
			if w.n <= size {
				b.Fatalf("%d bytes were sealed to %d", size, w.n)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	run(b, func(b *testing.B, s scheme, size int64) {
		var sealed bytes.Buffer
		if err := s.seal(&sealed, io.LimitReader(pattern{}, size)); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			var w discard
			if err := s.open(&w, bytes.NewReader(sealed.Bytes())); err != nil {
				b.Fatal(err)
			}
			if w.n != size {
				b.Fatalf("%d bytes opened to %d", size, w.n)
			}
		}
	})
}
