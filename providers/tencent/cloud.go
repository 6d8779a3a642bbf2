package tencent

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/internal/tc3"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// A cloud implements [vault.Cloud].
type cloud struct {
	*store
	config Config
}

// ServerTime sends an unsigned HEAD of the bucket, so it needs neither credentials nor a correct
// clock. COS will usually refuse the request, but every response has a Date (436/7729).
func (c *cloud) ServerTime(ctx context.Context) (time.Time, error) {
	base := transport.New(c.config.Timeout)
	defer base.CloseIdleConnections()
	var head http.Header
	err := c.try(ctx, reading, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodHead, c.client.BaseURL.BucketURL.String(), nil)
		if err != nil {
			return err
		}
		resp, err := noRedirects(base).Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := checkRequestID(r, resp); err != nil {
			return err
		}
		head = resp.Header
		return nil
	})
	if err != nil {
		return time.Time{}, explained(err)
	}
	t, err := http.ParseTime(head.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: the response has no date", vault.ErrUnavailable)
	}
	return t, nil
}

// checkRequestID returns an error that wraps [cosblob.ErrForeign] if resp has no request ID. Every
// response of COS has one (436/7729). A web page has a date and may have an ETag, so these are no
// proof.
func checkRequestID(r *http.Request, resp *http.Response) error {
	if err := cosblob.CheckResponse(r, resp); err != nil {
		return err
	}
	if resp.Header.Get("X-Cos-Request-Id") == "" {
		return fmt.Errorf("%w: status %d without a request ID", cosblob.ErrForeign, resp.StatusCode)
	}
	return nil
}

// explained returns the cause of err, or err itself if it has none.
func explained(err error) error {
	if cause := explain(err); cause != nil {
		return cause
	}
	return err
}

// Settings makes at most six requests, not counting repeated attempts.
func (c *cloud) Settings(ctx context.Context) (all []vault.Setting) {
	for _, name := range settings {
		all = append(all, c.Setting(ctx, name))
	}
	return all
}

var settings = []string{"endpoint", "versioning", "lifecycle", "acl", "policy", "strict-signature", "logging"}

// Setting implements [vault.SettingReader].
func (c *cloud) Setting(ctx context.Context, name string) vault.Setting {
	switch {
	case name == "endpoint":
		return vault.Setting{Name: name, Document: c.client.BaseURL.BucketURL.String()}
	case !slices.Contains(settings, name):
		return vault.Setting{Name: name}
	}
	return c.setting(ctx, name)
}

// OpenBucket implements [vault.BucketOpener]. The host of an endpoint must start with the name of the
// bucket: any other endpoint is of one bucket only.
func (c *cloud) OpenBucket(ctx context.Context, name string) (*vault.Store, error) {
	config := c.config
	if own := "//" + config.Bucket + "."; config.Endpoint != "" && !strings.Contains(config.Endpoint, own) {
		return nil, fmt.Errorf("%w: the endpoint does not name the bucket, so that another bucket cannot be reached", vault.ErrUnsupported)
	} else if config.Endpoint != "" {
		config.Endpoint = strings.Replace(config.Endpoint, own, "//"+name+".", 1)
	}
	config.Bucket = name
	return Open(ctx, config)
}

// setting reads a configuration document of the bucket. A 404 means that it is not set.
func (c *cloud) setting(ctx context.Context, name string) vault.Setting {
	s := vault.Setting{Name: name}
	var text []byte
	err := c.try(ctx, reading, func(ctx context.Context) (err error) {
		text, err = c.document(ctx, name)
		return err
	})
	switch {
	case err == nil:
		s.Document = string(text)
	case status(err) == http.StatusNotFound && code(err) != "NoSuchBucket":
	default:
		s.Err = explained(err)
	}
	return s
}

