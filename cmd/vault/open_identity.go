package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// An identity is the identity of a command in a cloud: the source of its tokens, the provider that
// exchanges them for credentials, and the credentials that a login saved.
type identity struct {
	*session
	*vaulturl.Location
	set     config.Settings
	offline bool // no token is asked for

	source   federation.Source // nil: there is only a login
	provider *federation.Provider
	token    atomic.Pointer[federation.Token] // the token of the last exchange
	login    *federation.Login                // nil: there is no valid login
	ended    *federation.LoginExpiredError    // nil: no login has expired
	broken   error                            // set if the saved login cannot be read
	pin      *pinned
	cache    federation.Cache
	cacheKey string
}

// prepare reads the settings and the saved login. It sends no request.
func (i *identity) prepare(ctx context.Context) error {
	tenant := i.set.Tenant.Text
	if tenant != "" { // converts the tenant to lower case; the caller has checked it
		t, err := vault.ParseTenant(tenant)
		if err != nil {
			return err
		}
		tenant = string(t)
	}
	i.cacheKey = federation.CacheKey(i.set.Store.Text, tenant)
	var err error
	if i.set.Identity.Text != "" {
		if i.source, err = i.Source(i.set.Identity.Text); err != nil {
			return tagged{from(i.set.Identity, err), usage.ErrUsage}
		}
	}
	i.loadLogin(ctx)
	i.pin = &pinned{Source: i.source, now: i.now, tags: i.TagKeys}
	if i.source == nil {
		i.pin.Source = noToken{i.login, i.ended}
	}
	i.provider, err = i.newProvider(ctx, i.pin, tenant, i.login, &i.token)
	return err
}

// loadLogin loads the saved login if it belongs to the same identity. If the identity's current
// token can be read, it must also have the same subject: meanwhile a variable, a file or a command
// may supply the tokens of another user.
func (i *identity) loadLogin(ctx context.Context) {
	dir, err := i.places().Logins()
	if err != nil {
		return
	}
	i.cache = federation.Cache{Dir: dir, Now: i.now}
	login, err := i.cache.Load(i.cacheKey)
	switch {
	case errors.As(err, &i.ended):
		return
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		i.broken = err // login and logout replace or remove the file
		return
	}
	if i.source != nil {
		if federation.CacheKey(i.set.Identity.Text) != login.Source {
			return
		}
		if i.offline {
			return
		}
		t, err := i.source.Token(ctx)
		if err == nil && (t.Claims.Issuer != login.Issuer || t.Claims.Subject != login.Subject) {
			return
		}
	}
	i.login = &login
}

// A pinned source returns only tokens of one tenant, as soon as the tenant is known. It rejects a
// later token of another tenant.
type pinned struct {
	federation.Source
	now    func() time.Time
	tags   []string
	tenant atomic.Pointer[vault.Tenant]
}

func (p *pinned) Token(ctx context.Context) (federation.Token, error) {
	t, err := p.Source.Token(ctx)
	if tenant := p.tenant.Load(); err == nil && tenant != nil {
		err = federation.Expectation{Tenant: string(*tenant), TagKeys: p.tags}.Check(t.Claims, p.now())
	}
	return t, err
}

// newProvider returns a provider of credentials, which it gets from a login, or in exchange for a
// token of source. The provider stores each token that it exchanged in last.
func (i *identity) newProvider(ctx context.Context, source federation.Source, tenant string, login *federation.Login,
	last *atomic.Pointer[federation.Token]) (*federation.Provider, error) {
	exchange, err := i.Exchanger(ctx)
	if err != nil {
		return nil, err
	}
	o := &federation.Options{
		Expect: federation.Expectation{Audience: i.Audience, OtherAudiences: i.OtherAudiences, Tenant: tenant, TagKeys: i.TagKeys},
		Now:    i.now, Timeout: i.set.Timeout,
		Observe: func(t federation.Token, _ federation.Credentials) { last.Store(&t) },
	}
	if login != nil {
		o.Cached = &login.Credentials
	}
	return federation.NewProvider(source, exchange, o), nil
}

