// Package mask replaces secrets in the output of a program.
package mask

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
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
	w       io.Writer
	secrets []pattern
	held    []byte
	err     error
}

type pattern struct{ value, label []byte }

// NewWriter returns a Writer. It ignores secrets that are shorter than [MinLen]. It also replaces a secret
// that is escaped in a JSON string or in a URL, and one with line breaks where a terminal has put a
// carriage return before each of them. It does not replace other encodings, such as base64.
func NewWriter(w io.Writer, secrets []Secret) *Writer {
	m := &Writer{w: w}
	for _, s := range secrets {
		if len(s.Value) < MinLen {
			continue
		}
		label := []byte("[" + s.Name + "]")
		for _, form := range forms(s.Value) {
			m.secrets = append(m.secrets, pattern{form, label})
		}
	}
	// At one position the longest secret counts, because a shorter one may be its start.
	slices.SortStableFunc(m.secrets, func(a, b pattern) int { return len(b.value) - len(a.value) })
	return m
}

// forms returns how a program may write a secret, each form once.
func forms(secret []byte) [][]byte {
	text := string(secret)
	all := [][]byte{
		bytes.Clone(secret),
		bytes.ReplaceAll(secret, []byte("\n"), []byte("\r\n")),
		[]byte(url.QueryEscape(text)),
		[]byte(url.PathEscape(text)),
	}
	if utf8.Valid(secret) { // otherwise JSON cannot contain it
		html, plain := jsonString(text, true), jsonString(text, false)
		all = append(all, html, plain, bytes.ReplaceAll(plain, []byte("/"), []byte(`\/`))) // the last one as PHP
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal)
}

// jsonString returns the inside of a JSON string, with the characters <, > and & escaped if html is set.
func jsonString(text string, html bool) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if err := e.Encode(text); err != nil {
		panic("mask: " + err.Error()) // a string cannot fail
	}
	return bytes.TrimSuffix(bytes.Trim(b.Bytes(), "\n")[1:], []byte(`"`))
}

func (m *Writer) Write(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	m.held = append(m.held, p...)
	var out []byte
	for len(m.held) > 0 {
		at, found := m.find()
		if found != nil {
			out = append(append(out, m.held[:at]...), found.label...)
			m.held = m.held[at+len(found.value):]
			continue
		}
		out = append(out, m.held[:at]...)
		m.held = m.held[at:]
		break
	}
	m.held = bytes.Clone(m.held)
	return len(p), m.emit(out)
}

// find returns the position of the first secret in held. Without one, it returns the position from
// which the bytes may be the start of a secret.
func (m *Writer) find() (int, *pattern) {
	for at := range m.held {
		rest := m.held[at:]
		for i := range m.secrets {
			s := &m.secrets[i]
			switch {
			case len(rest) >= len(s.value):
				if bytes.HasPrefix(rest, s.value) {
					return at, s
				}
			case bytes.HasPrefix(s.value, rest):
				return at, nil // wait for more
			}
		}
	}
	return len(m.held), nil
}

// Close writes the bytes that were held back. It does not close the other writer.
func (m *Writer) Close() error {
	if m.err != nil {
		return m.err
	}
	// What is held may contain a secret that is shorter than the one whose start it is.
	for i := range m.secrets {
		m.held = bytes.ReplaceAll(m.held, m.secrets[i].value, m.secrets[i].label)
	}
	held := m.held
	m.held = nil
	return m.emit(held)
}

func (m *Writer) emit(p []byte) error {
	if len(p) > 0 {
		_, m.err = m.w.Write(p)
	}
	return m.err
}
