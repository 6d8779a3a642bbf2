package federation_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/federation"
)

type sourceFunc func(context.Context) (federation.Token, error)

func (f sourceFunc) Token(ctx context.Context) (federation.Token, error) { return f(ctx) }

type exchangeFunc func(context.Context, federation.Token) (federation.Credentials, error)

func (f exchangeFunc) Exchange(ctx context.Context, t federation.Token) (federation.Credentials, error) {
	return f(ctx, t)
}

// A cloud is source and exchanger of a Provider. Its tokens and its credentials are valid for
// an hour; the credentials are numbered.
type cloud struct {
	t         *testing.T
	delay     time.Duration // of each exchange
	err       error         // of each exchange
	claims    map[string]any
	read      atomic.Int32
	exchanged atomic.Int32
}

func (c *cloud) Token(context.Context) (federation.Token, error) {
	c.read.Add(1)
	return federation.ParseToken(tokenOf(c.t, time.Now(), c.claims))
}

func (c *cloud) Exchange(ctx context.Context, t federation.Token) (federation.Credentials, error) {
	n := c.exchanged.Add(1)
	select {
	case <-time.After(c.delay):
	case <-ctx.Done():
		return federation.Credentials{}, ctx.Err()
	}
	if c.err != nil {
		return federation.Credentials{}, c.err
	}
	return federation.Credentials{
		AccessKeyID: fmt.Sprint("key-", n), SecretKey: federation.NewSecret(hidden), Subject: t.Claims.Subject,
		Expires: time.Now().Add(-c.delay).Add(time.Hour),
	}, nil
}

// counts fails unless the given number of tokens were read and exchanged.
func (c *cloud) counts(read, exchanged int32) {
	c.t.Helper()
	if r, e := c.read.Load(), c.exchanged.Load(); r != read || e != exchanged {
		c.t.Errorf("%d tokens read and %d exchanged, want %d and %d", r, e, read, exchanged)
	}
}

func gets(t *testing.T, p *federation.Provider, key string) federation.Credentials {
	t.Helper()
	creds, err := p.Credentials(t.Context())
	if err != nil || creds.AccessKeyID != key {
		t.Errorf("%q, %v; want %s", creds.AccessKeyID, err, key)
	}
	return creds
}

// renews gets the old credentials at once, and the new ones after the renewal.
func renews(t *testing.T, p *federation.Provider, old, now string) {
	t.Helper()
	gets(t, p, old)
	synctest.Wait()
	gets(t, p, now)
}

func TestCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: time.Second}
		p := federation.NewProvider(c, c, nil)
		c.counts(0, 0)
		began := time.Now()
		creds := gets(t, p, "key-1")
		if !creds.Issued.Equal(began) || !creds.Expires.Equal(began.Add(time.Hour)) || creds.Subject != "agent" || creds.SecretKey.Reveal() != hidden {
			t.Errorf("%+v, want them issued at %v", creds, began)
		}
		again := gets(t, p, "key-1")
		if diff := cmp.Diff(fmt.Sprintf("%+v", creds), fmt.Sprintf("%+v", again)); diff != "" {
			t.Error(diff)
		}
		c.counts(1, 1)
	})
}

func TestManyCallersShareOneExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: time.Second}
		p := federation.NewProvider(c, c, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { gets(t, p, "key-1") })
		}
		wg.Wait()
		c.counts(1, 1)
		// All callers report their credentials as expired at once, and some report them late.
		for range 50 {
			wg.Go(func() {
				p.Expired("key-1")
				gets(t, p, "key-2")
				p.Expired("key-1")
				gets(t, p, "key-2")
			})
		}
		wg.Wait()
		c.counts(2, 2)
	})
}

// The same with the real clock and without synchronization, for the race detector.
func TestCallersRace(t *testing.T) {
	c := &cloud{t: t}
	p := federation.NewProvider(c, c, &federation.Options{Observe: func(federation.Token, federation.Credentials) {}})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range 20 {
				creds, err := p.Credentials(ctx)
				if err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					p.Expired(creds.AccessKeyID)
				}
				if i%10 == 1 {
					if _, err := p.Token(ctx); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := c.exchanged.Load(); n < 1 || n > 101 { // five callers in twenty rounds, and the first exchange
		t.Errorf("%d exchanges", n)
	}
}

func TestErrorsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: time.Second, err: fmt.Errorf("%w: no such role", federation.ErrRefused)}
		p := federation.NewProvider(c, c, nil)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if creds, err := p.Credentials(t.Context()); !errors.Is(err, federation.ErrRefused) || creds.AccessKeyID != "" {
					t.Errorf("%v, %v", creds, err)
				}
			})
		}
		wg.Wait()
		c.counts(1, 1)
		c.err = nil
		gets(t, p, "key-2") // an error is not cached
	})
}

