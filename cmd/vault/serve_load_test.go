package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// serveLoadVar is the duration of TestServeLoad: the default is 2 seconds, and the target is a minute.
const serveLoadVar = "OBJECTVAULT_SERVE_LOAD"

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+) `)

// TestServeLoad: 200 requests a second from clients of the plaintext server, while the store comes and
// goes. Each store is acknowledged, no read returns an older value than an acknowledged one, and in the
// end the store has the last value of each service.
func TestServeLoad(t *testing.T) {
	const rate, services = 200, 20
	duration := 2 * time.Second
	if text := os.Getenv(serveLoadVar); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		duration = 500 * time.Millisecond
	}
	cloud, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	home := t.TempDir()
	env := map[string]string{
		"HOME": home, "OBJECTVAULT_TENANT": walletA, "OBJECTVAULT_STORE": "cos://" + cloud.Bucket() + "?region=" + cloud.Region() + "&endpoint=" + cloud.URL(),
		"TENCENTCLOUD_SECRET_ID": cloud.SecretID(), "TENCENTCLOUD_SECRET_KEY": cloud.SecretKey(),
	}
	t.Setenv("TENCENTCLOUD_SECRET_ID", cloud.SecretID()) // the SDK reads the environment
	t.Setenv("TENCENTCLOUD_SECRET_KEY", cloud.SecretKey())
	var away atomic.Bool
	var errs lockedBuffer
	command := func(ctx context.Context, in string, args ...string) ran {
		var out lockedBuffer
		code := run(ctx, append([]string{"vault"}, args...), &world{
			in: strings.NewReader(in), out: &out, err: &errs, goos: "linux", now: time.Now,
			getenv: func(name string) string { return env[name] }, environ: func() []string { return nil },
			readFile: os.ReadFile, open: openFile, create: createFile, writeNew: writeNew, canSync: canSync, fileSystem: fileSystem,
			quietly: func(error) bool { return false },
			wrapStore: func(s *vault.Store) *vault.Store {
				return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
					if away.Load() {
						return vault.ErrUnavailable
					}
					return do()
				}})
			},
		})
		return ran{args, code, out.String(), errs.String()}
	}
	if r := command(t.Context(), "", "init"); r.code != exitOK {
		t.Fatal(r)
	}
	tokens := filepath.Join(home, "tokens")
	added := command(t.Context(), "", "serve", "--legacy", "--tokens", tokens, "--new-token")
	if added.code != exitOK {
		t.Fatal(added)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan ran, 1)
	go func() {
		served <- command(ctx, "", "serve", "--legacy", "--tokens", tokens, "--listen", "127.0.0.1:0", "--reads-per-minute", "0")
	}()
	client := &loadClient{t: t, token: strings.TrimSpace(added.out), http: &http.Client{Timeout: time.Minute}}
	for client.url == "" || client.get("/healthz") != http.StatusOK {
		if at := listening.FindStringSubmatch(errs.String()); at != nil {
			client.url = "http://" + at[1]
		}
		select {
		case r := <-served:
			t.Fatal(r)
		case <-time.After(10 * time.Millisecond):
		}
	}

	end := time.Now().Add(duration)
	var outages sync.WaitGroup
	outages.Go(func() {
		for time.Now().Before(end) {
			time.Sleep(rand.N(duration / 10))
			away.Store(true)
			time.Sleep(rand.N(duration / 10))
			away.Store(false)
		}
	})
	last := make([]int, services) // the value that was acknowledged
	var requests, unavailable atomic.Int64
	var clients sync.WaitGroup
	for i := range services {
		clients.Go(func() {
			pace := time.NewTicker(time.Second * services / rate * 2) // a store and a read
			defer pace.Stop()
			for n := 1; n == 1 || time.Now().Before(end); n++ {
				service := fmt.Sprintf("service %d/%c", i, 'a'+i)
				client.store(service, fmt.Sprint("value ", n))
				last[i] = n
				value, ok := client.read(service)
				if requests.Add(2); !ok {
					unavailable.Add(1)
				} else if value != fmt.Sprint("value ", n) {
					t.Errorf("read of %s: %q after the store of %d", service, value, n)
				}
				<-pace.C
			}
		})
	}
	clients.Wait()
	outages.Wait()
	stop()
	if r := <-served; r.code != exitOK {
		t.Errorf("serve ended with %v", r)
	}
	if r := command(t.Context(), "", "sync"); r.code != exitOK {
		t.Errorf("sync: %v", r)
	}
	for i, n := range last {
		if r := command(t.Context(), "", "get", fmt.Sprintf("service %d/%c", i, 'a'+i)); r.out != fmt.Sprint("value ", n) {
			t.Errorf("service %d: %v, want value %d", i, r, n)
		}
	}
	log := errs.String()
	if strings.Contains(log, client.token) || strings.Contains(log, base64.StdEncoding.EncodeToString([]byte("value 1"))) {
		t.Error("the log contains a token or a value")
	}
	if away := strings.Count(log, "saved in the spool"); duration >= time.Second && away == 0 {
		t.Error("no store met an absent store")
	} else {
		t.Logf("%v: %d requests, %d stores were saved in the spool first, %d reads were answered with 503", duration, requests.Load(), away, unavailable.Load())
	}
}

// A loadClient is a client of the plaintext server, written from its contract. It does not encode the
// service in a URL.
type loadClient struct {
	t          *testing.T
	url, token string
	http       *http.Client
}

func (c *loadClient) do(method, target string, body []byte) (int, []byte) {
	r, err := http.NewRequest(method, c.url, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, strings.ReplaceAll(query, " ", "%20")
	r.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Error(err)
	}
	return resp.StatusCode, text
}

func (c *loadClient) get(path string) int {
	status, _ := c.do(http.MethodGet, path, nil)
	return status
}

func (c *loadClient) store(service, value string) {
	body, err := json.Marshal(map[string]string{"agent_id": walletA, "service": service, "ciphertext": base64.StdEncoding.EncodeToString([]byte(value))})
	if err != nil {
		c.t.Error(err)
	}
	if status, text := c.do(http.MethodPost, "/credential/store", body); status != http.StatusOK || strings.TrimSpace(string(text)) != `{"ok":true}` {
		c.t.Errorf("store of %s: %d %s", service, status, text)
	}
}

// read returns the value of a service. ok is false if the store is away.
func (c *loadClient) read(service string) (value string, ok bool) {
	status, text := c.do(http.MethodGet, "/credential/read?agent_id="+walletA+"&service="+service, nil)
	var answer struct{ Ciphertext []byte }
	switch {
	case status == http.StatusServiceUnavailable:
		return "", false
	case status != http.StatusOK || json.Unmarshal(text, &answer) != nil:
		c.t.Errorf("read of %s: %d %s", service, status, text)
		return "", false
	}
	return string(answer.Ciphertext), true
}
