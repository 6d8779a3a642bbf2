package passphrase_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/passphrase"
)

var (
	testRef = envelope.Ref{Vault: "v1", Tenant: "acme", Collection: "credentials", Name: "openrouter"}
	weak    = passphrase.Weak{Time: 1, Memory: 64, Threads: 1, Salt: [16]byte{1}}
)

// says returns a configuration with the given passphrase.
func says(text string) passphrase.Config {
	return passphrase.Config{Passphrase: func(context.Context) ([]byte, error) { return []byte(text), nil }}
}

func newSource(t testing.TB, c passphrase.Config) *passphrase.Source {
	t.Helper()
	s, err := passphrase.NewWeak(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// enrolled returns a configuration with the record of an enrolment.
func enrolled(t testing.TB, text string, w passphrase.Weak) passphrase.Config {
	t.Helper()
	c := says(text)
	record, err := passphrase.EnrolWeak(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	c.Enrolment = &record
	return c
}

func seal(t testing.TB, ref envelope.Ref, sources ...envelope.KeySource) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	w, err := envelope.Seal(t.Context(), &b, ref, sources, nil)
	if err == nil {
		io.WriteString(w, "sk-1")
		err = w.Close()
	}
	return b.Bytes(), err
}

func open(t testing.TB, object []byte, ref envelope.Ref, sources ...envelope.KeySource) error {
	t.Helper()
	r, err := envelope.Open(t.Context(), bytes.NewReader(object), ref, sources)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err == nil && string(b) != "sk-1" {
		err = fmt.Errorf("read %q", b)
	}
	return err
}

// A passphrase opens objects on any machine. It seals only where it is enrolled, and not after a typo.
func TestSealOpen(t *testing.T) {
	c := enrolled(t, "correct horse", weak)
	s := newSource(t, c)
	if s.Name() != "passphrase" || s.Remote() {
		t.Error(s.Name(), s.Remote())
	}
	object, err := seal(t, testRef, kek.InsecureFixed(), s)
	if err != nil {
		t.Fatal(err)
	}
	other := testRef
	other.Name = "anthropic"
	elsewhere := weak
	elsewhere.Salt[0]++
	for _, tc := range []struct {
		name   string
		ref    envelope.Ref
		source *passphrase.Source
		want   error
	}{
		{"the same source", testRef, s, nil},
		{"another machine", testRef, newSource(t, says("correct horse")), nil},
		{"another enrolment", testRef, newSource(t, enrolled(t, "correct horse", elsewhere)), nil},
		{"another name", other, s, envelope.ErrUnknownKey},
		{"wrong passphrase", testRef, newSource(t, says("correct horsf")), envelope.ErrUnknownKey},
	} {
		if err := open(t, object, tc.ref, tc.source); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if err := open(t, object, testRef, newSource(t, says("wrong")), kek.InsecureFixed()); err != nil {
		t.Errorf("another source opens it: %v", err)
	}

	if _, err := seal(t, testRef, newSource(t, says("correct horse"))); !errors.Is(err, envelope.ErrNotEnrolled) {
		t.Error(err)
	}
	c.Passphrase = says("correct horsf").Passphrase
	if _, err := seal(t, testRef, newSource(t, c)); !errors.Is(err, envelope.ErrChanged) || err.Error() != "passphrase: "+envelope.ErrChanged.Error()+": this is another passphrase than the enrolled one" {
		t.Error(err)
	}
	aad := envelope.AAD{Ctx: testRef.Context()}
	if _, err := s.Wrap(t.Context(), testRef, make([]byte, 31), aad); err == nil {
		t.Error("Wrap accepted a data key of 31 bytes")
	}
}

// Unwrap of a stanza after a change: some changes make it a stanza of another source, others damage it.
func TestUnwrap(t *testing.T) {
	s := newSource(t, enrolled(t, "correct horse", weak))
	aad := envelope.AAD{Ctx: testRef.Context()}
	whole, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*envelope.Stanza, *envelope.AAD)
		want   error
	}{
		{"unchanged", func(*envelope.Stanza, *envelope.AAD) {}, nil},
		{"type 1", func(s *envelope.Stanza, _ *envelope.AAD) { s.Type = 1 }, envelope.ErrUnknownKey},
		{"truncated", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = s.Body[:81] }, envelope.ErrUnknownKey},
		{"empty", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = nil }, envelope.ErrUnknownKey},
		{"key id", func(s *envelope.Stanza, _ *envelope.AAD) { s.ID[0]++ }, envelope.ErrUnknownKey},
		{"time", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body[0]++ }, envelope.ErrUnknownKey},
		{"salt", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body[6]++ }, envelope.ErrUnknownKey},
		{"another name", func(_ *envelope.Stanza, a *envelope.AAD) { a.Ctx[0]++ }, envelope.ErrUnknownKey},
		{"another header", func(_ *envelope.Stanza, a *envelope.AAD) { a.Stable[0]++ }, envelope.ErrDecrypt},
		{"nonce", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body[22]++ }, envelope.ErrDecrypt},
		{"tag", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body[81]++ }, envelope.ErrDecrypt},
	} {
		st, a := whole, aad
		st.Body = bytes.Clone(st.Body)
		tc.change(&st, &a)
		dek, err := s.Unwrap(t.Context(), testRef, st, a)
		if !errors.Is(err, tc.want) || tc.want == nil && (err != nil || len(dek) != 32) || tc.want != nil && dek != nil {
			t.Errorf("%s: %x, %v; want %v", tc.name, dek, err, tc.want)
		}
		own, err := s.Recognizes(t.Context(), testRef, st, a)
		if err != nil || own == errors.Is(tc.want, envelope.ErrUnknownKey) {
			t.Errorf("%s: Recognizes returns %v, %v", tc.name, own, err)
		}
	}
}

