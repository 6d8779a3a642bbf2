package signer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
)

const (
	omni  = "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"
	other = "0000000000000000000000000000000000000000000000000000000000000001"
	sign  = "POST /dev/sign-message"
	ask   = "POST /dev/derive-address"
)

var testRef = envelope.Ref{Vault: "v1", Tenant: "acme", Collection: "credentials", Name: "openrouter"}

// over returns a configuration whose requests go to s without a connection.
func over(s *signertest.Server) signer.Config {
	return signer.Config{URL: "https://signer.example", Omni: omni, Transport: s}
}

func newSource(t *testing.T, c signer.Config) *signer.Source {
	t.Helper()
	s, err := signer.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// enrolled returns a configuration with the record of an enrolment.
func enrolled(t *testing.T, s *signertest.Server) signer.Config {
	t.Helper()
	c := over(s)
	record, err := signer.Enrol(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.Requests()
	c.Enrolment = &record
	return c
}

func seal(ctx context.Context, ref envelope.Ref, sources ...envelope.KeySource) ([]byte, error) {
	var b bytes.Buffer
	w, err := envelope.Seal(ctx, &b, ref, sources, nil)
	if err == nil {
		io.WriteString(w, "sk-1")
		err = w.Close()
	}
	return b.Bytes(), err
}

func mustSeal(t *testing.T, ref envelope.Ref, sources ...envelope.KeySource) []byte {
	t.Helper()
	object, err := seal(t.Context(), ref, sources...)
	if err != nil {
		t.Error(err) // not Fatal: it is called in goroutines
	}
	return object
}

func open(ctx context.Context, object []byte, ref envelope.Ref, sources ...envelope.KeySource) error {
	r, err := envelope.Open(ctx, bytes.NewReader(object), ref, sources)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err == nil && string(b) != "sk-1" {
		err = fmt.Errorf("read %q", b)
	}
	return err
}

func wantRequests(t *testing.T, s *signertest.Server, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string(nil), want...), s.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A put and a get send one request each, also if the object has stanzas of other sources.
func TestRequests(t *testing.T) {
	server := signertest.New(nil)
	s := newSource(t, enrolled(t, server))
	if s.Name() != "signer https://signer.example" || !s.Remote() {
		t.Error(s.Name(), s.Remote())
	}
	root, _ := kek.NewRoot(bytes.Repeat([]byte{9}, 32))
	sources := []envelope.KeySource{kek.InsecureFixed(), kek.NewLocal(root), s}

	object := mustSeal(t, testRef, sources...)
	wantRequests(t, server, sign)
	if err := open(t.Context(), object, testRef, s); err != nil {
		t.Error(err)
	}
	wantRequests(t, server, sign)
	if n, _ := s.Held(); n != 0 {
		t.Errorf("%d keys are in memory after the call", n)
	}
	if err := open(t.Context(), object, testRef, sources...); err != nil {
		t.Error(err)
	}
	wantRequests(t, server) // the local root opens it

	// None of the stanzas is for the signer.
	foreign := mustSeal(t, testRef, sources[:2]...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := open(ctx, foreign, testRef, s); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Error(err)
	}
	wantRequests(t, server, sign)

	moved := testRef
	moved.Name = "other"
	if err := open(t.Context(), object, moved, s); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Error(err)
	}
	wantRequests(t, server, sign)

	// Without an enrolment the source opens objects, but does not seal.
	reader := newSource(t, over(server))
	if err := open(t.Context(), object, testRef, reader); err != nil {
		t.Error(err)
	}
	wantRequests(t, server, sign)
	if _, err := seal(t.Context(), testRef, reader); !errors.Is(err, envelope.ErrNotEnrolled) {
		t.Error(err)
	}
	wantRequests(t, server)
}

// Concurrent operations on two names send one request each.
func TestConcurrentRequests(t *testing.T) {
	server := signertest.New(nil)
	s := newSource(t, enrolled(t, server))
	var wg sync.WaitGroup
	const rounds = 20
	for _, name := range []string{"openrouter", "anthropic"} {
		ref := testRef
		ref.Name = name
		wg.Go(func() {
			for range rounds {
				object := mustSeal(t, ref, kek.InsecureFixed(), s)
				if err := open(t.Context(), object, ref, s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(server.Requests()); n != 2*2*rounds {
		t.Errorf("%d requests, want %d", n, 2*2*rounds)
	}

	// Operations on the same name send one request each, or share one.
	object := mustSeal(t, testRef, kek.InsecureFixed(), s)
	server.Requests()
	for range rounds {
		wg.Go(func() {
			if err := open(t.Context(), object, testRef, s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(server.Requests()); n < 1 || n > rounds {
		t.Errorf("%d requests, want 1 to %d", n, rounds)
	}
	if n, _ := s.Held(); n != 0 {
		t.Errorf("%d keys are in memory after all calls", n)
	}
}

// A rewrap opens and seals. With KeepFor the signer is asked once.
func TestRewrapRequests(t *testing.T) {
	for _, tc := range []struct {
		keep time.Duration
		want []string
	}{{0, []string{sign, sign}}, {time.Hour, []string{sign}}} {
		server := signertest.New(nil)
		c := enrolled(t, server)
		object := mustSeal(t, testRef, newSource(t, c))
		server.Requests()
		c.KeepFor = tc.keep
		s := newSource(t, c)
		h, err := envelope.ReadHeader(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := envelope.Rewrap(t.Context(), h, testRef, []envelope.KeySource{s}, []envelope.KeySource{s, kek.InsecureFixed()}); err != nil {
			t.Fatal(err)
		}
		wantRequests(t, server, tc.want...)
	}
}

// Keys are wiped when their time is over, when ctx ends, when there are too many, and by Close.
func TestKeysAreWiped(t *testing.T) {
	wiped := func(t *testing.T, s *signer.Source, secret []byte) {
		t.Helper()
		synctest.Wait()
		if n, _ := s.Held(); n != 0 || len(secret) != 64 || !bytes.Equal(secret, make([]byte, 64)) {
			t.Errorf("%d keys are in memory, and the secret is %x", n, secret)
		}
	}
	held := func(t *testing.T, s *signer.Source) []byte {
		t.Helper()
		synctest.Wait()
		n, secret := s.Held()
		if n != 1 || bytes.Equal(secret, make([]byte, 64)) {
			t.Fatalf("%d keys are in memory", n)
		}
		return secret
	}
	// start returns a source, and the header of an object that only InsecureFixed opens.
	start := func(t *testing.T, keep time.Duration) (*signertest.Server, *signer.Source, envelope.Stanza, envelope.AAD) {
		server := signertest.New(nil)
		c := enrolled(t, server)
		c.KeepFor = keep
		aad := envelope.AAD{Ctx: testRef.Context()}
		st, err := kek.InsecureFixed().Wrap(t.Context(), testRef, make([]byte, 32), aad)
		if err != nil {
			t.Fatal(err)
		}
		return server, newSource(t, c), st, aad
	}
	t.Run("stanza not recognized, context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, s, st, aad := start(t, 0)
			ctx, cancel := context.WithCancel(t.Context())
			if own, err := s.Recognizes(ctx, testRef, st, aad); own || err != nil {
				t.Fatal(own, err)
			}
			secret := held(t, s)
			cancel()
			wiped(t, s, secret)
		})
	})
	t.Run("stanza not recognized, time passes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, s, st, aad := start(t, 0)
			s.Recognizes(context.Background(), testRef, st, aad)
			time.Sleep(time.Minute - time.Nanosecond)
			secret := held(t, s)
			time.Sleep(time.Nanosecond)
			wiped(t, s, secret)
		})
	})
	t.Run("stanza recognized, Unwrap", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, s, _, aad := start(t, 0)
			st, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
			if err != nil {
				t.Fatal(err)
			}
			server.Requests()
			for range 2 { // two operations
				if own, err := s.Recognizes(t.Context(), testRef, st, aad); !own || err != nil {
					t.Fatal(own, err)
				}
			}
			s.Unwrap(t.Context(), testRef, st, aad)
			secret := held(t, s)
			s.Unwrap(t.Context(), testRef, st, aad)
			wiped(t, s, secret)
			wantRequests(t, server, sign)
		})
	})
	t.Run("KeepFor", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, s, _, aad := start(t, time.Hour)
			st, _ := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
			secret := held(t, s)
			time.Sleep(time.Hour - time.Nanosecond)
			if _, err := s.Unwrap(t.Context(), testRef, st, aad); err != nil {
				t.Error(err)
			}
			wantRequests(t, server, sign)
			time.Sleep(time.Nanosecond) // it counts from the request, not from the last use
			wiped(t, s, secret)
			if _, err := s.Unwrap(t.Context(), testRef, st, aad); err != nil {
				t.Error(err)
			}
			wantRequests(t, server, sign)
		})
	})
	t.Run("Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, s, st, aad := start(t, time.Hour)
			s.Recognizes(t.Context(), testRef, st, aad)
			secret := held(t, s)
			s.Close()
			wiped(t, s, secret)
			_, err1 := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
			_, err2 := s.Recognizes(t.Context(), testRef, st, aad)
			_, err3 := s.Unwrap(t.Context(), testRef, st, aad)
			for _, err := range []error{err1, err2, err3} {
				if !errors.Is(err, envelope.ErrInvalid) || err.Error() != "signer: the key source is closed" {
					t.Error(err)
				}
			}
		})
	})
	t.Run("too many keys", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, s, _, aad := start(t, time.Hour)
			for i := range 257 {
				ref := testRef
				ref.Name = fmt.Sprint(i)
				aad.Ctx = ref.Context()
				if _, err := s.Wrap(t.Context(), ref, make([]byte, 32), aad); err != nil {
					t.Fatal(err)
				}
			}
			if n, _ := s.Held(); n != 256 {
				t.Errorf("%d keys are in memory", n)
			}
			server.Requests()
			for name, want := range map[string]int{"0": 1, "256": 0} { // the oldest was wiped
				ref := testRef
				ref.Name = name
				aad.Ctx = ref.Context()
				s.Wrap(t.Context(), ref, make([]byte, 32), aad)
				if n := len(server.Requests()); n != want {
					t.Errorf("%s: %d requests, want %d", name, n, want)
				}
			}
		})
	})
}

