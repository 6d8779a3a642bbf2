package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// An event is a line of the output of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, ImportPath, Output string
	Elapsed                                   float64 // in seconds
}

// An events converts the output of go test -json to that of go test.
type events struct {
	out    io.Writer
	tests  outcomes
	took   func(pkg string, d time.Duration)
	output map[string]string // output of the running tests, by package and name
	failed []string          // the last line of each package that failed
}

func (e *events) line(text string) {
	var v event
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.Action == "" {
		fmt.Fprintln(e.out, text)
		return
	}
	key := v.Package + " " + v.Test
	switch {
	case v.Action == "build-output":
		io.WriteString(e.out, v.Output)
	case v.Action == "output" && v.Test == "":
		if v.Output != "PASS\n" {
			io.WriteString(e.out, v.Output)
		}
		if strings.HasPrefix(v.Output, "FAIL\t") {
			e.failed = append(e.failed, v.Output)
		}
	case v.Action == "output":
		if e.output == nil {
			e.output = make(map[string]string)
		}
		e.output[key] += v.Output
	case v.Action == "pass" || v.Action == "fail" || v.Action == "skip":
		if v.Action == "fail" {
			io.WriteString(e.out, e.output[key])
		}
		delete(e.output, key)
		if v.Test != "" {
			e.tests.add(v.Test, v.Action == "pass")
			return
		}
		// If a process ended early, there are no events for the end of its tests.
		for _, key := range slices.Sorted(maps.Keys(e.output)) {
			if strings.HasPrefix(key, v.Package+" ") {
				if v.Action == "fail" {
					io.WriteString(e.out, e.output[key])
				}
				delete(e.output, key)
			}
		}
		if v.Action != "skip" { // a package without test files is skipped
			e.took(v.Package, time.Duration(v.Elapsed*float64(time.Second)))
		}
	}
}

// An outcomes maps the name of a test, example or fuzz target to true if all tests with this name
// and their subtests have passed.
type outcomes map[string]bool

func (o outcomes) add(test string, passed bool) {
	name, _, _ := strings.Cut(test, "/")
	before, known := o[name]
	o[name] = passed && (before || !known)
}

func (o outcomes) passed() (names []string) {
	for name, passed := range o {
		if passed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
