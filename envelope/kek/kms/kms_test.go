package kms_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/kms"
)

const keyID = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

var ref = envelope.Ref{Vault: "v1", Tenant: "0xabc", Collection: "credentials", Name: "openrouter"}

// A scripted service calls the functions in its fields, and otherwise those of fixed.
type scripted struct {
	fixed
	encrypt, decrypt func(ctx context.Context) ([]byte, error)

	mu    sync.Mutex
	calls int
}

func newService() *scripted {
	return &scripted{fixed: fixed{bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{9}, 12)}}
}

func (s *scripted) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
}

func (s *scripted) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	s.count()
	if s.encrypt != nil {
		return s.encrypt(ctx)
	}
	return s.fixed.Encrypt(ctx, plaintext)
}

func (s *scripted) Decrypt(ctx context.Context, blob []byte) ([]byte, error) {
	s.count()
	if s.decrypt != nil {
		return s.decrypt(ctx)
	}
	return s.fixed.Decrypt(ctx, blob)
}

func newSource(t testing.TB, c kms.Config) *kms.Source {
	t.Helper()
	s, err := kms.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t testing.TB, sources ...envelope.KeySource) []byte {
	t.Helper()
	var object bytes.Buffer
	w, err := envelope.Seal(t.Context(), &object, ref, sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "sk-demo")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return object.Bytes()
}

func open(ctx context.Context, object []byte, sources ...envelope.KeySource) (string, error) {
	r, err := envelope.Open(ctx, bytes.NewReader(object), ref, sources)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestEnrol(t *testing.T) {
	service := newService()
	e, err := kms.Enrol(t.Context(), kms.Config{KeyID: keyID, Service: service})
	if err != nil || e.KeyID != keyID || service.calls != 2 {
		t.Fatalf("Enrol returns %+v, %v after %d calls, want one round trip", e, err, service.calls)
	}
	enrolled := newSource(t, kms.Config{Scheme: "awskms", KeyID: keyID, Service: service, Enrolment: &e})
	reading := newSource(t, kms.Config{Scheme: "awskms", KeyID: keyID, Service: service})
	byRecord := newSource(t, kms.Config{Scheme: "awskms", Service: service, Enrolment: &e})
	object := seal(t, enrolled)
	for _, s := range []*kms.Source{enrolled, reading, byRecord} {
		if s.Name() != "awskms "+keyID || !s.Remote() {
			t.Errorf("the source is %q, remote %v", s.Name(), s.Remote())
		}
		if got, err := open(t.Context(), object, s); got != "sk-demo" || err != nil {
			t.Errorf("Open: %q, %v", got, err)
		}
	}
	service.decrypt = func(context.Context) ([]byte, error) { return make([]byte, 64), nil }
	if _, err := kms.Enrol(t.Context(), kms.Config{KeyID: keyID, Service: service}); !errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("Enrol with a service that decrypts to other bytes: %v", err)
	}
}

// TestSealingRefused: without a record for the key, a source opens objects and seals none.
func TestSealingRefused(t *testing.T) {
	service := newService()
	for _, tc := range []struct {
		config kms.Config
		want   error
	}{
		{kms.Config{KeyID: keyID, Service: service}, envelope.ErrNotEnrolled},
		{kms.Config{Service: service}, envelope.ErrNotEnrolled},
		{kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID + "0"}}, envelope.ErrChanged},
	} {
		_, err := envelope.Seal(t.Context(), io.Discard, ref, []envelope.KeySource{newSource(t, tc.config)}, nil)
		if !errors.Is(err, tc.want) {
			t.Errorf("Seal: %v, want %v", err, tc.want)
		}
	}
	if service.calls != 0 {
		t.Errorf("%d calls of the service", service.calls)
	}
	enrolled := newSource(t, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}})
	alias := newSource(t, kms.Config{Service: service})
	if _, err := open(t.Context(), seal(t, enrolled), alias); !errors.Is(err, envelope.ErrNotEnrolled) || !errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("Open with an alias that is not enrolled: %v", err)
	}
	if got, err := open(t.Context(), seal(t, enrolled, kek.InsecureFixed()), alias, kek.InsecureFixed()); got != "sk-demo" || err != nil {
		t.Errorf("Open with an alias that is not enrolled and another recipient: %q, %v", got, err)
	}
	if _, err := open(t.Context(), seal(t, kek.InsecureFixed()), alias); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("Open of an object without a stanza of a KMS: %v", err)
	}
}

