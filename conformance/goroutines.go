package conformance

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"time"
)

// A leak tells which goroutines were started below it: they inherit its label, whatever
// else the program does.
type leak struct {
	ctx   context.Context
	label string
}

func watchGoroutines(ctx context.Context) leak { return leak{ctx, random() + random()} }

func (l leak) do(f func(context.Context)) {
	pprof.Do(l.ctx, pprof.Labels("objectvault-conformance", l.label), f)
}

// left returns the stacks of those that are still there after three seconds.
func (l leak) left() string {
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var all bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&all, 1)
		var mine []string
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, l.label) {
				mine = append(mine, stack)
			}
		}
		if len(mine) == 0 || time.Now().After(deadline) {
			return strings.Join(mine, "\n\n")
		}
	}
}