// A stanza that the signer cannot have made is not recognized, and no request is sent for it.
func TestOtherStanzas(t *testing.T) {
	server := signertest.New(nil)
	s := newSource(t, enrolled(t, server))
	aad := envelope.AAD{Ctx: testRef.Context()}
	st, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	server.Requests()
	line := testRef
	line.Name = "a\nepoch: 2"
	bad := testRef
	bad.Name = "\xff"
	for _, tc := range []struct {
		name string
		ref  envelope.Ref
		st   envelope.Stanza
		aad  envelope.AAD
	}{
		{"type 2", testRef, envelope.Stanza{Type: 2, ID: st.ID, Body: make([]byte, 82)}, aad},
		{"type 3", testRef, envelope.Stanza{Type: 3, ID: st.ID, Body: st.Body}, aad},
		{"length", testRef, envelope.Stanza{Type: 1, ID: st.ID, Body: st.Body[1:]}, aad},
		{"another name", testRef, st, envelope.AAD{}},
		{"two lines", line, st, envelope.AAD{Ctx: line.Context()}},
		{"not UTF-8", bad, st, envelope.AAD{Ctx: bad.Context()}},
	} {
		if own, err := s.Recognizes(t.Context(), tc.ref, tc.st, tc.aad); own || err != nil {
			t.Errorf("%s: %v, %v", tc.name, own, err)
		}
		if _, err := s.Unwrap(t.Context(), tc.ref, tc.st, tc.aad); !errors.Is(err, envelope.ErrUnknownKey) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.st.Type == 1 && len(tc.st.Body) == 60 {
			if _, err := s.Wrap(t.Context(), tc.ref, make([]byte, 32), tc.aad); !errors.Is(err, envelope.ErrInvalid) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
	}
	wantRequests(t, server)
	st.Body = append([]byte{^st.Body[0]}, st.Body[1:]...)
	if _, err := s.Unwrap(t.Context(), testRef, st, aad); !errors.Is(err, envelope.ErrDecrypt) {
		t.Error(err)
	}
}

// A connection has the same time limit as a request, and may reach it first.
func TestSilentConnection(t *testing.T) {
	sent := 0
	c := signer.Config{URL: "https://signer.example", Omni: omni, Timeout: time.Hour, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	})}
	_, err := signer.Enrol(t.Context(), c)
	if !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), "no response within 1h0m0s") || sent != 1 {
		t.Errorf("%v after %d requests", err, sent)
	}
}

