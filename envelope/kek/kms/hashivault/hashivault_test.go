package hashivault_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/hashivault"
)

var ref = envelope.Ref{Vault: "v1", Tenant: "0xabc", Collection: "credentials", Name: "openrouter"}

const token = "hvs.SECRET"

// A transit is the transit engine of a Vault, as its documentation describes it
// (developer.hashicorp.com/vault/api-docs/secret/transit): a request names its key, and a ciphertext of
// another key is rejected.
type transit struct {
	*httptest.Server
	keys map[string]cipher.AEAD

	mu       sync.Mutex
	requests []string
	before   func(w http.ResponseWriter, n int) bool // responds instead of the server, and reports it
}

func newTransit(t testing.TB, keys ...string) *transit {
	t.Helper()
	v := &transit{keys: make(map[string]cipher.AEAD)}
	for _, name := range keys {
		secret := make([]byte, 32)
		rand.Read(secret)
		block, err := aes.NewCipher(secret)
		if err != nil {
			t.Fatal(err)
		}
		if v.keys[name], err = cipher.NewGCM(block); err != nil {
			t.Fatal(err)
		}
	}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.requests = append(v.requests, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Vault-Namespace"))
	n, before := len(v.requests), v.before
	v.mu.Unlock()
	if before != nil && before(w, n) {
		return
	}
	fail := func(status int, message string) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string][]string{"errors": {message}})
	}
	operation, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
	var in struct{ Plaintext, Ciphertext string }
	key := v.keys[name]
	switch {
	case r.Header.Get("X-Vault-Token") != token:
		fail(http.StatusForbidden, "permission denied: "+r.Header.Get("X-Vault-Token"))
	case !strings.HasPrefix(r.URL.Path, "/v1/transit/") || !ok || r.Method != http.MethodPut:
		fail(http.StatusNotFound, "no handler for route")
	case key == nil:
		fail(http.StatusBadRequest, "encryption key not found")
	case json.NewDecoder(r.Body).Decode(&in) != nil:
		fail(http.StatusBadRequest, "error parsing JSON")
	case operation == "encrypt":
		plaintext, err := base64.StdEncoding.DecodeString(in.Plaintext)
		if err != nil {
			fail(http.StatusBadRequest, "failed to base64-decode plaintext")
			return
		}
		nonce := make([]byte, 12)
		rand.Read(nonce)
		blob := key.Seal(nonce, nonce, plaintext, nil)
		json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(blob), "key_version": 1}})
	case operation == "decrypt":
		text, versioned := strings.CutPrefix(in.Ciphertext, "vault:v1:")
		blob, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !versioned || len(blob) < 12 {
			fail(http.StatusBadRequest, "invalid ciphertext: "+in.Ciphertext)
			return
		}
		plaintext, err := key.Open(nil, blob[:12], blob[12:], nil)
		if err != nil {
			fail(http.StatusBadRequest, "cipher: message authentication failed")
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plaintext)}})
	default:
		fail(http.StatusNotFound, "unsupported path")
	}
}

func configOf(v *transit, key string) hashivault.Config {
	return hashivault.Config{Key: key, Address: v.URL, Token: token}
}

func newSource(t testing.TB, c hashivault.Config) *kms.Source {
	t.Helper()
	s, err := hashivault.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// enrolled returns the source of a key, after Enrol.
func enrolled(t testing.TB, c hashivault.Config) *kms.Source {
	t.Helper()
	record, err := hashivault.Enrol(context.Background(), c)
	if err != nil || record.KeyID != c.Key {
		t.Fatalf("Enrol: %+v, %v", record, err)
	}
	c.Enrolment = &record
	return newSource(t, c)
}

func open(object []byte, sources ...envelope.KeySource) (string, error) {
	r, err := envelope.Open(context.Background(), bytes.NewReader(object), ref, sources)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestTransit(t *testing.T) {
	// The client reads these; the source does not use them.
	t.Setenv("VAULT_TOKEN", "hvs.OTHER")
	t.Setenv("VAULT_ADDR", "http://vault.invalid")
	t.Setenv("VAULT_NAMESPACE", "other")
	v := newTransit(t, "objectvault", "other")
	keys, other := enrolled(t, configOf(v, "objectvault")), enrolled(t, configOf(v, "other"))
	v.requests = nil
	var object bytes.Buffer
	w, err := envelope.Seal(t.Context(), &object, ref, []envelope.KeySource{keys}, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "sk-demo")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := open(object.Bytes(), newSource(t, configOf(v, "objectvault"))); got != "sk-demo" || err != nil {
		t.Errorf("Open without the record: %q, %v", got, err)
	}
	if want := "[PUT /v1/transit/encrypt/objectvault  PUT /v1/transit/decrypt/objectvault ]"; fmt.Sprint(v.requests) != want {
		t.Errorf("the requests are %v, want %s", v.requests, want)
	}
	if _, err := open(object.Bytes(), other); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("another key: %v", err)
	}

	// A ciphertext of another key, in a stanza of this key.
	aad := envelope.AAD{Ctx: ref.Context()}
	st, err := keys.Wrap(t.Context(), ref, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	of, err := other.Wrap(t.Context(), ref, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	for what, body := range map[string][]byte{"a ciphertext of another key": of.Body, "no ciphertext": []byte("SECRET")} {
		st.Body = body
		if _, err := keys.Unwrap(t.Context(), ref, st, aad); !errors.Is(err, envelope.ErrDecrypt) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want ErrDecrypt", what, err)
		}
	}
	if keys.Name() != "hashivault objectvault" {
		t.Errorf("the name is %s", keys.Name())
	}
}

func TestErrors(t *testing.T) {
	v := newTransit(t, "objectvault")
	with := func(change func(*hashivault.Config)) hashivault.Config {
		c := configOf(v, "objectvault")
		change(&c)
		return c
	}
	for _, tc := range []struct {
		what   string
		config hashivault.Config
		want   error
		state  string
	}{
		{"wrong token", with(func(c *hashivault.Config) { c.Token = "hvs.SECRET2" }), envelope.ErrDenied, "has expired"},
		{"key does not exist", with(func(c *hashivault.Config) { c.Key = "none" }), envelope.ErrUnavailable, "the key does not exist"},
		{"engine does not exist", with(func(c *hashivault.Config) { c.Engine = "other/transit" }), envelope.ErrUnavailable, "no transit engine"},
		{"no server", with(func(c *hashivault.Config) { c.Address = "http://127.0.0.1:1" }), envelope.ErrUnavailable, ""},
		{"no token", with(func(c *hashivault.Config) { c.Token = "" }), envelope.ErrUnauthenticated, "no token"},
		{"no key", with(func(c *hashivault.Config) { c.Key = "" }), envelope.ErrInvalid, ""},
		{"key with slashes and dots", with(func(c *hashivault.Config) { c.Key = "../../sys/raw" }), envelope.ErrInvalid, ""},
		{"key is two dots", with(func(c *hashivault.Config) { c.Key = ".." }), envelope.ErrInvalid, ""},
		{"engine with dots", with(func(c *hashivault.Config) { c.Engine = "transit/.." }), envelope.ErrInvalid, ""},
		{"no address", with(func(c *hashivault.Config) { c.Address = "" }), envelope.ErrInvalid, ""},
		{"plain http", with(func(c *hashivault.Config) { c.Address = "http://vault.example" }), envelope.ErrInvalid, "plain http"},
		{"password in the address", with(func(c *hashivault.Config) { c.Address = "https://u:SECRET@vault.example" }), envelope.ErrInvalid, ""},
	} {
		_, err := hashivault.Enrol(t.Context(), tc.config)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.state) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want %v, %s", tc.what, err, tc.want, tc.state)
		}
		if text := fmt.Sprintf("%v %+v %#v", tc.config, tc.config, &tc.config); strings.Contains(text, "SECRET") {
			t.Errorf("%s: the configuration prints its token: %s", tc.what, text)
		}
	}
}