// noToken is the source of tokens if the store has a role, but there is no identity.
type noToken struct {
	login *federation.Login // the cloud has refused its credentials
	ended *federation.LoginExpiredError
}

func (n noToken) Token(context.Context) (federation.Token, error) {
	const again = "set --identity, for example to file:/run/token, or run {vault} login with --identity"
	switch {
	case n.ended != nil:
		return federation.Token{}, hint(fmt.Errorf("%w: the login expired at %s", federation.ErrTokenInvalid, timestamp(n.ended.At)), again)
	case n.login != nil:
		return federation.Token{}, hint(fmt.Errorf("%w: the cloud no longer accepts the login, although it is valid until %s", federation.ErrTokenInvalid, timestamp(n.login.Expires)), again)
	}
	return federation.Token{}, hint(fmt.Errorf("%w: there is no identity and no valid login", federation.ErrTokenInvalid), again)
}

// tenant returns the tenant of the settings, or of the login, or of the token that was exchanged
// for the credentials.
func (i *identity) tenant(ctx context.Context) (tenant vault.Tenant, err error) {
	switch {
	case i.broken != nil:
		return "", i.broken
	case i.set.Tenant.Text != "":
		return vault.ParseTenant(i.set.Tenant.Text) // the provider compares it with the token
	case i.login != nil:
		tenant, err = vault.ParseTenant(i.login.Tenant)
	default:
		tenant, err = i.exchangeForTenant(ctx, i.provider, &i.token)
	}
	if err == nil {
		i.pin.tenant.Store(&tenant)
	}
	return tenant, err
}

// exchangeForTenant ensures that there are credentials, and returns the tenant that the exchanged
// token names.
func (i *identity) exchangeForTenant(ctx context.Context, p *federation.Provider, last *atomic.Pointer[federation.Token]) (vault.Tenant, error) {
	if _, err := p.Credentials(ctx); err != nil {
		return "", i.withCause(err)
	}
	token := last.Load()
	if token == nil { // the credentials belong to a login; its tenant is known
		return vault.DefaultTenant, nil
	}
	return i.tenantOf(token.Claims)
}

// tenantOf returns the tenant that a token names.
func (i *identity) tenantOf(c federation.Claims) (vault.Tenant, error) {
	key, value, ok := c.Tag(i.tagKeys()...)
	if !ok {
		return vault.DefaultTenant, nil
	}
	tenant, err := vault.ParseTenant(value)
	if err != nil {
		return "", fmt.Errorf("tag %s of the token: %w", key, err)
	}
	return tenant, nil
}

// tagOf returns the tag of a token that names tenant, or else the first tag that names a tenant.
func (i *identity) tagOf(c federation.Claims, tenant vault.Tenant) (key, value string, ok bool) {
	for _, k := range i.tagKeys() {
		if key, value, ok := c.Tag(k); ok {
			if t, err := vault.ParseTenant(value); err == nil && t == tenant {
				return key, value, true
			}
		}
	}
	return c.Tag(i.tagKeys()...)
}

func (i *identity) tagKeys() []string {
	if i.TagKeys != nil {
		return i.TagKeys
	}
	return federation.DefaultTagKeys()
}

// withCause adds the cause of a federation error, so that it gets the same sentinel and hint as an
// error of a store.
func (i *identity) withCause(err error) error {
	if r := i.Explain(err); r != nil {
		return tagged{r, err}
	}
	return err
}

