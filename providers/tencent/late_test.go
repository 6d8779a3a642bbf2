package tencent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// A slowWay is a way to a server on which the first PUTs are cut off, and arrive later.
type slowWay struct {
	to          *url.URL
	put         func(n int) (late bool) // before the nth PUT goes on
	list        func(n int)             // before the nth list of versions goes on
	mu          sync.Mutex
	puts, lists int
	late        []*http.Request
}

func (s *slowWay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock() // one after the other: a write makes no requests at once
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out := r.Clone(context.Background())
	out.URL.Scheme, out.URL.Host, out.RequestURI = s.to.Scheme, s.to.Host, ""
	out.Body = io.NopCloser(bytes.NewReader(body))
	switch {
	case r.Method == http.MethodPut:
		s.puts++
		if s.put(s.puts) {
			s.late = append(s.late, out)
			panic(http.ErrAbortHandler)
		}
	case r.URL.Query().Has("versions"):
		s.lists++
		s.list(s.lists)
	}
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// arrive has the PUTs arrive that were cut off.
func (s *slowWay) arrive(t *testing.T) {
	for _, r := range s.late {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Error(err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a PUT that came late: %s", resp.Status)
		}
	}
	s.late = nil
}

var errLost = errors.New("exists, or conflict")

func all(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLateWrite: a PUT that was cut off arrives after the store has looked for it. No writer
// succeeds whose value was replaced by a writer that did not see it.
func TestLateWrite(t *testing.T) {
	for _, tc := range []struct {
		name    string
		others  bool // write after the first PUT was cut off
		arrives int  // before the nth PUT; 0: not in time
		lost    int  // PUTs that are cut off
		seen    bool // it arrives, after others wrote, before the look for it
		want    error
		mine    bool // is there in the end
	}{
		{"alone", false, 0, 1, false, nil, true},
		{"alone, and before the second", false, 2, 1, false, nil, true},
		{"alone, and before the second looks", false, 0, 1, true, nil, true},
		{"others, and it does not come", true, 0, 1, false, vault.ErrUnsure, false},
		{"others, and it comes after them", true, 0, 1, true, errLost, false},
		{"none comes", false, 0, 3, false, vault.ErrUnsure, false},
		{"two before the third", false, 3, 2, false, nil, true},
	} {
		for _, swap := range []bool{false, true} {
			t.Run(tc.name+map[bool]string{false: ", create", true: ", swap"}[swap], func(t *testing.T) {
				t.Parallel()
				s := newServer(t, &costest.Options{Versioning: "Enabled"})
				other := newVault(t, open(t, config(s, owner(s))), "acme")
				to, err := url.Parse(s.URL())
				if err != nil {
					t.Fatal(err)
				}
				o, before, theirs := &vault.PutOptions{Create: true}, []byte(nil), noise(2, 90)
				if swap {
					info, err := other.Put(t.Context(), "x", noise(1, 80), nil)
					if err != nil {
						t.Fatal(err)
					}
					o, before = &vault.PutOptions{IfRevision: info.Revision}, all(t, noise(1, 80))
				}
				way := &slowWay{to: to}
				way.put = func(n int) bool {
					if n == tc.arrives {
						way.arrive(t)
					}
					return n <= tc.lost
				}
				way.list = func(n int) {
					// The second attempt begins with one. That of a create looks twice before.
					if n != map[bool]int{false: 3, true: 2}[swap] {
						return
					}
					if tc.others {
						if _, err := other.Put(context.Background(), "x", theirs, nil); err != nil {
							t.Error(err)
						}
					}
					if tc.seen {
						way.arrive(t)
					}
				}
				front := httptest.NewServer(way)
				t.Cleanup(front.Close)
				c := config(s, owner(s))
				c.Endpoint = front.URL
				_, err = newVault(t, open(t, c), "acme").Put(t.Context(), "x", noise(3, 100), o)
				want := tc.want
				if want == errLost {
					want = map[bool]error{false: vault.ErrExist, true: vault.ErrConflict}[swap]
				}
				if !errors.Is(err, want) || want != vault.ErrUnsure && errors.Is(err, vault.ErrUnsure) {
					t.Errorf("put: %v, want %v", err, want)
				}
				holds := before
				switch {
				case tc.mine:
					holds = all(t, noise(3, 100))
				case tc.others:
					holds = all(t, noise(2, 90))
				}
				if got, err := read(t, other, nil); !bytes.Equal(got, holds) || err != nil && !errors.Is(err, vault.ErrNotFound) {
					t.Errorf("then %d bytes are there, %v; want %d", len(got), err, len(holds))
				}
			})
		}
	}
}
