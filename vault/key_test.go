package vault

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestObjectKey(t *testing.T) {
	for _, tc := range []struct{ name, key string }{
		{"openrouter", "openrouter.enc"},
		{"acme/openai", "acme/openai.enc"},
		{"A-z_0.~@=", "A-z_0.~@=.enc"},
		{"__0x2f__", "_%5F0x2f_%5F.enc"},
		{"___", "_%5F%5F.enc"},
		{"_/_", "_/_.enc"},
		{"a.enc", "a.enc.enc"},
		{"a.enc/b", "a%2Eenc/b.enc"},
		{".enc/.enc/.enc", "%2Eenc/%2Eenc/.enc.enc"},
		{"a.enc.enc/b", "a.enc%2Eenc/b.enc"},
		{"a.encx/b", "a.encx/b.enc"},
		{"a b%+", "a%20b%25%2B.enc"},
		{"é", "%C3%A9.enc"},
	} {
		key, err := objectKey("t", "c", Name(tc.name))
		if want := "bots/t/c/" + tc.key; key != want || err != nil {
			t.Errorf("objectKey(%q) = %q, %v; want %q", tc.name, key, err, want)
		}
		if back, ok := nameOf("t", "c", key); !ok || string(back) != tc.name {
			t.Errorf("nameOf(%q) = %q, %v; want %q", key, back, ok, tc.name)
		}
	}
	for _, foreign := range []string{
		"bots/t/c/a", "bots/t/c/.enc", "bots/t/c/a.ENC", "bots/t/c/a%2eenc/b.enc", "bots/t/c/a.enc/b.enc", "bots/t/c/%61.enc",
		"bots/t/c/a%.enc", "bots/t/c/a%4.enc", "bots/t/c/__.enc", "bots/t/c/a//b.enc", "bots/t/c/../x.enc", "bots/t/c/a b.enc",
		"bots/t/c/é.enc", "bots/t/c/%FF.enc", "bots/t/c/%65%CC%81.enc", "bots/u/c/a.enc", "bots/t/c2/a.enc", "a.enc", "",
	} {
		if name, ok := nameOf("t", "c", foreign); ok {
			t.Errorf("nameOf(%q) = %q, want no name", foreign, name)
		}
	}
	tenant, collection := Tenant(strings.Repeat("t", 128)), Collection(strings.Repeat("c", 63))
	if _, err := objectKey(tenant, collection, Name(strings.Repeat("é/", 170))); err == nil {
		t.Error("objectKey returned a key of more than 850 bytes")
	}
}

// TestObjectKeyVectors compares object keys with those of the published vectors.
func TestObjectKeyVectors(t *testing.T) {
	files, err := filepath.Glob("../envelope/testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors (%v): this test would pass without looking at anything", err)
	}
	compared := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Inputs    *struct{ Tenant, Collection, Name string }
			ObjectKey string `json:"object_key"`
		}
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if v.Inputs == nil || v.ObjectKey == "" {
			continue
		}
		in := v.Inputs
		if key, err := objectKey(Tenant(in.Tenant), Collection(in.Collection), Name(in.Name)); key != v.ObjectKey || err != nil {
			t.Errorf("%s: objectKey(%q) = %q, %v; want %q", file, in.Name, key, err, v.ObjectKey)
		}
		compared++
	}
	if compared < 5 {
		t.Errorf("only %d vectors have an object key", compared)
	}
}

func seedNames(f *testing.F) {
	for _, s := range []string{"openrouter", "acme/openai", "__0x2f__", "a.enc/b", ".enc", "a%2Eenc", "é/鍵", "___/_", "..", "a//b", strings.Repeat("a", 251)} {
		f.Add(s)
	}
}

// FuzzName: the key of every valid name decodes to the same name, stays inside its tenant and
// collection, and has segments that every store accepts.
func FuzzName(f *testing.F) {
	seedNames(f)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		key, err := objectKey("t", "c", n)
		if err != nil {
			return
		}
		if back, ok := nameOf("t", "c", key); !ok || back != n {
			t.Fatalf("%q -> %q -> %q, %v", n, key, back, ok)
		}
		if !strings.HasPrefix(key, "bots/t/c/") || strings.Contains(key, "__") {
			t.Fatalf("%q -> %q", n, key)
		}
		segments := strings.Split(key, "/")
		for i, segment := range segments {
			if segment == "" || segment == "." || segment == ".." || len(segment) > 255 {
				t.Fatalf("%q -> %q has the segment %q", n, key, segment)
			}
			// Every key ends in .enc and no directory does, so no key is a directory of another.
			if last := i == len(segments)-1; strings.HasSuffix(segment, ".enc") != last {
				t.Fatalf("%q -> %q: segment %d", n, key, i)
			}
		}
		for i := range s {
			if p := listPrefix("t", "c", s[:i]); !strings.HasPrefix(key, p) {
				t.Fatalf("a list of %q requests the prefix %q, which excludes %q", s[:i], p, key)
			}
		}
	})
}

func TestParseKey(t *testing.T) {
	for _, tc := range []struct {
		key string
		t   Tenant
		c   Collection
		n   Name
		ok  bool
	}{
		{"bots/t/c/a.enc", "t", "c", "a", true},
		{"bots/t/c/a%20b/c.enc", "t", "c", "a b/c", true},
		{"bots/t/c/a b.enc", "t", "c", "", false},
		{"bots/t/c/a", "t", "c", "", false},
		{"bots/t/c/", "t", "c", "", false},
		{"bots/t/c", "t", "", "", false},
		{"bots/t/C/a.enc", "t", "", "", false},
		{"bots/t/", "t", "", "", false},
		{"bots/t", "", "", "", false},
		{"bots/T/c/a.enc", "", "", "", false},
		{"bots//c/a.enc", "", "", "", false},
		{"bots/", "", "", "", false},
		{"x/bots/t/c/a.enc", "", "", "", false},
		{"", "", "", "", false},
	} {
		tenant, collection, name, ok := ParseKey(tc.key)
		if tenant != tc.t || collection != tc.c || name != tc.n || ok != tc.ok {
			t.Errorf("ParseKey(%q) = %q, %q, %q, %v", tc.key, tenant, collection, name, ok)
		}
	}
}

// FuzzKey: a key that nameOf accepts is exactly the key of the name that it returns.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"bots/t/c/a.enc", "bots/t/c/a%2Eenc/b.enc", "bots/t/c/_%5F.enc", "bots/t/c/%C3%A9.enc", "bots/t/c/%2e.enc", "bots/t/c/../d.enc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		n, ok := nameOf("t", "c", key)
		if !ok {
			return
		}
		if again, err := objectKey("t", "c", n); again != key || err != nil {
			t.Fatalf("%q -> %q -> %q, %v", key, n, again, err)
		}
	})
}
