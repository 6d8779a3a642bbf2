package memfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// each runs a test on an empty store of each kind.
func each(t *testing.T, with memfs.Config, test func(t *testing.T, s *vault.Store)) {
	for name, c := range configs(t) {
		with.Dir, with.Memory = c.Dir, c.Memory
		t.Run(name, func(t *testing.T) { test(t, open(t, with)) })
	}
}

func read(t testing.TB, s *vault.Store, key string) (value, tag string) {
	t.Helper()
	r, err := s.Bucket.NewReader(t.Context(), key, nil)
	if errors.Is(err, vault.ErrNotFound) {
		return "absent", ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), s.Tag(r)
}

func wantErr(t testing.TB, what string, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func TestLifeOfAnObject(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		ctx := t.Context()
		const key = "bots/default/credentials/openai.enc"

		first, err := s.Create.Create(ctx, key, fill("one"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Create.Create(ctx, key, fill("other"))
		wantErr(t, "a second create", err, vault.ErrExist)
		if value, tag := read(t, s, key); value != "one" || tag != first {
			t.Errorf("read %q with tag %s, want the value one with tag %s", value, tag, first)
		}

		second, err := s.Swap.Swap(ctx, key, first, fill("two"))
		if err != nil || second <= first {
			t.Errorf("swap returned the tag %s after %s, %v", second, first, err)
		}
		_, err = s.Swap.Swap(ctx, key, first, fill("late"))
		wantErr(t, "a swap with an old tag", err, vault.ErrConflict)
		_, err = s.Swap.Swap(ctx, key, "no tag", fill("late"))
		wantErr(t, "a swap with an invalid tag", err, vault.ErrConflict)
		_, err = s.Swap.Swap(ctx, "absent", first, fill("late"))
		wantErr(t, "a swap of an absent object", err, vault.ErrConflict)
		if value, tag := read(t, s, key); value != "two" || tag != second {
			t.Errorf("read %q with tag %s, want the value two with tag %s", value, tag, second)
		}

		if err := s.Bucket.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		_, err = s.Swap.Swap(ctx, key, second, fill("late"))
		wantErr(t, "a swap of a deleted object", err, vault.ErrConflict)
		var marker string
		for v, err := range s.History.Versions(ctx, key) {
			if err != nil || !v.Deleted || !v.Current || v.Size != 0 || v.ID <= second {
				t.Errorf("the newest version is %+v, %v, want a current marker", v, err)
			}
			marker = v.ID
			break
		}
		_, _, err = s.History.OpenVersion(ctx, key, marker, 0, -1)
		wantErr(t, "opening a marker", err, vault.ErrNotFound)
		for _, id := range []string{"", "x", "../../format", "0000000000000001", first[:len(first)-1] + "A"} {
			_, _, err = s.History.OpenVersion(ctx, key, id, 0, -1)
			wantErr(t, fmt.Sprintf("opening version %q", id), err, vault.ErrNotFound)
		}

		third, err := s.Create.Create(ctx, key, fill("three"))
		if err != nil || third <= marker {
			t.Errorf("create returned the tag %s after %s, %v", third, marker, err)
		}
		if diff := cmp.Diff([]string{"three", "-", "two", "one"}, history(t, s, key)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		for i, v := range slices.Collect(ids(t, s, key)) {
			if v.Current != (i == 0) || !v.Modified.Equal(modified(t, v.ID)) {
				t.Errorf("version %d is %+v", i, v)
			}
		}
	})
}

func ids(t testing.TB, s *vault.Store, key string) func(func(vault.Version) bool) {
	return func(yield func(vault.Version) bool) {
		for v, err := range s.History.Versions(t.Context(), key) {
			if err != nil {
				t.Fatal(err)
			}
			if !yield(v) {
				return
			}
		}
	}
}

func modified(t testing.TB, id string) time.Time {
	t.Helper()
	var micros int64
	if _, err := fmt.Sscanf(id, "%016x", &micros); err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(micros)
}

func TestRanges(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		write(t, s, "key", "0123456789")
		id := currentID(t, s, "key")
		write(t, s, "key", "now another")
		for _, tc := range []struct {
			offset, length int64
			want           string
		}{
			{0, -1, "0123456789"}, {0, 0, ""}, {3, 4, "3456"}, {8, 5, "89"}, {10, 1, ""}, {11, -1, ""}, {1 << 40, 7, ""},
		} {
			r, _, err := s.History.OpenVersion(t.Context(), "key", id, tc.offset, tc.length)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			r.Close()
			if err != nil || string(b) != tc.want {
				t.Errorf("%d bytes from %d: %q, %v, want %q", tc.length, tc.offset, b, err, tc.want)
			}
		}
	})
}

