package envelope_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// needNode skips the test if there is no Node that can run testdata/open.mjs, or fails it if
// Node is required.
func needNode(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("the other reader is another process")
	}
	why := ""
	if out, err := exec.CommandContext(t.Context(), "node", "--version").Output(); err != nil {
		why = fmt.Sprintf("node does not run: %v", err)
	} else {
		version := strings.TrimSpace(string(out))
		major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
		if n, err := strconv.Atoi(major); err != nil || n < 18 {
			why = fmt.Sprintf("node is %s, testdata/open.mjs needs 18 or later", version)
		}
	}
	if why == "" {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "node") {
		t.Fatal(why)
	}
	t.Skip(why)
}

func node(t *testing.T, script string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	// Read the files here, too: go test caches results, and does not know which files a command
	// reads.
	if _, err := os.ReadFile(script); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

const openScript = "testdata/open.mjs"

// A reader that was written from FORMAT.md alone opens and rejects the same vectors.
func TestNodeOpensVectors(t *testing.T) {
	needNode(t)
	stdout, stderr, err := node(t, openScript)
	if want := fmt.Sprintf("%d passed, 0 failed\n", len(vectors(t))); err != nil || stdout != want || stderr != "" {
		t.Fatalf("%v\n%s%swant %s", err, stdout, stderr, want)
	}
}

// setMember sets the member of a vector at the given path, or removes it if there is no value.
func setMember(t *testing.T, b []byte, value any, path ...string) []byte {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	in, last := v, len(path)-1
	for _, name := range path[:last] {
		in = in[name].(map[string]any)
	}
	if value == nil {
		delete(in, path[last])
	} else {
		in[path[last]] = value
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The script must detect a vector that is wrong; otherwise its success proves nothing.
func TestNodeFailsOnWrongVectors(t *testing.T) {
	needNode(t)
	flipped := func(id string, at int) string {
		b := find(t, id).object(t)
		b[at] ^= 1
		return hex.EncodeToString(b)
	}
	tests := []struct {
		id    string
		value any
		path  string
		want  string
	}{
		{"open-first", flipped("open-first", 0), "object", "ErrFormat, not opened"},
		{"open-first", flipped("open-first", 21), "object", "ErrUnknownKey, not opened"},
		{"open-first", flipped("open-first", 50), "object", "ErrDecrypt, not opened (the stanza"},
		{"open-first", flipped("open-first", 132), "object", "ErrDecrypt, not opened (the commitment"},
		{"open-first", flipped("open-first", 206), "object", "ErrDecrypt, not opened (segment 0"},
		{"open-first", "00", "inputs.plaintext", "; plaintext"},
		{"open-first", "bots/a/b/c.enc", "object_key", "object_key: bots/0x19e7"},
		{"open-first", "other", "reader.name", "ErrUnknownKey, not opened"},
		{"open-first", "00", "derived.segment_key", ": derived.segment_key"},
		{"open-first", nil, "derived.segment_key", ": derived.segment_key"},
		{"open-first", "00", "derived.more", ": derived.more"},
		{"open-first", 1, "inputs.more", "unknown member more"},
		{"open-first", "ErrDecrypt", "error", "opened, not ErrDecrypt"},
		{"open-first", 206, "object_len", ": object_len"},
		{"open-first", strings.Repeat("0", 64), "object_sha256", ": object_sha256"},
		{"open-k-20-segments", strings.Repeat("0", 64), "object_sha256", ": object_sha256"},
		{"open-metadata-full", "text/html", "metadata.content_type", ": metadata: {"},
		{"open-metadata-full", nil, "metadata.expires", ": metadata: {"},
		{"open-metadata-full", nil, "metadata", ": metadata: {"},
		{"open-metadata-proto", "b", "metadata.labels.__proto__", ": metadata: {"},
		{"open-metadata-proto", nil, "metadata.labels.__proto__", ": metadata: {"},
		{"open-first", map[string]any{}, "metadata", ": metadata: null"},
		{"open-two-keys-first", "00", "second.plaintext", ": second.plaintext"},
		{"refused-other-root", "ErrDecrypt", "error", "ErrUnknownKey, not ErrDecrypt"},
		{"refused-commitment", "ErrUnknownKey", "error", "ErrDecrypt, not ErrUnknownKey"},
		{"refused-magic", "ErrDecrypt", "error", "ErrFormat, not ErrDecrypt"},
		{"refused-magic", nil, "error", "ErrFormat, not opened"},
		{"refused-magic", "needs a newer vault", "about", "newer vault: said by one"},
		{"refused-suite-2", "another suite", "about", "newer vault: said by one"},
		{"refused-metadata-duplicate", map[string]any{"text": "{}"}, "inputs.metadata", "the inputs give another"},
	}
	var files []string
	for _, test := range tests {
		b, err := os.ReadFile(filepath.Join("testdata/vectors", test.id+".json"))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), test.id+".json")
		if err := os.WriteFile(file, setMember(t, b, test.value, strings.Split(test.path, ".")...), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	// The script checks each vector alone; one call for all vectors reports each on its own
	// line, in order.
	stdout, stderr, err := node(t, openScript, files...)
	lines := strings.SplitAfter(stdout, "\n")
	if want := fmt.Sprintf("0 passed, %d failed\n", len(tests)); exitCode(err) != 1 || len(lines) != len(tests)+2 || lines[len(tests)] != want {
		t.Fatalf("%v\n%s%swant %d lines and %s", err, stdout, stderr, len(tests), want)
	}
	for i, test := range tests {
		if !strings.HasPrefix(lines[i], test.id+": ") || !strings.Contains(lines[i], test.want) {
			t.Errorf("%s with another %s: %swant %q", test.id, test.path, lines[i], test.want)
		}
	}
	// A single wrong vector makes the script fail.
	if _, _, err := node(t, openScript, append(files[:1:1], "testdata/vectors/open-first.json")...); exitCode(err) != 1 {
		t.Errorf("one wrong vector of two: %v", err)
	}
}

func exitCode(err error) int {
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return e.ExitCode()
	}
	return 0
}

// The script must fail if vectors are missing.
func TestNodeMissesVectors(t *testing.T) {
	needNode(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "vectors"), 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{openScript: "open.mjs", "testdata/vectors/open-first.json": "vectors/open-first.json"} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(dir, "open.mjs")
	if stdout, stderr, err := node(t, script, filepath.Join(dir, "vectors/open-first.json")); err != nil || stdout != "1 passed, 0 failed\n" {
		t.Errorf("one vector, named: %v\n%s%s", err, stdout, stderr)
	}
	stdout, stderr, err := node(t, script)
	if exitCode(err) != 1 || !strings.HasSuffix(stdout, "\n1 passed, 0 failed\n") {
		t.Errorf("one vector in the folder: %v\n%s%s", err, stdout, stderr)
	}
}

// The script opens an object file. If the object does not verify to its end, the script writes
// nothing.
func TestNodeOpensFile(t *testing.T) {
	needNode(t)
	v := find(t, "open-size-2s-71") // three segments
	object, dir := v.object(t), t.TempDir()
	file := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, other := file("root", []byte(v.Reader.Roots[0]+"\n")), file("other", []byte(strings.Repeat("ab", 32)+"\n"))
	noNewline := file("no newline", []byte(v.Reader.Roots[0]))
	whole, cut := file("whole", object), file("cut", object[:len(object)-17])
	for _, test := range []struct{ file, root, tenant, name, stderr string }{
		{whole, root, v.Reader.Tenant, v.Reader.Name, ""},
		{whole, root, "0x" + strings.ToUpper(v.Reader.Tenant[2:]), v.Reader.Name, ""}, // the tenant that a user enters is folded
		{whole, other, v.Reader.Tenant, v.Reader.Name, "ErrUnknownKey: "},
		{whole, root, v.Reader.Tenant, "other", "ErrUnknownKey: "},
		{whole, root, v.Reader.Tenant, "a//b", "Error: "},
		{whole, noNewline, v.Reader.Tenant, v.Reader.Name, "Error: "},
		{cut, root, v.Reader.Tenant, v.Reader.Name, "ErrDecrypt: "},
		{root, root, v.Reader.Tenant, v.Reader.Name, "ErrFormat: "},
		{filepath.Join(dir, "missing"), root, v.Reader.Tenant, v.Reader.Name, "Error: "},
	} {
		stdout, stderr, err := node(t, openScript, "--open", test.file, "--root", test.root, "--vault", v.Reader.Vault,
			"--tenant", test.tenant, "--collection", v.Reader.Collection, "--name", test.name)
		what := fmt.Sprintf("%s with %s as %s %s", filepath.Base(test.file), filepath.Base(test.root), test.tenant, test.name)
		switch {
		case test.stderr != "":
			if exitCode(err) != 1 || stdout != "" || !strings.HasPrefix(stderr, test.stderr) {
				t.Errorf("%s: %v, %d bytes, %s, want %s", what, err, len(stdout), stderr, test.stderr)
			}
		case err != nil || stdout != string(v.Inputs.Plaintext.bytes()) || stderr != "":
			t.Errorf("%s: %v, %d bytes, %s", what, err, len(stdout), stderr)
		}
	}
}
