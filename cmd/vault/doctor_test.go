package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// doctorLines returns the output of doctor on both streams.
func doctorLines(t *testing.T, json bool) (l *lines, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	u := &ui{world: &world{out: out, err: err, getenv: func(string) string { return "" }, quietly: func(error) bool { return false }}, prog: "vault", json: json}
	return &lines{u: u, stop: func() {}}, out, err
}

var brokenLine = doctor.Line{
	Check: "isolation-get", Status: doctor.Broken, Message: "ISOLATION BROKEN: an object\x1b[2J was read", Hint: "{prog} policy check",
}

// TestIsolationBroken: broken isolation is reported on both streams, as text and as JSON, and the exit
// code is 1.
func TestIsolationBroken(t *testing.T) {
	sum := doctor.Summary{doctor.Broken: 1, doctor.Fail: 2, doctor.OK: 3}
	for _, tc := range []struct {
		json     bool
		out, err string
	}{
		{
			false, "BROKEN      ISOLATION BROKEN: an object\\x1b[2J was read\n            hint: vault policy check\n",
			"vault: doctor: ISOLATION BROKEN: objects of other tenants were accessible in 1 check\n" +
				"vault: hint: store no secrets here until vault doctor succeeds; vault policy check finds weaknesses in the policies\n",
		},
		{
			true, `{"check":"isolation-get","status":"broken","message":"ISOLATION BROKEN: an object\u001b[2J was read","hint":"vault policy check"}` + "\n",
			`{"error":{"code":1,"kind":"isolation_broken","op":"doctor","message":"ISOLATION BROKEN: objects of other tenants were accessible in 1 check",` +
				`"hint":"store no secrets here until vault doctor succeeds; vault policy check finds weaknesses in the policies"}}` + "\n",
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // an interruption does not hide the result
		l, out, errs := doctorLines(t, tc.json)
		l.report(brokenLine)
		if code := l.u.fail("doctor", l.verdict(ctx, sum)); code != 1 {
			t.Errorf("code %d, want 1", code)
		}
		if diff := cmp.Diff(tc.out, out.String()); diff != "" {
			t.Errorf("stdout (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(tc.err, errs.String()); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
	}
}

// TestVerdict checks the exit code and the last message of doctor if isolation is not broken.
func TestVerdict(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		sum  doctor.Summary
		code int
		says string
	}{
		{"in order", t.Context(), doctor.Summary{doctor.OK: 3, doctor.Warning: 1, doctor.NotProven: 2}, 0, "3 ok, 1 warning, 0 failed, 2 not proven, 0 skipped"},
		{"failed", t.Context(), doctor.Summary{doctor.Fail: 2}, 1, "vault: doctor: 2 checks failed"},
		{"interrupted", ended, doctor.Summary{doctor.Fail: 2}, 130, "vault: x is left"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, _, errs := doctorLines(t, false)
			l.report(doctor.Line{Check: "cleanup", Status: doctor.Warning, Message: "x is left"})
			code := 0
			if err := l.verdict(tc.ctx, tc.sum); err != nil {
				code = l.u.fail("doctor", err)
			}
			if code != tc.code || !strings.Contains(errs.String(), tc.says) {
				t.Errorf("code %d, want %d: %s", code, tc.code, errs)
			}
		})
	}
}

// TestOutputGone: doctor stops if the reader of its output has exited.
func TestOutputGone(t *testing.T) {
	l, _, _ := doctorLines(t, false)
	full, stopped := errors.New("full"), false
	l.u.out, l.stop = failing{full}, func() { stopped = true }
	l.report(brokenLine)
	if err := l.verdict(t.Context(), doctor.Summary{}); !stopped || !errors.Is(err, full) {
		t.Errorf("stopped %v, error %v", stopped, err)
	}
}

// TestShown: settings are shown without any part that may be a secret.
func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"s3://vault?region=eu-central-1&role=arn:aws:iam::1:role/v":                  "s3://vault?region=eu-central-1&role=arn:aws:iam::1:role/v",
		"cos://vault-1250000000?region=ap-guangzhou&role=qcs::cam::uin/1:roleName/v": "cos://vault-1250000000?region=ap-guangzhou&role=qcs::cam::uin/1:roleName/v",
		"s3://vault?endpoint=https://me:PASSWORD@host":                               "s3://vault?[not-shown]",
		"s3://me:PASSWORD@vault":                                                     "s3://%5Bnot-shown%5D@vault",
		"https://me:PASSWORD@host/%zz":                                               "[not shown]",
	} {
		if got := shownURL(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"file:/run/token":                "file:/run/token",
		"env:TOKEN":                      "env:TOKEN",
		"exec:agent --password PASSWORD": "exec:agent …",
		"exec:agent":                     "exec:agent",
		"github:":                        "github:",
		"broker+https://me:PASSWORD@host/x?session=S": "broker+https://host/x",
		"broker+https://%zz":                          "broker+https:…",
	} {
		if got := shownIdentity(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
