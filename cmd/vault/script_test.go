package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// The test binary acts as the program, under the name vault and under another one.
func TestMain(m *testing.M) {
	// The race detector makes every process sleep for a second before it exits.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	testscript.Main(underCloud{m}, map[string]func(){"vault": main, "ov.2": main})
}

// underCloud stops the cloud servers that tests have started.
type underCloud struct{ *testing.M }

func (m underCloud) Run() int {
	heedSignals()
	collection.set = true // commands that run in this process share its GOGC, and do not change it
	return testcloud.Main(m.M)
}

// TestScripts runs testdata/script. Each file tests one behaviour.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) < 40 {
		t.Fatalf("only %d scripts were found (%v)", len(scripts), err)
	}
	if testing.Short() { // one script for each kind of concurrent work
		scripts = nil
		for _, name := range []string{"exec", "interrupted", "put", "teardown"} {
			scripts = append(scripts, filepath.Join("testdata/script", name+".txtar"))
		}
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("HOME", home) // scripts inherit no XDG_* and no OBJECTVAULT_* variables
			e.Setenv("KEY", filepath.Join(home, ".local/share/objectvault/root.key"))
			e.Setenv("STORE", filepath.Join(home, ".local/share/objectvault/store"))
			e.Setenv("OBJECTS", filepath.Join(home, ".local/share/objectvault/store/bots/default/credentials"))
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"expand": expand,
			"tty":    onTerminal,
			"damage": func(ts *testscript.TestScript, neg bool, args []string) {
				damage(ts, args)
			},
			"fill": func(ts *testscript.TestScript, neg bool, args []string) {
				n, err := strconv.Atoi(args[1])
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat("0123456789abcdef", n/16+1)[:n]), 0o600))
			},
			"same": func(ts *testscript.TestScript, neg bool, args []string) {
				if ts.ReadFile(args[0]) != ts.ReadFile(args[1]) {
					ts.Fatalf("%s and %s differ", args[0], args[1])
				}
			},
			"mode": func(ts *testscript.TestScript, neg bool, args []string) {
				info, err := os.Stat(ts.MkAbs(args[1]))
				ts.Check(err)
				if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
					ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
				}
			},
			"alone": func(ts *testscript.TestScript, neg bool, args []string) {
				entries, err := os.ReadDir(ts.MkAbs(filepath.Dir(args[0])))
				ts.Check(err)
				for _, e := range entries {
					if e.Name() != filepath.Base(args[0]) {
						ts.Fatalf("the directory also contains %s", e.Name())
					}
				}
			},
			"hold": hold,
		},
	})
	if testing.Short() {
		t.Skip("the other scripts do one thing after the other")
	}
}

// exits runs a command and checks that it exits with the given code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG…]")
	}
	checkExit(ts, want, ts.Exec(args[1], args[2:]...))
}

// expand replaces $VARIABLE in a file by its value in the script.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

func checkExit(ts *testscript.TestScript, want int, err error) {
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// damage changes a file. flip OFFSET inverts a bit of the byte at the offset, which counts from the end
// if it is negative. cut N removes the last N bytes.
func damage(ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	data, err := os.ReadFile(path)
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	switch args[1] {
	case "flip":
		if n < 0 {
			n += len(data)
		}
		data[n] ^= 1
	case "cut":
		data = data[:len(data)-n]
	default:
		ts.Fatalf("usage: damage FILE flip OFFSET | cut N")
	}
	ts.Check(os.WriteFile(path, data, 0o600))
	ts.Check(os.Chtimes(path, info.ModTime(), info.ModTime())) // vault uses the time as the version
}

// lockFile returns the lock file of a name in a file:// store.
func lockFile(store, name string) string {
	sum := sha256.Sum256([]byte("bots/default/credentials/" + name + ".enc"))
	return filepath.Join(store, ".objectvault", "lock", fmt.Sprintf("%02x", sum[0]))
}
