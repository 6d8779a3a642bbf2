package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// recipient returns a key source with a root of its own.
func recipient(name string) *kek.Local { return kek.NewLocal(kek.RandomRoot()).Named(name) }

func vaultFor(t *testing.T, s *vault.Store, o *vault.Options, sources ...envelope.KeySource) *vault.Vault {
	t.Helper()
	v, err := vault.New(s, "0xabc", sources, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// opens reports whether each source opens name.
func opens(t *testing.T, s *vault.Store, name vault.Name, sources ...envelope.KeySource) (list []bool) {
	t.Helper()
	for _, source := range sources {
		r, err := vaultFor(t, s, nil, source).Get(t.Context(), name, nil)
		if err != nil && !errors.Is(err, envelope.ErrUnknownKey) {
			t.Errorf("%s: %v", source.Name(), err)
		}
		if err == nil {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("%s: %v", source.Name(), err)
			}
			r.Close()
		}
		list = append(list, err == nil)
	}
	return list
}

// A key source is added, then the first one is removed: value, revision and metadata stay.
func TestRewrap(t *testing.T) {
	for _, size := range []int{0, 64, 100_000, 17 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newStore(t)
			a, b := recipient("a"), recipient("b")
			v := vaultFor(t, s, nil, a)
			value := strings.Repeat("x", size)
			expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
			info := put(t, v, "openrouter", value, &vault.PutOptions{ContentType: "text/plain", Labels: map[string]string{"team": "red"}, Expires: expires})

			added, err := v.Rewrap(t.Context(), "openrouter", &vault.RewrapOptions{Add: []envelope.KeySource{b}})
			if err != nil || !added.Changed || !slices.Equal(added.Added, []string{"b"}) || added.Removed != nil {
				t.Fatalf("%+v, %v", added, err)
			}
			if diff := cmp.Diff([]bool{true, true}, opens(t, s, "openrouter", a, b)); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
			removed, err := v.Rewrap(t.Context(), "openrouter", &vault.RewrapOptions{Add: []envelope.KeySource{b}, Remove: []envelope.KeySource{a}})
			if err != nil || !removed.Changed || removed.Added != nil || !slices.Equal(removed.Removed, []string{"a"}) {
				t.Fatalf("%+v, %v", removed, err)
			}
			if diff := cmp.Diff([]bool{false, true}, opens(t, s, "openrouter", a, b)); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			w := vaultFor(t, s, nil, b)
			if got := get(t, w, "openrouter", nil); got != value {
				t.Errorf("the value has %d bytes, want %d", len(got), size)
			}
			now, err := w.Stat(t.Context(), "openrouter")
			if err != nil {
				t.Fatal(err)
			}
			if now.Revision != info.Revision || now.Rewrap != 2 || now.Tag == info.Tag || now.Tag != removed.Tag || now.Size != int64(size) || now.SealedSize != info.SealedSize {
				t.Errorf("%+v was %+v", now, info)
			}
			if now.ContentType != "text/plain" || now.Labels["team"] != "red" || !now.Expires.Equal(expires) || removed.ContentType != now.ContentType {
				t.Errorf("metadata: %+v", now)
			}
		})
	}
}

// Without a change nothing is written; DryRun writes nothing either.
func TestRewrapUnchanged(t *testing.T) {
	var r recorder
	plain := newStore(t)
	s := intercept.Store(plain, r.hooks())
	a, b := recipient("a"), recipient("b")
	v := vaultFor(t, s, nil, a)
	put(t, v, "x", "sk", nil)
	r.take()
	same, err := v.Rewrap(t.Context(), "x", nil)
	if err != nil || same.Changed || same.Added != nil || same.Size != 2 {
		t.Errorf("%+v, %v", same, err)
	}
	if diff := cmp.Diff([]string{"get 0+16384"}, r.take()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	dry, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}, DryRun: true})
	if err != nil || !dry.Changed || !slices.Equal(dry.Added, []string{"b"}) {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	if diff := cmp.Diff([]string{"get 0+16384"}, r.take()); diff != "" {
		t.Errorf("requests of a dry run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{true, false}, opens(t, plain, "x", a, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A change of a small object is one read and one write.
	r.take()
	if _, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"get 0+16384", "swap"}, r.take()); diff != "" {
		t.Errorf("requests of a change (-want +got):\n%s", diff)
	}
}

