package main

import (
	"bytes"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// TestEmphasizes: a terminal gets emphasis unless the environment rejects it. Other output gets it only
// on demand, and JSON never.
func TestEmphasizes(t *testing.T) {
	for _, tc := range []struct {
		tty, escapes, json bool
		env                map[string]string
		want               bool
	}{
		{tty: true, escapes: true, want: true},
		{tty: true, escapes: true, env: map[string]string{"TERM": "xterm-256color", "NO_COLOR": "", "CLICOLOR_FORCE": "0"}, want: true},
		{tty: true, escapes: true, env: map[string]string{"TERM": "dumb"}},
		{tty: true, escapes: true, env: map[string]string{"TERM": "dumb", "CLICOLOR_FORCE": "1"}},
		{tty: true, escapes: true, env: map[string]string{"NO_COLOR": "0"}},
		{tty: true, escapes: true, env: map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}},
		{tty: true, escapes: true, json: true},
		{tty: true}, // an old console
		{},
		{env: map[string]string{"TERM": "xterm"}},
		{env: map[string]string{"CLICOLOR_FORCE": ""}},
		{env: map[string]string{"CLICOLOR_FORCE": "0"}},
		{env: map[string]string{"CLICOLOR_FORCE": "1"}, want: true},
		{env: map[string]string{"CLICOLOR_FORCE": "yes", "TERM": "dumb"}, want: true},
		{env: map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}},
		{env: map[string]string{"CLICOLOR_FORCE": "1"}, json: true},
	} {
		u := &ui{world: &world{outTTY: tc.tty, outEscapes: tc.escapes, getenv: func(name string) string { return tc.env[name] }}, json: tc.json}
		if got := u.emphasizes(); got != tc.want {
			t.Errorf("terminal %v, escapes %v, json %v, %v: %v, want %v", tc.tty, tc.escapes, tc.json, tc.env, got, tc.want)
		}
	}
}

// TestEmphasizedColumns: the escape sequences do not count for the width of a column. Those in the text of
// a cell are escaped.
func TestEmphasizedColumns(t *testing.T) {
	for _, tc := range []struct {
		tty  bool
		want string
	}{
		{true, "NAME    COUNT  STATE   END\n" +
			"a           \x1b[1;31m1\x1b[0m  \x1b[1;31mdenied\x1b[0m  x\n" +
			"\\x1b[m  20000          x\n" +
			"b           3  ok      \\u009b1m\n"},
		{false, "a\t1\tdenied\tx\n\\x1b[m\t20000\t\tx\nb\t3\tok\t\\u009b1m\n"},
	} {
		var out bytes.Buffer
		u := &ui{world: &world{out: &out, outTTY: tc.tty, outEscapes: tc.tty, getenv: func(string) string { return "" }}}
		table := u.columns("lRLl", "NAME", "COUNT", "STATE", "END")
		table.addEmphasized(alarming, "a", "1", "denied", "x")
		table.add("\x1b[m", "20000", "", "x")
		table.add("b", "3", "ok", "\u009b1m")
		if err := table.flush(); err != nil || out.String() != tc.want {
			t.Errorf("terminal %v: %v\n got %q\nwant %q", tc.tty, err, &out, tc.want)
		}
	}
}

// TestDoctorEmphasis: a failed check and a check without a proof stand out.
func TestDoctorEmphasis(t *testing.T) {
	l, out, _ := doctorLines(t, false)
	l.u.outTTY, l.u.outEscapes = true, true
	for _, status := range []doctor.Status{doctor.OK, doctor.NotProven, doctor.Warning, doctor.Fail} {
		l.report(doctor.Line{Check: "c", Status: status, Message: "m"})
	}
	want := "ok          m\n\x1b[1mnot proven\x1b[0m  m\n\x1b[1mwarning   \x1b[0m  m\n\x1b[1;31mFAIL      \x1b[0m  m\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
