// Package federation turns an OIDC token into temporary credentials of a cloud, with no
// static key anywhere. A [Source] gives the token, an [Expectation] says what it must
// say before it is sent anywhere, an [Exchanger], which each cloud has its own of, takes
// it to the cloud, and a [Provider] shares what comes back among its callers:
//
//	source, err := federation.ParseSource("file:/run/token", nil)
//	p := federation.NewProvider(source, exchanger, &federation.Options{
//		Expect: federation.Expectation{Audience: "sts.amazonaws.com", Tenant: "0xabc"},
//	})
//	creds, err := p.Credentials(ctx)
//
// Tokens are parsed and not verified: the cloud does that. What is checked here keeps a
// token from going where it does not belong, and an agent from working as another tenant
// than it believes to be.
//
// Nothing is written to disk, except by a [Cache], which is there for a login. No error,
// and no verb of package fmt, shows a token or a key.
package federation

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Credentials are temporary credentials of a cloud.
type Credentials struct {
	AccessKeyID  string
	SecretKey    Secret
	SessionToken Secret
	Expires      time.Time // by the cloud's clock; zero: the cloud did not say
	Issued       time.Time // when the exchange began, by our clock; [Provider] fills it in
	// What the cloud said of them, for the user to see; each may be empty.
	Role, Session, Account, Subject, Issuer string
}

// dueAt is when c is to be renewed: after 80 % of its life.
func (c Credentials) dueAt() time.Time {
	return c.Issued.Add(c.Expires.Sub(c.Issued) / 5 * 4)
}

func (c Credentials) expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// An Exchanger takes a token to the cloud. It ends soon after its context does, and its
// errors wrap [ErrRefused], [ErrUnavailable] or [ErrTokenInvalid].
type Exchanger interface {
	Exchange(ctx context.Context, t Token) (Credentials, error)
}

// Options configures a [Provider]. Nil, or the zero value, expects nothing of a token
// but that it has not expired.
type Options struct {
	Expect Expectation
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
	// Timeout is that of one reading of a token with its exchange; 0 means 30 s.
	Timeout time.Duration
	// Cached are credentials of a login. They are used until they expire, and are not
	// held to Expect: whoever loads them compares their tenant.
	Cached *Credentials
	// Observe, if not nil, is called after each exchange, in a goroutine of its own and
	// before the credentials are returned to anybody. It must not call the Provider.
	Observe func(Token, Credentials)
}

// A Provider exchanges tokens for credentials and shares them among its callers. Past
// 80 % of their life it renews them in the background of the next call, and nobody waits
// while the old ones are good. It is safe for concurrent use, and has nothing to close: a
// renewal ends at Timeout at the latest.
type Provider struct {
	source   Source
	exchange Exchanger
	o        Options

	mu      sync.Mutex
	have    bool
	current Credentials // if have
	due     time.Time   // when current is to be renewed, or that is to be tried again; zero: never
	flight  *flight     // nil: nobody exchanges
}

// A flight is one exchange. Callers who have no good credentials wait for it together.
type flight struct {
	exchanging atomic.Bool   // it has a token, and waits for the cloud
	done       chan struct{} // closed once the rest is set
	creds      Credentials
	err        error
}

// NewProvider returns a Provider that has not read a token yet.
func NewProvider(source Source, exchange Exchanger, o *Options) *Provider {
	p := &Provider{source: source, exchange: exchange}
	if o != nil {
		p.o = *o
	}
	if c := p.o.Cached; c != nil {
		p.have, p.current, p.due = true, *c, c.Expires
	}
	return p
}

// renewPause is how long a renewal that did not work out is left alone, while the old
// credentials are still good.
const renewPause = 15 * time.Second

// Credentials returns credentials that have not expired: at once, while the last ones
// are good. The first call past 80 % of their life begins a renewal and does not wait for
// it; one that fails is tried again after 15 s. When there are none, or [Provider.Expired]
// was told so, one of several callers causes an exchange, and all wait for it. Whoever's
// context ends leaves with its error, and the exchange goes on for the others. Errors
// wrap a sentinel of this package, or are ctx's own.
func (p *Provider) Credentials(ctx context.Context) (Credentials, error) {
	if err := ctx.Err(); err != nil {
		return Credentials{}, err
	}
	creds, f := p.join(ctx)
	if f == nil {
		return creds, nil
	}
	select {
	case <-f.done:
		return f.creds, f.err
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	}
}

