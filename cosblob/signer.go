package cosblob

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
)

const (
	// maxSkew is the largest clock difference that COS accepts (436/7730). A signature is valid from
	// signEarly before the time of the client, like those of Tencent's SDK for Python, until signTime
	// after it.
	maxSkew   = 15 * time.Minute
	signEarly = time.Minute
	signTime  = 15 * time.Minute
	// maxResponse limits bodies that are not objects. A page of a list has 1000 keys of up to
	// 850 bytes, and each byte may be percent-encoded.
	maxResponse = 8 << 20
	maxError    = 1 << 20
)

// errTooLong is the error of a read beyond the limit of a body.
var errTooLong = errors.New("cosblob: the response is too long to come from COS")

// A signer signs requests and limits the size of responses. It also detects errors in responses
// that the SDK does not detect.
type signer struct {
	credentials Credentials
	base        http.RoundTripper
	now         func() time.Time

	mu        sync.Mutex
	suspect   string    // the last key that may have expired, because of a denial
	suspected time.Time // the time of that denial
	kept      bool      // suspect could not be replaced
}

// An attempt passes information about one request from the signer to the retry layer.
type attempt struct{ expired bool }

type attemptKey struct{}

// sourceKey is the context key for the encoded source of a copy. The SDK cannot send it, because
// it truncates keys at a question mark.
type sourceKey struct{}

func (t *signer) RoundTrip(r *http.Request) (*http.Response, error) {
	snapshot, err := t.credentials.Get(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	signed := r.Clone(r.Context())
	if source, ok := r.Context().Value(sourceKey{}).(string); ok {
		signed.Header.Set(headerCopySource, source)
	}
	key, token := snapshot.reveal()
	cos.AddAuthorizationHeader(snapshot.id, key, token, signed, AuthTime(t.now()))
	resp, err := t.base.RoundTrip(signed)
	if err != nil {
		return nil, err
	}
	resp.Request = r // without the signature and the token
	_, signature, _ := strings.Cut(signed.Header.Get("Authorization"), "q-signature=")
	secrets := []string{token, url.QueryEscape(token), signature} // a gateway may echo them
	if err := CheckResponse(signed, resp, secrets...); err != nil {
		resp.Body.Close()
		return nil, err
	}
	switch {
	case resp.StatusCode/100 != 2:
		body := bufferBody(resp, maxError, secrets)
		if r.Method != http.MethodHead {
			t.reportExpired(r, snapshot, body)
		}
	case mayFailLate(r), !ofObject(r) && (&beginning{resp: resp}).root() == "Error":
		// Check the received part of the body before the SDK does. If the rest was lost, the SDK
		// gets the error when it reads the body.
		if body := bufferBody(resp, maxError, secrets); isError(body) {
			resp.StatusCode, resp.Status = http.StatusInternalServerError, "500 Error after 200"
			t.reportExpired(r, snapshot, body)
		}
	case r.Method != http.MethodGet || r.URL.Path == "/" || r.URL.Path == "":
		resp.Body = &limitedBody{resp.Body, maxResponse}
	}
	return resp, nil
}

// CloseIdleConnections closes the idle connections of the base transport.
func (t *signer) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// GetCredential implements the interface that [cos.Client.GetCredential] uses.
func (t *signer) GetCredential() (secretID, secretKey, token string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := t.credentials.Get(ctx)
	if err != nil {
		return "", "", "", fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	secretKey, token = s.reveal()
	return s.id, secretKey, token, nil
}

// AuthTime returns the validity period of a signature that is made at a time. It starts a minute
// earlier, in case the clock of the client is ahead.
func AuthTime(at time.Time) *cos.AuthTime { return authTime(at, signTime) }

func authTime(at time.Time, validity time.Duration) *cos.AuthTime {
	start, end := at.Add(-signEarly), at.Add(validity)
	return &cos.AuthTime{SignStartTime: start, SignEndTime: end, KeyStartTime: start, KeyEndTime: end}
}

// reportExpired reports an expired key to the credentials, if they are a Renewer. If they then have
// another key, it notifies the retry layer. COS does not document the error code for an expired
// temporary key, so a denial near the expiry time may also mean that the key has expired, and so may an
// expired signature. Because the key may also be valid, the Renewer keeps it until it has another one.
func (t *signer) reportExpired(r *http.Request, s Snapshot, body []byte) {
	renewer, ok := t.credentials.(Renewer)
	code, message := errorOf(body)
	switch {
	case !ok || s.id == "":
		return
	case expiredCodes[code]:
		renewer.Expired(s.id)
	case IsSignatureExpired(code, message), code == "AccessDenied" && !s.until.IsZero() && t.now().After(s.until.Add(-maxSkew)):
		if !t.suspects(s.id) {
			return
		}
		if !renewer.Renew(r.Context(), s.id) {
			if r.Context().Err() == nil {
				t.keep(s.id)
			}
			return
		}
	default:
		return
	}
	if a, ok := r.Context().Value(attemptKey{}).(*attempt); ok {
		a.expired = true
	}
}

// suspects reports whether a denied request should cause a token exchange, and remembers its key. This
// happens at most once a minute, and is the same exchange for all requests with the key. Otherwise every
// denied request would cause an exchange.
func (t *signer) suspects(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	denied := t.now()
	if d := denied.Sub(t.suspected); d >= 0 && d < time.Minute {
		return id == t.suspect && !t.kept
	}
	t.suspect, t.suspected, t.kept = id, denied, false
	return true
}

// keep records that a key could not be replaced.
func (t *signer) keep(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.suspect == id {
		t.kept = true
	}
}

// expiredCodes are the error codes for an expired or revoked key (436/7730).
var expiredCodes = map[string]bool{
	"ExpiredToken":       true,
	"InvalidAccessKeyId": true,
}

const headerCopySource = "X-Cos-Copy-Source"

// mayFailLate reports whether COS may respond to r with status 200 and then an error in the body.
// This applies to the end of a multipart upload (436/7742) and to copies (436/10881).
func mayFailLate(r *http.Request) bool {
	q := r.URL.Query()
	return r.Method == http.MethodPost && q.Has("uploadId") ||
		r.Method == http.MethodPut && r.Header.Get(headerCopySource) != ""
}

// bufferBody reads up to limit bytes of a response and puts them back. It redacts the secrets, which
// a gateway may echo in its errors.
func bufferBody(resp *http.Response, limit int64, secrets []string) []byte {
	body, err := io.ReadAll(&limitedBody{resp.Body, limit})
	resp.Body.Close()
	for _, secret := range secrets {
		if secret != "" {
			body = bytes.ReplaceAll(body, []byte(secret), []byte("[redacted]"))
		}
	}
	if err == nil {
		err = io.EOF
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), failingReader{err}), io.NopCloser(nil)}
	return body
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// A limitedBody returns an error after more than remaining bytes.
type limitedBody struct {
	io.ReadCloser
	remaining int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.remaining < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > l.remaining+1 {
		p = p[:l.remaining+1]
	}
	n, err := l.ReadCloser.Read(p)
	l.remaining -= int64(n)
	if l.remaining < 0 {
		return n, errTooLong
	}
	return n, err
}

// isError reports whether the root of an XML body is Error.
func isError(body []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.Token()
		if err != nil {
			return false
		}
		if root, ok := t.(xml.StartElement); ok {
			return root.Name.Local == "Error"
		}
	}
}

// errorOf returns the code and the message of an error body, or "".
func errorOf(body []byte) (code, message string) {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	if xml.Unmarshal(body, &e) != nil {
		return "", ""
	}
	return e.Code, e.Message
}
