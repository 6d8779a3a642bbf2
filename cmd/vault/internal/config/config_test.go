package config_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
)

// A given contains the sources of the settings.
type given struct {
	env   map[string]string
	flags map[string][]string
	files map[string]string
}

func (g given) read() (config.Settings, error) {
	return g.readWith(func(name string) ([]byte, error) {
		text, ok := g.files[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	})
}

func (g given) readWith(readFile func(name string) ([]byte, error)) (config.Settings, error) {
	return config.Reader{
		Places:   config.Places{GOOS: "linux", Getenv: func(k string) string { return g.env[k] }},
		Flag:     func(name string) []string { return g.flags[name] },
		ReadFile: readFile,
	}.Read()
}

const file = `
profile = "work"
[profiles.work]
store = "file:///work"
tenant = "in-file"
collection = "notes"
keys = ["local:", "local:///b"]
identity = "file:token"
vault_id = "w"
scope = ["a", "b"]
read_only = true
deadline = "9m"
[profiles.other]
keys = "local:///one"
scope = []
`

const place = "/home/me/.config/objectvault/config.toml"

// TestPrecedence: for each setting, a flag overrides the environment, which overrides the profile,
// which overrides the default.
func TestPrecedence(t *testing.T) {
	home := map[string]string{"HOME": "/home/me"}
	with := func(more ...string) map[string]string {
		m := map[string]string{"HOME": "/home/me"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	files := map[string]string{place: file, "/etc/vault.toml": `profile = "x"` + "\n[profiles.x]\ntenant = \"explicit\"\n"}
	for _, tc := range []struct {
		what string
		in   given
		want config.Settings
	}{
		{"nothing", given{env: home}, config.Settings{File: place, Timeout: 30 * time.Second}},
		{"no home", given{}, config.Settings{Timeout: 30 * time.Second}},
		{"profile", given{env: home, files: files}, config.Settings{
			File: place, Found: true, Profile: "work", Timeout: 30 * time.Second,
			Store: config.Value{Text: "file:///work", From: "profile work"}, Tenant: config.Value{Text: "in-file", From: "profile work"},
			Collection: config.Value{Text: "notes", From: "profile work"}, Identity: config.Value{Text: "file:token", From: "profile work"},
			VaultID: config.Value{Text: "w", From: "profile work"},
			Keys:    []config.Value{{Text: "local:", From: "keys of profile work"}, {Text: "local:///b", From: "keys of profile work"}},
			Scope:   []string{"a", "b"}, ReadOnly: true, Deadline: config.Value{Text: "9m", From: "profile work"},
		}},
		{"environment over profile, which keeps scope", given{files: files, env: with(
			"OBJECTVAULT_STORE", "mem://", "OBJECTVAULT_TENANT", "t", "OBJECTVAULT_COLLECTION", "c", "OBJECTVAULT_KEYS", "local:///x local:///y",
			"OBJECTVAULT_IDENTITY", "env:T", "OBJECTVAULT_TIMEOUT", "2m", "OBJECTVAULT_DEADLINE", "7m")},
			config.Settings{
				File: place, Found: true, Profile: "work", Timeout: 2 * time.Minute,
				Store: config.Value{Text: "mem://", From: "OBJECTVAULT_STORE"}, Tenant: config.Value{Text: "t", From: "OBJECTVAULT_TENANT"},
				Collection: config.Value{Text: "c", From: "OBJECTVAULT_COLLECTION"}, Identity: config.Value{Text: "env:T", From: "OBJECTVAULT_IDENTITY"},
				VaultID: config.Value{Text: "w", From: "profile work"}, Deadline: config.Value{Text: "7m", From: "OBJECTVAULT_DEADLINE"},
				Keys:  []config.Value{{Text: "local:///x", From: "OBJECTVAULT_KEYS"}, {Text: "local:///y", From: "OBJECTVAULT_KEYS"}},
				Scope: []string{"a", "b"}, ReadOnly: true,
			}},
		{"flags over environment", given{files: files, env: with("OBJECTVAULT_TENANT", "t", "OBJECTVAULT_PROFILE", "work", "OBJECTVAULT_KEYS", "local:///x", "OBJECTVAULT_TIMEOUT", "2m"),
			flags: map[string][]string{"tenant": {"first", "last"}, "profile": {"other"}, "keys": {"local:///f"}, "timeout": {"5s"}, "vault-id": {"v"}, "deadline": {"3s"}}},
			config.Settings{
				File: place, Found: true, Profile: "other", Timeout: 5 * time.Second,
				Tenant: config.Value{Text: "last", From: "--tenant"}, VaultID: config.Value{Text: "v", From: "--vault-id"},
				Deadline: config.Value{Text: "3s", From: "--deadline"},
				Keys:     []config.Value{{Text: "local:///f", From: "--keys"}},
				Scope:    []string{},
			}},
		{"file by flag over file by environment", given{files: files, env: with("OBJECTVAULT_CONFIG", "/no/such"), flags: map[string][]string{"config": {"/etc/vault.toml"}}},
			config.Settings{File: "/etc/vault.toml", Found: true, Profile: "x", Timeout: 30 * time.Second, Tenant: config.Value{Text: "explicit", From: "profile x"}}},
	} {
		got, err := tc.in.read()
		if err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.what, diff)
		}
	}
}

// TestRefused: an invalid setting is ErrInvalid, and the message names its source.
func TestRefused(t *testing.T) {
	home := map[string]string{"HOME": "/home/me"}
	text := func(s string) given { return given{env: home, files: map[string]string{place: s}} }
	flag := func(name, value string) given {
		return given{env: home, flags: map[string][]string{name: {value}}}
	}
	for _, tc := range []struct {
		in   given
		want string
	}{
		{text("x = 1\n"), "configuration: " + place + ", line 1: unknown key x"},
		{text("profile = \"a\"\n\n[profiles.a]\n# here\nstroe = \"x\"\n"), "configuration: " + place + ", line 5: unknown key profiles.a.stroe"},
		{text("profiles.a.scope = [\"x\"]\nprofiles.a.\"odd key\" = 1\n"), "configuration: " + place + ", line 2: unknown key profiles.a.\"odd key\""},
		{text("[profiles.a]\n[profiles.a.deep]\ntenant = \"x\"\n"), "configuration: " + place + ", line 2: unknown key profiles.a.deep"},
		{text("[profiles.a]\nTENANT = \"x\"\n"), "configuration: " + place + ", line 2: unknown key profiles.a.TENANT"},
		{text("[profiles.a]\nscope = \"x\"\n"), "configuration: " + place + ": line 2 (last key \"profiles.a.scope\"): incompatible types: TOML value has type string; destination has type slice"},
		{text("[profiles.a]\nkeys = [1]\n"), "configuration: " + place + ", line 2: not a list of strings"},
		{text("[profiles.a]\nkeys = true\n"), "configuration: " + place + ", line 2: neither a string nor a list of strings"},
		{text("profile = \"a\"\nprofile = \"b\"\n"), "configuration: " + place + ", line 2: Key 'profile' has already been defined."},
		{text("profile = \"gone\"\n"), "configuration: " + place + " selects profile \"gone\", which is not in " + place + ""},
		{given{flags: map[string][]string{"profile": {"p"}}}, "configuration: --profile selects profile \"p\", but there is no configuration file"},
		{flag("config", "/no/such"), "configuration (from --config): open /no/such: file does not exist"},
		{flag("store", ""), "configuration: --store is empty"},
		{flag("keys", ""), "configuration: --keys has an empty entry"},
		{given{env: map[string]string{"OBJECTVAULT_KEYS": " "}}, "configuration: OBJECTVAULT_KEYS is empty, or contains commas: separate the entries by blanks"},
		{given{env: map[string]string{"OBJECTVAULT_KEYS": "local:,env:A"}}, "configuration: OBJECTVAULT_KEYS is empty, or contains commas: separate the entries by blanks"},
		{given{env: map[string]string{"OBJECTVAULT_KEYS_REQUIRED": "two"}}, "configuration: OBJECTVAULT_KEYS_REQUIRED: \"two\" must be \"all\" or \"one\""},
		{flag("timeout", "0s"), "configuration: --timeout: \"0s\" is not a duration such as 30s or 2m"},
		{flag("timeout", "30"), "configuration: --timeout: \"30\" is not a duration such as 30s or 2m"},
		{flag("deadline", "0s"), "configuration: --deadline: \"0s\" is not a duration such as 30s or 2m"},
		{given{env: map[string]string{"OBJECTVAULT_DEADLINE": "soon"}}, "configuration: OBJECTVAULT_DEADLINE: \"soon\" is not a duration such as 30s or 2m"},
		{given{env: home, files: map[string]string{place: "profile = \"a\"\n[profiles.a]\ndeadline = \"-1s\"\n"}}, "configuration: profile a: \"-1s\" is not a duration such as 30s or 2m"},
		{given{env: map[string]string{"OBJECTVAULT_TIMEOUT": "soon"}}, "configuration: OBJECTVAULT_TIMEOUT: \"soon\" is not a duration such as 30s or 2m"},
	} {
		_, err := tc.in.read()
		if !errors.Is(err, config.ErrInvalid) || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

// TestOverrides: a setting overrides those of an origin that is farther from the command.
func TestOverrides(t *testing.T) {
	values := []config.Value{{}, {Text: "a", From: "profile --x"}, {Text: "b", From: "OBJECTVAULT_STORE"}, {Text: "c", From: "--store"}}
	for i, v := range values {
		for j, other := range values {
			if got := v.Overrides(other); got != (i > j) {
				t.Errorf("%v overrides %v: %t", v, other, got)
			}
		}
	}
}

// TestUnreadable: the message names a flag or a variable only if it has selected the file.
func TestUnreadable(t *testing.T) {
	for _, tc := range []struct {
		flag, variable string
		want           string
	}{
		{"", "", "configuration: open " + place + ": permission denied"},
		{"", "/v", "configuration (from OBJECTVAULT_CONFIG): open /v: permission denied"},
		{"/f", "/v", "configuration (from --config): open /f: permission denied"},
	} {
		g := given{env: map[string]string{"HOME": "/home/me", "OBJECTVAULT_CONFIG": tc.variable}}
		if tc.flag != "" {
			g.flags = map[string][]string{"config": {tc.flag}}
		}
		_, err := g.readWith(func(name string) ([]byte, error) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		})
		if !errors.Is(err, config.ErrInvalid) || !errors.Is(err, fs.ErrPermission) || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

// TestPlaces: XDG variables have priority on every system. Without them, the native directories are
// used.
func TestPlaces(t *testing.T) {
	for _, tc := range []struct {
		goos                string
		env                 map[string]string
		config, key, stored string
	}{
		{"linux", map[string]string{"HOME": "/h"}, "/h/.config/objectvault/config.toml", "/h/.local/share/objectvault/root.key", "/h/.local/share/objectvault/store"},
		{"linux", map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}, "/c/objectvault/config.toml", "/d/objectvault/root.key", "/d/objectvault/store"},
		{"linux", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "relative"}, "/h/.config/objectvault/config.toml", "/h/.local/share/objectvault/root.key", "/h/.local/share/objectvault/store"},
		{"darwin", map[string]string{"HOME": "/h"}, "/h/Library/Application Support/objectvault/config.toml", "/h/Library/Application Support/objectvault/root.key", "/h/Library/Application Support/objectvault/store"},
		{"darwin", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/h/Library/Application Support/objectvault/config.toml", "/d/objectvault/root.key", "/d/objectvault/store"},
		{"windows", map[string]string{"AppData": "/r", "LocalAppData": "/l"}, "/r/objectvault/config.toml", "/l/objectvault/root.key", "/l/objectvault/store"},
	} {
		p := config.Places{GOOS: tc.goos, Getenv: func(k string) string { return tc.env[k] }}
		for _, place := range []struct {
			of   func() (string, error)
			want string
		}{{p.Config, tc.config}, {p.RootKey, tc.key}, {p.Store, tc.stored}} {
			if got, err := place.of(); err != nil || got != place.want {
				t.Errorf("%s %v: %q, %v, want %q", tc.goos, tc.env, got, err, place.want)
			}
		}
	}
	for _, home := range []func() string{nil, func() string { return "" }, func() string { return "relative" }} {
		_, err := config.Places{GOOS: "linux", Getenv: func(string) string { return "" }, UserHome: home}.Store()
		if want := "configuration: there is no directory for store: neither XDG_DATA_HOME nor HOME nor the user database contains an absolute path"; !errors.Is(err, config.ErrInvalid) || !errors.Is(err, config.ErrNoHome) || err.Error() != want {
			t.Errorf("no home: %v, want %s", err, want)
		}
	}
}

// TestPlacesOfUser: if HOME is not set or is not absolute, the user database supplies the home
// directory.
func TestPlacesOfUser(t *testing.T) {
	for _, tc := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", nil, "/db/.local/share/objectvault/root.key"},
		{"linux", map[string]string{"HOME": "relative"}, "/db/.local/share/objectvault/root.key"},
		{"linux", map[string]string{"HOME": "/h"}, "/h/.local/share/objectvault/root.key"},
		{"linux", map[string]string{"XDG_DATA_HOME": "/d"}, "/d/objectvault/root.key"},
		{"darwin", nil, "/db/Library/Application Support/objectvault/root.key"},
		{"windows", nil, "/db/AppData/Local/objectvault/root.key"},
		{"windows", map[string]string{"LocalAppData": "/l"}, "/l/objectvault/root.key"},
	} {
		p := config.Places{GOOS: tc.goos, Getenv: func(k string) string { return tc.env[k] }, UserHome: func() string { return "/db" }}
		if got, err := p.RootKey(); got != tc.want || err != nil {
			t.Errorf("%s %v: %q, %v, want %q", tc.goos, tc.env, got, err, tc.want)
		}
	}
}

// FuzzParseFile: an unknown key in any file is never accepted silently.
func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{file, "x = 1", "[profiles.a]\nstroe = 1", "profile = 3", "profiles = 1", "[profiles]\na = 1", "[[profiles]]", "profiles.a.b.c = 1", "[profiles.\"\"]\ntenant = \"\"", "a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := config.ParseFile("f", text)
		if err != nil && (!errors.Is(err, config.ErrInvalid) || !strings.HasPrefix(err.Error(), "configuration: f")) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
