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

// A delayingProxy closes the connections of the first PUTs, and delivers these PUTs later.
type delayingProxy struct {
	to          *url.URL
	put         func(n int) (late bool) // called before the nth PUT
	list        func(n int)             // called before the nth list of versions
	mu          sync.Mutex
	puts, lists int
	late        []*http.Request
}

func (s *delayingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock() // a write makes no concurrent requests, so one at a time is sufficient
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

// deliver sends the PUTs whose connections were closed to the server.
func (s *delayingProxy) deliver(t *testing.T) {
	for _, r := range s.late {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Error(err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a PUT that arrived late: %s", resp.Status)
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

// TestLateWrite: a PUT whose connection was closed arrives after the store has looked for its version.
// No write may succeed if another writer, which has not read the new value, replaces it.
func TestLateWrite(t *testing.T) {
	for _, tc := range []struct {
		name    string
		others  bool // another writer writes after the connection of the first PUT was closed
		arrives int  // before the nth PUT; 0 means later
		lost    int  // number of PUTs whose connections are closed
		seen    bool // the first PUT arrives after the other write, but before the store looks for it
		want    error
		mine    bool // the value of the write is stored at the end
	}{
		{"first PUT never arrives", false, 0, 1, false, nil, true},
		{"first PUT arrives before the second", false, 2, 1, false, nil, true},
		{"first PUT arrives before the list of the retry", false, 0, 1, true, nil, true},
		{"another write, first PUT never arrives", true, 0, 1, false, vault.ErrUnsure, false},
		{"another write, then the first PUT arrives", true, 0, 1, true, errLost, false},
		{"no PUT arrives", false, 0, 3, false, vault.ErrUnsure, false},
		{"two PUTs arrive before the third", false, 3, 2, false, nil, true},
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
				o, before, otherValue := &vault.PutOptions{Create: true}, []byte(nil), noise(2, 90)
				if swap {
					info, err := other.Put(t.Context(), "x", noise(1, 80), nil)
					if err != nil {
						t.Fatal(err)
					}
					o, before = &vault.PutOptions{IfRevision: info.Revision}, all(t, noise(1, 80))
				}
				proxy := &delayingProxy{to: to}
				proxy.put = func(n int) bool {
					if n == tc.arrives {
						proxy.deliver(t)
					}
					return n <= tc.lost
				}
				proxy.list = func(n int) {
					// The second attempt starts with a list. The second attempt of a create makes
					// two.
					if n != map[bool]int{false: 3, true: 2}[swap] {
						return
					}
					if tc.others {
						if _, err := other.Put(context.Background(), "x", otherValue, nil); err != nil {
							t.Error(err)
						}
					}
					if tc.seen {
						proxy.deliver(t)
					}
				}
				front := httptest.NewServer(proxy)
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
					t.Errorf("afterwards the object has %d bytes, %v; want %d", len(got), err, len(holds))
				}
			})
		}
	}
}