// The caller that began an exchange may leave: the others get its credentials.
func TestFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: 10 * time.Second}
		p := federation.NewProvider(c, c, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			began := time.Now()
			_, err := p.Credentials(ctx)
			if !errors.Is(err, context.Canceled) || errors.Is(err, federation.ErrUnavailable) || time.Since(began) != time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		})
		synctest.Wait()
		wg.Go(func() { gets(t, p, "key-1") })
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := p.Credentials(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		c.counts(1, 1)
		if _, err := p.Credentials(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the error for a cancelled context is %v", err)
		}
	})
}

// If all callers leave, the next caller gets the result of the exchange.
func TestAllCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: 10 * time.Second}
		p := federation.NewProvider(c, c, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Credentials(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		began := time.Now()
		gets(t, p, "key-1")
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("the exchange took another %v", took)
		}
		c.counts(1, 1)
	})
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		p := federation.NewProvider(c, c, nil)
		gets(t, p, "key-1")
		time.Sleep(48*time.Minute - 1)
		gets(t, p, "key-1")
		c.counts(1, 1)
		time.Sleep(time.Nanosecond)
		renews(t, p, "key-1", "key-2")
		gets(t, p, "key-2")
		c.counts(2, 2)
	})
}

func TestRenewalByTheInjectedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, claims: map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}}
		now := time.Now()
		p := federation.NewProvider(c, c, &federation.Options{Now: func() time.Time { return now }})
		creds := gets(t, p, "key-1")
		if !creds.Issued.Equal(now) {
			t.Errorf("issued at %v, and it is %v", creds.Issued, now)
		}
		now = creds.Issued.Add(creds.Expires.Sub(creds.Issued) * 79 / 100)
		gets(t, p, "key-1")
		now = creds.Issued.Add(creds.Expires.Sub(creds.Issued) * 81 / 100)
		renews(t, p, "key-1", "key-2")
		now = now.Add(48 * time.Hour)
		if _, err := p.Credentials(t.Context()); !errors.Is(err, federation.ErrTokenInvalid) { // the token has also expired
			t.Error(err)
		}
		c.counts(3, 2)
	})
}

// The 80 % of the lifetime start when the exchange began by the local clock, independent of the
// cloud's clock, unless the exchanger sets the time.
func TestRenewalCountsFromIssued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issued := time.Now().Add(-30 * time.Minute)
		n := 0
		exchange := exchangeFunc(func(context.Context, federation.Token) (federation.Credentials, error) {
			n++
			return federation.Credentials{AccessKeyID: fmt.Sprint("key-", n), Issued: issued, Expires: issued.Add(time.Hour)}, nil
		})
		p := federation.NewProvider(&cloud{t: t}, exchange, nil)
		gets(t, p, "key-1")
		time.Sleep(18*time.Minute - 1)
		renews(t, p, "key-1", "key-1")
		time.Sleep(time.Nanosecond)
		renews(t, p, "key-1", "key-2")
	})
}

func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		p := federation.NewProvider(c, c, nil)
		gets(t, p, "key-1")
		c.err = fmt.Errorf("%w: status 503", federation.ErrUnavailable)
		time.Sleep(48 * time.Minute)
		renews(t, p, "key-1", "key-1")
		c.counts(2, 2)
		time.Sleep(15*time.Second - 1)
		renews(t, p, "key-1", "key-1")
		c.counts(2, 2) // no new renewal for 15 s
		time.Sleep(time.Nanosecond)
		renews(t, p, "key-1", "key-1")
		c.counts(3, 3)
		time.Sleep(12*time.Minute - 15*time.Second - 1)
		renews(t, p, "key-1", "key-1")
		c.counts(4, 4)
		time.Sleep(time.Nanosecond) // the credentials expire less than 15 s after the renewal
		if _, err := p.Credentials(t.Context()); err == nil || err.Error() != "identity service unavailable: status 503" {
			t.Error(err)
		}
		c.err = nil
		gets(t, p, "key-6")
	})
}

