// Command suite runs the tests of many packages on one Ceph and one versitygw.
//
//	suite test -- go test ./... [-- go test -race ./...]
//	suite stress [-n ROUNDS] [-budget 60m] [-run REGEXP] [-short] [-state DIR] PACKAGE...
//
// test runs the commands one after the other, up to the first that fails, and ends with a table
// of how long each package took. A test that passed in one command, none of its subtests
// skipped, is left out of the next commands with the same packages: with the race detector and
// -short first, the second command runs what was too slow for it. If the test of another of
// these packages has the same name and did not pass, both run again.
//
// stress runs the tests of each package again and again while a busy loop runs on each
// processor: a round of every package, then the next, up to so many rounds or until the
// budget is used up. What was done is in the directory, so that a further run goes on there;
// a package whose tests have changed begins anew. It ends with a table of the failures.
//
// The servers and the loops end with the command, whatever ends it, and so does it when its
// parent does. Where a server cannot be had, the tests say what that means.
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

// A world is all that a command may touch besides its arguments.
type world struct {
	out, err io.Writer
	share    func(ctx context.Context, log io.Writer) (*testcloud.Shared, error)
}

// orphaned calls stop when the parent of this process has ended: no other process would stop the
// servers of a make that was killed.
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
       suite stress [-n ROUNDS] [-budget 60m] [-run REGEXP] [-short] [-state DIR] PACKAGE...
`

// errFailed means that tests failed, and that it was said which.
var errFailed = errors.New("tests failed")

// run is the whole program and returns its exit code.
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
	start, cancel := context.WithTimeout(ctx, 30*time.Minute) // where Ceph has to be installed and SeaweedFS built
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
