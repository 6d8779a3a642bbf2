// Command capabilities generates docs/capabilities.md from the runs in a directory. With -check
// it compares the page with the runs and writes nothing.
//
//	OBJECTVAULT_CAPABILITIES=$PWD/bin/capabilities go test ./providers/...
//	go run ./internal/capabilities/cmd/capabilities [-check] bin/capabilities docs/capabilities.md
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/objectvault/objectvault/internal/capabilities"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	f := flag.NewFlagSet("capabilities", flag.ContinueOnError)
	f.SetOutput(stderr)
	check := f.Bool("check", false, "compare FILE with the runs, and write nothing")
	if err := f.Parse(args); err != nil || f.NArg() != 2 {
		fmt.Fprintln(stderr, "usage: capabilities [-check] DIR FILE")
		return 2
	}
	if err := generate(f.Arg(0), f.Arg(1), *check); err != nil {
		fmt.Fprintf(stderr, "capabilities: %v\n", err)
		return 1
	}
	return 0
}

func generate(dir, file string, check bool) error {
	columns, err := capabilities.Read(dir)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := capabilities.Render(&page, columns); err != nil {
		return err
	}
	if !check {
		return os.WriteFile(file, page.Bytes(), 0o666)
	}
	current, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(current, page.Bytes()) {
		return fmt.Errorf("%s is out of date: run make capabilities, and commit the file", file)
	}
	return nil
}
