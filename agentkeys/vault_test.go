package agentkeys_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

const (
	walletPrefix = "bots/" + wallet + "/credentials/"
	omniPrefix   = "bots/" + omni + "/credentials/"
)

// A bucket is a store that agentKeys has used.
type bucket struct {
	*vault.Store
	fail map[string]error // the error of every request for a key or prefix that begins with this text
	keys []string         // of the gets

	before func(intercept.Call) // called before each request; may be nil
}

func newBucket(t *testing.T, objects map[string][]byte) *bucket {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for key, object := range objects {
		if err := s.Bucket.WriteAll(t.Context(), key, object, &blob.WriterOptions{ContentType: "application/octet-stream"}); err != nil {
			t.Fatal(err)
		}
	}
	b := &bucket{fail: make(map[string]error)}
	b.Store = intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if b.before != nil {
			b.before(c)
		}
		if c.Op == "get" {
			b.keys = append(b.keys, c.Key)
		}
		for prefix, err := range b.fail {
			op, prefix, _ := strings.Cut(prefix, " ")
			if strings.HasPrefix(c.Key, prefix) && (op == "any" || op == c.Op) {
				return err
			}
		}
		return do()
	}})
	return b
}

// left returns the keys of all objects.
func (b *bucket) left(t *testing.T) (keys []string) {
	t.Helper()
	list := b.Bucket.List(nil)
	for {
		o, err := list.Next(t.Context())
		if err == io.EOF {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
}

// open returns a vault of the tenant that also opens the objects of agentKeys.
func (b *bucket) open(t *testing.T, tenant string, o *vault.Options) *vault.Vault {
	t.Helper()
	reader, err := agentkeys.NewReader(newSigner(t), tenant, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o == nil {
		o = &vault.Options{}
	}
	o.Legacy = reader
	v, err := vault.New(b.Store, vault.Tenant(tenant), []envelope.KeySource{kek.InsecureFixed()}, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func get(t *testing.T, v *vault.Vault, name vault.Name, o *vault.GetOptions) (string, vault.Info, error) {
	t.Helper()
	r, err := v.Get(t.Context(), name, o)
	if err != nil {
		return "", vault.Info{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), r.Info(), err
}

// sealedBy returns a value as an object of agentKeys.
func sealedBy(t *testing.T, f agentkeys.Format, service, value string) []byte {
	t.Helper()
	a := account(t)
	kek, err := agentkeys.DeriveKEK(t.Context(), newSigner(t), a, service)
	if err != nil {
		t.Fatal(err)
	}
	if f == agentkeys.Worker {
		return worker(t, kek, omni, omni, service, 3, value)
	}
	object, err := agentkeys.Seal(kek, a, f, service, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// TestReadBucket reads a bucket as agentKeys left it, as the tenant of the wallet and as that of the
// omni account.
func TestReadBucket(t *testing.T) {
	objects := map[string][]byte{
		walletPrefix + "openrouter.enc":                                   unhex(t, v1Object),
		omniPrefix + "openai.enc":                                         sealedBy(t, agentkeys.V2, "openai", "two"),
		omniPrefix + "anthropic.enc":                                      sealedBy(t, agentkeys.Worker, "anthropic", "three"),
		walletPrefix + "both.enc":                                         sealedBy(t, agentkeys.V1, "both", "old"),
		omniPrefix + "both.enc":                                           sealedBy(t, agentkeys.V2, "both", "new"),
		walletPrefix + "open router.enc":                                  sealedBy(t, agentkeys.V1, "open router", "blank"),
		"bots/" + strings.Repeat("a", 64) + "/credentials/openrouter.enc": unhex(t, v2Object),
	}
	for _, tenant := range []string{wallet, omni} {
		t.Run(tenant[:6], func(t *testing.T) {
			b := newBucket(t, objects)
			v := b.open(t, tenant, nil)
			for name, want := range map[vault.Name]struct{ value, format, key string }{
				"openrouter":  {plaintext, "v1", walletPrefix + "openrouter.enc"},
				"openai":      {"two", "v2", omniPrefix + "openai.enc"},
				"anthropic":   {"three", "worker", omniPrefix + "anthropic.enc"},
				"both":        {"new", "v2", omniPrefix + "both.enc"},
				"open router": {"blank", "v1", walletPrefix + "open router.enc"},
			} {
				value, info, err := get(t, v, name, nil)
				if err != nil || value != want.value || info.Legacy != want.format || info.LegacyKey != want.key {
					t.Errorf("get %s: %q, %+v, %v", name, value, info, err)
				}
				stat, err := v.Stat(t.Context(), name)
				if diff := cmp.Diff(info, stat); diff != "" || err != nil {
					t.Errorf("stat %s: %v\n%s", name, err, diff)
				}
				if stat.Revision != 0 || stat.Tag != "" || stat.Size != int64(len(value)) || stat.SealedSize != stat.Size+29 || stat.Modified.IsZero() {
					t.Errorf("stat %s: %+v", name, stat)
				}
			}
			for part, want := range map[vault.Range]string{{Offset: 3}: "or-v1-EXAMPLE", {Offset: -7}: "EXAMPLE", {Offset: -7, Length: 2}: "EX", {Offset: 3, Length: 2}: "or", {Offset: 99}: "", {Offset: -99}: plaintext} {
				if value, _, err := get(t, v, "openrouter", &vault.GetOptions{Range: &part}); err != nil || value != want {
					t.Errorf("range %+v: %q, %v, want %q", part, value, err, want)
				}
			}
			var names []string
			for e, err := range v.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, string(e.Name))
			}
			slices.Sort(names)
			if diff := cmp.Diff([]string{"anthropic", "both", "open router", "openai", "openrouter"}, names); diff != "" {
				t.Errorf("list:\n%s", diff)
			}
			for e, err := range v.List(t.Context(), "open") {
				if err != nil || !strings.HasPrefix(string(e.Name), "open") {
					t.Errorf("list open: %+v, %v", e, err)
				}
			}
			if _, _, err := get(t, v, "missing", nil); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("get missing: %v", err)
			}
			if _, _, err := get(t, v, "a/b", nil); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("get a/b: %v", err)
			}
		})
	}
}

// TestEnvelopeFirst: an envelope at the key of the name is the value, whatever agentKeys has stored, and
// a put replaces the object of agentKeys.
func TestEnvelopeFirst(t *testing.T) {
	for _, tenant := range []string{wallet, omni} {
		for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
			t.Run(fmt.Sprint(tenant[:6], " spool ", mode), func(t *testing.T) {
				b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object)})
				sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
				if err != nil {
					t.Fatal(err)
				}
				v := b.open(t, tenant, &vault.Options{Spool: sp})
				if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("sealed"), &vault.PutOptions{Spool: mode}); err != nil {
					t.Fatal(err)
				}
				b.keys = nil
				value, info, err := get(t, v, "openrouter", nil)
				if err != nil || value != "sealed" || info.Legacy != "" || info.Revision == 0 || len(b.keys) != 1 {
					t.Errorf("get: %q, %+v, %v, reads of %q", value, info, err, b.keys)
				}
			})
		}
	}
}

