// Command testcloud installs and starts the S3 servers that the tests run on, for
// transcripts and benchmarks, and for a look at what a test saw.
//
//	testcloud install [rgw|versity|weed]
//	testcloud up [flags] rgw|versity|aws|weed|issuer
//	testcloud apply --server FILE --bucket NAME --role NAME < POLICY
//
// up prints one line of JSON: where the server is and what keys its users have, and,
// for aws, the OpenID Connect issuer beside it, which the server knows, and a session
// for each wallet, with which its broker mints tokens; weed is SeaweedFS with such an issuer;
// issuer is that issuer alone, for another server. It stops on ^C and SIGTERM, and
// with --until-eof when its standard input ends. go run does not pass SIGTERM on: from
// a script, build the command first or use --until-eof.
//
// apply makes the bucket and the role on a Ceph, of whose line FILE is a copy, and
// sets what vault policy aws --format json prints: trust, role and bucket policy.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second ^C kills at once, and the kernel the daemons
	os.Exit(run(ctx, os.Args[1:], &world{os.Stdin, os.Stdout, os.Stderr}))
}

// A world is all that a command may touch besides its arguments.
type world struct {
	in       io.Reader
	out, err io.Writer
}

const usage = `usage: testcloud install [rgw|versity|weed]
       testcloud up [--dir DIR] [--bluestore] [--lifecycle-day 5s] [--wallet ID]... [--untagged] [--until-eof] rgw|versity|aws|weed|issuer
       testcloud apply --server FILE --bucket NAME --role NAME < POLICY
`

// run is the whole program and returns its exit code.
func run(ctx context.Context, args []string, w *world) int {
	commands := map[string]func(context.Context, *world, []string) error{"install": install, "up": up, "apply": apply}
	if len(args) == 0 || commands[args[0]] == nil {
		io.WriteString(w.err, usage)
		return 2
	}
	if err := commands[args[0]](ctx, w, args[1:]); err != nil {
		fmt.Fprintf(w.err, "testcloud: %s: %v\n", args[0], err)
		return 1
	}
	return 0
}
