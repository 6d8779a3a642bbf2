package tencentkms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/tencentkms"
)

const keyID = "93866e69-9755-11ef-8e65-52540089bc41"

var ref = envelope.Ref{Vault: "v1", Tenant: "0xabc", Collection: "credentials", Name: "openrouter"}

func newServer(t testing.TB, o *costest.Options) *costest.Server {
	t.Helper()
	s, err := costest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func configOf(s *costest.Server, key string) tencentkms.Config {
	return tencentkms.Config{
		KeyID: key, Region: s.Region(), Endpoint: s.URL(),
		Credentials: func(context.Context) (string, string, string, error) { return s.SecretID(), s.SecretKey(), "", nil },
	}
}

func newSource(t testing.TB, c tencentkms.Config) *kms.Source {
	t.Helper()
	s, err := tencentkms.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// enrolled returns the source of a key, after Enrol.
func enrolled(t testing.TB, c tencentkms.Config) *kms.Source {
	t.Helper()
	record, err := tencentkms.Enrol(context.Background(), c)
	if err != nil || record.KeyID != c.KeyID {
		t.Fatalf("Enrol: %+v, %v", record, err)
	}
	c.Enrolment = &record
	return newSource(t, c)
}

func seal(t testing.TB, sources ...envelope.KeySource) []byte {
	t.Helper()
	var object bytes.Buffer
	w, err := envelope.Seal(context.Background(), &object, ref, sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "sk-demo")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return object.Bytes()
}

func open(object []byte, ref envelope.Ref, sources ...envelope.KeySource) (string, error) {
	r, err := envelope.Open(context.Background(), bytes.NewReader(object), ref, sources)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestCostest(t *testing.T) {
	s := newServer(t, nil)
	key, other := s.NewKMSKey(), s.NewKMSKey()
	keys, second := enrolled(t, configOf(s, key)), enrolled(t, configOf(s, other))
	s.Reset()
	object := seal(t, keys)
	if got, err := open(object, ref, newSource(t, configOf(s, key))); got != "sk-demo" || err != nil {
		t.Fatalf("Open without the record: %q, %v", got, err)
	}
	var actions []string
	for _, r := range s.Requests() {
		actions = append(actions, r.Service+" "+r.Action)
	}
	if want := []string{"kms Encrypt", "kms Decrypt"}; !slices.Equal(actions, want) {
		t.Errorf("the requests are %q, want %q", actions, want)
	}
	if keys.Name() != "tencentkms "+key {
		t.Errorf("the name is %s", keys.Name())
	}
	if _, err := open(object, ref, second); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("another key: %v", err)
	}

	// A ciphertext of another key of the account, in a stanza of this key.
	h, err := envelope.ReadHeader(bytes.NewReader(seal(t, second)))
	if err != nil {
		t.Fatal(err)
	}
	aad := envelope.AAD{Ctx: ref.Context()}
	st, err := keys.Wrap(t.Context(), ref, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	own := st.Body
	for what, body := range map[string][]byte{"a ciphertext of another key": h.Stanzas[0].Body, "no ciphertext": []byte("x"), "a truncated ciphertext": own[:len(own)-4], "bytes that are not UTF-8": {0xff, 0xfe}} {
		st.Body = body
		if _, err := keys.Unwrap(t.Context(), ref, st, aad); !errors.Is(err, envelope.ErrDecrypt) {
			t.Errorf("%s: %v, want ErrDecrypt", what, err)
		}
	}

	for state, want := range map[string]string{"Disabled": "the key is disabled", "PendingDelete": "its deletion is scheduled"} {
		if err := s.SetKMSKeyState(key, state); err != nil {
			t.Fatal(err)
		}
		if _, err := open(object, ref, keys); !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrUnavailable, %s", state, err, want)
		}
	}
	if err := s.SetKMSKeyState(key, "Archived"); err != nil {
		t.Fatal(err)
	}
	if got, err := open(object, ref, keys); got != "sk-demo" || err != nil {
		t.Errorf("Open with an archived key: %q, %v", got, err)
	}
	if _, err := keys.Wrap(t.Context(), ref, make([]byte, 32), aad); !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), "archived") {
		t.Errorf("Wrap with an archived key: %v", err)
	}
	for _, missing := range []string{"ResourceUnavailable.CmkNotFound", "ResourceNotFound"} {
		s := newServer(t, &costest.Options{Unsure: map[string]string{"kms-key-missing": missing}})
		if _, err := tencentkms.Enrol(t.Context(), configOf(s, keyID)); !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("a key that does not exist: %v", err)
		}
	}
}