// TestLaterEntry: an entry of the spool replaces an object of agentKeys, which has no revision.
func TestLaterEntry(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)})
	sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Spool: sp})
	b.fail["any bots/"] = vault.ErrUnavailable
	var saved *vault.SpooledError
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("later"), nil); !errors.As(err, &saved) || saved.Refused {
		t.Fatalf("put without a store: %v", err)
	}
	clear(b.fail)
	if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	if value, info, err := get(t, v, "openrouter", nil); err != nil || value != "later" || info.Legacy != "" {
		t.Errorf("get: %q, %+v, %v", value, info, err)
	}
}

// TestOrder: the next key is read only if the one before has no object.
func TestOrder(t *testing.T) {
	all := map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object)}
	damaged := map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object[:len(v2Object)-2])}
	unknown := map[string][]byte{walletPrefix + "openrouter.enc": []byte("OVE1 and the rest is damaged, but it is an envelope"), omniPrefix + "openrouter.enc": unhex(t, v2Object)}
	for _, tc := range []struct {
		name    string
		tenant  string
		objects map[string][]byte
		fail    map[string]error
		format  string
		want    error
	}{
		{"v2 before v1", wallet, all, nil, "v2", nil},
		{"v2 does not respond", wallet, all, map[string]error{"any " + omniPrefix: vault.ErrUnavailable}, "", vault.ErrUnavailable},
		{"v2 is denied to the tenant of the wallet", wallet, all, map[string]error{"any " + omniPrefix: vault.ErrPermission}, "v1", nil},
		{"v1 is denied to the tenant of the omni account", omni, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)}, map[string]error{"any " + walletPrefix: vault.ErrPermission}, "", vault.ErrNotFound},
		{"the prefix of the tenant is denied", wallet, all, map[string]error{"any " + walletPrefix: vault.ErrPermission}, "", vault.ErrPermission},
		{"v2 is damaged", wallet, damaged, nil, "", envelope.ErrDecrypt},
		{"the envelope is damaged", wallet, unknown, nil, "", envelope.ErrFormat},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBucket(t, tc.objects)
			b.fail = tc.fail
			v := b.open(t, tc.tenant, nil)
			_, info, err := get(t, v, "openrouter", nil)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || info.Legacy != tc.format {
				t.Errorf("get: %+v, %v, want %v", info, err, tc.want)
			}
			stat, err := v.Stat(t.Context(), "openrouter")
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || stat.Legacy != tc.format {
				t.Errorf("stat: %+v, %v, want %v", stat, err, tc.want)
			}
		})
	}
}

