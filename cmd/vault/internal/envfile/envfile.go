// Package envfile parses the variables that vault exec sets for a program, from an environment file
// or from --env.
//
// Its errors are [usage.Error]. They never contain the value of a variable, because the value may
// be a secret.
package envfile

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/internal/text"
)

// ReferencePrefix starts a value that is the name of a secret.
const ReferencePrefix = "vault://"

// A Variable is set to a text, or to the value of a secret.
type Variable struct {
	Key  string
	Text string
	Name string // the name of the secret; empty: Text is the value
}

// Variables are in the order of the command line. A later variable replaces an earlier variable
// with the same key.
type Variables []Variable

// Names returns the names of the required secrets, each once. The secret of a replaced variable is
// not required.
func (vs Variables) Names() []string {
	last := make(map[string]string)
	for _, v := range vs {
		last[v.Key] = v.Name
	}
	var names []string
	for _, v := range vs {
		if name := last[v.Key]; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// A NameCheck returns an error if the name is not a valid name of a secret. The command passes
// vault.ParseName; this package does not import vault, because that would make its fuzz target slow
// to build.
type NameCheck func(name string) error

// ParseFlag parses the value of --env: VAR=NAME or VAR=vault://NAME.
func ParseFlag(text string, checkName NameCheck) (Variable, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return Variable{}, usage.Errorf("--env must be VAR=NAME")
	}
	if err := checkKey(key); err != nil {
		return Variable{}, fmt.Errorf("--env: %w", err)
	}
	name, ok, err := ParseReference(value)
	if err != nil {
		return Variable{}, usage.Errorf("--env %s: %v", key, err)
	}
	if !ok {
		name = value
	}
	// The message does not quote the name: the user may have written a secret there.
	if checkName(name) != nil {
		return Variable{}, usage.Errorf("--env %s: the text after = is not a name", key)
	}
	return Variable{Key: key, Name: name}, nil
}

// ParseReference returns the name in a reference, vault://NAME, which may be in quotes. ok is false
// for any other text. Text that was probably meant as a reference is an error, because the program
// would get the text instead of the secret: for example VAULT://NAME, a reference in unbalanced
// quotes, or one with spaces or invisible characters around it.
func ParseReference(text string) (name string, ok bool, err error) {
	bare := text
	if n := len(text); n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		bare = text[1 : n-1]
	}
	if name, ok := strings.CutPrefix(bare, ReferencePrefix); ok && strings.IndexFunc(name, isAround) != 0 {
		if last, _ := utf8.DecodeLastRuneInString(name); !isAround(last) {
			return name, true, nil
		}
	}
	letters := strings.Map(func(r rune) rune {
		if isAround(r) {
			return -1
		}
		return r
	}, text)
	letters = strings.TrimLeftFunc(letters, func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) }) // ${vault://a}
	if len(letters) >= len(ReferencePrefix) && strings.EqualFold(letters[:len(ReferencePrefix)], ReferencePrefix) {
		return "", false, usage.Errorf("a reference must have the form vault://NAME, with vault in lower case and no other text")
	}
	return "", false, nil
}

// isAround reports whether r is a quote, a space or an invisible character.
func isAround(r rune) bool {
	return strings.ContainsRune("\"'`“”‘’„«»", r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r)
}

// ParseFile parses an environment file. Each line is VAR=vault://NAME or VAR=text. The text extends
// to the end of the line, including any quotes; only a reference may be in quotes. The word export
// may precede VAR. Byte order marks, empty lines and lines that start with # are skipped. An error
// contains the number of the line.
func ParseFile(content string, checkName NameCheck) (Variables, error) {
	plain, err := text.UTF8([]byte(content))
	if err != nil {
		return nil, usage.Errorf("line 1: %v", err)
	}
	var all Variables
	seen := make(map[string]bool)
	number := 0
	for line := range strings.Lines(string(plain)) {
		number++
		line = strings.TrimPrefix(line, text.Mark) // a concatenated file may contain several marks
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if trimmed := strings.TrimLeft(line, " \t"); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		v, err := parseLine(line, checkName)
		if err == nil && seen[v.Key] {
			err = usage.Errorf("%s is set twice", v.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		seen[v.Key] = true
		all = append(all, v)
	}
	return all, nil
}

func parseLine(line string, checkName NameCheck) (Variable, error) {
	if rest, ok := strings.CutPrefix(line, "export"); ok && rest != strings.TrimLeft(rest, " \t") {
		line = strings.TrimLeft(rest, " \t")
	}
	key, text, ok := strings.Cut(line, "=")
	if !ok {
		return Variable{}, usage.Errorf("the line must be VAR=vault://NAME or VAR=text")
	}
	if err := checkKey(key); err != nil {
		return Variable{}, err
	}
	if strings.ContainsAny(text, "\x00") {
		return Variable{}, usage.Errorf("%s contains a zero byte", key)
	}
	name, ok, err := ParseReference(text)
	if err != nil {
		return Variable{}, usage.Errorf("%s: %v", key, err)
	}
	if !ok {
		return Variable{Key: key, Text: text}, nil
	}
	if checkName(name) != nil {
		return Variable{}, usage.Errorf("%s: the text after vault:// is not a name", key)
	}
	return Variable{Key: key, Name: name}, nil
}

func checkKey(key string) error {
	for i, c := range []byte(key) {
		if !(c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || i > 0 && '0' <= c && c <= '9') {
			return usage.Errorf("the name of a variable must contain only letters, digits and _, and must not start with a digit")
		}
	}
	switch {
	case key == "":
		return usage.Errorf("the name of the variable is empty")
	case IsReserved(key):
		return usage.Errorf("%s cannot be set, because variables of vault itself are not passed to the program", key)
	}
	return nil
}

// IsReserved reports whether a variable configures vault itself. Such variables are never passed to
// the program.
func IsReserved(key string) bool { return strings.HasPrefix(key, "OBJECTVAULT_") }
