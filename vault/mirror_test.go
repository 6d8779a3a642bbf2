package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

// A mirrored is a vault with one mirror. Each store can be taken away, and has a spool.
type mirrored struct {
	*vault.Vault
	primary, mirror side
	options         *vault.Options

	mu     sync.Mutex
	behind []vault.Behind
}

// A side is one store of a mirrored vault.
type side struct {
	store *vault.Store // as the vault sees it
	inner *vault.Store
	vault *vault.Vault // the mirror of the newest vault
	spool *spool.Spool
	away  *atomic.Bool
}

var errAway = &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.Unreachable, Message: "away", Effect: vault.Refused}

func newSide(t *testing.T, name string) side {
	t.Helper()
	s := side{inner: newVersioned(t), away: new(atomic.Bool)}
	s.inner.Name = name
	s.store = intercept.Store(s.inner, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		if s.away.Load() {
			return errAway
		}
		return do()
	}})
	var err error
	if s.spool, err = spool.Open(spool.Config{Dir: t.TempDir(), Store: name, Warn: func(err error) { t.Log(err) }}); err != nil {
		t.Fatal(err)
	}
	return s
}

func newVersioned(t *testing.T) *vault.Store {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{Versions: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newMirrored(t *testing.T, change func(*vault.Options)) *mirrored {
	t.Helper()
	m := &mirrored{primary: newSide(t, "primary"), mirror: newSide(t, "mirror")}
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "primary", Warn: func(err error) { t.Log(err) }})
	if err != nil {
		t.Fatal(err)
	}
	m.options = &vault.Options{Spool: m.primary.spool, Seen: log, Mirror: &vault.Mirror{
		Behind: func(b vault.Behind) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.behind = append(m.behind, b)
		},
	}}
	if change != nil {
		change(m.options)
	}
	m.Vault = m.again(t)
	return m
}

// again returns a new vault over the same stores, as another process has it.
func (m *mirrored) again(t *testing.T) *vault.Vault {
	t.Helper()
	return m.over(t, m.primary.store)
}

// over is again with another primary store.
func (m *mirrored) over(t *testing.T, primary *vault.Store) *vault.Vault {
	t.Helper()
	m.mirror.vault = newVault(t, m.mirror.store, &vault.Options{Spool: m.mirror.spooling()})
	o, mirror := *m.options, *m.options.Mirror
	mirror.Vaults = []*vault.Vault{m.mirror.vault}
	o.Mirror = &mirror
	return newVault(t, primary, &o)
}

// spooling returns the spool of a side, or nil.
func (s side) spooling() vault.Spool {
	if s.spool == nil {
		return nil
	}
	return s.spool
}

