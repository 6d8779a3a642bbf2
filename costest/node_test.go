package costest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/costest"
)

// nodeClient installs the Node client from its lock file into a new directory, and returns its
// script. Without Node 18, npm or a registry, the test is skipped, or fails if node is required.
func nodeClient(t *testing.T) (script string) {
	t.Helper()
	missing := func(format string, args ...any) {
		t.Helper()
		why := fmt.Sprintf(format, args...)
		if slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "node") {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	out, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil {
		missing("node does not run: %v", err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 18 {
		missing("node is %s, testdata/node/client.mjs needs 18 or later", version)
	}
	dir := t.TempDir()
	for _, name := range []string{"client.mjs", "package.json", "package-lock.json", ".npmrc"} {
		b, err := os.ReadFile(filepath.Join("testdata/node", name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		missing("npm ci: %v\n%s", err, out)
	}
	return filepath.Join(dir, "client.mjs")
}

// An independent client makes the same calls, because the server must not work only with one SDK.
func TestNodeClient(t *testing.T) {
	if testing.Short() {
		t.Skip("one call after the other; TestManyClients has them at once")
	}
	script := nodeClient(t)
	for _, versioning := range []string{"", "Enabled", "Suspended"} {
		s := start(t, &costest.Options{Versioning: versioning})
		input, err := json.Marshal(map[string]string{
			"proxy": s.URL(), "bucket": s.Bucket(), "region": s.Region(), "secretId": s.SecretID(), "secretKey": s.SecretKey(), "versioning": versioning,
		})
		check(t, err)
		cmd := exec.CommandContext(t.Context(), "node", script)
		cmd.Stdin = bytes.NewReader(input)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "14 checks passed\n" {
			t.Errorf("versioning %q: %v\n%s", versioning, err, out)
		}
		for _, u := range s.Uploads(s.Bucket()) {
			t.Errorf("an upload remains: %+v", u)
		}
	}
}

// The lock file must work with any registry that npm is configured to use.
func TestLockFileNamesNoRegistry(t *testing.T) {
	b, err := os.ReadFile("testdata/node/package-lock.json")
	check(t, err)
	if bytes.Contains(b, []byte(`"resolved"`)) || !bytes.Contains(b, []byte(`"node_modules/cos-nodejs-sdk-v5": {
      "version": "3.0.0",`)) {
		t.Error("the lock file names hosts, or another client")
	}
}
