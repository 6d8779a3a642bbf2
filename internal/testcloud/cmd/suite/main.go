// Command suite runs the tests of many packages on one Ceph and one versitygw.
//
//	suite test -- go test ./... [-- go test -race ./...]
//	suite stress [-n ROUNDS] [-p PACKAGES] [-budget 60m] [-run REGEXP] [-short] [-state DIR] PACKAGE...
//
// test runs the commands one after the other, and stops at the first failure. At the end it prints
// a table with the duration of each package. A test that passed in one command, without a skipped
// subtest, does not run again in later commands with the same packages. For example, the first
// command uses the race detector and -short, and the second runs only the tests that were skipped
// as too slow. If a test with the same name in another of these packages did not pass, both run
// again.
//
// stress runs the tests of each package repeatedly, while a busy loop runs on each processor. It runs
// -p packages at once, and never one package twice at once. Waiting packages take turns, so a package
// with long tests does not hold up the others. It stops after the given number of rounds of each, or
// when the budget is used up. The state is in a directory, so the next run continues there. A package
// whose tests have changed starts again. At the end, stress prints a table of the failures.
//
// The servers and the loops end when the command ends, for whatever reason. The command ends when
// its parent ends. If a server is not available, the tests decide whether they are skipped or fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

func main() {
	if spins() {
		spin()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go orphaned(stop)
	os.Exit(run(ctx, os.Args[1:], &world{os.Stdout, os.Stderr, testcloud.Share}))
}

// A world contains everything that a command may use besides its arguments.
type world struct {
	out, err io.Writer
	share    func(ctx context.Context, log io.Writer) (*testcloud.Shared, error)
}

// orphaned calls stop when the parent of this process has ended. If make is killed, no other
// process would stop the servers.
func orphaned(stop func()) {
	parent := os.Getppid()
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			stop()
			return
		}
	}
}

const usage = `usage: suite test -- COMMAND [-- COMMAND]...
       suite stress [-n ROUNDS] [-p PACKAGES] [-budget 60m] [-run REGEXP] [-short] [-state DIR] PACKAGE...
`

// errFailed means that tests failed and were reported.
var errFailed = errors.New("tests failed")

// run runs the program and returns its exit code.
func run(ctx context.Context, args []string, w *world) int {
	err := flag.ErrHelp
	if len(args) > 0 {
		switch args[0] {
		case "test":
			err = test(ctx, args[1:], w)
		case "stress":
			err = stress(ctx, args[1:], w)
		}
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(w.err, usage)
		return 2
	case !errors.Is(err, errFailed):
		fmt.Fprintln(w.err, "suite:", err)
	}
	return 1
}

// withServers calls do with the environment of the tests while the servers run.
func withServers(ctx context.Context, w *world, do func(env []string) error) (err error) {
	env := os.Environ()
	start, cancel := context.WithTimeout(ctx, 30*time.Minute) // includes the installation of Ceph and the build of SeaweedFS
	servers, missing := w.share(start, w.err)
	cancel()
	if missing != nil {
		fmt.Fprintln(w.err, "suite: not shared:", missing)
	}
	if servers != nil {
		defer func() { err = errors.Join(err, servers.Stop()) }()
		env = append(env, servers.Env())
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return do(env)
}