// The limits are checked before the user is asked for the passphrase and before Argon2id runs.
func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		time    uint8
		memory  uint32
		threads uint8
		ok      bool
	}{
		{1, 8, 1, true}, {0, 8, 1, false}, {1, 7, 1, false}, {1, 8, 0, false},
		{16, 8, 1, true}, {17, 8, 1, false}, {255, 8, 1, false},
		{1, 128, 16, true}, {1, 127, 16, false}, {1, 136, 17, false}, {1, 1 << 20, 255, false},
		{1, 1 << 20, 1, true}, {1, 1<<20 + 1, 1, false}, {1, 1<<32 - 1, 1, false}, {1, 0, 1, false},
		{4, 1 << 20, 16, true}, {5, 1 << 20, 16, false}, {16, 1 << 18, 1, true}, {16, 1<<18 + 1, 1, false},
	} {
		t.Run(fmt.Sprintf("%d %d %d", tc.time, tc.memory, tc.threads), func(t *testing.T) {
			asked := 0
			var ran []passphrase.Weak
			s := newSource(t, passphrase.Config{Passphrase: func(context.Context) ([]byte, error) { asked++; return []byte("x"), nil }})
			s.Observe(func(w passphrase.Weak) []byte { ran = append(ran, w); return bytes.Repeat([]byte{7}, 32) })
			body := append([]byte{tc.time}, binary.BigEndian.AppendUint32(nil, tc.memory)...)
			body = append(append(body, tc.threads), make([]byte, 16+60)...)
			own, err := s.Recognizes(t.Context(), testRef, envelope.Stanza{Type: 2, Body: body}, envelope.AAD{Ctx: testRef.Context()})
			if own || err != nil {
				t.Error(own, err)
			}
			want := []passphrase.Weak{{Time: tc.time, Memory: tc.memory, Threads: tc.threads}}
			if !tc.ok {
				want = nil
			}
			if !slices.Equal(ran, want) || asked != len(want) {
				t.Errorf("asked %d times, ran %v", asked, ran)
			}
			record := passphrase.Enrolment{Salt: strings.Repeat("00", 16), Time: tc.time, Memory: tc.memory, Threads: tc.threads, Fingerprint: strings.Repeat("00", 8)}
			c := says("x")
			c.Enrolment = &record
			if _, err := passphrase.NewWeak(c); (err == nil) != tc.ok || err != nil && !errors.Is(err, envelope.ErrInvalid) {
				t.Errorf("enrolment: %v", err)
			}
		})
	}
}

