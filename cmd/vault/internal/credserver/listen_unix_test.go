//go:build unix

package credserver_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/vault"
)

// childVariable makes the test binary do what [activatedChild] does.
const childVariable = "CREDSERVER_TEST_ACTIVATED"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		activatedChild()
		return
	}
	os.Exit(m.Run())
}

// shortDir returns a directory whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestUnixSocket: only this user can connect, and nothing is left behind.
func TestUnixSocket(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	w := newWorld(t)
	dir := shortDir(t)
	path := filepath.Join(dir, "vault.sock")
	r := w.start("unix:"+path, nil)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	r.client(full).list().want(t, "list with a token", 200, `{"services":[]}`)
	r.client(full).call("GET", "/healthz", "", "", "Host", "any.name").want(t, "any Host", 200, "ok")
	r.client(full).call("GET", "/healthz", "", "", "Origin", "null").want(t, "a browser", 403, "forbidden")
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestUnixSocketTaken: a socket is replaced only if no process listens there.
func TestUnixSocketTaken(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := credserver.Listen(t.Context(), "unix:"+path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a socket that is in use: %v", err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	listeners, err := credserver.Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	// Another process replaces the socket; closing ours must not remove it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := credserver.Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	listeners[0].Close()
	listeners[0].Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the socket of another listener: %v", err)
	} else {
		c.Close()
	}
	other[0].Close()
	other[0].Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, err := credserver.Listen(t.Context(), "unix:"+path); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "x" {
		t.Errorf("the file: %q, %v", text, err)
	}
	if _, err := credserver.Listen(t.Context(), "unix:"+filepath.Join(dir, "absent", "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := credserver.Listen(t.Context(), "unix:"+filepath.Join(dir, strings.Repeat("x", 200))); err == nil {
		t.Error("a path that is too long was accepted")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestUnixSocketRace: of several processes that find a stale socket, one listens.
func TestUnixSocketRace(t *testing.T) {
	for range 20 {
		path := filepath.Join(shortDir(t), "s")
		stale, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		stale.(*net.UnixListener).SetUnlinkOnClose(false)
		stale.Close()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []net.Listener
		for range 8 {
			wg.Go(func() {
				l, err := credserver.Listen(t.Context(), "unix:"+path)
				if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				won = append(won, l...)
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d processes listen", len(won))
		}
		for _, l := range won {
			l.Close()
		}
	}
}

// TestPeers: on a Unix socket, this user needs no token.
func TestPeers(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system does not report who has connected")
	}
	me := os.Geteuid()
	const unauthorized = "unauthorized"
	for _, tc := range []struct {
		name           string
		peers          []int
		noVerifier     bool
		none, bad, one int // status of a list without a token, with an unknown one, and with a scoped one
		store          int // status of a store with the scoped token
	}{
		{"by default", nil, false, 200, 401, 200, 403},
		{"without a token file", nil, true, 200, 200, 200, 200},
		{"no users", []int{}, false, 401, 401, 200, 403},
		{"no users and no token file", []int{}, true, 401, 401, 401, 401},
		{"another user", []int{me + 1}, false, 401, 401, 200, 403},
		{"several users", []int{me + 1, me}, false, 200, 401, 200, 403},
	} {
		w := newWorld(t)
		w.writeTokens(line("one", `,"scope":{"services":["a"]}`))
		r := w.start("unix:"+filepath.Join(shortDir(t), "s"), func(c *credserver.Config) {
			c.PeerUIDs = tc.peers
			if tc.noVerifier {
				c.Verifier = nil
			}
		})
		for token, status := range map[string]int{"": tc.none, "guess": tc.bad, "one": tc.one} {
			if got := r.client(token).list(); got.status != status {
				t.Errorf("%s: list with token %q: %d %s, want %d", tc.name, token, got.status, got.text, status)
			}
		}
		if got := r.client("one").store("b", "1"); got.status != tc.store {
			t.Errorf("%s: store with a scoped token: %d %s, want %d", tc.name, got.status, got.text, tc.store)
		}
		if tc.none == 200 {
			c := r.client("")
			c.store("c", "1").want(t, tc.name+": store", 200, isOK)
			c.teardown().want(t, tc.name+": teardown", 200, isOK)
		}
	}
	// The same server over TCP does not know the user.
	w := newWorld(t)
	w.serve(func(c *credserver.Config) { c.Verifier = nil }).list().want(t, "TCP without a token file", 401, unauthorized)
	limited := w.start("unix:"+filepath.Join(shortDir(t), "s"), func(c *credserver.Config) { c.ReadsPerMinute = 1 }).client("")
	limited.read("a").want(t, "first read", 404, "not_found")
	limited.read("a").want(t, "second read", 429, "rate_limited")
}

// activatedChild serves the listeners that it received as a service of systemd does, and prints what
// happened.
func activatedChild() {
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	listeners, err := credserver.Activated()
	if err != nil {
		fmt.Println("refused:", errors.Is(err, vault.ErrConfig), err)
		return
	}
	if left := os.Getenv("LISTEN_FDS"); left != "" {
		fmt.Println("LISTEN_FDS is still set")
	}
	s, err := credserver.New(credserver.Config{Backend: credserver.Vault(nil, nil), Agents: []string{wallet}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	for _, l := range listeners {
		fmt.Println(l.Addr().Network())
	}
	go func() { // until the parent closes the input
		os.Stdin.Read(make([]byte, 1))
		stop()
	}()
	fmt.Println("end:", s.Serve(ctx, listeners...))
}

// activated runs activatedChild with the given files. Then it calls use, and returns what the child
// has printed.
func activated(t *testing.T, use func(), files ...*os.File) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1", "LISTEN_FDS="+strconv.Itoa(len(files)))
	cmd.ExtraFiles = files
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	use()
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
	return out.String()
}

// TestActivated: systemd may open the listeners.
func TestActivated(t *testing.T) {
	listen := func(network, address string) (net.Listener, *os.File) {
		t.Helper()
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return l, f
	}
	path := filepath.Join(shortDir(t), "s")
	tcp, tcpFile := listen("tcp", "127.0.0.1:0")
	_, unixFile := listen("unix", path)
	_, outside := listen("tcp", ":0")
	out := activated(t, func() {
		const healthz = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
		if got := raw(t, "tcp", tcp.Addr().String(), healthz); got != 200 {
			t.Errorf("TCP: %d", got)
		}
		if got := raw(t, "unix", path, healthz); got != 200 {
			t.Errorf("Unix: %d", got)
		}
	}, tcpFile, unixFile)
	if out != "tcp\nunix\nend: <nil>\n" {
		t.Errorf("the child: %s", out)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of systemd was removed: %v", err)
	}
	if out := activated(t, func() {}, tcpFile, outside); !strings.Contains(out, "refused: true") || !strings.Contains(out, "other machines may reach") {
		t.Errorf("a socket that other machines can reach: %s", out)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if out := activated(t, func() {}, tcpFile, null); !strings.Contains(out, "refused: true") || !strings.Contains(out, "socket 2 of systemd") {
		t.Errorf("a file that is no socket: %s", out)
	}
}

// TestNotify: systemd learns when the server is ready, and when it stops.
func TestNotify(t *testing.T) {
	path := filepath.Join(shortDir(t), "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	next := func() string {
		b := make([]byte, 100)
		n, err := conn.Read(b)
		if err != nil {
			t.Error(err)
		}
		return string(b[:n])
	}
	t.Setenv("NOTIFY_SOCKET", path)
	w := newWorld(t)
	r := w.start("127.0.0.1:0", nil)
	if got := next(); got != "READY=1" {
		t.Errorf("at the start: %s", got)
	}
	r.end()
	if got := next(); got != "STOPPING=1" {
		t.Errorf("at the end: %s", got)
	}
	conn.Close()
	if err := w.start("127.0.0.1:0", nil).end(); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	if lines := w.log.lines(t, "systemd could not be informed"); len(lines) != 2 {
		t.Errorf("logged: %v", w.log)
	}
}
