package probe

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

func checkSwap(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	key, first, second, third := t.key("swap"), newValue(100), newValue(100), newValue(0)
	if _, err := t.create(ctx, t.Store, key, first.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a create")
	}
	oldTag, err := t.tag(ctx, other, key)
	if err != nil {
		return t.wantSuccess(other, err, "reading a tag")
	}

	// A swap with the current tag replaces the object, and returns the tag of the new object.
	tag, err := t.swap(ctx, t.Store, key, oldTag, second.fill)
	if err != nil {
		return t.wantSuccess(t.Store, err, "a swap")
	}
	if err := t.wantObject(ctx, other, key, &second, "after a swap"); err != nil {
		return err
	}
	if current, err := t.tag(ctx, other, key); err != nil || current != tag {
		return firstError(t.wantSuccess(other, err, "reading a tag"), violation("a swap returned the tag %q, but a read of the new object returned %q", tag, current))
	}

	// A swap with an old or an invalid tag replaces nothing.
	for _, bad := range []string{oldTag, "0", otherTag(tag), "no-such-tag"} {
		for _, st := range []*vault.Store{t.Store, other} {
			_, err = t.swap(ctx, st, key, bad, third.fill)
			if err := t.wantError(st, err, vault.ErrConflict, "a swap with the tag %q, while the current tag is %q", bad, tag); err != nil {
				return err
			}
			if err := t.wantObject(ctx, st, key, &second, "after a refused swap"); err != nil {
				return err
			}
		}
	}

	// Another client can use the returned tag for the next swap. This swap writes an empty object.
	if tag, err = t.swap(ctx, other, key, tag, third.fill); err != nil {
		return t.wantSuccess(other, err, "a swap with the tag that a swap returned")
	}
	if err := t.wantObject(ctx, t.Store, key, &third, "after a second swap"); err != nil {
		return err
	}

	// The tag of a reader belongs to the object that it reads, even if another writer has
	// replaced the object.
	if tag, err = t.swap(ctx, t.Store, key, tag, first.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a third swap")
	}
	r, err := t.openRange(ctx, t.Store, key, 0, -1)
	if err != nil {
		return t.wantSuccess(t.Store, err, "a read")
	}
	defer r.Close()
	if err := t.put(ctx, other, key, second.fill); err != nil {
		return t.wantSuccess(other, err, "an overwrite")
	}
	if got := t.Store.Tag(r); got != tag {
		return violation("a reader that was opened before an overwrite has the tag %q, want %q, the tag of the object that it reads", got, tag)
	}
	_, err = t.swap(ctx, t.Store, key, tag, third.fill)
	if err := t.wantError(t.Store, err, vault.ErrConflict, "a swap after an overwrite"); err != nil {
		return err
	}

	// A swap of a missing object fails.
	if tag, err = t.tag(ctx, t.Store, key); err != nil {
		return t.wantSuccess(t.Store, err, "reading a tag")
	}
	if err := t.deleteKey(ctx, other, key); err != nil {
		return t.wantSuccess(other, err, "a delete")
	}
	for _, absent := range []string{key, t.key("never")} {
		_, err = t.swap(ctx, t.Store, absent, tag, third.fill)
		if err := t.wantError(t.Store, err, vault.ErrConflict, "a swap of a missing object"); err != nil {
			return err
		}
		if err := t.wantObject(ctx, t.Store, absent, nil, "after a swap of a missing object"); err != nil {
			return err
		}
	}
	return nil
}

// otherTag returns a tag that differs from the given tag in its last letter or digit. A
// difference in the quotes would not be enough, because a server may ignore the quotes.
func otherTag(tag string) string {
	i := strings.LastIndexFunc(tag, func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	})
	if i < 0 {
		return tag + "0"
	}
	digit := "0"
	if tag[i] == '0' {
		digit = "1"
	}
	return tag[:i] + digit + tag[i+1:]
}

func checkSwapLarge(ctx context.Context, t *probeRun) error {
	key, v := t.key("large"), newValue(t.large())
	if err := t.put(ctx, t.Store, key, newValue(10).fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write")
	}
	oldTag, err := t.tag(ctx, t.Store, key)
	if err != nil {
		return t.wantSuccess(t.Store, err, "reading a tag")
	}
	if _, err := t.swap(ctx, t.Store, key, oldTag, v.fillParts); err != nil {
		return t.wantSuccess(t.Store, err, "a swap of %d bytes", v.size)
	}
	_, err = t.swap(ctx, t.Store, key, oldTag, newValue(t.large()).fill)
	if err := t.wantError(t.Store, err, vault.ErrConflict, "a swap of %d bytes with an old tag", v.size); err != nil {
		return err
	}
	return t.wantObject(ctx, t.Store, key, &v, "after a swap and a refused swap")
}

func checkSwapAtomic(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	stores := []*vault.Store{t.Store, other}
	key := t.key("race")
	if err := t.put(ctx, t.Store, key, newValue(100).fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write")
	}
	for round := range 6 {
		tag, err := t.tag(ctx, t.Store, key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading a tag")
		}
		values := make([]value, 16)
		for i := range values {
			values[i] = newValue(100)
		}
		together := Gather(len(values), 20*time.Millisecond)
		errs := race(len(values), func(i int) error {
			_, err := t.swap(ctx, stores[i%2], key, tag, func(w io.Writer) error {
				err := values[i].fill(w)
				together()
				return err
			})
			return err
		})
		winner, err := t.wantOneWinner(stores, errs, vault.ErrConflict, "swaps with the same tag")
		if err != nil {
			return err
		}
		for _, st := range stores {
			if err := t.wantObject(ctx, st, key, &values[winner], fmt.Sprintf("the value of the successful swap after round %d of concurrent swaps", round)); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstError returns err, or otherwise if err is nil.
func firstError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