// Concurrent callers share one prompt and one run for each salt, and no two runs overlap.
func TestOneRun(t *testing.T) {
	var asked, runs, running atomic.Int32
	c := enrolled(t, "correct horse", weak)
	c.Passphrase = func(context.Context) ([]byte, error) { asked.Add(1); return []byte("correct horse"), nil }
	s := newSource(t, c)
	second := weak
	second.Salt[0]++
	foreign := newSource(t, enrolled(t, "correct horse", second))
	s.Observe(func(passphrase.Weak) []byte {
		if runs.Add(1); running.Add(1) != 1 {
			t.Error("two runs overlap")
		}
		defer running.Add(-1)
		time.Sleep(5 * time.Millisecond) // part of the run
		return nil
	})
	aad := envelope.AAD{Ctx: testRef.Context()}
	theirs, err := foreign.Wrap(t.Context(), testRef, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			st, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
			if err != nil {
				t.Error(err)
			}
			for _, st := range []envelope.Stanza{st, theirs} {
				if _, err := s.Unwrap(t.Context(), testRef, st, aad); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 || runs.Load() != 2 {
		t.Errorf("asked %d times, ran %d times", asked.Load(), runs.Load())
	}
}

// A caller whose context ends does not wait. A run that no caller waits for does not start.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := enrolled(t, "correct horse", weak)
		s := newSource(t, c)
		block := make(chan struct{})
		var ran []passphrase.Weak
		s.Observe(func(w passphrase.Weak) []byte { <-block; ran = append(ran, w); return nil })
		aad := envelope.AAD{Ctx: testRef.Context()}
		errSignal := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		results := make(chan error)
		wrap := func(s *passphrase.Source, ctx context.Context) {
			_, err := s.Wrap(ctx, testRef, make([]byte, 32), aad)
			results <- err
		}
		go wrap(s, ctx)
		synctest.Wait() // it runs
		second := weak
		second.Salt[0]++
		body := append([]byte{second.Time, 0, 0, 0, byte(second.Memory), second.Threads}, second.Salt[:]...)
		go func() {
			_, err := s.Recognizes(ctx, testRef, envelope.Stanza{Type: 2, Body: append(body, make([]byte, 60)...)}, aad)
			results <- err
		}()
		synctest.Wait() // it waits for the first run
		cancel(errSignal)
		for range 2 {
			if err := <-results; !errors.Is(err, context.Canceled) || !errors.Is(err, errSignal) {
				t.Error(err)
			}
		}
		go wrap(s, t.Context()) // it joins the run
		synctest.Wait()
		close(block)
		if err := <-results; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !slices.Equal(ran, []passphrase.Weak{weak}) {
			t.Errorf("ran %v", ran)
		}
	})
}

// Objects with many salts do not fill the memory, and do not displace the root of the enrolment.
func TestManySalts(t *testing.T) {
	s := newSource(t, enrolled(t, "correct horse", weak))
	var own, all int
	s.Observe(func(w passphrase.Weak) []byte {
		if all++; w == weak {
			own++
			return nil
		}
		return bytes.Repeat([]byte{7}, 32)
	})
	aad := envelope.AAD{Ctx: testRef.Context()}
	const foreign = 1100
	for i := range foreign {
		if i%100 == 0 || i == foreign-1 {
			if _, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad); err != nil {
				t.Fatal(err)
			}
		}
		body := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0, 8, 1}, uint32(i))
		if own, err := s.Recognizes(t.Context(), testRef, envelope.Stanza{Type: 2, Body: append(body, make([]byte, 12+60)...)}, aad); own || err != nil {
			t.Fatal(own, err)
		}
	}
	if n := len(s.Secrets()) - 1; n != 1024 || own != 1 || all != foreign+1 {
		t.Errorf("%d roots are in memory; Argon2id ran %d times, %d of them for the enrolment", n, all, own)
	}
}

