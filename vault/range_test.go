package vault_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestRangeFromEnd: the end of the value is verified before a range that is counted from the
// end is returned. The store truncates the object at the end of a segment.
func TestRangeFromEnd(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	v := newVault(t, s, nil)
	value := strings.Repeat("0123456789abcdef", 20_000)
	put(t, v, "a", value, nil)
	const key = "bots/0xabc/credentials/a.enc"
	for _, r := range []vault.Range{{Offset: -200_000, Length: 10}, {Offset: -70_000, Length: 100}, {Offset: -5, Length: 2}} {
		from := len(value) + int(r.Offset)
		if got := get(t, v, "a", &vault.GetOptions{Range: &r}); got != value[from:from+int(r.Length)] {
			t.Errorf("%+v gives %q", r, got)
		}
	}
	sealed, err := s.Bucket.ReadAll(ctx, key)
	fatal(t, err)
	info, err := v.Stat(ctx, "a")
	fatal(t, err)
	header := info.SealedSize - info.Size - 40 - 16*5
	fatal(t, s.Bucket.WriteAll(ctx, key, sealed[:header+3*65536], nil))
	for _, r := range []vault.Range{{Offset: -100_000, Length: 10}, {Offset: -70_000, Length: 100}, {Offset: -5, Length: 2}, {Offset: -100_000}} {
		reader, err := v.Get(ctx, "a", &vault.GetOptions{Range: &r})
		var got []byte
		if err == nil {
			got, err = io.ReadAll(reader)
			reader.Close()
		}
		if !errors.Is(err, envelope.ErrDecrypt) || len(got) > 0 {
			t.Errorf("%+v of a cut object gives %q, %v; want ErrDecrypt", r, got, err)
		}
	}
}

// TestRangeOffsetOnly: a range without a length extends to the end.
func TestRangeOffsetOnly(t *testing.T) {
	v := newVault(t, newStore(t), nil)
	put(t, v, "a", "0123456789", nil)
	if got := get(t, v, "a", &vault.GetOptions{Range: &vault.Range{Offset: 5}}); got != "56789" {
		t.Errorf("the range from 5 on is %q", got)
	}
}

// TestRangeInFirstRequest: bytes of the first response are not requested again.
func TestRangeInFirstRequest(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", strings.Repeat("x", 10_000), nil)
	var rec recorder
	v := newVault(t, intercept.Store(s, rec.hooks()), nil)
	if got := get(t, v, "a", &vault.GetOptions{Range: &vault.Range{Offset: 100, Length: 50}}); len(got) != 50 {
		t.Errorf("%d bytes", len(got))
	}
	if got := rec.take(); len(got) != 1 {
		t.Errorf("requests %q, want one", got)
	}
}

// TestHotRange: a range can be read even if the object is replaced before each second request.
func TestHotRange(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	value := func(n int) string { return strings.Repeat(string(rune('a'+n)), 200_000) }
	put(t, plain, "a", value(0), nil)
	replaced := 0
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		err := do()
		if c.Op == "get" && c.Offset == 0 && replaced < 4 {
			replaced++
			put(t, plain, "a", value(replaced), nil)
		}
		return err
	}}), nil)
	if got := get(t, v, "a", &vault.GetOptions{Range: &vault.Range{Offset: 150_000, Length: 3}}); got != "eee" {
		t.Errorf("the range is %q", got)
	}
}

// TestReplacedWithoutTag: in a store without tags, a reader may get bytes of two objects if one
// is replaced between two requests. The error is not ErrDecrypt.
func TestReplacedWithoutTag(t *testing.T) {
	ctx := t.Context()
	inner := memblob.OpenBucket(nil)
	defer inner.Close()
	plainStore := &vault.Store{Bucket: inner}
	plain := newVault(t, plainStore, nil)
	put(t, plain, "a", strings.Repeat("old", 100_000), nil)
	first := true
	// The modification time is hidden as well, because many stores round it to seconds.
	v := newVault(t, intercept.Store(&vault.Store{Bucket: inner, Close: inner.Close}, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		err := do()
		if first && c.Op == "get" {
			first = false
			put(t, plain, "a", strings.Repeat("new", 100_000), nil)
		}
		return err
	}}), nil)
	r, err := v.Get(ctx, "a", &vault.GetOptions{Range: &vault.Range{Offset: 150_000, Length: 3}})
	var got []byte
	if err == nil {
		got, err = io.ReadAll(r)
		r.Close()
	}
	if errors.Is(err, envelope.ErrDecrypt) || err != nil && !errors.Is(err, vault.ErrUnavailable) || err == nil && string(got) != "new" {
		t.Errorf("a range that raced an overwrite = %q, %v", got, err)
	}
}

// TestMutableVersion: the next write replaces the version null of S3 and COS. Continuing after
// a cut body returns the same object or an error, but never ErrDecrypt.
func TestMutableVersion(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	put(t, plain, "a", strings.Repeat("old", 100_000), nil)
	null := *s
	h := &nullHistorian{s: s}
	null.History = h
	replaced := false
	v := newVault(t, intercept.Store(&null, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
		if c.Op == "open-version" && !replaced {
			replaced = true
			put(t, plain, "a", strings.Repeat("new", 100_000), nil)
			return io.LimitReader(r, 70_000)
		}
		return r
	}}), nil)
	r, err := v.Get(t.Context(), "a", &vault.GetOptions{Version: "null"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); errors.Is(err, envelope.ErrDecrypt) || !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("reading a version that was replaced: %v, want ErrUnavailable", err)
	}
}

// A nullHistorian has one version, null, which is the current object.
type nullHistorian struct{ s *vault.Store }

func (h *nullHistorian) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		a, err := h.s.Bucket.Attributes(ctx, key)
		if err != nil {
			yield(vault.Version{}, err)
			return
		}
		yield(vault.Version{ID: "null", Modified: a.ModTime, Size: a.Size, Current: true}, nil)
	}
}

func (h *nullHistorian) OpenVersion(ctx context.Context, key, _ string, offset, length int64) (io.ReadCloser, string, error) {
	r, err := h.s.Bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, "", err
	}
	return r, h.s.Tag(r), nil
}
