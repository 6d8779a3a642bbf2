package vault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// copied returns the result of a copy as lines such as "copied a".
func copied(t *testing.T, dst, src *vault.Vault, o *vault.CopyOptions) []string {
	t.Helper()
	var lines []string
	for c, err := range vault.Copy(t.Context(), dst, src, o) {
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s %s", c.Status, c.Name)
		if c.Err != nil {
			line += ": " + c.Err.Error()
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// sealedBytes returns the bytes of the object of name in a store.
func sealedBytes(t *testing.T, s *vault.Store, name string) []byte {
	t.Helper()
	b, err := s.Bucket.ReadAll(t.Context(), "bots/0xabc/credentials/"+name+".enc")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCopy(t *testing.T) {
	a, b := newStore(t), newStore(t)
	src, dst := newVault(t, a, nil), newVault(t, b, nil)
	large := make([]byte, 3<<20+7)
	rand.NewChaCha8([32]byte{1}).Read(large)
	put(t, src, "empty", "", nil)
	put(t, src, "large", string(large), nil)
	put(t, src, "small", "sk-1", &vault.PutOptions{Labels: map[string]string{"team": "red"}})
	expect(t, copied(t, dst, src, &vault.CopyOptions{Verify: true}), "copied empty", "copied large", "copied small")
	for _, name := range []string{"empty", "large", "small"} {
		if !bytes.Equal(sealedBytes(t, a, name), sealedBytes(t, b, name)) {
			t.Errorf("the copy of %s has other sealed bytes", name)
		}
	}
	if got := get(t, dst, "large", nil); got != string(large) {
		t.Error("the copy of the large object has another value")
	}
	info, err := dst.Stat(t.Context(), "small")
	if old, _ := src.Stat(t.Context(), "small"); err != nil || info.Tag != old.Tag || info.Labels["team"] != "red" {
		t.Errorf("the copy is %+v, %v", info, err)
	}
	expect(t, copied(t, dst, src, nil), "same empty", "same large", "same small")
}

func TestCopyModes(t *testing.T) {
	src, dst := newVault(t, newStore(t), nil), newVault(t, newStore(t), nil)
	put(t, src, "missing", "1", nil)
	put(t, src, "newer-there", "old", nil)
	put(t, dst, "newer-there", "new", nil)
	put(t, dst, "newer-here", "old", nil)
	put(t, src, "newer-here", "new", nil)
	put(t, dst, "only-there", "1", nil)

	expect(t, copied(t, dst, src, &vault.CopyOptions{DryRun: true, Mode: vault.CopyForce, Extra: true}),
		"copied missing", "copied newer-here", "copied newer-there", "extra only-there")
	if _, err := dst.Stat(t.Context(), "missing"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("a dry run stored an object: %v", err)
	}
	expect(t, copied(t, dst, src, nil), "copied missing", "exists newer-here", "exists newer-there")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Mode: vault.CopyNewer}), "same missing", "copied newer-here", "older newer-there")
	if got := get(t, dst, "newer-there", nil); got != "new" {
		t.Errorf("CopyNewer replaced a newer object by %q", got)
	}
	expect(t, copied(t, dst, src, &vault.CopyOptions{Mode: vault.CopyForce}), "same missing", "same newer-here", "copied newer-there")
	if got := get(t, dst, "newer-there", nil); got != "old" {
		t.Errorf("CopyForce left %q", got)
	}
	expect(t, copied(t, dst, src, &vault.CopyOptions{Prefix: "newer-h"}), "same newer-here")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Names: []vault.Name{"missing", "nowhere", "only-there"}, Extra: true}),
		"same missing", "failed nowhere: copy nowhere: source mem://: not found", "extra only-there")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Names: []vault.Name{"only-there"}}),
		"failed only-there: copy only-there: source mem://: not found")
}

