package main

import (
	"runtime"
	"runtime/debug"
)

// firstCollection is the value of GOGC until the first garbage collection, which then starts at a heap of
// 16 MiB instead of 4 MiB.
const firstCollection = 400

// delayCollection lets a command for a small value end without a garbage collection. The imported
// packages allocate 2 MiB before main starts, and the certificates of the system take another
// 2 MiB: a collection would free little of that, and would take a fifth of the CPU time. After the first
// collection GOGC has its default value, so that a large value needs no more memory than before. gogc is
// the environment variable: if it is set, nothing changes.
func delayCollection(gogc string) {
	if gogc != "" {
		return
	}
	usual := debug.SetGCPercent(firstCollection)
	// Nothing refers to the object, so the first collection removes it and calls the function.
	runtime.AddCleanup(&[64]byte{}, func(percent int) { debug.SetGCPercent(percent) }, usual)
}
