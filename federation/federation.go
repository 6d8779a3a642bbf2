// Package federation exchanges an OIDC token for temporary credentials of a cloud, without any
// static key. A [Source] supplies the token. An [Expectation] is checked before the token leaves
// the process. An [Exchanger] (one per cloud) exchanges the token for credentials. A [Provider]
// shares the credentials among its callers:
//
//	source, err := federation.ParseSource("file:/run/token", nil)
//	p := federation.NewProvider(source, exchanger, &federation.Options{
//		Expect: federation.Expectation{Audience: "sts.amazonaws.com", Tenant: "0xabc"},
//	})
//	creds, err := p.Credentials(ctx)
//
// The package parses tokens but does not verify them, because the cloud does. Its checks prevent a
// token from being sent to the wrong place, and prevent an agent from working as another tenant by
// mistake.
//
// Only a [Cache] writes to disk: it stores the temporary credentials of a [Login]. Neither errors
// nor the verbs of package fmt show a token or a key.
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
	Expires      time.Time // by the cloud's clock; zero if the cloud does not report it
	Issued       time.Time // start of the exchange by the local clock; set by [Provider]
	// Reported by the cloud, for display; each may be empty.
	Role, Session, Account, Subject, Issuer string
}

// dueAt returns the time at which c should be renewed: after 80 % of its lifetime.
func (c Credentials) dueAt() time.Time {
	return c.Issued.Add(c.Expires.Sub(c.Issued) / 5 * 4)
}

func (c Credentials) expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// An Exchanger exchanges a token for credentials at the cloud. It returns soon after its
// context ends. Its errors wrap [ErrRefused], [ErrUnavailable] or [ErrTokenInvalid].
type Exchanger interface {
	Exchange(ctx context.Context, t Token) (Credentials, error)
}

// Options configures a [Provider]. Nil, or the zero value, expects only that the token has not
// expired.
type Options struct {
	Expect Expectation
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
	// Timeout limits reading a token together with its exchange; 0 means 30 s.
	Timeout time.Duration
	// Cached are the credentials of a [Login]. They are used until they expire, and are not checked
	// against Expect. The caller must first compare [Login].Tenant with the expected tenant.
	Cached *Credentials
	// Observe, if not nil, is called after each exchange, in the goroutine of the exchange. Callers
	// receive the credentials only after Observe has returned. It must not call the Provider.
	Observe func(Token, Credentials)
}

// A Provider exchanges tokens for credentials and shares them among its callers. After 80 % of
// their lifetime, the next call renews them in the background; callers do not wait while the
// old ones are valid. It is safe for concurrent use, and does not need to be closed: a renewal
// ends at Timeout at the latest.
type Provider struct {
	source   Source
	exchange Exchanger
	o        Options

	mu      sync.Mutex
	have    bool
	current Credentials // valid if have is true
	due     time.Time   // time of the next renewal; zero: never
	flight  *flight     // the exchange in progress, or nil
}

// A flight is one exchange. All callers without valid credentials wait for it.
type flight struct {
	exchanging atomic.Bool   // it has a token and waits for the cloud
	done       chan struct{} // closed when the other fields are set
	creds      Credentials
	err        error
}

// NewProvider returns a Provider. It does not read a token.
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

// renewPause is the time between a failed renewal and the next one, while the old credentials
// are valid.
const renewPause = 15 * time.Second

// Credentials returns credentials that have not expired. While the current ones are valid it
// returns immediately; after 80 % of their lifetime it also starts a renewal in the background, and
// a failed renewal is repeated after 15 s. If there are no valid credentials, or the current ones
// were passed to [Provider.Expired], one caller starts an exchange and all callers wait for it. If
// the context of a caller ends, that caller returns, and the exchange continues for the others.
// Errors wrap a sentinel of this package or are those of ctx.
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

// start begins an exchange, which ends at the timeout and not with ctx. If a source or
// exchanger ignores its context, start abandons it at the timeout: the waiting callers get an
// error, and the next caller begins another exchange.
func (p *Provider) start(ctx context.Context) *flight {
	f := &flight{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout())
	giveUp := context.AfterFunc(ctx, func() {
		waiting := "the source returned no token"
		if f.exchanging.Load() {
			waiting = "the cloud returned no credentials"
		}
		p.land(f, Credentials{}, fmt.Errorf("%w: %s within %v: %w", ErrUnavailable, waiting, p.timeout(), ctx.Err()))
	})
	go func() {
		defer cancel()
		defer giveUp()
		var creds Credentials
		err := fmt.Errorf("%w: the exchange ended without a result", ErrUnavailable) // remains if obtain calls runtime.Goexit
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

// land sets the result of f, unless f has already ended.
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
		if now.Before(p.due) { // Renew started the exchange
			break
		}
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

// Expired discards the credentials with this access key id. Call it after the cloud rejected them
// as expired. The next call of Credentials then exchanges a new token. If the credentials are not
// the current ones, Expired does nothing, so several callers cause only one exchange.
func (p *Provider) Expired(accessKeyID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have && p.current.AccessKeyID == accessKeyID {
		p.have, p.current = false, Credentials{}
	}
}

// Renew exchanges a new token, because the credentials with this access key id may have expired, and
// waits for the result. If the exchange fails, the credentials stay in use until they expire. If they are
// not the current ones, Renew makes no exchange. It reports whether the next call of Credentials returns
// others.
func (p *Provider) Renew(ctx context.Context, accessKeyID string) bool {
	p.mu.Lock()
	if !p.have || p.current.AccessKeyID != accessKeyID {
		p.mu.Unlock()
		return true
	}
	if p.flight == nil {
		p.flight = p.start(ctx)
	}
	f := p.flight
	p.mu.Unlock()
	select {
	case <-f.done:
		return f.err == nil && f.creds.AccessKeyID != accessKeyID
	case <-ctx.Done():
		return false
	}
}

// Token reads a token and checks it, without an exchange.
func (p *Provider) Token(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	return p.read(ctx)
}

// read returns a token that meets the expectation.
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

// now returns the time without its monotonic reading, because the monotonic clock stops while a
// machine sleeps, but credentials expire.
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

// panicked returns an error for a panic in a source or an exchanger. It contains the value of the
// panic only if the runtime created it, because another value may contain a token.
func panicked(r any) error {
	var known runtime.Error
	if err, ok := r.(error); ok && errors.As(err, &known) {
		return fmt.Errorf("%w: the exchange panicked: %s", ErrUnavailable, known)
	}
	return fmt.Errorf("%w: the exchange panicked with a %T", ErrUnavailable, r)
}
