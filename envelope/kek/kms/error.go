package kms

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Error is a failure that a key service has reported. It wraps Kind.
type Error struct {
	// Kind is the sentinel: one of those that [Service] lists.
	Kind error
	// State describes why the key cannot be used, for example "the key is disabled". It is empty if
	// the code of the service has no known meaning.
	State string
	// Operation, Code, Message and RequestID are those of the service. Status is the HTTP status, or
	// 0.
	Operation, Code, Message, RequestID string
	Status                              int
}

// maxMessage is how many bytes of a message are kept.
const maxMessage = 300

// Error returns the text of Kind, the state of the key, and what the service reported.
func (e *Error) Error() string {
	text := e.Kind.Error()
	if e.State != "" {
		text += ": " + e.State
	}
	reported := e.Code
	if e.Operation != "" {
		reported = strings.TrimSpace(e.Operation + " " + reported)
	}
	if e.Message != "" {
		reported += ", " + strings.TrimRight(printable(e.Message), ".")
	}
	if e.RequestID != "" {
		reported += ", request " + printable(e.RequestID)
	}
	if reported != "" {
		text += ": " + reported
	}
	return text
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// printable returns text in one line and without control characters, cut to 300 bytes.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			r = ' '
		}
		if b.Len()+utf8.RuneLen(r) > maxMessage {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