// sync sends the entries of a spool.
func (s side) sync(t *testing.T, v *vault.Vault) spool.Summary {
	t.Helper()
	sum, err := s.spool.Sync(t.Context(), v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// has returns the value in the store, or "none".
func (s side) has(t *testing.T, name vault.Name) string {
	t.Helper()
	r, err := newVault(t, s.inner, nil).Get(t.Context(), name, nil)
	if errors.Is(err, vault.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func (m *mirrored) want(t *testing.T, name vault.Name, primary, mirror string) {
	t.Helper()
	if p, q := m.primary.has(t, name), m.mirror.has(t, name); p != primary || q != mirror {
		t.Errorf("%s is %.20q in the primary store and %.20q in the mirror, want %.20q and %.20q", name, p, q, primary, mirror)
	}
}

func TestMirror(t *testing.T) {
	for _, size := range []int{4, 3 << 20} {
		m := newMirrored(t, nil)
		one, two := strings.Repeat("1", size), strings.Repeat("2", size)
		put(t, m.Vault, "a", one, nil)
		m.want(t, "a", one, one)
		if !bytes.Equal(sealedBytes(t, m.primary.inner, "a"), sealedBytes(t, m.mirror.inner, "a")) {
			t.Error("the mirror has other sealed bytes")
		}
		info := put(t, m.Vault, "a", two, nil)
		m.want(t, "a", two, two)
		if _, err := m.Rollback(t.Context(), "a", "@2"); err != nil {
			t.Fatal(err)
		}
		m.want(t, "a", one, one)
		if _, err := m.Rotate(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		m.want(t, "a", one, one)
		other := recipient("other")
		if _, err := m.Rewrap(t.Context(), "a", &vault.RewrapOptions{Add: []envelope.KeySource{keys[0], other}}); err != nil {
			t.Fatal(err)
		}
		if got := opens(t, m.mirror.inner, "a", other); !slices.Equal(got, []bool{true}) {
			t.Error("the added key does not open the object of the mirror")
		}
		if err := m.Delete(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		m.want(t, "a", "none", "none")
		if _, err := m.Undelete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		m.want(t, "a", one, one)
		if _, err := m.Put(t.Context(), "a", strings.NewReader("x"), &vault.PutOptions{IfTag: info.Tag}); !errors.Is(err, vault.ErrConflict) {
			t.Errorf("Put with an old tag = %v", err)
		}
		m.want(t, "a", one, one)
		if r, err := m.Teardown(t.Context(), nil); err != nil || r.Deleted != 1 || len(r.Mirrors) != 1 || r.Mirrors[0].Store != "mirror" || r.Mirrors[0].Deleted != 1 {
			t.Errorf("Teardown = %+v, %v", r, err)
		}
		m.want(t, "a", "none", "none")
		if len(m.behind) != 0 {
			t.Errorf("behind: %+v", m.behind)
		}
	}
}

// What a mirror does not get is saved on this machine, and is sent later, in order.
func TestMirrorAway(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, m.Vault, "deleted", "1", nil)
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "1", nil)
	put(t, m.Vault, "a", "2", nil)
	put(t, m.Vault, "b", "1", &vault.PutOptions{Create: true})
	for _, name := range []vault.Name{"b", "deleted"} {
		if err := m.Delete(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(t, m.Vault, "b", "2", &vault.PutOptions{Create: true})
	if len(m.behind) != 6 {
		t.Errorf("%d changes are behind, want 6: %+v", len(m.behind), m.behind)
	}
	for _, b := range m.behind {
		if b.Store != "mirror" || !errors.Is(b.Err, vault.ErrSpooled) {
			t.Errorf("behind: %+v", b)
		}
	}
	m.want(t, "a", "2", "none")
	m.want(t, "deleted", "none", "1")
	m.mirror.away.Store(false)
	if sum := m.mirror.sync(t, m.mirror.vault); sum.Sent != 6 || sum.Pending+sum.Refused > 0 {
		t.Errorf("sync of the mirror: %+v", sum)
	}
	m.want(t, "a", "2", "2")
	m.want(t, "b", "2", "2")
	m.want(t, "deleted", "none", "none")

	// A newer object of the mirror, which another machine stored, is never replaced.
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "3", nil)
	if err := m.Delete(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	m.mirror.away.Store(false)
	other := newVault(t, m.mirror.inner, nil)
	put(t, other, "a", "4", nil)
	put(t, other, "b", "4", nil)
	if sum := m.mirror.sync(t, m.mirror.vault); sum.Pending+sum.Refused > 0 {
		t.Errorf("sync of the mirror: %+v", sum)
	}
	m.want(t, "a", "3", "4")
	m.want(t, "b", "none", "4")
}

// Without a spool, only Repair brings a mirror up to date.
func TestMirrorWithoutSpool(t *testing.T) {
	m := newMirrored(t, func(o *vault.Options) { o.Spool = nil })
	m.mirror.spool = nil
	m.Vault = m.again(t)
	put(t, m.Vault, "gone", "1", nil)
	m.want(t, "gone", "1", "1")
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "1", nil)
	if err := m.Delete(t.Context(), "gone", nil); err != nil {
		t.Fatal(err)
	}
	if len(m.behind) != 2 || errors.Is(m.behind[0].Err, vault.ErrSpooled) || !errors.Is(m.behind[0].Err, vault.ErrUnavailable) {
		t.Errorf("behind: %+v", m.behind)
	}
	m.mirror.away.Store(false)
	expect(t, repaired(t, m.Vault, nil), "copied a to mirror", "removed gone from mirror")
	m.want(t, "a", "1", "1")
	m.want(t, "gone", "none", "none")
	expect(t, repaired(t, m.Vault, nil), "same a in mirror")
}

func repaired(t *testing.T, v *vault.Vault, o *vault.RepairOptions) (lines []string) {
	t.Helper()
	for r, err := range v.Repair(t.Context(), o) {
		switch {
		case err != nil:
			lines = append(lines, fmt.Sprintf("failed %s: %v", r.Store, err))
		case r.Err != nil:
			lines = append(lines, fmt.Sprintf("failed %s: %v", r.Name, r.Err))
		case r.Removed:
			lines = append(lines, fmt.Sprintf("removed %s from %s", r.Name, r.Store))
		case r.Restored:
			lines = append(lines, fmt.Sprintf("restored %s from %s", r.Name, r.Store))
		case r.Status == vault.CopyCopied:
			lines = append(lines, fmt.Sprintf("copied %s to %s", r.Name, r.Store))
		default:
			lines = append(lines, fmt.Sprintf("%s %s in %s", r.Status, r.Name, r.Store))
		}
	}
	return lines
}

func TestRepair(t *testing.T) {
	m := newMirrored(t, nil)
	for _, name := range []vault.Name{"lost", "newer", "older", "same"} {
		put(t, m.Vault, name, "1", nil)
	}
	other := newVault(t, m.mirror.inner, nil)
	put(t, other, "newer", "2", nil)
	put(t, other, "unknown", "1", nil)
	put(t, newVault(t, m.primary.inner, nil), "older", "2", nil)
	// Another machine removes a name, and its mirror is away.
	if err := newVault(t, m.primary.inner, nil).Delete(t.Context(), "lost", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"removed lost from mirror", "copied older to mirror", "same same in mirror", "extra unknown in mirror", "restored newer from mirror"}
	expect(t, repaired(t, m.Vault, &vault.RepairOptions{DryRun: true}), want...)
	m.want(t, "lost", "none", "1")
	expect(t, repaired(t, m.Vault, nil), want...)
	m.want(t, "lost", "none", "none")
	m.want(t, "newer", "2", "2")
	m.want(t, "older", "2", "2")
	m.want(t, "unknown", "none", "1")
	// The primary store is behind what this machine has seen, and the mirror is not.
	put(t, other, "newer", "3", nil)
	if _, err := m.Compare(t.Context(), "newer"); err != nil {
		t.Fatal(err)
	}
	expect(t, repaired(t, m.Vault, &vault.RepairOptions{Prefix: "n"}), "restored newer from mirror")
	m.mirror.away.Store(true)
	if got := repaired(t, m.Vault, nil); len(got) != 1 || !strings.HasPrefix(got[0], "failed mirror: ") {
		t.Errorf("Repair without the mirror: %q", got)
	}
}

// A store without a history does not tell a removed name from a lost one. A name that another machine has
// removed must not come back.
func TestRepairNeverRestoresARemovedName(t *testing.T) {
	m := newMirrored(t, nil)
	plain := newStore(t)
	v := m.over(t, plain)
	put(t, v, "a", "1", nil)
	put(t, v, "b", "1", nil)
	other := newVault(t, plain, nil)
	for _, name := range []vault.Name{"a", "b"} {
		if err := other.Delete(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(t, other, "b", "2", nil)
	plainHistory := *plain
	plainHistory.History = nil
	expect(t, repaired(t, m.over(t, &plainHistory), nil), "extra a in mirror", "copied b to mirror")
	if _, err := other.Get(t.Context(), "a", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("the removed name is back: %v", err)
	}
}

// Reads ask the mirror if the primary store cannot be reached, and only then.
func TestMirrorReads(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, m.Vault, "a", "1", nil)
	put(t, newVault(t, m.mirror.inner, nil), "only-there", "1", nil)
	if _, err := m.Get(t.Context(), "only-there", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Get of a name that only the mirror has = %v", err)
	}
	m.primary.away.Store(true)
	for _, v := range []*vault.Vault{m.Vault, m.again(t)} {
		if got := get(t, v, "a", nil); got != "1" {
			t.Errorf("Get from the mirror = %q", got)
		}
		info, err := v.Stat(t.Context(), "a")
		if err != nil || info.Mirror != "mirror" {
			t.Errorf("Stat from the mirror = %+v, %v", info, err)
		}
		expect(t, names(t, v, ""), "a", "only-there")
		if _, err := v.Get(t.Context(), "none", nil); !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrNotFound) {
			t.Errorf("Get of a name that the mirror does not have = %v", err)
		}
	}

	// An older object of the mirror is neither returned nor called a rollback.
	m.primary.away.Store(false)
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "2", nil)
	m.mirror.away.Store(false)
	m.primary.away.Store(true)
	for _, v := range []*vault.Vault{m.Vault, m.again(t)} {
		_, err := v.Get(t.Context(), "a", nil)
		if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrRollback) || !strings.Contains(err.Error(), "mirror mirror: it is behind") {
			t.Errorf("Get from a mirror that is behind = %v", err)
		}
	}
	m.primary.away.Store(false)
	m.mirror.sync(t, m.mirror.vault)

	// If the primary store itself is behind, the mirror has the newest object.
	put(t, newVault(t, m.mirror.inner, nil), "a", "3", nil)
	if _, err := m.Compare(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Get(t.Context(), "a", nil); err != nil || r.Info().Mirror != "mirror" {
		t.Errorf("Get while the primary store is behind = %v", err)
	}
	m.mirror.away.Store(true)
	if _, err := m.Get(t.Context(), "a", nil); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("Get from the primary store that is behind = %v", err)
	}
	if _, err := m.AcceptOlder(t.Context(), "a"); err != nil {
		t.Errorf("AcceptOlder = %v", err)
	}
	if got := get(t, m.again(t), "a", nil); got != "2" {
		t.Errorf("the accepted value is %q", got)
	}
}

func TestCompare(t *testing.T) {
	m := newMirrored(t, nil)
	states := func() (line string, err error) {
		all, err := m.Compare(t.Context(), "a")
		for _, s := range all {
			line += string(s.Status) + " "
		}
		return strings.TrimSpace(line), err
	}
	wants := func(want string, target error) {
		t.Helper()
		if got, err := states(); got != want || !errors.Is(err, target) {
			t.Errorf("Compare = %q, %v; want %q, %v", got, err, want, target)
		}
	}
	wants("missing missing", vault.ErrNotFound)
	put(t, m.Vault, "a", "1", nil)
	wants("newest newest", nil)
	put(t, newVault(t, m.mirror.inner, nil), "a", "2", nil)
	wants("behind newest", nil)
	m.mirror.away.Store(true)
	wants("behind failed", nil)
	m.mirror.away.Store(false)
	if err := newVault(t, m.mirror.inner, nil).Delete(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	wants("newest missing", vault.ErrRollback)
	put(t, m.Vault, "a", "3", nil)
	if err := newVault(t, m.primary.inner, nil).Delete(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	wants("missing newest", nil)
	m.primary.away.Store(true)
	wants("failed newest", nil)
}

func TestQuorum(t *testing.T) {
	m := newMirrored(t, func(o *vault.Options) { o.Mirror.Quorum = 2 })
	put(t, m.Vault, "a", "1", nil)
	m.want(t, "a", "1", "1")
	m.mirror.away.Store(true)
	info, err := m.Put(t.Context(), "a", strings.NewReader("2"), nil)
	var few *vault.QuorumError
	if !errors.As(err, &few) || few.Stored != 1 || few.Quorum != 2 || !errors.Is(err, vault.ErrSpooled) || info.Revision == 0 {
		t.Errorf("Put at one of two stores = %+v, %v", info, err)
	}
	m.want(t, "a", "2", "1")
	m.mirror.away.Store(false)
	m.mirror.sync(t, m.mirror.vault)
	m.want(t, "a", "2", "2")

	// One store is enough: if the primary one is away, it may be the mirror, unless only the primary
	// store can decide.
	m.options.Mirror.Quorum = 1
	m.Vault = m.again(t)
	m.behind = nil
	m.primary.away.Store(true)
	if _, err := m.Put(t.Context(), "b", strings.NewReader("1"), nil); err != nil {
		t.Errorf("Put at the mirror alone = %v", err)
	}
	if len(m.behind) != 1 || m.behind[0].Store != "primary" || !errors.Is(m.behind[0].Err, vault.ErrSpooled) {
		t.Errorf("behind: %+v", m.behind)
	}
	m.want(t, "b", "none", "1")
	if got := get(t, m.Vault, "b", nil); got != "1" {
		t.Errorf("Get = %q", got)
	}
	if _, err := m.Put(t.Context(), "c", strings.NewReader("1"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrSpooled) {
		t.Errorf("create without the primary store = %v", err)
	}
	m.want(t, "c", "none", "none")
	m.primary.away.Store(false)
	if sum := m.primary.sync(t, m.Vault); sum.Sent != 2 {
		t.Errorf("sync of the primary store: %+v", sum)
	}
	m.want(t, "b", "1", "1")
	m.want(t, "c", "1", "1")
}

// A read-only vault writes to no store and to no spool.
func TestMirrorReadOnly(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, newVault(t, m.primary.inner, nil), "a", "1", nil)
	m.options.Scope = vault.Scope{ReadOnly: true}
	v := m.again(t)
	if got := get(t, v, "a", nil); got != "1" {
		t.Errorf("Get = %q", got)
	}
	for what, err := range map[string]error{
		"put":    func() error { _, err := v.Put(t.Context(), "a", strings.NewReader("2"), nil); return err }(),
		"delete": v.Delete(t.Context(), "a", nil),
		"repair": func() (last error) {
			for _, err := range v.Repair(t.Context(), nil) {
				last = err
			}
			return last
		}(),
	} {
		if !errors.Is(err, vault.ErrPermission) {
			t.Errorf("%s = %v", what, err)
		}
	}
	m.want(t, "a", "1", "none")
	for _, s := range []side{m.primary, m.mirror} {
		if all, err := s.spool.All(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("the spool has %d entries, %v", len(all), err)
		}
	}
}

func TestMirrorConfig(t *testing.T) {
	a, b := newStore(t), newStore(t)
	v := newVault(t, b, nil)
	for what, m := range map[string]*vault.Mirror{
		"the same store":          {Vaults: []*vault.Vault{newVault(t, a, nil)}},
		"the same store twice":    {Vaults: []*vault.Vault{v, newVault(t, b, nil)}},
		"a nil vault":             {Vaults: []*vault.Vault{nil}},
		"a zero vault":            {Vaults: []*vault.Vault{{}}},
		"another collection":      {Vaults: []*vault.Vault{newVault(t, b, &vault.Options{Collection: "other"})}},
		"a mirror with a mirror":  {Vaults: []*vault.Vault{newVault(t, b, &vault.Options{Mirror: &vault.Mirror{Vaults: []*vault.Vault{newVault(t, newStore(t), nil)}}})}},
		"a quorum that is larger": {Vaults: []*vault.Vault{v}, Quorum: 3},
		"a negative quorum":       {Vaults: []*vault.Vault{v}, Quorum: -1},
	} {
		if _, err := vault.New(a, "0xabc", keys, &vault.Options{Mirror: m}); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A change that waits for a mirror is about the name, and not about the value: what another machine has
// removed or replaced since does not come back.
func TestNoteNeverBringsBack(t *testing.T) {
	m := newMirrored(t, nil)
	m.mirror.away.Store(true)
	put(t, m.Vault, "removed", "1", nil)
	put(t, m.Vault, "replaced", "1", nil)
	other := newVault(t, m.primary.inner, nil)
	if err := other.Delete(t.Context(), "removed", nil); err != nil {
		t.Fatal(err)
	}
	put(t, other, "replaced", "2", nil)
	m.mirror.away.Store(false)
	if sum := m.mirror.sync(t, m.mirror.vault); sum.Sent != 2 || sum.Pending+sum.Refused > 0 {
		t.Errorf("sync of the mirror: %+v", sum)
	}
	m.want(t, "removed", "none", "none")
	m.want(t, "replaced", "2", "2")
	if all, err := m.mirror.spool.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("the spool has %d entries, %v", len(all), err)
	}

	// The same for a value whose put had no response, and that another machine has removed since.
	lost := intercept.Store(m.primary.inner, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "put" || c.Op == "create" || c.Op == "swap" {
			do()
		}
		return errAway
	}})
	if _, err := m.over(t, lost).Put(t.Context(), "lost", strings.NewReader("1"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatalf("Put without a response = %v", err)
	}
	if err := other.Delete(t.Context(), "lost", nil); err != nil {
		t.Fatal(err)
	}
	m.primary.sync(t, m.again(t))
	m.want(t, "lost", "none", "none")
}

// Another machine removes a name after this one has read it, and before this one writes the mirror. The value
// must not stay in the mirror, whether the primary store has a history or not.
func TestRemovedWhileTheMirrorIsWritten(t *testing.T) {
	for _, history := range []bool{true, false} {
		for _, repair := range []bool{false, true} {
			primary, mirror := newStore(t), newStore(t)
			if history {
				primary = newVersioned(t)
			}
			primary.Name, mirror.Name = "primary", "mirror"
			remove := func() {
				mirrored := &vault.Mirror{Vaults: []*vault.Vault{newVault(t, mirror, nil)}}
				if err := newVault(t, primary, &vault.Options{Mirror: mirrored}).Delete(t.Context(), "a", nil); err != nil {
					t.Error(err)
				}
			}
			var once sync.Once
			raced := intercept.Store(mirror, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if c.Op == "put" || c.Op == "create" || c.Op == "swap" {
					once.Do(remove)
				}
				return do()
			}})
			var behind []vault.Behind
			v := newVault(t, primary, &vault.Options{Mirror: &vault.Mirror{
				Vaults: []*vault.Vault{newVault(t, raced, nil)},
				Behind: func(b vault.Behind) { behind = append(behind, b) },
			}})
			if repair {
				put(t, newVault(t, primary, nil), "a", "secret", nil)
				expect(t, repaired(t, v, nil), "gone a in mirror")
			} else {
				put(t, v, "a", "secret", nil)
			}
			for _, s := range []*vault.Store{primary, mirror} {
				if list := names(t, newVault(t, s, nil), ""); len(list) > 0 {
					t.Errorf("history %t, repair %t: the %s store has %q", history, repair, s.Name, list)
				}
			}
			if len(behind) > 0 {
				t.Errorf("history %t, repair %t: behind: %+v", history, repair, behind)
			}
		}
	}
}

// A process is killed after its rewrap has changed the primary store, and before it notes that. The next run
// changes nothing there, and completes the mirror.
func TestRewrapCompletesTheMirror(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, m.Vault, "a", "1", nil)
	other := recipient("other")
	o := &vault.RewrapOptions{Add: []envelope.KeySource{keys[0], other}}
	if r, err := newVault(t, m.primary.inner, nil).Rewrap(t.Context(), "a", o); err != nil || !r.Changed {
		t.Fatalf("Rewrap of the primary store = %+v, %v", r, err)
	}
	m.mirror.away.Store(true)
	if r, err := m.Rewrap(t.Context(), "a", o); err != nil || r.Changed || len(m.behind) != 1 {
		t.Errorf("Rewrap without the mirror = %+v, %v; behind: %+v", r, err, m.behind)
	}
	m.mirror.away.Store(false)
	dry := *o
	dry.DryRun = true
	for _, tc := range []struct {
		options *vault.RewrapOptions
		opens   bool
	}{{&dry, false}, {o, true}} {
		if r, err := m.Rewrap(t.Context(), "a", tc.options); err != nil || r.Changed {
			t.Errorf("Rewrap again = %+v, %v", r, err)
		}
		if got := opens(t, m.mirror.inner, "a", other); !slices.Equal(got, []bool{tc.opens}) {
			t.Errorf("the added key opens the object of the mirror: %v, want %t", got, tc.opens)
		}
	}
	// The Vault has only the removed key, which does not open the new object.
	put(t, m.Vault, "b", "1", nil)
	former := sealedBytes(t, m.mirror.inner, "b")
	o = &vault.RewrapOptions{Add: []envelope.KeySource{other}, Remove: keys}
	for _, changed := range []bool{true, false} {
		if r, err := m.Rewrap(t.Context(), "b", o); err != nil || r.Changed != changed {
			t.Errorf("Rewrap that removes the key of the Vault = %+v, %v", r, err)
		}
		for _, s := range []*vault.Store{m.primary.inner, m.mirror.inner} {
			if got := opens(t, s, "b", keys[0], other); !slices.Equal(got, []bool{false, true}) {
				t.Errorf("%s: the removed key and the added one open the object: %v", s.Name, got)
			}
		}
		if err := m.mirror.inner.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/b.enc", former, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.behind) != 1 {
		t.Errorf("behind: %+v", m.behind)
	}
}

// If the clock of another writer is fast, the mirror has a later revision than the newest value. Put must not
// report that the mirror has the value, and Repair must not replace the newest value.
func TestMirrorOfAFastClock(t *testing.T) {
	m := newMirrored(t, func(o *vault.Options) { o.Mirror.Quorum = 2 })
	fast := newVault(t, m.mirror.inner, &vault.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	put(t, fast, "a", "old", nil)
	_, err := m.Put(t.Context(), "a", strings.NewReader("new"), nil)
	var few *vault.QuorumError
	if !errors.As(err, &few) || !errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrSpooled) {
		t.Errorf("Put = %v", err)
	}
	expect(t, repaired(t, m.Vault, nil), "exists a in mirror")
	m.want(t, "a", "new", "old")
	if err := m.Delete(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	if n := len(m.behind); n != 2 || !errors.Is(m.behind[1].Err, vault.ErrConflict) {
		t.Errorf("behind: %+v", m.behind)
	}
	expect(t, repaired(t, m.Vault, nil), "extra a in mirror")
}

// A name that has no revision left is deleted from a mirror, too: at once, or later if the mirror is away.
func TestMirrorDeletesANameWithoutRevisions(t *testing.T) {
	for _, away := range []bool{false, true} {
		m := newMirrored(t, func(o *vault.Options) { o.Now = func() time.Time { return time.UnixMicro(1<<53 - 1) } })
		put(t, m.Vault, "a", "secret", nil)
		if _, err := m.Put(t.Context(), "a", strings.NewReader("next"), nil); !errors.Is(err, vault.ErrConflict) {
			t.Fatalf("the second Put = %v", err)
		}
		m.want(t, "a", "secret", "secret")
		m.mirror.away.Store(away)
		if err := m.Delete(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		if away {
			if len(m.behind) != 1 || !errors.Is(m.behind[0].Err, vault.ErrSpooled) {
				t.Errorf("behind: %+v", m.behind)
			}
			m.mirror.away.Store(false)
			if sum := m.mirror.sync(t, m.mirror.vault); sum.Sent != 1 || sum.Pending+sum.Refused > 0 {
				t.Errorf("sync of the mirror: %+v", sum)
			}
		} else if len(m.behind) > 0 {
			t.Errorf("behind: %+v", m.behind)
		}
		m.want(t, "a", "none", "none")
	}
}

// Without a Seen, what waits for a mirror still shows that the mirror is behind.
func TestNotedMirrorIsBehind(t *testing.T) {
	m := newMirrored(t, func(o *vault.Options) { o.Seen = nil })
	put(t, m.Vault, "a", "1", nil)
	put(t, m.Vault, "b", "1", nil)
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "2", nil)
	if err := m.Delete(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	m.mirror.away.Store(false)
	m.primary.away.Store(true)
	for _, name := range []vault.Name{"a", "b"} {
		if _, err := m.again(t).Get(t.Context(), name, nil); !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("Get of %s from a mirror that is behind = %v", name, err)
		}
	}
}

// A mirror without objects answers a list, and the caller learns that it was the mirror.
func TestMirrorLists(t *testing.T) {
	var stores []string
	m := newMirrored(t, func(o *vault.Options) {
		o.Mirror.Fallback = func(store string, err error) { stores = append(stores, store) }
	})
	m.primary.away.Store(true)
	expect(t, names(t, m.Vault, ""))
	expect(t, stores, "mirror")
	m.mirror.away.Store(true)
	for _, err := range m.List(t.Context(), nil) {
		if !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("List without any store = %v", err)
		}
	}
}

// Rotate and AcceptOlder read the primary store only: a mirror may be behind.
func TestWritesReadThePrimaryStore(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, m.Vault, "a", "1", nil)
	m.primary.away.Store(true)
	if _, err := m.Rotate(t.Context(), "a", nil); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("Rotate without the primary store = %v", err)
	}
	if _, err := m.AcceptOlder(t.Context(), "a"); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("AcceptOlder without the primary store = %v", err)
	}
}