// The user is asked for the passphrase only once, even if that fails, unless the context ended.
func TestAsk(t *testing.T) {
	errTerminal := errors.New("not a terminal")
	aad := envelope.AAD{Ctx: testRef.Context()}
	for _, tc := range []struct {
		name, text string
		err        error
		want       error
		message    string
	}{
		{"no terminal", "", errTerminal, envelope.ErrUnauthenticated, "not authenticated to the key source: the passphrase: not a terminal"},
		{"no terminal, wrapped error", "", errTerminal, errTerminal, ""},
		{"source unavailable", "", fmt.Errorf("op: %w", envelope.ErrUnavailable), envelope.ErrUnavailable, "op: key source unavailable"},
		{"empty", "", nil, envelope.ErrInvalid, "passphrase: the passphrase is empty"},
		{"not UTF-8", "\xff", nil, envelope.ErrInvalid, "passphrase: the passphrase is not UTF-8"},
	} {
		asked := 0
		c := enrolled(t, "correct horse", weak)
		c.Passphrase = func(context.Context) ([]byte, error) { asked++; return []byte(tc.text), tc.err }
		s := newSource(t, c)
		for range 2 {
			_, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
			if !errors.Is(err, tc.want) || tc.message != "" && err.Error() != tc.message || errors.Is(tc.want, envelope.ErrUnavailable) && errors.Is(err, envelope.ErrUnauthenticated) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times", tc.name, asked)
		}
	}
	c := enrolled(t, "correct horse", weak)
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	given := []byte("correct horse")
	c.Passphrase = func(context.Context) ([]byte, error) {
		if asked++; asked == 1 {
			cancel()
			return nil, errTerminal
		}
		return given, nil
	}
	s := newSource(t, c)
	if _, err := s.Wrap(ctx, testRef, make([]byte, 32), aad); !errors.Is(err, context.Canceled) || errors.Is(err, envelope.ErrUnauthenticated) {
		t.Error(err)
	}
	for range 2 {
		if _, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad); err != nil || asked != 2 {
			t.Error(asked, err)
		}
	}
	if !bytes.Equal(given, make([]byte, len(given))) {
		t.Error("the result of Passphrase is not wiped")
	}
}

func TestClose(t *testing.T) {
	s := newSource(t, enrolled(t, "correct horse", weak))
	aad := envelope.AAD{Ctx: testRef.Context()}
	st, err := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s %d", s, s, s, s, s); strings.Contains(text, "correct") || strings.Contains(text, "99 111") || !strings.Contains(text, "[redacted]") {
		t.Error(text)
	}
	secrets := s.Secrets()
	if len(secrets) != 2 || string(secrets[0]) != "correct horse" || len(secrets[1]) != 32 {
		t.Fatalf("%d secrets", len(secrets))
	}
	s.Close()
	for _, b := range secrets {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("%x is not wiped", b)
		}
	}
	_, err1 := s.Wrap(t.Context(), testRef, make([]byte, 32), aad)
	_, err2 := s.Recognizes(t.Context(), testRef, st, aad)
	_, err3 := s.Unwrap(t.Context(), testRef, st, aad)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, envelope.ErrInvalid) || err.Error() != "passphrase: the key source is closed" {
			t.Error(err)
		}
	}
	var zero passphrase.Source
	if _, err := zero.Unwrap(t.Context(), testRef, st, aad); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
	if err := zero.Close(); err != nil {
		t.Error(err)
	}
}

