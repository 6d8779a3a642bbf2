// Command vault stores secrets, or any other objects, sealed in your own bucket or directory.
//
//	vault init
//	vault put openai          # prompts twice for the value, without showing it
//	vault get openai | …      # writes the stored value, unchanged
//	vault exec --env OPENAI_API_KEY=openai -- ./agent
//
// "vault help COMMAND" explains each command, "vault help names" the rules for names, "vault help
// exit-codes" the exit codes.
package main

import (
	"context"
	"io"
	"iter"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/terminal"
	"github.com/objectvault/objectvault/vault"
)

// version is set by the linker: -X main.version=v1.2.3. If it is empty, the version command shows
// the version that the Go command recorded.
var version string

func main() {
	delayCollection(os.Getenv("GOGC"))
	exec := replace(signal.Ignored(os.Interrupt)) // must be called before untilSignal changes the handling
	log.SetOutput(io.Discard)                     // net/http writes to it
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signals = append(signals, syscall.SIGHUP)
	}
	os.Exit(run(untilSignal(signals), os.Args, &world{
		in: os.Stdin, inSize: sizeLeft(os.Stdin), out: os.Stdout, err: os.Stderr,
		inTTY: terminal.Is(os.Stdin), outTTY: terminal.Is(os.Stdout), errTTY: terminal.Is(os.Stderr), outEscapes: terminal.Escapes(os.Stdout), outClosed: isClosed(os.Stdout),
		getenv: os.Getenv, environ: os.Environ, goos: runtime.GOOS, userHome: userHome, now: time.Now,
		ask: terminal.Ask, readFile: os.ReadFile, open: openFile, walk: walkFiles, create: createFile,
		writeNew: writeNew, removeFile: os.Remove, canSync: canSync, fileSystem: fileSystem, exec: exec, runChild: runChild, quietly: brokenPipe,
	}))
}

// untilSignal returns a context that ends at the first of the signals. The cause of the context
// tells which signal it was. A second signal kills the process immediately.
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

// A world is everything that a command may use besides its arguments. Only this file and its
// system-dependent parts import package os.
type world struct {
	in                    io.Reader
	inSize                int64 // the number of bytes left to read from in, if in is a regular file; otherwise 0
	out, err              io.Writer
	inTTY, outTTY, errTTY bool
	outEscapes            bool // standard output is a terminal that interprets escape sequences
	outClosed             bool // standard output was closed when the process started
	getenv                func(string) string
	environ               func() []string
	goos                  string
	userHome              func() string // the home directory in the user database, or ""
	now                   func() time.Time
	// ask asks a question on the terminal, even if the standard streams are redirected.
	ask      func(ctx context.Context, question string, hidden bool) ([]byte, error)
	readFile func(name string) ([]byte, error)
	// open opens a file and returns its size, or -1 if it is not a regular file.
	open func(name string) (f io.ReadCloser, size int64, err error)
	// walk yields the files of a directory and of those below it, or the file itself. skip reports
	// whether to leave out a directory.
	walk func(name string, skip func(dir string) bool) iter.Seq2[string, error]
	// create returns a file that appears under its name only when it is committed.
	create func(name string) (outFile, error)
	// writeNew creates a file with the given text, and its directory if it is missing. It
	// replaces no file.
	writeNew func(name string, text []byte) error
	// removeFile removes a file.
	removeFile func(name string) error
	// canSync reports whether the file system of dir syncs directories.
	canSync func(dir string) bool
	// fileSystem returns the name of the file system of dir if it may be emptied, such as tmpfs.
	fileSystem func(dir string) string
	// exec replaces this process with a program. On systems that cannot do this, it runs the
	// program and returns its exit code.
	exec func(argv, env []string) (code int, err error)
	// runChild runs a program below this process and returns its exit code.
	runChild func(ctx context.Context, c child) (code int, err error)
	// quietly reports whether a write failed because the reader has closed the pipe.
	quietly func(error) bool
	// wrapStore returns the store that the command uses in place of the one that it opened. It is nil
	// except in tests, which inject faults.
	wrapStore func(*vault.Store) *vault.Store
}

// An outFile is a temporary file beside its final place.
type outFile interface {
	io.Writer
	io.WriterAt
	Commit() error // moves the file to its final place
	Abort()        // removes the file, unless it was committed
}
