package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
	"github.com/objectvault/objectvault/internal/oldserver"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// TestKeys runs testdata/keys. Each script has its own signer. $SIGNER is its URL, and it requires the
// bearer token $TOKEN.
func TestKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other, and each derives a key from a passphrase")
	}
	files, err := filepath.Glob("testdata/keys/*.txtar")
	if err != nil || len(files) < 4 {
		t.Fatalf("only %d scripts were found (%v)", len(files), err)
	}
	t.Run("script", func(t *testing.T) { testscript.Run(t, params(files, startSigner, keyCommands)) })
}

// startSigner starts the signer of a script.
func startSigner(e *testscript.Env) error {
	s, err := signertest.Start(&signertest.Options{Tokens: map[string]string{scriptToken: "*"}})
	if err != nil {
		return err
	}
	e.Defer(func() { s.Close() })
	e.Values["signer"] = s
	e.Setenv("TOKEN", scriptToken)
	e.Setenv("SIGNER", fmt.Sprintf("signer+%s?omni=%s&token=env:TOKEN", s.URL(), testOmni))
	e.Setenv("OMNI", testOmni)
	e.Setenv("WALLET", s.Address(testOmni))
	return nil
}

// testOmni is the omni account of the scripts.
var testOmni = strings.Repeat("ab", 32)

// agentKeysKEK returns the account of the scripts, and the key of a service.
func agentKeysKEK(ctx context.Context, s *signertest.Server, service string) (agentkeys.Account, []byte, error) {
	account, err := agentkeys.NewAccount(s.Address(testOmni), testOmni)
	if err != nil {
		return account, nil, err
	}
	wallet, err := signer.New(signer.Config{URL: s.URL(), Omni: testOmni, Transport: s, Token: func(context.Context) (string, error) { return scriptToken, nil }})
	if err != nil {
		return account, nil, err
	}
	defer wallet.Close()
	kek, err := agentkeys.DeriveKEK(ctx, wallet, account, service)
	return account, kek, err
}

// agentRequest sends a request with the token in $TOKEN_OF_CLIENT, and compares the body of the response.
func agentRequest(ts *testscript.TestScript, method, url string, body io.Reader, want string) {
	r, err := http.NewRequest(method, url, body)
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+ts.Getenv("TOKEN_OF_CLIENT"))
	resp, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if text := strings.TrimSpace(string(got)); resp.StatusCode != http.StatusOK || text != want {
		ts.Fatalf("%s: %s", resp.Status, text)
	}
}