// TestCredentials: rejected keys, a wrong clock, and a role that may not use the key.
func TestCredentials(t *testing.T) {
	s := newServer(t, nil)
	c := configOf(s, s.NewKMSKey())
	with := func(id, secret, token string, err error) tencentkms.Config {
		c := c
		c.Credentials = func(context.Context) (string, string, string, error) { return id, secret, token, err }
		return c
	}
	broken := errors.New("no file")
	down := fmt.Errorf("%w: the issuer", envelope.ErrUnavailable)
	for _, tc := range []struct {
		config tencentkms.Config
		want   error
	}{
		{with("AKIDnone", "SECRET", "", nil), envelope.ErrUnauthenticated},
		{with(s.SecretID(), "SECRET", "", nil), envelope.ErrUnauthenticated},
		{with(s.SecretID(), s.SecretKey(), "SESSIONTOKEN", nil), envelope.ErrUnauthenticated},
		{with("", "", "", broken), envelope.ErrUnauthenticated},
		{with("", "", "", down), envelope.ErrUnavailable},
	} {
		_, err := tencentkms.Enrol(t.Context(), tc.config)
		if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "SESSIONTOKEN") {
			t.Errorf("%v, want %v", err, tc.want)
		}
	}
	late := newServer(t, &costest.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if _, err := tencentkms.Enrol(t.Context(), configOf(late, late.NewKMSKey())); !errors.Is(err, envelope.ErrUnauthenticated) || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a wrong clock: %v", err)
	}
}

// TestFaults: a lost request or response, and a busy service, are repeated.
func TestFaults(t *testing.T) {
	s := newServer(t, nil)
	c := configOf(s, s.NewKMSKey())
	keys := enrolled(t, c)
	busy := costest.RespondBefore(http.StatusOK, costest.ErrorJSON("RequestLimitExceeded", "busy"))
	for what, fault := range map[string]*costest.Fault{
		"lost request": costest.DropBefore(), "lost response": costest.DropAfter(), "busy service": busy,
		"status 503": costest.RespondBefore(http.StatusServiceUnavailable, "busy"),
	} {
		for failures, want := range map[int]error{2: nil, 3: envelope.ErrUnavailable} {
			var n atomic.Int64
			s.SetRule(func(*costest.Request) *costest.Fault {
				if n.Add(1) <= int64(failures) {
					return fault
				}
				return nil
			})
			_, err := keys.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
			if !errors.Is(err, want) || n.Load() != 3 {
				t.Errorf("%s, %d times: %v after %d requests, want %v after 3", what, failures, err, n.Load(), want)
			}
		}
	}
	s.SetRule(func(*costest.Request) *costest.Fault {
		return costest.RespondBefore(http.StatusOK, "<html>sign in</html>")
	})
	s.Reset()
	if _, err := keys.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrUnavailable) || len(s.Requests()) != 1 {
		t.Errorf("a login page: %v after %d requests", err, len(s.Requests()))
	}
}

// TestExpired: keys are renewed once.
func TestExpired(t *testing.T) {
	s := newServer(t, nil)
	c := configOf(s, s.NewKMSKey())
	var expired []string
	token := "OLD"
	c.Credentials = func(context.Context) (string, string, string, error) { return s.SecretID(), s.SecretKey(), token, nil }
	c.Expired = func(id string) { expired, token = append(expired, id), "" }
	if _, err := tencentkms.Enrol(t.Context(), c); err != nil || !slices.Equal(expired, []string{s.SecretID()}) {
		t.Errorf("Enrol: %v, expired %q", err, expired)
	}
	token, expired = "OLD", nil
	c.Expired = func(id string) { expired = append(expired, id) }
	if _, err := tencentkms.Enrol(t.Context(), c); !errors.Is(err, envelope.ErrUnauthenticated) || len(expired) != 1 {
		t.Errorf("Enrol with keys that stay expired: %v, expired %q", err, expired)
	}
}

// newFake starts a server that answers each request with the Response.
func newFake(t testing.TB, response any) *httptest.Server {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Response": response})
	if err != nil {
		t.Fatal(err)
	}
	f := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(text) }))
	t.Cleanup(f.Close)
	return f
}

func fakeConfig(f *httptest.Server) tencentkms.Config {
	return tencentkms.Config{
		KeyID: keyID, Region: "ap-guangzhou", Endpoint: f.URL, Enrolment: &kms.Enrolment{KeyID: keyID},
		Credentials: func(context.Context) (string, string, string, error) { return "AKID", "SECRET", "SESSIONTOKEN", nil },
	}
}

// TestKeyCompared: the key in a response is compared before the ciphertext or the plaintext is used.
func TestKeyCompared(t *testing.T) {
	for _, name := range []string{"", "0" + keyID[1:]} {
		keys := newSource(t, fakeConfig(newFake(t, map[string]any{"RequestId": "r", "KeyId": name, "CiphertextBlob": "blob", "Plaintext": "AAAA"})))
		if _, err := keys.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrChanged) {
			t.Errorf("Wrap: %v, want ErrChanged", err)
		}
		right := newSource(t, fakeConfig(newFake(t, map[string]any{"RequestId": "r", "KeyId": keyID, "CiphertextBlob": "blob"})))
		st, err := right.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Unwrap(t.Context(), ref, st, envelope.AAD{}); !errors.Is(err, envelope.ErrDecrypt) || !strings.Contains(err.Error(), "another key") {
			t.Errorf("Unwrap: %v, want ErrDecrypt", err)
		}
	}
}