// A rewrap that would leave no usable key source, or that cannot authenticate the object, changes
// nothing.
func TestRewrapRefused(t *testing.T) {
	a, b, away := recipient("a"), recipient("b"), brokenKey{recipient("away"), envelope.ErrUnavailable}
	only := func(k envelope.KeySource) *vault.RewrapOptions {
		return &vault.RewrapOptions{Add: []envelope.KeySource{}, Remove: []envelope.KeySource{k}}
	}
	for _, tc := range []struct {
		what    string
		sealed  []envelope.KeySource
		keys    envelope.KeySource
		options *vault.RewrapOptions
		err     error
	}{
		{"only recipient removed", []envelope.KeySource{a}, a, only(a), vault.ErrConfig},
		{"only usable recipient removed", []envelope.KeySource{a, b}, a, only(a), vault.ErrConfig},
		{"same key added and removed", []envelope.KeySource{a}, a, &vault.RewrapOptions{Add: []envelope.KeySource{a.Named("the same key")}, Remove: []envelope.KeySource{a}}, vault.ErrConfig},
		{"no key source opens the object", []envelope.KeySource{a}, b, &vault.RewrapOptions{Add: []envelope.KeySource{b}}, envelope.ErrUnknownKey},
		{"unreachable source added", []envelope.KeySource{a}, a, &vault.RewrapOptions{Add: []envelope.KeySource{away}}, vault.ErrUnavailable},
		{"unreachable source removed", []envelope.KeySource{a}, a, only(away), vault.ErrUnavailable},
		{"nil source added", []envelope.KeySource{a}, a, &vault.RewrapOptions{Add: []envelope.KeySource{nil}}, vault.ErrConfig},
	} {
		s := newStore(t)
		put(t, vaultFor(t, s, nil, tc.sealed...), "x", "sk", nil)
		before, err := s.Bucket.ReadAll(t.Context(), "bots/0xabc/credentials/x.enc")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vaultFor(t, s, nil, tc.keys).Rewrap(t.Context(), "x", tc.options); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %v", tc.what, err, tc.err)
		}
		if after, err := s.Bucket.ReadAll(t.Context(), "bots/0xabc/credentials/x.enc"); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the object was changed: %v", tc.what, err)
		}
	}
	s := newStore(t)
	v := vaultFor(t, s, nil, a)
	if _, err := v.Rewrap(t.Context(), "absent", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	put(t, v, "x", "sk", nil)
	readOnly := vaultFor(t, s, &vault.Options{Scope: vault.Scope{ReadOnly: true}}, a)
	if _, err := readOnly.Rewrap(t.Context(), "x", nil); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("read-only: %v", err)
	}
}

// A brokenKey is a key source that cannot be used.
type brokenKey struct {
	*kek.Local
	err error
}

func (b brokenKey) Wrap(context.Context, envelope.Ref, []byte, envelope.AAD) (envelope.Stanza, error) {
	return envelope.Stanza{}, b.err
}

func (b brokenKey) Recognizes(context.Context, envelope.Ref, envelope.Stanza, envelope.AAD) (bool, error) {
	return false, b.err
}

// Another writer that changes the object after it was read is never overwritten.
func TestRewrapConflict(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	for _, at := range []string{"swap", "put"} {
		plain := newStore(t)
		other := vaultFor(t, plain, nil, a)
		put(t, other, "x", strings.Repeat("old", 10_000), nil) // longer than the first read
		raced := false
		s := intercept.Store(plain, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op == "get" && c.Offset > 0 && !raced { // the payload, after the header was read
				if err := do(); err != nil {
					return err
				}
				raced = true
				put(t, other, "x", "new", nil)
				return nil
			}
			return do()
		}})
		o := &vault.RewrapOptions{Add: []envelope.KeySource{b}}
		if at == "put" {
			s.Swap, o.NoOtherWriters = nil, true
		}
		if _, err := vaultFor(t, s, nil, a).Rewrap(t.Context(), "x", o); !errors.Is(err, vault.ErrConflict) || !raced {
			t.Errorf("%s: %v, raced %v", at, err, raced)
		}
		if got := get(t, other, "x", nil); got != "new" {
			t.Errorf("%s: the value is %q", at, got)
		}
	}
}

