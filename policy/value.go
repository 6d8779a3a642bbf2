package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxSize is the maximum size of a document, in bytes. Clouds store policies of up to
// 20 KiB; the documents that are generated for thousands of tenants stay below MaxSize.
const MaxSize = 4 << 20

const maxDepth = 32

// A Value is a JSON value with its position. The members of an object keep their order.
type Value struct {
	Kind       byte // '{' object, '[' array, '"' string, '0' number, 't' true or false, 'n' null
	Object     []Member
	Array      []*Value
	Text       string // of a string, number or boolean
	Start, End int    // position in the data, in bytes
	Line       int    // counts from 1
}

// A Member is a member of a JSON object.
type Member struct {
	Key   string
	Value *Value
}

// ParseValue parses data, which must contain exactly one JSON value. Unlike encoding/json, it
// rejects data that is not UTF-8, and an object with two members of the same name, because a cloud
// may use the other member.
func ParseValue(data []byte) (*Value, error) {
	switch {
	case len(data) > MaxSize:
		return nil, fmt.Errorf("it has more than %d bytes", MaxSize)
	case !utf8.Valid(data):
		return nil, notUTF8(data)
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

// byteOrderMark is the mark that some editors and shells write at the start of UTF-8 text.
const byteOrderMark = "\ufeff"

// notUTF8 returns the error for data that is not UTF-8. It names the encoding if it recognises it.
func notUTF8(data []byte) error {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return errUTF16
	}
	return errors.New("it is not UTF-8")
}

var errUTF16 = errors.New("it is UTF-16, not UTF-8: save it as UTF-8 (in PowerShell: -Encoding utf8)")

// ParseValues parses data, which contains one or more JSON values, so the outputs of several
// commands may be in one file. Each value must be acceptable for [ParseValue]. A value may also be
// URL-encoded text without spaces, which is returned as a string. ParseValues ignores single quotes
// around values, as in a shell, and byte order marks.
func ParseValues(data []byte) ([]*Value, error) {
	switch start := data[:min(len(data), 2)]; {
	case len(data) > MaxSize:
		return nil, fmt.Errorf("it has more than %d bytes", MaxSize)
	case bytes.IndexByte(start, 0) >= 0: // without a byte order mark
		return nil, errUTF16
	case !utf8.Valid(data):
		return nil, notUTF8(data)
	}
	var all []*Value
	quote := 0 // the line of an open single quote, or 0
	for i := 0; ; {
		for n := -1; n != i; { // concatenated files have marks between the values
			n = i
			i = len(data) - len(bytes.TrimLeft(data[i:], " \t\r\n"))
			i = len(data) - len(bytes.TrimPrefix(data[i:], []byte(byteOrderMark)))
		}
		if i == len(data) {
			break
		}
		line := lineAt(data, i+1)
		switch data[i] {
		case '\'':
			i++
			if quote > 0 {
				quote = 0
			} else {
				quote = line
			}
			continue
		case '%':
			text := data[i:]
			if end := bytes.IndexAny(text, " \t\r\n"); end >= 0 {
				text = text[:end]
			}
			if quote > 0 { // some encoders do not encode single quotes
				text = bytes.TrimSuffix(text, []byte("'"))
			}
			all = append(all, &Value{Kind: '"', Text: string(text), Start: i, End: i + len(text), Line: line})
			i += len(text)
			continue
		}
		d := json.NewDecoder(bytes.NewReader(data[i:]))
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			offset := len(data) - i
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				offset = int(syntax.Offset)
			}
			return nil, fmt.Errorf("line %d: it is not JSON: %w", lineAt(data, i+offset), err)
		}
		end := i + int(d.InputOffset())
		p := &jsonParser{data: data[i:end], d: json.NewDecoder(bytes.NewReader(data[i:end])), line: line}
		p.d.UseNumber()
		v, err := p.value(0)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
		i = end
	}
	switch {
	case quote > 0:
		return nil, fmt.Errorf("line %d: the closing single quote is missing", quote)
	case len(all) == 0:
		return nil, errors.New("it is empty")
	}
	return all, nil
}

type jsonParser struct {
	data []byte
	d    *json.Decoder
	line int // of byte at
	at   int
}

// value reads one value of data that is known to be JSON.
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
					return nil, fmt.Errorf("line %d: %s occurs twice", line, Quote(m.Key))
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

// next returns the offset of the next token.
func (p *jsonParser) next() int {
	i := int(p.d.InputOffset())
	for i < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:"), p.data[i]) >= 0 {
		i++
	}
	p.line += bytes.Count(p.data[p.at:i], []byte("\n"))
	p.at = i
	return i
}

// Get returns the value of the member called key, or nil.
func (v *Value) Get(key string) *Value {
	for _, m := range v.Object {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// StringOf returns the string value of the member called key, or "".
func (v *Value) StringOf(key string) string {
	if m := v.Get(key); m != nil && m.Kind == '"' {
		return m.Text
	}
	return ""
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset-1, 0), len(data))], []byte("\n"))
}

// Quote quotes a text of the document for a message, and truncates a long one.
func Quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// OneText returns the value of a member that must be a string.
func (m Member) OneText() (string, error) {
	if m.Value.Kind != '"' {
		return "", fmt.Errorf("line %d: %s is not a string", m.Value.Line, m.Key)
	}
	return m.Value.Text, nil
}

// Texts returns the value of a member that must be a string or a list of strings. If the parameter
// scalars is true, Texts also accepts numbers, booleans and empty strings.
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
			return nil, fmt.Errorf("line %d: %s contains an empty string", v.Line, Quote(m.Key))
		}
		all = append(all, v.Text)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("line %d: %s is empty", m.Value.Line, Quote(m.Key))
	}
	return all, nil
}

// Compact encodes v as JSON on one line without spaces. It does not escape <, > and &. It
// panics if v cannot be encoded.
func Compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("policy: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Indented encodes v as JSON that is indented by two spaces and ends with a newline. It
// panics if v cannot be encoded.
func Indented(v any) []byte {
	var b bytes.Buffer
	_ = json.Indent(&b, Compact(v), "", "  ") // Compact returns JSON
	b.WriteByte('\n')
	return b.Bytes()
}

// Unescape returns the text of a policy in a cloud's response, which may be URL-encoded.
func Unescape(text string) (string, error) {
	if len(text) < 3 || !slices.Contains(encodedStarts, strings.ToUpper(text[:3])) {
		return text, nil
	}
	return url.PathUnescape(text) // not QueryUnescape: + is a plus
}

// encodedStarts contains the possible starts of a URL-encoded document: {, [, ", ', a space, a byte
// order mark, or % if the document was encoded twice.
var encodedStarts = []string{"%7B", "%5B", "%22", "%27", "%20", "%09", "%0A", "%0D", "%EF", "%25"}
