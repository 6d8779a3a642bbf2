package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// minStart is the minimum length of [vault.Splice].Start.
const minStart = 5 << 20

// A spliced value is a start, followed by the rest of an older object.
type spliced struct {
	start value
	old   *spliced
	whole value // if old is nil
	from  int64
}

func (s *spliced) size() int64 {
	if s.old == nil {
		return s.whole.size
	}
	return s.start.size + s.old.size() - s.from
}

// ReadAt implements [io.ReaderAt].
func (s *spliced) ReadAt(p []byte, offset int64) (n int, err error) {
	if s.old == nil {
		return s.whole.ReadAt(p, offset)
	}
	if offset < s.start.size {
		n, _ = s.start.ReadAt(p[:min(int64(len(p)), s.start.size-offset)], offset)
		offset += int64(n)
	}
	k, err := s.old.ReadAt(p[n:], offset-s.start.size+s.from)
	return n + k, err
}

// next returns the object after a splice of s.
func (s *spliced) next(start, from int64) *spliced {
	return &spliced{start: newValue(start), old: s, from: from}
}

// splice replaces the object that has the given tag by s.
func (t *probeRun) splice(ctx context.Context, st *vault.Store, key, tag string, conditional bool, s *spliced) (version string, err error) {
	start := make([]byte, s.start.size)
	s.start.ReadAt(start, 0)
	version, err = st.Splice.Splice(ctx, key, vault.Splice{Tag: tag, Conditional: conditional, Start: start, From: s.from, Size: s.old.size()})
	t.recordError(err)
	return version, err
}

// wantSpliced checks that the object at key is want.
func (t *probeRun) wantSpliced(ctx context.Context, st *vault.Store, key string, want *spliced, when string) error {
	r, err := t.openRange(ctx, st, key, 0, -1)
	if err := t.wantSuccess(st, err, "%s: a read", when); err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != want.size() {
		return violation("%s: a read reports the size %d, want %d", when, r.Size(), want.size())
	}
	return t.wantSame(r, want, when)
}

func (t *probeRun) wantSame(r io.Reader, want *spliced, when string) error {
	expected := io.NewSectionReader(want, 0, want.size())
	got, wanted := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(r, got)
		k, _ := io.ReadFull(expected, wanted)
		switch {
		case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
			t.recordError(err)
			return fmt.Errorf("%s: a read failed before the end: %w", when, err)
		case string(got[:n]) != string(wanted[:k]):
			return violation("%s: a read returned wrong data after byte %d of %d", when, at, want.size())
		case err != nil:
			return nil
		}
		at += int64(n)
	}
}