// TestRemove: Delete removes the name under both prefixes, and names what is left.
func TestRemove(t *testing.T) {
	both := map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object), omniPrefix + "other.enc": unhex(t, v2Object)}
	for _, tenant := range []string{wallet, omni} {
		b := newBucket(t, both)
		v := b.open(t, tenant, nil)
		if err := v.Delete(t.Context(), "openrouter", nil); err != nil {
			t.Errorf("delete: %v", err)
		}
		if diff := cmp.Diff([]string{omniPrefix + "other.enc"}, b.left(t)); diff != "" {
			t.Errorf("after delete as %s:\n%s", tenant, diff)
		}
		if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
	}
	b := newBucket(t, both)
	b.fail["delete "+omniPrefix] = vault.ErrPermission
	b.fail["remove "+omniPrefix] = vault.ErrPermission
	v := b.open(t, wallet, nil)
	if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrPartial) || !strings.Contains(err.Error(), omniPrefix+"openrouter.enc") {
		t.Errorf("delete without the permission: %v", err)
	}
	result, err := v.Teardown(t.Context(), nil)
	if !errors.Is(err, vault.ErrPartial) || result.NotRemoved != 2 || len(result.Failed) != 2 || result.Failed[0].Key != omniPrefix+"openrouter.enc" {
		t.Errorf("teardown without the permission: %+v, %v", result, err)
	}
	clear(b.fail)
	if result, err := v.Teardown(t.Context(), nil); err != nil || result.Deleted != 2 {
		t.Errorf("teardown: %+v, %v", result, err)
	}
	if left := b.left(t); len(left) > 0 {
		t.Errorf("after the teardown: %q", left)
	}
}

// TestRollback: an object of agentKeys in place of an envelope that was seen is a rollback.
func TestRollback(t *testing.T) {
	b := newBucket(t, nil)
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(t, wallet, &vault.Options{Seen: log}).Put(t.Context(), "openrouter", strings.NewReader("sealed"), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Bucket.WriteAll(t.Context(), walletPrefix+"openrouter.enc", unhex(t, v1Object), nil); err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Seen: log}) // another process
	var older *vault.SeenError
	for range 2 {
		if _, _, err := get(t, v, "openrouter", nil); !errors.Is(err, vault.ErrRollback) || !errors.As(err, &older) || !strings.Contains(err.Error(), "agentKeys") {
			t.Errorf("get: %v", err)
		}
	}
	if _, err := v.Stat(t.Context(), "openrouter"); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("stat: %v", err)
	}
	if info, err := v.AcceptOlder(t.Context(), "openrouter"); err != nil || info.Legacy != "v1" {
		t.Errorf("accept: %+v, %v", info, err)
	}
	if value, _, err := get(t, v, "openrouter", nil); err != nil || value != plaintext {
		t.Errorf("get after it was accepted: %q, %v", value, err)
	}
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("sealed again"), nil); err != nil {
		t.Error(err)
	}
	if value, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "openrouter", nil); err != nil || value != "sealed again" {
		t.Errorf("get after another put: %q, %v", value, err)
	}
}

