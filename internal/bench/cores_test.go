package bench

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
)

// BenchmarkCores seals and opens 2 GiB from a reader to a writer, with one and with two processors. copy is
// the baseline: AES-256-GCM of the standard library on as many goroutines as processors. Each of them
// copies a segment of 64 KiB from memory, and seals or opens it in place. It has no format, no order and no
// writer. tink is stock Tink, which uses one processor. ratio is the time of the vault divided by that of
// the baseline, in turns. With -short it is 256 MiB.
func BenchmarkCores(b *testing.B) {
	size := int64(2 * gib)
	if testing.Short() {
		size /= 8
	}
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	for _, n := range []int{1, 2} {
		if n > procs {
			b.Logf("there are only %d processors", procs)
			return
		}
		runtime.GOMAXPROCS(n)
		b.Run(fmt.Sprintf("seal/procs=%d", n), func(b *testing.B) { benchCores(b, n, size, sealSides(b, n, size)) })
		b.Run(fmt.Sprintf("open/procs=%d", n), func(b *testing.B) { benchCores(b, n, size, openSides(b, n, size)) })
	}
}

func benchCores(b *testing.B, procs int, size int64, sides []work) {
	runtime.GOMAXPROCS(procs) // package testing has set it to the value of -cpu
	compare(b, load{workers: 1, each: 1, rounds: 7, bytes: size}, sides...)
}

// source is longer than the caches of a core.
var source = sync.OnceValue(func() []byte { return bytes.Repeat(filler, 64*mib/len(filler)+1)[:64*mib] })

// A cycle reads the same bytes again and again.
type cycle struct {
	bytes []byte
	at    int
}

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, c.bytes[c.at:])
	c.at = (c.at + n) % len(c.bytes)
	return n, nil
}

func sealSides(b *testing.B, procs int, size int64) []work {
	gcm, tink, ref, keys := coreKeys(b)
	reader := func() io.Reader { return io.LimitReader(&cycle{bytes: source()}, size) }
	return []work{
		{"copy", func(context.Context, int) error {
			plain := source()
			return onCores(procs, size/segment, func(buf []byte, i int64) error {
				var nonce [12]byte
				binary.BigEndian.PutUint64(nonce[4:], uint64(i))
				n := copy(buf, plain[i*segment%int64(len(plain)):][:segment])
				gcm.Seal(buf[:0], nonce[:], buf[:n], nil)
				return nil
			})
		}},
		{"vault", func(ctx context.Context, _ int) error {
			w, err := envelope.Seal(ctx, &discard{}, ref, keys, nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(w, reader()); err != nil {
				return err
			}
			return w.Close()
		}},
		{"tink", func(context.Context, int) error {
			w, err := tink.NewEncryptingWriter(&discard{}, nil)
			if err != nil {
				return err
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{w}, reader(), make([]byte, segment)); err != nil {
				return err
			}
			return w.Close()
		}},
	}
}

func openSides(b *testing.B, procs int, size int64) []work {
	gcm, tink, ref, keys := coreKeys(b)
	const sealed = segment + 16
	var nonce [12]byte
	var segments []byte
	for i := range len(source()) / segment {
		binary.BigEndian.PutUint64(nonce[4:], uint64(i))
		segments = gcm.Seal(segments, nonce[:], source()[i*segment:][:segment], nil)
	}
	var envelopes, streams bytes.Buffer
	for _, buf := range []*bytes.Buffer{&envelopes, &streams} {
		buf.Grow(int(size + size/1000 + mib))
	}
	w, err := envelope.Seal(b.Context(), &envelopes, ref, keys, nil)
	if err == nil {
		_, err = io.Copy(w, io.LimitReader(&cycle{bytes: source()}, size))
	}
	if err != nil || w.Close() != nil {
		b.Fatal(err)
	}
	t, err := tink.NewEncryptingWriter(&streams, nil)
	if err == nil {
		_, err = io.Copy(t, io.LimitReader(&cycle{bytes: source()}, size))
	}
	if err != nil || t.Close() != nil {
		b.Fatal(err)
	}
	return []work{
		{"copy", func(context.Context, int) error {
			return onCores(procs, size/segment, func(buf []byte, i int64) error {
				var nonce [12]byte
				i %= int64(len(segments) / sealed)
				binary.BigEndian.PutUint64(nonce[4:], uint64(i))
				n := copy(buf, segments[i*sealed:][:sealed])
				_, err := gcm.Open(buf[:0], nonce[:], buf[:n], nil)
				return err
			})
		}},
		{"vault", func(ctx context.Context, _ int) error {
			r, err := envelope.Open(ctx, bytes.NewReader(envelopes.Bytes()), ref, keys)
			if err != nil {
				return err
			}
			return copied(r, size)
		}},
		{"tink", func(context.Context, int) error {
			r, err := tink.NewDecryptingReader(bytes.NewReader(streams.Bytes()), nil)
			if err != nil {
				return err
			}
			return copied(struct{ io.Reader }{r}, size)
		}},
	}
}

func coreKeys(b *testing.B) (cipher.AEAD, *subtle.AESGCMHKDF, envelope.Ref, []envelope.KeySource) {
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
	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	return gcm, tink, ref, []envelope.KeySource{kek.InsecureFixed()}
}

// onCores calls do for n segments on several goroutines. Each has its own buffer, and takes batches of
// 1 MiB in turn, as a vault does.
func onCores(procs int, n int64, do func(buf []byte, i int64) error) error {
	const batch = mib / segment
	var all sync.WaitGroup
	errs := make([]error, procs)
	for p := range procs {
		all.Go(func() {
			buf := make([]byte, segment+16)
			for first := int64(p) * batch; first < n && errs[p] == nil; first += int64(procs) * batch {
				for i := first; i < min(first+batch, n) && errs[p] == nil; i++ {
					errs[p] = do(buf, i)
				}
			}
		})
	}
	all.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// copied reads r to its end, as io.Copy does.
func copied(r io.Reader, want int64) error {
	var w discard
	n, err := io.CopyBuffer(&w, r, make([]byte, segment))
	if err == nil && (n != want || w.n != want) {
		err = fmt.Errorf("got %d bytes of %d", n, want)
	}
	return err
}