func checkSplice(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	key := t.key("splice")
	current := &spliced{whole: newValue(minStart + 3<<20 + 71)}
	if err := t.put(ctx, t.Store, key, current.whole.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write of %d bytes", current.size())
	}
	conditional := t.Store.Swap != nil
	oldTag, old := "", current
	// The copied bytes start at odd offsets. They are less than the minimum size of a part, or only
	// one byte.
	for i, next := range []struct {
		start, from func(size int64) int64
		conditional bool
	}{
		{func(int64) int64 { return minStart + 137 }, func(int64) int64 { return minStart + 211 }, conditional},
		{func(int64) int64 { return minStart }, func(int64) int64 { return 13 }, false},
		{func(int64) int64 { return minStart + 1 }, func(size int64) int64 { return size - 1 }, conditional},
	} {
		if oldTag, err = t.tag(ctx, other, key); err != nil {
			return t.wantSuccess(other, err, "reading a tag")
		}
		size := current.size()
		old, current = current, current.next(next.start(size), next.from(size))
		version, err := t.splice(ctx, t.Store, key, oldTag, next.conditional, current)
		if err != nil {
			return t.wantSuccess(t.Store, err, "splice %d of an object of %d bytes", i+1, size)
		}
		if err := t.wantSpliced(ctx, other, key, current, fmt.Sprintf("after splice %d", i+1)); err != nil {
			return err
		}
		if err := t.wantVersions(ctx, key, version, current, old); err != nil {
			return err
		}
	}

	// A splice with an old or an invalid tag changes nothing.
	tag, err := t.tag(ctx, t.Store, key)
	if err != nil {
		return t.wantSuccess(t.Store, err, "reading a tag")
	}
	for _, bad := range []string{oldTag, otherTag(tag)} {
		for _, conditional := range slices.Compact([]bool{conditional, false}) {
			_, err := t.splice(ctx, other, key, bad, conditional, current.next(minStart, minStart))
			if err := t.wantError(other, err, vault.ErrConflict, "a splice with the tag %q, while the current tag is %q", bad, tag); err != nil {
				return err
			}
		}
	}
	if err := t.wantSpliced(ctx, t.Store, key, current, "after a refused splice"); err != nil {
		return err
	}

	// If the context ends, the old object stays.
	for _, d := range []time.Duration{0, 3 * time.Millisecond, 50 * time.Millisecond} {
		next := current.next(minStart+5, minStart)
		short, cancel := context.WithTimeout(ctx, d)
		_, err := t.splice(short, t.Store, key, tag, conditional, next)
		cancel()
		want := current
		if err == nil {
			want = next
		}
		if err == nil && d == 0 {
			return violation("a splice whose context had ended returned no error")
		}
		if errors.Is(err, vault.ErrConflict) {
			return violation("a splice whose context ended returned %q, but there is no other writer: %w", vault.ErrConflict, err)
		}
		read := t.wantSpliced(ctx, other, key, want, fmt.Sprintf("after a splice whose context ended after %v, and which returned the error %v", d, err))
		if err != nil && d > 0 && errors.Is(read, ErrViolated) && t.wantSpliced(ctx, other, key, next, "") == nil {
			return fmt.Errorf("a splice whose context ended was applied: %w", err) // its outcome may be unknown
		}
		if read != nil {
			return read
		}
		if current = want; err == nil {
			if tag, err = t.tag(ctx, t.Store, key); err != nil {
				return t.wantSuccess(t.Store, err, "reading a tag")
			}
		}
	}

	// A splice of a missing object fails.
	if err := t.deleteKey(ctx, other, key); err != nil {
		return t.wantSuccess(other, err, "a delete")
	}
	_, err = t.splice(ctx, t.Store, key, tag, conditional, current.next(minStart, minStart))
	if err := t.wantError(t.Store, err, vault.ErrConflict, "a splice of a missing object"); err != nil {
		return err
	}
	return t.wantObject(ctx, t.Store, key, nil, "after a splice of a missing object")
}

// wantVersions checks the two newest versions of a key after a splice that returned the given version.
func (t *probeRun) wantVersions(ctx context.Context, key, version string, values ...*spliced) error {
	if t.Store.History == nil {
		return nil
	}
	all, err := t.versions(ctx, t.Store, key)
	if err != nil {
		return t.wantSuccess(t.Store, err, "a list of versions")
	}
	if len(all) < len(values) || all[0].ID != version || !all[0].Current {
		return violation("after a splice, the history has %s, and the newest is not the version %q that the splice returned", versions(len(all)), version)
	}
	for i, want := range values {
		body, _, err := t.Store.History.OpenVersion(ctx, key, all[i].ID, 0, -1)
		if err != nil {
			t.recordError(err)
			return t.wantSuccess(t.Store, err, "a read of a version")
		}
		err = t.wantSame(body, want, fmt.Sprintf("version %d from the newest, after a splice", i))
		body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func checkSpliceAtomic(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	stores := []*vault.Store{t.Store, other}
	key := t.key("race")
	current := &spliced{whole: newValue(minStart + 1<<20)}
	if err := t.put(ctx, t.Store, key, current.whole.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write of %d bytes", current.size())
	}
	for round := range 2 {
		tag, err := t.tag(ctx, t.Store, key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading a tag")
		}
		// First four splices, then three and a compare-and-swap of a whole object.
		values := make([]*spliced, 4)
		for i := range values {
			values[i] = current.next(minStart+int64(i), minStart)
		}
		swap := -1
		if round > 0 {
			swap = len(values) - 1
			values[swap] = &spliced{whole: newValue(current.size())}
		}
		errs := race(len(values), func(i int) error {
			if i != swap {
				_, err := t.splice(ctx, stores[i%2], key, tag, true, values[i])
				return err
			}
			_, err := t.swap(ctx, stores[i%2], key, tag, values[i].whole.fill)
			return err
		})
		winner, err := t.wantOneWinner(stores, errs, vault.ErrConflict, "splices and swaps with the same tag")
		if err != nil {
			return err
		}
		current = values[winner]
		for _, st := range stores {
			if err := t.wantSpliced(ctx, st, key, current, fmt.Sprintf("the object of the successful write after round %d of concurrent splices", round)); err != nil {
				return err
			}
		}
	}
	return nil
}
