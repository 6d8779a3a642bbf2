package terminal

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadHidden(t *testing.T) {
	for _, tc := range []struct {
		typed, want string
		err         error
		rest        string // the input that remains for the next prompt
	}{
		{typed: "secret\r", want: "secret"},
		{typed: "one\ntwo\n", want: "one", rest: "two\n"},
		{typed: "\r", want: ""},
		{typed: "abx\x7fc\r", want: "abc"},
		{typed: "\x7f\x08a\r", want: "a"},
		{typed: "aé\x08\x08b\r", want: "b"},
		{typed: "wrong\x15right\r", want: "right"},
		{typed: "a\x04b", want: "a", rest: "b"},
		{typed: "\x04", err: io.EOF},
		{typed: "a\x03b", err: context.Canceled, rest: "b"},
		{typed: "cut", err: io.EOF},
		{typed: strings.Repeat("x", maxLine) + "\r", want: strings.Repeat("x", maxLine)},
		{typed: strings.Repeat("x", maxLine+1) + "\r", err: ErrTooLong, rest: "\r"},
	} {
		r := strings.NewReader(tc.typed)
		got, err := readHidden(r)
		rest, _ := io.ReadAll(r)
		if string(got) != tc.want || !errors.Is(err, tc.err) || string(rest) != tc.rest {
			t.Errorf("%.20q: %.20q, %v, rest %q", tc.typed, got, err, rest)
		}
	}
}

func TestReadLine(t *testing.T) {
	r := strings.NewReader("acme\r\nnext\n")
	if got, err := readLine(r); string(got) != "acme" || err != nil || r.Len() != 5 {
		t.Errorf("%q, %v, %d bytes left", got, err, r.Len())
	}
	if got, err := readLine(strings.NewReader("cut")); got != nil || err != io.EOF {
		t.Errorf("a truncated line: %q, %v", got, err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", maxLine+1))); err != ErrTooLong {
		t.Errorf("a long line: %v", err)
	}
}