// While the old credentials are valid no caller waits for a renewal, not even the one that
// began it. The renewal continues when that caller leaves.
func TestRenewalInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		p := federation.NewProvider(c, c, nil)
		gets(t, p, "key-1")
		c.delay = 20 * time.Second
		time.Sleep(48 * time.Minute)
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		creds, err := p.Credentials(ctx)
		cancel()
		if creds.AccessKeyID != "key-1" || err != nil {
			t.Errorf("%q, %v", creds.AccessKeyID, err)
		}
		for range 50 {
			gets(t, p, "key-1")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the callers waited %v", took)
		}
		time.Sleep(c.delay - 1)
		gets(t, p, "key-1")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		gets(t, p, "key-2")
		c.counts(2, 2)
	})
}

// A renewal that hangs ends at the timeout, and another begins 15 s later. Callers wait only
// after the old credentials have expired.
func TestRenewalHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		var under atomic.Int32
		exchange := exchangeFunc(func(ctx context.Context, token federation.Token) (federation.Credentials, error) {
			under.Add(1)
			defer under.Add(-1)
			return c.Exchange(ctx, token)
		})
		p := federation.NewProvider(c, exchange, nil)
		gets(t, p, "key-1")
		c.delay = time.Hour
		time.Sleep(48 * time.Minute)
		for range 16 { // 45 s each, 12 minutes in all
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			began := time.Now()
			if creds, err := p.Credentials(ctx); creds.AccessKeyID != "key-1" || err != nil || time.Since(began) != 0 {
				t.Errorf("%q, %v after %v", creds.AccessKeyID, err, time.Since(began))
			}
			cancel()
			synctest.Wait()
			if n := under.Load(); n != 1 {
				t.Errorf("%d renewals at once", n)
			}
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if n := under.Load(); n != 0 {
				t.Errorf("%d renewals after the timeout", n)
			}
			gets(t, p, "key-1")
			time.Sleep(15 * time.Second)
		}
		c.counts(17, 17)
		began := time.Now()
		if _, err := p.Credentials(t.Context()); !errors.Is(err, federation.ErrUnavailable) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	}) // synctest.Test fails if a goroutine is left
}

// If the old credentials expire during a renewal, callers wait for it.
func TestRenewalOutlastsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		p := federation.NewProvider(c, c, nil)
		gets(t, p, "key-1")
		c.delay = 20 * time.Second
		time.Sleep(time.Hour - 10*time.Second)
		gets(t, p, "key-1")
		time.Sleep(10 * time.Second)
		began := time.Now()
		gets(t, p, "key-2")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		c.counts(2, 2)
	})
}

func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: time.Second}
		p := federation.NewProvider(c, c, nil)
		p.Expired("") // without credentials
		gets(t, p, "key-1")
		p.Expired("key-0")
		p.Expired("")
		gets(t, p, "key-1")
		c.counts(1, 1)
		p.Expired("key-1")
		gets(t, p, "key-2")
		p.Expired("key-1") // already replaced
		gets(t, p, "key-2")
		c.counts(2, 2)

		// The credentials are reported as expired during their renewal. There is no second
		// exchange. If the renewal fails, the old credentials are not used again.
		time.Sleep(50 * time.Minute)
		c.err = federation.ErrUnavailable
		gets(t, p, "key-2")
		p.Expired("key-2")
		began := time.Now()
		if creds, err := p.Credentials(t.Context()); !errors.Is(err, federation.ErrUnavailable) || time.Since(began) != time.Second {
			t.Errorf("%q, %v after %v", creds.AccessKeyID, err, time.Since(began))
		}
		c.counts(3, 3)
	})
}

// TestRenew: credentials that may have expired are replaced. Until then, and if this fails, they stay in
// use.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t, delay: time.Second}
		p := federation.NewProvider(c, c, nil)
		gets(t, p, "key-1")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if !p.Renew(t.Context(), "key-1") {
					t.Error("the credentials were not replaced")
				}
			})
		}
		synctest.Wait() // the exchange has not ended
		gets(t, p, "key-1")
		wg.Wait()
		gets(t, p, "key-2")
		if !p.Renew(t.Context(), "key-1") {
			t.Error("the credentials were replaced before, but Renew is false")
		}
		c.counts(2, 2)

		c.err = federation.ErrRefused
		if p.Renew(t.Context(), "key-2") {
			t.Error("Renew is true after an exchange that was refused")
		}
		gets(t, p, "key-2")
		time.Sleep(time.Minute)
		gets(t, p, "key-2")
		synctest.Wait()
		c.counts(3, 3) // the failure starts no further exchanges

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if p.Renew(ctx, "key-2") {
			t.Error("Renew is true after its context has ended")
		}
		time.Sleep(time.Minute)
	})
}

