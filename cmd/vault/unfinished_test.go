package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// A leavingHome is a home whose stores leave an unfinished upload of 5 MB in the bucket when a write fails.
type leavingHome struct {
	t       *testing.T
	dir     string
	leaving string        // end of the name of the store whose writes fail
	err     error         // of a write that fails
	left    atomic.Int32  // writes that will fail
	wrote   chan struct{} // gets a value after each write that was successful or failed
	later   time.Duration // difference of the clock
}

// newLeavingHome returns a home with the store first, whose writes fail, or with a mirror called second, whose
// writes fail instead.
func newLeavingHome(t *testing.T, mirrored bool) *leavingHome {
	h := &leavingHome{t: t, dir: t.TempDir(), leaving: "first", wrote: make(chan struct{}, 100)}
	stores := fmt.Sprintf("store = %q\n", fileURL(filepath.Join(h.dir, "first")))
	if mirrored {
		h.leaving = "second"
		stores += fmt.Sprintf("mirrors = [%q]\n", fileURL(filepath.Join(h.dir, "second")))
	}
	file := fmt.Sprintf("[profiles.p]\n%stenant = %q\nspool = %q\nseen = %q\n", stores, walletA, filepath.Join(h.dir, "spool"), filepath.Join(h.dir, "seen"))
	file += fmt.Sprintf("[profiles.other]\nstore = %q\ntenant = %q\n", fileURL(filepath.Join(h.dir, "first")), walletA) // without the mirror
	if err := os.WriteFile(filepath.Join(h.dir, "config.toml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must("", "init")
	return h
}

func (h *leavingHome) run(ctx context.Context, errs *lockedBuffer, in string, args ...string) ran {
	env := map[string]string{"HOME": h.dir, "OBJECTVAULT_CONFIG": filepath.Join(h.dir, "config.toml"), "OBJECTVAULT_PROFILE": "p"}
	var out lockedBuffer
	code := run(ctx, append([]string{"vault"}, args...), &world{
		in: strings.NewReader(in), out: &out, err: errs, goos: "linux", now: func() time.Time { return time.Now().Add(h.later) },
		getenv: func(name string) string { return env[name] }, environ: func() []string { return nil },
		readFile: os.ReadFile, open: openFile, create: createFile, writeNew: writeNew, canSync: canSync, fileSystem: fileSystem,
		quietly: func(error) bool { return false },
		wrapStore: func(s *vault.Store) *vault.Store {
			if !strings.HasSuffix(s.Name, h.leaving) {
				return s
			}
			return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if c.Op != "put" && c.Op != "create" && c.Op != "swap" {
					return do()
				}
				defer func() { h.wrote <- struct{}{} }()
				if h.left.Add(-1) < 0 {
					return do()
				}
				return h.err
			}})
		},
	})
	return ran{args, code, out.String(), errs.String()}
}

func (h *leavingHome) must(in string, args ...string) ran {
	h.t.Helper()
	r := h.run(h.t.Context(), new(lockedBuffer), in, args...)
	if r.code != exitOK {
		h.t.Fatal(r)
	}
	return r
}

func (h *leavingHome) otherKey() string {
	return "local://" + filepath.ToSlash(filepath.Join(h.dir, "other.key"))
}

// fail makes the next n writes fail, so that a value is sent later.
func (h *leavingHome) fail(n int32, cause vault.Cause) {
	h.err = &cause
	h.left.Store(n)
}

var (
	// stays leaves the value pending.
	stays = vault.Cause{Sentinel: vault.ErrUnauthenticated, Effect: vault.Refused, Unfinished: 5_000_000}
	// passes is the error of one attempt, after which there is another one.
	passes = vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.UploadAborted, Effect: vault.NotApplied, Unfinished: 5_000_000}
)

const leftA = "vault: a: an unfinished upload of 5 MB "

// TestUnfinishedLater: a command that sends a value that waits reports the uploads that it could not
// remove, whether the value is sent then or not.
func TestUnfinishedLater(t *testing.T) {
	for _, tc := range []struct {
		name     string
		mirrored bool
		cause    vault.Cause
		args     string
		code     int
		want     string
	}{
		{"before another command", false, passes, "ls", exitOK, "vault: sent 1 value from the spool"},
		{"before another command, and it stays", false, stays, "ls", exitOK, ""},
		{"before another command, to a mirror", true, stays, "get a", exitOK, ""},
		{"sync", false, passes, "sync", exitOK, "vault: 1 sent, 0 pending, 0 refused"},
		{"sync, and it stays", false, stays, "sync", exitSpooled, "vault: 0 sent, 1 pending, 0 refused"},
		{"before another command, to a mirror, and it is there", true, passes, "get a", exitOK, "vault: made 1 change in the mirror "},
		{"sync to a mirror", true, passes, "sync", exitOK, "vault: 1 sent, 0 pending, 0 refused"},
		{"sync, and it stays behind in a mirror", true, stays, "sync", exitSpooled, "vault: 0 sent, 1 pending, 0 refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newLeavingHome(t, tc.mirrored)
			h.fail(1, vault.Cause{Sentinel: vault.ErrUnauthenticated, Effect: vault.Refused})
			if r := h.run(t.Context(), new(lockedBuffer), "v", "put", "a"); r.code != exitSpooled && !tc.mirrored {
				t.Fatal(r)
			}
			h.later += time.Minute // the pause after the first attempt ends
			h.fail(1, tc.cause)
			r := h.run(t.Context(), new(lockedBuffer), "", strings.Fields(tc.args)...)
			if r.code != tc.code || strings.Count(r.err, leftA) != 1 || !strings.Contains(r.err, tc.want) {
				t.Errorf("%v, want the code %d, and one line with %q and %q", r, tc.code, leftA, tc.want)
			}
		})
	}
}

