package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStayParent: on a system that cannot replace a process, vault starts the program with the same
// arguments and environment, and exits with its code.
func TestStayParent(t *testing.T) {
	home := t.TempDir()
	var errs bytes.Buffer
	code, failure := 0, error(nil)
	var argv, env []string
	vault := func(in string, args ...string) int {
		return run(t.Context(), append([]string{"vault"}, args...), &world{
			in: strings.NewReader(in), out: new(bytes.Buffer), err: &errs, goos: "linux", now: time.Now,
			getenv:   func(k string) string { return map[string]string{"HOME": home}[k] },
			environ:  func() []string { return []string{"KEPT=1", "OBJECTVAULT_TENANT=", "A=old", "ODD"} },
			readFile: os.ReadFile, open: openFile, create: createFile,
			exec:    func(a, e []string) (int, error) { argv, env = a, e; return code, failure },
			quietly: func(error) bool { return false }, canSync: canSync,
		})
	}
	if vault("", "init") != 0 || vault("sk-1", "put", "a") != 0 {
		t.Fatal(&errs)
	}
	errs.Reset()
	for _, want := range []int{0, 7, 10, 255} {
		code = want
		if got := vault("", "exec", "--env", "A=a", "--", "prog", "--flag", "x"); got != want || errs.Len() > 0 {
			t.Errorf("the program exited with %d and vault with %d, stderr %q", want, got, &errs)
		}
	}
	if !slices.Equal(argv, []string{"prog", "--flag", "x"}) || !slices.Equal(env, []string{"KEPT=1", "ODD", "A=sk-1"}) {
		t.Errorf("argv %q, env %q", argv, env)
	}
	failure = errors.New("no such program")
	if got := vault("", "exec", "--", "prog"); got != exitFailure || !strings.Contains(errs.String(), "vault: exec: cannot start the program: no such program\n") {
		t.Errorf("exit code %d, stderr %q", got, &errs)
	}
	// If the context was canceled before the run, no program is started.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	argv = nil
	if got := run(ctx, []string{"vault", "exec", "--env", "A=a", "--", "prog"}, &world{
		out: new(bytes.Buffer), err: new(bytes.Buffer), goos: "linux", now: time.Now, environ: os.Environ, readFile: os.ReadFile,
		getenv:  func(k string) string { return map[string]string{"HOME": home}[k] },
		exec:    func(a, e []string) (int, error) { argv = a; return 0, nil },
		quietly: func(error) bool { return false },
	}); got != exitInterrupted || argv != nil {
		t.Errorf("cancelled: exit code %d, started %q", got, argv)
	}
}
