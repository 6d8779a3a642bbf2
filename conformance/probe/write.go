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

func checkReadAfterWrite(ctx context.Context, t *probeRun) error { return checkReads(ctx, t, t.Store) }

func checkTwoClients(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	return checkReads(ctx, t, other)
}

// checkReads writes with one client and reads with another.
func checkReads(ctx context.Context, t *probeRun, reader *vault.Store) error {
	for range 4 {
		key := t.key(random())
		if err := t.wantObject(ctx, reader, key, nil, "before the first write"); err != nil {
			return err
		}
		first, second, third := newValue(1000), newValue(1000), newValue(999)
		if err := t.createOrPut(ctx, t.Store, key, first.fill); err != nil {
			return t.wantSuccess(t.Store, err, "a create")
		}
		if err := t.wantObject(ctx, reader, key, &first, "after a create"); err != nil {
			return err
		}
		for _, v := range []*value{&second, &third} {
			if err := t.put(ctx, t.Store, key, v.fill); err != nil {
				return t.wantSuccess(t.Store, err, "an overwrite")
			}
			if err := t.wantObject(ctx, reader, key, v, "after an overwrite"); err != nil {
				return err
			}
		}
		if t.Store.Swap != nil && t.Store.Tag != nil {
			tag, err := t.tag(ctx, reader, key)
			if err != nil {
				return t.wantSuccess(reader, err, "reading a tag")
			}
			if _, err = t.swap(ctx, t.Store, key, tag, first.fill); err != nil {
				return t.wantSuccess(t.Store, err, "a swap")
			}
			if err := t.wantObject(ctx, reader, key, &first, "after a swap"); err != nil {
				return err
			}
		}
		if err := t.deleteKey(ctx, t.Store, key); err != nil {
			return t.wantSuccess(t.Store, err, "a delete")
		}
		if err := t.wantObject(ctx, reader, key, nil, "after a delete"); err != nil {
			return err
		}
		if err := t.put(ctx, t.Store, key, second.fill); err != nil {
			return t.wantSuccess(t.Store, err, "a write after a delete")
		}
		if err := t.wantObject(ctx, reader, key, &second, "after a write that followed a delete"); err != nil {
			return err
		}
	}
	return nil
}