// Each fault of a signer, while an object is sealed and opened.
func TestFaults(t *testing.T) {
	const fake = "0x00000000000000000000000000000000000000aa"
	for _, tc := range []struct {
		name  string
		fault signertest.Fault
		want  error // nil: success
		text  string
		sent  []string
	}{
		{"high s", signertest.Fault{HighS: true}, nil, "", []string{sign}},
		{"v 27", signertest.Fault{V: signertest.VLegacy}, nil, "", []string{sign}},
		{"no v", signertest.Fault{V: signertest.VNone}, nil, "", []string{sign}},
		{"v 37", signertest.Fault{V: signertest.VChain, HighS: true}, nil, "", []string{sign}},
		{"500 once", signertest.Fault{Fail: 1}, nil, "", []string{sign, sign}},
		{"500 twice", signertest.Fault{Fail: 2}, nil, "", []string{sign, sign, sign}},
		{"500 always", signertest.Fault{Fail: 99}, envelope.ErrUnavailable, "key source unavailable: status 500 internal", []string{sign, sign, sign}},
		{"truncated once", signertest.Fault{Cut: 1}, nil, "", []string{sign, sign}},
		{"truncated always", signertest.Fault{Cut: 99}, envelope.ErrUnavailable, "key source unavailable: unexpected EOF", []string{sign, sign, sign}},
		{"slow response", signertest.Fault{Delay: time.Second}, nil, "", []string{sign}},
		{"no response", signertest.Fault{Hang: true}, envelope.ErrUnavailable, "key source unavailable: no response within 30s", []string{sign}},
		{"disabled", signertest.Fault{Disabled: true}, envelope.ErrUnavailable,
			"key source unavailable: the signer is switched off (status 503 signer_disabled): its operator must enable it", []string{sign}},
		{"redirect", signertest.Fault{Redirect: "https://elsewhere.example/"}, envelope.ErrUnavailable,
			"key source unavailable: status 307 with no content type is a redirect, which is not followed: use the final address", []string{sign}},
		{"HTML page", signertest.Fault{HTML: true}, envelope.ErrUnavailable,
			"key source unavailable: status 200 with text/html is not a response of a signer: check the address", []string{sign}},
		{"oversized response", signertest.Fault{Oversized: true}, envelope.ErrUnavailable,
			"key source unavailable: status 200 with application/json is longer than 64 KiB", []string{sign}},
		{"not JSON", signertest.Fault{Raw: "ok"}, envelope.ErrUnavailable, "key source unavailable: the response is not that of a signer", []string{sign}},
		{"empty", signertest.Fault{Raw: "{}"}, envelope.ErrUnavailable, "key source unavailable: the response contains no valid address", []string{sign}},
		{"no version", signertest.Fault{Raw: `{"address":"` + fake + `"}`}, envelope.ErrUnavailable, "key source unavailable: the response contains no valid key version", []string{sign}},
		{"no signature", signertest.Fault{Raw: `{"address":"` + fake + `","key_version":1}`}, envelope.ErrUnavailable, "key source unavailable: the response contains no valid signature", []string{sign}},
		{"zero signature", signertest.Fault{Raw: `{"address":"` + fake + `","key_version":1,"signature":"0x` + strings.Repeat("0", 130) + `"}`}, envelope.ErrUnavailable, "key source unavailable: the response contains no valid signature", []string{sign}},
		{"wrong address", signertest.Fault{Address: fake}, envelope.ErrChanged, "still ADDRESS, but the signature is from ADDRESS and its response names " + fake, []string{sign, ask}},
		{"another key", signertest.Fault{OtherKey: true}, envelope.ErrChanged, "still ADDRESS, but the signature is from 0x", []string{sign, ask}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := signertest.New(nil)
				s := newSource(t, enrolled(t, server))
				object := mustSeal(t, testRef, s)
				server.Requests()
				check := func(err error) {
					t.Helper()
					if !errors.Is(err, tc.want) {
						t.Errorf("%v, want %v", err, tc.want)
					}
					if text := strings.ReplaceAll(tc.text, "ADDRESS", server.Address(omni)); err != nil && !strings.Contains(err.Error(), text) {
						t.Errorf("%v, want %s", err, text)
					}
					if tc.want == nil && err != nil {
						t.Error(err)
					}
					wantRequests(t, server, tc.sent...)
				}
				server.Set(tc.fault)
				_, err := seal(t.Context(), testRef, s)
				check(err)
				if tc.want == envelope.ErrChanged && errors.Is(err, envelope.ErrUnavailable) {
					t.Errorf("sealing: %v", err)
				}
				server.Set(tc.fault)
				err = open(t.Context(), object, testRef, s)
				check(err)
				if tc.want != nil && !errors.Is(err, envelope.ErrUnavailable) {
					t.Errorf("the error prevents the use of other sources: %v", err)
				}
				if n, _ := s.Held(); n != 0 && tc.want != nil {
					t.Errorf("%d keys are in memory", n)
				}
			})
		})
	}
}

