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

// credentials are those that requests are signed with.
type credentials struct {
	from     cosblob.Credentials
	renewals atomic.Int64 // how often the service was said to have refused a key
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

// Expired tells the source that the service refused a key, if it can get another.
func (c *credentials) Expired(secretID string) {
	if r, ok := c.from.(cosblob.Renewer); ok {
		r.Expired(secretID)
		c.renewals.Add(1)
	}
}

// A credentialsError is why a request could not even be signed.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// own reports whether err occurred before any request.
func own(err error) bool {
	var e *credentialsError
	return errors.As(err, &e)
}

// federated gives the credentials of an exchange. It is asked for every request; the
// provider behind it is the cache.
type federated struct{ p *federation.Provider }

func (f federated) Get(ctx context.Context) (cosblob.Snapshot, error) {
	c, err := f.p.Credentials(ctx)
	if err != nil {
		return cosblob.Snapshot{}, err
	}
	return cosblob.NewSnapshot(c.AccessKeyID, c.SecretKey.Reveal(), c.SessionToken.Reveal()).Until(c.Expires), nil
}

func (f federated) Expired(secretID string) { f.p.Expired(secretID) }

// environment gives the keys that Tencent's tools take from it
// (https://cloud.tencent.com/document/product/440/96291), read anew for each request.
type environment struct{}

var errNoCredentials = errors.New("no credentials")

func (environment) Get(context.Context) (cosblob.Snapshot, error) {
	id, key := os.Getenv("TENCENTCLOUD_SECRET_ID"), os.Getenv("TENCENTCLOUD_SECRET_KEY")
	if id == "" || key == "" {
		return cosblob.Snapshot{}, fmt.Errorf("%w: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set", errNoCredentials)
	}
	// TENCENTCLOUD_SECURITY_TOKEN is how Terraform and others call it.
	// https://registry.terraform.io/providers/tencentcloudstack/tencentcloud/latest/docs
	return cosblob.NewSnapshot(id, key, cmp.Or(os.Getenv("TENCENTCLOUD_TOKEN"), os.Getenv("TENCENTCLOUD_SECURITY_TOKEN"))), nil
}
