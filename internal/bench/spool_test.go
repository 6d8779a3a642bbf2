package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// spoolStores are the stores of BenchmarkSpool and BenchmarkFlush: a directory, memory, and COS in this
// process.
var spoolStores = []struct {
	name string
	open func(b *testing.B) *vault.Store
}{
	{"file", func(b *testing.B) *vault.Store { return openMemfs(b, memfs.Config{Dir: b.TempDir()}) }},
	{"mem", func(b *testing.B) *vault.Store { return openMemfs(b, memfs.Config{}) }},
	{"cos-5ms", cosAfter(5 * time.Millisecond)},
	{"cos-20ms", cosAfter(20 * time.Millisecond)},
}

// cosAfter opens COS in this process, with a pause before each request.
func cosAfter(delay time.Duration) func(b *testing.B) *vault.Store {
	return func(b *testing.B) *vault.Store {
		s, err := costest.New(&costest.Options{Delay: delay})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		store, err := tencent.Open(b.Context(), tencent.Config{Bucket: s.Bucket(), Endpoint: s.URL(), Static: cosblob.Static(s.SecretID(), s.SecretKey(), "")})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { store.Close() })
		return store
	}
}

func openMemfs(b *testing.B, c memfs.Config) *vault.Store {
	store, err := memfs.Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

func spooledVault(b *testing.B, store *vault.Store) (*vault.Vault, *spool.Spool) {
	sp, err := spool.Open(spool.Config{Dir: b.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		b.Fatal(err)
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: sp})
	if err != nil {
		b.Fatal(err)
	}
	return v, sp
}

// BenchmarkSpool measures what the spool adds to a put of 64 bytes. The spool is in TMPDIR.
func BenchmarkSpool(b *testing.B) {
	for _, s := range spoolStores {
		b.Run(s.name, func(b *testing.B) {
			v, _ := spooledVault(b, s.open(b))
			times := map[vault.SpoolMode][]float64{}
			value := strings.Repeat("v", 64)
			for b.Loop() {
				for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolRequire} {
					start := time.Now()
					if _, err := v.Put(b.Context(), "name", strings.NewReader(value), &vault.PutOptions{Spool: mode}); err != nil {
						b.Fatal(err)
					}
					times[mode] = append(times[mode], float64(time.Since(start).Microseconds()))
				}
			}
			b.ReportMetric(0, "ns/op") // of both together
			for mode, name := range map[vault.SpoolMode]string{vault.SpoolOff: "no-spool", vault.SpoolRequire: "spool"} {
				all := times[mode]
				slices.Sort(all)
				b.ReportMetric(all[len(all)/2], name+"-p50-µs")
				b.ReportMetric(all[len(all)*99/100], name+"-p99-µs")
			}
		})
	}
}

// BenchmarkFlush compares the time to send 1,000 entries of 64 bytes with that of 1,000 puts without the
// spool, 16 at once. ratio is the throughput of the flush divided by that of the puts.
func BenchmarkFlush(b *testing.B) {
	const entries = 1000
	for _, s := range spoolStores {
		b.Run(s.name, func(b *testing.B) {
			var away atomic.Bool
			store := intercept.Store(s.open(b), intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
				if away.Load() {
					return vault.ErrBusy
				}
				return do()
			}})
			v, sp := spooledVault(b, store)
			var flush, puts time.Duration
			round := 0
			for b.Loop() {
				round++
				away.Store(true)
				parallel(b, entries, func(n int) error {
					_, err := v.Put(b.Context(), vault.Name(fmt.Sprintf("a-%d-%d", round, n)), strings.NewReader(strings.Repeat("v", 64)), nil)
					if kept := (*vault.SpooledError)(nil); !errors.As(err, &kept) {
						return fmt.Errorf("put without a store: %w", err)
					}
					return nil
				})
				away.Store(false)
				start := time.Now()
				sum, err := sp.Sync(b.Context(), v, nil)
				flush += time.Since(start)
				if err != nil || sum.Sent != entries {
					b.Fatalf("%+v, %v", sum, err)
				}
				start = time.Now()
				parallel(b, entries, func(n int) error {
					_, err := v.Put(b.Context(), vault.Name(fmt.Sprintf("b-%d-%d", round, n)), strings.NewReader(strings.Repeat("v", 64)), &vault.PutOptions{Spool: vault.SpoolOff})
					return err
				})
				puts += time.Since(start)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(flush.Milliseconds())/float64(round), "flush-ms")
			b.ReportMetric(float64(puts.Milliseconds())/float64(round), "puts-ms")
			b.ReportMetric(float64(puts)/float64(flush), "ratio")
		})
	}
}

// parallel calls do for the numbers below n, 16 at once.
func parallel(b *testing.B, n int, do func(int) error) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := do(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