// logIn exchanges a token and saves the credentials.
func (i *identity) logIn(ctx context.Context) (federation.Login, error) {
	if i.source == nil {
		return federation.Login{}, hint(usagef("login requires an identity"), "set --identity, for example to file:/run/token")
	}
	if i.cache.Dir == "" {
		_, err := i.places().Logins()
		return federation.Login{}, hint(err, "set HOME, or XDG_STATE_HOME")
	}
	var token atomic.Pointer[federation.Token]
	var expected vault.Tenant
	if i.set.Tenant.Text != "" {
		var err error
		if expected, err = vault.ParseTenant(i.set.Tenant.Text); err != nil {
			return federation.Login{}, err
		}
	}
	p, err := i.newProvider(ctx, i.source, string(expected), nil, &token)
	if err != nil {
		return federation.Login{}, err
	}
	tenant, err := i.exchangeForTenant(ctx, p, &token)
	if err != nil {
		return federation.Login{}, err
	}
	if expected != "" { // the token may have no tag
		tenant = expected
	}
	c, err := p.Credentials(ctx)
	if err != nil {
		return federation.Login{}, i.withCause(err)
	}
	login := federation.Login{
		Credentials: c, Tenant: string(tenant), Store: shownURL(i.set.Store.Text),
		Identity: shownIdentity(i.set.Identity.Text), Source: federation.CacheKey(i.set.Identity.Text),
	}
	return login, i.cache.Save(i.cacheKey, login)
}

func (i *identity) logOut() (bool, error) {
	if i.cache.Dir == "" {
		return false, nil
	}
	return i.cache.Remove(i.cacheKey)
}

// A bearer describes the caller's identity, as far as it is known.
type bearer struct {
	Store    string              `json:"store"`
	Tenant   string              `json:"tenant"`
	Identity string              `json:"identity,omitempty"` // the source
	From     string              `json:"from,omitempty"`     // the origin of the credentials: login, token, environment, or a name from the AWS SDK
	Issuer   string              `json:"issuer,omitempty"`
	Subject  string              `json:"subject,omitempty"`
	Audience any                 `json:"audience,omitempty"`
	Tag      string              `json:"tag,omitempty"`            // KEY=VALUE, from the token
	Tags     map[string][]string `json:"tags,omitempty"`           // all tags of the token
	Ignored  []string            `json:"ignored_claims,omitempty"` // claims with tags in a form that AWS does not document
	Role     string              `json:"role,omitempty"`
	Session  string              `json:"session,omitempty"`
	Account  string              `json:"account,omitempty"`
	ARN      string              `json:"arn,omitempty"`

	TokenExpires      *time.Time `json:"token_expires,omitempty"`
	CredentialsExpire *time.Time `json:"credentials_expire,omitempty"`
}

// bearer returns the caller's identity, from a login, or from a token that it exchanges. If the
// client or the cloud rejects the token, bearer returns the claims of the token and the error.
func (i *identity) bearer(ctx context.Context) (bearer, error) {
	b := bearer{Store: shownURL(i.set.Store.Text), Identity: shownIdentity(i.set.Identity.Text), Role: i.Role}
	refused := func(err error) (bearer, error) {
		if i.source == nil {
			return b, err
		}
		if t, terr := i.source.Token(ctx); terr == nil {
			b.From = "token"
			b.claim(t.Claims, i.tagKeys())
		}
		return b, err
	}
	tenant, err := i.tenant(ctx)
	if err != nil {
		return refused(err)
	}
	b.Tenant, b.From = string(tenant), "token"
	if i.login != nil {
		b.From, b.Identity = "login", i.login.Identity
	}
	c, err := i.provider.Credentials(ctx)
	if err != nil {
		return refused(i.withCause(err))
	}
	b.Issuer, b.Subject, b.Session, b.Account, b.CredentialsExpire = c.Issuer, c.Subject, c.Session, c.Account, moment(c.Expires)
	if token := i.token.Load(); token != nil {
		b.claim(token.Claims, i.tagKeys())
		if key, value, ok := i.tagOf(token.Claims, tenant); ok {
			b.Tag = key + "=" + value
		}
	}
	return b, nil
}

// claim sets the fields that a token contains. The tag is the first tag that can name a tenant.
func (b *bearer) claim(c federation.Claims, tagKeys []string) {
	b.Issuer, b.Subject, b.TokenExpires = c.Issuer, c.Subject, moment(c.Expires)
	if b.Audience = c.Audience; len(c.Audience) == 1 {
		b.Audience = c.Audience[0]
	}
	if key, value, ok := c.Tag(tagKeys...); ok {
		b.Tag = key + "=" + value
	}
	b.Tags, b.Ignored = c.Tags, c.Ignored
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