func TestInvalid(t *testing.T) {
	for _, c := range []kms.Config{
		{KeyID: keyID},
		{KeyID: "a key", Service: newService()},
		{KeyID: "schlüssel", Service: newService()},
		{KeyID: strings.Repeat("k", 2049), Service: newService()},
		{KeyID: keyID, Service: newService(), Enrolment: &kms.Enrolment{}},
		{KeyID: keyID, Service: newService(), Enrolment: &kms.Enrolment{KeyID: "a\nb"}},
	} {
		if _, err := kms.New(c); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("New(%.60q): %v", c.KeyID, err)
		}
	}
	if _, err := kms.Enrol(t.Context(), kms.Config{Service: newService()}); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("Enrol without a key: %v", err)
	}
	s := newSource(t, kms.Config{KeyID: keyID, Service: newService(), Enrolment: &kms.Enrolment{KeyID: keyID}})
	if _, err := s.Wrap(t.Context(), ref, make([]byte, 31), envelope.AAD{}); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("Wrap of 31 bytes: %v", err)
	}
}

// TestBlobs: a stanza contains 1 to 8192 bytes.
func TestBlobs(t *testing.T) {
	service := newService()
	s := newSource(t, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}})
	for n, ok := range map[int]bool{0: false, 1: true, 8192: true, 8193: false} {
		service.encrypt = func(context.Context) ([]byte, error) { return make([]byte, n), nil }
		_, err := s.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
		if ok != (err == nil) || !ok && !errors.Is(err, envelope.ErrUnavailable) {
			t.Errorf("a ciphertext of %d bytes: %v", n, err)
		}
	}
	service.decrypt = func(context.Context) ([]byte, error) { t.Error("the service is called"); return nil, nil }
	st, err := newSource(t, kms.Config{KeyID: keyID, Service: newService(), Enrolment: &kms.Enrolment{KeyID: keyID}}).Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 8193} {
		st.Body = make([]byte, n)
		if _, err := s.Unwrap(t.Context(), ref, st, envelope.AAD{}); !errors.Is(err, envelope.ErrDecrypt) {
			t.Errorf("a stanza with %d bytes: %v", n, err)
		}
	}
}

// TestNoPlaintext: a response without a plaintext does not mean that the object is damaged.
func TestNoPlaintext(t *testing.T) {
	service := newService()
	s := newSource(t, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}})
	object := seal(t, s)
	service.decrypt = func(context.Context) ([]byte, error) { return nil, nil }
	if _, err := open(t.Context(), object, s); !errors.Is(err, envelope.ErrUnavailable) || errors.Is(err, envelope.ErrDecrypt) {
		t.Errorf("open: %v, want %v", err, envelope.ErrUnavailable)
	}
}

// TestFailures: if the service cannot be used, another recipient opens the object. If the service rejects
// the ciphertext, no other recipient is tried.
func TestFailures(t *testing.T) {
	service := newService()
	s := newSource(t, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}})
	second := newSource(t, kms.Config{KeyID: "second", Service: newService(), Enrolment: &kms.Enrolment{KeyID: "second"}})
	object := seal(t, s, second)
	for _, tc := range []struct {
		kind error
		next bool
	}{
		{envelope.ErrUnavailable, true}, {envelope.ErrUnauthenticated, true}, {envelope.ErrDenied, true},
		{envelope.ErrDecrypt, false}, {envelope.ErrInvalid, false},
	} {
		service.decrypt = func(context.Context) ([]byte, error) { return nil, &kms.Error{Kind: tc.kind, Code: "Code"} }
		if _, err := open(t.Context(), object, s); !errors.Is(err, tc.kind) {
			t.Errorf("alone: %v, want %v", err, tc.kind)
		}
		got, err := open(t.Context(), object, s, second)
		if tc.next != (err == nil && got == "sk-demo") {
			t.Errorf("%v, with another recipient: %q, %v", tc.kind, got, err)
		}
	}
	service.encrypt = func(context.Context) ([]byte, error) { return nil, &kms.Error{Kind: envelope.ErrDenied} }
	_, err := s.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
	if !errors.Is(err, envelope.ErrDenied) || errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("Wrap: %v, want only ErrDenied: a later attempt does not help", err)
	}
}