// TestNothingStored makes writes fail in every way in which a caller can make them fail: nothing is
// stored.
func TestNothingStored(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		tag, err := s.Create.Create(t.Context(), "there", fill("before"))
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("the source broke")
		ctx, cancel := context.WithCancel(t.Context())
		fails := func(w io.Writer) error { io.WriteString(w, "half"); return broken }
		cancels := func(w io.Writer) error { io.WriteString(w, "half"); cancel(); return nil }

		_, err = s.Create.Create(ctx, "new", fails)
		wantErr(t, "create", err, broken)
		_, err = s.Swap.Swap(ctx, "there", tag, fails)
		wantErr(t, "swap", err, broken)
		_, err = s.Create.Create(ctx, "new", cancels)
		wantErr(t, "create", err, context.Canceled)
		ctx, cancel = context.WithCancel(t.Context())
		_, err = s.Swap.Swap(ctx, "there", tag, cancels)
		wantErr(t, "swap", err, context.Canceled)

		ctx, cancel = context.WithCancel(t.Context())
		w, err := s.Bucket.NewWriter(ctx, "there", &blob.WriterOptions{ContentType: "text/plain"})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "half")
		cancel()
		if err := w.Close(); err != context.Canceled {
			t.Errorf("Close after cancel: %v", err)
		}
		// The caller ignores the write error, and closes the writer.
		ctx, cancel = context.WithCancel(t.Context())
		_, err = s.Create.Create(t.Context(), "new", func(w io.Writer) error {
			inner, err := s.Bucket.NewWriter(ctx, "there", &blob.WriterOptions{ContentType: "text/plain"})
			if err != nil {
				return err
			}
			cancel()
			io.WriteString(inner, "half")
			return inner.Close()
		})
		wantErr(t, "create", err, context.Canceled)
		cancel()
		_, err = s.Create.Create(ctx, "new", fill("x"))
		wantErr(t, "create", err, context.Canceled)
		_, err = s.Bucket.ReadAll(ctx, "there")
		wantErr(t, "read", err, context.Canceled)
		wantErr(t, "delete", s.Bucket.Delete(ctx, "there"), context.Canceled)
		failed, err := s.Remover.Remove(ctx, []string{"there"})
		wantErr(t, "remove", err, nil)
		wantErr(t, "remove", failed["there"], context.Canceled)
		_, err = s.Bucket.List(nil).Next(ctx)
		wantErr(t, "list", err, context.Canceled)

		if value, gotTag := read(t, s, "there"); value != "before" || gotTag != tag {
			t.Errorf("the object there has the value %q", value)
		}
		if value, _ := read(t, s, "new"); value != "absent" {
			t.Errorf("the object new has the value %q", value)
		}
		if diff := cmp.Diff([]string{"before"}, history(t, s, "there")); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestErrors(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		ctx := t.Context()
		write(t, s, "there", "x")
		_, absent := s.Bucket.ReadAll(ctx, "absent")
		_, taken := s.Create.Create(ctx, "there", fill("y"))
		portable := s.Bucket.WriteAll(ctx, "there", nil, &blob.WriterOptions{IfNotExist: true})
		_, unsigned := s.Bucket.SignedURL(ctx, "there", nil)
		reserved := s.Bucket.WriteAll(ctx, ".ObjectVault/format", nil, nil)
		_, long := s.Create.Create(ctx, strings.Repeat("k", 1025), fill("y"))
		_, empty := s.Create.Create(ctx, "", fill("y"))
		_, strange := s.Swap.Swap(ctx, "there\xff", "0000000000000001", fill("y"))
		for _, tc := range []struct {
			name     string
			err      error
			sentinel error
			code     gcerrors.ErrorCode // of errors that come through the bucket
			text     string
		}{
			{"read of an absent key", absent, vault.ErrNotFound, gcerrors.NotFound, `blob (key "absent") (code=NotFound): not found`},
			{"create of an existing key", taken, vault.ErrExist, gcerrors.Unknown, "create there: exists already"},
			{"create through the portable bucket", portable, vault.ErrExist, gcerrors.FailedPrecondition, `blob (key "there") (code=FailedPrecondition): exists already`},
			{"signed URL", unsigned, vault.ErrUnsupported, gcerrors.Unimplemented, `blob (key "there") (code=Unimplemented): signed URL: not supported by this store`},
			{"reserved key", reserved, vault.ErrInvalidName, gcerrors.InvalidArgument, `blob (key ".ObjectVault/format") (code=InvalidArgument): invalid name: keys below .objectvault/ belong to the store itself`},
			{"key of 1025 bytes", long, vault.ErrInvalidName, gcerrors.Unknown, "create " + strings.Repeat("k", 1025) + ": invalid name: the key has 1025 bytes; the maximum is 1024"},
			{"empty key", empty, vault.ErrInvalidName, gcerrors.Unknown, "create : invalid name: the key is empty"},
			{"key that is not UTF-8", strange, vault.ErrInvalidName, gcerrors.Unknown, "swap there\xff: invalid name: key \"there\\xff\" is not UTF-8"},
		} {
			if !errors.Is(tc.err, tc.sentinel) || s.Explain(tc.err) != tc.sentinel || gcerrors.Code(tc.err) != tc.code || tc.err.Error() != tc.text {
				t.Errorf("%s:\n %v, code %v, explained %v\nwant\n %s, code %v, explained %v",
					tc.name, tc.err, gcerrors.Code(tc.err), s.Explain(tc.err), tc.text, tc.code, tc.sentinel)
			}
		}
		if err := s.Explain(io.ErrUnexpectedEOF); err != nil {
			t.Errorf("Explain(an unknown error) = %v", err)
		}
	})
}

