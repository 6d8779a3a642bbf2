// Command signertest runs a signer for tests and demonstrations on this machine. Package signertest
// describes the server. Its keys are publicly known: do not use it for real objects.
//
//	signertest [flags]
//
// When the signer is ready, it prints one line of JSON with the fields url, omni, address and pid. The
// signer stops on ^C and SIGTERM, and with -until-eof when its standard input ends. go run does not
// forward SIGTERM: in a script, build the command first or use -until-eof.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
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

// errUsage means that the usage error was reported.
var errUsage = errors.New("usage")

// run runs the program and returns its exit code.
func run(ctx context.Context, args []string, w *world) int {
	err := serve(ctx, w, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(w.err, "signertest: %v\n", err)
	return 1
}

// A line is the JSON line that is printed when the signer is ready.
type line struct {
	URL     string `json:"url"`
	Omni    string `json:"omni"`
	Address string `json:"address"`
	PID     int    `json:"pid"`
}

// defaultOmni is the account in the test vector of agentKeys. Its key is another one here.
const defaultOmni = "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"

// serve starts the signer, prints its URL, and stops it when ctx ends.
func serve(ctx context.Context, w *world, args []string) error {
	var o signertest.Options
	var fault signertest.Fault
	var omni, token string
	var version int
	var rotate, untilEOF bool
	f := flag.NewFlagSet("signertest", flag.ContinueOnError)
	f.SetOutput(w.err)
	f.StringVar(&o.Addr, "addr", "", "loopback `address` to listen on; the default is a free port of 127.0.0.1")
	f.StringVar(&omni, "omni", defaultOmni, "the `account` whose address is printed, and for which the token is valid")
	f.StringVar(&token, "token", "", "require this bearer `token`; do not use a real one")
	f.IntVar(&version, "key-version", 1, "the key `version` in the responses")
	f.BoolVar(&rotate, "rotate", false, "derive the keys from another master secret")
	f.BoolVar(&fault.NonDeterministic, "non-deterministic", false, "return a different signature for each request")
	f.BoolVar(&fault.Disabled, "disabled", false, "respond to every request with 503 signer_disabled")
	f.BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if f.NArg() > 0 {
		fmt.Fprintf(w.err, "signertest: unexpected argument %q\n", f.Arg(0))
		return errUsage
	}
	if untilEOF {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() { io.Copy(io.Discard, w.in); stop() }()
	}
	if token != "" {
		o.Tokens = map[string]string{token: omni}
	}
	s, err := signertest.Start(&o)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Set(fault)
	s.SetKeyVersion(version, rotate)
	if err := json.NewEncoder(w.out).Encode(line{s.URL(), omni, s.Address(omni), os.Getpid()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
