package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// many is more than the number of objects on one page.
const many = 1100

func checkList(ctx context.Context, t *probeRun) error {
	keys := make([]string, many)
	for i := range keys {
		// Some keys contain a slash. A walk through directories would list them in the wrong order.
		keys[i] = t.key(fmt.Sprintf("%c%cx%04d", 'a'+i%7, "-./0"[i%4], i))
	}
	slices.Sort(keys)
	err := forEach(ctx, keys, func(ctx context.Context, key string) error {
		return t.wantSuccess(t.Store, t.put(ctx, t.Store, key, newValue(listedSize(key)).fill), "a write")
	})
	if err != nil {
		return err
	}
	// A list may lag behind the writes, but must show every object in the end.
	if err := retryFor5s(ctx, func() error { return t.wantList(ctx, t.prefix, keys) }); err != nil {
		return err
	}
	pages, err := t.list(ctx, t.Store, t.prefix, 1000)
	if err != nil {
		return t.wantSuccess(t.Store, err, "a list")
	}
	for i, page := range pages {
		if len(page) > 1000 {
			return violation("page %d of a list has %s, want at most 1000", i, text.Count(len(page), "object", "objects"))
		}
		for _, o := range page {
			if want := listedSize(o.Key); o.Size != want || o.IsDir || o.ModTime.IsZero() {
				return violation("the list entry of %q has size %d, time %v, directory %v; want size %d and a time", o.Key, o.Size, o.ModTime, o.IsDir, want)
			}
		}
	}
	for _, prefix := range []string{keys[0], keys[many-1], keys[0][:len(keys[0])-6], t.prefix + "a", t.prefix + "b-", t.prefix + "c/", t.prefix + "a0x", t.prefix + "none"} {
		within := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, prefix) })
		if err := t.wantList(ctx, prefix, within); err != nil {
			return err
		}
	}
	return t.wantNextPages(ctx, keys)
}

// listedSize returns the size of the object at key. Objects have different sizes.
func listedSize(key string) int64 { return int64(key[len(key)-len("0.enc")] - '0') }

// wantNextPages deletes the objects of the first page before it requests the second page, as a
// teardown does. The second page must start after the last key of the first page, so no object
// may be missing.
func (t *probeRun) wantNextPages(ctx context.Context, keys []string) error {
	page, next, err := t.Store.Bucket.ListPage(ctx, blob.FirstPageToken, 1000, &blob.ListOptions{Prefix: t.prefix})
	if err != nil {
		return t.wantSuccess(t.Store, err, "a list")
	}
	gone := make([]string, len(page))
	for i, o := range page {
		gone[i] = o.Key
	}
	if err := t.cleanKeys(ctx, gone); err != nil {
		return t.wantSuccess(t.Store, err, "a delete of the listed objects")
	}
	t.markAbsent(gone)
	rest := keys[len(page):]
	var seen []string
	for len(next) > 0 {
		if page, next, err = t.Store.Bucket.ListPage(ctx, next, 1000, &blob.ListOptions{Prefix: t.prefix}); err != nil {
			return t.wantSuccess(t.Store, err, "the second page of a list")
		}
		for _, o := range page {
			seen = append(seen, o.Key)
		}
	}
	if !slices.Equal(seen, rest) {
		return violation("after the %d objects of the first page were deleted, the next pages contain %d objects, want the remaining %d", len(gone), len(seen), len(rest))
	}
	return nil
}

// wantList checks that a list of prefix contains exactly keys, in byte order.
func (t *probeRun) wantList(ctx context.Context, prefix string, keys []string) error {
	want := slices.Sorted(slices.Values(keys))
	for _, size := range []int{1000, 400} {
		if size < 1000 && len(keys) < size {
			continue // it would be the same single page
		}
		pages, err := t.list(ctx, t.Store, prefix, size)
		if err != nil {
			return t.wantSuccess(t.Store, err, "a list")
		}
		var got []string
		for i, page := range pages {
			if len(page) > size {
				return violation("page %d of a list has %s, want at most %d", i, text.Count(len(page), "object", "objects"), size)
			}
			for _, o := range page {
				got = append(got, o.Key)
			}
		}
		if !slices.IsSorted(got) {
			for i := range got[1:] {
				if got[i] > got[i+1] {
					return violation("a list of the prefix %q contains %q before %q", prefix, got[i], got[i+1])
				}
			}
		}
		if !slices.Equal(got, want) {
			return violation("a list of the prefix %q: %s", prefix, listDifference(got, want))
		}
	}
	return nil
}

// listDifference describes the difference between two sorted lists.
func listDifference(got, want []string) string {
	for _, key := range want {
		if _, ok := slices.BinarySearch(got, key); !ok {
			return fmt.Sprintf("%s, want %d; %q is missing", text.Count(len(got), "object", "objects"), len(want), key)
		}
	}
	for _, key := range got {
		if _, ok := slices.BinarySearch(want, key); !ok {
			return fmt.Sprintf("%s, want %d; %q is unexpected", text.Count(len(got), "object", "objects"), len(want), key)
		}
	}
	return fmt.Sprintf("%s, want %d; some objects are listed twice", text.Count(len(got), "object", "objects"), len(want))
}

func checkListAfterWrite(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	var keys []string
	for i := range 10 {
		key := t.key(fmt.Sprintf("%02d", i))
		v := newValue(int64(i))
		if err := t.createOrPut(ctx, t.Store, key, v.fill); err != nil {
			return t.wantSuccess(t.Store, err, "a create")
		}
		keys = append(keys, key)
		if err := t.wantListNow(ctx, other, keys); err != nil {
			return err
		}
	}
	for len(keys) > 0 {
		if err := t.deleteKey(ctx, t.Store, keys[0]); err != nil {
			return t.wantSuccess(t.Store, err, "a delete")
		}
		keys = keys[1:]
		if err := t.wantListNow(ctx, other, keys); err != nil {
			return err
		}
	}
	return nil
}

func (t *probeRun) wantListNow(ctx context.Context, st *vault.Store, want []string) error {
	pages, err := t.list(ctx, st, t.prefix, 1000)
	if err != nil {
		return t.wantSuccess(st, err, "a list")
	}
	var got []string
	for _, page := range pages {
		for _, o := range page {
			got = append(got, o.Key)
		}
	}
	if !slices.Equal(got, want) {
		return violation("a list immediately after a write or delete: %s", listDifference(got, want))
	}
	return nil
}
