package vaulturl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

const (
	rootText  = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	rootPrint = "5702411fe3f18693"
)

// Each kind of URL opens the source of its root.
func TestKeyURLs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(file, []byte(rootText), 0o440); err != nil {
		t.Fatal(err)
	}
	o := &vaulturl.Options{Getenv: func(name string) string { return map[string]string{"ROOT": rootText + "\r\n"}[name] }}
	for url, name := range map[string]string{
		"local://" + filepath.ToSlash(file): "local", "env:ROOT": "env ROOT", "exec:cat '" + file + "'": "exec cat",
	} {
		source, err := vaulturl.OpenKeySource(t.Context(), url, o)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		l, ok := source.(*kek.Local)
		if d, deferred := source.(*kek.Deferred); deferred {
			if l, err = d.Local(t.Context()); err != nil {
				t.Errorf("%s: %v", url, err)
				continue
			}
		} else if !ok {
			t.Errorf("%s is a %T", url, source)
			continue
		}
		if l.Fingerprint() != rootPrint || source.Name() != name {
			t.Errorf("%s: %s, fingerprint %s", url, source.Name(), l.Fingerprint())
		}
	}
}

// No error repeats text that may be secret.
func TestOpenKeySourceRefuses(t *testing.T) {
	o := &vaulturl.Options{Getenv: func(name string) string { return map[string]string{"BAD": "hunter2"}[name] }}
	var config error = vault.ErrConfig
	for _, tc := range []struct {
		url  string
		err  error
		text string
	}{
		{"", config, "has no scheme"},
		{"hunter2", config, "has no scheme"},
		{"smtp:hunter2", config, "unknown kind of key source"},
		{"local:hunter2", config, "with an absolute path"},
		{"local://hunter2/a", config, "with an absolute path"},
		{"env:", config, "env: must be followed by"},
		{"env:1A", config, "env: must be followed by"},
		{"env:hunter2=3", config, "env: must be followed by"},
		{"env:ABSENT", fs.ErrNotExist, "the variable ABSENT is empty or not set"},
		{"env:BAD", kek.ErrKeyFile, "the variable BAD: unusable root key file"},
		{"fd:x", config, "fd: must be followed by"},
		{"fd:-1", config, "fd: must be followed by"},
		{"fd:03", config, "fd: must be followed by"},
		{"env:a" + strings.Repeat("0", 63), config, "env: must be followed by the name"}, // a root key: env:$KEY
		{"fd:9999", fs.ErrNotExist, "fd 9999 is not open"},
		{"exec:", config, "exec: the command is missing"},
		{"exec:A=hunter2 cat", config, "must not start with VAR=value"},
		{"keyring:a b", config, "keyring: must be followed by"},
		{"base64key:hunter2", config, "base64key:// is refused"},
		{"local:///no/such/file", fs.ErrNotExist, "no such file"},
	} {
		_, err := vaulturl.OpenKeySource(t.Context(), tc.url, o)
		if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %v: %s", tc.url, err, tc.err, tc.text)
		}
	}
	if _, err := vaulturl.OpenKeySource(t.Context(), "env:ROOT", nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("without Getenv: %v", err)
	}
}