// TestSameProcess: a vault that has stored an envelope detects the rollback without a record.
func TestSameProcess(t *testing.T) {
	b := newBucket(t, nil)
	v := b.open(t, wallet, nil)
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("sealed"), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Bucket.WriteAll(t.Context(), walletPrefix+"openrouter.enc", unhex(t, v1Object), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, v, "openrouter", nil); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("get: %v", err)
	}
}

// TestConditions: a create detects an object of agentKeys, and a compare-and-swap with it is not
// possible.
func TestConditions(t *testing.T) {
	for _, key := range []string{walletPrefix, omniPrefix} {
		b := newBucket(t, map[string][]byte{key + "openrouter.enc": unhex(t, map[string]string{walletPrefix: v1Object, omniPrefix: v2Object}[key])})
		sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		v := b.open(t, wallet, &vault.Options{Spool: sp})
		for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
			if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &vault.PutOptions{Create: true, Spool: mode}); !errors.Is(err, vault.ErrExist) {
				t.Errorf("create over %s, spool %v: %v", key, mode, err)
			}
			for _, o := range []vault.PutOptions{{IfRevision: 7, Spool: mode}, {IfTag: "abc", Spool: mode}} {
				if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &o); !errors.Is(err, vault.ErrUnsupported) {
					t.Errorf("put %+v over %s: %v", o, key, err)
				}
			}
		}
		if err := v.Delete(t.Context(), "openrouter", &vault.DeleteOptions{IfTag: "abc"}); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("delete if: %v", err)
		}
		if value, _, err := get(t, v, "openrouter", nil); err != nil || value != plaintext {
			t.Errorf("then: %q, %v", value, err)
		}
	}
}

// TestScope: the scope of a vault also limits the objects of agentKeys.
func TestScope(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object), omniPrefix + "other.enc": unhex(t, v2Object)})
	v := b.open(t, wallet, &vault.Options{Scope: vault.Scope{Names: []vault.Name{"openrouter"}}})
	if _, _, err := get(t, v, "other", nil); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("get other: %v", err)
	}
	n := 0
	for e, err := range v.List(t.Context(), "") {
		if err != nil || e.Name != "openrouter" || !e.Legacy {
			t.Errorf("list: %+v, %v", e, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("list: %d names", n)
	}
}

// TestNewReader: the tenant must be the wallet or the account of the signer.
func TestNewReader(t *testing.T) {
	s := newSigner(t)
	for tenant, ok := range map[string]bool{wallet: true, strings.ToUpper(omni): true, "default": false, strings.Repeat("a", 64): false, "": false} {
		if _, err := agentkeys.NewReader(s, tenant, nil); (err == nil) != ok {
			t.Errorf("%s: %v", tenant, err)
		}
	}
	if _, err := agentkeys.NewReader(nil, wallet, nil); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
}

// TestOtherWallet: a tenant that is not the wallet of the signer neither sees nor removes the objects of
// the signer's account.
func TestOtherWallet(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object)})
	v := b.open(t, "0x"+strings.Repeat("a", 40), nil)
	for e, err := range v.List(t.Context(), "") {
		t.Errorf("list: %+v, %v", e, err)
	}
	if _, _, err := get(t, v, "openrouter", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
	if result, err := v.Teardown(t.Context(), &vault.TeardownOptions{AllCollections: true}); err != nil || result.Deleted != 0 {
		t.Errorf("teardown: %+v, %v", result, err)
	}
	if left := b.left(t); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// TestOtherTenant: an envelope of the tenant with the other prefix stays, whatever its size, and does
// not hide an object of agentKeys.
func TestOtherTenant(t *testing.T) {
	for _, size := range []int{1, 2 << 10, 2 << 20} {
		b := newBucket(t, map[string][]byte{walletPrefix + "x.enc": sealedBy(t, agentkeys.V1, "x", "v1 value")})
		o, w := b.open(t, omni, nil), b.open(t, wallet, nil)
		for _, name := range []vault.Name{"x", "prod"} {
			if _, err := o.Put(t.Context(), name, strings.NewReader(strings.Repeat("s", size)), nil); err != nil {
				t.Fatal(err)
			}
		}
		if value, _, err := get(t, w, "x", nil); err != nil || value != "v1 value" {
			t.Errorf("%d bytes: get: %q, %v", size, value, err)
		}
		if _, _, err := get(t, w, "prod", nil); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%d bytes: get prod: %v", size, err)
		}
		if err := w.Delete(t.Context(), "prod", nil); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%d bytes: delete prod: %v", size, err)
		}
		if err := w.Delete(t.Context(), "x", nil); err != nil {
			t.Errorf("%d bytes: delete x: %v", size, err)
		}
		if result, err := w.Teardown(t.Context(), nil); err != nil || result.Deleted != 0 {
			t.Errorf("%d bytes: teardown: %+v, %v", size, result, err)
		}
		for _, name := range []vault.Name{"x", "prod"} {
			if value, _, err := get(t, o, name, nil); err != nil || len(value) != size {
				t.Errorf("%d bytes: %s afterwards: %d bytes, %v", size, name, len(value), err)
			}
		}
	}
}

