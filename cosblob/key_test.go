package cosblob

import (
	"hash/crc64"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

func TestEscapeKey(t *testing.T) {
	for _, tc := range []struct{ key, want string }{
		{"a/b", "a/b"}, {"a//b", "a//b"}, {"a\\b", "a\\b"}, {"☺", "☺"}, {"a_b__c", "a_b__c"},
		{"\x00\x18\x7f", "__0x0____0x18____0x7f__"},
		{"a/../b", "a/..__0x2f__b"}, {"./b", ".__0x2f__b"}, {"a../b", "a../b"}, {".../b", ".../b"}, {"a/..b", "a/..b"},
		{"__0x2f__", "__0__0x78__2f__"}, {"___0x\n", "___0__0x78____0xa__"},
	} {
		got, err := escapeKey(tc.key)
		if err != nil || got != tc.want {
			t.Errorf("escapeKey(%q) = %q, %v, want %q", tc.key, got, err, tc.want)
		}
		if back := unescapeKey(got); back != tc.key {
			t.Errorf("unescapeKey(%q) = %q, want %q", got, back, tc.key)
		}
	}
	for _, key := range []string{"", "/a", "\\a", ".", "..", "a/.", "a/..", strings.Repeat("a", 851), strings.Repeat("a", 845) + "\n"} {
		if got, err := escapeKey(key); new(bucket).ErrorCode(err) != gcerrors.InvalidArgument {
			t.Errorf("escapeKey(%q) = %q, %v, want InvalidArgument", key, got, err)
		}
	}
}

// TestRefusedKeys: every method rejects an unsupported key before it sends a request.
func TestRefusedKeys(t *testing.T) {
	s, b := openSmall(t)
	const bad = "/a"
	_, attributes := b.Attributes(t.Context(), bad)
	_, read := b.ReadAll(t.Context(), bad)
	_, signed := b.SignedURL(t.Context(), bad, nil)
	for what, err := range map[string]error{
		"attributes": attributes, "read": read, "sign": signed,
		"write": b.WriteAll(t.Context(), bad, nil, nil), "delete": b.Delete(t.Context(), bad),
		"copy from": b.Copy(t.Context(), "a", bad, nil), "copy to": b.Copy(t.Context(), bad, "a", nil),
	} {
		if gcerrors.Code(err) != gcerrors.InvalidArgument || !strings.Contains(err.Error(), "begin with") {
			t.Errorf("%s: %v, want InvalidArgument", what, err)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// FuzzKey: unescaping reverses escaping, the prefix of a key becomes the prefix of its name, and no
// name contains a relative path element.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"", "a/../b", "__0x2f__", "___0x\n", "\\..\\", "☺\x7f", "__0__0x78__"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		name := escapePrefix(a + b)
		if got := unescapeKey(name); got != a+b {
			t.Errorf("%q is escaped to %q, which is unescaped to %q", a+b, name, got)
		}
		if !strings.HasPrefix(name, escapePrefix(a)) {
			t.Errorf("%q is not a prefix of %q", escapePrefix(a), name)
		}
		if strings.Contains("/"+name, "/../") || strings.Contains("/"+name, "/./") {
			t.Errorf("%q contains relative path elements", name)
		}
	})
}

// FuzzName: a name that escapePrefix cannot produce is returned unchanged.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"a/../b", "__0x2f__", "__0x02f__", "__0xzz__", "__0x", "__0xff__", "__0x61__"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if key := unescapeKey(name); key != name && escapePrefix(key) != name {
			t.Errorf("%q is shown as %q, which is %q", name, key, escapePrefix(key))
		}
	})
}

// FuzzMetadata: keys and values survive a round trip, and use only characters that COS allows and
// preserves.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"key_a", "a-b", "☺", "-5f", "100%", "a b+c"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, k, v string) {
		k = strings.ToLower(k)
		if k == "" || !utf8.ValidString(k) || !utf8.ValidString(v) || strings.ToLower(k) != k {
			return
		}
		h, err := writeMetadata(map[string]string{k: v})
		if err != nil {
			return
		}
		for name, values := range *h {
			if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Errorf("COS does not allow the name %q", name)
			}
			for _, c := range values[0] {
				if c <= ' ' || c > '~' {
					t.Errorf("signing breaks the value %q", values[0])
				}
			}
		}
		if diff := cmp.Diff(map[string]string{k: v}, readMetadata(*h)); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
	})
}

// TestForeignMetadata: metadata that another program wrote is returned unchanged.
func TestForeignMetadata(t *testing.T) {
	h := http.Header{"X-Cos-Meta-My-Key": {"100%"}, "X-Cos-Meta-A-": {"a%2fb"}, "X-Cos-Meta-B-41": {"a+b"}, "ETag": {"x"}}
	want := map[string]string{"my-key": "100%", "a-": "a%2fb", "b-41": "a+b"}
	if diff := cmp.Diff(want, readMetadata(h)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTooMuchMetadata(t *testing.T) {
	s, b := openSmall(t)
	fits := 2048 - len("x-cos-meta-a")
	for n, want := range map[int]gcerrors.ErrorCode{fits: gcerrors.OK, fits + 1: gcerrors.InvalidArgument} {
		err := b.WriteAll(t.Context(), "key", nil, &blob.WriterOptions{Metadata: map[string]string{"a": strings.Repeat("a", n)}})
		if gcerrors.Code(err) != want {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestJoinCRC(t *testing.T) {
	data := make([]byte, 5000)
	rand.NewChaCha8([32]byte{1}).Read(data)
	for _, cut := range []int{0, 1, 7, 8, 1000, 4999, 5000} {
		a, b := data[:cut], data[cut:]
		got := joinCRC(crc64.Checksum(a, crcTable), crc64.Checksum(b, crcTable), int64(len(b)))
		if want := crc64.Checksum(data, crcTable); got != want {
			t.Errorf("cut at %d: %x, want %x", cut, got, want)
		}
	}
	// The check value of CRC-64/XZ.
	if got := joinCRC(crc64.Checksum([]byte("12345"), crcTable), crc64.Checksum([]byte("6789"), crcTable), 4); got != 11051210869376104954 {
		t.Errorf("123456789: %d", got)
	}
}

func TestTooManyParts(t *testing.T) {
	u := &upload{parts: make([]*part, maxParts)}
	if err := u.do(1, nil); err == nil || !strings.Contains(err.Error(), "BufferSize") {
		t.Errorf("part 10,001: %v", err)
	}
}
