// Command testcloud installs and starts the servers of the tests, for transcripts, benchmarks
// and debugging.
//
//	testcloud install [rgw|versity|weed|kms]
//	testcloud up [flags] rgw|versity|aws|weed|kms|issuer
//	testcloud apply --server FILE --bucket NAME --role NAME < POLICY
//
// up starts a server and prints one line of JSON with its address and the keys of its users. For
// aws, which is a Ceph with an OpenID Connect issuer that it trusts, the line also describes the
// issuer and contains a session for each wallet. With a session, the issuer's broker mints tokens.
// weed is SeaweedFS with such an issuer. kms is local-kms with one key, whose ARN is in the line. issuer is only the issuer, for another server. up stops on
// ^C and SIGTERM. With --until-eof it also stops when its standard input ends. go run does not
// forward SIGTERM, so a script must build the command first or use --until-eof.
//
// apply creates the bucket and the role on a Ceph, and sets the trust policy, the role policy and
// the bucket policy from the output of vault policy aws --format json. FILE contains the line that
// up printed.
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
	context.AfterFunc(ctx, stop) // a second ^C kills this process, and the kernel then kills the daemons
	os.Exit(run(ctx, os.Args[1:], &world{os.Stdin, os.Stdout, os.Stderr}))
}

// A world contains everything that a command may use besides its arguments.
type world struct {
	in       io.Reader
	out, err io.Writer
}

const usage = `usage: testcloud install [rgw|versity|weed|kms]
       testcloud up [--dir DIR] [--bluestore] [--lifecycle-day 5s] [--ops-log] [--wallet ID]... [--untagged] [--until-eof] rgw|versity|aws|weed|kms|issuer
       testcloud apply --server FILE --bucket NAME --role NAME < POLICY
`

// run runs the program and returns its exit code.
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