// join returns the current credentials, or the flight to wait for.
func (p *Provider) join(ctx context.Context) (Credentials, *flight) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	good := p.have && !p.current.expired(now)
	if good && (p.due.IsZero() || now.Before(p.due)) {
		return p.current, nil
	}
	if p.flight == nil {
		p.flight = p.start(ctx)
	}
	if good {
		return p.current, nil
	}
	return Credentials{}, p.flight
}

// start begins an exchange, which ends at the timeout and not with ctx. One that ignores
// its context is given up then: those who wait for it are told, and the next caller
// begins another.
func (p *Provider) start(ctx context.Context) *flight {
	f := &flight{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout())
	giveUp := context.AfterFunc(ctx, func() {
		waiting := "the source gave no token"
		if f.exchanging.Load() {
			waiting = "the cloud gave no credentials"
		}
		p.land(f, Credentials{}, fmt.Errorf("%w: %s within %v: %w", ErrUnavailable, waiting, p.timeout(), ctx.Err()))
	})
	go func() {
		defer cancel()
		defer giveUp()
		var creds Credentials
		err := fmt.Errorf("%w: the exchange ended without an answer", ErrUnavailable) // by runtime.Goexit
		defer func() {
			if r := recover(); r != nil {
				err = panicked(r)
			}
			p.land(f, creds, err)
		}()
		creds, err = p.obtain(ctx, f)
	}()
	return f
}

// obtain reads a token, checks it and exchanges it.
func (p *Provider) obtain(ctx context.Context, f *flight) (Credentials, error) {
	t, err := p.read(ctx)
	if err != nil {
		return Credentials{}, err
	}
	f.exchanging.Store(true)
	began := p.now()
	creds, err := p.exchange.Exchange(ctx, t)
	if err != nil {
		return Credentials{}, inTime(ctx, err)
	}
	if creds.Issued.IsZero() {
		creds.Issued = began
	}
	if p.o.Observe != nil {
		p.o.Observe(t, creds)
	}
	return creds, nil
}

// land ends f for those who wait, unless it was ended before.
func (p *Provider) land(f *flight, creds Credentials, err error) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flight != f {
		return
	}
	p.flight = nil
	switch {
	case err == nil:
		p.have, p.current, p.due = true, creds, time.Time{}
		if !creds.Expires.IsZero() {
			p.due = creds.dueAt()
		}
	case p.have && !p.current.expired(now):
		creds, err = p.current, nil
		p.due = now.Add(renewPause)
		if e := creds.Expires; p.due.After(e) {
			p.due = e
		}
	default:
		p.have = false
	}
	f.creds, f.err = creds, err
	close(f.done)
}

// Expired says that the cloud called the credentials with this id expired: the next call
// of Credentials exchanges a fresh token. It does nothing when they are not the current
// ones any more, so of many who are told at once one causes an exchange.
func (p *Provider) Expired(accessKeyID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have && p.current.AccessKeyID == accessKeyID {
		p.have, p.current = false, Credentials{}
	}
}

// Token reads a token and checks it, without an exchange.
func (p *Provider) Token(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	return p.read(ctx)
}

// read returns a token that may be sent.
func (p *Provider) read(ctx context.Context) (Token, error) {
	t, err := p.source.Token(ctx)
	if err != nil {
		return Token{}, inTime(ctx, err)
	}
	if err := p.o.Expect.Check(t.Claims, p.now()); err != nil {
		return Token{}, err
	}
	return t, nil
}

// now has no monotonic reading: that clock stands still while a machine sleeps, and
// credentials grow old.
func (p *Provider) now() time.Time {
	if p.o.Now == nil {
		return time.Now().Round(0)
	}
	return p.o.Now().Round(0)
}

func (p *Provider) timeout() time.Duration {
	if p.o.Timeout <= 0 {
		return 30 * time.Second
	}
	return p.o.Timeout
}

// panicked makes an error of a panic in a source or an exchanger, whose value is not
// shown unless the runtime made it: it may hold a token.
func panicked(r any) error {
	var known runtime.Error
	if err, ok := r.(error); ok && errors.As(err, &known) {
		return fmt.Errorf("%w: the exchange panicked: %s", ErrUnavailable, known)
	}
	return fmt.Errorf("%w: the exchange panicked with a %T", ErrUnavailable, r)
}