// A removed name that a mirror still has is not the newest value.
func TestCompareOfARemovedName(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, m.Vault, "a", "1", nil)
	m.mirror.away.Store(true)
	if err := m.Delete(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	m.mirror.away.Store(false)
	states, err := m.Compare(t.Context(), "a")
	if !errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrRollback) || states[1].Status != vault.StoreBehind {
		t.Errorf("Compare = %+v, %v", states, err)
	}
}

// A forced copy goes to two mirrors at once.
func TestCopyToMirrors(t *testing.T) {
	src, a := newVault(t, newStore(t), nil), newVersioned(t)
	put(t, src, "large", strings.Repeat("x", 3<<20), nil)
	put(t, src, "small", "1", nil)
	sides := []*vault.Store{newVersioned(t), newVersioned(t)}
	sides[0].Name, sides[1].Name = "one", "two"
	dst := newVault(t, a, &vault.Options{Mirror: &vault.Mirror{Vaults: []*vault.Vault{newVault(t, sides[0], nil), newVault(t, sides[1], nil)}}})
	expect(t, copied(t, dst, src, &vault.CopyOptions{Verify: true}), "copied large", "copied small")
	for _, s := range sides {
		if !bytes.Equal(sealedBytes(t, s, "large"), sealedBytes(t, a, "large")) {
			t.Errorf("the mirror %s has other bytes", s.Name)
		}
	}
}

