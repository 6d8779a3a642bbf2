package transport

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrRange means that the response to a range request does not contain the requested range (RFC 9110,
// section 14). A server or a proxy may have ignored the range.
var ErrRange = errors.New("the response does not contain the requested range")

// Ranges is a transport that rejects responses to a GET that do not contain the requested range, for
// example the whole object, because the server ignored the Range header.
type Ranges struct{ Base http.RoundTripper }

// RoundTrip returns an error that wraps [ErrRange] if the response contains a wrong range.
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

// CloseIdleConnections closes the idle connections of Base.
func (t Ranges) CloseIdleConnections() { closeIdle(t.Base) }

// CheckRange returns an error that wraps [ErrRange] if the response to a GET does not contain the
// requested range. It does not close the body.
func CheckRange(r *http.Request, resp *http.Response) error {
	if r.Method != http.MethodGet || r.Header.Get("Range") == "" {
		return nil
	}
	return check(r.Header.Get("Range"), resp)
}

func check(requested string, resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK:
		return fmt.Errorf("%w: the server ignored %s", ErrRange, requested)
	case resp.StatusCode != http.StatusPartialContent:
		return nil
	}
	first, last, ok := parse(requested)
	if !ok {
		return fmt.Errorf("%w: the range %q is not supported by this client", ErrRange, requested)
	}
	text := resp.Header.Get("Content-Range")
	contentRange, ok := strings.CutPrefix(text, "bytes ")
	part, total, ok2 := strings.Cut(contentRange, "/")
	from, to, ok3 := parse("bytes=" + part)
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || to < from || to >= size {
		return fmt.Errorf("%w: %s was requested, but the response has the range %q", ErrRange, requested, text)
	}
	want := size - 1
	if last >= 0 {
		want = min(last, want)
	}
	if from != first || to != want {
		return fmt.Errorf("%w: %s was requested, but the response has the range %q", ErrRange, requested, text)
	}
	if n := resp.ContentLength; n >= 0 && n != to-from+1 {
		return fmt.Errorf("%w: the range %q has a body of %d bytes", ErrRange, text, n)
	}
	return nil
}

// parse parses bytes=FIRST-LAST. Without LAST, last is -1.
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
