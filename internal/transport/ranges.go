package transport

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrRange means that a server, or something on the way to it, answered a range
// request with other bytes than those asked for (RFC 9110, section 14).
var ErrRange = errors.New("the range that was asked for was not answered")

// Ranges refuses answers to GET that are not the range which the request named: the
// whole object (a server may ignore Range), or another part of it.
type Ranges struct{ Base http.RoundTripper }

// RoundTrip answers with an error wrapping [ErrRange] instead of the wrong bytes.
func (t Ranges) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := CheckRange(r, resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// CloseIdleConnections closes those of Base.
func (t Ranges) CloseIdleConnections() { closeIdle(t.Base) }

// CheckRange returns an error wrapping [ErrRange] if a response to a GET is not the range that
// the request named. It does not close the body.
func CheckRange(r *http.Request, resp *http.Response) error {
	if r.Method != http.MethodGet || r.Header.Get("Range") == "" {
		return nil
	}
	return check(r.Header.Get("Range"), resp)
}

func check(asked string, resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK:
		return fmt.Errorf("%w: %s was ignored", ErrRange, asked)
	case resp.StatusCode != http.StatusPartialContent:
		return nil
	}
	first, last, ok := parse(asked)
	if !ok {
		return fmt.Errorf("%w: %q is not a range that this client requests", ErrRange, asked)
	}
	text := resp.Header.Get("Content-Range")
	answer, ok := strings.CutPrefix(text, "bytes ")
	part, total, ok2 := strings.Cut(answer, "/")
	from, to, ok3 := parse("bytes=" + part)
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || to < from || to >= size {
		return fmt.Errorf("%w: %s was answered with %q", ErrRange, asked, text)
	}
	want := size - 1
	if last >= 0 {
		want = min(last, want)
	}
	if from != first || to != want {
		return fmt.Errorf("%w: %s was answered with %q", ErrRange, asked, text)
	}
	if n := resp.ContentLength; n >= 0 && n != to-from+1 {
		return fmt.Errorf("%w: %q comes with %d bytes", ErrRange, text, n)
	}
	return nil
}

// parse reads bytes=FIRST-LAST; last is -1 where there is none.
func parse(s string) (first, last int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes=")
	a, b, ok2 := strings.Cut(s, "-")
	if !ok || !ok2 {
		return 0, 0, false
	}
	first, err := strconv.ParseInt(a, 10, 64)
	if err != nil || first < 0 {
		return 0, 0, false
	}
	if b == "" {
		return first, -1, true
	}
	last, err = strconv.ParseInt(b, 10, 64)
	return first, last, err == nil && last >= first
}
