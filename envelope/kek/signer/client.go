package signer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/transport"
)

const (
	attempts    = 3
	firstPause  = 200 * time.Millisecond
	maxResponse = 64 << 10
)

// A client sends requests to a signer.
type client struct {
	http               *http.Client
	deriveURL, signURL string
	omni               string
	tokenOf            func(context.Context) (string, error)
	timeout            time.Duration
}

func newClient(c Config, base *url.URL) *client {
	return &client{
		http:      httpClient(c),
		deriveURL: base.JoinPath("dev", "derive-address").String(),
		signURL:   base.JoinPath("dev", "sign-message").String(),
		omni:      c.Omni,
		tokenOf:   c.Token,
		timeout:   cmp.Or(c.Timeout, transport.DefaultTimeout),
	}
}

// httpClient returns a client for the transport of c that follows no redirects.
func httpClient(c Config) *http.Client {
	base := c.Transport
	if base == nil {
		t := transport.New(c.Timeout)
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			u, err := http.ProxyFromEnvironment(r)
			if err != nil {
				return nil, errors.New("the proxy that the environment variables select (HTTPS_PROXY, HTTP_PROXY) is not a URL") // the URL may contain a password
			}
			return u, nil
		}
		base = t
	}
	return &http.Client{
		Transport:     transport.Failures{Base: base},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// token returns the bearer token, or "" if the signer requires none.
func (c *client) token(ctx context.Context) (string, error) {
	if c.tokenOf == nil {
		return "", nil
	}
	token, err := c.tokenOf(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return "", ended(ctx)
	case errors.Is(err, envelope.ErrUnauthenticated), errors.Is(err, envelope.ErrUnavailable), errors.Is(err, envelope.ErrInvalid):
		return "", fmt.Errorf("the signer's token: %w", err)
	default:
		return "", fmt.Errorf("%w: the signer's token: %w", envelope.ErrUnauthenticated, err)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", fmt.Errorf("%w: the signer's token is empty", envelope.ErrUnauthenticated)
	}
	for _, b := range []byte(token) {
		if b <= ' ' || b > '~' {
			return "", fmt.Errorf("%w: the signer's token is not one line of printable ASCII", envelope.ErrUnauthenticated)
		}
	}
	return token, nil
}

// A derived is the address of an account.
type derived struct {
	Address    string // in lower case
	KeyVersion int
}

// A signed is a signature of the address signer.
type signed struct {
	derived          // what the response claims
	signer    string // recovered from the signature
	secret    []byte // the root; the owner wipes it
	signature []byte // r ‖ s ‖ v as the signer returned them, with v as 0 or 1; the owner wipes it
}

// wipe overwrites the secrets.
func (s signed) wipe() {
	clear(s.secret)
	clear(s.signature)
}

// derive asks for the address of the account.
func (c *client) derive(ctx context.Context, token string) (derived, error) {
	body, err := c.call(ctx, c.deriveURL, token, map[string]string{"omni_account": c.omni})
	if err != nil {
		return derived{}, err
	}
	return parseDerived(body)
}

// sign asks for the signature of text.
func (c *client) sign(ctx context.Context, token, text string) (signed, error) {
	body, err := c.call(ctx, c.signURL, token, map[string]string{"omni_account": c.omni, "message_hex": hex.EncodeToString([]byte(text))})
	if err != nil {
		return signed{}, err
	}
	defer clear(body)
	return parseSigned(body, digest(text))
}

// A malformed is an [envelope.ErrUnavailable]: the response is not from a signer.
type malformed string

func (e malformed) Error() string { return envelope.ErrUnavailable.Error() + ": " + string(e) }

func (malformed) Unwrap() error { return envelope.ErrUnavailable }

const (
	errResponse    malformed = "the response is not that of a signer"
	errAddress     malformed = "the response contains no valid address"
	errNoVersion   malformed = "the response contains no valid key version"
	errNoSignature malformed = "the response contains no valid signature"
	errNotVerified malformed = "the signature is not from the address in the response"
)

// A response has the members of both responses. The signature is not a string, so that it can be
// wiped.
type response struct {
	Signature  json.RawMessage `json:"signature"`
	Address    string          `json:"address"`
	KeyVersion *int32          `json:"key_version"`
}

func (r *response) derived() (derived, error) {
	a := strings.ToLower(r.Address)
	switch {
	case !isAddress(a):
		return derived{}, errAddress
	case r.KeyVersion == nil || *r.KeyVersion < 0:
		return derived{}, errNoVersion
	}
	return derived{a, int(*r.KeyVersion)}, nil
}

// isAddress reports whether a is an Ethereum address in lower case.
func isAddress(a string) bool {
	digits, ok := strings.CutPrefix(a, "0x")
	return ok && len(digits) == 40 && strings.Trim(digits, "0123456789abcdef") == ""
}

func parseDerived(body []byte) (derived, error) {
	var r response
	if err := json.Unmarshal(body, &r); err != nil {
		return derived{}, errResponse
	}
	return r.derived()
}

// parseSigned reads a response, and recovers the signer of hash.
func parseSigned(body []byte, hash [32]byte) (signed, error) {
	var r response
	defer func() { clear(r.Signature) }()
	if err := json.Unmarshal(body, &r); err != nil {
		return signed{}, errResponse
	}
	d, err := r.derived()
	if err != nil {
		return signed{}, err
	}
	digits, ok := bytes.CutPrefix(r.Signature, []byte(`"0x`))
	digits, closed := bytes.CutSuffix(digits, []byte(`"`))
	if !ok || !closed || len(digits) != 2*64 && len(digits) != 2*65 {
		return signed{}, errNoSignature
	}
	sig := make([]byte, len(digits)/2)
	defer clear(sig)
	if _, err := hex.Decode(sig, digits); err != nil {
		return signed{}, errNoSignature
	}
	signer, err := recoverAddress(hash, sig, d.Address)
	if err != nil {
		return signed{}, errNoSignature
	}
	raw, err := withRecoveryID(hash, sig, signer)
	if err != nil {
		return signed{}, errNoSignature
	}
	return signed{d, signer, root(sig), raw}, nil
}

// A passing is an error after which another attempt may succeed.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// call sends a request and returns the body of the response. It tries again after an error of the
// server or of the connection: signing has no effect that could be repeated.
func (c *client) call(ctx context.Context, address, token string, request any) ([]byte, error) {
	content, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	pause := firstPause
	for n := 1; ; n++ {
		body, err := c.send(ctx, address, token, content)
		var p passing
		switch {
		case err == nil:
			return body, nil
		case ctx.Err() != nil:
			return nil, ended(ctx)
		case !errors.As(err, &p):
			return nil, err
		case n == attempts:
			return nil, p.error
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2)) // so that many clients do not return together
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, ended(ctx)
		case <-wait.C:
		}
		pause *= 3
	}
}