// TestRotate: an object of agentKeys cannot be replaced on a condition, so it is not rotated.
func TestRotate(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)})
	v := b.open(t, wallet, nil)
	if _, err := v.Rotate(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("rotate: %v", err)
	}
	if _, err := v.Rewrap(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrLegacy) {
		t.Errorf("rewrap: %v", err)
	}
	if value, info, err := get(t, v, "openrouter", nil); err != nil || value != plaintext || info.Legacy == "" {
		t.Errorf("then: %q, %+v, %v", value, info, err)
	}
}

// TestTruncated: a truncated object is not "not found", so the older one is not read in its place.
func TestTruncated(t *testing.T) {
	for _, n := range []int{0, 1, 12, 28} {
		b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object)[:n]})
		if value, _, err := get(t, b.open(t, wallet, nil), "openrouter", nil); !errors.Is(err, envelope.ErrFormat) {
			t.Errorf("%d bytes: %q, %v", n, value, err)
		}
	}
	large := append([]byte{2}, make([]byte, 2<<20)...)
	b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": large})
	if _, _, err := get(t, b.open(t, wallet, nil), "openrouter", nil); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("2 MiB: %v", err)
	}
	whole := sealedBy(t, agentkeys.V2, "openrouter", strings.Repeat("x", agentkeys.MaxValue))
	b = newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": whole})
	if value, _, err := get(t, b.open(t, wallet, nil), "openrouter", nil); err != nil || len(value) != agentkeys.MaxValue {
		t.Errorf("1 MiB: %d bytes, %v", len(value), err)
	}
}

// TestPutMeanwhile: an envelope that replaces the object of agentKeys while it is read is the value.
func TestPutMeanwhile(t *testing.T) {
	for _, read := range []string{"get", "stat"} {
		b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)})
		other := b.open(t, wallet, nil)
		v := b.open(t, wallet, nil)
		reads := 0
		b.before = func(c intercept.Call) {
			if reads++; c.Op == "get" && reads == 2 {
				b.before = nil
				if _, err := other.Put(context.Background(), "openrouter", strings.NewReader("sealed"), nil); err != nil {
					t.Error(err)
				}
			}
		}
		if read == "stat" {
			if info, err := v.Stat(t.Context(), "openrouter"); err != nil || info.Legacy != "" || info.Revision == 0 {
				t.Errorf("stat: %+v, %v", info, err)
			}
		} else if value, _, err := get(t, v, "openrouter", nil); err != nil || value != "sealed" {
			t.Errorf("get: %q, %v", value, err)
		}
	}
}

