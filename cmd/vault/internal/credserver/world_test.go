package credserver_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
	"github.com/objectvault/objectvault/vaulturl"
)

const (
	wallet = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	omni   = "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"
	full   = "token-without-a-scope"
)

// A world is a vault whose store fails on demand, and the token file of a server.
type world struct {
	t      *testing.T
	store  *vault.Store
	vault  *vault.Vault
	spool  *spool.Spool
	tokens string // path of the token file
	log    *record
	clock  atomic.Int64 // nanoseconds since the epoch
	hook   atomic.Pointer[func(ctx context.Context, c intercept.Call, do func() error) error]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: &record{}, tokens: filepath.Join(t.TempDir(), "tokens")}
	w.clock.Store(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC).UnixNano())
	inner, err := vaulturl.OpenStore(t.Context(), "mem://", nil)
	if err != nil {
		t.Fatal(err)
	}
	store := intercept.Store(inner, intercept.Hooks{Call: func(ctx context.Context, c intercept.Call, do func() error) error {
		if hook := w.hook.Load(); hook != nil {
			return (*hook)(ctx, c, do)
		}
		return do()
	}})
	t.Cleanup(func() { store.Close() })
	w.store = store
	if w.spool, err = spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"}); err != nil {
		t.Fatal(err)
	}
	w.vault, err = vault.New(store, wallet, []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: w.spool})
	if err != nil {
		t.Fatal(err)
	}
	w.writeTokens(line(full, ""))
	return w
}

// line returns the line of a token file. more are further members, such as `,"expires":"…"`.
func line(token, more string) string {
	hash := sha256.Sum256([]byte(token))
	return fmt.Sprintf(`{"sha256":"%s","wallet":"%s"%s}`, hex.EncodeToString(hash[:]), wallet, more)
}

// writeTokens replaces the token file.
func (w *world) writeTokens(lines ...string) {
	w.t.Helper()
	replace(w.t, w.tokens, strings.Join(lines, "\n")+"\n")
}

// replace replaces a file by another one, as an editor does.
func replace(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// each makes every later request to the store call hook.
func (w *world) each(hook func(ctx context.Context, c intercept.Call, do func() error) error) {
	if hook == nil {
		w.hook.Store(nil)
		return
	}
	w.hook.Store(&hook)
}

// failing makes every later request to the store fail, except those whose operation is in but.
func (w *world) failing(err error, but ...string) {
	w.each(func(_ context.Context, c intercept.Call, do func() error) error {
		if slices.Contains(but, c.Op) {
			return do()
		}
		return err
	})
}

func (w *world) now() time.Time { return time.Unix(0, w.clock.Load()) }

func (w *world) advance(d time.Duration) { w.clock.Add(int64(d)) }

func (w *world) config() credserver.Config {
	w.t.Helper()
	verifier, err := credserver.OpenTokenFile(w.tokens, w.log.logger())
	if err != nil {
		w.t.Fatal(err)
	}
	return credserver.Config{
		Backend: credserver.Vault(w.vault, &credserver.VaultOptions{Spool: w.spool}), Agents: []string{wallet, omni}, Verifier: verifier,
		Log: w.log.logger(), Now: w.now, ReadsPerMinute: -1,
	}
}

// A running is a server that was started.
type running struct {
	t     *testing.T
	addr  net.Addr
	stop  context.CancelFunc
	ended chan struct{}
	err   error // of Serve, when ended is closed
}

// start starts a server at an address. change may change the configuration, or be nil.
func (w *world) start(address string, change func(*credserver.Config)) *running {
	w.t.Helper()
	c := w.config()
	if change != nil {
		change(&c)
	}
	return start(w.t, c, address)
}

func start(t *testing.T, c credserver.Config, address string) *running {
	t.Helper()
	s, err := credserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := credserver.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: t, addr: listeners[0].Addr(), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = s.Serve(ctx, listeners...)
	}()
	t.Cleanup(func() { r.end() })
	return r
}

// end stops the server and returns the error of Serve.
func (r *running) end() error {
	r.stop()
	<-r.ended
	return r.err
}

