package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// TestCollection: GOGC is higher until the first collection. Then it has the value from before, or that of a
// large value.
func TestCollection(t *testing.T) {
	percent := func() int {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return int(sample[0].Value.Uint64())
	}
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	defer func(set bool) { collection.set = set }(collection.set)
	for name, tc := range map[string]struct {
		gogc        string
		size        int64
		first, then int
	}{
		"small":           {"", 100, firstPercent, 70},
		"large":           {"", 9 << 20, largePercent, largePercent},
		"of unknown size": {"", -1, largePercent, largePercent},
		"GOGC is set":     {"70", 100, 70, 70},
		"GOGC, large":     {"70", 9 << 20, 70, 70},
	} {
		debug.SetGCPercent(70)
		runtime.GC() // another collection is not due soon
		delayCollection(tc.gogc)
		limitMemory(tc.size)
		if got := percent(); got != tc.first {
			t.Errorf("%s: GOGC is %d, want %d", name, got, tc.first)
		}
		runtime.GC()
		settled := time.Now().Add(50 * time.Millisecond) // a cleanup may come later
		for end := time.Now().Add(10 * time.Second); (percent() != tc.then || time.Now().Before(settled)) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if got := percent(); got != tc.then {
			t.Errorf("%s: GOGC is %d after the first collection, want %d", name, got, tc.then)
		}
	}
}