func TestRemover(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		write(t, s, "a/b", "x")
		write(t, s, "a/c", "y")
		failed, err := s.Remover.Remove(t.Context(), []string{"a/b", "absent", "a/c", ".objectvault/format"})
		if err != nil || len(failed) != 2 {
			t.Errorf("Remove: %v, %v", failed, err)
		}
		wantErr(t, "absent", failed["absent"], vault.ErrNotFound)
		wantErr(t, "a reserved key", failed[".objectvault/format"], vault.ErrInvalidName)
		if left := keys(t, s, nil, 10); len(left) > 0 {
			t.Errorf("%v remain", left)
		}
	})
}

func TestVersionsKept(t *testing.T) {
	for _, tc := range []struct {
		versions int
		want     []string
	}{
		{0, []string{"19", "18", "17", "-", "16", "15", "14", "-", "13", "12", "11", "-", "10", "9", "8", "-", "7", "6", "5", "-", "4", "3"}},
		{2, []string{"19", "18", "17"}},
	} {
		each(t, memfs.Config{Versions: tc.versions}, func(t *testing.T, s *vault.Store) {
			for i := range 20 {
				write(t, s, "key", fmt.Sprint(i))
				if i%3 == 1 && i < 18 {
					if err := s.Bucket.Delete(t.Context(), "key"); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := history(t, s, "key")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	}
	each(t, memfs.Config{Versions: -1}, func(t *testing.T, s *vault.Store) {
		if s.History != nil {
			t.Error("a store without versions has history")
		}
		write(t, s, "key", "one")
		write(t, s, "key", "two")
		if value, _ := read(t, s, "key"); value != "two" {
			t.Errorf("the object key has the value %q", value)
		}
	})
}

// TestClock stops the clock and sets it back: ids still grow, even over a deletion and without
// versions.
func TestClock(t *testing.T) {
	for _, versions := range []int{0, -1} {
		now := time.Unix(1700000000, 123456789)
		each(t, memfs.Config{Versions: versions, Now: func() time.Time { return now }}, func(t *testing.T, s *vault.Store) {
			now = time.Unix(1700000000, 123456789)
			last := ""
			for i := range 12 {
				if i == 6 {
					now = now.Add(-time.Hour)
				}
				write(t, s, "key", fmt.Sprint(i))
				_, tag := read(t, s, "key")
				if tag <= last {
					t.Fatalf("write %d has the tag %s, after %s", i, tag, last)
				}
				last = tag
				if i%4 == 3 {
					if err := s.Bucket.Delete(t.Context(), "key"); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// keys lists with the given page size; directories end in their delimiter.
func keys(t testing.TB, s *vault.Store, o *blob.ListOptions, size int) []string {
	t.Helper()
	var all []string
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := s.Bucket.ListPage(t.Context(), token, size, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			all = append(all, o.Key)
		}
		token = next
	}
	return all
}

// TestListOrder compares lists of unusual keys with the sorted keys.
func TestListOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "b", "-", ".", "!", "/", "/", "//", "A", "~", " ", "0", "\x00", "☺", "é", `\`, "con", "%2F", "!21", "!+",
		strings.Repeat("x", 250), strings.Repeat("\x01", 90), "00060a24181e4000"}
	all := []string{"a/", "b//", "b/a/", "-", "c-d/e", "c/d", "c.", "d!", "d ", strings.Repeat("q", 300) + "/x", strings.Repeat("q", 300) + "-"}
	for len(all) < 120 {
		key := ""
		for range 1 + random.IntN(6) {
			key += pieces[random.IntN(len(pieces))]
		}
		all = append(all, key)
	}
	// No key may be a directory of another.
	slices.Sort(all)
	all = slices.Compact(all)
	var set []string
	for _, key := range all {
		if !slices.ContainsFunc(all, func(other string) bool { return strings.HasPrefix(other, key+"/") }) {
			set = append(set, key)
		}
	}
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		for _, i := range random.Perm(len(set)) {
			write(t, s, set[i], "x")
		}
		for _, prefix := range []string{"", "a", "b", "b/", "c", "c/", "/", "//", "!", strings.Repeat("q", 299), strings.Repeat("q", 300) + "/", "none", "☺"} {
			for _, delimiter := range []string{"", "/", "x", "☺"} {
				var want []string
				for _, key := range set {
					rest, ok := strings.CutPrefix(key, prefix)
					if !ok {
						continue
					}
					if before, _, ok := strings.Cut(rest, delimiter); ok && delimiter != "" {
						key = prefix + before + delimiter
					}
					if len(want) == 0 || want[len(want)-1] != key {
						want = append(want, key)
					}
				}
				for _, size := range []int{1, 7, 5000} {
					got := keys(t, s, &blob.ListOptions{Prefix: prefix, Delimiter: delimiter}, size)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("prefix %q, delimiter %q, pages of %d (-want +got):\n%s", prefix, delimiter, size, diff)
					}
				}
			}
		}
		for _, key := range set { // and all of them can be read, and removed
			if value, _ := read(t, s, key); value != "x" {
				t.Errorf("%q has the value %q", key, value)
			}
			if err := s.Bucket.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
			if n := len(history(t, s, key)); n != 2 {
				t.Errorf("%q has %d versions", key, n)
			}
		}
		if left := keys(t, s, nil, 1000); len(left) > 0 {
			t.Errorf("%q remain", left)
		}
	})
}

// TestManyInOneDirectory lists more objects than are kept in memory at once.
func TestManyInOneDirectory(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		var want []string
		for i := range 2600 {
			key := fmt.Sprintf("dir/%04d", i)
			if i%100 == 50 {
				key += "/below"
			}
			want = append(want, key)
			if err := s.Bucket.WriteAll(t.Context(), key, nil, &blob.WriterOptions{ContentType: "application/octet-stream"}); err != nil {
				t.Fatal(err)
			}
		}
		for _, size := range []int{700, 1000, 3000} {
			if diff := cmp.Diff(want, keys(t, s, &blob.ListOptions{Prefix: "dir/"}, size)); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", size, diff)
			}
		}
	})
}

func TestPurge(t *testing.T) {
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		ctx := t.Context()
		hostile := "a//00060a24181e4000/" + strings.Repeat("x", 300)
		for _, key := range []string{"a/current", "a/deleted", hostile, "b/other"} {
			write(t, s, key, "one")
			write(t, s, key, "two")
		}
		if err := s.Bucket.Delete(ctx, "a/deleted"); err != nil {
			t.Fatal(err)
		}
		var all []vault.Leftover
		count := map[string]int{}
		for l, err := range s.Purge.Leftovers(ctx, "a/") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
			count[l.Key]++
		}
		if diff := cmp.Diff(map[string]int{"a/current": 1, "a/deleted": 3, hostile: 1}, count); diff != "" {
			t.Errorf("leftovers by key (-want +got):\n%s", diff)
		}
		// Purge delete markers first: that must not restore any object.
		slices.SortFunc(all, func(a, b vault.Leftover) int {
			switch {
			case a.Deleted == b.Deleted:
				return 0
			case a.Deleted:
				return -1
			}
			return 1
		})
		for _, l := range append(all, all...) { // twice, because purging a missing version is not an error
			failed, err := s.Purge.Purge(ctx, []vault.Leftover{l})
			if err != nil || len(failed) > 0 {
				t.Errorf("Purge: %v, %v", failed, err)
			}
			if value, _ := read(t, s, "a/deleted"); value != "absent" {
				t.Errorf("a/deleted exists again, with the value %q", value)
			}
		}
		// The current object cannot be purged.
		current := vault.Leftover{Key: "a/current", ID: currentID(t, s, "a/current")}
		if _, err := s.Purge.Purge(ctx, []vault.Leftover{current}); err != nil {
			t.Error(err)
		}
		for l, err := range s.Purge.Leftovers(ctx, "a/") {
			t.Errorf("left: %+v, %v", l, err)
		}
		for key, want := range map[string][]string{"a/current": {"two"}, hostile: {"two"}, "a/deleted": nil, "b/other": {"two", "one"}} {
			if diff := cmp.Diff(want, history(t, s, key)); diff != "" {
				t.Errorf("history of %q (-want +got):\n%s", key, diff)
			}
		}
		write(t, s, "a/deleted", "again")
	})
}

func TestOpenStores(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b", "store")
	s := open(t, memfs.Config{Dir: dir})
	if want := "file://" + strings.ReplaceAll(filepath.ToSlash(dir), " ", "%20"); s.Name != want {
		t.Errorf("the store is called %s, want %s", s.Name, want)
	}
	write(t, s, "key", "x")
	if value, _ := read(t, open(t, memfs.Config{Dir: dir}), "key"); value != "x" {
		t.Errorf("the second client reads %q", value)
	}
	var memory memfs.Memory
	write(t, open(t, memfs.Config{Memory: &memory}), "key", "x")
	if value, _ := read(t, open(t, memfs.Config{Memory: &memory}), "key"); value != "x" {
		t.Errorf("the second client of a store in memory reads %q", value)
	}
	if value, _ := read(t, open(t, memfs.Config{}), "key"); value != "absent" {
		t.Errorf("a new store in memory contains %q", value)
	}
	for _, c := range []memfs.Config{{Dir: "relative"}, {Dir: dir, Memory: &memory}} {
		if _, err := memfs.Open(t.Context(), c); err == nil {
			t.Errorf("opened %+v", c)
		}
	}
	// A closed store returns ErrClosed; other stores on the same objects continue.
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Create.Create(t.Context(), "late", fill("x")); err == nil {
		t.Error("a write to a closed store succeeded")
	}
}

// TestLargeObject writes and reads 64 MiB with at most 8 MiB of memory.
func TestLargeObject(t *testing.T) {
	s := open(t, configs(t)["file"])
	const size = 64 << 20
	chunk := bytes.Repeat([]byte("objectvault 123\n"), 4096)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.Create.Create(t.Context(), "large", func(w io.Writer) error {
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Bucket.NewReader(t.Context(), "large", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for buf := make([]byte, len(chunk)); ; n++ {
		if _, err := io.ReadFull(r, buf); err == io.EOF {
			break
		} else if err != nil || !bytes.Equal(buf, chunk) {
			t.Fatalf("chunk %d: %v", n, err)
		}
	}
	runtime.ReadMemStats(&after)
	if n*len(chunk) != size {
		t.Errorf("read %d bytes", n*len(chunk))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d bytes of memory were used", used)
	}
}

// TestMustExist: with MustExist, Open creates no store, neither in a missing directory nor in
// an empty one, which may be the mount point of a disk.
func TestMustExist(t *testing.T) {
	top := privateDir(t)
	for _, dir := range []string{filepath.Join(top, "typo", "store"), top} {
		_, err := memfs.Open(t.Context(), memfs.Config{Dir: dir, MustExist: true})
		if !errors.Is(err, memfs.ErrNoStore) || !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("open %s: %v, want ErrNoStore", dir, err)
		}
	}
	if found, err := filepath.Glob(filepath.Join(top, "*")); err != nil || found != nil {
		t.Errorf("Open created %q, %v", found, err)
	}
	if found, err := filepath.Glob(filepath.Join(top, ".*")); err != nil || found != nil {
		t.Errorf("Open created %q, %v", found, err)
	}
	open(t, memfs.Config{Dir: top})
	open(t, memfs.Config{Dir: top, MustExist: true})
}

// TestPurgeWithoutVersions: versions that an earlier configuration kept can be counted and
// purged by a store without versions.
func TestPurgeWithoutVersions(t *testing.T) {
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			for _, value := range []string{"one", "two"} {
				if err := s.Bucket.WriteAll(t.Context(), "k", []byte(value), nil); err != nil {
					t.Fatal(err)
				}
			}
			c.Versions = -1
			s = open(t, c)
			var all []vault.Leftover
			for l, err := range s.Purge.Leftovers(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, l)
			}
			if len(all) != 1 || all[0].Key != "k" || all[0].Deleted {
				t.Fatalf("leftovers %+v, want one of k", all)
			}
			if failed, err := s.Purge.Purge(t.Context(), all); err != nil || len(failed) != 0 {
				t.Fatalf("purge: %v, %v", failed, err)
			}
			for l := range s.Purge.Leftovers(t.Context(), "") {
				t.Errorf("left: %+v", l)
			}
			if value, _ := read(t, s, "k"); value != "two" {
				t.Errorf("the current object is %q", value)
			}
		})
	}
}

// TestRemoveIf removes an object only if it has the tag, in both kinds of store.
func TestRemoveIf(t *testing.T) {
	filled := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	each(t, memfs.Config{}, func(t *testing.T, s *vault.Store) {
		ctx := t.Context()
		first, err := s.Create.Create(ctx, "key", filled("one"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Swap.Swap(ctx, "key", first, filled("two"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{first, "", "x"} {
			if err := s.RemoveIf.RemoveIf(ctx, "key", tag); !errors.Is(err, vault.ErrConflict) {
				t.Errorf("remove if %q: %v, want ErrConflict", tag, err)
			}
		}
		if got, err := s.Bucket.ReadAll(ctx, "key"); string(got) != "two" || err != nil {
			t.Fatalf("the object is %q, %v", got, err)
		}
		if err := s.RemoveIf.RemoveIf(ctx, "key", second); err != nil {
			t.Errorf("remove if %q: %v", second, err)
		}
		if exists, err := s.Bucket.Exists(ctx, "key"); exists || err != nil {
			t.Errorf("the object exists: %v, %v", exists, err)
		}
		if err := s.RemoveIf.RemoveIf(ctx, "key", second); !errors.Is(err, vault.ErrConflict) {
			t.Errorf("remove of a deleted object: %v, want ErrConflict", err)
		}
	})
}
