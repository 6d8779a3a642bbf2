package plainserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// Bounds of what the server's read limit makes a request wait.
const (
	minWait     = time.Second
	defaultWait = 10 * time.Second
	maxWait     = 2 * time.Minute
	maxWaits    = 10 // for one request
)

// A limited is the error of a request that must wait.
type limited struct{ wait time.Duration }

func (limited) Error() string {
	return migrate.ErrUnavailable.Error() + ": the server's read limit is reached (status 429)"
}

func (limited) Unwrap() error { return migrate.ErrUnavailable }

// refusal returns the error for a status other than 200. It contains no text of the server, which may
// repeat parts of the request.
func (c *client) refusal(resp *http.Response, name string, body []byte) error {
	switch n := resp.StatusCode; {
	case n == http.StatusUnauthorized:
		return fmt.Errorf("%w: the token is not valid, or has expired (status 401)", migrate.ErrUnauthorized)
	case n == http.StatusForbidden && name == "teardown":
		return fmt.Errorf("%w: the removal needs the token of the agent's own session, without a scope (status 403)", migrate.ErrDenied)
	case n == http.StatusForbidden:
		return fmt.Errorf("%w: the token is for another agent, or its scope excludes the service (status 403)", migrate.ErrDenied)
	case n == http.StatusNotFound:
		return fmt.Errorf("%w (status 404)", migrate.ErrGone)
	case n == http.StatusTooManyRequests:
		return limited{c.wait(resp.Header, body)}
	case n == http.StatusRequestTimeout, n/100 == 5:
		return temporary{fmt.Errorf("%w: status %d", migrate.ErrUnavailable, n)}
	case n/100 == 3:
		return fmt.Errorf("%w: /credential/%s is redirected (status %d), which is not followed: use the final address", migrate.ErrSource, name, n)
	case n == http.StatusBadRequest:
		return fmt.Errorf("%w: the server rejects the request for /credential/%s (status 400): check the agent", migrate.ErrSource, name)
	default:
		return fmt.Errorf("%w: the response to /credential/%s has status %d: check the URL", migrate.ErrSource, name, n)
	}
}

// wait returns how long the read limit makes the client wait: from the header Retry-After, or from a
// number of seconds in the body. It is bounded.
func (c *client) wait(h http.Header, body []byte) time.Duration {
	wait, err := c.retryAfter(h.Get("Retry-After"))
	if err != nil {
		wait = waitIn(body)
	}
	return min(max(wait, minWait), maxWait)
}

// retryAfter returns the wait that a header contains.
func (c *client) retryAfter(text string) (time.Duration, error) {
	if text == "" {
		return 0, errors.New("no header")
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return duration(seconds), nil
	}
	at, err := http.ParseTime(text)
	return at.Sub(c.now()), err
}

// waitIn returns the wait that the JSON of an error contains, or defaultWait. The name of the member
// is not specified.
func waitIn(body []byte) time.Duration {
	var members map[string]any
	if json.Unmarshal(body, &members) == nil {
		for _, name := range []string{"retry_after_seconds", "retry_after_secs", "retry_after"} {
			if seconds, ok := members[name].(float64); ok {
				return duration(seconds)
			}
		}
	}
	return defaultWait
}

// duration returns a number of seconds as a duration of at most maxWait.
func duration(seconds float64) time.Duration {
	if !(seconds <= maxWait.Seconds()) { // NaN
		return maxWait
	}
	return time.Duration(max(seconds, 0) * float64(time.Second))
}
