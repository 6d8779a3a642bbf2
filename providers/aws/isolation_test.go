package aws_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// cellsPerActor is the number of cells of the matrix for one tenant: 13 verbs of the SDK at 26
// places, and 10 verbs of a vault at the 6 places for which a vault has names.
const cellsPerActor = 13*26 + 10*6

// TestIsolation tries every verb at every place as one tenant, with a vault and with the SDK's
// client. At the tenant's own places, the verbs succeed. Elsewhere, the gateway denies them, and
// the objects of the other tenants do not change.
func TestIsolation(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	for _, versioned := range []bool{false, true} {
		bucket := "plain"
		if versioned {
			bucket = "versioned"
		}
		t.Run(bucket, func(t *testing.T) {
			t.Parallel()
			newSite(t, versioned).isolatesAll(t)
		})
	}
}

// isolatesAll runs the matrix for two actors.
func (s *site) isolatesAll(t *testing.T) {
	a, b, l := s.join(t, alice), s.join(t, bob), s.join(t, longer)
	t.Run("as alice", func(t *testing.T) { s.isolates(t, a, b, l) })
	t.Run("as longer", func(t *testing.T) { s.isolates(t, l, b, a) })
}

// isolates runs the matrix for one actor.
func (s *site) isolates(t *testing.T, actor *member, others ...*member) {
	places := s.places(t, actor, others...)
	for _, p := range places {
		p.seed(t, s)
	}
	var open []string
	for _, p := range places {
		if s.deviations.letIn[p.name] != nil {
			open = append(open, p.list)
		}
	}
	before := s.outside(t, actor.tenant, open...)
	cells := 0
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			for _, p := range places {
				t.Run(p.name, func(t *testing.T) {
					for _, api := range []struct {
						name string
						do   func(cell) calls
						has  bool
					}{{"sdk", v.sdk, true}, {"vault", v.vault, v.vault != nil && p.vault != nil}} {
						if !api.has {
							continue
						}
						t.Run(api.name, func(t *testing.T) {
							cells++
							if p.own && s.deviations.unkept[p.name] != "" {
								if err := s.cell(t, actor, p).put(p.key, ownValue); !hasCode(err, "InvalidRequest") {
									t.Errorf("the server should reject such a key (%s), got the error %v", s.deviations.unkept[p.name], err)
								}
								return
							}
							c := s.cell(t, actor, p)
							c.prepare(t, api.name)
							for _, call := range api.do(c) {
								c.judge(t, v.name, api.name, call)
							}
						})
					}
				})
			}
		})
	}
	if cells < cellsPerActor {
		t.Errorf("%d cells ran, want %d", cells, cellsPerActor)
	}
	if diff := cmp.Diff(before, s.outside(t, actor.tenant, open...)); diff != "" {
		t.Errorf("objects that do not belong to %s (-before +after):\n%s", actor.tenant, diff)
	}
	for _, p := range places {
		p.verify(t, s)
	}
	for _, o := range others {
		var names []string
		for e, err := range o.List(t.Context(), nil) {
			if err != nil {
				t.Fatalf("%s lists its own objects: %v", o.tenant, err)
			}
			names = append(names, string(e.Name))
		}
		if !slices.Equal(names, []string{"seed"}) {
			t.Errorf("%s lists %q, want only seed", o.tenant, names)
		}
		if got, err := read(t.Context(), o.Vault, "seed", nil); err != nil || string(got) != secretOf(o.tenant) {
			t.Errorf("%s reads its own object: %d bytes, %v", o.tenant, len(got), err)
		}
	}
}

func secretOf(t vault.Tenant) string { return "the credential of " + string(t) }