func checkSizes(ctx context.Context, t *probeRun) error {
	for _, size := range []int64{0, 1, 1 << 20} {
		// Overwrite with a longer and then with a shorter value. No bytes of the old value may stay.
		key := t.key(fmt.Sprint(size))
		for _, n := range []int64{size, size + 3, size} {
			v := newValue(n)
			if err := t.put(ctx, t.Store, key, v.fill); err != nil {
				return t.wantSuccess(t.Store, err, "a write of %d bytes", n)
			}
			if err := t.wantObject(ctx, t.Store, key, &v, fmt.Sprintf("after a write of %d bytes", n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkLarge(ctx context.Context, t *probeRun) error {
	key, v := t.key("large"), newValue(t.large())
	for _, w := range []struct {
		name, key string
		fill      func(io.Writer) error
	}{{"in parts", t.key("parts"), v.fillParts}, {"in sequence", key, v.fill}} {
		if err := t.put(ctx, t.Store, w.key, w.fill); err != nil {
			return t.wantSuccess(t.Store, err, "a write of %d bytes %s", v.size, w.name)
		}
		if err := t.wantObject(ctx, t.Store, w.key, &v, fmt.Sprintf("after a write of %d bytes %s", v.size, w.name)); err != nil {
			return err
		}
	}
	for _, seam := range []int64{1 << 20, 5 << 20, 8 << 20, 16 << 20} {
		if seam > v.size {
			break
		}
		if err := t.wantRange(ctx, key, v, seam-100, 200); err != nil {
			return err
		}
	}
	return t.wantRange(ctx, key, v, v.size-10, 100)
}

// Each segment of an object key has at most 255 bytes, and the whole key at most 850.
const (
	maxSegment = 255
	maxKey     = 850
)

// names contains the keys that package vault derives from unusual names, without the suffix. No
// two differ only in case, because a store on a disk that ignores case refuses the second.
var names = []string{
	"openrouter", "0", "-", "--help", "_", "~", "~root", "@", "=", "@=~-_.", ".hidden", "...", "a.", "..a", "a..b", "UPPER", "nul",
	"%25", "%2525", "%25s", "%2F", "%5C", "%2B", "%20", "a%20b", "%20lead", "trail%20", "%3Fq%3D1%26x", "%23", "%2A", "%22%27%60", "%7C%3C%3E", "%24%7BHOME%7D",
	"_%5F0x2f_%5F", "a_%5Fb_c", "%C3%A9", "%E2%98%BA", "%E5%AF%86%E9%92%A5", "%F0%9F%94%91",
	// In byte order '-' and '.' come before '/', and '0' after it. A walk through directories
	// often gets this order wrong.
	"order", "order-1", "order/1", "order0", "order.1", "order/1/2", "order/1-2",
	// An encoded dot allows a directory with the name of an object. A vault encodes it.
	"dir", "dir%2Eenc/x", "dir/x", "dir/x%2Eenc/y", "d/e/e/p/l/y/n/e/s/t/e/d",
}

func checkNames(ctx context.Context, t *probeRun) error {
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
	err := forEach(ctx, keys, func(ctx context.Context, key string) error {
		return t.wantSuccess(t.Store, t.createOrPut(ctx, t.Store, key, values[key].fill), "a create of %q", key)
	})
	if err != nil {
		return err
	}
	err = forEach(ctx, keys, func(ctx context.Context, key string) error {
		if err := t.wantObject(ctx, t.Store, key, values[key], fmt.Sprintf("%q", key)); err != nil {
			return err
		}
		_, err := t.create(ctx, t.Store, key, newValue(1).fill)
		if t.kind(t.Store, err) == vault.ErrUnsupported {
			return nil
		}
		return t.wantError(t.Store, err, vault.ErrExist, "a second create of %q", key)
	})
	if err != nil {
		return err
	}
	if err := t.wantList(ctx, t.prefix, keys); err != nil {
		return err
	}
	// A delete affects only its own key, and no key with a similar name.
	slices.Sort(keys)
	var stay, leave []string
	for i, key := range keys {
		if i%2 == 0 {
			stay = append(stay, key)
		} else {
			leave = append(leave, key)
		}
	}
	err = forEach(ctx, leave, func(ctx context.Context, key string) error {
		return t.wantSuccess(t.Store, t.deleteKey(ctx, t.Store, key), "a delete of %q", key)
	})
	if err != nil {
		return err
	}
	return forEach(ctx, stay, func(ctx context.Context, key string) error {
		return t.wantObject(ctx, t.Store, key, values[key], fmt.Sprintf("%q after similar keys were deleted", key))
	})
}

func checkRanges(ctx context.Context, t *probeRun) error {
	const size = 100_000
	key, v := t.key("ranges"), newValue(size)
	if err := t.put(ctx, t.Store, key, v.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write")
	}
	for _, r := range []struct{ offset, length int64 }{
		{0, -1}, {0, size}, {0, 1}, {0, 16 << 10}, {1, 1}, {size / 2, 7}, {65_535, 2}, {size - 1, 1}, {size - 1, -1}, {17, -1},
		{0, size + 1}, {0, 1 << 40}, {size - 1, 1000}, {size / 2, size}, // past the end: only the existing bytes
	} {
		if err := t.wantRange(ctx, key, v, r.offset, r.length); err != nil {
			return err
		}
	}
	// These ranges are empty. A read must return no bytes, or an error.
	for _, r := range []struct{ offset, length int64 }{{0, 0}, {5, 0}, {size, 0}, {size, -1}, {size, 10}, {size + 1, 10}, {1 << 40, 1}} {
		reader, err := t.openRange(ctx, t.Store, key, r.offset, r.length)
		if err != nil {
			if t.kind(t.Store, err) == vault.ErrNotFound {
				return violation("reading %d bytes at offset %d of %d returned %q for an existing object: %w", r.length, r.offset, size, vault.ErrNotFound, err)
			}
			continue
		}
		n, err := io.Copy(io.Discard, reader)
		t.recordError(err)
		reader.Close()
		if n > 0 {
			return violation("reading %d bytes at offset %d of %d returned %d bytes, want none", r.length, r.offset, size, n)
		}
	}
	return nil
}

// wantRange checks one range of the object at key, whose value is v.
func (t *probeRun) wantRange(ctx context.Context, key string, v value, offset, length int64) error {
	what := fmt.Sprintf("reading %d bytes at offset %d of %d", length, offset, v.size)
	r, err := t.openRange(ctx, t.Store, key, offset, length)
	if err := t.wantSuccess(t.Store, err, "%s", what); err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != v.size {
		return violation("%s: the reader reports the size %d, want the size of the whole object", what, r.Size())
	}
	n := v.size - offset
	if length >= 0 {
		n = min(n, length)
	}
	return t.wantBytes(r, v, offset, n, what)
}

// A writeMethod is one method of a store to write an object.
type writeMethod struct {
	name  string
	write func(ctx context.Context, key string, fill func(io.Writer) error) error
	old   *value // the existing value of the key; nil if there is no object
	calls bool   // the store itself calls fill, so its error must wrap the error of fill
}

// writeMethods returns every write method that the store supports.
func (t *probeRun) writeMethods(ctx context.Context) (methods []writeMethod) {
	old := newValue(500)
	put := func(ctx context.Context, key string, fill func(io.Writer) error) error {
		return t.put(ctx, t.Store, key, fill)
	}
	methods = append(methods, writeMethod{"a write of a new object", put, nil, false}, writeMethod{"an overwrite", put, &old, false})
	methods = append(methods, writeMethod{"a create", func(ctx context.Context, key string, fill func(io.Writer) error) error {
		return t.createOrPut(ctx, t.Store, key, fill)
	}, nil, t.Store.Create != nil})
	if needSwap.met(t.Subject) {
		methods = append(methods, writeMethod{"a swap", func(wctx context.Context, key string, fill func(io.Writer) error) error {
			tag, err := t.tag(ctx, t.Store, key) // not with wctx, which may have ended
			if err != nil {
				return err
			}
			_, err = t.swap(wctx, t.Store, key, tag, fill)
			return err
		}, &old, true})
	}
	return methods
}

// errSource is the error of a failing source.
var errSource = errors.New("the source of this write failed on purpose")

// A writeFault interrupts a write before it is complete.
type writeFault struct {
	name   string
	before bool // the context ends before the write begins
	fill   func(v value, cancel func(), w io.Writer) error
	cause  error // what the error must be
	panics bool
}

var writeFaults = []writeFault{
	{name: "whose source fails before the first byte", cause: errSource, fill: func(v value, _ func(), w io.Writer) error {
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
	{name: "whose context has already ended", before: true, fill: func(v value, _ func(), w io.Writer) error {
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

// partFaults interrupt a write in parts.
var partFaults = []writeFault{
	{name: "one of whose parts fails", cause: errSource, fill: func(v value, _ func(), w io.Writer) error {
		return v.fillPartsWith(w, func(offset int64) error {
			if offset > 0 || v.size < 1<<20 {
				return errSource
			}
			return nil
		})
	}},
	{name: "whose context ends after its last part", fill: func(v value, cancel func(), w io.Writer) error {
		err := v.fillParts(w)
		cancel()
		return err
	}},
}

func checkAllOrNothing(ctx context.Context, t *probeRun) error {
	for _, w := range t.writeMethods(ctx) {
		for _, f := range slices.Concat(writeFaults, partFaults) {
			if err := t.wantUnchanged(ctx, w, f, newValue(4000)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAllOrNothingLarge(ctx context.Context, t *probeRun) error {
	for _, w := range t.writeMethods(ctx) {
		for _, f := range slices.Concat(writeFaults, partFaults) {
			switch f.name {
			case "whose source fails midway", "whose context ends after the last byte", partFaults[0].name, partFaults[1].name:
				if err := t.wantUnchanged(ctx, w, f, newValue(t.large())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wantUnchanged writes v with a fault, and checks that the previous object is unchanged.
func (t *probeRun) wantUnchanged(ctx context.Context, w writeMethod, f writeFault, v value) (err error) {
	what := fmt.Sprintf("%s of %d bytes %s", w.name, v.size, f.name)
	key := t.key(random())
	if w.old != nil {
		if err := t.put(ctx, t.Store, key, w.old.fill); err != nil {
			return t.wantSuccess(t.Store, err, "a write")
		}
	}
	before := 0
	if t.Store.History != nil {
		all, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading the history")
		}
		before = len(all)
	}

	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.before {
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
		return w.write(wctx, key, func(dst io.Writer) error { return f.fill(v, cancel, dst) })
	}()
	switch {
	case f.panics && !panicked:
		return violation("%s: the panic was not passed on; the returned error is %v", what, err)
	case !f.panics && err == nil:
		return violation("%s: no error was returned", what)
	case f.cause != nil && w.calls && !errors.Is(err, f.cause):
		return violation("%s: the error does not wrap the error of the source, so a caller would blame the store: %w", what, err)
	}

	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	for _, st := range []*vault.Store{t.Store, other} {
		if err := t.wantObject(ctx, st, key, w.old, "after "+what); err != nil {
			return err
		}
	}
	if t.Store.History != nil {
		all, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading the history")
		}
		if len(all) != before {
			return violation("after %s: the history has %s, want %d, as before the write", what, versions(len(all)), before)
		}
	}
	return nil
}

// retryFor5s calls f until it returns nil, for at most five seconds.
func retryFor5s(ctx context.Context, f func() error) error {
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
