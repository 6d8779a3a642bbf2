// Package tencentkms contains the key source of the key management service (KMS) of Tencent Cloud. It
// uses a symmetric key. Of the permissions on the key it needs kms:Encrypt and kms:Decrypt.
//
//	config := tencentkms.Config{KeyID: "93866e69-9755-11ef-8e65-52540089bc41", Region: "ap-guangzhou", Credentials: credentials}
//	record, err := tencentkms.Enrol(ctx, config) // once; keep the record
//	config.Enrolment = &record
//	keys, err := tencentkms.New(config)
//
// Decrypt of this service takes no key: the service finds the key in the ciphertext. So the package
// compares the key in the response with its own before it uses the plaintext. Without this
// comparison, the package would accept a ciphertext that was made with a key of another account, if
// this account may use that key.
//
// https://www.tencentcloud.com/document/product/1030/32198
package tencentkms

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/internal/tc3"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
)

// Config configures a source. KeyID, Region and Credentials are required.
type Config struct {
	// KeyID is the id of the key, as KMS shows it: a UUID in lower case, not an alias.
	KeyID string
	// Region is the region of the key, such as ap-guangzhou.
	Region string
	// Credentials returns the keys that sign a request: the id, the secret and, for temporary keys,
	// the token. It is called for every request. An error may wrap [envelope.ErrUnavailable] or
	// [envelope.ErrUnauthenticated].
	Credentials func(ctx context.Context) (id, secret, token string, err error)
	// Expired, if it is not nil, is called with the id of a key that the service has rejected as
	// expired. Then Credentials is called again, and the request is repeated once.
	Expired func(id string)
	// Endpoint is the URL of the service, for example of the international site, of a VPC or of a
	// test server. The default is https://kms.tencentcloudapi.com.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool
	// Timeout limits one operation, with at most three attempts. The default is 30 seconds.
	Timeout time.Duration
	// Enrolment is the record of [Enrol]. If it is nil, the source seals nothing.
	Enrolment *kms.Enrolment
}

const (
	scheme          = "tencentkms"
	version         = "2019-01-18"
	defaultEndpoint = "https://kms.tencentcloudapi.com"

	// attempts is the maximum number of attempts, without the extra attempt after a renewal.
	attempts = 3
	// maxResponse limits a response. A ciphertext has a few hundred bytes.
	maxResponse = 1 << 20
)

