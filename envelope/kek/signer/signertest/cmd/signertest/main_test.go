package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/signer"
)

// start runs the command. stop ends its input and returns its exit code.
func start(t *testing.T, args ...string) (at line, stop func() int) {
	t.Helper()
	in, eof := io.Pipe()
	out, w := io.Pipe()
	var talk bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(context.Background(), append(args, "-until-eof"), &world{in, w, &talk})
		w.Close()
	}()
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	return at, func() int { eof.Close(); return <-code }
}

func TestServe(t *testing.T) {
	for _, tc := range []struct {
		args, token string
		version     int
		want        error
	}{
		{"", "", 1, nil},
		{"-token good -key-version 3 -addr 127.0.0.1:0", "good", 3, nil},
		{"-token good", "bad", 0, envelope.ErrUnauthenticated},
		{"-disabled", "", 0, envelope.ErrUnavailable},
		{"-non-deterministic", "", 0, signer.ErrNotDeterministic},
	} {
		at, stop := start(t, strings.Fields(tc.args)...)
		if at.PID != os.Getpid() || at.Omni != defaultOmni {
			t.Errorf("%s: %+v", tc.args, at)
		}
		c := signer.Config{URL: at.URL, Omni: at.Omni}
		if tc.token != "" {
			c.Token = func(context.Context) (string, error) { return tc.token, nil }
		}
		record, err := signer.Enrol(t.Context(), c)
		if !errors.Is(err, tc.want) || err == nil && record != (signer.Enrolment{Address: at.Address, KeyVersion: tc.version, Epoch: 1}) {
			t.Errorf("%s: %+v, %v", tc.args, record, err)
		}
		if code := stop(); code != 0 {
			t.Errorf("%s: exit code %d", tc.args, code)
		}
	}
	before, stop := start(t)
	stop()
	after, stop := start(t, "-rotate")
	stop()
	if before.Address == after.Address {
		t.Errorf("both have the address %s", before.Address)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]int{"-help": 0, "-unknown": 2, "extra": 2, "-addr 0.0.0.0:0": 1} {
		var out, talk bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &world{strings.NewReader(""), &out, &talk}); code != want || out.Len() > 0 || talk.Len() == 0 {
			t.Errorf("%s: %d %s%s", args, code, out.String(), talk.String())
		}
	}
}
