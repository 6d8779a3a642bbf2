// Command costest runs a local test server for Tencent Cloud COS, STS, CAM and KMS, for tests in any language.
// Package costest describes the server.
//
//	costest [flags]
//
// When the server is ready, it prints one line of JSON. The fields cos, sts, cam and kms are the URLs of the
// four services, which are the same here. The field kms_key is the id of a key of KMS. The other fields are bucket, region and pid. With -tls, the
// field ca is a file with the certificate that clients must trust. Without -secret-id, the server
// creates a key and prints it as secret_id and secret_key. The server stops on ^C and SIGTERM, and with
// -until-eof when its standard input ends. go run does not forward SIGTERM: in a script, build the
// command first or use -until-eof.
//
// A client sends its requests to the hosts of COS with costest as its HTTP proxy, or to the printed URL,
// which stands for the first bucket.
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

// A world contains everything that a command may use besides its arguments.
type world struct {
	in       io.Reader
	out, err io.Writer
}

// run runs the program and returns its exit code.
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
