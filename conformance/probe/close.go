package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime/pprof"
	"strings"
	"time"

	"gocloud.dev/blob"
)

// checkClose opens another client, makes successful and failing calls, and closes it.
// Goroutines inherit a label from the code that starts them, so the check can ignore the
// goroutines of other probes that run at the same time.
func checkClose(ctx context.Context, t *probeRun) error {
	label := "probe-" + random() + random()
	var err error
	pprof.Do(ctx, pprof.Labels("objectvault-probe", label), func(ctx context.Context) { err = t.useAndClose(ctx) })
	if err != nil {
		return err
	}
	for looks := 1; ; looks++ { // for three seconds, longer on a busy machine
		left := goroutines(label)
		if left == "" {
			return nil
		}
		if looks > 300 {
			return violation("goroutines are still running after Close:\n%s", left)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *probeRun) useAndClose(ctx context.Context) error {
	st, err := t.Reopen(ctx)
	if err != nil {
		return fmt.Errorf("opening a second client: %w", err)
	}
	key, v := t.key("there"), newValue(300_000)
	err = t.createOrPut(ctx, st, key, v.fill)
	t.put(ctx, st, t.key("failing"), func(w io.Writer) error { v.fill(w); return errSource })
	t.createOrPut(ctx, st, t.key("failing-too"), func(w io.Writer) error { v.fill(w); return errSource })
	ended, cancel := context.WithCancel(ctx)
	t.put(ended, st, t.key("cancelled"), func(w io.Writer) error { defer cancel(); return v.fill(w) })
	cancel()
	if r, err := t.openRange(ctx, st, key, 0, -1); err == nil {
		io.CopyN(io.Discard, r, 10) // stop before the end
		r.Close()
	}
	for range 3 {
		closed(t.openRange(ctx, st, t.key("absent"), 0, -1))
	}
	st.Bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: t.prefix})
	if st.History != nil {
		for range st.History.Versions(ctx, key) {
			break
		}
	}
	if st.Purge != nil {
		for range st.Purge.Leftovers(ctx, t.prefix) {
			break
		}
	}
	if cerr := st.Close(); cerr != nil {
		return violation("Close returned an error: %w", cerr)
	}
	if err != nil {
		return t.wantSuccess(t.Store, err, "a create")
	}
	return t.wantObject(ctx, t.Store, key, &v, "after the client that wrote it was closed")
}

// goroutines returns the stacks of the goroutines with the label.
func goroutines(label string) string {
	var all bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&all, 1)
	var mine []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, label) {
			mine = append(mine, stack)
		}
	}
	return strings.Join(mine, "\n\n")
}
