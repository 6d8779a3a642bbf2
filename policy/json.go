// Package policy reads and writes what the policies of all clouds are made of: JSON
// that says where it was wrong, and Terraform.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxSize is how many bytes a document may have: clouds keep policies of 20 KiB, and
// what is printed for thousands of tenants stays below this.
const MaxSize = 4 << 20

const maxDepth = 32

// A Value is JSON as it was written: with the order of its members, and where it is.
type Value struct {
	Kind       byte // { [ " 0 t n
	Object     []Member
	Array      []*Value
	Text       string // of a string, number or truth value
	Start, End int    // where it is in the data, in bytes
	Line       int    // counts from 1
}

// A Member is a name and its value.
type Member struct {
	Key   string
	Value *Value
}

// Parse takes one value and nothing after it. It refuses what encoding/json lets
// pass: a name that is there twice, of which a cloud may take the other one, and bytes
// that are not UTF-8.
func Parse(data []byte) (*Value, error) {
	switch {
	case len(data) > MaxSize:
		return nil, fmt.Errorf("it has more than %d bytes", MaxSize)
	case !utf8.Valid(data):
		return nil, errors.New("it is not UTF-8")
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("it is empty")
	}
	var all json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: it is not JSON: %w", lineAt(data, int(syntax.Offset)), err)
		}
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	p := &jsonParser{data: data, d: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.d.UseNumber()
	return p.value(0)
}

type jsonParser struct {
	data []byte
	d    *json.Decoder
	line int // of byte at
	at   int
}

// value reads a value; that the whole is JSON is known.
func (p *jsonParser) value(depth int) (*Value, error) {
	v := &Value{Start: p.next()}
	v.Line = p.line
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: it is nested too deeply", v.Line)
	}
	token, err := p.d.Token()
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", v.Line, err)
	}
	switch t := token.(type) {
	case json.Delim:
		v.Kind = byte(t)
		seen := make(map[string]bool)
		for p.d.More() {
			var m Member
			if t == '{' {
				line := p.line
				if p.next(); p.line > line {
					line = p.line
				}
				key, err := p.d.Token()
				if err != nil {
					return nil, fmt.Errorf("line %d: %w", line, err)
				}
				m.Key, _ = key.(string)
				if seen[m.Key] {
					return nil, fmt.Errorf("line %d: %s is there twice", line, Quote(m.Key))
				}
				seen[m.Key] = true
			}
			if m.Value, err = p.value(depth + 1); err != nil {
				return nil, err
			}
			if t == '{' {
				v.Object = append(v.Object, m)
			} else {
				v.Array = append(v.Array, m.Value)
			}
		}
		if _, err := p.d.Token(); err != nil {
			return nil, fmt.Errorf("line %d: %w", v.Line, err)
		}
	case string:
		v.Kind, v.Text = '"', t
	case json.Number:
		v.Kind, v.Text = '0', t.String()
	case bool:
		v.Kind, v.Text = 't', fmt.Sprint(t)
	default:
		v.Kind = 'n'
	}
	v.End = int(p.d.InputOffset())
	return v, nil
}

// next is where the next token starts.
func (p *jsonParser) next() int {
	i := int(p.d.InputOffset())
	for i < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:"), p.data[i]) >= 0 {
		i++
	}
	p.line += bytes.Count(p.data[p.at:i], []byte("\n"))
	p.at = i
	return i
}

// Get is the member called key, or nil.
func (v *Value) Get(key string) *Value {
	for _, m := range v.Object {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset-1, 0), len(data))], []byte("\n"))
}

// Quote shows a text of the document, which may be long.
func Quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// OneText is a member that is one string.
func (m Member) OneText() (string, error) {
	if m.Value.Kind != '"' {
		return "", fmt.Errorf("line %d: %s is not a string", m.Value.Line, m.Key)
	}
	return m.Value.Text, nil
}

// Texts takes a string or a list of them; where scalars may stand, numbers and truth
// values too.
func (m Member) Texts(scalars bool) ([]string, error) {
	list := m.Value.Array
	if m.Value.Kind != '[' {
		list = []*Value{m.Value}
	}
	var all []string
	for _, v := range list {
		if v.Kind != '"' && !(scalars && (v.Kind == 't' || v.Kind == '0')) {
			return nil, fmt.Errorf("line %d: %s is not a string or a list of strings", v.Line, Quote(m.Key))
		}
		if v.Text == "" && !scalars {
			return nil, fmt.Errorf("line %d: %s has an empty string", v.Line, Quote(m.Key))
		}
		all = append(all, v.Text)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("line %d: %s is empty", m.Value.Line, Quote(m.Key))
	}
	return all, nil
}

// Compact is v as JSON on one line without spaces; < > and & stay as they are. A v that
// JSON does not know panics.
func Compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("policy: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Unescape is the text of a policy in an answer, where it may be URL-encoded.
func Unescape(text string) (string, error) {
	for _, start := range []string{"%7B", "%7b", "%0A", "%20"} {
		if strings.HasPrefix(text, start) {
			return url.PathUnescape(text) // not a query: + is a plus
		}
	}
	return text, nil
}
