package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/federation"
)

// credentials supplies the keys that sign requests.
type credentials struct {
	from     cosblob.Credentials
	renewals atomic.Int64 // how often a key was reported as refused, or was replaced
}

func newCredentials(c Config) *credentials {
	switch {
	case c.Identity != nil:
		return &credentials{from: federated{c.Identity}}
	case c.Static != nil:
		return &credentials{from: c.Static}
	}
	return &credentials{from: environment{}}
}

func (c *credentials) Get(ctx context.Context) (cosblob.Snapshot, error) {
	s, err := c.from.Get(ctx)
	if err != nil && ctx.Err() == nil {
		err = &credentialsError{err}
	}
	return s, err
}

// Expired reports a refused key to the source, if the source can renew keys.
func (c *credentials) Expired(secretID string) {
	if r, ok := c.from.(cosblob.Renewer); ok {
		r.Expired(secretID)
		c.renewals.Add(1)
	}
}

// Renew asks the source for another key, if the source can renew keys.
func (c *credentials) Renew(ctx context.Context, secretID string) bool {
	r, ok := c.from.(cosblob.Renewer)
	renewed := ok && r.Renew(ctx, secretID)
	if renewed {
		c.renewals.Add(1)
	}
	return renewed
}

// A credentialsError means that there were no credentials to sign a request.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// isCredentialsError reports whether err occurred before any request.
func isCredentialsError(err error) bool {
	var e *credentialsError
	return errors.As(err, &e)
}

// federated supplies the credentials of a token exchange. Its provider caches them, so Get may be
// called for every request.
type federated struct{ p *federation.Provider }

func (f federated) Get(ctx context.Context) (cosblob.Snapshot, error) {
	c, err := f.p.Credentials(ctx)
	if err != nil {
		return cosblob.Snapshot{}, err
	}
	return cosblob.NewSnapshot(c.AccessKeyID, c.SecretKey.Reveal(), c.SessionToken.Reveal()).Until(c.Expires), nil
}

func (f federated) Expired(secretID string) { f.p.Expired(secretID) }

func (f federated) Renew(ctx context.Context, secretID string) bool { return f.p.Renew(ctx, secretID) }

// environment supplies the keys from the environment variables of Tencent's tools
// (https://cloud.tencent.com/document/product/440/96291). It reads them again for each request.
type environment struct{}

var errNoCredentials = errors.New("no credentials")

func (environment) Get(context.Context) (cosblob.Snapshot, error) {
	id, key := os.Getenv("TENCENTCLOUD_SECRET_ID"), os.Getenv("TENCENTCLOUD_SECRET_KEY")
	if id == "" || key == "" {
		return cosblob.Snapshot{}, fmt.Errorf("%w: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set", errNoCredentials)
	}
	// Terraform and other tools use the name TENCENTCLOUD_SECURITY_TOKEN.
	// https://registry.terraform.io/providers/tencentcloudstack/tencentcloud/latest/docs
	return cosblob.NewSnapshot(id, key, cmp.Or(os.Getenv("TENCENTCLOUD_TOKEN"), os.Getenv("TENCENTCLOUD_SECURITY_TOKEN"))), nil
}
