package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

func checkReadAfterWrite(ctx context.Context, t *trial) error { return readsAfter(ctx, t, t.Store) }

func checkTwoClients(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	return readsAfter(ctx, t, other)
}

// readsAfter writes with one client and reads with another.
func readsAfter(ctx context.Context, t *trial, reader *vault.Store) error {
	for range 4 {
		key := t.key(random())
		if err := t.holds(ctx, reader, key, nil, "before the first write"); err != nil {
			return err
		}
		first, second, third := newValue(1000), newValue(1000), newValue(999)
		if err := t.make(ctx, t.Store, key, first.fill); err != nil {
			return t.works(t.Store, err, "a create")
		}
		if err := t.holds(ctx, reader, key, &first, "after a create"); err != nil {
			return err
		}
		for _, v := range []*value{&second, &third} {
			if err := t.put(ctx, t.Store, key, v.fill); err != nil {
				return t.works(t.Store, err, "an overwrite")
			}
			if err := t.holds(ctx, reader, key, v, "after an overwrite"); err != nil {
				return err
			}
		}
		if t.Store.Swap != nil && t.Store.Tag != nil {
			tag, err := t.tag(ctx, reader, key)
			if err != nil {
				return t.works(reader, err, "reading a tag")
			}
			if _, err = t.swap(ctx, t.Store, key, tag, first.fill); err != nil {
				return t.works(t.Store, err, "a swap")
			}
			if err := t.holds(ctx, reader, key, &first, "after a swap"); err != nil {
				return err
			}
		}
		if err := t.drop(ctx, t.Store, key); err != nil {
			return t.works(t.Store, err, "a delete")
		}
		if err := t.holds(ctx, reader, key, nil, "after a delete"); err != nil {
			return err
		}
		if err := t.put(ctx, t.Store, key, second.fill); err != nil {
			return t.works(t.Store, err, "a write after a delete")
		}
		if err := t.holds(ctx, reader, key, &second, "after a write that followed a delete"); err != nil {
			return err
		}
	}
	return nil
}