func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		cached := &federation.Credentials{AccessKeyID: "login", Issued: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Minute)}
		p := federation.NewProvider(c, c, &federation.Options{Cached: cached})
		cached.AccessKeyID = "changed"
		time.Sleep(time.Minute - 1)
		gets(t, p, "login")
		c.counts(0, 0)
		time.Sleep(time.Nanosecond)
		gets(t, p, "key-1")
		c.counts(1, 1)

		p = federation.NewProvider(c, c, &federation.Options{Cached: &federation.Credentials{AccessKeyID: "login", Expires: time.Now().Add(time.Minute)}})
		p.Expired("login")
		gets(t, p, "key-2")
	})
}

// Credentials without an expiry are used until they are reported as expired.
func TestCredentialsWithoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		exchange := exchangeFunc(func(context.Context, federation.Token) (federation.Credentials, error) {
			n++
			return federation.Credentials{AccessKeyID: fmt.Sprint("key-", n)}, nil
		})
		p := federation.NewProvider(&cloud{t: t}, exchange, nil)
		gets(t, p, "key-1")
		time.Sleep(10000 * time.Hour)
		gets(t, p, "key-1")
		p.Expired("key-1")
		gets(t, p, "key-2")
	})
}

// A token that does not meet the expectation does not reach the exchanger.
func TestRefusedTokensAreNotSent(t *testing.T) {
	now := time.Now()
	wallet := func(v ...string) map[string]any {
		return map[string]any{"principal_tags": map[string]any{"agentkeys_user_wallet": v}}
	}
	for name, tc := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"expired":                   {map[string]any{"exp": now.Add(-time.Second).Unix()}, federation.ErrTokenInvalid},
		"no expiry":                 {map[string]any{"exp": nil}, federation.ErrTokenInvalid},
		"not yet valid":             {map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}, federation.ErrTokenInvalid},
		"another audience":          {map[string]any{"aud": "x"}, federation.ErrTokenInvalid},
		"another issuer":            {map[string]any{"iss": "x"}, federation.ErrTokenInvalid},
		"another tenant":            {map[string]any{"https://aws.amazon.com/tags": wallet("0xdef")}, federation.ErrTenantMismatch},
		"two tenants":               {map[string]any{"https://aws.amazon.com/tags": wallet("0xabc", "0xdef")}, federation.ErrTokenInvalid},
		"another tenant, flat tags": {map[string]any{"https://aws.amazon.com/tags/principal_tags/agentkeys_user_wallet": "0xdef"}, federation.ErrTenantMismatch},
		"expected tenant":           {map[string]any{"https://aws.amazon.com/tags": wallet("0xABC")}, nil},
		"no tags":                   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cloud{t: t, claims: tc.claims}
			p := federation.NewProvider(c, c, &federation.Options{Expect: federation.Expectation{Issuer: "https://issuer.example", Audience: "vault", Tenant: "0xabc"}})
			if _, err := p.Token(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("Token: %v, want %v", err, tc.want)
			}
			c.counts(1, 0)
			_, err := p.Credentials(t.Context())
			if !errors.Is(err, tc.want) {
				t.Errorf("Credentials: %v, want %v", err, tc.want)
			}
			if tc.want != nil {
				c.counts(2, 0)
			} else {
				c.counts(2, 1)
			}
		})
	}
}

func TestProviderToken(t *testing.T) {
	c := &cloud{t: t}
	p := federation.NewProvider(c, c, nil)
	token, err := p.Token(t.Context())
	if err != nil || token.Claims.Subject != "agent" {
		t.Error(token, err)
	}
	c.counts(1, 0)
}

func TestObserve(t *testing.T) {
	c := &cloud{t: t}
	var seen []string
	p := federation.NewProvider(c, c, &federation.Options{Observe: func(t federation.Token, c federation.Credentials) {
		seen = append(seen, t.Claims.Subject+" "+c.AccessKeyID+" "+fmt.Sprint(c.Issued.IsZero()))
	}})
	gets(t, p, "key-1")
	gets(t, p, "key-1")
	p.Expired("key-1")
	c.err = federation.ErrRefused
	if _, err := p.Credentials(t.Context()); !errors.Is(err, federation.ErrRefused) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"agent key-1 false"}, seen); diff != "" {
		t.Error(diff)
	}
}

