package plainserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/internal/transport"
)

const (
	attempts    = 3
	firstPause  = 200 * time.Millisecond
	maxResponse = 2 << 20
)

// A client sends requests to the server.
type client struct {
	http    *http.Client
	base    *url.URL
	token   string
	timeout time.Duration
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	waiting func(time.Duration)
}

func newClient(c Config, base *url.URL) *client {
	h := http.Client{Transport: transport.New(c.timeout())}
	if c.HTTPClient != nil {
		h = *c.HTTPClient
	}
	h.Timeout = 0 // the client has its own
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cl := &client{http: &h, base: base, token: c.Token, timeout: c.timeout(), now: c.Now, sleep: c.Sleep, waiting: c.Waiting}
	if cl.now == nil {
		cl.now = time.Now
	}
	if cl.sleep == nil {
		cl.sleep = sleep
	}
	if cl.waiting == nil {
		cl.waiting = func(time.Duration) {}
	}
	return cl
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// A temporary is an error after which another attempt may succeed.
type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }

// get requests /credential/NAME?QUERY and returns the body. It tries again after an error of the server
// or of the connection, and waits for the read limit.
func (c *client) get(ctx context.Context, name, query string) ([]byte, error) {
	pause, waits := firstPause, 0
	for n := 1; ; {
		body, err := c.send(ctx, http.MethodGet, name, query, nil)
		var t temporary
		var l limited
		switch {
		case err == nil:
			return body, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &l) && waits < maxWaits:
			waits++
			c.waiting(l.wait)
			if err := c.sleep(ctx, l.wait); err != nil {
				return nil, err
			}
		case errors.As(err, &t) && n < attempts:
			n++
			if err := c.sleep(ctx, pause); err != nil {
				return nil, err
			}
			pause *= 3
		case errors.As(err, &t):
			return nil, t.error
		default:
			return nil, err
		}
	}
}

// teardown requests the removal of everything that the agent has, once.
func (c *client) teardown(ctx context.Context, agent string) error {
	content, err := json.Marshal(map[string]string{"agent_id": agent})
	if err != nil {
		return err
	}
	_, err = c.send(ctx, http.MethodDelete, "teardown", "", content)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var t temporary
	if errors.As(err, &t) {
		return t.error
	}
	return err
}

// send sends one request and returns the body of a response with status 200.
func (c *client) send(ctx context.Context, method, name, query string, content []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := c.base.JoinPath("credential", name)
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%w: the address is not a URL", migrate.ErrSource)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.Header.Get(credserver.Header) != "" {
		// Its credentials are those of a vault: they would be compared with themselves, and then removed.
		return nil, fmt.Errorf("%w: vault serve responded, not the old server: use the address of the old server", migrate.ErrSource)
	}
	body, err := readBody(resp)
	switch {
	case errors.Is(err, migrate.ErrSource):
		return nil, err
	case err != nil:
		return nil, c.unreachable(ctx, err)
	case resp.StatusCode == http.StatusOK:
		return body, nil
	}
	defer clear(body)
	return nil, c.refusal(resp, name, body)
}

// readBody returns the body. It does not copy the body while it grows, because it contains a value.
func readBody(resp *http.Response) ([]byte, error) {
	size := int64(maxResponse)
	if resp.ContentLength >= 0 {
		size = min(size, resp.ContentLength)
	}
	b := make([]byte, size+1)
	for n := 0; ; {
		m, err := resp.Body.Read(b[n:])
		n += m
		switch {
		case n == len(b):
			clear(b)
			return nil, fmt.Errorf("%w: a response is longer than %d MiB", migrate.ErrSource, maxResponse>>20)
		case err == io.EOF:
			return b[:n], nil
		case err != nil:
			clear(b)
			return nil, err
		}
	}
}

// unreachable returns the error for a request without a complete response. The connection has the same
// time limit as ctx, and may reach it first.
func (c *client) unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || transport.Silent(err) {
		return temporary{fmt.Errorf("%w: no response within %s", migrate.ErrUnavailable, c.timeout)}
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err // at contains the query
	}
	return temporary{fmt.Errorf("%w: %w", migrate.ErrUnavailable, err)}
}
