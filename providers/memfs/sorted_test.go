package memfs

import (
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"gocloud.dev/blob"
)

// TestMemoryIsLogarithmic counts the steps of puts in a bad order and of a teardown in
// pages: for each object they grow with the logarithm of the number of objects.
func TestMemoryIsLogarithmic(t *testing.T) {
	for _, n := range []int{1000, 10000, 50000} {
		var m Memory
		s := newStore("mem://", &memory{&m, Config{}}, Config{})
		defer s.Close()
		for i := range n {
			if err := put(s, fmt.Sprintf("d/%08d", n-i), ""); err != nil {
				t.Fatal(err)
			}
		}
		puts := m.keys.steps
		removed := 0
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := s.Bucket.ListPage(t.Context(), token, 1000, nil)
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
		teardown := m.keys.steps - puts
		most := 6 * n * bits.Len(uint(n)) // each makes a few passes over a path of about 2 log2 n nodes
		if removed != n || puts > most || teardown > most {
			t.Errorf("%d objects: %d removed, %d steps of puts, %d of the teardown; want at most %d", n, removed, puts, teardown, most)
		}
		t.Logf("%d objects: %d steps a put, %d a removal", n, puts/n, teardown/n)
	}
}

// TestSortedSet compares a sortedSet with the sorted keys of a map.
func TestSortedSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var s sortedSet
	want := map[string]bool{}
	for range 3000 {
		key := fmt.Sprint(random.IntN(400))
		if random.IntN(3) == 0 {
			s.remove(key)
			delete(want, key)
		} else {
			s.add(key)
			want[key] = true
		}
		if probe := fmt.Sprint(random.IntN(400)); s.has(probe) != want[probe] {
			t.Fatalf("has(%s) = %v", probe, s.has(probe))
		}
	}
	for _, least := range []string{"", "2", "25", "251\x00", "9999"} {
		var got []string
		s.from(least, func(key string) bool { got = append(got, key); return true })
		all := slices.Sorted(maps.Keys(want))
		i, _ := slices.BinarySearch(all, least)
		if !slices.Equal(got, all[i:]) {
			t.Errorf("from %q: %q, want %q", least, got, all[i:])
		}
	}
}
