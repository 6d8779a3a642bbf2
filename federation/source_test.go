package federation_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
)

func parseSource(t *testing.T, spec string, o *federation.SourceOptions) federation.Source {
	t.Helper()
	s, err := federation.ParseSource(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// gives fails unless s returns a token with this subject.
func gives(t *testing.T, s federation.Source, subject string) {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil || token.Claims.Subject != subject {
		t.Errorf("a token with the subject %q, %v; want the subject %q", token.Claims.Subject, err, subject)
	}
}

// refuses fails unless s returns this error, without a secret.
func refuses(t *testing.T, s federation.Source, sentinel error, want string) {
	t.Helper()
	token, err := s.Token(t.Context())
	if !errors.Is(err, sentinel) || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if err != nil {
		noSecret(t, "the error", err.Error())
	}
	if token.Raw.Reveal() != "" {
		t.Error("a token was returned with the error")
	}
}

func TestParseSourceRefuses(t *testing.T) {
	const forms = "it must be file:PATH, env:VARIABLE, exec:COMMAND, github: or broker+https://HOST?session=SOURCE"
	token := jwt(`{"sub":"x"}`)
	for spec, want := range map[string]string{
		"":                                  forms,
		"/run/" + hidden:                    forms,
		hidden + ":" + "x":                  forms,
		"https://" + hidden:                 forms,
		"FILE:/x":                           forms,
		token:                               "it is a token, but must be the source of a token: write the token to a file, and use file:PATH",
		"file:" + token:                     "file: expected the location of the token, found a token",
		"env:" + token:                      "env: expected the location of the token, found a token",
		"exec:" + token:                     "exec: expected the location of the token, found a token",
		"file:":                             "file: the path is missing",
		"env:":                              "env: requires the name of a variable: at most 64 letters, digits and _",
		"env:$" + hidden:                    "env: requires the name of a variable: at most 64 letters, digits and _",
		"env:1" + hidden:                    "env: requires the name of a variable: at most 64 letters, digits and _",
		"env:" + strings.Repeat(hidden, 10): "env: requires the name of a variable: at most 64 letters, digits and _",
		"exec:":                             "exec: the command is missing",
		"exec: \t":                          "exec: the command is missing",
		"exec:'' " + hidden:                 "exec: the command is missing",
		"exec:'" + hidden:                   "exec: a quote is not closed",
		"exec:x\\":                          "exec: the command ends with a \\",
		"exec:TOKEN=" + hidden + " x":       "exec: the command runs without a shell, so it must not start with VAR=value: start with the name of the command",
		"broker+https:":                     "broker+https: the URL contains no host",
		"broker+https://":                   "broker+https: the URL contains no host",
		"broker+https://:443":               "broker+https: the URL contains no host",
		"broker+https:host":                 "broker+https: the URL contains no host",
		"broker+https://h\x00/" + hidden:    "broker+https: the address is not a URL",
		"broker+https://h:" + hidden:        "broker+https: the address is not a URL",
		"broker+https://u:" + hidden + "@h": "broker+https: the URL must not contain a user or password",
		"broker+https://h/#" + hidden:       "broker+https: the URL must not contain a #",
		"broker+https://h?" + hidden:        "broker+https: the only allowed parameter is session, and it may occur only once",
		"broker+https://h?token=" + hidden:  "broker+https: the only allowed parameter is session, and it may occur only once",
		"broker+https://h?session=env:A&session=env:B":    "broker+https: the only allowed parameter is session, and it may occur only once",
		"broker+https://h?session=env:A&x=" + hidden:      "broker+https: the only allowed parameter is session, and it may occur only once",
		"broker+https://h?session=%zz" + hidden:           "broker+https: the part after ? is not a query",
		"broker+https://h?session=":                       "broker+https: session: " + forms,
		"broker+https://h?session=" + hidden:              "broker+https: session: " + forms,
		"broker+https://h?session=github:":                "broker+https: session: " + forms,
		"broker+https://h?session=broker%2Bhttps://other": "broker+https: session: " + forms,
		"broker+https://h?session=env:" + token:           "broker+https: session: env: expected the location of the token, found a token",
		"broker+http://h":                                 "broker+http: http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https",
		"broker+http://localhost.example":                 "broker+http: http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https",
		"broker+http://10.0.0.1":                          "broker+http: http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https",
		"broker+http://127.0.0.1.example":                 "broker+http: http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https",
		"broker+http://localhost@evil.example":            "broker+http: the URL must not contain a user or password",
		"broker+http://0.0.0.0":                           "broker+http: http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https",
		"github:a\nb":                                     "github: the audience contains a control character",
		"github:\xff":                                     "github: the audience is too long, or not UTF-8",
		"github:" + strings.Repeat(hidden, 500):           "github: the audience is too long, or not UTF-8",
	} {
		s, err := federation.ParseSource(spec, nil)
		if !errors.Is(err, federation.ErrInvalidSource) || err.Error() != "invalid identity source: "+want || s != nil {
			t.Errorf("ParseSource(%q): %v\nwant %s", spec, err, want)
			continue
		}
		noSecret(t, "the error", err.Error())
	}
}

func TestParseSourceReadsNothing(t *testing.T) {
	o := &federation.SourceOptions{
		Getenv:   func(name string) string { t.Errorf("%s was looked up", name); return "" },
		ReadFile: func(path string) ([]byte, error) { t.Errorf("%s was read", path); return nil, nil },
	}
	for _, spec := range []string{
		"file:/x", "file:relative", "env:_A1", "exec:/absent/command 'with words'", "github:", "github:https://github.com/octo",
		"broker+https://h", "broker+https://h:8443/base/?session=file:/x", "broker+https://h?session=exec:a%20b", "broker+HTTPS://h",
		"broker+http://localhost:1", "broker+http://LOCALHOST", "broker+http://127.9.9.9/x", "broker+http://[::1]:80?session=env:A",
	} {
		_, err := federation.ParseSource(spec, o)
		if upper := spec == "broker+HTTPS://h"; upper != errors.Is(err, federation.ErrInvalidSource) {
			t.Errorf("ParseSource(%q): %v", spec, err)
		}
	}
}

// A file is read for each token, because its owner replaces it before the token expires.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s := parseSource(t, "file:"+path, nil)
	refuses(t, s, fs.ErrNotExist, "file:"+path+": no valid identity token: no such file or directory")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for subject, end := range map[string]string{"a": "", "b": "\n", "c": "\r\n"} {
		write(jwt(`{"sub":"`+subject+`"}`) + end)
		gives(t, s, subject)
	}
	write(jwt(`{"sub":"a"}`) + "\n\n")
	refuses(t, s, federation.ErrTokenInvalid, "file:"+path+": no valid identity token: it has more than one line")
	write("\n")
	refuses(t, s, federation.ErrTokenInvalid, "file:"+path+": no valid identity token: it is empty")
	write(hidden)
	refuses(t, s, federation.ErrTokenInvalid, "file:"+path+": no valid identity token: it is not a signed JWT, which consists of three parts separated by dots")
	write(strings.Repeat("x", 64<<10+3))
	refuses(t, s, federation.ErrTokenInvalid, "file:"+path+": no valid identity token: it is longer than 64 KiB")

	dir := filepath.Dir(path)
	refuses(t, parseSource(t, "file:"+dir, nil), federation.ErrTokenInvalid, "file:"+dir+": no valid identity token: not a regular file or a pipe")
}

func TestFileThroughOptions(t *testing.T) {
	var asked []string
	o := &federation.SourceOptions{ReadFile: func(path string) ([]byte, error) {
		asked = append(asked, path)
		switch path {
		case "/denied":
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		case "/broken":
			return nil, errors.New("input/output error")
		}
		return []byte(jwt(`{"sub":"a"}`)), nil
	}}
	s := parseSource(t, "file:/token", o)
	gives(t, s, "a")
	gives(t, s, "a")
	refuses(t, parseSource(t, "file:/denied", o), federation.ErrTokenInvalid, "file:/denied: no valid identity token: permission denied")
	refuses(t, parseSource(t, "file:/broken", o), federation.ErrUnavailable, "file:/broken: identity service unavailable: input/output error")
	if got := strings.Join(asked, " "); got != "/token /token /denied /broken" {
		t.Error(got)
	}
}

// TestMissing: the error of a source without a token names what is missing.
func TestMissing(t *testing.T) {
	o := &federation.SourceOptions{Getenv: func(string) string { return "" }}
	for spec, want := range map[string]federation.MissingError{
		"env:ABSENT":                  {Kind: "env", Name: "ABSENT"},
		"file:/no/such/file":          {Kind: "file", Name: "/no/such/file"},
		"exec:/no/such/program a":     {Kind: "exec", Name: "/no/such/program"},
		"github:":                     {Kind: "github"},
		"broker+https://host.example": {Kind: "env", Name: "OBJECTVAULT_BROKER_SESSION"},
		"broker+https://host.example?session=file:/no/such/file": {Kind: "file", Name: "/no/such/file"},
	} {
		_, err := parseSource(t, spec, o).Token(t.Context())
		var missing *federation.MissingError
		if !errors.As(err, &missing) || missing.Kind != want.Kind || missing.Name != want.Name || !errors.Is(err, federation.ErrTokenInvalid) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestVariable(t *testing.T) {
	env := map[string]string{"TOKEN": jwt(`{"sub":"a"}`) + "\n", "WRONG": hidden}
	o := &federation.SourceOptions{Getenv: func(name string) string { return env[name] }}
	s := parseSource(t, "env:TOKEN", o)
	gives(t, s, "a")
	env["TOKEN"] = jwt(`{"sub":"b"}`)
	gives(t, s, "b")
	refuses(t, parseSource(t, "env:ABSENT", o), federation.ErrTokenInvalid, "env:ABSENT: no valid identity token: the variable is not set")
	refuses(t, parseSource(t, "env:WRONG", o), federation.ErrTokenInvalid, "env:WRONG: no valid identity token: it is not a signed JWT, which consists of three parts separated by dots")

	t.Setenv("OBJECTVAULT_TEST_TOKEN", env["TOKEN"])
	gives(t, parseSource(t, "env:OBJECTVAULT_TEST_TOKEN", nil), "b")
}

// A source reads nothing if the context has ended, and returns the error of the context.
func TestSourceContextEnded(t *testing.T) {
	o := &federation.SourceOptions{Getenv: func(string) string { t.Error("read"); return "" }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := parseSource(t, "env:TOKEN", o).Token(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, federation.ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if _, err = parseSource(t, "env:TOKEN", o).Token(ctx); !errors.Is(err, federation.ErrUnavailable) {
		t.Error(err)
	}
}
