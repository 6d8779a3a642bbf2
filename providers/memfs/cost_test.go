package memfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/vault"
)

// A meter counts the calls of a store.
type meter struct {
	lists, lstats, opens, temps, syncs int
}

func (m *meter) do(c *call, real func() error) error {
	switch c.op {
	case "list":
		m.lists++
	case "lstat":
		m.lstats++
	case "open":
		m.opens++
		if strings.HasPrefix(c.name, tmpDir) {
			m.temps++
		}
	case "sync", "fsync":
		m.syncs++
	}
	return real()
}

// fillDir creates n objects in dir of a store, as hard links to a few files.
func fillDir(t testing.TB, store, dir string, n int) {
	t.Helper()
	at := filepath.Join(store, filepath.FromSlash(dir))
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	first := ""
	for i := range n {
		name := filepath.Join(at, fmt.Sprintf("name-%06d.enc", i))
		if i%30000 == 0 { // a file has at most 65000 names
			first = name
			if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Link(first, name); err != nil {
			t.Fatal(err)
		}
	}
}

// pages lists prefix in pages and calls between before each page but the first.
func pages(t testing.TB, s *vault.Store, prefix string, size int, between func()) (keys []string) {
	t.Helper()
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := s.Bucket.ListPage(t.Context(), token, size, &blob.ListOptions{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			keys = append(keys, o.Key)
		}
		if token = next; len(token) > 0 && between != nil {
			between()
		}
	}
	return keys
}

// TestListIsLinear counts the calls of a list in pages: each directory is read once, and each
// object is examined once, and once more if it is the first of a page.
func TestListIsLinear(t *testing.T) {
	const dir = "bots/t/credentials/"
	for _, n := range []int{1000, 2000, 4000, 8000} {
		store := quickDir(t)
		var m meter
		s, err := openTapped(t, Config{Dir: store}, m.do)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		fillDir(t, store, dir, n)
		const size = 100
		m = meter{}
		if got := pages(t, s, dir, size, nil); len(got) != n {
			t.Fatalf("%d names: listed %d", n, len(got))
		}
		if most := n + 2*n/size; m.lists > 1 || m.lstats > most {
			t.Errorf("%d names: %d directories read, want 1; %d objects examined, want at most %d", n, m.lists, m.lstats, most)
		}
		// One name: its directory is read, but no other object in it is examined.
		m = meter{}
		if got := pages(t, s, dir+"name-000777", 1000, nil); len(got) != 1 || m.lists > 1 || m.lstats > 3 {
			t.Errorf("one of %d names: listed %q, %d directories read, %d objects examined", n, got, m.lists, m.lstats)
		}
		// One key: the directory is not read.
		m = meter{}
		page, _, err := s.Bucket.ListPage(t.Context(), blob.FirstPageToken, 1, &blob.ListOptions{Prefix: dir + "name-000777.enc"})
		if err != nil || len(page) != 1 || m.lists > 0 || m.lstats > 3 {
			t.Errorf("one key among %d: listed %v, %v, %d directories read, %d objects examined", n, page, err, m.lists, m.lstats)
		}
	}
}

// TestTeardownIsLinear removes each page before it requests the next one.
func TestTeardownIsLinear(t *testing.T) {
	const dir, n, size = "bots/t/credentials/", 300, 30
	store := quickDir(t)
	reads := 0
	s, err := openTapped(t, Config{Dir: store, Versions: -1}, func(c *call, real func() error) error {
		if c.op == "list" && c.name == strings.TrimSuffix(dir, "/") {
			reads++
		}
		return withoutSyncs(c, real)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fillDir(t, store, dir, n)
	removed := 0
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := s.Bucket.ListPage(t.Context(), token, size, &blob.ListOptions{Prefix: dir})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			if err := s.Bucket.Delete(t.Context(), o.Key); err != nil {
				t.Fatal(err)
			}
			removed++
		}
		token = next
	}
	if removed != n || reads != 1 {
		t.Errorf("%d of %d were removed, and the directory was read %d times", removed, n, reads)
	}
}

// TestListExaminesLazily removes each file when its name is read. The list must not have examined the
// file before, because examining every entry of a directory costs a call for each.
func TestListExaminesLazily(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("on Windows, reading a directory also returns the attributes of its files")
	}
	dir := newDir(t)
	fillDir(t, dir, ".", 3)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &rootDisk{root}
	defer d.close()
	seen := 0
	err = d.list(".", func(e fs.DirEntry) error {
		seen++
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		if fi, err := e.Info(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was examined before: %v, %v", e.Name(), fi, err)
		}
		return nil
	})
	if err != nil || seen != 3 {
		t.Errorf("%d entries, %v", seen, err)
	}
}

// listed returns a store whose listings keep only a few names, and its shelf.
func listed(t *testing.T, n int) (s *vault.Store, shelf *files, dir string) {
	t.Helper()
	dir = quickDir(t)
	shelf, err := openFiles(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	fillDir(t, dir, "d", n)
	s = newStore("file://"+dir, shelf, Config{})
	t.Cleanup(func() { s.Close() })
	return s, shelf, dir
}

func objects(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("d/name-%06d.enc", i))
	}
	return keys
}

