package main

import (
	"runtime"
	"runtime/debug"
	"sync"
)

const (
	// firstPercent is GOGC until the first garbage collection, which then starts at a heap of 16 MiB instead
	// of 4 MiB.
	firstPercent = 400
	largePercent = 10 // GOGC for a large value
)

// collection is the setting of the garbage collector.
var collection struct {
	sync.Mutex
	percent int  // GOGC after the first collection
	set     bool // the user has set GOGC, so it does not change
}

// delayCollection lets a command for a small value end without a garbage collection. The imported
// packages allocate 1.6 MiB before main starts, and the certificates of the system take another
// 2 MiB: a collection would free little of that, and would take a fifth of the CPU time. gogc is
// the environment variable GOGC: if it is set, nothing changes, in limitMemory either.
func delayCollection(gogc string) {
	collection.Lock()
	defer collection.Unlock()
	if collection.set = gogc != ""; collection.set {
		return
	}
	collection.percent = debug.SetGCPercent(firstPercent)
	// Nothing refers to the object, so the first collection removes it and calls the function.
	runtime.AddCleanup(&[64]byte{}, func(struct{}) {
		collection.Lock()
		defer collection.Unlock()
		debug.SetGCPercent(collection.percent)
	}, struct{}{})
}

// limitMemory lets less garbage accumulate before a transfer of size bytes; negative: of unknown size. Most
// of the memory of a large transfer is in buffers that are used again, which a garbage collection does not
// look into, so that it costs next to nothing.
func limitMemory(size int64) {
	if size < 0 || size > 8<<20 {
		collection.Lock()
		defer collection.Unlock()
		if collection.set {
			return
		}
		collection.percent = largePercent
		debug.SetGCPercent(largePercent)
	}
}
