package vault

import (
	"fmt"
	"testing"
	"time"
)

// TestRevisionsNeverFall: revisions grow even if more names are written than are remembered,
// and if the clock goes back.
func TestRevisionsNeverFall(t *testing.T) {
	at := time.UnixMicro(1_000_000_000)
	r := revisions{now: func() time.Time { return at }}
	last := make(map[Name]int64)
	next := func(name Name) {
		t.Helper()
		got, err := r.next(name)
		if err != nil || got <= last[name] {
			t.Fatalf("%s: revision %d after %d, %v", name, got, last[name], err)
		}
		last[name] = got
	}
	for i := range maxKnownNames + 1000 {
		next(Name(fmt.Sprint("n", i)))
	}
	at = at.Add(-time.Hour)
	for _, i := range []int{0, 1, 999, 1000, maxKnownNames + 999} {
		next(Name(fmt.Sprint("n", i)))
	}
	if len(r.names) > maxKnownNames || r.used.Len() != len(r.names) {
		t.Errorf("%d names are remembered, %d in the list", len(r.names), r.used.Len())
	}
}

// TestFloor compares the lowest possible revision of the current object.
func TestFloor(t *testing.T) {
	r := revisions{now: func() time.Time { return time.UnixMicro(1) }}
	want := func(what string, floor int64) {
		t.Helper()
		if got := r.mark("a").floor; got != floor {
			t.Errorf("%s: floor %d, want %d", what, got, floor)
		}
	}
	want("no revision known", 0)
	r.saw("a", 5, r.mark("a"))
	want("read", 5)
	r.raise("a", 9) // the revision of an old version
	want("an old version was read", 5)
	one, two := r.begin("a"), r.begin("a")
	two(20)
	want("two writes overlap, and may arrive in any order", 5)
	r.saw("a", 20, r.mark("a"))
	want("read while a write is in progress", 5)
	one(10)
	want("both ended", 5)
	r.saw("a", 10, r.mark("a"))
	want("read afterwards", 10)
	before := r.mark("a")
	r.begin("a")(0)
	want("a write failed", 10)
	r.saw("a", 12, before)
	want("read before a write, which may have arrived since", 10)
	r.begin("a")(30)
	want("a write was acknowledged", 30)
	if next, err := r.next("a"); err != nil || next <= 30 {
		t.Errorf("next is %d, %v", next, err)
	}
}

// BenchmarkRevisions: the cost of a call does not depend on the number of names whose revision
// is ahead of the clock.
func BenchmarkRevisions(b *testing.B) {
	for _, n := range []int{100, 20_000} {
		b.Run(fmt.Sprint(n, " names"), func(b *testing.B) {
			r := revisions{now: func() time.Time { return time.UnixMicro(1) }}
			for i := range n {
				r.saw(Name(fmt.Sprint(i)), 100, mark{})
			}
			i := 0
			for b.Loop() {
				r.saw(Name(fmt.Sprint(i%n)), int64(100+i), mark{})
				i++
			}
		})
	}
}
