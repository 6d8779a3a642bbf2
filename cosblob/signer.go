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
	// maxSkew is how far off a clock may be (436/7730), and signTime how long a signature is
	// good for.
	maxSkew  = 15 * time.Minute
	signTime = 15 * time.Minute
	// maxAnswer bounds the bodies that are no objects. A page of a list has 1000 keys of
	// up to 850 bytes, each of which may be percent-encoded.
	maxAnswer = 8 << 20
	maxError  = 1 << 20
)

// errTooLong is what reading a body beyond its limit answers.
var errTooLong = errors.New("cosblob: the answer is longer than any that COS gives")

// A signer signs requests, bounds what is read of answers, and finds the errors in them
// that the SDK does not.
type signer struct {
	credentials Credentials
	base        http.RoundTripper
	now         func() time.Time

	mu        sync.Mutex
	suspect   string    // the last key that was taken for expired because of a denial
	suspected time.Time // when it was
}

// An attempt is what the signer tells the retry layer of one request.
type attempt struct{ expired bool }

type attemptKey struct{}

// sourceKey is under which a request's context has the source of a copy, encoded: the
// SDK cuts keys at a question mark.
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
	now := t.now()
	cos.AddAuthorizationHeader(snapshot.id, key, token, signed, &cos.AuthTime{
		SignStartTime: now, SignEndTime: now.Add(signTime), KeyStartTime: now, KeyEndTime: now.Add(signTime),
	})
	resp, err := t.base.RoundTrip(signed)
	if err != nil {
		return nil, err
	}
	resp.Request = r // without the signature and the token
	_, signature, _ := strings.Cut(signed.Header.Get("Authorization"), "q-signature=")
	secrets := []string{token, url.QueryEscape(token), signature} // of what was sent
	if err := CheckResponse(signed, resp, secrets...); err != nil {
		resp.Body.Close()
		return nil, err
	}
	switch {
	case resp.StatusCode/100 != 2:
		body := hold(resp, maxError, secrets)
		if r.Method != http.MethodHead {
			t.refused(r, snapshot, errorCode(body))
		}
	case mayFailLate(r):
		// What has come is looked at before the SDK does. If the rest is lost, the SDK
		// will meet that error.
		if body := hold(resp, maxError, secrets); isError(body) {
			resp.StatusCode, resp.Status = http.StatusInternalServerError, "500 Error after 200"
			t.refused(r, snapshot, errorCode(body))
		}
	case r.Method != http.MethodGet || r.URL.Path == "/" || r.URL.Path == "":
		resp.Body = &limited{resp.Body, maxAnswer}
	}
	return resp, nil
}

// CloseIdleConnections closes those of the transport below.
func (t *signer) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// GetCredential is for [cos.Client.GetCredential].
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

// refused tells the credentials, if they want to know, that their key has expired, and
// the retry layer that it told them. Which code an expired temporary key has is left open,
// so that a denial near its end may be one; it is taken for one once a minute at most, or
// every denied request would cost an exchange.
func (t *signer) refused(r *http.Request, s Snapshot, code string) {
	renewer, ok := t.credentials.(Renewer)
	switch {
	case !ok || s.id == "":
		return
	case expiredCodes[code]:
	case code == "AccessDenied" && !s.until.IsZero() && t.now().After(s.until.Add(-maxSkew)) && t.suspects(s.id):
	default:
		return
	}
	renewer.Expired(s.id)
	if a, ok := r.Context().Value(attemptKey{}).(*attempt); ok {
		a.expired = true
	}
}

func (t *signer) suspects(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if id == t.suspect { // another request under way with it
		return true
	}
	if d := now.Sub(t.suspected); d >= 0 && d < time.Minute {
		return false
	}
	t.suspect, t.suspected = id, now
	return true
}

// expiredCodes are those that an expired or revoked key may have (436/7730).
var expiredCodes = map[string]bool{
	"ExpiredToken":        true,
	"InvalidAccessKeyId":  true,
	"Request has expired": true,
}

const headerCopySource = "X-Cos-Copy-Source"

// mayFailLate reports whether COS may answer r with 200 and then an error: the end of a
// multipart upload (436/7742) and copies (436/10881).
func mayFailLate(r *http.Request) bool {
	q := r.URL.Query()
	return r.Method == http.MethodPost && q.Has("uploadId") ||
		r.Method == http.MethodPut && r.Header.Get(headerCopySource) != ""
}

// hold reads up to limit bytes of the answer and puts them back, without the secrets that a
// gateway may send back with its errors.
func hold(resp *http.Response, limit int64, secrets []string) []byte {
	body, err := io.ReadAll(&limited{resp.Body, limit})
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
	}{io.MultiReader(bytes.NewReader(body), failing{err}), io.NopCloser(nil)}
	return body
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// limited is an error once more than left bytes were read.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
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

func errorCode(body []byte) string {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Code
}
