// Package usage defines the error for a wrong command line or wrong input.
package usage

import (
	"errors"
	"fmt"
)

// ErrUsage is the error that every [Error] wraps.
var ErrUsage = errors.New("usage")

// An Error describes a mistake in a command line, or in the input of a command.
type Error struct {
	Text string
	Hint string // what to do; empty: read the help. {prog} and {vault} stand for the program, {vault} with the flags that select the vault
}

// Errorf returns an Error without a hint. Its text is formatted as by [fmt.Sprintf].
func Errorf(format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return ErrUsage }