func TestPrune(t *testing.T) {
	src, dst := newVault(t, newStore(t), nil), newVault(t, newStore(t), nil)
	put(t, src, "both", "1", nil)
	put(t, dst, "both", "1", nil)
	put(t, dst, "extra", "1", nil)
	if err := vault.Prune(t.Context(), dst, src, "extra"); err != nil {
		t.Error(err)
	}
	var side *vault.CopyError
	if err := vault.Prune(t.Context(), dst, src, "both"); !errors.Is(err, vault.ErrExist) || !errors.As(err, &side) || !side.Source {
		t.Errorf("Prune of a name that the source has = %v", err)
	}
	expect(t, names(t, dst, ""), "both")
}

// A copy takes one get and one put for each object, and one list on each side.
func TestCopyRequests(t *testing.T) {
	var reads, writes recorder
	a, b := newStore(t), newStore(t)
	src, dst := newVault(t, intercept.Store(a, reads.hooks()), nil), newVault(t, intercept.Store(b, writes.hooks()), nil)
	put(t, src, "large", strings.Repeat("x", 2<<20), nil)
	put(t, src, "small", "1", nil)
	reads.take()
	expect(t, copied(t, dst, src, &vault.CopyOptions{Jobs: 1}), "copied large", "copied small")
	expect(t, reads.take(), "list", "get 0+-1", "get 0+-1")
	expect(t, writes.take(), "list", "create", "create")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Jobs: 1}), "same large", "same small")
	expect(t, reads.take(), "list", "get 0+16384", "get 0+16384")
	expect(t, writes.take(), "list", "get 0+16384", "get 0+16384")
}

func TestCopyNeedsNoKey(t *testing.T) {
	a, b := newStore(t), newStore(t)
	put(t, newVault(t, a, nil), "name", "1", nil)
	bare := func(s *vault.Store) *vault.Vault {
		v, err := vault.New(s, "0xabc", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for c, err := range vault.Copy(t.Context(), bare(b), bare(a), nil) {
		sum := sha256.Sum256(sealedBytes(t, a, "name"))
		if err != nil || c.Status != vault.CopyCopied || c.Opened || c.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("the copy without keys is %+v, %v", c, err)
		}
	}
	for _, err := range vault.Copy(t.Context(), bare(b), bare(a), &vault.CopyOptions{Mode: vault.CopyNewer}) {
		if !errors.Is(err, envelope.ErrUnknownKey) {
			t.Errorf("CopyNewer without keys = %v", err)
		}
	}
	if got := get(t, newVault(t, b, nil), "name", nil); got != "1" {
		t.Errorf("the copy contains %q", got)
	}
}

// A damaged object never reaches the destination if a key is at hand, whatever its size.
func TestCopyOfDamage(t *testing.T) {
	for _, size := range []int{0, 100, 5 << 20} {
		a, b := newStore(t), newStore(t)
		src, dst := newVault(t, a, nil), newVault(t, b, nil)
		put(t, src, "name", strings.Repeat("x", size), nil)
		sealed := sealedBytes(t, a, "name")
		for what, damage := range map[string][]byte{
			"the last byte is changed": append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1),
			"a byte follows":           append(bytes.Clone(sealed), 0),
			"the last byte is missing": sealed[:len(sealed)-1],
			"it is no envelope":        []byte("plain text that is longer than the header of an object of agentKeys"),
		} {
			if err := a.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/name.enc", damage, nil); err != nil {
				t.Fatal(err)
			}
			for c, err := range vault.Copy(t.Context(), dst, src, nil) {
				var side *vault.CopyError
				if err != nil || !errors.As(c.Err, &side) || !side.Source || !errors.Is(c.Err, envelope.ErrDecrypt) && !errors.Is(c.Err, envelope.ErrFormat) {
					t.Errorf("%d bytes, %s: %v, %v", size, what, c.Err, err)
				}
			}
			if got := names(t, dst, ""); len(got) != 0 {
				t.Fatalf("%d bytes, %s: the destination has %q", size, what, got)
			}
		}
	}
}