// An empty primary store is no deletion: the mirror may have the only copy.
func TestEmptyPrimaryStore(t *testing.T) {
	m := newMirrored(t, nil)
	put(t, m.Vault, "a", "1", nil)
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "2", nil)
	m.mirror.away.Store(false)
	empty := newVersioned(t)
	v := m.over(t, empty)
	if sum := m.mirror.sync(t, m.mirror.vault); sum.Pending+sum.Refused > 0 {
		t.Errorf("sync of the mirror: %+v", sum)
	}
	expect(t, repaired(t, v, nil), "extra a in mirror")
	if got := m.mirror.has(t, "a"); got != "1" {
		t.Errorf("the mirror has %q", got)
	}
}

// While a put waits for a slow mirror, its entry and its revision are complete: another put of the name does not
// wait, and an older stream does not replace the value.
func TestPutWaitsForTheMirrorLast(t *testing.T) {
	m := newMirrored(t, nil)
	waiting, goOn := make(chan struct{}), make(chan struct{})
	var slowed atomic.Bool
	slow := intercept.Store(m.mirror.inner, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		if slowed.CompareAndSwap(false, true) { // only the first request waits
			close(waiting)
			<-goOn
		}
		return do()
	}})
	m.mirror.store = slow
	m.Vault = m.again(t)
	var first, second error
	var group sync.WaitGroup
	old, feed := io.Pipe()
	ended := make(chan struct{})
	group.Go(func() {
		defer close(ended)
		_, first = m.Put(t.Context(), "a", old, &vault.PutOptions{Spool: vault.SpoolOff})
	})
	chunk := make([]byte, 2<<20)
	feed.Write(chunk) // the older put has its revision
	group.Go(func() { _, second = m.Put(t.Context(), "a", strings.NewReader("new"), nil) })
	<-waiting
	if all, err := m.primary.spool.All(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("the spool of the primary store has %d entries, %v", len(all), err)
	}
	feed.Write(chunk)
	feed.Close()
	<-ended // the older put ends while the newer one waits
	if got := m.primary.has(t, "a"); got != "new" {
		t.Errorf("the primary store has %d bytes", len(got))
	}
	close(goOn)
	group.Wait()
	if !errors.Is(first, vault.ErrConflict) || second != nil {
		t.Errorf("the older put: %v; the newer put: %v", first, second)
	}
	m.want(t, "a", "new", "new")
}

// A note of a damaged object stays, and is counted.
func TestNoteOfADamagedObject(t *testing.T) {
	m := newMirrored(t, nil)
	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "1", nil)
	m.mirror.away.Store(false)
	sealed := sealedBytes(t, m.primary.inner, "a")
	sealed[len(sealed)-1] ^= 1
	if err := m.primary.inner.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/a.enc", sealed, nil); err != nil {
		t.Fatal(err)
	}
	if sum := m.mirror.sync(t, m.mirror.vault); sum.Pending != 1 || !errors.Is(sum.Cause, envelope.ErrDecrypt) {
		t.Errorf("sync of the mirror: %+v", sum)
	}
	if got := m.mirror.has(t, "a"); got != "none" {
		t.Errorf("the mirror has %q", got)
	}
}
