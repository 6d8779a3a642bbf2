package probe

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

func checkSwap(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	key, first, second, third := t.key("swap"), newValue(100), newValue(100), newValue(0)
	if _, err := t.create(ctx, t.Store, key, first.fill); err != nil {
		return t.works(t.Store, err, "a create")
	}
	stale, err := t.tag(ctx, other, key)
	if err != nil {
		return t.works(other, err, "reading a tag")
	}

	// The right tag replaces, and the tag that it returns is that of the new object.
	tag, err := t.swap(ctx, t.Store, key, stale, second.fill)
	if err != nil {
		return t.works(t.Store, err, "a swap")
	}
	if err := t.holds(ctx, other, key, &second, "after a swap"); err != nil {
		return err
	}
	if now, err := t.tag(ctx, other, key); err != nil || now != tag {
		return errOr(t.works(other, err, "reading a tag"), broken("a swap returned the tag %q, a read of what it wrote has %q", tag, now))
	}

	// A stale tag, and one that never was, replace nothing.
	for _, bad := range []string{stale, "0", otherTag(tag), "never-was"} {
		for _, st := range []*vault.Store{t.Store, other} {
			_, err = t.swap(ctx, st, key, bad, third.fill)
			if err := t.fails(st, err, vault.ErrConflict, "a swap of the tag %q, where %q is", bad, tag); err != nil {
				return err
			}
			if err := t.holds(ctx, st, key, &second, "after a refused swap"); err != nil {
				return err
			}
		}
	}

	// The returned tag is good for the next swap, by anybody; also of nothing by nothing.
	if tag, err = t.swap(ctx, other, key, tag, third.fill); err != nil {
		return t.works(other, err, "a swap of the tag that a swap returned")
	}
	if err := t.holds(ctx, t.Store, key, &third, "after a second swap"); err != nil {
		return err
	}

	// A tag is that of what the reader reads, even if another writer wrote meanwhile.
	if tag, err = t.swap(ctx, t.Store, key, tag, first.fill); err != nil {
		return t.works(t.Store, err, "a third swap")
	}
	r, err := t.open(ctx, t.Store, key, 0, -1)
	if err != nil {
		return t.works(t.Store, err, "a read")
	}
	defer r.Close()
	if err := t.put(ctx, other, key, second.fill); err != nil {
		return t.works(other, err, "an overwrite")
	}
	if is := t.Store.Tag(r); is != tag {
		return broken("a reader that was opened before an overwrite has the tag %q, want %q: it is read anew", is, tag)
	}
	_, err = t.swap(ctx, t.Store, key, tag, third.fill)
	if err := t.fails(t.Store, err, vault.ErrConflict, "a swap after an overwrite"); err != nil {
		return err
	}

	// Where nothing is there is nothing to swap.
	if tag, err = t.tag(ctx, t.Store, key); err != nil {
		return t.works(t.Store, err, "reading a tag")
	}
	if err := t.drop(ctx, other, key); err != nil {
		return t.works(other, err, "a delete")
	}
	for _, absent := range []string{key, t.key("never")} {
		_, err = t.swap(ctx, t.Store, absent, tag, third.fill)
		if err := t.fails(t.Store, err, vault.ErrConflict, "a swap where nothing is"); err != nil {
			return err
		}
		if err := t.holds(ctx, t.Store, absent, nil, "after a swap where nothing is"); err != nil {
			return err
		}
	}
	return nil
}

// otherTag returns a tag that differs from the given one in its last letter or digit. More quotes
// around the same would be the same tag to a server that compares what is in the quotes.
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

func checkSwapLarge(ctx context.Context, t *trial) error {
	key, v := t.key("large"), newValue(t.large())
	if err := t.put(ctx, t.Store, key, newValue(10).fill); err != nil {
		return t.works(t.Store, err, "a write")
	}
	stale, err := t.tag(ctx, t.Store, key)
	if err != nil {
		return t.works(t.Store, err, "reading a tag")
	}
	if _, err := t.swap(ctx, t.Store, key, stale, v.fill); err != nil {
		return t.works(t.Store, err, "a swap of %d bytes", v.size)
	}
	_, err = t.swap(ctx, t.Store, key, stale, newValue(t.large()).fill)
	if err := t.fails(t.Store, err, vault.ErrConflict, "a swap of %d bytes with a stale tag", v.size); err != nil {
		return err
	}
	return t.holds(ctx, t.Store, key, &v, "after a swap and a refused swap")
}

func checkSwapAtomic(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	stores := []*vault.Store{t.Store, other}
	key := t.key("race")
	if err := t.put(ctx, t.Store, key, newValue(100).fill); err != nil {
		return t.works(t.Store, err, "a write")
	}
	for round := range 6 {
		tag, err := t.tag(ctx, t.Store, key)
		if err != nil {
			return t.works(t.Store, err, "reading a tag")
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
		winner, err := t.oneWinner(stores, errs, vault.ErrConflict, "swaps of one tag")
		if err != nil {
			return err
		}
		for _, st := range stores {
			if err := t.holds(ctx, st, key, &values[winner], fmt.Sprintf("the winner's value after race %d of swaps", round)); err != nil {
				return err
			}
		}
	}
	return nil
}

// errOr returns err, or otherwise when there is none.
func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
