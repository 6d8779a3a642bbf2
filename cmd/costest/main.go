// Command costest runs a local Tencent Cloud COS with its STS and CAM, for tests in any
// language; package costest says what it plays.
//
//	costest [flags]
//
// When it is ready it prints one line of JSON: cos, sts and cam are the URLs of the
// three services, which are one here; bucket and region; ca, with -tls, a file with the
// certificate that clients must trust; and pid. Without -secret-id it makes a key and
// prints it, too, as secret_id and secret_key. It stops on ^C and SIGTERM, and with
// -until-eof when its standard input ends. go run does not pass SIGTERM on: from a script, build
// the command first or use -until-eof.
//
// A client sends its requests to the hosts of the service with costest as its HTTP
// proxy, or to the URL, which means the one bucket.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second ^C kills at once
	os.Exit(run(ctx, os.Args[1:], &world{os.Stdin, os.Stdout, os.Stderr}))
}

// A world is all that a command may touch besides its arguments.
type world struct {
	in       io.Reader
	out, err io.Writer
}

// run is the whole program and returns its exit code.
func run(ctx context.Context, args []string, w *world) int {
	err := serve(ctx, w, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(w.err, "costest: %v\n", err)
	return 1
}
