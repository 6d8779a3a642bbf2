package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/transport"
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

// chain is the SDK's default chain, whose errors say nothing that can be decided on. Its cache goes
// on without the context of its caller, so that what finds credentials has limits of its own: see
// [loadConfig].
type chain struct{ aws.CredentialsProvider }

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil:
		return got, err // see [punctual]
	case transport.Silent(err):
		err = fmt.Errorf("%w: the source of the credentials did not respond: %w", federation.ErrUnavailable, err)
	default:
		err = fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	return got, &credentialsError{err}
}

// A punctual provider gives up when the context of the caller ends, although a write goes on for a
// while then: what is not signed yet was not sent.
type punctual struct{ aws.CredentialsProvider }

func (p punctual) Retrieve(ctx context.Context) (aws.Credentials, error) {
	caller, ok := ctx.Value(callerKey{}).(context.Context)
	if !ok {
		caller = ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(caller, cancel)()
	got, err := p.CredentialsProvider.Retrieve(ctx)
	switch ended := caller.Err(); {
	case err == nil || ended == nil:
		return got, err
	case errors.Is(ended, context.DeadlineExceeded):
		return got, &credentialsError{fmt.Errorf("%w: the source of the credentials did not respond in time: %w", federation.ErrUnavailable, ended)}
	default:
		return got, &credentialsError{ended}
	}
}

// callerKey is the key of a context that goes on after the caller's, for the caller's.
type callerKey struct{}

// A metadata is the metadata service of EC2 as the chain asks it, within the timeout of a
// connection and within the SDK's own limit. It is asked last, and on most machines there is none:
// that it does not respond means that there are no credentials.
type metadata struct {
	within time.Duration
	client *imds.Client
}

func newMetadata(timeout time.Duration) *metadata {
	const most = 5 * time.Second // the SDK's, which it drops where the context has a deadline
	return &metadata{within: min(most, cmp.Or(timeout, most))}
}

// use has it asked as cfg says.
func (m *metadata) use(cfg aws.Config) { m.client = imds.NewFromConfig(cfg) }

func (m *metadata) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, o ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	if m.client == nil {
		return nil, errNoCredentials
	}
	ctx, cancel := context.WithTimeout(ctx, m.within)
	defer cancel() // the client has read the response to its end
	out, err := m.client.GetMetadata(ctx, in, o...)
	if err != nil {
		return nil, fmt.Errorf("the metadata service of EC2: %v", err) // not wrapped: see above
	}
	return out, nil
}

var errNoCredentials = errors.New("no credentials")

// A credentialsError is why a request could not even be signed.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// RetryableError keeps the SDK from making of a token that cannot be had a request that
// failed: the source of the credentials has retried already.
func (e *credentialsError) RetryableError() bool { return false }
