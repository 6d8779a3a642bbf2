package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/objectvault/objectvault/federation"
)

// federated gives the SDK the credentials of an exchange. It is asked for every
// request; the provider behind it is the cache.
type federated struct{ p *federation.Provider }

func (f federated) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := f.p.Credentials(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	return aws.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
		Source: "objectvault federation",
	}, nil
}

// chain is the SDK's default chain, whose errors say nothing that can be decided on.
type chain struct{ aws.CredentialsProvider }

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &credentialsError{fmt.Errorf("%w: %w", errNoCredentials, err)}
	}
	return got, err
}

var errNoCredentials = errors.New("no credentials")

// A credentialsError is why a request could not even be signed.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// RetryableError keeps the SDK from making of a token that cannot be had a request that
// failed: whoever gives the credentials has tried again by now.
func (e *credentialsError) RetryableError() bool { return false }
