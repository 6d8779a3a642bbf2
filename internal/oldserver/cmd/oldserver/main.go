// Command oldserver runs the plaintext credential server of agentKeys on this machine, for tests and
// demonstrations. Package oldserver describes the server. It stores credentials without encryption,
// and the default token is publicly known: do not use it for real credentials.
//
//	oldserver -db FILE [flags]
//
// When the server is ready, it prints one line of JSON with the fields url and pid. The server stops
// on ^C and SIGTERM, and with -until-eof when its standard input ends. go run does not forward
// SIGTERM: in a script, build the command first or use -until-eof.
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

	"github.com/objectvault/objectvault/internal/oldserver"
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
	fmt.Fprintf(w.err, "oldserver: %v\n", err)
	return 1
}

// A line is the JSON line that is printed when the server is ready.
type line struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

const (
	demoToken = "demo-token"
	// demoWallet is the wallet in the test vector of agentKeys.
	demoWallet = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
)

// serve starts the server, prints its URL, and stops it when ctx ends.
func serve(ctx context.Context, w *world, args []string) (err error) {
	var c oldserver.Config
	var addr, token, wallet string
	var untilEOF bool
	f := flag.NewFlagSet("oldserver", flag.ContinueOnError)
	f.SetOutput(w.err)
	f.StringVar(&addr, "addr", "127.0.0.1:0", "loopback `address` to listen on")
	f.StringVar(&c.File, "db", "", "SQLite `file`, created if it does not exist; required")
	f.BoolVar(&c.WAL, "wal", false, "use the journal mode WAL")
	f.StringVar(&token, "token", demoToken, "bearer `token`; do not use a real one, the default is publicly known")
	f.StringVar(&wallet, "wallet", demoWallet, "the `wallet` for which the token is valid")
	f.IntVar(&c.ReadsPerMinute, "reads-per-minute", 100, "read `limit` of the token")
	f.BoolVar(&untilEOF, "until-eof", false, "stop when standard input ends")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	switch {
	case f.NArg() > 0:
		fmt.Fprintf(w.err, "oldserver: unexpected argument %q\n", f.Arg(0))
		return errUsage
	case c.File == "":
		fmt.Fprintln(w.err, "oldserver: -db is required")
		return errUsage
	case token == "" || wallet == "":
		fmt.Fprintln(w.err, "oldserver: the token or the wallet is empty")
		return errUsage
	}
	if untilEOF {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() { io.Copy(io.Discard, w.in); stop() }()
	}
	c.Tokens = map[string]oldserver.Token{token: {Wallet: wallet}}
	s, err := oldserver.Open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Listen(addr); err != nil {
		return err
	}
	if err := json.NewEncoder(w.out).Encode(line{s.URL(), os.Getpid()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