// serve starts a server on a free port and returns a client with the token full.
func (w *world) serve(change func(*credserver.Config)) *client {
	w.t.Helper()
	return w.start("127.0.0.1:0", change).client(full)
}

// A client sends requests as the client of agentKeys does. In particular, it does not encode the name
// of a service in a URL.
type client struct {
	t     *testing.T
	http  *http.Client
	host  string
	token string
}

// client returns a client of the server. An empty token means none.
func (r *running) client(token string) *client {
	network, address := r.addr.Network(), r.addr.String()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	r.t.Cleanup(transport.CloseIdleConnections)
	host := "localhost"
	if network == "tcp" {
		host = address
	}
	return &client{r.t, &http.Client{Transport: transport}, host, token}
}

// as returns a client with another token.
func (c *client) as(token string) *client {
	other := *c
	other.token = token
	return &other
}

// A response is what the server has sent.
type response struct {
	status int
	header http.Header
	text   string
}

// do sends a request.
func (c *client) do(ctx context.Context, method, path, query, body string, header ...string) (response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.host, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	r.URL.Path, r.URL.RawQuery = path, query
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(text)}, err
}

// call is do for a request that must have a response.
func (c *client) call(method, path, query, body string, header ...string) response {
	c.t.Helper()
	r, err := c.do(c.t.Context(), method, path, query, body, header...)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
	}
	return r
}

func (c *client) store(service, value string) response {
	c.t.Helper()
	return c.call("POST", "/credential/store", "", storeBody(wallet, service, value))
}

func storeBody(agent, service, value string) string {
	body, err := json.Marshal(map[string]string{"agent_id": agent, "service": service, "ciphertext": base64.StdEncoding.EncodeToString([]byte(value))})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func (c *client) read(service string) response {
	c.t.Helper()
	return c.call("GET", "/credential/read", "agent_id="+wallet+"&service="+service, "")
}

func (c *client) list() response {
	c.t.Helper()
	return c.call("GET", "/credential/list", "agent_id="+wallet, "")
}

func (c *client) teardown() response {
	c.t.Helper()
	return c.call("DELETE", "/credential/teardown", "", `{"agent_id":"`+wallet+`"}`)
}

// want checks a response: the status, and the whole body, or for an error its code.
func (r response) want(t *testing.T, label string, status int, text string) {
	t.Helper()
	got := r.text
	if status >= 400 {
		var e struct{ Error, Message string }
		if err := json.Unmarshal([]byte(r.text), &e); err != nil || e.Message == "" {
			t.Errorf("%s: the error is not JSON with a message: %q", label, r.text)
		}
		got = e.Error
	}
	if r.status != status || got != text {
		t.Errorf("%s: %d %q (%s), want %d %q", label, r.status, got, r.text, status, text)
	}
}

// wantValue checks the response to a read.
func (r response) wantValue(t *testing.T, label, value string) {
	t.Helper()
	r.want(t, label, 200, `{"ciphertext":"`+base64.StdEncoding.EncodeToString([]byte(value))+`"}`)
}

const isOK = `{"ok":true}`

// A record collects what was logged.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(r, nil)) }

// lines returns the lines with the given message.
func (r *record) lines(t *testing.T, message string) (list []map[string]any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for text := range strings.Lines(r.text.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line["msg"] == message {
			list = append(list, line)
		}
	}
	return list
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func openMem(ctx context.Context) (*vault.Store, error) {
	return vaulturl.OpenStore(ctx, "mem://", nil)
}

func parseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// blocked makes the given operations of the store wait until release is called. arrived receives one
// element for each that waits.
func (w *world) blocked(ops ...string) (arrived <-chan struct{}, release func()) {
	in, out := make(chan struct{}, 100), make(chan struct{})
	w.each(func(ctx context.Context, c intercept.Call, do func() error) error {
		if !slices.Contains(ops, c.Op) {
			return do()
		}
		in <- struct{}{}
		select {
		case <-out:
			return do()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", vault.ErrUnavailable, ctx.Err())
		}
	})
	return in, func() { close(out) }
}