// A changed signer is described: its address, its key version, or both.
func TestChanged(t *testing.T) {
	server := signertest.New(nil)
	var reports []string
	c := enrolled(t, server)
	c.KeyVersionChanged = func(enrolled, current int) { reports = append(reports, fmt.Sprint(enrolled, " ", current)) }
	s := newSource(t, c)
	object := mustSeal(t, testRef, s)
	before := server.Address(omni)
	server.SetKeyVersion(2, false)
	for range 2 {
		if err := open(t.Context(), object, testRef, s); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"1 2"}, reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	for _, tc := range []struct {
		version int
		text    string
	}{
		{1, "signer https://signer.example: the key source has changed since it was enrolled: the address is AFTER instead of BEFORE"},
		{2, "signer https://signer.example: the key source has changed since it was enrolled: the address is AFTER instead of BEFORE, and the key version is 2 instead of 1, so the signer's master secret has changed"},
	} {
		server.SetKeyVersion(tc.version, true)
		server.Requests()
		_, err := seal(t.Context(), testRef, s)
		text := strings.NewReplacer("AFTER", server.Address(omni), "BEFORE", before).Replace(tc.text)
		if !errors.Is(err, envelope.ErrChanged) || err.Error() != text {
			t.Errorf("%v\nwant %s", err, text)
		}
		wantRequests(t, server, sign, ask)
	}
	// Without an enrolment, only the response is compared.
	reader := newSource(t, over(server))
	if err := open(t.Context(), object, testRef, reader); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Error(err)
	}
	reader = newSource(t, over(server)) // without the key in memory
	server.Set(signertest.Fault{OtherKey: true})
	server.Requests()
	err := open(t.Context(), object, testRef, reader)
	if !errors.Is(err, envelope.ErrUnavailable) || !strings.HasSuffix(err.Error(), "the signature is not from the address in the response") {
		t.Error(err)
	}
	wantRequests(t, server, sign)
	// Open tries the other sources if the signer has changed.
	both := mustSeal(t, testRef, kek.InsecureFixed())
	if err := open(t.Context(), both, testRef, s, remote{kek.InsecureFixed()}); err != nil {
		t.Error(err)
	}
}

