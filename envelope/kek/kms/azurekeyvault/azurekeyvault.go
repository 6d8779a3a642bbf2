//go:build allkms

// Package azurekeyvault contains the key source of Azure Key Vault. It is only in programs that are
// built with the tag allkms. The name of the key includes its version, because the service decrypts
// with one version. Of the permissions on the key it needs encrypt and decrypt.
//
// The key is an RSA key. A program that knows its public key can seal objects that this source opens,
// without any permission on the key.
//
// The package was never run against Azure.
package azurekeyvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"gocloud.dev/secrets/azurekeyvault"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/internal/keeper"
	"github.com/objectvault/objectvault/internal/text"
)

// Config configures a source. Key and Credential are required.
type Config struct {
	Key        string                 // VAULT.vault.azure.net/keys/KEY/VERSION
	Credential azcore.TokenCredential // authenticates the requests
	Timeout    time.Duration          // limits one operation; the default is 30 seconds
	// Enrolment is the record of [Enrol]. If it is nil, the source seals nothing.
	Enrolment *kms.Enrolment
}

const scheme = "azurekeyvault"

var keyName = text.NewRegexp(`^[a-z0-9-]+\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)/keys/[A-Za-z0-9-]+/[0-9a-f]{32}$`)

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
	switch {
	case !keyName.MatchString(c.Key):
		return nil, invalid("the name of the key must have the form VAULT.vault.azure.net/keys/KEY/VERSION; the version is required")
	case c.Credential == nil:
		return nil, invalid("the key source has no credentials")
	}
	k, err := azurekeyvault.OpenKeeper(func(vault string) (*azkeys.Client, error) {
		return azkeys.NewClient(vault, credential{c.Credential}, nil)
	}, "https://"+c.Key, nil)
	if err != nil {
		return nil, invalid("the client of Key Vault rejects its settings")
	}
	return keeper.Service{Keeper: k, Product: "Key Vault", Explain: explain}, nil
}

// A credential marks the errors of another one.
type credential struct{ azcore.TokenCredential }

func (c credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.TokenCredential.GetToken(ctx, o)
	if err != nil {
		err = &tokenError{err}
	}
	return token, err
}

// A tokenError means that the credential returned no token.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// isRefusal reports whether a response, which may be nil, refuses the credentials.
func isRefusal(r *http.Response) bool {
	return r != nil && r.StatusCode >= 400 && r.StatusCode < 500 && r.StatusCode != http.StatusRequestTimeout && r.StatusCode != http.StatusTooManyRequests
}

// explain describes an error of the client by its HTTP status.
func explain(err error, e *kms.Error) {
	var refused *azidentity.AuthenticationFailedError
	var re *azcore.ResponseError
	var network *url.Error
	var token *tokenError
	var final interface{ NonRetriable() } // azidentity has this marker in its unexported error for missing credentials
	switch {
	case errors.As(err, &refused) && isRefusal(refused.RawResponse):
		e.Kind, e.State = envelope.ErrUnauthenticated, "the credentials are not valid"
		return
	case errors.As(err, &refused):
		e.State = "there are no credentials, or the service that issues tokens was not reached"
		return
	case errors.As(err, &token) && errors.As(token.err, &final):
		e.Kind, e.State = envelope.ErrUnauthenticated, "there are no credentials"
		return
	case errors.As(err, &re):
		e.Status, e.Code = re.StatusCode, re.ErrorCode
	case errors.As(err, &network):
		e.Message = network.Error()
		return
	default:
		e.Message = "the request failed"
		return
	}
	switch re.StatusCode {
	case http.StatusBadRequest:
		if e.Kind = envelope.ErrInvalid; e.Operation == "Key Vault Decrypt" {
			e.Kind = envelope.ErrDecrypt
		}
	case http.StatusUnauthorized:
		e.Kind, e.State = envelope.ErrUnauthenticated, "the credentials are not valid, or have expired"
	case http.StatusForbidden:
		e.Kind, e.State = envelope.ErrDenied, "the credentials do not allow it, or the key is disabled"
	case http.StatusNotFound:
		e.State = "the key does not exist"
	default:
		e.Message = fmt.Sprintf("status %d", re.StatusCode)
	}
}