func checkSizes(ctx context.Context, t *trial) error {
	for _, size := range []int64{0, 1, 1 << 20} {
		// Twice, longer and shorter than what was there: no end of the old one may stay.
		key := t.key(fmt.Sprint(size))
		for _, n := range []int64{size, size + 3, size} {
			v := newValue(n)
			if err := t.put(ctx, t.Store, key, v.fill); err != nil {
				return t.works(t.Store, err, "a write of %d bytes", n)
			}
			if err := t.holds(ctx, t.Store, key, &v, fmt.Sprintf("after a write of %d bytes", n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkLarge(ctx context.Context, t *trial) error {
	key, v := t.key("large"), newValue(t.large())
	if err := t.put(ctx, t.Store, key, v.fill); err != nil {
		return t.works(t.Store, err, "a write of %d bytes", v.size)
	}
	if err := t.holds(ctx, t.Store, key, &v, fmt.Sprintf("after a write of %d bytes", v.size)); err != nil {
		return err
	}
	for _, seam := range []int64{1 << 20, 5 << 20, 8 << 20, 16 << 20} {
		if seam > v.size {
			break
		}
		if err := t.holdsRange(ctx, key, v, seam-100, 200); err != nil {
			return err
		}
	}
	return t.holdsRange(ctx, key, v, v.size-10, 100)
}

// The parts of an object key are at most 255 bytes long, the whole at most 850.
const (
	maxSegment = 255
	maxKey     = 850
)

// names is what package vault makes of awkward names, without the suffix. None that
// only case tells apart: a store on a disk that ignores case refuses the second.
var names = []string{
	"openrouter", "0", "-", "--help", "_", "~", "~root", "@", "=", "@=~-_.", ".hidden", "...", "a.", "..a", "a..b", "UPPER", "nul",
	"%25", "%2525", "%25s", "%2F", "%5C", "%2B", "%20", "a%20b", "%20lead", "trail%20", "%3Fq%3D1%26x", "%23", "%2A", "%22%27%60", "%7C%3C%3E", "%24%7BHOME%7D",
	"_%5F0x2f_%5F", "a_%5Fb_c", "%C3%A9", "%E2%98%BA", "%E5%AF%86%E9%92%A5", "%F0%9F%94%91",
	// The order of '-', '.', '/' and '0' is where a walk through directories goes wrong.
	"order", "order-1", "order/1", "order0", "order.1", "order/1/2", "order/1-2",
	// A directory may have an object's name when its dot is encoded, as a vault does.
	"dir", "dir%2Eenc/x", "dir/x", "dir/x%2Eenc/y", "d/e/e/p/l/y/n/e/s/t/e/d",
}

func checkNames(ctx context.Context, t *trial) error {
	all := slices.Clone(names)
	all = append(all, "long/"+strings.Repeat("s", maxSegment-len(".enc")), "long/"+strings.Repeat("%E2%98%BA", (maxSegment-len(".enc"))/9))
	if room := maxKey - len(t.prefix) - len(".enc"); room > 2 {
		long := strings.Repeat("l/"+strings.Repeat("l", 200)+"/", 5)[:room-1]
		all = append(all, strings.TrimSuffix(long, "/")+strings.Repeat("z", room-len(strings.TrimSuffix(long, "/"))))
	}
	values := make(map[string]*value)
	keys := make([]string, len(all))
	for i, name := range all {
		v := newValue(int64(20 + i))
		keys[i] = t.key(name)
		values[keys[i]] = &v
	}
	err := each(ctx, keys, func(ctx context.Context, key string) error {
		return t.works(t.Store, t.make(ctx, t.Store, key, values[key].fill), "a create of %q", key)
	})
	if err != nil {
		return err
	}
	err = each(ctx, keys, func(ctx context.Context, key string) error {
		if err := t.holds(ctx, t.Store, key, values[key], fmt.Sprintf("%q", key)); err != nil {
			return err
		}
		_, err := t.create(ctx, t.Store, key, newValue(1).fill)
		if t.kind(t.Store, err) == vault.ErrUnsupported {
			return nil
		}
		return t.fails(t.Store, err, vault.ErrExist, "a second create of %q", key)
	})
	if err != nil {
		return err
	}
	if err := t.lists(ctx, t.prefix, keys); err != nil {
		return err
	}
	// What is deleted is that key, and no neighbour of it.
	slices.Sort(keys)
	var stay, leave []string
	for i, key := range keys {
		if i%2 == 0 {
			stay = append(stay, key)
		} else {
			leave = append(leave, key)
		}
	}
	err = each(ctx, leave, func(ctx context.Context, key string) error {
		return t.works(t.Store, t.drop(ctx, t.Store, key), "a delete of %q", key)
	})
	if err != nil {
		return err
	}
	return each(ctx, stay, func(ctx context.Context, key string) error {
		return t.holds(ctx, t.Store, key, values[key], fmt.Sprintf("%q after its neighbours were deleted", key))
	})
}

func checkRanges(ctx context.Context, t *trial) error {
	const size = 100_000
	key, v := t.key("ranges"), newValue(size)
	if err := t.put(ctx, t.Store, key, v.fill); err != nil {
		return t.works(t.Store, err, "a write")
	}
	for _, r := range []struct{ offset, length int64 }{
		{0, -1}, {0, size}, {0, 1}, {0, 16 << 10}, {1, 1}, {size / 2, 7}, {65_535, 2}, {size - 1, 1}, {size - 1, -1}, {17, -1},
		{0, size + 1}, {0, 1 << 40}, {size - 1, 1000}, {size / 2, size}, // past the end: clipped
	} {
		if err := t.holdsRange(ctx, key, v, r.offset, r.length); err != nil {
			return err
		}
	}
	// Nothing is there to be read: no bytes, or an error, but never other bytes.
	for _, r := range []struct{ offset, length int64 }{{0, 0}, {5, 0}, {size, 0}, {size, -1}, {size, 10}, {size + 1, 10}, {1 << 40, 1}} {
		reader, err := t.open(ctx, t.Store, key, r.offset, r.length)
		if err != nil {
			if t.kind(t.Store, err) == vault.ErrNotFound {
				return broken("reading %d bytes at %d of %d says %q of an object that is there: %w", r.length, r.offset, size, vault.ErrNotFound, err)
			}
			continue
		}
		n, err := io.Copy(io.Discard, reader)
		t.saw(err)
		reader.Close()
		if n > 0 {
			return broken("reading %d bytes at %d of %d gives %d bytes", r.length, r.offset, size, n)
		}
	}
	return nil
}

// holdsRange checks one range of key, which holds v.
func (t *trial) holdsRange(ctx context.Context, key string, v value, offset, length int64) error {
	what := fmt.Sprintf("reading %d bytes at %d of %d", length, offset, v.size)
	r, err := t.open(ctx, t.Store, key, offset, length)
	if err := t.works(t.Store, err, "%s", what); err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != v.size {
		return broken("%s tells a size of %d, want that of the whole object", what, r.Size())
	}
	n := v.size - offset
	if length >= 0 {
		n = min(n, length)
	}
	return t.same(r, v, offset, n, what)
}

// A way is a way to write.
type way struct {
	name  string
	write func(ctx context.Context, key string, fill func(io.Writer) error) error
	old   *value // what is at the key; nil for nothing
	calls bool   // the store calls fill, so that it meets what fill does
}

// ways returns all the ways that the store has, each for one key.
func (t *trial) ways(ctx context.Context) (ways []way) {
	old := newValue(500)
	put := func(ctx context.Context, key string, fill func(io.Writer) error) error {
		return t.put(ctx, t.Store, key, fill)
	}
	ways = append(ways, way{"a write where nothing is", put, nil, false}, way{"an overwrite", put, &old, false})
	ways = append(ways, way{"a create", func(ctx context.Context, key string, fill func(io.Writer) error) error {
		return t.make(ctx, t.Store, key, fill)
	}, nil, t.Store.Create != nil})
	if needSwap.met(t.Subject) {
		ways = append(ways, way{"a swap", func(wctx context.Context, key string, fill func(io.Writer) error) error {
			tag, err := t.tag(ctx, t.Store, key) // not with wctx, which may have ended
			if err != nil {
				return err
			}
			_, err = t.swap(wctx, t.Store, key, tag, fill)
			return err
		}, &old, true})
	}
	return ways
}

// errSource is what a failing source says.
var errSource = errors.New("the source of this write failed on purpose")

// A mishap is a way in which a write can go wrong before it is whole.
type mishap struct {
	name   string
	before bool // the context ends before the write begins
	fill   func(v value, cancel func(), w io.Writer) error
	cause  error // what the error must be
	panics bool
}

var mishaps = []mishap{
	{name: "whose source fails at once", cause: errSource, fill: func(v value, _ func(), w io.Writer) error {
		return errSource
	}},
	{name: "whose source fails midway", cause: errSource, fill: func(v value, _ func(), w io.Writer) error {
		if err := v.fillTo(w, v.size/2); err != nil {
			return err
		}
		return errSource
	}},
	{name: "whose source fails after the last byte", cause: errSource, fill: func(v value, _ func(), w io.Writer) error {
		if err := v.fill(w); err != nil {
			return err
		}
		return errSource
	}},
	{name: "whose context had ended", before: true, fill: func(v value, _ func(), w io.Writer) error {
		return v.fill(w)
	}},
	{name: "whose context ends midway", fill: func(v value, cancel func(), w io.Writer) error {
		if err := v.fillTo(w, v.size/2); err != nil {
			return err
		}
		cancel()
		_, err := io.Copy(w, io.NewSectionReader(v, v.size/2, v.size))
		return err
	}},
	{name: "whose context ends after the last byte", fill: func(v value, cancel func(), w io.Writer) error {
		err := v.fill(w)
		cancel()
		return err
	}},
	{name: "whose source panics midway", panics: true, fill: func(v value, _ func(), w io.Writer) error {
		if err := v.fillTo(w, v.size/2); err != nil {
			return err
		}
		panic(errSource)
	}},
}

func checkAllOrNothing(ctx context.Context, t *trial) error {
	for _, w := range t.ways(ctx) {
		for _, m := range mishaps {
			if err := t.leavesAsItWas(ctx, w, m, newValue(4000)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAllOrNothingLarge(ctx context.Context, t *trial) error {
	for _, w := range t.ways(ctx) {
		for _, m := range mishaps {
			switch m.name {
			case "whose source fails midway", "whose context ends after the last byte":
				if err := t.leavesAsItWas(ctx, w, m, newValue(t.large())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// leavesAsItWas writes v in one way, has one mishap, and looks at what is left.
func (t *trial) leavesAsItWas(ctx context.Context, w way, m mishap, v value) (err error) {
	what := fmt.Sprintf("%s of %d bytes %s", w.name, v.size, m.name)
	key := t.key(random())
	if w.old != nil {
		if err := t.put(ctx, t.Store, key, w.old.fill); err != nil {
			return t.works(t.Store, err, "a write")
		}
	}
	before := 0
	if t.Store.History != nil {
		all, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.works(t.Store, err, "reading the history")
		}
		before = len(all)
	}

	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if m.before {
		cancel()
	}
	panicked := false
	err = func() error {
		defer func() {
			if r := recover(); r != nil {
				if r != errSource {
					panic(r)
				}
				panicked = true
			}
		}()
		return w.write(wctx, key, func(dst io.Writer) error { return m.fill(v, cancel, dst) })
	}()
	switch {
	case m.panics && !panicked:
		return broken("%s: the panic was swallowed, the answer is %v", what, err)
	case !m.panics && err == nil:
		return broken("%s: answered nil", what)
	case m.cause != nil && w.calls && !errors.Is(err, m.cause):
		return broken("%s: the error does not wrap that of the source, so it will be taken for the store's: %w", what, err)
	}

	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	for _, st := range []*vault.Store{t.Store, other} {
		if err := t.holds(ctx, st, key, w.old, "after "+what); err != nil {
			return err
		}
	}
	if t.Store.History != nil {
		all, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.works(t.Store, err, "reading the history")
		}
		if len(all) != before {
			return broken("after %s: the history has %d versions, want %d as before", what, len(all), before)
		}
	}
	return nil
}

// settle calls f until it returns nil, or for five seconds.
func settle(ctx context.Context, f func() error) error {
	deadline := time.Now().Add(5 * time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
