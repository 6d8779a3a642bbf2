package federation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/federation"
)

var loginTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func someLogin(id string) federation.Login {
	return federation.Login{
		Credentials: federation.Credentials{
			AccessKeyID: id, SecretKey: federation.NewSecret("secret of " + id), SessionToken: federation.NewSecret("token of " + id),
			Issued: loginTime, Expires: loginTime.Add(time.Hour),
			Role: "arn:aws:iam::123456789012:role/vault", Session: "s1", Account: "123456789012", Subject: "agent", Issuer: "https://issuer.example",
		},
		Tenant: "0xabc", Store: "s3://bucket", Identity: "file:/run/token",
	}
}

func newCache(t *testing.T) (c federation.Cache, now *time.Time) {
	now = new(time.Time)
	*now = loginTime
	return federation.Cache{Dir: filepath.Join(t.TempDir(), "state", "login"), Now: func() time.Time { return *now }}, now
}

func save(t *testing.T, c federation.Cache, key, id string) {
	t.Helper()
	if err := c.Save(key, someLogin(id)); err != nil {
		t.Fatal(err)
	}
}

// plain returns a comparable copy of a login, secrets included.
func plain(l federation.Login) string {
	return fmt.Sprintf("%+v %q %q", l, l.SecretKey.Reveal(), l.SessionToken.Reveal())
}

