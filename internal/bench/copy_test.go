package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/internal/ordered"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// BenchmarkCopy compares a copy between a directory and S3, and a verify of S3, with the SDK alone, which
// moves as many bytes to or from the same server, versitygw. ratio is the throughput of the vault divided
// by that of the SDK. requests/object are those of the vault to the two stores, with the lists.
func BenchmarkCopy(b *testing.B) {
	t := startVersity(b)
	t.Bucket = "bench"
	raw := newS3(t)
	if _, err := raw.client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &t.Bucket}); err != nil {
		b.Fatal(err)
	}
	remote, err := openS3(b.Context(), t)
	if err != nil {
		b.Fatal(err)
	}
	defer remote.Close()
	dir := b.TempDir()
	local, err := memfs.Open(b.Context(), memfs.Config{Dir: filepath.Join(dir, "vault"), Versions: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer local.Close()
	for _, size := range []struct {
		name string
		n    int
		each int64
	}{{"1GiB", 1, gib}, {"10000x1KiB", 10_000, kib}} {
		c := &copyBench{raw: raw, remote: remote, local: local, n: size.n, each: size.each, dir: dir, collection: vault.Collection(strings.ToLower(size.name))}
		b.Run(size.name+"/to-S3", func(b *testing.B) { c.fill(b, local); c.run(b, remote, c.rawPut, c.copy(b, remote, local)) })
		b.Run(size.name+"/from-S3", func(b *testing.B) { c.fill(b, remote); c.run(b, local, c.rawGetToFile, c.copy(b, local, remote)) })
		b.Run(size.name+"/verify", func(b *testing.B) { c.fill(b, remote); c.run(b, nil, c.rawGet, c.verify(b)) })
	}
}

// A copyBench is a number of objects of one size.
type copyBench struct {
	raw           *s3Side
	remote, local *vault.Store
	n             int
	each          int64
	dir           string
	collection    vault.Collection
	requests      atomic.Int64 // of the vault
}

func (c *copyBench) vault(b *testing.B, s *vault.Store) *vault.Vault {
	s = intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		c.requests.Add(1)
		return do()
	}})
	v, err := vault.New(s, tenant, []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Collection: c.collection})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func (c *copyBench) name(i int) vault.Name { return vault.Name(fmt.Sprintf("object-%05d", i)) }

func (c *copyBench) rawKey(i int) string { return fmt.Sprintf("raw/%s/%05d", c.collection, i) }

// fill stores the objects in a store, and makes sure that the objects of the SDK exist.
func (c *copyBench) fill(b *testing.B, s *vault.Store) {
	v := c.vault(b, s)
	if _, err := v.Stat(b.Context(), c.name(c.n)); err == nil {
		return
	}
	parallel(b, c.n, func(i int) error {
		_, err := v.Put(b.Context(), c.name(i), io.LimitReader(pattern{}, c.each), nil)
		return err
	})
	if err := c.rawPut(b); err != nil {
		b.Fatal(err)
	}
}

func (c *copyBench) rawPut(b *testing.B) error {
	if c.n == 1 {
		return c.raw.upload(b.Context(), c.rawKey(1), c.each)
	}
	value := make([]byte, c.each)
	parallel(b, c.n, func(i int) error { return c.raw.put(b.Context(), c.rawKey(i), value) })
	return nil
}

func (c *copyBench) rawGet(b *testing.B) error {
	parallel(b, c.n, func(i int) error { return c.raw.get(b.Context(), c.rawKey(i), c.each) })
	return nil
}

// rawGetToFile stores each object in a file, as durably as a vault does.
func (c *copyBench) rawGetToFile(b *testing.B) error {
	dir, err := os.MkdirTemp(c.dir, "raw")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	parallel(b, c.n, func(i int) error {
		key := c.rawKey(i)
		out, err := c.raw.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &c.raw.Bucket, Key: &key})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		_, err = io.Copy(f, out.Body)
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
		if d, derr := os.Open(dir); derr == nil {
			err = errors.Join(err, d.Sync(), d.Close())
		}
		return err
	})
	return nil
}

// copy copies everything into an empty destination.
func (c *copyBench) copy(b *testing.B, dst, src *vault.Store) func(*testing.B) error {
	to, from := c.vault(b, dst), c.vault(b, src)
	return func(b *testing.B) error {
		copied := 0
		for r, err := range vault.Copy(b.Context(), to, from, &vault.CopyOptions{Mode: vault.CopyForce}) {
			if err := errors.Join(err, r.Err); err != nil {
				return err
			}
			if r.Status == vault.CopyCopied && r.Opened {
				copied++
			}
		}
		return count(copied, c.n)
	}
}

// verify opens every object, 16 at once, as vault verify --jobs 16 does.
func (c *copyBench) verify(b *testing.B) func(*testing.B) error {
	v := c.vault(b, c.remote)
	return func(b *testing.B) error {
		opened := 0
		list := func(ctx context.Context) iter.Seq2[vault.Entry, error] { return v.List(ctx, nil) }
		get := func(ctx context.Context, e vault.Entry) error { return vaultSide{v}.get(ctx, e.Name, c.each) }
		for err, lerr := range ordered.Map(b.Context(), 16, list, get) {
			if err := errors.Join(err, lerr); err != nil {
				return err
			}
			opened++
		}
		return count(opened, c.n)
	}
}

// run lets both sides take turns. The objects of dst are removed before each turn.
func (c *copyBench) run(b *testing.B, dst *vault.Store, rawSide, vaultSide func(*testing.B) error) {
	var rawTime, vaultTime time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		if dst != nil {
			if _, err := c.vault(b, dst).Teardown(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
		time1, err := timed(b, rawSide)
		if err != nil {
			b.Fatal(err)
		}
		c.requests.Store(0)
		time2, err := timed(b, vaultSide)
		if err != nil {
			b.Fatal(err)
		}
		rawTime, vaultTime = rawTime+time1, vaultTime+time2
	}
	total := float64(c.each) * float64(c.n) * float64(rounds) / 1e6
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(total/rawTime.Seconds(), "raw-MB/s")
	b.ReportMetric(total/vaultTime.Seconds(), "vault-MB/s")
	b.ReportMetric(rawTime.Seconds()/vaultTime.Seconds(), "ratio")
	b.ReportMetric(float64(c.requests.Load())/float64(c.n), "requests/object")
}

func timed(b *testing.B, do func(*testing.B) error) (time.Duration, error) {
	start := time.Now()
	err := do(b)
	return time.Since(start), err
}
