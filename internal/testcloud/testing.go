package testcloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A TB contains the methods of [testing.TB] that the helpers need. Commands use this package, too,
// and must not link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
	Skip(args ...any)
}

// requireWithin limits the installation and the start of a server that a test requires. Building
// SeaweedFS takes longest; make test and testcloud install do this before the tests.
const requireWithin = 20 * time.Minute

// The first test that requires a shared server starts it, and Main stops it.
type shared[S interface{ Stop() error }] struct {
	once   sync.Once
	server S
	err    error
	runs   bool
}

// All tests of a binary share these servers, because starting one for each test would take minutes.
var (
	underMain     atomic.Bool
	sharedRGW     shared[*RGW]
	sharedVersity shared[*Versity]
	sharedWeed    shared[*Weed]
	sharedKMS     shared[*LocalKMS]
)

// Main runs the tests, stops the servers that they required, and returns the exit code.
//
//	func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }
func Main(m interface{ Run() int }) int {
	underMain.Store(true)
	code := m.Run()
	for _, stop := range []func() error{sharedRGW.stop, sharedVersity.stop, sharedWeed.stop, sharedKMS.stop} {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, "testcloud:", err)
			code = max(code, 1)
		}
	}
	return code
}

// RequireRGW returns the Ceph that all tests of this binary share. The first call installs and
// starts it, unless [Share] already runs one for many binaries. If this is impossible, the test is
// skipped, or fails if OBJECTVAULT_TEST_REQUIRE lists aws. The TestMain of the package must call
// [Main].
func RequireRGW(tb TB) *RGW {
	tb.Helper()
	return sharedRGW.require(tb, "Ceph RGW", InstallRGW, func(ctx context.Context) (*RGW, error) {
		p, err := running()
		switch {
		case err != nil:
			return nil, err
		case p.RGW != nil:
			return p.RGW.join(ctx)
		}
		r, err := StartRGW(ctx, nil)
		if err == nil {
			if warning := unknownCeph(r.Version); warning != "" {
				fmt.Fprintln(os.Stderr, "testcloud:", warning)
			}
		}
		return r, err
	})
}

// RequireVersity is [RequireRGW] for versitygw.
func RequireVersity(tb TB) *Versity {
	tb.Helper()
	return sharedVersity.require(tb, "versitygw", InstallVersity, func(ctx context.Context) (*Versity, error) {
		p, err := running()
		switch {
		case err != nil:
			return nil, err
		case p.Versity != nil:
			return p.Versity.join(ctx)
		}
		return StartVersity(ctx, nil)
	})
}

// RequireWeed is [RequireRGW] for SeaweedFS. Each binary has its own server, even with [Share]. The
// server trusts its Issuer, which has a name that AWS would accept.
func RequireWeed(tb TB) *Weed {
	tb.Helper()
	return sharedWeed.require(tb, "SeaweedFS", InstallWeed, func(ctx context.Context) (*Weed, error) {
		issuer := NewIssuer(&IssuerOptions{Name: WeedIssuer})
		w, err := StartWeed(ctx, &WeedOptions{Issuer: issuer})
		if err != nil {
			return nil, errors.Join(err, issuer.Close())
		}
		w.ownIssuer = issuer
		return w, nil
	})
}

// RequireLocalKMS is [RequireRGW] for local-kms. Each binary has its own server, even with [Share].
func RequireLocalKMS(tb TB) *LocalKMS {
	tb.Helper()
	return sharedKMS.require(tb, "local-kms", InstallLocalKMS, func(ctx context.Context) (*LocalKMS, error) {
		return StartLocalKMS(ctx, nil)
	})
}

func (s *shared[S]) require(tb TB, name string, install func(context.Context, io.Writer) error, start func(context.Context) (S, error)) S {
	tb.Helper()
	if !underMain.Load() {
		tb.Fatal("TestMain must call testcloud.Main, which stops the server")
	}
	s.once.Do(func() {
		// The server outlives the test that starts it.
		ctx, cancel := context.WithTimeout(context.Background(), requireWithin)
		defer cancel()
		if s.err = install(ctx, nil); s.err != nil {
			return
		}
		s.server, s.err = start(ctx)
		s.runs = s.err == nil
	})
	if s.err != nil {
		why := fmt.Sprintf("no %s: %v", name, s.err)
		if slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "aws") {
			tb.Fatal(why)
		}
		tb.Skip(why)
	}
	return s.server
}

func (s *shared[S]) stop() error {
	if !s.runs {
		return nil
	}
	return s.server.Stop()
}

// NewBucket creates a bucket with a unique name. After the test it tries to remove the bucket with
// its content.
func NewBucket(tb TB, endpoint string, k Keys, versioned bool) string {
	tb.Helper()
	ctx, client, bucket := context.Background(), S3Client(endpoint, k), "ov-"+strings.ToLower(rand.Text()[:16])
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		tb.Fatal(fmt.Sprintf("create bucket %s: %v", bucket, err))
	}
	tb.Cleanup(func() { RemoveBucket(endpoint, k, bucket) })
	if versioned {
		_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
		if err != nil {
			tb.Fatal(fmt.Sprintf("enable versioning of %s: %v", bucket, err))
		}
	}
	return bucket
}

// RemoveBucket tries to remove a bucket with its content. If this fails, the bucket is lost when
// the server stops.
func RemoveBucket(endpoint string, k Keys, bucket string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	once := S3Client(endpoint, k, func(o *s3.Options) { o.RetryMaxAttempts = 1 }) // the server may have been stopped
	removeBucket(ctx, once, bucket)
}

// removeBucket stops at the first error.
func removeBucket(ctx context.Context, client *s3.Client, bucket string) error {
	uploads := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if _, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
				return err
			}
		}
	}
	versions := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for versions.HasMorePages() {
		page, err := versions.NextPage(ctx)
		if err != nil {
			return err
		}
		var all []types.ObjectIdentifier
		for _, v := range page.Versions {
			all = append(all, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			all = append(all, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if len(all) == 0 {
			continue
		}
		if _, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: all}}); err != nil {
			return err
		}
	}
	_, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return err
}