// Enrol uses the parameters of the format's writers and generates a salt each time.
func TestEnrol(t *testing.T) {
	a, err := passphrase.Enrol(t.Context(), says("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(); err != nil || a.Time != 3 || a.Memory != 64<<10 || a.Threads != 4 {
		t.Errorf("%+v, %v", a, err)
	}
	b, err := passphrase.Enrol(t.Context(), says("correct horse"))
	if err != nil || a.Salt == b.Salt || a.Fingerprint == b.Fingerprint {
		t.Errorf("%+v, %+v, %v", a, b, err)
	}
	if _, err := passphrase.Enrol(t.Context(), says("")); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
	if _, err := passphrase.Enrol(t.Context(), passphrase.Config{}); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	good := passphrase.Enrolment{Salt: "000102030405060708090a0b0c0d0e0f", Time: 3, Memory: 65536, Threads: 4, Fingerprint: "5702411fe3f18693"}
	for _, tc := range []struct {
		change func(*passphrase.Enrolment)
		text   string
	}{
		{func(*passphrase.Enrolment) {}, ""},
		{func(e *passphrase.Enrolment) { e.Time, e.Memory = 5, 7<<10 }, ""},
		{func(e *passphrase.Enrolment) { e.Time, e.Memory = 5, 7<<10-1 }, "the enrolment: time 5 and memory 7167 KiB are too weak: their product must be at least 35840"},
		{func(e *passphrase.Enrolment) { e.Salt = e.Salt[2:] }, "the enrolment contains no valid salt: 32 lower-case hex digits"},
		{func(e *passphrase.Enrolment) { e.Salt = strings.ToUpper(e.Salt) }, "the enrolment contains no valid salt: 32 lower-case hex digits"},
		{func(e *passphrase.Enrolment) { e.Salt = "" }, "the enrolment contains no valid salt: 32 lower-case hex digits"},
		{func(e *passphrase.Enrolment) { e.Fingerprint = "" }, "the enrolment contains no valid fingerprint: 16 lower-case hex digits"},
		{func(e *passphrase.Enrolment) { e.Fingerprint = "5702411FE3F18693" }, "the enrolment contains no valid fingerprint: 16 lower-case hex digits"},
		{func(e *passphrase.Enrolment) { e.Time = 0 }, "the enrolment: the Argon2 parameter time is 0, but must be 1 to 16"},
		{func(e *passphrase.Enrolment) { e.Threads = 17 }, "the enrolment: the Argon2 parameter threads is 17, but must be 1 to 16"},
		{func(e *passphrase.Enrolment) { e.Memory = 31 }, "the enrolment: the Argon2 parameter memory is 31 KiB, but must be 32 to 1048576 KiB"},
		{func(e *passphrase.Enrolment) { e.Time, e.Memory = 5, 1<<20 }, "the enrolment: time 5 and memory 1048576 KiB are too much: their product must be at most 4194304"},
	} {
		e := good
		tc.change(&e)
		c := says("x")
		c.Enrolment = &e
		_, err := passphrase.New(c)
		for _, err := range []error{e.Check(), err} {
			if tc.text == "" && err != nil || tc.text != "" && (!errors.Is(err, envelope.ErrInvalid) || err.Error() != "passphrase: "+tc.text) {
				t.Errorf("%v, want %s", err, tc.text)
			}
		}
	}
	if err := (*passphrase.Enrolment)(nil).Check(); !errors.Is(err, envelope.ErrInvalid) {
		t.Error(err)
	}
	if text, err := json.Marshal(good); err != nil || string(text) != `{"salt":"000102030405060708090a0b0c0d0e0f","time":3,"memory":65536,"threads":4,"fingerprint":"5702411fe3f18693"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestClean(t *testing.T) {
	for _, tc := range []struct {
		in, typed, file string // "" for a refusal
	}{
		{"a", "a", "a"},
		{"a\n", "a\n", "a"},
		{"a\r\n", "a\r\n", "a"},
		{"a\n\n", "a\n\n", "a\n"},
		{"a\r\n\r\n", "a\r\n\r\n", "a\r\n"},
		{"a\r", "a\r", "a\r"},
		{"\r\n", "\r\n", ""},
		{"\n", "\n", ""},
		{"", "", ""},
		{" a ", " a ", " a "},
		{"a\x00b", "a\x00b", "a\x00b"},
		{"e\u0301", "\u00e9", "\u00e9"},
		{"\u212b", "\u00c5", "\u00c5"},
		{"\ufb01", "\ufb01", "\ufb01"}, // not normalization form KC
		{"\U0001d160", "\U0001d158\U0001d165\U0001d16e", "\U0001d158\U0001d165\U0001d16e"},
		{"\ufeffa", "", ""},
		{"a\xff", "", ""},
		{"\xff\xfea\x00", "", ""},
	} {
		for fromFile, want := range map[bool]string{false: tc.typed, true: tc.file} {
			in := []byte(tc.in)
			got, err := passphrase.Clean(in, fromFile)
			if string(got) != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, envelope.ErrInvalid) {
				t.Errorf("%q, %v: %q, %v", tc.in, fromFile, got, err)
			}
			clear(got)
			if string(in) != tc.in {
				t.Errorf("%q: the result shares memory", tc.in)
			}
		}
	}
}

// A vector has the inputs of a stanza and every intermediate value. FORMAT.md describes the members.
type vector struct {
	ID, About                       string
	Passphrase                      string
	Time                            uint8
	Memory                          uint32
	Threads                         uint8
	Salt                            string
	Vault, Tenant, Collection, Name string
	Ctx, Root, Fingerprint, Stable  string
	DEK                             string
	WrapNonce                       string `json:"wrap_nonce"`
	KEK                             string
	KEKID                           string `json:"kek_id"`
	WrapAAD                         string `json:"wrap_aad"`
	Body                            string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("only %d vectors", len(all))
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors were made by another implementation.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			if testing.Short() && v.Memory > 1<<16 {
				t.Skip("it needs a GiB of memory")
			}
			ref := envelope.Ref{Vault: v.Vault, Tenant: v.Tenant, Collection: v.Collection, Name: v.Name}
			aad := envelope.AAD{Stable: [15]byte(unhex(t, v.Stable)), Ctx: ref.Context()}
			st := envelope.Stanza{Type: 2, ID: [16]byte(unhex(t, v.KEKID)), Body: unhex(t, v.Body)}
			if got := hex.EncodeToString(aad.Ctx[:]); got != v.Ctx {
				t.Errorf("ctx %s", got)
			}
			if got := hex.EncodeToString(aad.Bytes(2, st.ID)); got != v.WrapAAD {
				t.Errorf("wrap AAD %s", got)
			}
			s := newSource(t, says(v.Passphrase))
			if dek, err := s.Unwrap(t.Context(), ref, st, aad); err != nil || hex.EncodeToString(dek) != v.DEK {
				t.Errorf("data key %x, %v", dek, err)
			}
			root := s.Secrets()[1]
			if got := hex.EncodeToString(root); got != v.Root {
				t.Errorf("root %s", got)
			}
			r, err := kek.NewRoot(root)
			if err != nil {
				t.Fatal(err)
			}
			if got := kek.NewLocal(r).Fingerprint(); got != v.Fingerprint {
				t.Errorf("fingerprint %s", got)
			}
			// The same record seals, and the stanza differs in the nonce and what follows it.
			c := says(v.Passphrase)
			c.Enrolment = &passphrase.Enrolment{Salt: v.Salt, Time: v.Time, Memory: v.Memory, Threads: v.Threads, Fingerprint: v.Fingerprint}
			sealing := newSource(t, c)
			sealing.Observe(func(passphrase.Weak) []byte { return bytes.Clone(root) })
			got, err := sealing.Wrap(t.Context(), ref, unhex(t, v.DEK), aad)
			if err != nil || got.Type != 2 || got.ID != st.ID || len(got.Body) != 82 || !bytes.Equal(got.Body[:22], st.Body[:22]) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What parses as a stanza marshals back to the same bytes, and is within the limits.
func FuzzStanza(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Body))
	}
	f.Add([]byte{17})
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := passphrase.Params(body)
		if err != nil {
			return
		}
		memory := binary.BigEndian.Uint32(b[1:])
		if !bytes.Equal(b, body[:22]) || len(body) != 82 || uint64(b[0])*uint64(memory) > 1<<22 || memory > 1<<20 || b[0]-1 > 15 || b[5]-1 > 15 || memory < 8*uint32(b[5]) {
			t.Fatalf("%x is %x", body, b)
		}
	})
}

// Clean is idempotent, and its result is never empty.
func FuzzClean(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Passphrase+"\r\n"), true)
	}
	f.Add([]byte("e\u0301"), false)
	f.Fuzz(func(t *testing.T, text []byte, fromFile bool) {
		b, err := passphrase.Clean(text, fromFile)
		if err != nil {
			if b != nil || !errors.Is(err, envelope.ErrInvalid) {
				t.Fatalf("%q, %v", b, err)
			}
			return
		}
		if again, err := passphrase.Clean(b, false); err != nil || !bytes.Equal(again, b) || len(b) == 0 {
			t.Fatalf("%q, %q, %v", b, again, err)
		}
	})
}

// A record that Check accepts is accepted by New, and is the same after a round trip.
func FuzzEnrolment(f *testing.F) {
	f.Add([]byte(`{"salt":"000102030405060708090a0b0c0d0e0f","time":3,"memory":65536,"threads":4,"fingerprint":"5702411fe3f18693"}`))
	f.Add([]byte(`{"salt":"00","time":255,"memory":4294967295,"threads":0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e passphrase.Enrolment
		if json.Unmarshal(b, &e) != nil {
			return
		}
		c := says("x")
		c.Enrolment = &e
		_, err := passphrase.New(c)
		if checked := e.Check(); (checked == nil) != (err == nil) || err != nil && !errors.Is(err, envelope.ErrInvalid) {
			t.Fatalf("%v, %v", checked, err)
		} else if err != nil {
			return
		}
		text, err := json.Marshal(e)
		var again passphrase.Enrolment
		if err != nil || json.Unmarshal(text, &again) != nil || again != e {
			t.Fatalf("%s, %+v, %v", text, again, err)
		}
	})
}
