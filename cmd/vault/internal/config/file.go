package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/objectvault/objectvault/internal/text"
)

// A File is the configuration file:
//
//	profile = "work"                # the profile that is used by default
//
//	[profiles.work]
//	store = "file:///srv/vault"
//	tenant = "acme"
//	collection = "credentials"
//	keys = "local:"                 # or a list
//	keys_required = "all"           # or "one": a put succeeds if one of the keys can be used
//	identity = ""
//	vault_id = "work"
//	scope = ["openai", "github"]    # the only names that may be used
//	read_only = true
//	deadline = "2m"                 # the maximum time of a command
//	spool = "/var/spool/vault"      # a directory, or "require", or "off"
//	seen = "/var/lib/vault/seen"    # a directory, or "off"
//	mirrors = ["tencent", "file:///mnt/b"] # profiles or URLs of further stores that get every change
//	quorum = 2                      # how many stores must have a value before put succeeds
//	write = "agentkeys-v1"          # or "agentkeys-v2": put stores objects that agentKeys reads
type File struct {
	Profile  string             `toml:"profile"`
	Profiles map[string]Profile `toml:"profiles"`
}

// A Profile is one table of the file.
type Profile struct {
	Store        string   `toml:"store"`
	Tenant       string   `toml:"tenant"`
	Collection   string   `toml:"collection"`
	Keys         Strings  `toml:"keys"`
	KeysRequired string   `toml:"keys_required"`
	Identity     string   `toml:"identity"`
	VaultID      string   `toml:"vault_id"`
	Scope        []string `toml:"scope"` // nil: everything; empty: nothing
	ReadOnly     bool     `toml:"read_only"`
	Deadline     string   `toml:"deadline"`
	Spool        string   `toml:"spool"`
	Seen         string   `toml:"seen"`
	Log          string   `toml:"log"`
	Mirrors      Strings  `toml:"mirrors"`
	Quorum       int      `toml:"quorum"`
	Write        string   `toml:"write"`
}

// The keys that a file may have. They are compared exactly, because the decoder would accept STORE
// as store, and would ignore unknown keys.
var (
	fileKeys    = []string{"profile", "profiles"}
	profileKeys = []string{"store", "tenant", "collection", "keys", "keys_required", "identity", "vault_id", "scope", "read_only", "deadline", "spool", "seen", "log", "mirrors", "quorum", "write"}
)

// Strings is a list of strings, or one string.
type Strings []string

// UnmarshalTOML accepts both forms.
func (s *Strings) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		*s = Strings{v}
		return nil
	case []any:
		*s = Strings{}
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				return errors.New("not a list of strings")
			}
			*s = append(*s, text)
		}
		return nil
	}
	return errors.New("neither a string nor a list of strings")
}

// ParseFile parses the text of a configuration file. name is used in messages. An unknown key is an
// error that contains its line.
func ParseFile(name, content string) (File, error) {
	plain, err := text.UTF8([]byte(content))
	if err != nil {
		return File{}, fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
	}
	return parseFile(name, string(plain))
}

func parseFile(name, text string) (File, error) {
	var f File
	md, err := toml.Decode(text, &f)
	if err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return File{}, fmt.Errorf("%w: %s, line %d: %s", ErrInvalid, name, at.Position.Line, at.Message)
		}
		// An error about a type contains its line only in its text.
		return File{}, fmt.Errorf("%w: %s: %s", ErrInvalid, name, strings.TrimPrefix(err.Error(), "toml: "))
	}
	for _, key := range md.Keys() {
		known := false
		switch len(key) {
		case 1:
			known = slices.Contains(fileKeys, key[0])
		case 2:
			known = key[0] == "profiles"
		case 3:
			known = key[0] == "profiles" && slices.Contains(profileKeys, key[2])
		}
		if !known {
			return File{}, fmt.Errorf("%w: %s, line %d: unknown key %s", ErrInvalid, name, lineOf(text, key), key)
		}
	}
	return f, nil
}

// lineOf returns the line of key in text. The decoder reports lines only in errors, so lineOf lets
// it fail at this key.
func lineOf(text string, key toml.Key) int {
	t := reflect.TypeFor[refuse]()
	for _, part := range slices.Backward(key) {
		tag := reflect.StructTag("toml:" + strconv.Quote(part))
		t = reflect.StructOf([]reflect.StructField{{Name: "X", Type: t, Tag: tag}})
	}
	var at toml.ParseError
	if _, err := toml.Decode(text, reflect.New(t).Interface()); errors.As(err, &at) {
		return at.Position.Line
	}
	return 0
}

type refuse struct{}

func (*refuse) UnmarshalTOML(any) error { return errors.New("found") }