func TestCache(t *testing.T) {
	c, now := newCache(t)
	key := federation.CacheKey("s3://bucket", "file:/run/token")
	if _, err := c.Load(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("load before the first save: %v", err)
	}
	if ok, err := c.Remove(key); ok || err != nil {
		t.Errorf("remove before the first save: %v, %v", ok, err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory exists before the first Save: %v", err)
	}
	save(t, c, key, "one")
	save(t, c, key, "two")
	save(t, c, federation.CacheKey("other"), "other")
	got, err := c.Load(key)
	if diff := cmp.Diff(plain(someLogin("two")), plain(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for path, want := range map[string]fs.FileMode{
		filepath.Join(c.Dir, key): 0o600, c.Dir: fs.ModeDir | 0o700, filepath.Dir(c.Dir): fs.ModeDir | 0o700,
	} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if entries, err := os.ReadDir(c.Dir); err != nil || len(entries) != 2 {
		t.Errorf("the directory contains %v, %v", entries, err)
	}

	*now = loginTime.Add(time.Hour - 1)
	if _, err := c.Load(key); err != nil {
		t.Errorf("load just before the login expires: %v", err)
	}
	*now = loginTime.Add(time.Hour)
	if _, err := c.Load(key); !errors.Is(err, fs.ErrNotExist) || err.Error() != "the login expired at 2026-03-01T13:00:00Z: file does not exist" {
		t.Errorf("expired: %v", err)
	}
	*now = loginTime

	if ok, err := c.Remove(key); !ok || err != nil {
		t.Errorf("remove: %v, %v", ok, err)
	}
	if ok, err := c.Remove(key); ok || err != nil {
		t.Errorf("remove again: %v, %v", ok, err)
	}
	if _, err := c.Load(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after remove: %v", err)
	}
	if got, err := c.Load(federation.CacheKey("other")); err != nil || got.AccessKeyID != "other" {
		t.Errorf("the other login: %v, %v", got, err)
	}
}

// Remove also removes the temporary files of a killed Save.
func TestRemoveLeftovers(t *testing.T) {
	c, _ := newCache(t)
	key, other := federation.CacheKey("a"), federation.CacheKey("b")
	save(t, c, key, "a")
	for _, k := range []string{key, other} {
		if err := os.WriteFile(filepath.Join(c.Dir, "."+k+".123.tmp"), []byte(hidden), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := c.Remove(key); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "."+other+".123.tmp" {
		t.Errorf("the directory contains %v, %v", entries, err)
	}
	if ok, err := c.Remove(other); ok || err != nil { // there is no such login
		t.Errorf("%v, %v", ok, err)
	}
	if entries, err := os.ReadDir(c.Dir); err != nil || len(entries) != 0 {
		t.Errorf("the directory contains %v, %v", entries, err)
	}
}

// A failed Save leaves no file with a secret.
func TestSaveFails(t *testing.T) {
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	if err := os.MkdirAll(filepath.Join(c.Dir, key, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(key, someLogin("x")); err == nil {
		t.Error("Save replaced a directory")
	}
	if entries, err := os.ReadDir(c.Dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory contains %v, %v", entries, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	path := filepath.Join(c.Dir, key)
	save(t, c, key, "one")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for name, bad := range map[string]string{
		"empty":          "",
		"truncated":      good[:len(good)-4],
		"two logins":     good + good,
		"another format": strings.Replace(good, "login 1", "login 2", 1),
		"no format":      strings.Replace(good, `"format"`, `"tenant"`, 1),
		"unknown field":  strings.Replace(good, `"subject"`, `"subjekt"`, 1),
		"no id":          strings.Replace(good, `"one"`, `""`, 1),
		"no expiry":      strings.Replace(good, `"2026-03-01T13:00:00Z"`, "null", 1),
		"not JSON":       hidden,
		"too large":      good + strings.Repeat(" ", 256<<10),
	} {
		if bad == good {
			t.Fatalf("%s: the text is still the good one", name)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Load(key)
		if want := "unusable login file: " + path + " is malformed: log out, and log in again"; !errors.Is(err, federation.ErrLoginFile) || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: the file was removed: %v", name, err)
		}
	}
	if ok, err := c.Remove(key); !ok || err != nil {
		t.Errorf("remove of a malformed login: %v, %v", ok, err)
	}
}

// The format is stable: a file of an older version is read, field by field.
func TestLoginFormat(t *testing.T) {
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	save(t, c, key, "one")
	text, err := os.ReadFile(filepath.Join(c.Dir, key))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
	"format": "objectvault login 1",
	"access_key_id": "one",
	"secret_key": "secret of one",
	"session_token": "token of one",
	"issued": "2026-03-01T12:00:00Z",
	"expires": "2026-03-01T13:00:00Z",
	"role": "arn:aws:iam::123456789012:role/vault",
	"session": "s1",
	"account": "123456789012",
	"subject": "agent",
	"issuer": "https://issuer.example",
	"tenant": "0xabc",
	"store": "s3://bucket",
	"identity": "file:/run/token"
}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b, err := json.Marshal(someLogin(hidden)); err != nil || strings.Contains(string(b), "secret of") || strings.Contains(string(b), "token of") {
		t.Errorf("the JSON of a login contains a secret: %s, %v", b, err)
	}
}

func TestSaveRefuses(t *testing.T) {
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	noID, noExpiry, large := someLogin(""), someLogin("x"), someLogin("x")
	noExpiry.Expires = time.Time{}
	large.SessionToken = federation.NewSecret(strings.Repeat(hidden, 64<<10))
	for name, l := range map[string]federation.Login{"no id": noID, "no expiry": noExpiry, "large": large} {
		err := c.Save(key, l)
		if want := "cannot save a login without key id or expiry, or larger than 256 KiB"; err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, key := range []string{"", ".", "../" + key, key + "/x", key[:63], key + "0", strings.Repeat("g", 64), "/etc/passwd"} {
		_, load := c.Load(key)
		_, remove := c.Remove(key)
		for what, err := range map[string]error{"load": load, "save": c.Save(key, someLogin("x")), "remove": remove} {
			if err == nil || err.Error() != "federation: invalid key of a login: use CacheKey to create it" {
				t.Errorf("%s %q: %v", what, key, err)
			}
		}
	}
	for _, dir := range []string{"", "relative"} {
		if err := (federation.Cache{Dir: dir}).Save(key, someLogin("x")); err == nil || err.Error() != "federation: the directory of a Cache must be absolute" {
			t.Errorf("in %q: %v", dir, err)
		}
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was created: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (federation.Cache{Dir: file}).Save(key, someLogin("x")); !errors.Is(err, federation.ErrLoginFile) {
		t.Errorf("a file in place of the directory: %v", err)
	}
}

// Concurrent readers and writers: a reader gets one whole login.
func TestSaveIsAtomic(t *testing.T) {
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	save(t, c, key, "first")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if err := c.Save(key, someLogin(strings.Repeat("x", 1000*(i+1)))); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				l, err := c.Load(key)
				if err != nil || l.SecretKey.Reveal() != "secret of "+l.AccessKeyID {
					t.Errorf("%d bytes of id, %v", len(l.AccessKeyID), err)
				}
			}
		})
	}
	wg.Wait()
	if entries, err := os.ReadDir(c.Dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory contains %v, %v", entries, err)
	}
}

func TestCacheKey(t *testing.T) {
	// SHA-256 over 00…01 "a" 00…02 "bc", by sha256sum.
	const want = "3fafa1cf2f19a7c1129beb20cf0983f73a489a221fc0dd2f16d1be292d089205"
	if got := federation.CacheKey("a", "bc"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	seen := make(map[string][]string)
	for _, parts := range [][]string{nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}} {
		key := federation.CacheKey(parts...)
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have the same key", parts, other)
		}
		seen[key] = parts
	}
}