// If a source or an exchanger ignores its context, callers wait until the timeout at most, and
// its late result is discarded.
func TestTimeout(t *testing.T) {
	const inSource = "identity service unavailable: the source returned no token within 3s: context deadline exceeded"
	const inExchange = "identity service unavailable: the cloud returned no credentials within 3s: context deadline exceeded"
	for _, tc := range []struct{ name, stuck, want string }{{"source", "source", inSource}, {"exchanger", "exchanger", inExchange}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cloud{t: t}
				release := make(chan struct{})
				var calls atomic.Int32
				stuck := func() {
					if calls.Add(1) == 1 {
						<-release
					}
				}
				source := sourceFunc(func(ctx context.Context) (federation.Token, error) {
					if tc.stuck == "source" {
						stuck()
					}
					return c.Token(ctx)
				})
				exchange := exchangeFunc(func(ctx context.Context, token federation.Token) (federation.Credentials, error) {
					if tc.stuck == "exchanger" {
						stuck()
					}
					return c.Exchange(context.WithoutCancel(ctx), token)
				})
				p := federation.NewProvider(source, exchange, &federation.Options{Timeout: 3 * time.Second})
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						began := time.Now()
						_, err := p.Credentials(t.Context())
						if !errors.Is(err, federation.ErrUnavailable) || err.Error() != tc.want || time.Since(began) != 3*time.Second {
							t.Errorf("after %v: %v", time.Since(began), err)
						}
					})
				}
				wg.Wait()
				gets(t, p, "key-1") // a second attempt
				close(release)
				synctest.Wait()
				gets(t, p, "key-1")
			})
		})
	}
}

// An exchange that ends at its timeout is distinguished from a caller whose context ended.
func TestTimeoutThatIsObeyed(t *testing.T) {
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	waitingSource := sourceFunc(func(ctx context.Context) (federation.Token, error) { return federation.Token{}, waits(ctx) })
	waitingExchange := exchangeFunc(func(ctx context.Context, _ federation.Token) (federation.Credentials, error) {
		return federation.Credentials{}, waits(ctx)
	})
	type calls map[string]func(context.Context) error
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{t: t}
		source := federation.NewProvider(waitingSource, c, nil)
		exchange := federation.NewProvider(c, waitingExchange, nil)
		for what, call := range (calls{
			"Token":                            func(ctx context.Context) error { _, err := source.Token(ctx); return err },
			"Credentials, waiting for a token": func(ctx context.Context) error { _, err := source.Credentials(ctx); return err },
			"Credentials":                      func(ctx context.Context) error { _, err := exchange.Credentials(ctx); return err },
		}) {
			for range 20 { // the order at the timeout is random
				began := time.Now()
				if err := call(t.Context()); !errors.Is(err, federation.ErrUnavailable) || time.Since(began) != 30*time.Second {
					t.Errorf("%s after %v: %v", what, time.Since(began), err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := call(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, federation.ErrUnavailable) {
				t.Errorf("%s with a cancelled context: %v", what, err)
			}
			time.Sleep(30 * time.Second) // until the exchange has ended
		}
	}) // synctest.Test fails if a goroutine is left
}

func TestPanics(t *testing.T) {
	var none *cloud
	for _, tc := range []struct {
		name  string
		panic func()
		want  string
	}{
		{"panic with a string", func() { panic(hidden) }, "identity service unavailable: the exchange panicked with a string"},
		{"panic with an error", func() { panic(errors.New(hidden)) }, "identity service unavailable: the exchange panicked with a *errors.errorString"},
		{"runtime error", func() { none.read.Load() }, "identity service unavailable: the exchange panicked: runtime error: invalid memory address or nil pointer dereference"},
		{"Goexit", runtime.Goexit, "identity service unavailable: the exchange ended without a result"},
	} {
		for _, where := range []string{"source", "exchanger", "observer"} {
			t.Run(tc.name+" in the "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &cloud{t: t}
					first := true
					may := func(at string) {
						if at == where && first {
							first = false
							time.Sleep(time.Second)
							tc.panic()
						}
					}
					p := federation.NewProvider(
						sourceFunc(func(ctx context.Context) (federation.Token, error) { may("source"); return c.Token(ctx) }),
						exchangeFunc(func(ctx context.Context, token federation.Token) (federation.Credentials, error) {
							may("exchanger")
							return c.Exchange(ctx, token)
						}),
						&federation.Options{Observe: func(federation.Token, federation.Credentials) { may("observer") }})
					var wg sync.WaitGroup
					for range 5 {
						wg.Go(func() {
							_, err := p.Credentials(t.Context())
							if !errors.Is(err, federation.ErrUnavailable) || err.Error() != tc.want {
								t.Errorf("%v, want %s", err, tc.want)
							}
						})
					}
					wg.Wait()
					if creds, err := p.Credentials(t.Context()); err != nil || !strings.HasPrefix(creds.AccessKeyID, "key-") {
						t.Errorf("the next call: %v, %v", creds, err)
					}
				})
			})
		}
	}
}
