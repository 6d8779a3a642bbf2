package conformance

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"time"
)

// A goroutineWatch finds the goroutines that a function started. They inherit its label, so
// other goroutines of the program are not counted.
type goroutineWatch struct {
	ctx   context.Context
	label string
}

func watchGoroutines(ctx context.Context) goroutineWatch {
	return goroutineWatch{ctx, random() + random()}
}

func (l goroutineWatch) do(f func(context.Context)) {
	pprof.Do(l.ctx, pprof.Labels("objectvault-conformance", l.label), f)
}

// remaining waits up to three seconds for the goroutines to end, longer on a busy machine, and returns the
// stacks of the others.
func (l goroutineWatch) remaining() string {
	for looks := 1; ; looks++ {
		var all bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&all, 1)
		var mine []string
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, l.label) {
				mine = append(mine, stack)
			}
		}
		if len(mine) == 0 || looks > 600 {
			return strings.Join(mine, "\n\n")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
