package credserver_test

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/vault"
)

// TestTokenFile: which files are refused.
func TestTokenFile(t *testing.T) {
	good := line("token", "")
	for _, tc := range []struct {
		name, text string
		wrong      string // part of the error; empty: there is none
	}{
		{"empty", "", ""},
		{"one line", good + "\n", ""},
		{"no line break at the end", good, ""},
		{"blank lines and CRLF", "\n" + good + "\r\n\r\n" + line("other", "") + "\n", ""},
		{"hash in upper case", good[:11] + strings.ToUpper(good[11:75]) + good[75:], ""},
		{"member in upper case", strings.Replace(good, "sha256", "SHA256", 1), "sha256 is missing"},
		{"not JSON", good + "\ntoken\n", "line 2: it must be one JSON object"},
		{"two objects in a line", good + line("other", ""), "line 1"},
		{"token instead of a hash", `{"sha256":"token","wallet":"0x1"}`, "sha256 is not 64 hex digits"},
		{"no hash", `{"wallet":"0x1"}`, "sha256 is missing"},
		{"no wallet", strings.Replace(good, "wallet", "x", 1), `unknown member "x"`},
		{"empty wallet", strings.Replace(good, wallet, "", 1), "wallet is empty"},
		{"misspelt scope", line("token", `,"scopes":{"services":["a"]}`), `unknown member "scopes"`},
		{"misspelt services", line("token", `,"scope":{"service":["a"]}`), `unknown member "service"`},
		{"scope that is a list", line("token", `,"scope":["a"]`), "scope"},
		{"scope without a value", line("token", `,"scope":null`), "scope"},
		{"services that is a name", line("token", `,"scope":{"services":"a"}`), "services is not a list"},
		{"services without a value", line("token", `,"scope":{"services":null}`), "services is not a list"},
		{"read_only that is a text", line("token", `,"scope":{"read_only":"false"}`), "read_only is not true or false"},
		{"read_only without a value", line("token", `,"scope":{"read_only":null}`), "read_only is not true or false"},
		{"expires without a time", line("token", `,"expires":"2027-01-31"`), "RFC 3339"},
		{"expires without a value", line("token", `,"expires":null`), "expires is not a string"},
		{"the same token twice", good + "\n" + good + "\n", "line 2: the token of an earlier line"},
		{"too long", strings.Repeat("\n", 1<<20+1), "more than 1 MiB"},
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		replace(t, path, tc.text)
		_, err := credserver.OpenTokenFile(path, nil)
		switch {
		case tc.wrong == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.wrong != "" && (!errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), tc.wrong)):
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.wrong)
		}
	}
	if _, err := credserver.OpenTokenFile(filepath.Join(t.TempDir(), "absent"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := credserver.OpenTokenFile(t.TempDir(), nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("directory: %v", err)
	}
}

// TestTokenFileMode: a file that other users can read or write is refused.
func TestTokenFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
	path := filepath.Join(t.TempDir(), "tokens")
	replace(t, path, line("token", ""))
	for mode, accepted := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o602: false, 0o620: false, 0o644: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := credserver.OpenTokenFile(path, nil)
		_, nerr := credserver.NewToken(t.Context(), path, credserver.Grant{Wallet: wallet})
		if accepted {
			if err != nil {
				t.Errorf("%04o: %v", mode, err)
			}
			continue
		}
		for _, err := range []error{err, nerr} {
			if !errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), "run chmod 600 "+path) {
				t.Errorf("%04o: %v", mode, err)
			}
		}
	}
}

// TestTokenFileChanges: a server uses a changed file from its next request. A broken file changes
// nothing, and is reported once.
func TestTokenFileChanges(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	list := func(label, token string, status int) {
		t.Helper()
		if r := c.as(token).list(); r.status != status {
			t.Errorf("%s: %s: %d, want %d", label, token, r.status, status)
		}
	}
	const problem = "the token file has changed and cannot be used; the tokens stay as they were"
	list("at first", full, 200)
	w.writeTokens(line("second", ""))
	list("after a change", "second", 200)
	list("after a change", full, 401)

	w.writeTokens(line(full, ""), "broken")
	for range 3 {
		list("after a broken change", "second", 200)
		list("after a broken change", full, 401)
	}
	if lines := w.log.lines(t, problem); len(lines) != 1 || !strings.Contains(lines[0]["error"].(string), "line 2") {
		t.Errorf("logged: %v", lines)
	}
	w.writeTokens(line(full, ""))
	list("after the repair", full, 200)

	if runtime.GOOS != "windows" {
		if err := os.Chmod(w.tokens, 0o666); err != nil {
			t.Fatal(err)
		}
		list("while others can write the file", full, 200)
		list("while others can write the file", full, 200)
		if lines := w.log.lines(t, problem); len(lines) != 2 {
			t.Errorf("logged: %v", lines)
		}
	}
	if err := os.Remove(w.tokens); err != nil {
		t.Fatal(err)
	}
	list("after the file was removed", full, 401)
	list("after the file was removed", full, 401)
	if lines := w.log.lines(t, "the token file is gone, so no token is valid"); len(lines) != 1 {
		t.Errorf("logged: %v", lines)
	}
	w.writeTokens("broken")
	list("after a broken file was created", full, 401)
	w.writeTokens(line(full, ""))
	list("after the file was created", full, 200)
}