// ended returns the error for a ctx that has ended. A deadline is a service that did not respond in
// time; a cancellation is the caller's decision.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", envelope.ErrUnavailable, err)
	}
	return err
}

func (c *client) send(ctx context.Context, address, token string, content []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(content))
	if err != nil {
		return nil, invalid("the address is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	body, err := readBody(resp.Body)
	switch {
	case errors.Is(err, errResponse):
		return nil, fmt.Errorf("%w: %s is longer than 64 KiB", envelope.ErrUnavailable, described(resp))
	case err != nil:
		return nil, c.unreachable(ctx, err)
	case resp.StatusCode == http.StatusOK && mediaType(resp) != "text/html":
		return body, nil
	}
	defer clear(body)
	return nil, refusal(resp, body)
}

// readBody returns the body, or errResponse if it is too long. It does not copy the body while it
// grows, because the body contains a secret.
func readBody(r io.Reader) ([]byte, error) {
	b := make([]byte, maxResponse+1)
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		clear(b)
		return nil, errResponse
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		clear(b)
		return nil, err
	}
	return b[:n], nil
}

// unreachable returns the error for a request without a complete response. The connection has the
// same time limit as ctx, and may reach it first.
func (c *client) unreachable(ctx context.Context, err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || transport.Silent(err) {
		return fmt.Errorf("%w: no response within %s", envelope.ErrUnavailable, c.timeout)
	}
	err = fmt.Errorf("%w: %w", envelope.ErrUnavailable, err)
	if transport.Untrusted(err) {
		return err
	}
	return passing{err}
}

// refusal returns the error for a response that is not a success.
func refusal(resp *http.Response, body []byte) error {
	code := errorCode(body)
	status := described(resp)
	if code != "" {
		status = fmt.Sprintf("status %d %s", resp.StatusCode, code)
	}
	switch n := resp.StatusCode; {
	case n == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s: the signer requires a valid token for this omni account", envelope.ErrUnauthenticated, status)
	case n == http.StatusForbidden:
		return fmt.Errorf("%w: %s", envelope.ErrDenied, status)
	case n == http.StatusServiceUnavailable && code == "signer_disabled":
		return fmt.Errorf("%w: the signer is switched off (%s): its operator must enable it", envelope.ErrUnavailable, status)
	case n == http.StatusBadRequest && code == "invalid_omni_account":
		return invalid("the signer rejects the omni account (" + status + ")")
	case n == http.StatusBadRequest && code == "invalid_message_hex":
		return invalid("the signer rejects the text (" + status + ")")
	case n/100 == 3:
		return fmt.Errorf("%w: %s is a redirect, which is not followed: use the final address", envelope.ErrUnavailable, status)
	case n == http.StatusTooManyRequests, n == http.StatusRequestTimeout:
		return fmt.Errorf("%w: %s", envelope.ErrUnavailable, status)
	case n/100 == 5:
		return passing{fmt.Errorf("%w: %s", envelope.ErrUnavailable, status)}
	}
	return fmt.Errorf("%w: %s is not a response of a signer: check the address", envelope.ErrUnavailable, status)
}

// errorCode returns the code in the body of an error. It returns "" for a code that the contract does
// not contain, because a foreign server may repeat parts of the request.
func errorCode(body []byte) string {
	var r struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &r) != nil {
		return ""
	}
	switch r.Error {
	case "invalid_omni_account", "invalid_message_hex", "unauthorized", "signer_disabled", "internal":
		return r.Error
	}
	return ""
}

// described returns status and content type of a response that may be from another server.
func described(resp *http.Response) string {
	return fmt.Sprintf("status %d with %s", resp.StatusCode, cmp.Or(mediaType(resp), "no content type"))
}

// mediaType returns the content type without parameters, or "" if there is no usable one.
func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || len(t) > 64 {
		return ""
	}
	return t
}
