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

// federated supplies the credentials of a token exchange. Its provider caches them, so Retrieve may be
// called for every request.
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

// chain is the default chain of the SDK. It adds a sentinel to the errors of the chain, which have no
// codes. The cache of the chain ignores the context of its caller, so [loadConfig] sets time limits for
// the credential providers.
type chain struct{ aws.CredentialsProvider }

func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil:
		return got, err // see [callerBound]
	case transport.Silent(err):
		err = fmt.Errorf("%w: the source of the credentials did not respond: %w", federation.ErrUnavailable, err)
	default:
		err = fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	return got, &credentialsError{err}
}

// A callerBound provider returns an error when the context of the caller ends, although a write may
// continue for some time. A request without a signature has not been sent.
type callerBound struct{ aws.CredentialsProvider }

func (p callerBound) Retrieve(ctx context.Context) (aws.Credentials, error) {
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

// callerKey is the context key for the context of the caller in a lingering context.
type callerKey struct{}

// A metadata is a client of the EC2 metadata service with a time limit. The chain calls the service last,
// and most machines do not have it. If it does not respond, there are no credentials.
type metadata struct {
	timeout time.Duration
	client  *imds.Client
}

func newMetadata(timeout time.Duration) *metadata {
	const most = 5 * time.Second // the limit of the SDK, which ignores it if the context has a deadline
	return &metadata{timeout: min(most, cmp.Or(timeout, most))}
}

// use configures the client.
func (m *metadata) use(cfg aws.Config) { m.client = imds.NewFromConfig(cfg) }

func (m *metadata) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, o ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	if m.client == nil {
		return nil, errNoCredentials
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel() // the client has read the whole response
	out, err := m.client.GetMetadata(ctx, in, o...)
	if err != nil {
		return nil, fmt.Errorf("the metadata service of EC2: %v", err) // not wrapped, so that a timeout means that there are no credentials
	}
	return out, nil
}

var errNoCredentials = errors.New("no credentials")

// A credentialsError means that there were no credentials to sign a request.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// RetryableError returns false, so that the SDK does not repeat the request. The source of the
// credentials has already retried.
func (e *credentialsError) RetryableError() bool { return false }
