package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNoHome: without HOME, vault finds the home directory in the user database. If that fails, the
// hint names the settings that replace it.
func TestNoHome(t *testing.T) {
	home := ""
	var errs bytes.Buffer
	vault := func(args ...string) int {
		errs.Reset()
		return run(t.Context(), append([]string{"vault"}, args...), &world{
			in: strings.NewReader("value"), out: new(bytes.Buffer), err: &errs, goos: "linux", now: time.Now,
			getenv: func(string) string { return "" }, userHome: func() string { return home },
			readFile: os.ReadFile, open: openFile, writeNew: writeNew, canSync: canSync,
			quietly: func(error) bool { return false },
		})
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"init"}, {"put", "a"}, {"get", "a"}, {"ls"}, {"rm", "a"}, {"get", "a", "--store", "file://" + dir}, {"put", "a", "--keys", "local://" + dir + "/key"},
	} {
		code := vault(args...)
		if !strings.Contains(errs.String(), "neither XDG_DATA_HOME nor HOME nor the user database contains an absolute path\n") || code != exitUsage ||
			!strings.Contains(errs.String(), "vault: hint: set HOME, or set --store file:///DIR and --keys local:///FILE\n") {
			t.Errorf("%q without a home: exit code %d, stderr %q", args, code, &errs)
		}
	}
	home = dir
	for _, args := range [][]string{{"init", "--vault-id", "work"}, {"put", "a"}, {"get", "a"}} {
		if code := vault(args...); code != 0 {
			t.Errorf("%q: exit code %d, stderr %q", args, code, &errs)
		}
	}
	for _, file := range []string{".config/objectvault/config.toml", ".local/share/objectvault/root.key", ".local/share/objectvault/store/bots/default/credentials/a.enc"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
}
