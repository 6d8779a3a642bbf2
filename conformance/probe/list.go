package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
)

// many is more than a page holds.
const many = 1100

func checkList(ctx context.Context, t *trial) error {
	keys := make([]string, many)
	for i := range keys {
		// In directories too, which a walk visits in another order.
		keys[i] = t.key(fmt.Sprintf("%c%cx%04d", 'a'+i%7, "-./0"[i%4], i))
	}
	slices.Sort(keys)
	err := each(ctx, keys, func(ctx context.Context, key string) error {
		return t.works(t.Store, t.put(ctx, t.Store, key, newValue(listedSize(key)).fill), "a write")
	})
	if err != nil {
		return err
	}
	// Where a listing lags behind, all must be there in the end.
	if err := settle(ctx, func() error { return t.lists(ctx, t.prefix, keys) }); err != nil {
		return err
	}
	pages, err := t.list(ctx, t.Store, t.prefix, 1000)
	if err != nil {
		return t.works(t.Store, err, "a listing")
	}
	for i, page := range pages {
		if len(page) > 1000 {
			return broken("page %d of a listing has %d objects, want at most 1000", i, len(page))
		}
		for _, o := range page {
			if want := listedSize(o.Key); o.Size != want || o.IsDir || o.ModTime.IsZero() {
				return broken("%q is listed with size %d, time %v, directory %v; want size %d and a time", o.Key, o.Size, o.ModTime, o.IsDir, want)
			}
		}
	}
	for _, prefix := range []string{keys[0], keys[many-1], keys[0][:len(keys[0])-6], t.prefix + "a", t.prefix + "b-", t.prefix + "c/", t.prefix + "a0x", t.prefix + "none"} {
		within := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, prefix) })
		if err := t.lists(ctx, prefix, within); err != nil {
			return err
		}
	}
	return t.listsOn(ctx, keys)
}

// listedSize is how long the object at key is: not always the same.
func listedSize(key string) int64 { return int64(key[len(key)-len("0.enc")] - '0') }

// listsOn deletes what the first page gave before it asks for the second, as a
// teardown does: the second goes on by key, so nothing may be left out.
func (t *trial) listsOn(ctx context.Context, keys []string) error {
	page, next, err := t.Store.Bucket.ListPage(ctx, blob.FirstPageToken, 1000, &blob.ListOptions{Prefix: t.prefix})
	if err != nil {
		return t.works(t.Store, err, "a listing")
	}
	gone := make([]string, len(page))
	for i, o := range page {
		gone[i] = o.Key
	}
	if err := t.cleanKeys(ctx, gone); err != nil {
		return t.works(t.Store, err, "a delete of what was listed")
	}
	t.forget(gone)
	rest := keys[len(page):]
	var seen []string
	for len(next) > 0 {
		if page, next, err = t.Store.Bucket.ListPage(ctx, next, 1000, &blob.ListOptions{Prefix: t.prefix}); err != nil {
			return t.works(t.Store, err, "the second page of a listing")
		}
		for _, o := range page {
			seen = append(seen, o.Key)
		}
	}
	if !slices.Equal(seen, rest) {
		return broken("after the %d objects of the first page were deleted the next pages give %d objects, want the other %d", len(gone), len(seen), len(rest))
	}
	return nil
}

// lists checks that a listing below prefix gives exactly keys, in the order of bytes.
func (t *trial) lists(ctx context.Context, prefix string, keys []string) error {
	want := slices.Sorted(slices.Values(keys))
	for _, size := range []int{1000, 400} {
		if size < 1000 && len(keys) < size {
			continue // one page all the same
		}
		pages, err := t.list(ctx, t.Store, prefix, size)
		if err != nil {
			return t.works(t.Store, err, "a listing")
		}
		var got []string
		for i, page := range pages {
			if len(page) > size {
				return broken("page %d of a listing has %d objects, asked for %d", i, len(page), size)
			}
			for _, o := range page {
				got = append(got, o.Key)
			}
		}
		if !slices.IsSorted(got) {
			for i := range got[1:] {
				if got[i] > got[i+1] {
					return broken("a listing below %q gives %q before %q", prefix, got[i], got[i+1])
				}
			}
		}
		if !slices.Equal(got, want) {
			return broken("a listing below %q: %s", prefix, lacks(got, want))
		}
	}
	return nil
}

// lacks says in what two sorted lists differ.
func lacks(got, want []string) string {
	for _, key := range want {
		if _, ok := slices.BinarySearch(got, key); !ok {
			return fmt.Sprintf("%d objects, want %d; %q is not there", len(got), len(want), key)
		}
	}
	for _, key := range got {
		if _, ok := slices.BinarySearch(want, key); !ok {
			return fmt.Sprintf("%d objects, want %d; %q should not be there", len(got), len(want), key)
		}
	}
	return fmt.Sprintf("%d objects, want %d; some come twice", len(got), len(want))
}

func checkListAfterWrite(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	var keys []string
	for i := range 10 {
		key := t.key(fmt.Sprintf("%02d", i))
		v := newValue(int64(i))
		if err := t.make(ctx, t.Store, key, v.fill); err != nil {
			return t.works(t.Store, err, "a create")
		}
		keys = append(keys, key)
		if err := t.listsAll(ctx, other, keys); err != nil {
			return err
		}
	}
	for len(keys) > 0 {
		if err := t.drop(ctx, t.Store, keys[0]); err != nil {
			return t.works(t.Store, err, "a delete")
		}
		keys = keys[1:]
		if err := t.listsAll(ctx, other, keys); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) listsAll(ctx context.Context, st *vault.Store, want []string) error {
	pages, err := t.list(ctx, st, t.prefix, 1000)
	if err != nil {
		return t.works(st, err, "a listing")
	}
	var got []string
	for _, page := range pages {
		for _, o := range page {
			got = append(got, o.Key)
		}
	}
	if !slices.Equal(got, want) {
		return broken("a listing right after a write or delete: %s", lacks(got, want))
	}
	return nil
}