// TestNewerThanEntry: a pending value does not replace a value that agentKeys stored later, and does not
// hide it.
func TestNewerThanEntry(t *testing.T) {
	for _, at := range []agentkeys.Format{agentkeys.V1, agentkeys.V2} {
		b := newBucket(t, nil)
		sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		v := b.open(t, wallet, &vault.Options{Spool: sp})
		b.fail["any bots/"] = vault.ErrUnavailable
		if _, err = v.Put(t.Context(), "openrouter", strings.NewReader("monday"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatal(err)
		}
		clear(b.fail)
		key, err := account(t).Key(at, "openrouter")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Bucket.WriteAll(t.Context(), key, sealedBy(t, at, "openrouter", "tuesday"), nil); err != nil {
			t.Fatal(err)
		}
		if value, info, err := get(t, v, "openrouter", nil); err != nil || value != "tuesday" || info.Pending {
			t.Errorf("%v: get: %q, %+v, %v", at, value, info, err)
		}
		if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Refused != 1 || sum.Sent != 0 {
			t.Errorf("%v: sync: %+v, %v", at, sum, err)
		}
		if value, _, err := get(t, v, "openrouter", nil); err != nil || value != "tuesday" {
			t.Errorf("%v: get after the sync: %q, %v", at, value, err)
		}
	}
}

// TestRemoveOrder: the envelope is removed last, so that an interruption makes no older value current.
func TestRemoveOrder(t *testing.T) {
	for _, conditional := range []bool{false, true} {
		b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object)})
		v := b.open(t, wallet, nil)
		info, err := v.Put(t.Context(), "openrouter", strings.NewReader("rotated"), nil)
		if err != nil {
			t.Fatal(err)
		}
		o := &vault.DeleteOptions{}
		if conditional {
			o.IfTag = info.Tag
		}
		b.fail["any "+omniPrefix] = vault.ErrUnavailable
		if err := v.Delete(t.Context(), "openrouter", o); !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("delete: %v", err)
		}
		clear(b.fail)
		if value, _, err := get(t, b.open(t, wallet, nil), "openrouter", nil); err != nil || value != "rotated" {
			t.Errorf("after a delete that failed: %q, %v", value, err)
		}
		if err := v.Delete(t.Context(), "openrouter", o); err != nil {
			t.Errorf("delete again: %v", err)
		}
		if left := b.left(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		if info, err := v.Undelete(t.Context(), "openrouter"); err != nil || info.Legacy != "" {
			t.Errorf("undelete: %+v, %v", info, err)
		}
	}
}

// TestRemoveSeveral: after one object cannot be removed, the others are, and each that is left is named.
func TestRemoveSeveral(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "a b.enc": sealedBy(t, agentkeys.V2, "a b", "x"), walletPrefix + "a b.enc": sealedBy(t, agentkeys.V1, "a b", "x")})
	b.fail["delete "+omniPrefix], b.fail["remove "+omniPrefix] = vault.ErrPermission, vault.ErrPermission
	v := b.open(t, wallet, nil)
	if err := v.Delete(t.Context(), "a b", nil); !errors.Is(err, vault.ErrPartial) || !strings.Contains(err.Error(), omniPrefix+"a b.enc") {
		t.Errorf("delete: %v", err)
	}
	if diff := cmp.Diff([]string{omniPrefix + "a b.enc"}, b.left(t)); diff != "" {
		t.Errorf("left:\n%s", diff)
	}
}

// TestPurge: a teardown with Purge also removes the old versions of the objects of agentKeys, and one
// without it counts them.
func TestPurge(t *testing.T) {
	for _, purge := range []bool{false, true} {
		b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object), walletPrefix + "b.enc": sealedBy(t, agentkeys.V1, "b", "x")})
		v := b.open(t, wallet, &vault.Options{Collection: map[bool]vault.Collection{true: "other", false: ""}[purge]})
		result, err := v.Teardown(t.Context(), &vault.TeardownOptions{Purge: purge, AllCollections: purge})
		if err != nil || result.Deleted != 2 || !purge && result.LeftInHistory != 2 || purge && (result.LeftInHistory != 0 || result.Purged != 2) {
			t.Errorf("purge %v: %+v, %v", purge, result, err)
		}
		n := 0
		for l, err := range b.Purge.Leftovers(t.Context(), "bots/") {
			if err != nil {
				t.Fatal(err)
			}
			if !l.Deleted {
				n++
			}
		}
		if n != result.LeftInHistory {
			t.Errorf("purge %v: %d old versions are left, want %d", purge, n, result.LeftInHistory)
		}
	}
}