// readAsAgentKeys reads an object of the default store as agentKeys does: v2, then v1.
func readAsAgentKeys(ctx context.Context, s *signertest.Server, dir, service string) ([]byte, agentkeys.Format, error) {
	account, kek, err := agentKeysKEK(ctx, s, service)
	if err != nil {
		return nil, 0, err
	}
	keys, err := account.Keys(service)
	if err != nil {
		return nil, 0, err
	}
	store, err := memfs.Open(ctx, memfs.Config{Dir: dir})
	if err != nil {
		return nil, 0, err
	}
	defer store.Close()
	for _, key := range keys {
		object, err := store.Bucket.ReadAll(ctx, key)
		if gcerrors.Code(err) == gcerrors.NotFound {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		return agentkeys.Open(kek, account, service, object)
	}
	return nil, 0, vault.ErrNotFound
}

// storeAsAgentKeys stores an object in the default store as agentKeys does.
func storeAsAgentKeys(ctx context.Context, s *signertest.Server, dir, format, service string, value []byte) error {
	f := map[string]agentkeys.Format{"v1": agentkeys.V1, "v2": agentkeys.V2}[format]
	account, kek, err := agentKeysKEK(ctx, s, service)
	if err != nil {
		return err
	}
	object, err := agentkeys.Seal(kek, account, f, service, value)
	if err != nil {
		return err
	}
	key, err := account.Key(f, service)
	if err != nil {
		return err
	}
	store, err := memfs.Open(ctx, memfs.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer store.Close()
	s.Requests() // those of the command alone are counted
	return store.Bucket.WriteAll(ctx, key, object, nil)
}

const scriptToken = "session-of-the-test"

var keyCommands = map[string]func(*testscript.TestScript, bool, []string){
	"exits": exits,
	"tty":   onTerminal,
	// signer ok|disabled|random|other|cut N|version N changes how the signer behaves.
	"signer": func(ts *testscript.TestScript, neg bool, args []string) {
		s := ts.Value("signer").(*signertest.Server)
		n := 0
		if len(args) > 1 {
			var err error
			n, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		switch args[0] {
		case "ok":
			s.Set(signertest.Fault{})
		case "disabled":
			s.Set(signertest.Fault{Disabled: true})
		case "random":
			s.Set(signertest.Fault{NonDeterministic: true})
		case "other":
			s.Set(signertest.Fault{OtherKey: true})
		case "cut":
			s.Set(signertest.Fault{Cut: n})
		case "version":
			s.SetKeyVersion(n, false)
		default:
			ts.Fatalf("unknown behaviour %s", args[0])
		}
	},
	// agentkeys v1|v2 SERVICE FILE stores an object in the default store as agentKeys does.
	"agentkeys": func(ts *testscript.TestScript, neg bool, args []string) {
		dir := filepath.Join(ts.Getenv("HOME"), ".local", "share", "objectvault", "store")
		ts.Check(storeAsAgentKeys(context.Background(), ts.Value("signer").(*signertest.Server), dir, args[0], args[1], []byte(ts.ReadFile(args[2]))))
	},
	// agentkeys-reads SERVICE FORMAT FILE reads the default store as agentKeys does, and compares the
	// value with that of the file.
	"agentkeys-reads": func(ts *testscript.TestScript, neg bool, args []string) {
		dir := filepath.Join(ts.Getenv("HOME"), ".local", "share", "objectvault", "store")
		value, f, err := readAsAgentKeys(context.Background(), ts.Value("signer").(*signertest.Server), dir, args[0])
		ts.Check(err)
		if string(value) != ts.ReadFile(args[2]) || f.String() != args[1] {
			ts.Fatalf("agentKeys reads %q in format %v", value, f)
		}
	},
	// oldserver FILE starts a plaintext credential server, sets $OLD to its URL, and accepts the bearer
	// token old-session for the wallet and limited-session for the service openrouter.
	"oldserver": func(ts *testscript.TestScript, neg bool, args []string) {
		wallet := ts.Getenv("WALLET")
		s, err := oldserver.Open(context.Background(), oldserver.Config{File: ts.MkAbs(args[0]), Tokens: map[string]oldserver.Token{
			"old-session": {Wallet: wallet}, "limited-session": {Wallet: wallet, Services: []string{"openrouter"}},
		}})
		ts.Check(err)
		ts.Defer(func() { s.Close() })
		ts.Check(s.Listen("127.0.0.1:0"))
		ts.Setenv("OLD", s.URL())
	},
	// agent-stores URL AGENT SERVICE VALUE stores a credential as a client of the plaintext server does.
	"agent-stores": func(ts *testscript.TestScript, neg bool, args []string) {
		body, err := json.Marshal(map[string]string{"agent_id": args[1], "service": args[2], "ciphertext": base64.StdEncoding.EncodeToString([]byte(args[3]))})
		ts.Check(err)
		agentRequest(ts, http.MethodPost, args[0]+"/credential/store", bytes.NewReader(body), `{"ok":true}`)
	},
	// agent-reads URL AGENT SERVICE VALUE reads a credential and compares its value.
	"agent-reads": func(ts *testscript.TestScript, neg bool, args []string) {
		url := args[0] + "/credential/read?agent_id=" + args[1] + "&service=" + args[2]
		agentRequest(ts, http.MethodGet, url, nil, `{"ciphertext":"`+base64.StdEncoding.EncodeToString([]byte(args[3]))+`"}`)
	},
	// env-from FILE NAME sets a variable to the text of a file.
	"env-from": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Setenv(args[1], strings.TrimSpace(ts.ReadFile(args[0])))
	},
	// free-port sets $PORT to a port of this machine that no process uses. The system does not give it to a
	// process that asks for any port.
	"free-port": func(ts *testscript.TestScript, neg bool, args []string) {
		for {
			port := strconv.Itoa(10_000 + rand.IntN(22_000))
			if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
				ts.Setenv("PORT", port)
				l.Close()
				return
			}
		}
	},
	// waits-for URL waits until a server responds.
	"waits-for": func(ts *testscript.TestScript, neg bool, args []string) {
		for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			resp, err := http.Get(args[0])
			if err == nil {
				resp.Body.Close()
				return
			}
			if time.Since(start) > time.Minute {
				ts.Fatalf("%s: %v", args[0], err)
			}
		}
	},
	// eventually COMMAND... runs a command until it succeeds.
	"eventually": func(ts *testscript.TestScript, neg bool, args []string) {
		for start := time.Now(); ts.Exec(args[0], args[1:]...) != nil; time.Sleep(100 * time.Millisecond) {
			if time.Since(start) > time.Minute {
				ts.Fatalf("%q still fails", args)
			}
		}
	},
	// requests N compares the number of requests to the signer since the last call.
	"requests": func(ts *testscript.TestScript, neg bool, args []string) {
		if got := fmt.Sprint(len(ts.Value("signer").(*signertest.Server).Requests())); got != args[0] {
			ts.Fatalf("%s requests to the signer, want %s", got, args[0])
		}
	},
}
