package cosblob

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// SignedURL signs the host, the path, all parameters and, for a PUT, the content type. COS does not
// check headers that are not signed, so a signature cannot enforce that a header is absent. With
// temporary keys, the URL contains their token and expires with them.
func (b *bucket) SignedURL(ctx context.Context, key string, o *driver.SignedURLOptions) (string, error) {
	name, err := escapeKey(key)
	if err != nil {
		return "", err
	}
	if o.EnforceAbsentContentType && o.ContentType == "" {
		return "", fmt.Errorf("cosblob: %w: a signature cannot enforce that the Content-Type is absent", gcerrors.ErrUnimplemented)
	}
	switch o.Method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
	default:
		return "", fmt.Errorf("cosblob: %w: cannot sign a URL for the method %s", gcerrors.ErrUnimplemented, o.Method)
	}
	id, secretKey, token, err := b.keys(ctx)
	if err != nil {
		return "", err
	}
	in := &cos.PresignedURLOptions{Query: &url.Values{}, Header: &http.Header{}, AuthTime: authTime(time.Now(), o.Expiry)}
	if token != "" {
		in.Query.Set("x-cos-security-token", token)
	}
	if o.ContentType != "" {
		in.Header.Set("Content-Type", o.ContentType)
	}
	if o.BeforeSign != nil {
		if err := o.BeforeSign(as(&in)); err != nil {
			return "", err
		}
	}
	u, err := b.client.Object.GetPresignedURL(ctx, o.Method, name, id, secretKey, o.Expiry, in)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// keys returns the keys that sign URLs.
func (b *bucket) keys(ctx context.Context) (id, key, token string, err error) {
	if b.o.Credentials != nil {
		s, err := b.o.Credentials.Get(ctx)
		if err != nil {
			return "", "", "", fmt.Errorf("%w: %w", ErrCredentials, err)
		}
		key, token = s.reveal()
		id = s.id
	} else if c := b.client.GetCredential(); c != nil {
		id, key, token = c.SecretID, c.SecretKey, c.SessionToken
	}
	if id == "" {
		return "", "", "", fmt.Errorf("%w: they are required to sign a URL", ErrCredentials)
	}
	return id, key, token, nil
}