// TestUnfinishedInBackground: the server and sync --watch report the uploads that they could not remove.
func TestUnfinishedInBackground(t *testing.T) {
	for _, tc := range []struct {
		args  string
		cause vault.Cause
	}{
		{"serve --legacy --listen 127.0.0.1:0 --tokens ", passes},
		{"serve --legacy --listen 127.0.0.1:0 --tokens ", stays},
		{"sync --watch", passes},
		{"sync --watch", stays},
	} {
		t.Run(fmt.Sprint(strings.Fields(tc.args)[0], " ", tc.cause.Sentinel), func(t *testing.T) {
			h := newLeavingHome(t, false)
			args := strings.Fields(tc.args)
			if args[0] == "serve" {
				tokens := filepath.Join(h.dir, "tokens")
				h.must("", "serve", "--legacy", "--tokens", tokens, "--new-token")
				args = append(args, tokens)
			}
			h.fail(1, vault.Cause{Sentinel: vault.ErrUnauthenticated, Effect: vault.Refused})
			if r := h.run(t.Context(), new(lockedBuffer), "v", "put", "a"); r.code != exitSpooled {
				t.Fatal(r)
			}
			<-h.wrote
			h.later += time.Minute
			h.fail(1, tc.cause)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var errs lockedBuffer
			ended := make(chan ran, 1)
			go func() { ended <- h.run(ctx, &errs, "", args...) }()
			<-h.wrote
			if errors.Is(tc.cause.Sentinel, vault.ErrUnavailable) {
				<-h.wrote // the second attempt
			}
			stop() // what was begun is reported first
			r := <-ended
			if n := strings.Count(r.err, "an unfinished upload of 5 MB "); n != 1 {
				t.Errorf("%v: %d uploads are reported, want 1", r, n)
			}
		})
	}
}

// TestUnfinishedOfCopies: the commands that write values again report the uploads that they could not remove,
// also with --json.
func TestUnfinishedOfCopies(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first func(h *leavingHome) // before the writes fail
		args  func(h *leavingHome) []string
	}{
		{"copy", func(h *leavingHome) { h.leaving = "third" }, func(h *leavingHome) []string {
			return []string{"copy", "p", fileURL(filepath.Join(h.dir, "third"))}
		}},
		{"keys rewrap", func(h *leavingHome) { h.must("", "init", "--keys", h.otherKey()) }, func(h *leavingHome) []string {
			return []string{"keys", "rewrap", "--add", h.otherKey()}
		}},
		{"keys rotate", func(*leavingHome) {}, func(*leavingHome) []string { return []string{"keys", "rotate"} }},
		{"sync, of a value that waits", func(h *leavingHome) {
			h.fail(1, vault.Cause{Sentinel: vault.ErrUnauthenticated, Effect: vault.Refused})
			if r := h.run(h.t.Context(), new(lockedBuffer), "new", "put", "a"); r.code != exitSpooled {
				h.t.Fatal(r)
			}
		}, func(*leavingHome) []string { return []string{"sync"} }},
		{"sync, of a mirror that is behind", func(h *leavingHome) { h.must("new", "--profile", "other", "put", "a") }, func(*leavingHome) []string { return []string{"sync"} }},
	} {
		for _, json := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.name, " ", json), func(t *testing.T) {
				h := newLeavingHome(t, strings.Contains(tc.name, "mirror"))
				h.must("v", "put", "a")
				tc.first(h)
				h.fail(1, passes)
				args := tc.args(h)
				if json {
					args = append(args, "--json")
				}
				r := h.must("", args...)
				if n := strings.Count(r.err, leftA); n != 1 && !json {
					t.Errorf("%v: %d uploads are reported, want 1", r, n)
				}
				if n := strings.Count(r.out, `"unfinished":5000000`); n != 1 && json {
					t.Errorf("%v: %d uploads are reported, want 1", r, n)
				}
			})
		}
	}
}
