package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// BenchmarkFile puts a file into a file:// store, and gets it from there into a file. copy is the baseline: it
// copies the file with io.Copy and a buffer of 1 MiB. limit also seals or opens each MiB with the standard library,
// on all processors, without a format or an order. stream is the vault with a reader and a writer that have no
// offsets. The stores sync their files: make bench-file uses a TMPDIR in memory. The size is 1 GiB, or 128 MiB with -short.
func BenchmarkFile(b *testing.B) {
	size := int64(gib)
	if testing.Short() {
		size /= 8
	}
	dir := b.TempDir()
	plain, sealed := filepath.Join(dir, "plain"), filepath.Join(dir, "sealed")
	for _, path := range []string{plain, sealed} {
		if err := writeFile(path, func(f *os.File) error {
			_, err := io.Copy(f, io.LimitReader(&cycle{bytes: source()}, size))
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	store, err := memfs.Open(b.Context(), memfs.Config{Dir: filepath.Join(dir, "store"), Versions: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	v, err := vault.New(store, tenant, []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	gcm, _, _, _ := coreKeys(b)
	out := filepath.Join(dir, "out")
	put := func(hide bool) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			return readFile(plain, func(f *os.File) error {
				var r io.Reader = f
				if hide {
					r = struct{ io.Reader }{f}
				}
				_, err := v.Put(ctx, "object", r, nil)
				return err
			})
		}
	}
	get := func(stream bool) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			r, err := v.Get(ctx, "object", nil)
			if err != nil {
				return err
			}
			defer r.Close()
			return writeFile(out, func(f *os.File) error {
				if stream {
					_, err = r.WriteTo(f)
				} else {
					_, err = r.Download(f)
				}
				return err
			})
		}
	}
	copied := work{"copy", func(context.Context, int) error {
		return readFile(plain, func(from *os.File) error {
			return writeFile(out, func(to *os.File) error {
				_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, mib))
				return err
			})
		})
	}}
	compare := func(b *testing.B, sides ...work) {
		compare(b, load{workers: 1, each: 1, rounds: 5, bytes: size}, append([]work{copied}, sides...)...)
	}
	seal := func(buf, nonce []byte) error {
		gcm.Seal(buf[:0], nonce, buf[:len(buf)-gcm.Overhead()], nil)
		return nil
	}
	open := func(buf, nonce []byte) error {
		_, err := gcm.Open(buf[:0], nonce, buf, nil)
		return err
	}
	b.Run("put", func(b *testing.B) {
		compare(b, work{"limit", limit(plain, out, size, seal)}, work{"stream", put(true)}, work{"vault", put(false)})
	})
	b.Run("get", func(b *testing.B) {
		if err := limit(plain, sealed, size, seal)(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		compare(b, work{"limit", limit(sealed, out, size, open)}, work{"stream", get(true)}, work{"vault", get(false)})
	})
}

// limit copies a file in parts of 1 MiB on all processors, and calls do for each segment of them.
func limit(from, to string, size int64, do func(buf, nonce []byte) error) func(context.Context, int) error {
	copyPart := func(from, to *os.File, buf []byte, offset int64) error {
		if _, err := from.ReadAt(buf, offset); err != nil {
			return err
		}
		var nonce [12]byte
		for at := 0; at < len(buf); at += segment {
			binary.BigEndian.PutUint64(nonce[4:], uint64(offset)+uint64(at))
			if err := do(buf[at:at+segment], nonce[:]); err != nil {
				return err
			}
		}
		_, err := to.WriteAt(buf, offset)
		return err
	}
	return func(context.Context, int) error {
		return readFile(from, func(from *os.File) error {
			return writeFile(to, func(to *os.File) error {
				var workers errgroup.Group
				procs := int64(runtime.GOMAXPROCS(0))
				for p := range procs {
					workers.Go(func() error {
						buf := make([]byte, mib)
						for offset := p * mib; offset < size; offset += procs * mib {
							if err := copyPart(from, to, buf, offset); err != nil {
								return err
							}
						}
						return nil
					})
				}
				return workers.Wait()
			})
		})
	}
}

func readFile(path string, use func(f *os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(use(f), f.Close())
}

// writeFile replaces a file.
func writeFile(path string, use func(f *os.File) error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(use(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
