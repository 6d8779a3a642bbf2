// Package pick finds a secret in the output of a program that mints one.
package pick

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/internal/text"
)

// A Match is a secret in an output. The other bytes of the output are no secret.
type Match []byte

// A Pattern finds secrets. Exactly one of its forms is set: see the functions that return one.
type Pattern struct {
	regex *regexp.Regexp
	path  []step
	line  int // from 1; below 0 counted from the end; 0 means the whole output
}

// Whole returns the pattern of the whole output, without the line break at its end.
func Whole() Pattern { return Pattern{} }

// ParseRegex returns a pattern that matches an expression of package regexp in multi-line mode. If the
// expression has a group, the first group is the secret.
func ParseRegex(text string) (Pattern, error) {
	re, err := regexp.Compile("(?m)" + text)
	if err != nil {
		return Pattern{}, usage.Errorf("--regex is not a regular expression: %v", err)
	}
	if re.NumSubexp() > 1 {
		return Pattern{}, usage.Errorf("--regex may have one group, and has %d: write (?:…) for the others", re.NumSubexp())
	}
	return Pattern{regex: re}, nil
}

// ParseLine returns a pattern of one line: 1 is the first one, -1 the last one.
func ParseLine(text string) (Pattern, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n == 0 {
		return Pattern{}, usage.Errorf("--line must be a number from 1, or below 0 to count from the end")
	}
	return Pattern{line: n}, nil
}

// A step goes from a JSON value to a part of it.
type step struct {
	member string
	index  int // where member is ""
	all    bool
}

// ParsePath returns a pattern of a string or number in JSON output: a.b[0].c. [] means every element.
func ParsePath(text string) (Pattern, error) {
	bad := usage.Errorf("--json must be a path such as data.key or keys[0].value")
	var path []step
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "."), ".") {
		name, rest, _ := strings.Cut(part, "[")
		if name != "" {
			path = append(path, step{member: name})
		} else if rest == "" {
			return Pattern{}, bad
		}
		if strings.Contains(part, "[") {
			rest = "[" + rest
		}
		for rest != "" {
			index, more, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]")
			n, err := strconv.Atoi(index)
			if !ok || rest[0] != '[' || index != "" && (err != nil || n < 0) {
				return Pattern{}, bad
			}
			path, rest = append(path, step{index: n, all: index == ""}), more
		}
	}
	return Pattern{path: path}, nil
}

// ErrNone means that the output does not have what the pattern describes.
var ErrNone = errors.New("the output has no match")

// Find returns the different secrets in an output, in order. Without one the error wraps [ErrNone]. White
// space is no secret.
func (p Pattern) Find(output []byte) ([]Match, error) {
	var all []Match
	switch {
	case p.regex != nil:
		for _, m := range p.regex.FindAllSubmatch(output, -1) {
			all = append(all, m[len(m)-1])
		}
	case p.path != nil:
		found, err := findPath(output, p.path)
		if err != nil {
			return nil, err
		}
		all = found
	case p.line != 0:
		lines := bytes.Split(trimLineBreak(output), []byte("\n"))
		n := p.line - 1
		if p.line < 0 {
			n = len(lines) + p.line
		}
		if n < 0 || n >= len(lines) {
			return nil, fmt.Errorf("%w: it has %s", ErrNone, text.Count(len(lines), "line", "lines"))
		}
		all = []Match{bytes.TrimSuffix(lines[n], []byte("\r"))}
	default:
		all = []Match{trimLineBreak(output)}
	}
	var different []Match
	for _, m := range all {
		if len(bytes.TrimSpace(m)) > 0 && !contains(different, m) {
			different = append(different, m)
		}
	}
	if len(different) == 0 {
		return nil, ErrNone
	}
	return different, nil
}

func contains(list []Match, m Match) bool {
	for _, o := range list {
		if bytes.Equal(o, m) {
			return true
		}
	}
	return false
}

func trimLineBreak(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// findPath follows path in each JSON document of output.
func findPath(output []byte, path []step) ([]Match, error) {
	var found []Match
	d := json.NewDecoder(bytes.NewReader(output))
	d.UseNumber()
	for n := 0; ; n++ {
		var v any
		switch err := d.Decode(&v); {
		case err == io.EOF && n > 0:
			return found, nil
		case err != nil && n == 0:
			return nil, fmt.Errorf("%w: it is not JSON", ErrNone)
		case err != nil:
			return found, nil // a log line after the documents
		}
		found = follow(found, v, path)
	}
}

func follow(found []Match, v any, path []step) []Match {
	if len(path) == 0 {
		switch v := v.(type) {
		case string:
			found = append(found, Match(v))
		case json.Number:
			found = append(found, Match(v.String()))
		}
		return found
	}
	switch s := path[0]; v := v.(type) {
	case map[string]any:
		if part, ok := v[s.member]; ok && s.member != "" {
			found = follow(found, part, path[1:])
		}
	case []any:
		for i, part := range v {
			if s.member == "" && (s.all || s.index == i) {
				found = follow(found, part, path[1:])
			}
		}
	}
	return found
}
