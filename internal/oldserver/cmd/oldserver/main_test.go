package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	for _, tc := range []struct {
		args, token, wallet string
		status              int
	}{
		{"", demoToken, demoWallet, 200},
		{"-token other -wallet 0xab -addr localhost:0 -wal", "other", "0xab", 200},
		{"-token other", demoToken, demoWallet, 401},
		{"-reads-per-minute 5", demoToken, "0xab", 403},
	} {
		in, eof := io.Pipe()
		out, w := io.Pipe()
		var talk bytes.Buffer
		code := make(chan int, 1)
		args := append(strings.Fields(tc.args), "-until-eof", "-db", filepath.Join(t.TempDir(), "credentials.db"))
		go func() {
			code <- run(context.Background(), args, &world{in, w, &talk})
			w.Close()
		}()
		var at line
		if err := json.NewDecoder(out).Decode(&at); err != nil || at.PID != os.Getpid() {
			t.Fatalf("%s: %+v, %v\n%s", tc.args, at, err, talk.String())
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", at.URL+"/credential/list?agent_id="+tc.wallet, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tc.token)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status {
			t.Errorf("%s: status %d, want %d", tc.args, resp.StatusCode, tc.status)
		}
		eof.Close()
		if n := <-code; n != 0 {
			t.Errorf("%s: exit code %d: %s", tc.args, n, talk.String())
		}
	}
}

// The signal ends the context.
func TestSignal(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-db", filepath.Join(t.TempDir(), "credentials.db")}, &world{strings.NewReader(""), w, io.Discard})
		w.Close()
	}()
	var at line
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatal(err)
	}
	stop()
	if n := <-code; n != 0 {
		t.Errorf("exit code %d", n)
	}
	if _, err := http.Get(at.URL + "/healthz"); err == nil {
		t.Error("the server still responds")
	}
}

func TestUsage(t *testing.T) {
	db := filepath.Join(t.TempDir(), "credentials.db")
	for args, want := range map[string]int{
		"-help": 0, "": 2, "-unknown": 2, "-db " + db + " extra": 2, "-db " + db + " -token= ": 2, "-db " + db + " -wallet= ": 2,
		"-db " + db + " -addr 0.0.0.0:0": 1, "-db " + t.TempDir(): 1,
	} {
		var out, talk bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &world{strings.NewReader(""), &out, &talk}); code != want || out.Len() > 0 || talk.Len() == 0 {
			t.Errorf("%s: %d %s%s", args, code, out.String(), talk.String())
		}
	}
}
