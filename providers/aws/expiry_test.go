package aws_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// A session is a tenant whose credentials a proxy makes expire. All exchanges and forwarded
// requests are real.
type session struct {
	*vault.Vault
	proxy     *testcloud.Proxy
	owner     *s3.Client
	bucket    string
	exchanges atomic.Int32
	reads     atomic.Int32 // number of reads of the token file
}

const expiringTenant = "0x00000000000000000000000000000000000000e1"

func newSession(t *testing.T) *session {
	t.Helper()
	rgw := testcloud.RequireRGW(t)
	ctx := t.Context()
	issuer := testcloud.NewIssuer(nil)
	t.Cleanup(func() { issuer.Close() })
	s := &session{proxy: testcloud.NewProxy(rgw.URL, nil), bucket: testcloud.NewBucket(t, rgw.URL, rgw.Owner, false), owner: testcloud.S3Client(rgw.URL, rgw.Owner)}
	t.Cleanup(func() { s.proxy.Close() })

	provider, err := rgw.CreateProvider(ctx, issuer.URL, issuer.Thumbprint(), testcloud.Audience)
	if err != nil {
		t.Fatal(err)
	}
	name := "expiry-" + s.bucket
	role, err := rgw.CreateRole(ctx, name, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Federated":[%q]},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"]}]}`, provider))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rgw.DeleteRole(context.Background(), name)
		rgw.DeleteProvider(context.Background(), provider)
	})
	if err := rgw.PutRolePolicy(ctx, name, "tenant", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload"],"Resource":["arn:aws:s3:::%[1]s/bots/%[2]s/*"]},
		{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::%[1]s"],"Condition":{"StringLike":{"s3:prefix":"bots/%[2]s/*"}}}]}`,
		s.bucket, expiringTenant)); err != nil {
		t.Fatal(err)
	}

	exchange, err := aws.NewExchanger(ctx, aws.Role{ARN: role, Endpoint: s.proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	claims := testcloud.AgentClaims(expiringTenant)
	claims.Subject += "/" + s.bucket // a different subject for each parallel test, because Ceph creates a user for it
	if err := os.WriteFile(token, []byte(issuer.Mint(claims)), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := federation.ParseSource("file:"+token, &federation.SourceOptions{ReadFile: func(name string) ([]byte, error) {
		s.reads.Add(1)
		return os.ReadFile(name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	identity := federation.NewProvider(source, exchange, &federation.Options{
		Expect:  federation.Expectation{Audience: testcloud.Audience, Tenant: expiringTenant},
		Observe: func(federation.Token, federation.Credentials) { s.exchanges.Add(1) },
	})
	s.Vault = newVault(t, open(t, aws.Config{Bucket: s.bucket, Endpoint: s.proxy.URL, Identity: identity}), expiringTenant)
	return s
}

// refreshed checks that there were two exchanges with two reads of the token, and that the first
// credentials expired.
func (s *session) refreshed(t *testing.T) {
	t.Helper()
	expired := 0
	for _, r := range s.proxy.Requests() {
		if r.Status == 400 && !r.Applied {
			expired++
		}
	}
	if e, r := s.exchanges.Load(), s.reads.Load(); e != 2 || r != 2 || expired == 0 {
		t.Errorf("%d exchanges, %d reads of the token, %d responses ExpiredToken; want 2, 2, at least one", e, r, expired)
	}
}

// TestExpiryInList: the credentials expire on the second of three pages.
func TestExpiryInList(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	const n = 2100
	want := make([]string, n)
	jobs := make(chan int)
	done := make(chan error)
	for range 16 {
		go func() {
			var err error
			for i := range jobs {
				key := "bots/" + expiringTenant + "/credentials/" + want[i] + ".enc"
				if _, perr := s.owner.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: strings.NewReader("x")}); perr != nil {
					err = perr
				}
			}
			done <- err
		}()
	}
	for i := range want {
		want[i] = fmt.Sprintf("name-%04d", i)
	}
	for i := range want {
		jobs <- i
	}
	close(jobs)
	for range 16 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	s.proxy.ExpireKeyAfter(1)
	var got []string
	for e, err := range s.List(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Name))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the list has %d names or wrong names, want %d names", len(got), n)
	}
	s.refreshed(t)
}

// noise returns n bytes that depend only on the seed.
func noise(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// isComplete reports whether a request completes a multipart upload.
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// TestExpiryInUpload: the credentials expire between the parts of 64 MiB, and at the complete.
func TestExpiryInUpload(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	for name, expire := range map[string]func(s *session){
		"between parts": func(s *session) { s.proxy.ExpireKeyAfter(4) },
		"on complete": func(s *session) {
			loseOne(s.proxy, isComplete, func() *testcloud.Fault {
				return testcloud.RespondBefore(400, testcloud.ErrorXML("ExpiredToken", "The provided token has expired."))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t)
			expire(s)
			if _, err := s.Put(t.Context(), "large", noise(1, size), nil); err != nil {
				t.Fatal(err)
			}
			s.refreshed(t)
			s.proxy.SetRule(nil)
			r, err := s.Get(t.Context(), "large", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, want := sum(t, r), sum(t, noise(1, size)); got != want {
				t.Error("the object has another value")
			}
			noOrphans(t, s.owner, s.bucket)
		})
	}
}

// TestExpiryInDownload: a download of 64 MiB is interrupted after its credentials have expired. It
// continues with new ones.
func TestExpiryInDownload(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	s := newSession(t)
	if _, err := s.Put(t.Context(), "large", noise(2, size), nil); err != nil {
		t.Fatal(err)
	}
	s.proxy.Reset()
	s.proxy.SetRule(func(r *http.Request, n int) *testcloud.Fault {
		if r.Method != http.MethodGet || n > 1 {
			return nil
		}
		return testcloud.CutBody(5 << 20) // of the 8 MiB of the first request
	})
	s.proxy.ExpireKeyAfter(1)
	r, err := s.Get(t.Context(), "large", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, want := sum(t, r), sum(t, noise(2, size)); got != want {
		t.Error("the read returned another value")
	}
	s.refreshed(t)
}

// noOrphans checks, as the owner of the bucket, that no multipart upload remains.
func noOrphans(t *testing.T, owner *s3.Client, bucket string) {
	t.Helper()
	out, err := owner.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		t.Errorf("the upload of %s remains", *u.Key)
	}
}

// TestNoOrphans: no parts remain after a failed upload.
func TestNoOrphans(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	owner := testcloud.S3Client(server.URL, server.Root)
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root), Parallel: 3}), "acme")
	const size = 40 << 20 // so that some parts are stored before another is sent
	for _, create := range []bool{false, true} {
		for name, put := range map[string]func(o *vault.PutOptions) error{
			"source fails": func(o *vault.PutOptions) error {
				_, err := v.Put(t.Context(), "large", io.MultiReader(noise(3, size), failing{}), o)
				return err
			},
			"context ends": func(o *vault.PutOptions) error {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := v.Put(ctx, "large", io.MultiReader(noise(3, size), reading(cancel), noise(3, size)), o)
				return err
			},
			"part refused": func(o *vault.PutOptions) error {
				proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
					if r.URL.Query().Get("partNumber") == "6" {
						return testcloud.RespondBefore(403, testcloud.ErrorXML("AccessDenied", "no"))
					}
					return nil
				})
				defer proxy.SetRule(nil)
				_, err := v.Put(t.Context(), "large", noise(3, size), o)
				return err
			},
			"complete refused": func(o *vault.PutOptions) error {
				proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
					if isComplete(r) {
						return testcloud.RespondBefore(412, testcloud.ErrorXML("PreconditionFailed", "no"))
					}
					return nil
				})
				defer proxy.SetRule(nil)
				_, err := v.Put(t.Context(), "large", noise(3, size), o)
				return err
			},
		} {
			t.Run(fmt.Sprint(name, " create ", create), func(t *testing.T) {
				proxy.Reset()
				if err := put(&vault.PutOptions{Create: create}); err == nil {
					t.Fatal("the upload succeeded")
				}
				parts := 0
				for _, r := range proxy.Requests() {
					if strings.Contains(r.Query, "partNumber=") && r.Status == 200 {
						parts++
					}
				}
				if parts == 0 {
					t.Error("no part was stored, so this test proves nothing")
				}
				noOrphans(t, owner, bucket)
				if _, err := v.Stat(t.Context(), "large"); err == nil {
					t.Error("an object exists")
				}
			})
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("the disk is on fire") }

// A reading is an empty reader that calls the function when it is read.
type reading func()

func (f reading) Read([]byte) (int, error) { f(); return 0, io.EOF }
