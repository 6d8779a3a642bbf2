package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxDocument is how many bytes a document may have: CAM keeps policies of 6144 characters,
// COS those of 20 KB, and what is printed for a thousand tenants stays below this.
const MaxDocument = 4 << 20

const maxDepth = 32

// A jsonValue is JSON as it was written: with the order of its members, and where it is.
type jsonValue struct {
	kind       byte // { [ " 0 t n
	object     []jsonMember
	array      []*jsonValue
	text       string // of a string, number or truth value
	start, end int
	line       int
}

type jsonMember struct {
	key   string
	value *jsonValue
}

// parseJSON takes one value and nothing after it. It refuses what encoding/json lets
// pass: a name that is there twice, of which a cloud may take the other one, and bytes
// that are not UTF-8.
func parseJSON(data []byte) (*jsonValue, error) {
	switch {
	case len(data) > MaxDocument:
		return nil, fmt.Errorf("it has more than %d bytes", MaxDocument)
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
func (p *jsonParser) value(depth int) (*jsonValue, error) {
	v := &jsonValue{start: p.next()}
	v.line = p.line
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: it is nested too deeply", v.line)
	}
	token, err := p.d.Token()
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", v.line, err)
	}
	switch t := token.(type) {
	case json.Delim:
		v.kind = byte(t)
		seen := make(map[string]bool)
		for p.d.More() {
			var m jsonMember
			if t == '{' {
				line := p.line
				if p.next(); p.line > line {
					line = p.line
				}
				key, err := p.d.Token()
				if err != nil {
					return nil, fmt.Errorf("line %d: %w", line, err)
				}
				m.key, _ = key.(string)
				if seen[m.key] {
					return nil, fmt.Errorf("line %d: %s is there twice", line, quote(m.key))
				}
				seen[m.key] = true
			}
			if m.value, err = p.value(depth + 1); err != nil {
				return nil, err
			}
			if t == '{' {
				v.object = append(v.object, m)
			} else {
				v.array = append(v.array, m.value)
			}
		}
		if _, err := p.d.Token(); err != nil {
			return nil, fmt.Errorf("line %d: %w", v.line, err)
		}
	case string:
		v.kind, v.text = '"', t
	case json.Number:
		v.kind, v.text = '0', t.String()
	case bool:
		v.kind, v.text = 't', fmt.Sprint(t)
	default:
		v.kind = 'n'
	}
	v.end = int(p.d.InputOffset())
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

// get is the member called key, or nil.
func (v *jsonValue) get(key string) *jsonValue {
	for _, m := range v.object {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset-1, 0), len(data))], []byte("\n"))
}

// quote shows a text of the document, which may be long.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}
