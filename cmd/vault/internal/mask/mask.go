// Package mask replaces secrets in the output of a program.
package mask

import (
	"bytes"
	"encoding/hex"
	"io"
	"slices"
	"unicode/utf8"
)

// MinLen is the length in bytes of the shortest secret that is replaced. Shorter ones occur by chance.
const MinLen = 8

// A Secret is a value, and the name that replaces it, in brackets.
type Secret struct {
	Name  string
	Value []byte
}

// A Writer passes what is written to it on to another writer, with every secret replaced, also one
// that is split between two writes. It holds back bytes only while they may be the start of a secret;
// Close writes them.
type Writer struct {
	w     io.Writer
	first [256][]pattern // the secrets that may start with a byte
	held  []byte
	err   error
}

type pattern struct{ value, label []byte }

// NewWriter returns a Writer. It ignores secrets that are shorter than [MinLen]. It also replaces a secret
// that is escaped in a JSON string or in a URL, in whichever way, and one with line breaks where a terminal
// has put a carriage return before each of them. It does not replace other encodings, such as base64.
func NewWriter(w io.Writer, secrets []Secret) *Writer { return newWriter(w, secrets, MinLen) }

// Bytes returns output with the secrets replaced as a [Writer] does it, also those that are shorter than
// [MinLen].
func Bytes(output []byte, secrets []Secret) []byte {
	var masked bytes.Buffer
	m := newWriter(&masked, secrets, 1)
	m.Write(output) // a buffer returns no error
	m.Close()
	return masked.Bytes()
}

func newWriter(w io.Writer, secrets []Secret, least int) *Writer {
	m := &Writer{w: w}
	// At one position the longest secret counts, because a shorter one may be its start.
	secrets = slices.Clone(secrets)
	slices.SortStableFunc(secrets, func(a, b Secret) int { return len(b.Value) - len(a.Value) })
	for _, s := range secrets {
		if len(s.Value) < least {
			break
		}
		p := pattern{bytes.Clone(s.Value), []byte("[" + s.Name + "]")}
		for b := range m.first {
			// JSON reads what is not UTF-8 as U+FFFD.
			if c := byte(b); c == s.Value[0] || isEscape(c) || c >= utf8.RuneSelf && s.Value[0] >= utf8.RuneSelf {
				m.first[b] = append(m.first[b], p)
			}
		}
	}
	return m
}

// isEscape reports whether an escape can start with b in one of the forms.
func isEscape(b byte) bool { return b == '\\' || b == '%' || b == '+' || b == '\r' }

func (m *Writer) Write(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	m.held = append(m.held, p...)
	return len(p), m.replace(false)
}

// Close writes the bytes that were held back. It does not close the other writer.
func (m *Writer) Close() error {
	if m.err != nil {
		return m.err
	}
	return m.replace(true)
}

// replace writes what is held, with the secrets replaced. If the output has not ended, it keeps what may be
// the start of a secret.
func (m *Writer) replace(ended bool) error {
	var out []byte
	for len(m.held) > 0 {
		at, n, found := m.find(ended)
		out = append(out, m.held[:at]...)
		m.held = m.held[at+n:]
		if found == nil {
			break
		}
		out = append(out, found.label...)
	}
	m.held = bytes.Clone(m.held)
	if len(out) > 0 {
		_, m.err = m.w.Write(out)
	}
	return m.err
}

// find returns the position and the length of the first secret in held. Without one, it returns the
// position from which the bytes may be the start of a secret.
func (m *Writer) find(ended bool) (at, n int, found *pattern) {
	for at := range m.held {
		for i := range m.first[m.held[at]] {
			p := &m.first[m.held[at]][i]
			n, more := match(m.held[at:], p.value, ended)
			if n > 0 {
				return at, n, p
			}
			if more {
				return at, 0, nil
			}
		}
	}
	return len(m.held), 0, nil
}

// match returns the length of the secret at the start of text in the first of its forms, or 0. more reports
// whether text may be the start of the secret, unless the output has ended.
func match(text, secret []byte, ended bool) (n int, more bool) {
	for _, char := range forms {
		if n, more = matchForm(text, secret, char, ended); n > 0 || more {
			return n, more
		}
	}
	return 0, false
}

func matchForm(text, secret []byte, char form, ended bool) (n int, more bool) {
	for len(secret) > 0 {
		if n == len(text) {
			return 0, !ended
		}
		got, k, more := char(text[n:])
		if more && !ended {
			return 0, true
		}
		if k == 0 || !bytes.HasPrefix(secret, got) {
			return 0, false
		}
		n, secret = n+k, secret[len(got):]
	}
	return n, false
}

// A form is a way to write a text. It returns the first character of b, which is not empty, and its length in b.
// The length is 0 if there is none. more reports whether b may be only the start of the character.
type form func(b []byte) (text []byte, n int, more bool)

// inJSON is first: of a secret with a backslash at its end, plain would leave the second half of the escape.
var forms = []form{inJSON, plain, onTerminal, inQuery, inPath}

func plain(b []byte) (text []byte, n int, more bool) { return b[:1], 1, false }

// onTerminal is the output of a terminal, which puts a carriage return before each line break.
func onTerminal(b []byte) (text []byte, n int, more bool) {
	switch {
	case b[0] != '\r':
		return b[:1], 1, false
	case len(b) == 1:
		return nil, 0, true
	case b[1] == '\n':
		return b[1:2], 2, false
	}
	return b[:1], 1, false
}

// inQuery is the query of a URL, where + is a space.
// https://url.spec.whatwg.org/#concept-urlencoded-serializer
func inQuery(b []byte) (text []byte, n int, more bool) {
	if b[0] == '+' {
		return []byte(" "), 1, false
	}
	return inPath(b)
}

// inPath is any other part of a URL: RFC 3986, section 2.1.
func inPath(b []byte) (text []byte, n int, more bool) {
	if b[0] != '%' {
		return b[:1], 1, false
	}
	if len(b) < 3 {
		return nil, 0, true
	}
	text = make([]byte, 1)
	if _, err := hex.Decode(text, b[1:3]); err != nil {
		return b[:1], 1, false
	}
	return text, 3, false
}
