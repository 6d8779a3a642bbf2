package agentkeys_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

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
				if o, err := v.Open(t.Context(), name, nil); err != nil {
					t.Errorf("open %s: %v", name, err)
				} else if err := iotest.TestReader(o, []byte(want.value)); err != nil || o.Info().Legacy != want.format {
					t.Errorf("open %s: %+v, %v", name, o.Info(), err)
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
			for e, err := range v.List(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, string(e.Name))
			}
			slices.Sort(names)
			if diff := cmp.Diff([]string{"anthropic", "both", "open router", "openai", "openrouter"}, names); diff != "" {
				t.Errorf("list:\n%s", diff)
			}
			for e, err := range v.List(t.Context(), &vault.ListOptions{Prefix: "open"}) {
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

// TestScope: the scope of a vault also limits the objects of agentKeys.
func TestScope(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object), omniPrefix + "other.enc": unhex(t, v2Object)})
	v := b.open(t, wallet, &vault.Options{Scope: vault.Scope{Names: []vault.Name{"openrouter"}}})
	if _, _, err := get(t, v, "other", nil); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("get other: %v", err)
	}
	n := 0
	for e, err := range v.List(t.Context(), nil) {
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

// TestListOnce: a name with two keys is listed once, and a prefix also finds keys without escapes.
func TestListOnce(t *testing.T) {
	for _, service := range []string{"open router", "übung", "a+b"} {
		b := newBucket(t, map[string][]byte{walletPrefix + service + ".enc": sealedBy(t, agentkeys.V1, service, "x"), omniPrefix + service + ".enc": sealedBy(t, agentkeys.V2, service, "x")})
		v := b.open(t, wallet, nil)
		for _, step := range []string{"before", "after"} {
			for _, prefix := range []string{"", service[:1], service[:len(service)-1], service} {
				var names []string
				for e, err := range v.List(t.Context(), &vault.ListOptions{Prefix: prefix}) {
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