// document reads a configuration document of the bucket as text. The SDK cannot do this.
func (c *cloud) document(ctx context.Context, name string) ([]byte, error) {
	u := *c.client.BaseURL.BucketURL
	u.Path, u.RawQuery = "/", name
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if _, err := c.credentials.Get(ctx); err != nil {
		return nil, err
	}
	keys := c.client.GetCredential()
	if keys == nil {
		return nil, errNoCredentials
	}
	signed := r.Clone(ctx)
	cos.AddAuthorizationHeader(keys.SecretID, keys.SecretKey, keys.SessionToken, signed, cosblob.AuthTime(time.Now()))
	base := transport.New(c.config.Timeout)
	defer base.CloseIdleConnections()
	resp, err := noRedirects(base).Do(signed)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	resp.Request = r // without the signature and the token
	if err := cosblob.CheckResponse(r, resp, keys.SessionToken, signed.Header.Get("Authorization")); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return nil, err
	}
	e := &cos.ErrorResponse{Response: resp}
	err = xml.Unmarshal([]byte(tc3.Redacted(string(text), keys.SessionToken)), e)
	switch {
	case resp.StatusCode/100 != 2: // without a valid body, only the status is known
		return nil, e
	case err == nil:
		resp.StatusCode, resp.Status = http.StatusInternalServerError, "500 Error after 200"
		return nil, e
	}
	return text, nil
}

// OwnsBucket implements [vault.BucketOwner]. It compares the account of the caller with the owner in
// the ACL of the bucket (436/7733). The keys of an account and of its users have the type CAMUser.
func (c *cloud) OwnsBucket(ctx context.Context, caller vault.Caller) (bool, error) {
	account, ok := accountOf(caller.ARN)
	if !ok || caller.Type != "CAMUser" {
		return false, nil
	}
	acl := c.setting(ctx, "acl")
	if errors.Is(acl.Err, vault.ErrPermission) {
		return false, nil // the owner may read the ACL
	}
	if acl.Err != nil {
		return false, acl.Err
	}
	var doc struct{ Owner struct{ ID string } }
	if err := xml.Unmarshal([]byte(acl.Document), &doc); err != nil {
		return false, fmt.Errorf("%w: the response with the ACL of the bucket is not from COS: %w", vault.ErrUnavailable, err)
	}
	owner, ok := accountOf(doc.Owner.ID)
	return ok && owner == account, nil
}

// accountOf returns the account (uin) of a principal such as qcs::cam::uin/1:uin/2. ok is false if
// the text is not such a principal.
func accountOf(principal string) (account string, ok bool) {
	rest, ok := strings.CutPrefix(principal, "qcs::cam::uin/")
	if !ok {
		return "", false
	}
	account, user, ok := strings.Cut(rest, ":uin/")
	return account, ok && account != "" && user != ""
}

// noRedirects returns a client that follows no redirects, because a redirect would send the signature
// or the token to another server.
func noRedirects(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Caller makes one request to STS, GetCallerIdentity, which needs no permission. The default of
// Config.STSEndpoint is https://sts.tencentcloudapi.com.
// https://www.tencentcloud.com/document/product/1150/47962
func (c *cloud) Caller(ctx context.Context) (vault.Caller, error) {
	snapshot, err := c.credentials.Get(ctx)
	if err != nil {
		return vault.Caller{}, explained(err)
	}
	caller := vault.Caller{From: "environment", KeyID: snapshot.SecretID()}
	switch {
	case c.config.Identity != nil:
		caller.From = "identity"
		if creds, err := c.config.Identity.Credentials(ctx); err == nil {
			caller.Expires = creds.Expires
		}
	case c.config.Static != nil:
		caller.From = "static"
	}
	keys := c.client.GetCredential()
	if keys == nil {
		return caller, fmt.Errorf("%w: the credentials are no longer available", vault.ErrUnauthenticated)
	}
	base := transport.New(c.config.Timeout)
	defer base.CloseIdleConnections()
	call := signedCall{
		endpoint: cmp.Or(c.config.STSEndpoint, "https://sts.tencentcloudapi.com"), region: cmp.Or(c.config.Region, "ap-guangzhou"),
		id: keys.SecretID, key: keys.SecretKey, token: keys.SessionToken,
	}
	err = call.send(ctx, base, &caller)
	return caller, err
}
