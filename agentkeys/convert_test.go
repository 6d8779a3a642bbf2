package agentkeys_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestConvert: the value that agentKeys reads becomes an envelope at the key of the name.
func TestConvert(t *testing.T) {
	for _, tenant := range []string{wallet, omni} {
		for label, objects := range map[string]map[string][]byte{
			"v1":   {walletPrefix + "a.enc": sealedBy(t, agentkeys.V1, "a", "value")},
			"v2":   {omniPrefix + "a.enc": sealedBy(t, agentkeys.V2, "a", "value")},
			"both": {walletPrefix + "a.enc": sealedBy(t, agentkeys.V1, "a", "value"), omniPrefix + "a.enc": sealedBy(t, agentkeys.V2, "a", "value")},
		} {
			b := newBucket(t, objects)
			v := b.open(t, tenant, nil)
			if info, err := v.ConvertLegacy(t.Context(), "a", nil); err != nil || info.Revision == 0 || info.Size != 5 || info.Legacy != "" {
				t.Errorf("%s, tenant %.4s: %+v, %v", label, tenant, info, err)
			}
			if value, info, err := get(t, b.open(t, tenant, nil), "a", nil); err != nil || value != "value" || info.Legacy != "" {
				t.Errorf("%s, tenant %.4s: get: %q, %+v, %v", label, tenant, value, info, err)
			}
			if _, err := v.ConvertLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrExist) {
				t.Errorf("%s, tenant %.4s: a second time: %v", label, tenant, err)
			}
		}
	}
	if _, err := newBucket(t, nil).open(t, wallet, nil).ConvertLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("no object: %v", err)
	}
	if _, err := newBucket(t, nil).openWriter(t, agentkeys.V1, wallet, nil).ConvertLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("a vault that stores objects of agentKeys: %v", err)
	}
	b := newBucket(t, map[string][]byte{walletPrefix + "a.enc": {9, 9}})
	if _, err := b.open(t, wallet, nil).ConvertLegacy(t.Context(), "a", nil); err == nil {
		t.Error("an object of an unknown format was replaced")
	}
}

// TestConvertRace: another program that changes the object at the same time is not overwritten.
func TestConvertRace(t *testing.T) {
	for label, at := range map[string]struct {
		format  agentkeys.Format
		prefix  string
		current string // what agentKeys reads afterwards
	}{
		"at the key of the name": {agentkeys.V1, walletPrefix, "newer"},
		"at the other key":       {agentkeys.V2, omniPrefix, "newer"},
	} {
		b := newBucket(t, map[string][]byte{at.prefix + "a.enc": sealedBy(t, at.format, "a", "value")})
		newer := sealedBy(t, at.format, "a", "newer")
		written := false
		b.before = func(c intercept.Call) {
			if !written && (c.Op == "swap" || c.Op == "create") {
				written = true
				if err := b.raw.WriteAll(t.Context(), at.prefix+"a.enc", newer, nil); err != nil {
					t.Error(err)
				}
			}
		}
		if _, err := b.open(t, wallet, nil).ConvertLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrConflict) {
			t.Errorf("%s: %v", label, err)
		}
		if got, _ := b.clientReads(t, "a"); got != at.current {
			t.Errorf("%s: an agentKeys client reads %q", label, got)
		}
	}
}

// TestConvertWithoutSwap: a store without compare-and-swap requires the promise that nothing else writes.
func TestConvertWithoutSwap(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "a.enc": sealedBy(t, agentkeys.V1, "a", "value")})
	b.Store.Swap = nil
	v := b.open(t, wallet, nil)
	if _, err := v.ConvertLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("without compare-and-swap: %v", err)
	}
	if info, err := v.ConvertLegacy(t.Context(), "a", &vault.ConvertOptions{NoOtherWriters: true}); err != nil || info.Revision == 0 {
		t.Errorf("without other writers: %+v, %v", info, err)
	}
}

// TestReadLegacy: the object of agentKeys can be read although there is an envelope.
func TestReadLegacy(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "a.enc": sealedBy(t, agentkeys.V2, "a", "of agentKeys")})
	v := b.open(t, wallet, nil)
	if _, err := v.Put(t.Context(), "a", strings.NewReader("sealed"), nil); err != nil {
		t.Fatal(err)
	}
	if e, err := v.LegacyEntry(t.Context(), "a"); err != nil || e.Key != omniPrefix+"a.enc" || !e.Legacy || e.Modified.IsZero() || e.SealedSize == 0 {
		t.Errorf("entry: %+v, %v", e, err)
	}
	if value, info, err := v.ReadLegacy(t.Context(), "a"); err != nil || string(value) != "of agentKeys" || info.Legacy != "v2" {
		t.Errorf("read: %q, %+v, %v", value, info, err)
	}
	if _, err := v.LegacyEntry(t.Context(), "b"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("entry of a missing name: %v", err)
	}
	if _, _, err := v.ReadLegacy(t.Context(), "b"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("read of a missing name: %v", err)
	}
}

