package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/kms/tencentkms"
	"github.com/objectvault/objectvault/envelope/kek/passphrase"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
	"github.com/objectvault/objectvault/internal/testcloud"
	ovaws "github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// keySources are the sources of BenchmarkKeys: local must be the first. The services run on this
// machine, so no network latency hides the time of the source itself.
var keySources = []struct {
	name string
	open func(b *testing.B) envelope.KeySource
}{
	{"local", func(*testing.B) envelope.KeySource { return kek.NewLocal(kek.RandomRoot()) }},
	{"passphrase", openPassphrase},
	{"signer", func(b *testing.B) envelope.KeySource { return openSigner(b, 0) }},
	{"tencentkms", openTencentKMS},
}

func openPassphrase(b *testing.B) envelope.KeySource {
	ask := func(context.Context) ([]byte, error) { return []byte("stone lantern copper orbit meadow quill"), nil }
	e, err := passphrase.Enrol(b.Context(), passphrase.Config{Passphrase: ask})
	if err != nil {
		b.Fatal(err)
	}
	source, err := passphrase.New(passphrase.Config{Passphrase: ask, Enrolment: &e})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	return source
}

func openSigner(b *testing.B, keep time.Duration) envelope.KeySource {
	s, err := signertest.Start(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	c := signer.Config{URL: s.URL(), Omni: strings.Repeat("ab", 32), KeepFor: keep}
	e, err := signer.Enrol(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	c.Enrolment = &e
	source, err := signer.New(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	return source
}

func openTencentKMS(b *testing.B) envelope.KeySource {
	s, err := costest.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	c := tencentkms.Config{KeyID: s.NewKMSKey(), Region: s.Region(), Endpoint: s.URL(),
		Credentials: func(context.Context) (string, string, string, error) { return s.SecretID(), s.SecretKey(), "", nil }}
	e, err := tencentkms.Enrol(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	c.Enrolment = &e
	source, err := tencentkms.New(c)
	if err != nil {
		b.Fatal(err)
	}
	return source
}

// BenchmarkKeys measures the time to seal and to open a credential of 64 bytes, by key source. first is
// the time of the first seal. ratio is the time of both as a multiple of the time with a root key,
// measured in turns.
func BenchmarkKeys(b *testing.B) {
	base := keySources[0].open(b)
	for _, k := range keySources {
		b.Run(k.name, func(b *testing.B) {
			source := k.open(b)
			first, _ := sealAndOpen(b, source, -1) // a passphrase runs Argon2id here, once
			sealAndOpen(b, base, -1)
			var sealing, opening, baseline time.Duration
			n := 0
			for b.Loop() {
				s, o := sealAndOpen(b, source, n)
				sealing, opening = sealing+s, opening+o
				s, o = sealAndOpen(b, base, n)
				baseline += s + o
				n++
			}
			b.ReportMetric(0, "ns/op") // of both sources together
			b.ReportMetric(float64(first.Microseconds()), "first-µs")
			b.ReportMetric(float64(sealing.Microseconds())/float64(n), "seal-µs")
			b.ReportMetric(float64(opening.Microseconds())/float64(n), "open-µs")
			b.ReportMetric(float64(sealing+opening)/float64(baseline), "ratio")
		})
	}
}

func sealAndOpen(b *testing.B, source envelope.KeySource, n int) (sealing, opening time.Duration) {
	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: fmt.Sprint("name-", n)}
	keys := []envelope.KeySource{source}
	var sealed bytes.Buffer
	start := time.Now()
	w, err := envelope.Seal(b.Context(), &sealed, ref, keys, nil)
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(w, strings.Repeat("v", 64))
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	sealing = time.Since(start)
	start = time.Now()
	r, err := envelope.Open(b.Context(), &sealed, ref, keys)
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n != 64 {
		b.Fatal(n, err)
	}
	return sealing, time.Since(start)
}

// rewrapStores are the stores of BenchmarkRewrap.
var rewrapStores = []struct {
	name string
	open func(b *testing.B) *vault.Store
}{
	{"file", func(b *testing.B) *vault.Store { return openMemfs(b, memfs.Config{Dir: b.TempDir()}) }},
	{"versitygw", openVersity},
	{"costest", openVersionedCOS},
}

func openVersity(b *testing.B) *vault.Store {
	v, err := testcloud.StartVersity(b.Context(), nil)
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { v.Stop() })
	bucket := "bench"
	client := testcloud.S3Client(v.URL, v.Root)
	if _, err := client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		b.Fatal(err)
	}
	store, err := ovaws.Open(b.Context(), ovaws.Config{Bucket: bucket, Endpoint: v.URL, Region: "us-east-1", Static: credentials.NewStaticCredentialsProvider(v.Root.AccessKeyID, v.Root.SecretKey, "")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

func openVersionedCOS(b *testing.B) *vault.Store {
	s, err := costest.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.SetVersioning(s.Bucket(), "Enabled"); err != nil {
		b.Fatal(err)
	}
	store, err := tencent.Open(b.Context(), tencent.Config{Bucket: s.Bucket(), Endpoint: s.URL(), Static: cosblob.Static(s.SecretID(), s.SecretKey(), "")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

// BenchmarkRewrap compares the rewrap of 1,000 objects of 64 bytes, 8 at once, with as many puts, and the
// rewrap of one object of 1 GiB with its put. ratio is the time of the rewrap divided by that of the puts.
func BenchmarkRewrap(b *testing.B) {
	for _, s := range rewrapStores {
		b.Run(s.name+"/small", func(b *testing.B) { benchmarkRewrap(b, s.open(b), 1000, 64) })
		b.Run(s.name+"/1GiB", func(b *testing.B) { benchmarkRewrap(b, s.open(b), 1, 1<<30) })
	}
}

func benchmarkRewrap(b *testing.B, store *vault.Store, objects int, size int64) {
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var puts, rewraps time.Duration
	for b.Loop() {
		start := time.Now()
		eachAtOnce(b, objects, func(ctx context.Context, name vault.Name) error {
			_, err := v.Put(ctx, name, io.LimitReader(pattern{}, size), nil)
			return err
		})
		puts += time.Since(start)
		add := &vault.RewrapOptions{Add: []envelope.KeySource{kek.NewLocal(kek.RandomRoot())}}
		start = time.Now()
		eachAtOnce(b, objects, func(ctx context.Context, name vault.Name) error {
			r, err := v.Rewrap(ctx, name, add)
			if err == nil && !r.Changed {
				err = fmt.Errorf("%s was not changed", name)
			}
			return err
		})
		rewraps += time.Since(start)
	}
	b.ReportMetric(0, "ns/op") // of both together
	b.ReportMetric(rewraps.Seconds()/float64(b.N), "rewrap-s")
	b.ReportMetric(float64(rewraps)/float64(puts), "ratio")
}

// eachAtOnce calls do for n names, 8 at once.
func eachAtOnce(b *testing.B, n int, do func(ctx context.Context, name vault.Name) error) {
	work := make(chan int)
	failed := make(chan error, n)
	for range 8 {
		go func() {
			for i := range work {
				failed <- do(b.Context(), vault.Name(fmt.Sprintf("name-%04d", i)))
			}
		}()
	}
	go func() {
		for i := range n {
			work <- i
		}
		close(work)
	}()
	for range n {
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
	}
}
