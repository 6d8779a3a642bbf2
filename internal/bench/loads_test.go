package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

func benchServer(b *testing.B, t target, big int) {
	raw, v := bothSides(b, t)
	benchObjects(b, raw, v)
	b.Run("list/10000", func(b *testing.B) { benchList(b, raw, v) })
	b.Run("1GiB", func(b *testing.B) { benchBig(b, raw, v, big) })
}

// bothSides opens a bucket for each side.
func bothSides(b *testing.B, t target) (sdk, vaultSide) {
	b.Helper()
	raw, err := newSDK(t)
	if err != nil {
		b.Fatal(err)
	}
	v, closeStore, err := newVaultSide(b.Context(), t)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeStore() })
	return raw, v
}

// benchObjects puts values from memory, and gets the same objects.
func benchObjects(b *testing.B, raw sdk, v vaultSide) {
	for _, c := range []struct {
		name string
		size int64
		load load
	}{
		{"1KiB/workers=1", kib, load{workers: 1, each: 1, rounds: 1}},
		{"1KiB/workers=16", kib, load{workers: 16, each: 8, rounds: 1}},
		{"8MiB/workers=1", 8 * mib, load{workers: 1, each: 1, rounds: 1, bytes: 8 * mib}},
	} {
		value := make([]byte, c.size)
		io.ReadFull(pattern{}, value)
		// Each worker has its own object, because writers of one object would wait for each other.
		name := func(worker int) string { return fmt.Sprintf("%d-%d", c.size, worker) }
		putRaw := func(ctx context.Context, worker int) error { return raw.put(ctx, "raw/"+name(worker), value) }
		putVault := func(ctx context.Context, worker int) error {
			return v.put(ctx, vault.Name(name(worker)), bytes.NewReader(value))
		}
		b.Run("put/"+c.name, func(b *testing.B) {
			compare(b, c.load, work{"raw", putRaw}, work{"vault", putVault})
		})
		b.Run("get/"+c.name, func(b *testing.B) {
			for i := range c.load.workers { // put may not have been selected
				for _, put := range []func(context.Context, int) error{putRaw, putVault} {
					if err := put(b.Context(), i); err != nil {
						b.Fatal(err)
					}
				}
			}
			compare(b, c.load,
				work{"raw", func(ctx context.Context, worker int) error { return raw.get(ctx, "raw/"+name(worker), c.size) }},
				work{"vault", func(ctx context.Context, worker int) error { return v.get(ctx, vault.Name(name(worker)), c.size) }})
		})
	}
}

// benchList lists the same keys on both sides.
func benchList(b *testing.B, raw sdk, v vaultSide) {
	const n, writers = 10_000, 16
	var all sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += writers {
				errs[w] = raw.put(b.Context(), fmt.Sprintf("%slisted/%05d.enc", objects, i), []byte("x"))
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	compare(b, load{workers: 1, each: 1, rounds: 4},
		work{"raw", func(ctx context.Context, _ int) error { return raw.list(ctx, objects+"listed/", n) }},
		work{"vault", func(ctx context.Context, _ int) error { return v.list(ctx, "listed/", n) }})
}

// benchBig streams an object, so neither side keeps it in memory. An iteration has several rounds,
// because a single round has no median.
func benchBig(b *testing.B, raw sdk, v vaultSide, rounds int) {
	l := load{workers: 1, each: 1, rounds: rounds, bytes: gib, cold: true}
	putRaw := func(ctx context.Context, _ int) error { return raw.upload(ctx, "raw/big", gib) }
	putVault := func(ctx context.Context, _ int) error { return v.put(ctx, "big", io.LimitReader(pattern{}, gib)) }
	stored := false
	b.Run("put", func(b *testing.B) {
		compare(b, l, work{"raw", putRaw}, work{"vault", putVault})
		stored = true
	})
	b.Run("get", func(b *testing.B) {
		if !stored { // put was not selected
			if err := errors.Join(putRaw(b.Context(), 0), putVault(b.Context(), 0)); err != nil {
				b.Fatal(err)
			}
		}
		compare(b, l,
			work{"raw", func(ctx context.Context, _ int) error { return raw.get(ctx, "raw/big", gib) }},
			work{"vault", func(ctx context.Context, _ int) error { return v.get(ctx, "big", gib) }})
	})
}

// benchMemory reports the peak resident memory of a process that puts or gets 1 GiB: the command,
// with the store and its keys in the environment, and the SDK alone.
func benchMemory(b *testing.B, t target, store string, env ...string) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	alone := func(op string) *exec.Cmd {
		env, err := childTask{t, op, "raw/memory", gib}.env()
		if err != nil {
			b.Fatal(err)
		}
		c := exec.Command(self)
		c.Env, c.Stderr = []string{env}, os.Stderr
		return c
	}
	base := newCommand(b)
	mustRun(b, base("init", "--quiet"))
	command := func(args ...string) *exec.Cmd {
		c := base(append(args, "--quiet", "--store", store)...)
		c.Env = append(c.Env, env...)
		return c
	}
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			put := command("put", "memory")
			put.Stdin = io.LimitReader(pattern{}, gib)
			b.ReportMetric(watch(b, put), "vault-peak-MiB")
			b.ReportMetric(watch(b, alone("put")), "raw-peak-MiB")
		}
		b.ReportMetric(0, "ns/op")
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			var w discard
			get := command("get", "memory")
			get.Stdout = &w
			b.ReportMetric(watch(b, get), "vault-peak-MiB")
			if w.n != gib {
				b.Fatalf("got %d bytes of 1 GiB", w.n)
			}
			b.ReportMetric(watch(b, alone("get")), "raw-peak-MiB")
		}
		b.ReportMetric(0, "ns/op")
	})
}