// A source that requires enrolment cannot seal before it is enrolled. Other sources cannot be enrolled.
func TestNotEnrolled(t *testing.T) {
	source, err := vaulturl.OpenKeySource(t.Context(), "keyring:work", &vaulturl.Options{Records: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ref := envelope.Ref{Tenant: "acme", Name: "x"}
	if _, err := envelope.Seal(t.Context(), new(bytes.Buffer), ref, []envelope.KeySource{source}, nil); !errors.Is(err, envelope.ErrNotEnrolled) {
		t.Error(err)
	}
	for _, url := range []string{"env:ROOT", "exec:cat", "fd:3", "local:///a"} {
		if _, err := vaulturl.EnrolKeySource(t.Context(), url, &vaulturl.Options{Records: t.TempDir()}, nil); !errors.Is(err, vaulturl.ErrNoEnrolment) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func record(source string) *vaulturl.Enrolment {
	e, err := vaulturl.ParseEnrolment([]byte(`{"version":1,"source":"` + source + `","enrolled":"2026-01-02T03:04:05Z","fingerprint":"0123456789abcdef","keyring":{"fingerprint":"0123456789abcdef"}}`))
	if err != nil {
		panic(err)
	}
	return &e
}

// The record of another machine is imported once, and only for its own source.
func TestImportEnrolment(t *testing.T) {
	o := &vaulturl.Options{Records: filepath.Join(t.TempDir(), "keys")}
	how := &vaulturl.EnrolOptions{Import: record("keyring:work")}
	e, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, how)
	if err != nil || !e.Created || e.Fingerprint != "0123456789abcdef" {
		t.Fatalf("%+v, %v", e, err)
	}
	if info, err := os.Stat(e.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, how); err != nil || again.Created || again.Path != e.Path {
		t.Errorf("again: %+v, %v", again, err)
	}
	if plain, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, nil); err != nil || plain.Created {
		t.Errorf("without an import: %+v, %v", plain, err)
	}
	other := record("keyring:work")
	other.Keyring.Fingerprint = "fedcba9876543210"
	if _, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, &vaulturl.EnrolOptions{Import: other}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another key: %v", err)
	}
	if _, err := vaulturl.EnrolKeySource(t.Context(), "keyring:home", o, how); !errors.Is(err, vaulturl.ErrEnrolment) {
		t.Errorf("for another source: %v", err)
	}
}

// A record that is damaged, or that another user may have written, is never used.
func TestDamagedEnrolment(t *testing.T) {
	o := &vaulturl.Options{Records: t.TempDir()}
	e, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, &vaulturl.EnrolOptions{Import: record("keyring:work")})
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(name string, value any) []byte {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		if m[name] = value; value == nil {
			delete(m, name)
		}
		text, _ := json.Marshal(m)
		return text
	}
	for what, text := range map[string][]byte{
		"empty": {}, "truncated": good[:len(good)/2], "not JSON": []byte("hello"), "trailing data": append(bytes.Clone(good), good...),
		"newer version": edit("version", 2), "unknown name": edit("colour", "red"), "no keyring section": edit("keyring", nil), "another source": edit("source", "keyring:home"),
		"bad fingerprint": edit("keyring", map[string]string{"fingerprint": "x"}),
	} {
		if err := os.WriteFile(e.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vaulturl.OpenKeySource(t.Context(), "keyring:work", o); !errors.Is(err, vaulturl.ErrEnrolment) || !strings.Contains(err.Error(), e.Path) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for version, newer := range map[any]bool{nil: false, 0: false, -1: false, 2: true} { // nil: it has none
		_, err := vaulturl.ParseEnrolment(edit("version", version))
		if !errors.Is(err, vaulturl.ErrEnrolment) || strings.Contains(err.Error(), "needs a newer vault") != newer {
			t.Errorf("version %v: %v", version, err)
		}
	}
	if err := errors.Join(os.WriteFile(e.Path, good, 0o600), os.Chmod(e.Path, 0o620)); err != nil {
		t.Fatal(err)
	}
	if _, err := vaulturl.OpenKeySource(t.Context(), "keyring:work", o); !errors.Is(err, vaulturl.ErrEnrolment) {
		t.Errorf("a file that other users may write: %v", err)
	}
}

func FuzzParseEnrolment(f *testing.F) {
	text, err := json.Marshal(record("keyring:work"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"source":"keyring:a","keyring":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := vaulturl.ParseEnrolment(text)
		if err != nil {
			if !errors.Is(err, vaulturl.ErrEnrolment) {
				t.Error(err)
			}
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := vaulturl.ParseEnrolment(again); err != nil {
			t.Errorf("%s: %v, was %+v, is %+v", again, err, e, second)
		}
	})
}
