package plainserver_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/plainserver"
	"github.com/objectvault/objectvault/internal/oldserver"
)

const (
	alice = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	bob   = "0x00000000000000000000000000000000000000b0"
	token = "session-of-alice"
)

// A server is an old server with credentials. Its clock only moves when a client sleeps.
type server struct {
	old *oldserver.Server
	url string

	mu       sync.Mutex
	now      time.Time
	requests []string                                                       // such as "GET list"
	slept    []time.Duration                                                // by the client
	hook     func(w http.ResponseWriter, r *http.Request, name string) bool // reports whether it has handled the request
}

// start starts a server that permits 3 reads in a minute, with values of alice.
func start(t *testing.T, values map[string]string) *server {
	t.Helper()
	s := &server{now: time.Unix(1700000000, 0)}
	old, err := oldserver.Open(t.Context(), oldserver.Config{
		File:           filepath.Join(t.TempDir(), "credentials.db"),
		ReadsPerMinute: 3,
		Now:            s.time,
		Tokens: map[string]oldserver.Token{
			token: {Wallet: alice}, "bob": {Wallet: bob}, "scoped": {Wallet: alice, Services: []string{"groq"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.old = old
	listener := httptest.NewServer(s)
	t.Cleanup(func() {
		listener.Close()
		if err := old.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = listener.URL
	for service, value := range values {
		s.store(t, token, alice, service, value)
	}
	s.store(t, "bob", bob, "openai", "the value of bob")
	return s
}

func (s *server) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// sleep moves the clock.
func (s *server) sleep(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
	s.slept = append(s.slept, d)
	return ctx.Err()
}

// ServeHTTP passes requests to the hook, and then to the old server.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/credential/")
	s.mu.Lock()
	s.requests = append(s.requests, name)
	hook := s.hook
	s.mu.Unlock()
	if hook == nil || !hook(w, r, name) {
		s.old.ServeHTTP(w, r)
	}
}

// count returns how many requests with this name the server got.
func (s *server) count(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r == name {
			n++
		}
	}
	return n
}

// direct sends a request to the old server, without a connection and without the hook.
func (s *server) direct(ctx context.Context, token, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.old.ServeHTTP(w, r)
	return w
}

func (s *server) store(t *testing.T, token, agent, service, value string) {
	t.Helper()
	body := fmt.Sprintf(`{"agent_id":%q,"service":%q,"ciphertext":%q}`, agent, service, base64.StdEncoding.EncodeToString([]byte(value)))
	if w := s.direct(t.Context(), token, "POST", "/credential/store", body); w.Code != http.StatusOK {
		t.Errorf("store %s: %d %s", service, w.Code, w.Body)
	}
}

// services returns what the old server lists for an agent.
func (s *server) services(t *testing.T, token, agent string) string {
	t.Helper()
	return strings.TrimSpace(s.direct(t.Context(), token, "GET", "/credential/list?agent_id="+agent, "").Body.String())
}

// config returns a configuration for alice with the clock of the server.
func (s *server) config() plainserver.Config {
	return plainserver.Config{URL: s.url, Agent: alice, Token: token, Now: s.time, Sleep: s.sleep}
}

func open(t *testing.T, c plainserver.Config) *plainserver.Source {
	t.Helper()
	s, err := plainserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// item returns an item of alice.
func item(service string) migrate.Item { return migrate.Item{Agent: alice, Service: service} }

// verified returns items of alice that were verified with the values.
func verified(values map[string]string) (all []migrate.Verified) {
	for service, value := range values {
		all = append(all, migrate.Verified{Item: item(service), Same: func(b []byte) bool { return string(b) == value }})
	}
	slices.SortFunc(all, func(a, b migrate.Verified) int { return strings.Compare(a.Service, b.Service) })
	return all
}

// respond returns a hook that responds to the requests with a name.
func respond(name string, status int, header, body string) func(http.ResponseWriter, *http.Request, string) bool {
	return func(w http.ResponseWriter, r *http.Request, got string) bool {
		if got != name {
			return false
		}
		if key, value, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(key, value)
		}
		w.WriteHeader(status)
		w.Write([]byte(body))
		return true
	}
}
