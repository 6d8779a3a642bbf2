package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// TestDelayCollection: GOGC is higher until the first collection, and then has its value again.
func TestDelayCollection(t *testing.T) {
	percent := func() int {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return int(sample[0].Value.Uint64())
	}
	before := percent()
	defer debug.SetGCPercent(before)
	runtime.GC() // another collection is not due soon
	delayCollection("")
	if got := percent(); got != firstCollection {
		t.Errorf("GOGC is %d before the first collection, instead of %d", got, firstCollection)
	}
	runtime.GC()
	for end := time.Now().Add(10 * time.Second); percent() != before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := percent(); got != before {
		t.Errorf("GOGC is %d after the first collection, instead of %d", got, before)
	}
	delayCollection("80")
	if got := percent(); got != before {
		t.Errorf("GOGC is %d although the environment sets it", got)
	}
}
