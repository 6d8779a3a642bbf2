package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// BenchmarkGrowth measures operations on a store with up to a million names in one collection: list, the
// vault ls process, the history of one name after the other, a teardown, and a purge of what the
// teardown left. us/name is the time per name, which should not depend on the number of names. The
// objects of a file:// store are hard links of one object, which are made without a sync. A teardown
// syncs several files for each name, which takes an hour for a million names on a disk: make
// bench-growth uses a TMPDIR in memory. Each number of names is measured once.
func BenchmarkGrowth(b *testing.B) {
	for _, s := range []struct {
		name string
		fill func(b *testing.B, n int) *grown
	}{{"file", growFiles}, {"mem", growMemory}} {
		for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", s.name, n), func(b *testing.B) {
				g := s.fill(b, n)
				b.Run("list", g.list)
				if g.dir != "" {
					b.Run("ls", g.ls)
				}
				b.Run("history", g.history)
				b.Run("teardown", func(b *testing.B) { g.teardown(b, false) })
				b.Run("purge", func(b *testing.B) { g.teardown(b, true) })
			})
		}
	}
}

// A grown is a store with n names.
type grown struct {
	*vault.Vault
	dir string // of a file:// store
	n   int
}

func (g *grown) name(i int) vault.Name { return vault.Name(fmt.Sprintf("name-%07d", i)) }

func (g *grown) open(b *testing.B, c memfs.Config) *vault.Store {
	store, err := memfs.Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	if g.Vault, err = vault.New(store, tenant, []envelope.KeySource{kek.InsecureFixed()}, nil); err != nil {
		b.Fatal(err)
	}
	if _, err := g.Put(b.Context(), g.name(0), io.LimitReader(pattern{}, 64), nil); err != nil {
		b.Fatal(err)
	}
	return store
}

// growFiles creates the names directly in the directory of the store.
func growFiles(b *testing.B, n int) *grown {
	g := &grown{dir: filepath.Join(b.TempDir(), "store"), n: n}
	g.open(b, memfs.Config{Dir: g.dir})
	path := func(i int) string {
		return filepath.Join(g.dir, filepath.FromSlash(objects), string(g.name(i))+".enc")
	}
	first := path(0)
	for i := 1; i < n; i++ {
		err := error(nil)
		if i%30_000 == 0 { // ext4 allows 65,000 names of a file
			err = copyFile(path(i), first)
			first = path(i)
		} else {
			err = os.Link(first, path(i))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return g
}

func copyFile(to, from string) error {
	value, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, value, 0o600)
}

func growMemory(b *testing.B, n int) *grown {
	g := &grown{n: n}
	store := g.open(b, memfs.Config{})
	key := func(i int) string { return objects + string(g.name(i)) + ".enc" }
	value, err := store.Bucket.ReadAll(b.Context(), key(0))
	for i := 1; i < n && err == nil; i++ {
		err = store.Bucket.WriteAll(b.Context(), key(i), value, &blob.WriterOptions{ContentType: "application/octet-stream"})
	}
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// measure calls do once, and reports the time for each of n names.
func (g *grown) measure(b *testing.B, n int, do func(ctx context.Context) error) {
	b.Helper()
	start, cpu := time.Now(), cpuTime()
	if err := do(b.Context()); err != nil {
		b.Fatal(err)
	}
	report(b, n, time.Since(start), cpuTime()-cpu)
}

func report(b *testing.B, n int, took, cpu time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds(), "s")
	b.ReportMetric(float64(took)/float64(n)/1e3, "us/name")
	if cpu > 0 {
		b.ReportMetric(float64(cpu)/float64(n)/1e3, "cpu-us/name")
	}
}

func (g *grown) list(b *testing.B) {
	g.measure(b, g.n, func(ctx context.Context) error { return vaultSide{g.Vault}.list(ctx, "", g.n) })
}

func (g *grown) ls(b *testing.B) {
	command := newCommand(b)
	mustRun(b, command("init", "--quiet"))
	c := command("ls", "--quiet", "--tenant", tenant, "--store", "file://"+g.dir)
	lines := new(lineCount)
	c.Stdout = lines
	start := time.Now()
	peak := watch(b, c)
	report(b, g.n, time.Since(start), c.ProcessState.UserTime()+c.ProcessState.SystemTime())
	b.ReportMetric(peak, "peak-MiB")
	if err := count(lines.n, g.n); err != nil {
		b.Fatal(err)
	}
}

type lineCount struct{ n int }

func (l *lineCount) Write(p []byte) (int, error) {
	l.n += strings.Count(string(p), "\n")
	return len(p), nil
}

// history reads the history of as many names at each number of names.
func (g *grown) history(b *testing.B) {
	const most = 10_000
	n := min(g.n, most)
	g.measure(b, n, func(ctx context.Context) error {
		found := 0
		for i := range n {
			for e, err := range g.History(ctx, g.name(i*(g.n/n))) {
				if err != nil {
					return err
				}
				if e.Current && !e.Damaged {
					found++
				}
			}
		}
		return count(found, n)
	})
}

func (g *grown) teardown(b *testing.B, purge bool) {
	g.measure(b, g.n, func(ctx context.Context) error {
		result, err := g.Teardown(ctx, &vault.TeardownOptions{Purge: purge})
		if err != nil {
			return err
		}
		if purge {
			return count(result.Purged, g.n)
		}
		return count(result.Deleted, g.n)
	})
}
