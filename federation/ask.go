package federation

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/objectvault/objectvault/internal/loopback"
	"github.com/objectvault/objectvault/internal/text"
)

// client returns o.Client, or a default client, with redirects disabled.
func (o *SourceOptions) client() *http.Client {
	var c http.Client
	if o != nil && o.Client != nil {
		c = *o.Client
	}
	if c.Transport == nil {
		c.Transport = transport()
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.DisableKeepAlives = true // tokens are requested rarely
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		u, err := http.ProxyFromEnvironment(r)
		if err != nil {
			return nil, errors.New("HTTPS_PROXY or HTTP_PROXY is not a proxy's URL") // the URL may contain a password
		}
		return u, nil
	}
	return t
}

// maxResponse is the maximum length of a broker's response.
const maxResponse = 1 << 20

// ask sends req and returns the body of a 2xx response. Errors do not contain the query of the
// URL, a header or the response, because each may contain a token.
func ask(c *http.Client, req *http.Request, denied string) ([]byte, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, fmt.Errorf("%w: status %d: %s", ErrRefused, code, denied)
	case code/100 == 3:
		return nil, fmt.Errorf("%w: status %d is a redirect, which is not followed: use the final address", ErrRefused, code)
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code/100 == 5:
		return nil, fmt.Errorf("%w: status %d", ErrUnavailable, code)
	case code/100 != 2:
		return nil, fmt.Errorf("%w: status %d: check the address", ErrRefused, code)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the response was cut off: %w", ErrUnavailable, err)
	case len(b) > maxResponse:
		return nil, fmt.Errorf("%w: the response is longer than 1 MiB", ErrUnavailable)
	}
	if b, err = text.UTF8(b); err != nil {
		return nil, fmt.Errorf("%w: the response is not JSON: %w", ErrUnavailable, err)
	}
	return b, nil
}

// field returns a string member of the JSON object in a response.
func field(response []byte, name string) ([]byte, error) {
	var value string
	o, err := readObject(response)
	if err == nil {
		err = o.read(name, &value, "a string")
	}
	if err != nil || value == "" {
		return nil, fmt.Errorf("%w: the response is not a JSON object with a string %s", ErrUnavailable, shown(name))
	}
	return []byte(value), nil
}

// checkBearerURL returns an error if a bearer token that is sent to u could be read in transit.
func checkBearerURL(u *url.URL) error {
	switch {
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("the URL contains no host")
	case u.User != nil:
		return errors.New("the URL must not contain a user or password")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback.Host(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https")
	}
	return errors.New("the URL is not an https URL")
}

// bearer checks that a token is valid in a header.
func bearer(token string) (string, error) {
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return "", invalidToken("the session token must be one line of printable ASCII")
		}
	}
	if token == "" {
		return "", invalidToken("the session token is empty")
	}
	return "Bearer " + token, nil
}