// TestShred: the objects with the expected value are removed, and no others.
func TestShred(t *testing.T) {
	same := func(value []byte) bool { return string(value) == "value" }
	b := newBucket(t, map[string][]byte{
		walletPrefix + "a.enc": sealedBy(t, agentkeys.V1, "a", "value"), omniPrefix + "a.enc": sealedBy(t, agentkeys.V2, "a", "value"),
		omniPrefix + "b.enc": sealedBy(t, agentkeys.V2, "b", "value"),
		omniPrefix + "c.enc": sealedBy(t, agentkeys.V2, "c", "another"), omniPrefix + "d.enc": {9, 9}, omniPrefix + "e.enc": sealedBy(t, agentkeys.V2, "e", "value"),
	})
	v := b.open(t, wallet, nil)
	if _, err := v.Put(t.Context(), "b", strings.NewReader("value"), nil); err != nil {
		t.Fatal(err)
	}
	if n, err := v.ShredLegacy(t.Context(), "a", &vault.ShredOptions{Same: same}); err != nil || n != 2 {
		t.Errorf("both keys: %d removed, %v", n, err)
	}
	if n, err := v.ShredLegacy(t.Context(), "b", &vault.ShredOptions{Same: same}); err != nil || n != 1 {
		t.Errorf("beside an envelope: %d removed, %v", n, err)
	}
	for _, name := range []vault.Name{"c", "d"} {
		if n, err := v.ShredLegacy(t.Context(), name, &vault.ShredOptions{Same: same}); !errors.Is(err, vault.ErrPartial) || n != 0 || !strings.Contains(err.Error(), omniPrefix+string(name)) {
			t.Errorf("%s: %d removed, %v", name, n, err)
		}
	}
	b.before = func(c intercept.Call) { b.lost = strings.HasPrefix(c.Op, "delete") } // the response never arrives
	if n, err := v.ShredLegacy(t.Context(), "e", &vault.ShredOptions{Same: same}); err != nil || n != 1 {
		t.Errorf("without a response: %d removed, %v", n, err)
	}
	b.before, b.lost = nil, false
	if value, _, err := get(t, v, "b", nil); err != nil || value != "value" {
		t.Errorf("the envelope: %q, %v", value, err)
	}
	if left := strings.Join(b.left(t), " "); strings.Contains(left, "a.enc") || strings.Contains(left, omniPrefix+"b.enc") || !strings.Contains(left, "c.enc") || !strings.Contains(left, "d.enc") {
		t.Errorf("objects: %s", left)
	}
}

// TestShredOwn: with OtherKeys, an object at the key of the name stays.
func TestShredOwn(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "a.enc": sealedBy(t, agentkeys.V1, "a", "value"), omniPrefix + "a.enc": sealedBy(t, agentkeys.V2, "a", "value")})
	v := b.open(t, wallet, nil)
	o := &vault.ShredOptions{Same: func([]byte) bool { return true }, OtherKeys: true}
	if n, err := v.ShredLegacy(t.Context(), "a", o); !errors.Is(err, vault.ErrPartial) || n != 1 || !strings.Contains(err.Error(), walletPrefix) {
		t.Errorf("%d removed, %v", n, err)
	}
	if value, _, err := get(t, v, "a", nil); err != nil || value != "value" {
		t.Errorf("get: %q, %v", value, err)
	}
	if _, err := v.ShredLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("without options: %v", err)
	}
}

// TestShredUnconditional: a store without conditional deletes requires the promise that nothing else writes.
func TestShredUnconditional(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "a.enc": sealedBy(t, agentkeys.V2, "a", "value")})
	b.Store.RemoveIf = nil
	v := b.open(t, wallet, nil)
	for _, noOtherWriters := range []bool{false, true} {
		o := &vault.ShredOptions{Same: func([]byte) bool { return true }, NoOtherWriters: noOtherWriters}
		n, err := v.ShredLegacy(t.Context(), "a", o)
		if noOtherWriters != (err == nil && n == 1) || err != nil && !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("no other writers %v: %d removed, %v", noOtherWriters, n, err)
		}
	}
}

// TestConvertHidden: an object at the key of the name that agentKeys does not read is replaced only if it is
// older, or has the same value.
func TestConvertHidden(t *testing.T) {
	v1, v2 := sealedBy(t, agentkeys.V1, "a", "of v1"), sealedBy(t, agentkeys.V2, "a", "of v2")
	b := newBucket(t, map[string][]byte{omniPrefix + "a.enc": v2})
	time.Sleep(20 * time.Millisecond)
	if err := b.raw.WriteAll(t.Context(), walletPrefix+"a.enc", v1, nil); err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, nil)
	if _, err := v.ConvertLegacy(t.Context(), "a", nil); !errors.Is(err, vault.ErrConflict) || !strings.Contains(err.Error(), walletPrefix) || !strings.Contains(err.Error(), omniPrefix) {
		t.Errorf("a newer v1: %v", err)
	}
	if _, err := v.ConvertLegacy(t.Context(), "a", &vault.ConvertOptions{Overwrite: true}); err != nil {
		t.Errorf("with overwrite: %v", err)
	}
	b = newBucket(t, map[string][]byte{walletPrefix + "a.enc": v1})
	time.Sleep(20 * time.Millisecond)
	if err := b.raw.WriteAll(t.Context(), omniPrefix+"a.enc", v2, nil); err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixMicro()
	info, err := b.open(t, wallet, nil).ConvertLegacy(t.Context(), "a", nil)
	if err != nil || info.Revision > before {
		t.Errorf("an older v1: %+v, %v; the revision must be the time of agentKeys", info, err)
	}
}

// TestConvertOptions: the value that is stored, and the one that is expected.
func TestConvertOptions(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "a.enc": sealedBy(t, agentkeys.V1, "a", "value")})
	v := b.open(t, wallet, nil)
	if _, err := v.ConvertLegacy(t.Context(), "a", &vault.ConvertOptions{Same: func([]byte) bool { return false }}); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("another value than expected: %v", err)
	}
	o := &vault.ConvertOptions{Same: func(value []byte) bool { return string(value) == "value" }, Value: []byte("new")}
	if _, err := v.ConvertLegacy(t.Context(), "a", o); err != nil {
		t.Error(err)
	}
	if value, info, err := get(t, v, "a", nil); err != nil || value != "new" || info.Legacy != "" {
		t.Errorf("get: %q, %+v, %v", value, info, err)
	}
}