// TestSameLength: a file is read again if only its time has changed.
func TestSameLength(t *testing.T) {
	w := newWorld(t)
	w.writeTokens(line("token-1", ""))
	c := w.serve(nil)
	c.as("token-1").list().want(t, "before", 200, `{"services":[]}`)
	f, err := os.OpenFile(w.tokens, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(line("token-2", "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(w.tokens, later, later); err != nil {
		t.Fatal(err)
	}
	c.as("token-1").list().want(t, "old token", 401, "unauthorized")
	c.as("token-2").list().want(t, "new token", 200, `{"services":[]}`)
}

// TestNewToken: a new token is valid at once, and only its hash is in the file.
func TestNewToken(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	expires := w.now().Add(time.Hour).UTC()
	grants := []credserver.Grant{
		{Wallet: wallet},
		{Wallet: wallet, Services: []string{"a", "b\""}, ReadOnly: true, Expires: expires},
		{Wallet: omni, ReadOnly: true},
		{Wallet: omni, Services: []string{}},
	}
	for _, g := range grants {
		token, err := credserver.NewToken(t.Context(), w.tokens, g)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != 32 {
			t.Errorf("token of %d bytes, %v", len(b), err)
		}
		c.as(token).list().want(t, "list with the new token", 200, `{"services":[]}`)
		text, err := os.ReadFile(w.tokens)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), token) {
			t.Error("the file contains the token")
		}
		file, err := credserver.OpenTokenFile(w.tokens, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := file.Verify(t.Context(), token); err != nil || !reflect.DeepEqual(got, g) {
			t.Errorf("the file grants %+v, %v; want %+v", got, err, g)
		}
	}
	c.list().want(t, "list with the old token", 200, `{"services":[]}`)

	created := filepath.Join(t.TempDir(), "new")
	if _, err := credserver.NewToken(t.Context(), created, credserver.Grant{Wallet: wallet}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(created); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the new file: %v, %v", info.Mode(), err)
	}

	unfinished := filepath.Join(t.TempDir(), "unfinished")
	replace(t, unfinished, line("first", "")) // no line break
	if _, err := credserver.NewToken(t.Context(), unfinished, credserver.Grant{Wallet: wallet}); err != nil {
		t.Fatal(err)
	}
	file, err := credserver.OpenTokenFile(unfinished, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Verify(t.Context(), "first"); err != nil {
		t.Errorf("the token of the line without a line break: %v", err)
	}
}

// TestNewTokenFails: a token that cannot be added changes nothing.
func TestNewTokenFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	replace(t, path, "broken\n")
	for name, g := range map[string]credserver.Grant{
		"broken file": {Wallet: wallet},
		"no wallet":   {},
	} {
		if token, err := credserver.NewToken(t.Context(), path, g); !errors.Is(err, vault.ErrConfig) || token != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := filepath.Join(t.TempDir(), "tokens")
	replace(t, good, line("token", "")+"\n")
	far := credserver.Grant{Wallet: wallet, Expires: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := credserver.NewToken(t.Context(), good, far); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("expiry that RFC 3339 cannot express: %v", err)
	}
	for path, want := range map[string]string{path: "broken\n", good: line("token", "") + "\n"} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("the file has %q, %v", text, err)
		}
	}
}

// TestNewTokenConcurrently: several processes may add tokens at the same time.
func TestNewTokenConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	tokens := make([]string, 16)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], err = credserver.NewToken(t.Context(), path, credserver.Grant{Wallet: wallet}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	file, err := credserver.OpenTokenFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		if _, err := file.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
}
