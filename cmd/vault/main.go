// Command vault keeps secrets, or any object, sealed in a store of your own.
//
//	vault init
//	vault put openai          # asks for the value, hidden, twice
//	vault get openai | …      # exactly the bytes that were put
//	vault exec --env OPENAI_API_KEY=openai -- ./agent
//
// "vault help COMMAND" explains each command, "vault help exit-codes" the exit codes.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/terminal"
)

// version is set by the linker: -X main.version=v1.2.3. Empty means that what the Go
// command recorded is shown.
var version string

func main() {
	exec := replace(signal.Ignored(os.Interrupt)) // before that changes
	log.SetOutput(io.Discard)                     // the AWS SDK's transfer manager, and net/http, write there
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	os.Exit(run(untilSignal(ends), os.Args, &world{
		in: os.Stdin, inSize: sizeLeft(os.Stdin), out: os.Stdout, err: os.Stderr,
		inTTY: terminal.Is(os.Stdin), outTTY: terminal.Is(os.Stdout), errTTY: terminal.Is(os.Stderr), outClosed: isClosed(os.Stdout),
		getenv: os.Getenv, environ: os.Environ, goos: runtime.GOOS, userHome: userHome, now: time.Now,
		ask: terminal.Ask, readFile: os.ReadFile, open: openFile, create: createFile,
		writeNew: writeNew, canSync: canSync, exec: exec, quietly: brokenPipe,
	}))
}

// untilSignal returns a context that the first of the signals ends, which is its cause. A
// second one kills at once.
func untilSignal(signals []os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	got := make(chan os.Signal, 1)
	signal.Notify(got, signals...)
	go func() {
		s := <-got
		signal.Stop(got)
		switch s {
		case syscall.SIGTERM:
			cancel(errTerminated)
		case syscall.SIGHUP:
			cancel(errHungUp)
		default:
			cancel(context.Canceled)
		}
	}()
	return ctx
}

// A world is all that a command may touch besides its arguments: nothing but this file
// and its system-dependent parts knows package os.
type world struct {
	in                    io.Reader
	inSize                int64 // what is left to read of in, if it is a regular file; else 0
	out, err              io.Writer
	inTTY, outTTY, errTTY bool
	outClosed             bool // there is no standard output
	getenv                func(string) string
	environ               func() []string
	goos                  string
	userHome              func() string // what the user database says, or ""
	now                   func() time.Time
	// ask puts a question to the terminal, wherever the streams lead.
	ask      func(ctx context.Context, question string, hidden bool) ([]byte, error)
	readFile func(name string) ([]byte, error)
	// open opens a file and tells its size, or -1 for what is no regular file.
	open func(name string) (f io.ReadCloser, size int64, err error)
	// create makes a file that is there only once it is committed.
	create func(name string) (outFile, error)
	// writeNew writes a file that is not there yet, and its directory.
	writeNew func(name string, text []byte) error
	// canSync reports whether the file system of dir syncs directories.
	canSync func(dir string) bool
	// exec replaces this process by a program where the system can, or else runs it
	// and returns its exit code.
	exec func(argv, env []string) (code int, err error)
	// quietly reports whether a write failed because its reader has gone.
	quietly func(error) bool
}

// An outFile is a file being written beside the place where it will be.
type outFile interface {
	io.Writer
	Commit() error // puts it in its place
	Abort()        // removes it, unless it was committed
}
