package memfs

import (
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob/driver"

	"github.com/objectvault/objectvault/vault"
)

func TestObjectPath(t *testing.T) {
	for _, tc := range []struct{ key, want string }{
		{"bots/0xabc/credentials/acme/open%5Fai~@=.enc", "bots/0xabc/credentials/acme/open%5Fai~@=.enc"},
		{"a b/-x/+y", "a b/-x/+y"},
		{"a//b/", "a/!/b/!"},
		{"/", "!/!"},
		{"..", ".!2E"},
		{"./x/../y.", "!2E/x/.!2E/y!2E"},
		{"con/con.enc/conx/LPT1.a.b", "!63on/!63on.enc/conx/!4CPT1.a.b"},
		{`a\b:c*d?e"f<g>h|i!`, "a!5Cb!3Ac!2Ad!3Fe!22f!3Cg!3Eh!7Ci!21"},
		{"\x00\x1f\x7f", "!00!1F!7F"},
		{"é☺", "!C3!A9!E2!98!BA"},
		{"a/.objectvault/b", "a/.objectvault/b"},
		{strings.Repeat("n", 255), strings.Repeat("n", 255)},
		{strings.Repeat("n", 256), strings.Repeat("n", 253) + "!+/nnn"},
		{strings.Repeat("n", 251) + "::", strings.Repeat("n", 251) + "!+/!3A!3A"}, // an escape is not split
		{"00060a24181e4000", "00060a24181e4000"},
	} {
		if got := objectPath(tc.key); got != tc.want {
			t.Errorf("objectPath(%q) = %q, want %q", tc.key, got, tc.want)
		}
	}
	// The path of a key must not contain a name that looks like a version.
	const versions = ".objectvault/versions/"
	for _, tc := range []struct{ key, want string }{
		{"a/b.enc", versions + "a/b.enc"},
		{"a/00060a24181e4000", versions + "a/!300060a24181e4000"},
		{"a/00060a24181e4000.attrs/x", versions + "a/!300060a24181e4000.attrs/x"},
		{"a/00060a24181e4000x", versions + "a/00060a24181e4000x"},
		{"a/00060A24181E4000", versions + "a/00060A24181E4000"},
	} {
		if got := versionsPath(tc.key); got != tc.want {
			t.Errorf("versionsPath(%q) = %q, want %q", tc.key, got, tc.want)
		}
	}
}

// FuzzKey checks that every key has a unique path, inside the store and outside its own
// directory, from which the key can be recovered.
func FuzzKey(f *testing.F) {
	seeds := []string{
		"bots/default/credentials/openai.enc", "a//b/", "../../x", "/", "", ".objectvault/format", ".OBJECTVAULT",
		"x/.objectvault/tmp/y", "con", "nul.txt", "a.", "a ", "!", "!+", "!21", "a!+/b", "é", "\x00", "\xff",
		strings.Repeat("x", 300), strings.Repeat(":", 200), "00060a24181e4000", "a/00060a24181e4000.deleted", `C:\x`, "LPT1 .x",
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if err := checkKey(key); err != nil {
			if !errors.Is(err, vault.ErrInvalidName) {
				t.Errorf("checkKey(%q) = %v", key, err)
			}
			return
		}
		checkPath := func(p string) {
			if path.Clean(p) != p || !filepath.IsLocal(filepath.FromSlash(p)) {
				t.Errorf("%q has the path %q", key, p)
			}
			for name := range strings.SplitSeq(p, "/") {
				if len(name) == 0 || len(name) > maxName || strings.ContainsAny(name, "\x00\\:*?\"<>|") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
					t.Errorf("%q has the path %q", key, p)
				}
			}
		}
		p := objectPath(key)
		checkPath(p)
		if first, _, _ := strings.Cut(p, "/"); strings.EqualFold(first, meta) {
			t.Errorf("%q has the path %q, which belongs to the store itself", key, p)
		}
		// Back again, as a listing does it.
		var segments []string
		part := ""
		for name := range strings.SplitSeq(p, "/") {
			part += name
			if strings.HasSuffix(name, joint) {
				part += "/"
				continue
			}
			segment, ok := segmentOf(part)
			if !ok {
				t.Errorf("segmentOf(%q), for a part of %q, returns no key", part, p)
			}
			segments = append(segments, segment)
			part = ""
		}
		if back := strings.Join(segments, "/"); back != key {
			t.Errorf("%q has the path %q, which belongs to %q", key, p, back)
		}
		v := versionsPath(key)
		checkPath(v)
		if back, ok := keyOf(v); back != key || !ok {
			t.Errorf("the versions of %q are at %q, which is the path of %q, %v", key, v, back, ok)
		}
		above := ""
		for name := range strings.SplitSeq(v, "/") {
			hex, _, _ := strings.Cut(name, ".")
			if _, ok := parseID(hex); ok && !strings.HasSuffix(above, joint) { // no key is at a joint
				t.Errorf("the versions of %q are at %q, where %s looks like a version", key, v, name)
			}
			above = name
		}
	})
}

// FuzzPath checks the other direction: the segment of a file name maps back to that name.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a", "!", "!!", "!2e", "!2E", "!+", "x!+/y", strings.Repeat("n", 253) + "!+/nnn", "!63on", "con", "!4", "a!", "", "/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if segment, ok := segmentOf(name); ok && segmentPath(segment, false) != name {
			t.Errorf("%q is decoded as %q, whose path is %q", name, segment, segmentPath(segment, false))
		}
	})
}

func TestAttrs(t *testing.T) {
	for _, bad := range []string{"", "{", "{}{}", `{"unknown":1}`, `{"metadata":[]}`, "{} x"} {
		if a, err := decodeAttrs([]byte(bad)); err == nil {
			t.Errorf("decodeAttrs(%q) = %+v", bad, a)
		}
	}
	if _, err := (attrs{ContentLanguage: strings.Repeat("x", maxAttrs)}).encode(); err == nil {
		t.Error("attributes above the size limit were encoded")
	}
	for _, none := range []attrs{{}, newAttrs(octetStream, new(driver.WriterOptions))} {
		if b, err := none.encode(); b != nil || err != nil {
			t.Errorf("no attributes are encoded as %q, %v", b, err)
		}
	}
}