// TestHostileNames uses names that would lead out of the tenant's prefix if they were treated as
// paths. A vault rejects them without a request.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	proxy := testcloud.NewProxy(s.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	v := newVault(t, open(t, aws.Config{Bucket: s.bucket, Endpoint: proxy.URL, Identity: s.identity(t, alice)}), alice)
	if _, err := s.join(t, bob).Put(t.Context(), "seed", strings.NewReader("sk"), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []vault.Name{
		"../../" + vault.Name(bob) + "/credentials/seed", "..", ".", "../seed", "a/../../seed", "/" + vault.Name(bob) + "/seed",
		"seed/", "a//b", "./seed", "a/./b", "a/..", "", "seed\x00", "seed\n", "\u202eseed",
	} {
		for verb, err := range everyVerbOf(t.Context(), v, name) {
			if !errors.Is(err, vault.ErrInvalidName) {
				t.Errorf("%s of %q: %v, want %v", verb, name, err, vault.ErrInvalidName)
			}
		}
	}
	for _, r := range proxy.Requests() {
		t.Errorf("the request %v was sent", r)
	}
	// The start of a listing need not be a name. It always stays below the tenant's prefix.
	for _, prefix := range []string{"..", "../", "../../" + string(bob) + "/", "../../", "/", "%2e%2e/", "__0x2e____0x2e__/", "*", ""} {
		for e, err := range v.List(t.Context(), &vault.ListOptions{Prefix: prefix}) {
			t.Errorf("a list from %q contains %q, %v", prefix, e.Key, err)
		}
	}
}

// TestDeniedPut: the gateway denies values that are larger than the buffers of a connection. It
// responds before it has read them, and then treats the remaining bytes as another request. The
// response must not be lost, because the outcome would be unknown.
func TestDeniedPut(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newSite(t, false)
	v := newVault(t, s.join(t, alice).store, bob)
	for _, size := range []int64{200_000, 1 << 20, 4 << 20} {
		for i := range 20 {
			_, err := v.Put(t.Context(), "seed", noise(uint64(i), size), &vault.PutOptions{Create: i%2 == 1})
			if !errors.Is(err, vault.ErrPermission) || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("put of %d bytes: %v, want %v", size, err, vault.ErrPermission)
			}
		}
	}
}

// TestOwnAbsent: the gateway denies a read of a missing object, because the tenant may not list
// without a prefix. The object would be the tenant's own, so it is reported as not found.
func TestOwnAbsent(t *testing.T) {
	t.Parallel()
	for _, versioned := range []bool{false, true} {
		s := newSite(t, versioned)
		a := s.join(t, alice)
		if _, err := a.Put(t.Context(), "gone", strings.NewReader("sk"), nil); err != nil {
			t.Fatal(err)
		}
		if err := a.Delete(t.Context(), "gone", nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range []vault.Name{"never", "gone"} {
			key := "bots/" + string(alice) + "/credentials/" + string(name) + ".enc"
			_, err := a.raw.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
			var answer *awshttp.ResponseError
			if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusForbidden {
				t.Errorf("versioned %v: the gateway returned %v for the %s object, want a denial", versioned, err, name)
			}
			_, errGet := read(t.Context(), a.Vault, name, nil)
			_, errRange := read(t.Context(), a.Vault, name, &vault.GetOptions{Range: &vault.Range{Length: 1}})
			_, errStat := a.Stat(t.Context(), name)
			for verb, err := range map[string]error{"get": errGet, "range": errRange, "stat": errStat} {
				if !errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrPermission) {
					t.Errorf("versioned %v: %s of the %s object: %v, want %v", versioned, verb, name, err, vault.ErrNotFound)
				}
			}
			if _, err := a.Put(t.Context(), name, strings.NewReader("sk"), &vault.PutOptions{IfRevision: 1}); !errors.Is(err, vault.ErrConflict) {
				t.Errorf("versioned %v: put over the %s object: %v, want %v", versioned, name, err, vault.ErrConflict)
			}
		}
		for _, err := range a.History(t.Context(), "never") {
			if !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("versioned %v: history of an object that never existed: %v, want %v", versioned, err, vault.ErrNotFound)
			}
		}
	}
}