// A store without compare-and-swap needs NoOtherWriters.
func TestRewrapWithoutSwap(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	s := newStore(t)
	s.Swap = nil
	v := vaultFor(t, s, nil, a)
	put(t, v, "x", "sk", nil)
	if _, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}}); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("without NoOtherWriters: %v", err)
	}
	if _, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}, NoOtherWriters: true}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]bool{true, true}, opens(t, s, "x", a, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A server that refuses every condition, as Ceph does, needs NoOtherWriters, too.
func TestRewrapRefusedConditions(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	for _, change := range []func(v *vault.Vault, noOthers bool) error{
		func(v *vault.Vault, noOthers bool) error {
			_, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}, NoOtherWriters: noOthers})
			return err
		},
		func(v *vault.Vault, noOthers bool) error {
			_, err := v.Rotate(t.Context(), "x", &vault.RotateOptions{NoOtherWriters: noOthers})
			return err
		},
	} {
		s := newStore(t)
		s.Swap = refusingSwapper{}
		v := vaultFor(t, s, nil, a)
		before := put(t, v, "x", "sk", nil)
		if err := change(v, false); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("without NoOtherWriters: %v", err)
		}
		if err := change(v, true); err != nil {
			t.Error(err)
		}
		if now, err := v.Stat(t.Context(), "x"); err != nil || now.Tag == before.Tag {
			t.Errorf("the object is unchanged: %v", err)
		}
		if got := get(t, v, "x", nil); got != "sk" {
			t.Errorf("the value is %q", got)
		}
	}
}

type refusingSwapper struct{}

func (refusingSwapper) Swap(_ context.Context, _, _ string, fill func(io.Writer) error) (string, error) {
	if err := fill(io.Discard); err != nil {
		return "", err
	}
	return "", vault.ErrConflict
}

// The response to the write is lost: the object is read back, and the rewrap succeeds.
func TestRewrapLostResponse(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	for _, applied := range []bool{true, false} {
		plain := newStore(t)
		put(t, vaultFor(t, plain, nil, a), "x", "sk", nil)
		lost := false
		s := intercept.Store(plain, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op != "swap" || lost {
				return do()
			}
			lost = true
			if applied {
				if err := do(); err != nil {
					return err
				}
			}
			return errReset
		}})
		r, err := vaultFor(t, s, nil, a).Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}})
		if err != nil || !r.Changed || !lost {
			t.Errorf("applied %v: %+v, %v, lost %v", applied, r, err, lost)
		}
		if diff := cmp.Diff([]bool{true, true}, opens(t, plain, "x", a, b)); diff != "" {
			t.Errorf("applied %v (-want +got):\n%s", applied, diff)
		}
	}
}

// A splicer simulates a store that copies the rest of a large object itself.
type splicer struct {
	*vault.Store
	splices []vault.Splice
}

func (s *splicer) Splice(ctx context.Context, key string, x vault.Splice) (string, error) {
	s.splices = append(s.splices, x)
	old, err := s.Bucket.ReadAll(ctx, key)
	if err != nil {
		return "", err
	}
	_, err = s.Swap.Swap(ctx, key, x.Tag, func(w io.Writer) error {
		_, err := w.Write(slices.Concat(x.Start, old[x.From:]))
		return err
	})
	return "", err
}