// TestListOnce: a name with two keys is listed once, and a prefix also finds keys without escapes.
func TestListOnce(t *testing.T) {
	for _, service := range []string{"open router", "übung", "a+b"} {
		b := newBucket(t, map[string][]byte{walletPrefix + service + ".enc": sealedBy(t, agentkeys.V1, service, "x"), omniPrefix + service + ".enc": sealedBy(t, agentkeys.V2, service, "x")})
		v := b.open(t, wallet, nil)
		for _, step := range []string{"before", "after"} {
			for _, prefix := range []string{"", service[:1], service[:len(service)-1], service} {
				var names []string
				for e, err := range v.List(t.Context(), prefix) {
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, string(e.Name))
				}
				if diff := cmp.Diff([]string{service}, names); diff != "" {
					t.Errorf("%s a put, list %q:\n%s", step, prefix, diff)
				}
			}
			if _, err := v.Put(t.Context(), vault.Name(service), strings.NewReader("new"), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestEscapedName: the key of another name is not read as one of agentKeys.
func TestEscapedName(t *testing.T) {
	b := newBucket(t, nil)
	v := b.open(t, wallet, nil)
	if _, err := v.Put(t.Context(), "a b", strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, v, "a%20b", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("get a%%20b: %v", err)
	}
}

// TestDeletedSeen: an object of agentKeys that comes back after this machine deleted it is a rollback, and
// a teardown is recorded as a deletion.
func TestDeletedSeen(t *testing.T) {
	b := newBucket(t, nil)
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Seen: log})
	if _, err := v.Put(t.Context(), "x", strings.NewReader("1"), nil); err != nil {
		t.Fatal(err)
	}
	plant := func() {
		t.Helper()
		if err := b.Bucket.WriteAll(t.Context(), omniPrefix+"x.enc", sealedBy(t, agentkeys.V2, "x", "legacy"), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := v.Delete(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
		plant()
		if _, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "x", nil); !errors.Is(err, vault.ErrRollback) || !strings.Contains(err.Error(), "was deleted on this machine") {
			t.Errorf("get of an object that is back: %v", err)
		}
		if _, err := v.AcceptOlder(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if value, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "x", nil); err != nil || value != "legacy" {
			t.Errorf("get after it was accepted: %q, %v", value, err)
		}
	}
	if _, err := v.Teardown(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var gone *vault.SeenError
	if _, _, err := get(t, v, "x", nil); !errors.Is(err, vault.ErrNotFound) || errors.As(err, &gone) {
		t.Errorf("get after a teardown: %v", err)
	}
}

// TestWithoutKeys: a vault without keys names the format of the object.
func TestWithoutKeys(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "w.enc": sealedBy(t, agentkeys.V1, "w", "x")})
	v, err := vault.New(b.Store, wallet, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Stat(t.Context(), "w"); !errors.Is(err, vault.ErrLegacy) {
		t.Errorf("stat: %v", err)
	}
	for e, err := range v.History(t.Context(), "w") {
		if err != nil || !e.Legacy || e.Damaged || e.Size != 1 {
			t.Errorf("history: %+v, %v", e, err)
		}
	}
}

// A silentWallet does not respond until the context ends.
type silentWallet struct{ asked chan struct{} }

func (w silentWallet) SignMessage(ctx context.Context, _ string) ([]byte, error) {
	_, err := w.Address(ctx)
	return nil, err
}
func (w silentWallet) Omni() string { return omni }
func (w silentWallet) Address(ctx context.Context) (string, error) {
	w.asked <- struct{}{}
	<-ctx.Done()
	return "", fmt.Errorf("%w: %w", envelope.ErrUnavailable, ctx.Err())
}

// TestSilentWallet: while the address of the wallet is not known, nothing is removed, and a call ends
// with its own context.
func TestSilentWallet(t *testing.T) {
	b := newBucket(t, nil)
	w := silentWallet{make(chan struct{}, 10)}
	reader, err := agentkeys.NewReader(w, omni, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(b.Store, omni, []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Legacy: reader})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	waiting, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); reader.Prefixes(waiting) }()
	<-w.asked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reader.Prefixes(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("prefixes: %v", err)
	}
	if err := v.Delete(ended, "a", nil); err == nil {
		t.Error("delete succeeded")
	}
	if _, err := v.Teardown(ended, nil); err == nil {
		t.Error("teardown succeeded")
	}
	stop()
	<-done
	if value, _, err := get(t, v, "a", nil); err != nil || value != "x" {
		t.Errorf("then: %q, %v", value, err)
	}
}
