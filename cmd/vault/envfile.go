package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/vault"
)

// reference is how a value says that it is the name of a secret.
const reference = "vault://"

// A variable gets a text, or the value of a name.
type variable struct {
	key  string
	text string
	name vault.Name // empty: text
}

type variables []variable

// names are the secrets that are still wanted once later variables won, each once.
func (vs variables) names() []vault.Name {
	last := make(map[string]vault.Name)
	for _, v := range vs {
		last[v.key] = v.name
	}
	var names []vault.Name
	for _, v := range vs {
		if name := last[v.key]; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// parseEnvFlag reads VAR=NAME or VAR=vault://NAME.
func parseEnvFlag(text string) (variable, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return variable{}, usagef("--env takes VAR=NAME")
	}
	if err := checkVariable(key); err != nil {
		return variable{}, fmt.Errorf("--env: %w", err)
	}
	// Not quoted: a value may stand where a name should.
	name, err := vault.ParseName(strings.TrimPrefix(value, reference))
	if err != nil {
		return variable{}, usagef("--env %s: what follows the = is not a name", key)
	}
	return variable{key: key, name: name}, nil
}

// parseEnvFile reads a file of variables, one a line: VAR=vault://NAME or VAR=text. The
// text goes to the end of the line as it is: nothing quotes, nothing escapes. Empty
// lines and lines that start with # are skipped. Messages name the line and do not
// quote it, since it may hold a secret.
func parseEnvFile(text string) (variables, error) {
	var all variables
	seen := make(map[string]bool)
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if trimmed := strings.TrimLeft(line, " \t"); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		v, err := parseEnvLine(line)
		if err == nil && seen[v.key] {
			err = usagef("%s is there twice", v.key)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		seen[v.key] = true
		all = append(all, v)
	}
	return all, nil
}

func parseEnvLine(line string) (variable, error) {
	key, text, ok := strings.Cut(line, "=")
	if !ok {
		return variable{}, usagef("write VAR=vault://NAME or VAR=text")
	}
	if err := checkVariable(key); err != nil {
		return variable{}, err
	}
	if strings.ContainsAny(text, "\x00") {
		return variable{}, usagef("%s holds a zero byte", key)
	}
	ref, ok := strings.CutPrefix(text, reference)
	if !ok {
		return variable{key: key, text: text}, nil
	}
	name, err := vault.ParseName(ref)
	if err != nil {
		return variable{}, usagef("%s: what follows vault:// is not a name", key)
	}
	return variable{key: key, name: name}, nil
}

func checkVariable(key string) error {
	for i, c := range []byte(key) {
		if !(c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || i > 0 && '0' <= c && c <= '9') {
			return usagef("a variable has only letters, digits and _, and starts with no digit")
		}
	}
	switch {
	case key == "":
		return usagef("the variable has no name")
	case ours(key):
		return usagef("%s is not handed on to the program", key)
	}
	return nil
}