func TestCopyChecksTheVaults(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	for what, o := range map[string]*vault.Options{
		"vault id":   {VaultID: "other"},
		"collection": {Collection: "other"},
	} {
		for _, err := range vault.Copy(t.Context(), newVault(t, newStore(t), o), v, nil) {
			if !errors.Is(err, vault.ErrConfig) {
				t.Errorf("another %s: %v", what, err)
			}
		}
	}
	for _, err := range vault.Copy(t.Context(), newVault(t, s, nil), v, nil) {
		if !errors.Is(err, vault.ErrConfig) {
			t.Errorf("the same store: %v", err)
		}
	}
	for _, err := range vault.Copy(t.Context(), newVault(t, newStore(t), &vault.Options{Scope: vault.Scope{ReadOnly: true}}), v, nil) {
		if !errors.Is(err, vault.ErrPermission) {
			t.Errorf("a read-only destination: %v", err)
		}
	}
	outside := newVault(t, newStore(t), &vault.Options{Scope: vault.Scope{Names: []vault.Name{"b"}}})
	put(t, v, "a", "1", nil)
	put(t, v, "b", "1", nil)
	expect(t, copied(t, outside, v, nil), "failed a: copy a: destination mem://: permission denied: the name is outside the scope of this vault", "copied b")
}