// The payload of a large object does not pass through the client, if the store has a Splicer.
func TestRewrapSplice(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	plain := newStore(t)
	splice := &splicer{Store: plain}
	plain.Splice = splice
	var down int64
	s := intercept.Store(plain, intercept.Hooks{Body: func(_ intercept.Call, r io.Reader) io.Reader {
		return readerFunc(func(p []byte) (int, error) {
			n, err := r.Read(p)
			down += int64(n)
			return n, err
		})
	}})
	v := vaultFor(t, s, nil, a)
	value := strings.Repeat("0123456789abcdef", 30<<20/16)
	put(t, v, "x", value, nil)
	down = 0
	if _, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}, Remove: []envelope.KeySource{a}}); err != nil {
		t.Fatal(err)
	}
	if len(splice.splices) != 1 || !splice.splices[0].Conditional || len(splice.splices[0].Start) < 5<<20 || down+int64(len(splice.splices[0].Start)) > 11<<20 {
		t.Errorf("%d splices, %d bytes down", len(splice.splices), down)
	}
	if got := get(t, vaultFor(t, plain, nil, b), "x", nil); got != value {
		t.Errorf("the value has %d bytes", len(got))
	}
	if diff := cmp.Diff([]bool{false, true}, opens(t, plain, "x", a, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A refusing splicer cannot copy within the store.
type refusing struct{ err error }

func (r refusing) Splice(context.Context, string, vault.Splice) (string, error) { return "", r.err }

// If the server cannot copy within the store, the object passes through the client.
func TestRewrapSpliceUnsupported(t *testing.T) {
	for _, tc := range []struct {
		err, want error
	}{
		{fmt.Errorf("%w: copies are denied", vault.ErrUnsupported), nil},
		{&vault.Cause{Sentinel: vault.ErrUnsupported, Effect: vault.Refused, Unfinished: 5 << 20}, nil},
		{fmt.Errorf("%w: %w", vault.ErrUnsure, vault.ErrUnsupported), vault.ErrUnsure},
		{vault.ErrConflict, vault.ErrConflict},
		{vault.ErrPermission, vault.ErrPermission},
	} {
		a, b := recipient("a"), recipient("b")
		s := newStore(t)
		value := strings.Repeat("0123456789abcdef", 17<<20/16)
		put(t, vaultFor(t, s, nil, a), "x", value, nil)
		s.Splice = refusing{tc.err}
		_, err := vaultFor(t, s, nil, a).Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}})
		if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
			t.Errorf("%v: rewrap: %v, want %v", tc.err, err, tc.want)
		}
		if diff := cmp.Diff([]bool{true, tc.want == nil}, opens(t, s, "x", a, b)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.err, diff)
		}
	}

	// Unfinished parts of the splice are reported, even if the second write fails for another reason.
	a, b := recipient("a"), recipient("b")
	s := newStore(t)
	put(t, vaultFor(t, s, nil, a), "x", strings.Repeat("x", 17<<20), nil)
	s.Splice = refusing{&vault.Cause{Sentinel: vault.ErrUnsupported, Effect: vault.Refused, Unfinished: 5 << 20}}
	s = intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "swap" {
			return vault.ErrPermission
		}
		return do()
	}})
	_, err := vaultFor(t, s, nil, a).Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}})
	var cause *vault.Cause
	if !errors.Is(err, vault.ErrPermission) || !errors.As(err, &cause) || cause.Unfinished != 5<<20 {
		t.Errorf("rewrap: %v, %+v", err, cause)
	}
}

// Rotate seals the value under a new data key, for the key sources of the vault only.
func TestRotate(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	for _, size := range []int{64, 3 << 20} {
		s := newStore(t)
		value := strings.Repeat("x", size)
		info := put(t, vaultFor(t, s, nil, a, b), "x", value, &vault.PutOptions{Labels: map[string]string{"k": "v"}})
		v := vaultFor(t, s, nil, b)
		rotated, err := v.Rotate(t.Context(), "x", nil)
		if err != nil || rotated.Revision <= info.Revision || rotated.Rewrap != 0 || rotated.Labels["k"] != "v" {
			t.Errorf("%+v, %v", rotated, err)
		}
		if got := get(t, v, "x", nil); got != value {
			t.Errorf("the value has %d bytes", len(got))
		}
		if diff := cmp.Diff([]bool{false, true}, opens(t, s, "x", a, b)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		s.Swap = nil
		if _, err := v.Rotate(t.Context(), "x", nil); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("without compare-and-swap: %v", err)
		}
		if _, err := v.Rotate(t.Context(), "x", &vault.RotateOptions{NoOtherWriters: true}); err != nil {
			t.Error(err)
		}
	}
}

// With OneKeySuffices a put succeeds while a recipient is away, and a rewrap adds it later.
func TestMissingKeys(t *testing.T) {
	a, b := recipient("a"), recipient("b")
	s := newStore(t)
	away := brokenKey{b, envelope.ErrUnavailable}
	if _, err := vaultFor(t, s, nil, a, away).Put(t.Context(), "x", strings.NewReader("sk"), nil); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("all are required: %v", err)
	}
	v := vaultFor(t, s, &vault.Options{OneKeySuffices: true}, a, away)
	for _, value := range []string{"sk", strings.Repeat("x", 2<<20)} {
		info, err := v.Put(t.Context(), "x", strings.NewReader(value), nil)
		if err != nil || !slices.Equal(info.MissingKeys, []string{"b"}) {
			t.Errorf("%+v, %v", info, err)
		}
		if diff := cmp.Diff([]bool{true, false}, opens(t, s, "x", a, b)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r, err := vaultFor(t, s, nil, a, b).Rewrap(t.Context(), "x", nil); err != nil || !slices.Equal(r.Added, []string{"b"}) {
			t.Errorf("%+v, %v", r, err)
		}
		if diff := cmp.Diff([]bool{true, true}, opens(t, s, "x", a, b)); diff != "" {
			t.Errorf("after the rewrap (-want +got):\n%s", diff)
		}
	}
}