// remote is a Local that is tried after the local sources.
type remote struct{ *kek.Local }

func (remote) Remote() bool { return true }

func TestToken(t *testing.T) {
	server := signertest.New(&signertest.Options{Tokens: map[string]string{"good": omni, "foreign": other, "all": "*"}})
	errCommand := errors.New("exit status 1")
	for _, tc := range []struct {
		name, token string
		err         error
		want        error
		text        string
	}{
		{"valid token", "good", nil, nil, ""},
		{"newline after the token", "good\n", nil, nil, ""},
		{"token for all accounts", "all", nil, nil, ""},
		{"token for another account", "foreign", nil, envelope.ErrUnauthenticated, "not authenticated to the key source: status 401 unauthorized: the signer requires a valid token for this omni account"},
		{"empty", "\n", nil, envelope.ErrUnauthenticated, "not authenticated to the key source: the signer's token is empty"},
		{"two lines", "a\nb", nil, envelope.ErrUnauthenticated, "not authenticated to the key source: the signer's token is not one line of printable ASCII"},
		{"token command fails", "", errCommand, envelope.ErrUnauthenticated, "not authenticated to the key source: the signer's token: exit status 1"},
		{"token command fails, wrapped error", "", errCommand, errCommand, ""},
		{"broker unavailable", "", fmt.Errorf("broker: %w", envelope.ErrUnavailable), envelope.ErrUnavailable, "the signer's token: broker: key source unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := over(server)
			c.Token = func(context.Context) (string, error) { return tc.token, tc.err }
			_, err := signer.Enrol(t.Context(), c)
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil || tc.text != "" && err.Error() != tc.text {
				t.Errorf("%v, want %v: %s", err, tc.want, tc.text)
			}
			if errors.Is(tc.want, envelope.ErrUnavailable) && errors.Is(err, envelope.ErrUnauthenticated) {
				t.Errorf("two causes: %v", err)
			}
		})
	}
	c := over(server)
	server.Requests()
	if _, err := signer.Enrol(t.Context(), c); !errors.Is(err, envelope.ErrUnauthenticated) {
		t.Errorf("without a token: %v", err)
	}
	wantRequests(t, server, ask) // 401 is not tried again
	ctx, cancel := context.WithCancel(t.Context())
	c.Token = func(context.Context) (string, error) { cancel(); return "", errCommand }
	if _, err := signer.Enrol(ctx, c); !errors.Is(err, context.Canceled) || errors.Is(err, envelope.ErrUnauthenticated) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEnrol(t *testing.T) {
	server := signertest.New(nil)
	record, err := signer.Enrol(t.Context(), over(server))
	if want := (signer.Enrolment{Address: server.Address(omni), KeyVersion: 1, Epoch: 1}); err != nil || record != want {
		t.Errorf("%+v, %v; want %+v", record, err, want)
	}
	wantRequests(t, server, ask, sign, sign)
	c := over(server)
	c.Epoch = 7
	if record, err := signer.Enrol(t.Context(), c); err != nil || record.Epoch != 7 {
		t.Errorf("%+v, %v", record, err)
	}
	c = over(server)
	c.Omni = other
	if other, err := signer.Enrol(t.Context(), c); err != nil || other.Address == record.Address {
		t.Errorf("%+v, %v", other, err)
	}
	for _, tc := range []struct {
		name  string
		fault signertest.Fault
		want  error
		text  string
	}{
		{"high s", signertest.Fault{HighS: true}, nil, ""},
		{"non-deterministic", signertest.Fault{NonDeterministic: true}, signer.ErrNotDeterministic, "the signer is not deterministic: it made two different signatures of one text, so objects would be unrecoverable"},
		{"non-deterministic, high s", signertest.Fault{NonDeterministic: true, HighS: true}, signer.ErrNotDeterministic, ""},
		{"wrong address", signertest.Fault{Address: "0x00000000000000000000000000000000000000aa"}, envelope.ErrUnavailable, ""},
		{"another key", signertest.Fault{OtherKey: true}, envelope.ErrUnavailable, "key source unavailable: the signature is not from the address in the response"},
		{"disabled", signertest.Fault{Disabled: true}, envelope.ErrUnavailable, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server.Set(tc.fault)
			record, err := signer.Enrol(t.Context(), over(server))
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil || tc.text != "" && err.Error() != tc.text {
				t.Errorf("%v, want %v: %s", err, tc.want, tc.text)
			}
			if err != nil && record != (signer.Enrolment{}) {
				t.Errorf("%+v", record)
			}
		})
	}
	// The signatures are from one address, and derive-address names another.
	server.Set(signertest.Fault{})
	n := 0
	c = over(server)
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if n++; n == 2 {
			server.SetKeyVersion(2, true)
		}
		return server.RoundTrip(r)
	})
	if _, err := signer.Enrol(t.Context(), c); !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), "the responses name different addresses or key versions: 0x") {
		t.Error(err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Another epoch has other keys. A record of another epoch does not permit to seal.
func TestEpoch(t *testing.T) {
	server := signertest.New(nil)
	c := enrolled(t, server)
	object := mustSeal(t, testRef, newSource(t, c))
	c.Epoch = 2
	s := newSource(t, c)
	if _, err := seal(t.Context(), testRef, s); !errors.Is(err, envelope.ErrNotEnrolled) || err.Error() != "signer https://signer.example: "+envelope.ErrNotEnrolled.Error()+": it is enrolled for epoch 1, not 2" {
		t.Error(err)
	}
	if err := open(t.Context(), object, testRef, s); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Error(err)
	}
	record, err := signer.Enrol(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Epoch, c.Enrolment = 0, &record // the epoch of the record
	second := mustSeal(t, testRef, newSource(t, c))
	if err := open(t.Context(), second, testRef, s); err != nil {
		t.Error(err)
	}
	c.Epoch, c.Enrolment = 1, nil
	if err := open(t.Context(), object, testRef, newSource(t, c)); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	good := signer.Config{URL: "https://signer.example/base/", Omni: omni, Enrolment: &signer.Enrolment{Address: "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a", KeyVersion: 1, Epoch: 1}}
	with := func(change func(*signer.Config)) signer.Config {
		c := good
		record := *good.Enrolment
		c.Enrolment = &record
		change(&c)
		return c
	}
	url := func(u string) signer.Config { return with(func(c *signer.Config) { c.URL = u }) }
	for _, tc := range []struct {
		config signer.Config
		text   string // "": it is valid
	}{
		{good, ""},
		{url("http://127.0.0.1:80"), ""},
		{url("http://[::1]/x"), ""},
		{url("HTTPS://signer.example"), ""},
		{url(""), "the URL contains no host"},
		{url("signer.example"), "the URL contains no host"},
		{url("https:signer.example"), "the URL contains no host"},
		{url("https://:443"), "the URL contains no host"},
		{url("http://signer.example"), "http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https"},
		{url("ftp://signer.example"), "the URL is not an https URL"},
		{url("https://me:secret@signer.example"), "the URL must not contain a user or password"},
		{url("https://me:sec%ret@signer.example"), "the address is not a URL"},
		{url("https://signer.example?omni=1"), "the URL must not contain a query or fragment"},
		{url("https://signer.example#a"), "the URL must not contain a query or fragment"},
		{with(func(c *signer.Config) { c.Omni = "" }), "the omni account is not 64 lower-case hex digits"},
		{with(func(c *signer.Config) { c.Omni = strings.ToUpper(omni) }), "the omni account is not 64 lower-case hex digits"},
		{with(func(c *signer.Config) { c.Omni = omni + "0" }), "the omni account is not 64 lower-case hex digits"},
		{with(func(c *signer.Config) { c.KeepFor = -1 }), "a duration is negative"},
		{with(func(c *signer.Config) { c.Timeout = -1 }), "a duration is negative"},
		{with(func(c *signer.Config) { c.Enrolment.Address = "" }), "the enrolment contains no valid address: 0x and 40 lower-case hex digits"},
		{with(func(c *signer.Config) { c.Enrolment.Address = strings.ToUpper(c.Enrolment.Address) }), "the enrolment contains no valid address: 0x and 40 lower-case hex digits"},
		{with(func(c *signer.Config) { c.Enrolment.KeyVersion = -1 }), "the enrolment contains no valid key version: 0 to 2147483647"},
		{with(func(c *signer.Config) { c.Enrolment.Epoch = 0 }), "the enrolment contains no valid epoch: 1 to 4294967295"},
	} {
		s, err := signer.New(tc.config)
		if tc.text == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.config.URL, err)
			} else {
				s.Close()
			}
			continue
		}
		if s != nil || !errors.Is(err, envelope.ErrInvalid) || err.Error() != "signer: "+tc.text {
			t.Errorf("%s: %v, want %s", tc.config.URL, err, tc.text)
		}
	}
	if err := (*signer.Enrolment)(nil).Check(); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
	// The source does not share the record with its caller.
	server := signertest.New(nil)
	c := enrolled(t, server)
	s := newSource(t, c)
	c.Enrolment.Address = good.Enrolment.Address
	mustSeal(t, testRef, s)

	var zero signer.Source
	if _, err := zero.Wrap(t.Context(), testRef, nil, envelope.AAD{}); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
	if err := zero.Close(); err != nil {
		t.Error(err)
	}
}