func TestCopyVersions(t *testing.T) {
	open := func() (*vault.Store, *vault.Vault) {
		s, err := memfs.Open(t.Context(), memfs.Config{Versions: 100})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s, newVault(t, s, nil)
	}
	history := func(v *vault.Vault, name vault.Name) (lines []string) {
		for e, err := range v.History(t.Context(), name) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Deleted {
				lines = append(lines, "deleted")
				continue
			}
			lines = append(lines, get(t, v, name, &vault.GetOptions{Version: e.Version}))
		}
		return lines
	}
	_, src := open()
	_, dst := open()
	for _, value := range []string{"1", "2", "-", "3"} {
		if value == "-" {
			if err := src.Delete(t.Context(), "name", nil); err != nil {
				t.Fatal(err)
			}
			continue
		}
		put(t, src, "name", value, nil)
	}
	put(t, src, "removed", "1", nil)
	if err := src.Delete(t.Context(), "removed", nil); err != nil {
		t.Fatal(err)
	}
	all := &vault.CopyOptions{Versions: true}
	expect(t, copied(t, dst, src, all), "copied name", "copied removed")
	expect(t, history(dst, "name"), "3", "deleted", "2", "1")
	expect(t, history(dst, "removed"), "deleted", "1")
	expect(t, copied(t, dst, src, all), "same name", "same removed")

	put(t, src, "name", "4", nil)
	expect(t, copied(t, dst, src, all), "copied name", "same removed")
	expect(t, history(dst, "name"), "4", "3", "deleted", "2", "1")

	put(t, dst, "name", "other", nil)
	put(t, src, "name", "5", nil)
	expect(t, copied(t, dst, src, all), "exists name", "same removed")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Versions: true, Mode: vault.CopyForce, Names: []vault.Name{"name"}}), "copied name")
	if got := get(t, dst, "name", nil); got != "5" {
		t.Errorf("the current value of the copy is %q", got)
	}

	plain, err := memfs.Open(t.Context(), memfs.Config{Versions: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range vault.Copy(t.Context(), newVault(t, plain, nil), src, all) {
		var side *vault.CopyError
		if !errors.Is(err, vault.ErrUnsupported) || !errors.As(err, &side) || side.Source {
			t.Errorf("a destination without a history: %v", err)
		}
	}
}

// The error of a copy names the side that failed, whichever request fails.
func TestCopyNamesTheSide(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{10, 3 << 20} {
		for _, at := range []string{"list", "get", "body"} {
			a := newStore(t)
			put(t, newVault(t, a, nil), "name", strings.Repeat("x", size), nil)
			hooks := intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if c.Op == at {
					return broken
				}
				return do()
			}, Body: func(_ intercept.Call, r io.Reader) io.Reader {
				if at != "body" {
					return r
				}
				return io.MultiReader(io.LimitReader(r, 5), &failingReader{broken})
			}}
			checkSide(t, fmt.Sprintf("source, %d bytes, %s", size, at), true, newVault(t, newStore(t), nil), newVault(t, intercept.Store(a, hooks), nil))
		}
		for _, at := range []string{"list", "create"} {
			a := newStore(t)
			src := newVault(t, a, nil)
			put(t, src, "name", strings.Repeat("x", size), nil)
			b := intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if c.Op == at {
					return fmt.Errorf("%w: %w", vault.ErrPermission, broken)
				}
				return do()
			}})
			if at == "list" { // a denied list is no failure: the copy asks for each name
				expect(t, copied(t, newVault(t, b, nil), src, nil), "copied name")
				continue
			}
			checkSide(t, fmt.Sprintf("destination, %d bytes, %s", size, at), false, newVault(t, b, nil), src)
		}
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func checkSide(t *testing.T, what string, source bool, dst, src *vault.Vault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n := 0
	for c, err := range vault.Copy(ctx, dst, src, nil) {
		n++
		if err == nil {
			err = c.Err
		}
		var side *vault.CopyError
		if !errors.As(err, &side) || side.Source != source {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n != 1 {
		t.Errorf("%s: %d results, want 1", what, n)
	}
	if list := names(t, dst, ""); source && len(list) != 0 {
		t.Errorf("%s: the destination has %q", what, list)
	}
}

// A value that passes through a process, as for another tenant, is read from one Vault and put in another.
func TestPutFromAnotherVault(t *testing.T) {
	broken := errors.New("broken")
	a := newStore(t)
	put(t, newVault(t, a, nil), "name", strings.Repeat("x", 3<<20), nil)
	src := newVault(t, intercept.Store(a, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
		if c.Offset > 0 {
			return &failingReader{broken}
		}
		return io.MultiReader(io.LimitReader(r, 2<<20), &failingReader{broken})
	}}), nil)
	r, err := src.Get(t.Context(), "name", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dst := newVault(t, newStore(t), nil)
	_, err = dst.Put(t.Context(), "other", r, nil)
	var source *vault.SourceError
	if !errors.As(err, &source) || !errors.Is(source.Err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("Put from a Reader that fails = %v", err)
	}
	if list := names(t, dst, ""); len(list) != 0 {
		t.Errorf("the destination has %q", list)
	}
}

// With Verify, a copy that was damaged at the destination is found, and replaced.
func TestCopyRepairsDamage(t *testing.T) {
	a, b := newStore(t), newStore(t)
	src, dst := newVault(t, a, nil), newVault(t, b, nil)
	put(t, src, "name", "1", nil)
	expect(t, copied(t, dst, src, nil), "copied name")
	sealed := sealedBytes(t, b, "name")
	sealed[len(sealed)-1] ^= 1
	if err := b.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/name.enc", sealed, nil); err != nil {
		t.Fatal(err)
	}
	expect(t, copied(t, dst, src, &vault.CopyOptions{Verify: true}), "exists name")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Verify: true, Mode: vault.CopyNewer}), "copied name")
	expect(t, copied(t, dst, src, &vault.CopyOptions{Verify: true}), "same name")
	if got := get(t, dst, "name", nil); got != "1" {
		t.Errorf("the copy contains %q", got)
	}
}

