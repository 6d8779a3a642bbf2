package aws_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestLostAnswers: the server applies a request or not, and the client gets another response. The
// result of the vault must match the state of the store.
func TestLostAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	owner := testcloud.S3Client(server.URL, server.Root)
	internal := testcloud.ErrorXML("InternalError", "We encountered an internal error. Please try again.")
	faults := []struct {
		name  string
		fault func() *testcloud.Fault
		lost  bool // the server never receives the request
		large bool // only for multipart uploads
	}{
		{"500 and applied", func() *testcloud.Fault { return testcloud.ApplyThen(500, internal) }, false, false},
		{"500 and not applied", func() *testcloud.Fault { return testcloud.RespondBefore(500, internal) }, true, false},
		{"connection lost and applied", testcloud.DropAfter, false, false},
		{"connection lost and not applied", testcloud.DropBefore, true, false},
		{"200 with an error and applied", func() *testcloud.Fault { return testcloud.ApplyThen(200, internal) }, false, true},
	}
	const small, large = 1000, 20 << 20
	for _, tc := range []struct {
		name string
		size int64
		hit  func(*http.Request) bool
		o    func(revision int64) *vault.PutOptions
		old  bool // an object exists before
	}{
		{"put", small, isPut, func(int64) *vault.PutOptions { return nil }, true},
		{"create", small, isPut, func(int64) *vault.PutOptions { return &vault.PutOptions{Create: true} }, false},
		{"put if revision", small, isPut, func(r int64) *vault.PutOptions { return &vault.PutOptions{IfRevision: r} }, true},
		{"multipart put", large, isComplete, func(int64) *vault.PutOptions { return nil }, true},
		{"multipart create", large, isComplete, func(int64) *vault.PutOptions { return &vault.PutOptions{Create: true} }, false},
		{"multipart put if revision", large, isComplete, func(r int64) *vault.PutOptions { return &vault.PutOptions{IfRevision: r} }, true},
	} {
		for _, f := range faults {
			if f.large && tc.size != large {
				continue
			}
			t.Run(tc.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				proxy := testcloud.NewProxy(server.URL, nil)
				t.Cleanup(func() { proxy.Close() })
				v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
				name := vault.Name(strings.ReplaceAll(t.Name(), " ", "-"))
				var old vault.Info
				if tc.old {
					var err error
					if old, err = v.Put(t.Context(), name, noise(5, 500), nil); err != nil {
						t.Fatal(err)
					}
				}
				done := loseOne(proxy, tc.hit, f.fault)
				_, err := v.Put(t.Context(), name, noise(6, tc.size), tc.o(old.Revision))
				if !done.Load() {
					t.Fatal("no response was lost")
				}
				// A large value is streamed, and cannot be sent again.
				if f.lost && tc.size == large {
					// The request may be applied later, so a missing object proves nothing.
					if !errors.Is(err, vault.ErrUnsure) {
						t.Errorf("put: %v, want %v", err, vault.ErrUnsure)
					}
					r, err := v.Get(t.Context(), name, nil)
					switch {
					case tc.old && err != nil, !tc.old && !errors.Is(err, vault.ErrNotFound):
						t.Errorf("get: %v", err)
					case tc.old:
						defer r.Close()
						if sum(t, r) != sum(t, noise(5, 500)) {
							t.Error("the previous object has another value")
						}
					}
				} else {
					if err != nil {
						t.Errorf("put: %v", err)
					}
					r, err := v.Get(t.Context(), name, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					if sum(t, r) != sum(t, noise(6, tc.size)) {
						t.Error("the object has another value")
					}
				}
			})
		}
	}
	t.Cleanup(func() { noOrphans(t, owner, bucket) })
}

// loseOne injects a fault into the first request that hit accepts, and returns a function that
// reports whether this has happened.
func loseOne(p *testcloud.Proxy, hit func(*http.Request) bool, fault func() *testcloud.Fault) *atomic.Bool {
	done := new(atomic.Bool)
	p.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
		if hit(r) && done.CompareAndSwap(false, true) {
			return fault()
		}
		return nil
	})
	return done
}

func isPut(r *http.Request) bool { return r.Method == http.MethodPut }

// TestLostDeletion: if the response to a deletion is lost, the deletion is repeated, and succeeds.
func TestLostDeletion(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	for name, fault := range map[string]func() *testcloud.Fault{"applied": testcloud.DropAfter, "not applied": testcloud.DropBefore} {
		t.Run(name, func(t *testing.T) {
			proxy := testcloud.NewProxy(server.URL, nil)
			t.Cleanup(func() { proxy.Close() })
			v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
			if _, err := v.Put(t.Context(), "openai", noise(7, 10), nil); err != nil {
				t.Fatal(err)
			}
			done := loseOne(proxy, func(r *http.Request) bool { return r.Method == http.MethodDelete }, fault)
			if err := v.Delete(t.Context(), "openai", nil); err != nil || !done.Load() {
				t.Errorf("delete: %v, lost is %v", err, done.Load())
			}
			if _, err := v.Stat(t.Context(), "openai"); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("stat: %v, want %v", err, vault.ErrNotFound)
			}
		})
	}
}

// TestChecksums: a server that is not AWS gets only the checksums that are required.
func TestChecksums(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
	for _, o := range []*vault.PutOptions{nil, {Create: true}} {
		for _, size := range []int64{100, 20 << 20} {
			if _, err := v.Put(t.Context(), vault.Name("n"+strings.Repeat("x", int(size%97))), noise(8, size), o); err != nil && o == nil {
				t.Fatal(err)
			}
		}
	}
	uploads := 0
	for _, r := range proxy.Requests() {
		if r.Method != http.MethodPut {
			continue
		}
		uploads++
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Amz-Checksum") || strings.HasPrefix(name, "X-Amz-Trailer") || strings.HasPrefix(name, "X-Amz-Sdk-Checksum") {
				t.Errorf("%s has %s", r, name)
			}
		}
	}
	if uploads < 8 {
		t.Errorf("%d uploads", uploads)
	}
}