// A request that the signer rejects is an error of the caller, and is not repeated.
func TestRejected(t *testing.T) {
	for body, want := range map[string]struct {
		status int
		err    error
		text   string
	}{
		`{"error":"invalid_omni_account","message":"m"}`: {400, envelope.ErrInvalid, "signer: the signer rejects the omni account (status 400 invalid_omni_account)"},
		`{"error":"invalid_message_hex","message":"m"}`:  {400, envelope.ErrInvalid, "signer: the signer rejects the text (status 400 invalid_message_hex)"},
		`{"error":"forbidden","message":"m"}`:            {403, envelope.ErrDenied, "denied by the key source: status 403 with application/json"},
		`{"error":"unauthorized","message":"m"}`:         {401, envelope.ErrUnauthenticated, "not authenticated to the key source: status 401 unauthorized: the signer requires a valid token for this omni account"},
		`{"error":"slow_down","message":"m"}`:            {429, envelope.ErrUnavailable, "key source unavailable: status 429 with application/json"},
	} {
		n := 0
		_, err := signer.Enrol(t.Context(), signer.Config{URL: "https://signer.example", Omni: omni, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			return &http.Response{StatusCode: want.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})})
		if !errors.Is(err, want.err) || err.Error() != want.text || n != 1 {
			t.Errorf("%d requests, %v; want %s", n, err, want.text)
		}
	}
}