// TestListInParts lists a directory with more names than a listing may keep.
func TestListInParts(t *testing.T) {
	s, shelf, dir := listed(t, 5000)
	shelf.maxHeld = 50_000
	fillDir(t, dir, "d/name-000500.enc-/below", 1500)
	want := objects(5000)
	got := pages(t, s, "d/name", 300, func() {
		held := 0
		for _, w := range shelf.listings.parked {
			for _, l := range w.levels {
				held += l.held
			}
		}
		if most := shelf.maxHeld + 2*leastHeld; held > most || held == 0 { // two directories below d
			t.Errorf("%d bytes are kept between two pages, want 1 to %d", held, most)
		}
	})
	seen := map[string]int{}
	for i, key := range got {
		if seen[key]++; i > 0 && key <= got[i-1] {
			t.Fatalf("%s comes after %s", key, got[i-1])
		}
	}
	for _, key := range want {
		if seen[key] != 1 {
			t.Errorf("%s was listed %d times", key, seen[key])
		}
	}
	if len(got) != 6500 {
		t.Errorf("%d were listed", len(got))
	}
}

// TestLeftoversInParts purges more names than a walk may keep, while it walks. Each is yielded once.
func TestLeftoversInParts(t *testing.T) {
	const n, perPart = 1000, leastHeld / (len("name-000000.enc") + nameCost)
	reads := 0
	s, err := openTapped(t, Config{Dir: quickDir(t)}, func(c *call, real func() error) error {
		if c.op == "list" && c.name == versions+"/d" {
			reads++
		}
		return withoutSyncs(c, real)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Purge.(*bucket).shelf.(*files).maxHeld = 0
	yielded := map[vault.Leftover]int{}
	for _, key := range objects(n) {
		if err := put(s, key, "x"); err != nil {
			t.Fatal(err)
		}
		if err := s.Bucket.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	keys := map[string]int{}
	for l, err := range s.Purge.Leftovers(t.Context(), "d/") {
		if err != nil {
			t.Fatal(err)
		}
		yielded[l]++
		keys[l.Key]++
		if failed, err := s.Purge.Purge(t.Context(), []vault.Leftover{l}); err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
	}
	for l, times := range yielded {
		if times != 1 {
			t.Errorf("%v was yielded %d times", l, times)
		}
	}
	if len(yielded) != 2*n || len(keys) != n {
		t.Errorf("%d versions of %d keys were yielded, want %d of %d", len(yielded), len(keys), 2*n, n)
	}
	if parts := (n + perPart - 1) / perPart; reads != parts {
		t.Errorf("the directory was read %d times, want %d", reads, parts)
	}
	for l, err := range s.Purge.Leftovers(t.Context(), "d/") {
		t.Errorf("left: %v, %v", l, err)
	}
}

// TestListWhileOthersWrite adds, removes and replaces names between the pages of two concurrent
// listings. An object that exists all the time is in each listing exactly once, in order. So is
// an object that this store creates after the last page.
func TestListWhileOthersWrite(t *testing.T) {
	s, _, dir := listed(t, 400)
	other := openDir(t, dir)
	present := map[string]bool{}
	for _, key := range objects(400) {
		present[key] = true
	}
	tokens := [2][]byte{blob.FirstPageToken, blob.FirstPageToken}
	var lists [2][]string
	var added []string
	for round := 0; len(tokens[0])+len(tokens[1]) > 0; round++ {
		for i := range tokens {
			if len(tokens[i]) == 0 {
				continue
			}
			page, next, err := s.Bucket.ListPage(t.Context(), tokens[i], 30, &blob.ListOptions{Prefix: "d/"})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				lists[i] = append(lists[i], o.Key)
			}
			tokens[i] = next
		}
		gone, replaced := fmt.Sprintf("d/name-%06d.enc", 399-round), fmt.Sprintf("d/name-%06d.enc", 200+round)
		if err := errors.Join(other.Bucket.Delete(t.Context(), gone), put(other, replaced, "new"), put(other, fmt.Sprintf("d/name-%06d.other", 300+round), "x")); err != nil {
			t.Fatal(err)
		}
		delete(present, gone)
		if round == 4 {
			for _, key := range []string{"d/name-000390.new", "d/name-000180.new", "d/zzz"} {
				if err := put(s, key, "x"); err != nil {
					t.Fatal(err)
				}
				added = append(added, key)
			}
		}
	}
	for i, list := range lists {
		count := map[string]int{}
		for j, key := range list {
			if count[key]++; j > 0 && key <= list[j-1] {
				t.Errorf("listing %d: %s comes after %s", i, key, list[j-1])
			}
		}
		for key := range present {
			if count[key] != 1 {
				t.Errorf("listing %d: %s existed all the time and is listed %d times", i, key, count[key])
			}
		}
		for _, key := range added {
			if count[key] != 1 {
				t.Errorf("listing %d: %s was created by the same store before its page and is listed %d times", i, key, count[key])
			}
		}
	}
}

// TestAbandonedListings begins many listings and continues none: the memory for them is
// bounded, and is released soon. A token can be used more than once, and late.
func TestAbandonedListings(t *testing.T) {
	s, shelf, _ := listed(t, 500)
	var later time.Duration
	shelf.clock = func() time.Time { return time.Now().Add(later) }
	first := func(prefix string) []byte {
		t.Helper()
		_, next, err := s.Bucket.ListPage(t.Context(), blob.FirstPageToken, 10, &blob.ListOptions{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	rest := func(token []byte) []string {
		t.Helper()
		page, _, err := s.Bucket.ListPage(t.Context(), token, 1000, &blob.ListOptions{Prefix: "d/"})
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, o := range page {
			keys = append(keys, o.Key)
		}
		return keys
	}
	token := first("d/")
	for range 3 {
		if got := rest(token); len(got) != 490 || got[0] != objects(11)[10] {
			t.Errorf("the list after ten names has %d more, from %s", len(got), got[0])
		}
	}
	token = first("d/")
	if n := len(shelf.listings.parked); n != 1 {
		t.Fatalf("%d listings wait for a page, want 1", n)
	}
	shelf.listings.parked[0].levels[0].held = maxParked // simulates a very large list
	first("d/n")
	if n := len(shelf.listings.parked); n != 1 || shelf.listings.parked[0].prefix != "d/n" {
		t.Errorf("%d listings wait for a page, want 1", n)
	}
	if got := rest(token); len(got) != 490 {
		t.Errorf("a dropped list continues with %d names, want 490", len(got))
	}
	later = parkedFor
	rest(token)
	if n := len(shelf.listings.parked); n != 0 {
		t.Errorf("%d listings wait for a page after %v", n, later)
	}
	if n := len(shelf.listings.active); n != 0 {
		t.Errorf("%d lists are in progress", n)
	}
}

// TestSyncsOfWrites counts the syncs of writes of keys as the vault makes them.
func TestSyncsOfWrites(t *testing.T) {
	var m meter
	s, err := openTapped(t, Config{Dir: newDir(t)}, m.do)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := func(name string) string { return "bots/t/credentials/" + name + ".enc" }
	for _, tc := range []struct {
		name string
		do   func() error
		want int
	}{
		{"first create in a store", func() error { return put(s, key("a"), "1") }, 7},
		{"second create", func() error { return put(s, key("b"), "1") }, 2},
		{"first overwrite in a store", func() error { return put(s, key("a"), "2") }, 7},
		{"first overwrite of a key", func() error { return put(s, key("b"), "2") }, 4},
		{"second overwrite of a key", func() error { return put(s, key("a"), "3") }, 3},
		{"delete", func() error { return s.Bucket.Delete(t.Context(), key("a")) }, 3},
	} {
		m = meter{}
		if err := tc.do(); err != nil {
			t.Fatal(err)
		}
		if m.syncs != tc.want {
			t.Errorf("%s made %d syncs, want %d", tc.name, m.syncs, tc.want)
		}
	}
}

// TestPutLeavesOtherWritersAlone: a put opens only its own temporary file, even with many
// active writers.
func TestPutLeavesOtherWritersAlone(t *testing.T) {
	dir := newDir(t)
	var m meter
	s, err := openTapped(t, Config{Dir: dir}, m.do)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := openDir(t, dir)
	for range 20 {
		w, err := other.Bucket.NewWriter(t.Context(), "other", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := w.Write(make([]byte, 1000)); err != nil { // gocloud begins the write with the first bytes
			t.Fatal(err)
		}
	}
	if n := len(names(t, filepath.Join(dir, tmpDir))); n != 20 {
		t.Fatalf("%d writers are active, want 20", n)
	}
	m = meter{}
	if err := put(s, "key", "value"); err != nil {
		t.Fatal(err)
	}
	if m.temps != 1 {
		t.Errorf("a put opened %d temporary files, want 1", m.temps)
	}
}

// TestEmptiedBeforeSync deletes the last object of a directory, which another process removes
// before it is synced. The deletion succeeds.
func TestEmptiedBeforeSync(t *testing.T) {
	dir := newDir(t)
	erased, acted := false, false
	s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
		if c.op == "sync" && erased && !acted {
			acted = true
			if err := os.Remove(filepath.Join(dir, "a", "b")); err != nil {
				t.Error(err)
			}
		}
		erased = erased || c.op == "remove" && c.name == "a/b/key"
		return real()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(s, "a/b/key", "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.Bucket.Delete(t.Context(), "a/b/key"); err != nil || !acted {
		t.Errorf("the deletion: %v; the directory was removed: %v", err, acted)
	}
	if diff := cmp.Diff([]string{"-", "x"}, contents(t, s, "a/b/key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}