var (
	keyID      = text.NewRegexp(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	regionName = text.NewRegexp(`^[a-z0-9-]+$`)
)

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

// IsKeyID reports whether text is the id of a key.
func IsKeyID(text string) bool { return keyID.MatchString(text) }

// New returns the key source of a key. It sends no request.
func New(c Config) (*kms.Source, error) {
	s, err := newService(c)
	if err != nil {
		return nil, err
	}
	return kms.New(kms.Config{Scheme: scheme, KeyID: c.KeyID, Service: s, Enrolment: c.Enrolment, Timeout: c.Timeout})
}

// Enrol encrypts and decrypts with the key once, and returns the record for [Config]. It ignores the
// Enrolment of c.
func Enrol(ctx context.Context, c Config) (kms.Enrolment, error) {
	s, err := newService(c)
	if err != nil {
		return kms.Enrolment{}, err
	}
	return kms.Enrol(ctx, kms.Config{Scheme: scheme, KeyID: c.KeyID, Service: s, Timeout: c.Timeout})
}

// A service is one key of KMS.
type service struct {
	config Config
	client *http.Client
}

func newService(c Config) (*service, error) {
	switch {
	case !keyID.MatchString(c.KeyID):
		return nil, invalid("the key is not an id such as 93866e69-9755-11ef-8e65-52540089bc41")
	case !regionName.MatchString(c.Region):
		return nil, invalid("the region of the key is missing or malformed; a valid region is, for example, ap-guangzhou")
	case c.Credentials == nil:
		return nil, invalid("the key source has no credentials")
	}
	if err := transport.CheckEndpoint("endpoint", c.Endpoint, "https://kms.example.com", c.Insecure); err != nil {
		return nil, invalid(err.Error())
	}
	c.Endpoint = cmp.Or(c.Endpoint, defaultEndpoint)
	return &service{config: c, client: &http.Client{
		Transport: transport.New(c.Timeout),
		// A redirect would send the signature and the token to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Encrypt implements [kms.Service]. The ciphertext is the text that KMS returns.
func (s *service) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	got, err := s.request(ctx, "Encrypt", map[string]string{"KeyId": s.config.KeyID, "Plaintext": base64.StdEncoding.EncodeToString(plaintext)})
	switch {
	case err != nil:
		return nil, err
	case got.KeyID != s.config.KeyID:
		return nil, &kms.Error{Kind: envelope.ErrChanged, State: "KMS encrypted with another key", Operation: "KMS Encrypt", RequestID: got.RequestID}
	}
	return []byte(got.CiphertextBlob), nil
}

// Decrypt implements [kms.Service].
func (s *service) Decrypt(ctx context.Context, blob []byte) ([]byte, error) {
	got, err := s.request(ctx, "Decrypt", map[string]string{"CiphertextBlob": string(blob)})
	if err != nil {
		return nil, err
	}
	return s.plaintext(got)
}

// plaintext returns the plaintext of a result, after it has compared the key.
func (s *service) plaintext(got *result) ([]byte, error) {
	if got.KeyID != s.config.KeyID { // before the plaintext is used
		return nil, &kms.Error{Kind: envelope.ErrDecrypt, State: "it was encrypted with another key", Operation: "KMS Decrypt", RequestID: got.RequestID}
	}
	plaintext, err := base64.StdEncoding.DecodeString(got.Plaintext)
	if err != nil || len(plaintext) == 0 { // the error may quote the plaintext
		return nil, &kms.Error{Kind: envelope.ErrUnavailable, State: "the plaintext in the response is missing or malformed", Operation: "KMS Decrypt", RequestID: got.RequestID}
	}
	return plaintext, nil
}

// Close closes the idle connections.
func (s *service) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// request calls KMS, and repeats the call if KMS did not respond or was busy. This is safe because KMS
// stores nothing.
func (s *service) request(ctx context.Context, action string, in map[string]string) (*result, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	renew := s.config.Expired
	for n := 1; ; n++ {
		id, secret, token, err := s.config.Credentials(ctx)
		if err != nil {
			return nil, credentialsError(ctx, err)
		}
		got, again, err := s.call(ctx, action, body, tc3.Keys{ID: id, Secret: secret, Token: token})
		var e *kms.Error
		switch {
		case err == nil:
			return got, nil
		case renew != nil && errors.As(err, &e) && expiredCodes[e.Code]:
			renew(id)
			renew = nil
			n--
		case !again || n == attempts || !pause(ctx, n):
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, err
		}
	}
}

// credentialsError returns the error of a request that has no credentials.
func credentialsError(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, envelope.ErrUnavailable) || errors.Is(err, envelope.ErrUnauthenticated) {
		return err
	}
	return fmt.Errorf("%w: no credentials: %w", envelope.ErrUnauthenticated, err)
}

// pause waits before attempt n+1. It returns false if ctx ends.
func pause(ctx context.Context, n int) bool {
	d := 200 * time.Millisecond << (n - 1)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// call makes one attempt. again reports whether another one may succeed.
func (s *service) call(ctx context.Context, action string, body []byte, k tc3.Keys) (got *result, again bool, err error) {
	e := &kms.Error{Kind: envelope.ErrUnavailable, Operation: "KMS " + action}
	r, err := tc3.NewRequest(ctx, tc3.Call{
		Endpoint: s.config.Endpoint, Service: "kms", Action: action, Version: version, Region: s.config.Region, Body: body,
	}, k, time.Now())
	if err != nil {
		return nil, false, err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		var network *url.Error
		if errors.As(err, &network) {
			e.Message = network.Error()
		}
		return nil, !transport.Silent(err) && !transport.Untrusted(err), e
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	defer clear(text)
	e.Status = resp.StatusCode
	switch {
	case err != nil:
		e.Message = "the response was cut off"
		return nil, true, e
	case tc3.IsTemporary(resp.StatusCode):
		e.Message = fmt.Sprintf("status %d", resp.StatusCode)
		return nil, true, e
	}
	return s.read(action, resp.StatusCode, text, k.Token, k.Secret)
}

// read returns the result in a response, or the error that it reports. again reports whether another
// attempt may succeed.
func (s *service) read(action string, status int, text []byte, token, secret string) (got *result, again bool, err error) {
	e := &kms.Error{Kind: envelope.ErrUnavailable, Operation: "KMS " + action, Status: status}
	got, ok := parse(status, text)
	if !ok {
		e.State = fmt.Sprintf("this is not a response of KMS, but one with status %d", status)
		return nil, false, e
	}
	if got.Error == nil {
		return got, false, nil
	}
	m := meaningOf(action, got.Error.Code)
	e.Kind, e.State, e.Code, e.RequestID = m.kind, m.state, got.Error.Code, got.RequestID
	if class, _, _ := strings.Cut(e.Code, "."); class != "InvalidParameter" && class != "InvalidParameterValue" { // the message may repeat a parameter, such as the plaintext
		e.Message = tc3.Redacted(tc3.Redacted(got.Error.Message, token), secret)
	}
	return nil, m.again, e
}

// A result is the result of Encrypt or Decrypt, or an error.
type result struct {
	Error          *struct{ Code, Message string }
	RequestID      string `json:"RequestId"`
	KeyID          string `json:"KeyId"`
	CiphertextBlob string
	Plaintext      string
}

// parse returns the result in a response. ok is false if the response does not come from KMS, whose
// responses have status 200 and an object Response with a RequestId.
func parse(status int, text []byte) (got *result, ok bool) {
	var doc struct{ Response *result }
	if status != http.StatusOK || json.Unmarshal(text, &doc) != nil || doc.Response == nil || doc.Response.RequestID == "" {
		return nil, false
	}
	return doc.Response, true
}