// If the context ends, the call returns at once, and a cancellation is not ErrUnavailable.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := signertest.New(nil)
		s := newSource(t, enrolled(t, server))
		errSignal := errors.New("interrupted")
		for _, f := range []signertest.Fault{{Hang: true}, {Fail: 99}} {
			server.Set(f)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*time.Microsecond, func() { cancel(errSignal) })
			begin := time.Now()
			_, err := seal(ctx, testRef, s)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, errSignal) || errors.Is(err, envelope.ErrUnavailable) || time.Since(begin) > time.Millisecond {
				t.Errorf("%v after %s", err, time.Since(begin))
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := seal(ctx, testRef, s); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, envelope.ErrUnavailable) {
				t.Error(err)
			}
			stop()
		}
	})
}

// Over a real connection: a path in the URL, plain http on this machine, a server that stops, and another
// server whose page contains the request.
func TestConnection(t *testing.T) {
	server, err := signertest.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	mux := http.NewServeMux()
	mux.Handle("/base/", http.StripPrefix("/base", server))
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, r.Header.Get("Authorization"))
	})
	front := httptest.NewServer(mux)
	mux.HandleFunc("/json/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q,"message":%q}`, r.Header.Get("Authorization"), r.Header.Get("Authorization"))
	})
	defer front.Close()
	for _, url := range []string{server.URL(), server.URL() + "/", front.URL + "/base", front.URL + "/base/"} {
		c := signer.Config{URL: url, Omni: omni}
		record, err := signer.Enrol(t.Context(), c)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		c.Enrolment = &record
		s := newSource(t, c)
		if err := open(t.Context(), mustSeal(t, testRef, s), testRef, s); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	c := signer.Config{URL: front.URL + "/echo", Omni: omni, Token: func(context.Context) (string, error) { return "secret-token", nil }}
	_, err = signer.Enrol(t.Context(), c)
	if !errors.Is(err, envelope.ErrUnavailable) || err.Error() != "key source unavailable: status 502 with text/html" {
		t.Error(err)
	}
	c.URL = front.URL + "/json"
	_, err = signer.Enrol(t.Context(), c)
	if !errors.Is(err, envelope.ErrUnavailable) || err.Error() != "key source unavailable: status 400 with application/json is not a response of a signer: check the address" {
		t.Error(err)
	}
	c.URL = front.URL + "/absent"
	_, err = signer.Enrol(t.Context(), c)
	if !errors.Is(err, envelope.ErrUnavailable) || err.Error() != "key source unavailable: status 404 with text/plain is not a response of a signer: check the address" {
		t.Error(err)
	}
	server.Close()
	c.URL = server.URL()
	if _, err := signer.Enrol(t.Context(), c); !errors.Is(err, envelope.ErrUnavailable) || strings.Contains(err.Error(), "dev/") {
		t.Error(err)
	}
}