func TestCodes(t *testing.T) {
	for _, tc := range []struct {
		code string
		want error
	}{
		{"UnauthorizedOperation", envelope.ErrDenied},
		{"UnauthorizedOperation.CamNoAuth", envelope.ErrDenied},
		{"AuthFailure.UnauthorizedOperation", envelope.ErrDenied},
		{"AuthFailure.SecretIdNotFound", envelope.ErrUnauthenticated},
		{"AuthFailure.TokenFailure", envelope.ErrUnauthenticated},
		{"FailedOperation.DecryptError", envelope.ErrDecrypt},
		{"InvalidParameterValue.InvalidCiphertext", envelope.ErrDecrypt},
		{"InvalidParameter", envelope.ErrDecrypt},
		{"InvalidParameterValue.InvalidKeyUsage", envelope.ErrInvalid},
		{"UnsupportedRegion", envelope.ErrInvalid},
		{"ResourceUnavailable.CmkDisabled", envelope.ErrUnavailable},
		{"SomethingNew", envelope.ErrUnavailable},
	} {
		c := fakeConfig(newFake(t, map[string]any{"RequestId": "r-1", "Error": map[string]string{"Code": tc.code, "Message": "about SESSIONTOKEN and SECRET"}}))
		keys := newSource(t, c)
		right := newSource(t, fakeConfig(newFake(t, map[string]any{"RequestId": "r", "KeyId": keyID, "CiphertextBlob": "blob"})))
		st, err := right.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = keys.Unwrap(t.Context(), ref, st, envelope.AAD{})
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), "KMS Decrypt "+tc.code) || !strings.Contains(err.Error(), "r-1") || strings.Contains(err.Error(), "SESSIONTOKEN") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want %v", tc.code, err, tc.want)
		}
	}
}

func TestConfig(t *testing.T) {
	good := tencentkms.Config{KeyID: keyID, Region: "ap-guangzhou", Credentials: func(context.Context) (string, string, string, error) { return "", "", "", nil }}
	if _, err := tencentkms.New(good); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*tencentkms.Config){
		"an alias":              func(c *tencentkms.Config) { c.KeyID = "vault" },
		"upper case":            func(c *tencentkms.Config) { c.KeyID = strings.ToUpper(keyID) },
		"no region":             func(c *tencentkms.Config) { c.Region = "" },
		"a region with a dot":   func(c *tencentkms.Config) { c.Region = "ap.guangzhou" },
		"no credentials":        func(c *tencentkms.Config) { c.Credentials = nil },
		"plain http":            func(c *tencentkms.Config) { c.Endpoint = "http://kms.example.com" },
		"endpoint is not a URL": func(c *tencentkms.Config) { c.Endpoint = "kms.example.com" },
		"a malformed record":    func(c *tencentkms.Config) { c.Enrolment = &kms.Enrolment{} },
	} {
		c := good
		change(&c)
		if _, err := tencentkms.New(c); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	s := newServer(t, nil)
	c := configOf(s, s.NewKMSKey())
	ctx, cancel := context.WithCancel(t.Context())
	s.SetRule(func(*costest.Request) *costest.Fault { cancel(); return costest.DropBefore() })
	if _, err := tencentkms.Enrol(ctx, c); !errors.Is(err, context.Canceled) || errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("Enrol: %v, want Canceled", err)
	}
}

// FuzzResponse: no response makes Unwrap return a key, and no response makes it panic.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"Response":null}`, `{"Response":{}}`, `{"Response":{"RequestId":"r","KeyId":"` + keyID + `","Plaintext":"AAAA"}}`,
		`{"Response":{"RequestId":"r","KeyId":"` + keyID + `","Plaintext":"!"}}`, `{"Response":{"RequestId":"r","KeyId":"` + keyID + `"}}`, `{"Response":{"RequestId":"r","Error":{"Code":"InternalError","Message":"m"}}}`,
		`{"Response":{"RequestId":"r","Error":{"Code":"AuthFailure.TokenFailure"}}}`, "<html>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if plaintext, err := tencentkms.DecryptResponse(keyID, []byte(text)); err == nil && !strings.Contains(strings.ToLower(text), "plaintext") {
			t.Errorf("%q gives %x", text, plaintext)
		}
	})
}

// The keys that sign the requests come from a function, so that temporary keys can be renewed.
func ExampleNew() {
	s, err := costest.New(nil) // a test server; usually the Endpoint is empty
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	config := tencentkms.Config{
		KeyID: s.NewKMSKey(), Region: "ap-guangzhou", Endpoint: s.URL(),
		Credentials: func(context.Context) (id, secret, token string, err error) {
			return s.SecretID(), s.SecretKey(), "", nil
		},
	}
	record, err := tencentkms.Enrol(ctx, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	config.Enrolment = &record
	keys, err := tencentkms.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()

	ref := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	var object bytes.Buffer
	w, err := envelope.Seal(ctx, &object, ref, []envelope.KeySource{keys}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(w, "sk-demo")
	fmt.Println(w.Close())
	r, err := envelope.Open(ctx, &object, ref, []envelope.KeySource{keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := io.ReadAll(r)
	fmt.Println(string(value), err)
	// Output:
	// <nil>
	// sk-demo <nil>
}