// With Verify, a version that was damaged at the destination is found, and the history is copied again.
func TestCopyVersionsRepairsDamage(t *testing.T) {
	a, b := newVersioned(t), newVersioned(t)
	src, dst := newVault(t, a, nil), newVault(t, b, nil)
	store := func(sealed []byte, damaged bool) {
		t.Helper()
		if damaged {
			sealed[len(sealed)-1] ^= 1
		}
		if err := b.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/name.enc", sealed, nil); err != nil {
			t.Fatal(err)
		}
	}
	options := func(mode vault.CopyMode) *vault.CopyOptions {
		return &vault.CopyOptions{Versions: true, Verify: true, Mode: mode}
	}
	intact := func() {
		t.Helper()
		expect(t, copied(t, dst, src, options(vault.CopyMissing)), "same name")
		for version, want := range map[string]string{"": "2", "@2": "1"} {
			if got := get(t, dst, "name", &vault.GetOptions{Version: version}); got != want {
				t.Errorf("version %q of the copy contains %q, want %q", version, got, want)
			}
		}
	}
	// An old version.
	put(t, src, "name", "1", nil)
	store(sealedBytes(t, a, "name"), true)
	put(t, src, "name", "2", nil)
	store(sealedBytes(t, a, "name"), false)
	expect(t, copied(t, dst, src, &vault.CopyOptions{Versions: true}), "same name")
	expect(t, copied(t, dst, src, options(vault.CopyMissing)), "exists name")
	expect(t, copied(t, dst, src, options(vault.CopyNewer)), "exists name")
	expect(t, copied(t, dst, src, options(vault.CopyForce)), "copied name")
	intact()
	expect(t, copied(t, dst, src, options(vault.CopyForce)), "same name")

	// The current object, although an older copy of it is intact.
	store(sealedBytes(t, a, "name"), true)
	expect(t, copied(t, dst, src, options(vault.CopyMissing)), "exists name")
	expect(t, copied(t, dst, src, options(vault.CopyForce)), "copied name")
	intact()
	store(sealedBytes(t, a, "name"), true)
	expect(t, copied(t, dst, src, options(vault.CopyNewer)), "copied name") // only the current object
	expect(t, copied(t, dst, src, options(vault.CopyMissing)), "same name")
	if got := get(t, dst, "name", nil); got != "2" {
		t.Errorf("the current object of the copy contains %q", got)
	}
}

// A copy of a history continues although the source has dropped its oldest versions, or has a damaged one.
func TestCopyVersionsContinues(t *testing.T) {
	a, b := newVersioned(t), newVersioned(t)
	src, dst := newVault(t, a, nil), newVault(t, b, nil)
	all := &vault.CopyOptions{Versions: true}
	for _, value := range []string{"1", "2"} {
		put(t, src, "name", value, nil)
	}
	if err := a.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/name.enc", []byte("no envelope"), nil); err != nil {
		t.Fatal(err)
	}
	put(t, src, "name", "3", nil)
	for c, err := range vault.Copy(t.Context(), dst, src, all) {
		if err != nil || !errors.Is(c.Err, envelope.ErrFormat) || c.Versions != 3 {
			t.Errorf("the first copy: %+v, %v", c, err)
		}
	}
	expect(t, copied(t, dst, src, all), "same name")
	var leftovers []vault.Leftover
	for l, err := range a.Purge.Leftovers(t.Context(), "bots/") {
		if err != nil {
			t.Fatal(err)
		}
		leftovers = append(leftovers, l)
	}
	if failed, err := a.Purge.Purge(t.Context(), leftovers); err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	expect(t, copied(t, dst, src, all), "same name")
	put(t, src, "name", "4", nil)
	expect(t, copied(t, dst, src, all), "copied name")
	if got := get(t, dst, "name", nil); got != "4" {
		t.Errorf("the copy contains %q", got)
	}
}

// A copy ends soon if one side goes away, and does not try every name.
func TestCopyEndsWithoutAStore(t *testing.T) {
	src := newVault(t, newStore(t), nil)
	for i := range 200 {
		put(t, src, vault.Name(fmt.Sprintf("name-%03d", i)), "1", nil)
	}
	stored := 0
	dst := intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "create" {
			if stored++; stored > 20 {
				return errAway
			}
		}
		return do()
	}})
	copies, failed := 0, 0
	var last error
	for c, err := range vault.Copy(t.Context(), newVault(t, dst, nil), src, &vault.CopyOptions{Jobs: 1}) {
		switch last = err; {
		case c.Status == vault.CopyCopied:
			copies++
		case c.Status == vault.CopyFailed:
			failed++
		}
	}
	var side *vault.CopyError
	if copies != 20 || failed > 20 || !errors.Is(last, vault.ErrUnavailable) || !errors.As(last, &side) || side.Source {
		t.Errorf("%d copied, %d failed, and then %v", copies, failed, last)
	}
}