// TestSignMessage: the signature has the same form for each form of v, it is verified, and the text of
// an object is never signed as a message.
func TestSignMessage(t *testing.T) {
	server := signertest.New(nil)
	s := newSource(t, enrolled(t, server))
	first, err := s.SignMessage(t.Context(), "agentkeys.kek.v1:0xabc:openrouter")
	if err != nil || len(first) != 65 || first[64] > 1 {
		t.Fatalf("%x, %v", first, err)
	}
	for _, v := range []signertest.V{signertest.VZeroOne, signertest.VLegacy, signertest.VChain, signertest.VNone} {
		server.Set(signertest.Fault{V: v})
		got, err := s.SignMessage(t.Context(), "agentkeys.kek.v1:0xabc:openrouter")
		if err != nil || !bytes.Equal(got, first) {
			t.Errorf("form %d of v: %x, %v, want %x", v, got, err, first)
		}
	}
	server.Set(signertest.Fault{OtherKey: true})
	if _, err := s.SignMessage(t.Context(), "x"); !errors.Is(err, envelope.ErrChanged) || !errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("another key: %v", err)
	}
	server.Set(signertest.Fault{})
	server.Requests()
	if _, err := s.SignMessage(t.Context(), signer.Text(testRef, 1)); !errors.Is(err, envelope.ErrInvalid) || len(server.Requests()) > 0 {
		t.Errorf("the text of an object: %v", err)
	}
	record, err := s.Address(t.Context())
	if err != nil || len(server.Requests()) > 0 {
		t.Errorf("the address of the enrolment: %v", err)
	}
	other := newSource(t, over(server)) // without an enrolment
	if a, err := other.Address(t.Context()); err != nil || a != record || other.Omni() != s.Omni() || len(server.Requests()) != 1 {
		t.Errorf("address %s, %v, want %s", a, err, record)
	}
	s.Close()
	if _, err := s.SignMessage(t.Context(), "x"); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("closed: %v", err)
	}
}
