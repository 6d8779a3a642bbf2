package objectvault_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/objectvault/objectvault/federation"
)

// wallets are the tags of a token that docs/agents.md shows.
var wallets = map[string][]string{"agentkeys_user_wallet": {"acme"}}

// TestDocsToken reads the token that docs/agents.md shows, decoded, as the client does.
func TestDocsToken(t *testing.T) {
	parts := blocks(t, "docs/agents.md", "json")
	if len(parts) != 2 {
		t.Fatalf("docs/agents.md has %d JSON blocks, want 2: a header and a payload", len(parts))
	}
	encode := base64.RawURLEncoding.EncodeToString
	token, err := federation.ParseToken(encode([]byte(parts[0])) + "." + encode([]byte(parts[1])) + "." + encode([]byte("signature")))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(token.Claims.Tags, wallets) {
		t.Errorf("the tags are %v", token.Claims.Tags)
	}
	expect := federation.Expectation{Issuer: "https://issuer.example", Audience: "sts.amazonaws.com", Tenant: "acme"}
	if err := expect.Check(token.Claims, token.Claims.IssuedAt); err != nil {
		t.Error(err)
	}
}

// TestDocsIssuer creates an issuer with the scripts of docs/agents.md, and verifies the tokens
// that it mints with the key set that it publishes.
func TestDocsIssuer(t *testing.T) {
	for _, tool := range []string{"sh", "openssl", "jq", "basenc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	recipe := blocks(t, "docs/agents.md", "sh")
	if len(recipe) != 2 {
		t.Fatalf("docs/agents.md has %d shell scripts, want 2: one that creates an issuer, and mint", len(recipe))
	}
	dir := t.TempDir()
	mint := filepath.Join(dir, "mint")
	if err := os.WriteFile(mint, []byte(recipe[1]), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		var talk strings.Builder
		cmd.Stderr = &talk
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, talk.String())
		}
		return string(out)
	}
	run("sh", "-ec", recipe[0])
	if info, err := os.Stat(filepath.Join(dir, "issuer.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info, err)
	}
	read := func(name string, v any) {
		t.Helper()
		path := filepath.Join(dir, "site", ".well-known", name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("a web server cannot read %s: %v, %v", name, info, err)
		}
	}
	var discovery struct {
		Issuer string
		Keys   string `json:"jwks_uri"`
	}
	read("openid-configuration", &discovery)
	if discovery.Issuer != "https://issuer.example" || discovery.Keys != "https://issuer.example/.well-known/jwks.json" {
		t.Errorf("the discovery document: %+v", discovery)
	}
	var set jose.JSONWebKeySet
	read("jwks.json", &set)
	for audience, args := range map[string][]string{"sts.amazonaws.com": {"acme"}, "vault": {"acme", "vault"}} {
		raw := strings.TrimSuffix(run(append([]string{mint}, args...)...), "\n")
		signed, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		keys := set.Key(signed.Signatures[0].Header.KeyID)
		if len(keys) != 1 || !keys[0].Valid() || !keys[0].IsPublic() || len(keys[0].Certificates) != 1 {
			t.Fatalf("the key set has %d keys with the key id of the token", len(keys))
		}
		if _, err := signed.Verify(keys[0]); err != nil {
			t.Error(err)
		}
		token, err := federation.ParseToken(raw)
		if err != nil {
			t.Fatal(err)
		}
		expect := federation.Expectation{Issuer: discovery.Issuer, Audience: audience, Tenant: "acme"}
		if err := expect.Check(token.Claims, time.Now()); err != nil {
			t.Error(err)
		}
		if token.Claims.Subject != "agent:acme" || !reflect.DeepEqual(token.Claims.Tags, wallets) {
			t.Errorf("the token has the subject %q and the tags %v", token.Claims.Subject, token.Claims.Tags)
		}
	}
}

// TestDocsDemoFails runs the demos, from another directory, with a vault command that always fails: the
// demo ends at its first step, and fails.
func TestDocsDemoFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	program := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	vault := program("vault", "echo vault $1; exit 9")
	server := program("testcloud", `[ "$1" = install ] || { echo '{}'; cat; }`)
	for script, args := range map[string][]string{
		"docs/demo.sh":    {vault},
		"docs/aws.sh":     {vault, server},
		"docs/tencent.sh": {vault, server, server},
	} {
		path, err := filepath.Abs(script)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", append([]string{path}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "the exit code is 9 and must be 0: vault ") {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

// TestTranscripts compares the commands of each transcript with those of the script that makes it:
// a script that has changed needs a new transcript (make transcripts).
func TestTranscripts(t *testing.T) {
	try := regexp.MustCompile(`(?m)^\s*try '((?:[^']|'\\'')*)'( \d+)?$`)
	for page, script := range map[string]string{"docs/transcripts/aws.md": "docs/aws.sh", "docs/transcripts/tencent.md": "docs/tencent.sh", "docs/transcripts/offline.md": "docs/offline.sh", "docs/transcripts/keys.md": "docs/keys.sh", "docs/transcripts/audit.md": "docs/audit.sh", "docs/transcripts/two-clouds.md": "docs/two-clouds.sh", "docs/migrating-from-agentkeys.md": "docs/migrate.sh"} {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, m := range try.FindAllStringSubmatch(string(text), -1) {
			command := m[1]
			if m[2] != "" {
				command += `; echo "exit code $?"`
			}
			want = append(want, command)
		}
		if len(want) < 10 {
			t.Fatalf("%s has %d commands", script, len(want))
		}
		rest, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range want {
			_, after, ok := strings.Cut(string(rest), "\n$ "+command+"\n")
			if !ok {
				t.Errorf("%s lacks this command, or has it in another place: %s", page, command)
				break
			}
			rest = []byte("\n" + after)
		}
	}
}
