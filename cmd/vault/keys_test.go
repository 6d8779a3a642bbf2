package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
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
	setup := func(e *testscript.Env) error {
		const token = "session-of-the-test"
		s, err := signertest.Start(&signertest.Options{Tokens: map[string]string{token: "*"}})
		if err != nil {
			return err
		}
		e.Defer(func() { s.Close() })
		e.Values["signer"] = s
		e.Setenv("TOKEN", token)
		e.Setenv("SIGNER", fmt.Sprintf("signer+%s?omni=%s&token=env:TOKEN", s.URL(), strings.Repeat("ab", 32)))
		return nil
	}
	t.Run("script", func(t *testing.T) { testscript.Run(t, params(files, setup, keyCommands)) })
}

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
	// requests N compares the number of requests to the signer since the last call.
	"requests": func(ts *testscript.TestScript, neg bool, args []string) {
		if got := fmt.Sprint(len(ts.Value("signer").(*signertest.Server).Requests())); got != args[0] {
			ts.Fatalf("%s requests to the signer, want %s", got, args[0])
		}
	},
}
