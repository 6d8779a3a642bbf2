// Package hashivault contains the key source of the transit engine of HashiCorp Vault. Every request
// names the key in its path. Of the permissions in Vault it needs update on transit/encrypt/KEY and
// transit/decrypt/KEY. Do not grant create: with it, Vault creates a missing key.
//
//	config := hashivault.Config{Key: "objectvault", Address: "https://vault.example:8200", Token: token}
//	record, err := hashivault.Enrol(ctx, config) // once; keep the record
//	config.Enrolment = &record
//	keys, err := hashivault.New(config)
//
// The name of the key is part of each object. The address and the engine are not, so that a server
// can move.
//
// https://developer.hashicorp.com/vault/api-docs/secret/transit
package hashivault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"gocloud.dev/secrets/hashivault"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/internal/keeper"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
)

// Config configures a source. Key, Address and Token are required.
type Config struct {
	Key       string // name of the key
	Address   string // URL of the server
	Engine    string // path of the transit engine; the default is transit
	Namespace string // of Vault Enterprise; usually empty
	// Token authenticates the requests. It is used as it is, and not renewed.
	Token string
	// Insecure allows an http Address that is not on this machine.
	Insecure bool
	// Timeout limits one operation, with at most three attempts. The default is 30 seconds.
	Timeout time.Duration
	// Enrolment is the record of [Enrol]. If it is nil, the source seals nothing.
	Enrolment *kms.Enrolment
}

// Format prints the configuration without the token, for every verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{key %q, engine %q, namespace %q}", c.Key, c.Engine, c.Namespace)
}

const scheme = "hashivault"

// retries is how often a request is repeated.
const retries = 2

var (
	keyName = text.NewRegexp(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)
	// The engine is a path, in which a segment does not start with a dot.
	enginePath = text.NewRegexp(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$`)
)

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

// New returns the key source of a key. It sends no request.
func New(c Config) (*kms.Source, error) {
	s, err := newService(c)
	if err != nil {
		return nil, err
	}
	return kms.New(kms.Config{Scheme: scheme, KeyID: c.Key, Service: s, Enrolment: c.Enrolment, Timeout: c.Timeout})
}

// Enrol encrypts and decrypts with the key once, and returns the record for [Config]. It ignores the
// Enrolment of c.
func Enrol(ctx context.Context, c Config) (kms.Enrolment, error) {
	s, err := newService(c)
	if err != nil {
		return kms.Enrolment{}, err
	}
	return kms.Enrol(ctx, kms.Config{Scheme: scheme, KeyID: c.Key, Service: s, Timeout: c.Timeout})
}

func newService(c Config) (kms.Service, error) {
	c.Engine = cmp.Or(c.Engine, "transit")
	switch {
	case !keyName.MatchString(c.Key) || len(c.Key) > 128:
		return nil, invalid("the name of the key must have 1 to 128 characters A-Z a-z 0-9 _ . -, and not start with a dot")
	case !enginePath.MatchString(c.Engine):
		return nil, invalid("the engine must be a path such as transit")
	case c.Address == "":
		return nil, invalid("the address of Vault is missing")
	case c.Token == "":
		return nil, fmt.Errorf("%w: there is no token for Vault", envelope.ErrUnauthenticated)
	}
	if err := transport.CheckEndpoint("the address of Vault", c.Address, "https://vault.example.com:8200", c.Insecure); err != nil {
		return nil, invalid(err.Error())
	}
	base := transport.New(c.Timeout)
	dialed, err := hashivault.Dial(context.Background(), &hashivault.Config{Token: c.Token, APIConfig: api.Config{
		Address: c.Address, HttpClient: client(base), DisableRedirects: true,
		MaxRetries: retries, MinRetryWait: 200 * time.Millisecond, MaxRetryWait: time.Second, Timeout: cmp.Or(c.Timeout, transport.DefaultTimeout),
	}})
	if err != nil {
		return nil, invalid("the client of Vault rejects its settings") // the error may quote variables of the environment
	}
	// The client has read headers from the environment, such as the one of the namespace.
	dialed.SetHeaders(http.Header{"X-Vault-Request": {"true"}})
	if c.Namespace != "" {
		dialed.SetNamespace(c.Namespace)
	}
	return keeper.Service{
		Keeper:  hashivault.OpenKeeper(dialed, c.Key, &hashivault.KeeperOptions{Engine: c.Engine}),
		Product: "Vault",
		Explain: func(err error, e *kms.Error) { explain(err, e, c.Token) },
	}, nil
}

// client returns an HTTP client that follows no redirects, which would send the token to another
// server. The setting DisableRedirects does not apply to the client of net/http.
func client(base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     base,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// explain describes an error of the client. Vault has no error codes, so the HTTP status decides.
// https://developer.hashicorp.com/vault/api-docs#http-status-codes
func explain(err error, e *kms.Error, token string) {
	var re *api.ResponseError
	var network *url.Error
	switch {
	case errors.As(err, &re) && re.RawError:
		e.Status, e.State = re.StatusCode, fmt.Sprintf("this is not a response of Vault, but one with status %d", re.StatusCode)
		return
	case errors.As(err, &re):
		e.Status, e.Code = re.StatusCode, fmt.Sprint(re.StatusCode)
	case errors.As(err, &network):
		e.Message = network.Error()
		return
	default:
		e.State = "the response is malformed"
		return
	}
	decrypting := strings.HasSuffix(e.Operation, "Decrypt")
	switch re.StatusCode {
	case http.StatusBadRequest:
		// The messages of this status may repeat the input.
		if e.State = "the key does not exist, or cannot encrypt"; decrypting {
			e.Kind, e.State = envelope.ErrDecrypt, ""
		}
		return
	case http.StatusUnauthorized:
		e.Kind = envelope.ErrUnauthenticated
	case http.StatusForbidden:
		e.Kind, e.State = envelope.ErrDenied, "the token does not allow it, or has expired"
	case http.StatusNotFound:
		e.State = "there is no transit engine at this path"
	case http.StatusServiceUnavailable:
		e.State = "Vault is sealed or in maintenance"
	}
	e.Message = strings.ReplaceAll(strings.Join(re.Errors, ", "), token, "[redacted]")
}