func TestTimeout(t *testing.T) {
	service := newService()
	service.encrypt = func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	wrap := func(ctx context.Context, timeout time.Duration) error {
		s := newSource(t, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}, Timeout: timeout})
		_, err := s.Wrap(ctx, ref, make([]byte, 32), envelope.AAD{})
		return err
	}
	if err := wrap(t.Context(), time.Millisecond); !errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("a service without a response: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := service.calls
	if err := wrap(ctx, 0); !errors.Is(err, context.Canceled) || errors.Is(err, envelope.ErrUnavailable) || service.calls != calls {
		t.Errorf("a cancelled context: %v after %d calls", err, service.calls-calls)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := wrap(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the deadline of the caller: %v", err)
	}
}

// TestOneCall: opening an object calls the service once, and never for the stanza of another key.
func TestOneCall(t *testing.T) {
	service, other := newService(), newService()
	s := newSource(t, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}})
	unused := newSource(t, kms.Config{KeyID: "other", Service: other})
	object := seal(t, s)
	service.calls = 0
	if got, err := open(t.Context(), object, unused, s); got != "sk-demo" || err != nil || service.calls != 1 || other.calls != 0 {
		t.Errorf("Open: %q, %v, %d and %d calls", got, err, service.calls, other.calls)
	}
}

func TestErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  *kms.Error
		want string
	}{
		{&kms.Error{Kind: envelope.ErrUnavailable, State: "the key is disabled", Operation: "KMS Decrypt", Code: "DisabledException", Message: "arn is disabled.", RequestID: "r-1"},
			"key source unavailable: the key is disabled: KMS Decrypt DisabledException, arn is disabled, request r-1"},
		{&kms.Error{Kind: envelope.ErrDenied}, "denied by the key source"},
		{&kms.Error{Kind: envelope.ErrDenied, Code: "X", Message: "a\x1b[31m\nb"}, "denied by the key source: X, a [31m b"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	if got := (&kms.Error{Kind: envelope.ErrDenied, Message: strings.Repeat("m", 1000)}).Error(); len(got) > 400 {
		t.Errorf("the text has %d bytes", len(got))
	}
}

// FuzzUnwrap: for any response of a service, the only accepted plaintext is that of the stanza.
func FuzzUnwrap(f *testing.F) {
	service := newService()
	enrolled := newSource(f, kms.Config{KeyID: keyID, Service: service, Enrolment: &kms.Enrolment{KeyID: keyID}})
	dek := bytes.Repeat([]byte{1}, 32)
	aad := envelope.AAD{Ctx: ref.Context()}
	st, err := enrolled.Wrap(context.Background(), ref, dek, aad)
	if err != nil {
		f.Fatal(err)
	}
	right, err := service.fixed.Decrypt(context.Background(), st.Body)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, dek, right, right[:63], append(bytes.Clone(right), 0), make([]byte, 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		answering := newService()
		answering.decrypt = func(context.Context) ([]byte, error) { return bytes.Clone(plaintext), nil }
		got, err := newSource(t, kms.Config{KeyID: keyID, Service: answering}).Unwrap(context.Background(), ref, st, aad)
		bound := len(plaintext) == 64 && bytes.Equal(plaintext[:32], right[:32])
		want := envelope.ErrDecrypt
		if len(plaintext) == 0 {
			want = envelope.ErrUnavailable // see TestNoPlaintext
		}
		if bound != (err == nil) || bound && !bytes.Equal(got, plaintext[32:]) || !bound && !errors.Is(err, want) {
			t.Errorf("Unwrap of %x returns %x, %v", plaintext, got, err)
		}
	})
}

// A Service takes two methods. This one keeps its key in memory; a real one asks a KMS.
func ExampleNew() {
	ctx := context.Background()
	config := kms.Config{Scheme: "demo", KeyID: "demo-key", Service: newService()}

	record, err := kms.Enrol(ctx, config) // once; keep the record
	if err != nil {
		fmt.Println(err)
		return
	}
	config.Enrolment = &record
	keys, err := kms.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	var object bytes.Buffer
	w, err := envelope.Seal(ctx, &object, ref, []envelope.KeySource{keys}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(w, "sk-demo")
	fmt.Println(keys.Name(), w.Close())
	fmt.Println(open(ctx, object.Bytes(), keys))
	// Output:
	// demo demo-key <nil>
	// sk-demo <nil>
}
