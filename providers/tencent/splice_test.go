package tencent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// splicedSize is the length of a value whose payload is not sent in a rewrap.
const splicedSize = 20 << 20

// A rewrapTest is an object whose key source is to be replaced.
type rewrapTest struct {
	server       *costest.Server
	former, next *kek.Local
}

func newRewrapTest(t *testing.T, versioning string) *rewrapTest {
	r := &rewrapTest{newServer(t, &costest.Options{Versioning: versioning}), kek.NewLocal(kek.RandomRoot()), kek.NewLocal(kek.RandomRoot())}
	if _, err := r.vault(t, open(t, config(r.server, owner(r.server))), r.former).Put(t.Context(), "x", noise(9, splicedSize), nil); err != nil {
		t.Fatal(err)
	}
	r.server.Reset()
	return r
}

func (r *rewrapTest) vault(t *testing.T, s *vault.Store, source envelope.KeySource) *vault.Vault {
	t.Helper()
	v, err := vault.New(s, "acme", []envelope.KeySource{source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// rewrap replaces the key source.
func (r *rewrapTest) rewrap(ctx context.Context, t *testing.T, s *vault.Store) error {
	t.Helper()
	_, err := r.vault(t, s, r.former).Rewrap(ctx, "x", &vault.RewrapOptions{Add: []envelope.KeySource{r.next}, Remove: []envelope.KeySource{r.former}, NoOtherWriters: s.Swap == nil})
	return err
}

// want checks which of the two sources opens the object.
func (r *rewrapTest) want(t *testing.T, rewrapped bool) {
	t.Helper()
	can, cannot := r.former, r.next
	if rewrapped {
		can, cannot = r.next, r.former
	}
	s := open(t, config(r.server, owner(r.server)))
	if _, err := r.vault(t, s, cannot).Get(t.Context(), "x", nil); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("the other key: %v, want %v", err, envelope.ErrUnknownKey)
	}
	body, err := r.vault(t, s, can).Get(t.Context(), "x", nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	want, _ := io.ReadAll(noise(9, splicedSize))
	if err != nil || string(got) != string(want) {
		t.Errorf("the object has another value of %d bytes (%v)", len(got), err)
	}
}

// TestRewrap replaces the key source of a large object. The payload stays in the bucket.
func TestRewrap(t *testing.T) {
	t.Parallel()
	for _, versioning := range []string{"", "Enabled", "Suspended"} {
		t.Run(fmt.Sprintf("%q", versioning), func(t *testing.T) {
			t.Parallel()
			r := newRewrapTest(t, versioning)
			meter := testcloud.NewMeter(r.server.URL())
			t.Cleanup(func() { meter.Close() })
			c := config(r.server, owner(r.server))
			c.Endpoint = meter.URL
			if err := r.rewrap(t.Context(), t, open(t, c)); err != nil {
				t.Fatal(err)
			}
			if n := meter.Bytes(); n < 10<<20 || n > 11<<20 {
				t.Errorf("%d bytes were sent and received, want at most %d", n, 11<<20)
			}
			r.want(t, true)
		})
	}
}

// TestRewrapRefused: COS refuses to copy a part.
func TestRewrapRefused(t *testing.T) {
	t.Parallel()
	for _, versioning := range []string{"", "Enabled"} {
		for _, tc := range []struct {
			name, code string
			status     int
			want       error // nil: the object is sent through the client
		}{
			{"source changed", "PreconditionFailed", 412, vault.ErrConflict},
			{"source deleted", "NoSuchCopySource", 404, vault.ErrConflict},
			{"source deleted", "NoSuchKey", 404, vault.ErrConflict},
			{"source version deleted", "NoSuchVersion", 404, vault.ErrConflict},
			{"source too short", "InvalidRange", 416, vault.ErrConflict},
			{"upload aborted", "NoSuchUpload", 404, vault.ErrUnavailable},
			{"denied", "AccessDenied", 403, nil},
			{"source refused", "InvalidCopySource", 400, nil},
			{"not implemented", "NotImplemented", 501, nil},
		} {
			t.Run(fmt.Sprintf("%s %s %q", tc.name, tc.code, versioning), func(t *testing.T) {
				t.Parallel()
				r := newRewrapTest(t, versioning)
				var hits atomic.Int32
				r.server.SetRule(func(q *costest.Request) *costest.Fault {
					if q.Action == "UploadPartCopy" && hits.Add(1) == 1 {
						return costest.RespondBefore(tc.status, costest.ErrorXML(tc.code, "no"))
					}
					return nil
				})
				err := r.rewrap(t.Context(), t, open(t, config(r.server, owner(r.server))))
				r.server.SetRule(nil)
				if !errors.Is(err, tc.want) || tc.want == nil && err != nil || errors.Is(err, vault.ErrUnsure) || hits.Load() == 0 {
					t.Errorf("rewrap: %v, want %v", err, tc.want)
				}
				r.want(t, tc.want == nil)
			})
		}
	}
}

// TestRewrapInterrupted: the context ends while COS copies. The old object stays, and no upload remains.
func TestRewrapInterrupted(t *testing.T) {
	t.Parallel()
	for _, versioning := range []string{"", "Enabled"} {
		r := newRewrapTest(t, versioning)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r.server.SetRule(func(q *costest.Request) *costest.Fault {
			if q.Action == "UploadPartCopy" {
				cancel()
			}
			return nil
		})
		if err := r.rewrap(ctx, t, open(t, config(r.server, owner(r.server)))); !errors.Is(err, context.Canceled) {
			t.Errorf("rewrap: %v, want %v", err, context.Canceled)
		}
		r.server.SetRule(nil)
		r.want(t, false)
		if left := r.server.Uploads(r.server.Bucket()); len(left) > 0 {
			t.Errorf("remaining uploads: %v", left)
		}
	}
}

// TestRewrapWithoutRegion: without a region the source of a copy has no name, and the object is sent
// through the client.
func TestRewrapWithoutRegion(t *testing.T) {
	t.Parallel()
	r := newRewrapTest(t, "Enabled")
	c := config(r.server, owner(r.server))
	c.Region = ""
	if err := r.rewrap(t.Context(), t, open(t, c)); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(r.server.Requests(), func(q costest.Request) bool { return q.Action == "UploadPartCopy" }) {
		t.Error("a part was copied")
	}
	r.want(t, true)
}

// TestSpliceOtherTenant: a tenant cannot copy an object of another tenant into its own.
func TestSpliceOtherTenant(t *testing.T) {
	w := newTenantServer(t, "Enabled", "acme", "globex")
	s, err := tencent.Open(t.Context(), w.config("acme"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const key = "bots/globex/credentials/x.enc"
	if _, err := ownerClient(t, w.Server).Object.Put(t.Context(), key, strings.NewReader(strings.Repeat("secret", 1<<20)), nil); err != nil {
		t.Fatal(err)
	}
	_, err = s.Splice.Splice(t.Context(), key, vault.Splice{Tag: "v", Conditional: true, Start: make([]byte, 5<<20), From: 5 << 20, Size: 6 << 20})
	if err := s.Explain(err); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("splice: %v, want %v", err, vault.ErrPermission)
	}
}