// TestResponses: a request to a busy server is repeated, and a response that is not from Vault is an error.
func TestResponses(t *testing.T) {
	for _, tc := range []struct {
		what     string
		status   int
		body     string
		want     error
		requests int
	}{
		{"sealed", 503, `{"errors":["Vault is sealed"]}`, envelope.ErrUnavailable, 3},
		{"standby server", 500, `{"errors":["internal error"]}`, envelope.ErrUnavailable, 3},
		{"unauthorized", 401, `{"errors":["log in"]}`, envelope.ErrUnauthenticated, 1},
		{"login page", 200, "<html>sign in</html>", envelope.ErrUnavailable, 1},
		{"blocking proxy", 403, "<html>blocked SECRET</html>", envelope.ErrUnavailable, 1},
		{"redirect", 307, "", envelope.ErrUnavailable, 1},
		{"no data", 200, `{"data":{}}`, envelope.ErrUnavailable, 1},
		{"data of another type", 200, `{"data":{"ciphertext":1}}`, envelope.ErrUnavailable, 1},
		{"empty 404", 404, "", envelope.ErrUnavailable, 1},
		{"empty object", 200, `{}`, envelope.ErrUnavailable, 1},
	} {
		v := newTransit(t, "objectvault")
		v.before = func(w http.ResponseWriter, _ int) bool {
			w.WriteHeader(tc.status)
			io.WriteString(w, tc.body)
			return true
		}
		_, err := hashivault.Enrol(t.Context(), configOf(v, "objectvault"))
		if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "SECRET") || len(v.requests) != tc.requests {
			t.Errorf("%s: %v after %d requests, want %v after %d", tc.what, err, len(v.requests), tc.want, tc.requests)
		}
	}
	// A redirect would send the token to another server.
	elsewhere := newTransit(t, "objectvault")
	v := newTransit(t, "objectvault")
	v.before = func(w http.ResponseWriter, _ int) bool {
		w.Header().Set("Location", elsewhere.URL+"/v1/transit/encrypt/objectvault")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	if _, err := hashivault.Enrol(t.Context(), configOf(v, "objectvault")); !errors.Is(err, envelope.ErrUnavailable) || len(elsewhere.requests) > 0 {
		t.Errorf("a redirect: %v, the other server got %q", err, elsewhere.requests)
	}
	v = newTransit(t, "objectvault")
	v.before = func(w http.ResponseWriter, n int) bool {
		if n <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n <= 2
	}
	if _, err := hashivault.Enrol(t.Context(), configOf(v, "objectvault")); err != nil {
		t.Errorf("busy twice: %v", err)
	}
}

// TestSilent: the driver ignores contexts, but the source does not wait for it.
func TestSilent(t *testing.T) {
	v := newTransit(t, "objectvault")
	asked, release := make(chan struct{}, 10), make(chan struct{})
	defer close(release)
	v.before = func(http.ResponseWriter, int) bool {
		asked <- struct{}{}
		<-release
		return true
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	c := configOf(v, "objectvault")
	c.Timeout = time.Hour
	if _, err := hashivault.Enrol(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
	c.Timeout = 10 * time.Millisecond
	if _, err := hashivault.Enrol(t.Context(), c); !errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("no response within the time limit: %v", err)
	}
}

// The source of a key in the transit engine of a Vault.
func ExampleNew() {
	keys, err := hashivault.New(hashivault.Config{Key: "objectvault", Address: "https://vault.example:8200", Token: "hvs.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	fmt.Println(keys.Name())
	// Output: hashivault objectvault
}
