package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestVerifyContinues: a run of verify that was interrupted goes on after the last object that it has
// verified, and counts what the first run has found.
func TestVerifyContinues(t *testing.T) {
	home := t.TempDir()
	other := strings.Repeat("01", 32) // a root key
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reads []string
	interrupt := 0 // at this read; 0: never
	command := func(ctx context.Context, in string, args ...string) ran {
		var out, errs lockedBuffer
		code := run(ctx, append([]string{"vault"}, args...), &world{
			in: strings.NewReader(in), out: &out, err: &errs, goos: "linux", now: time.Now,
			getenv: func(name string) string { return map[string]string{"HOME": home, "OTHER": other}[name] }, environ: func() []string { return nil },
			readFile: os.ReadFile, open: openFile, create: createFile, writeNew: writeNew, canSync: canSync, fileSystem: fileSystem,
			quietly: func(error) bool { return false },
			wrapStore: func(s *vault.Store) *vault.Store {
				return intercept.Store(s, intercept.Hooks{Call: func(ctx context.Context, c intercept.Call, do func() error) error {
					if c.Op == "get" {
						if reads = append(reads, c.Key); len(reads) == interrupt {
							cancel()
							return ctx.Err()
						}
					}
					return do()
				}})
			},
		})
		return ran{args, code, out.String(), errs.String()}
	}
	if r := command(ctx, "", "init"); r.code != exitOK {
		t.Fatal(r)
	}
	for i := range 6 {
		if r := command(ctx, "value", "put", fmt.Sprint("name", i)); r.code != exitOK {
			t.Fatal(r)
		}
	}
	reads, interrupt = nil, 4
	if r := command(ctx, "", "verify", "--jobs", "1"); r.code != exitInterrupted {
		t.Fatal(r)
	}
	reads, interrupt = nil, 0
	if r := command(t.Context(), "", "verify", "--jobs", "1", "--headers"); r.code != exitOK || len(reads) != 6 {
		t.Errorf("a run with other arguments: %v, %d objects", r, len(reads))
	}
	reads = nil
	if r := command(t.Context(), "", "verify", "--jobs", "1", "--keys", "env:OTHER"); r.code != exitPartial || len(reads) != 6 || !strings.Contains(r.err, "6 unopened") {
		t.Errorf("a run with another key: %v, %d objects", r, len(reads))
	}
	reads = nil
	r := command(t.Context(), "", "verify", "--jobs", "1")
	if r.code != exitOK || len(reads) != 3 || !strings.HasSuffix(reads[0], "name3.enc") || !strings.Contains(r.err, "continuing the run of") || !strings.Contains(r.err, "6 objects checked, 30 B: 6 ok") {
		t.Errorf("the next run: %v, reads of %q", r, reads)
	}
	reads = nil
	if r := command(t.Context(), "", "verify", "--jobs", "1"); r.code != exitOK || len(reads) != 6 || strings.Contains(r.err, "continuing") {
		t.Errorf("a run after a complete one: %v, %d objects", r, len(reads))
	}

	// The same variable has another key.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	reads, interrupt = nil, 4
	if r := command(ctx, "", "verify", "--jobs", "1", "--keys", "env:OTHER"); r.code != exitInterrupted {
		t.Fatal(r)
	}
	reads, interrupt, other = nil, 0, strings.Repeat("02", 32)
	if r := command(t.Context(), "", "verify", "--jobs", "1", "--keys", "env:OTHER"); len(reads) != 6 || strings.Contains(r.err, "continuing") {
		t.Errorf("a run with another key of the same name: %v, %d objects", r, len(reads))
	}
}
