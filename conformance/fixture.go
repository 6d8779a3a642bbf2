package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// A vaultCheck checks vaults over the provider's store. It returns a failure, or an error that
// wraps errNotOffered.
type vaultCheck struct {
	name  string
	check func(context.Context, *fixture) error
	// serial marks a long sequential check. -short skips it, because it shows nothing new to
	// the race detector.
	serial bool
}

var vaultChecks = []vaultCheck{
	{name: "round-trip", check: checkRoundTrip},
	{name: "names", check: checkNames},
	{name: "second-client", check: checkSecondClient},
	{name: "history", check: checkHistory},
	{name: "scope", check: checkScope},
	{name: "teardown", check: checkTeardown},
	{name: "swap-race", check: checkSwapRace},
	{name: "rewrap", check: checkRewrap},
	{name: "error-kinds", check: checkErrorKinds},
	{name: "sources", check: checkSources, serial: true},
	{name: "faults", check: checkFaults, serial: true},
	{name: "truncated-bodies", check: checkTruncatedBodies, serial: true},
	{name: "simultaneous-creators", check: checkSimultaneousCreators},
	{name: "competing-writer", check: checkCompetingWriter},
	{name: "applied-later", check: checkAppliedLater, serial: true},
	{name: "mirror-faults", check: checkMirrorFaults, serial: true},
}

// errNotOffered means that the store does not support the feature that a check needs.
var errNotOffered = errors.New("not supported by the store")

// A fixture creates the vaults of one check.
type fixture struct {
	Provider
	store  *vault.Store
	mirror *vault.Store // nil: the vaults have no mirror
	canary string       // part of every value; must not appear in any error or log

	mu          sync.Mutex
	collections []vault.Collection
	errs        []error
	log         bytes.Buffer
}

func newFixture(p Provider, store *vault.Store) *fixture {
	return &fixture{Provider: p, store: store, canary: "sk-canary-" + random() + random()}
}

// keys are public, because the values that the suite stores are not secret.
var keys = []envelope.KeySource{kek.InsecureFixed()}

// A space is an empty collection for one case.
type space struct {
	*fixture
	collection vault.Collection
}

func (f *fixture) newSpace() space {
	p := space{f, vault.Collection("conformance-" + random() + random())}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collections = append(f.collections, p.collection)
	return p
}

// vault returns a new vault, which has seen no revision yet.
func (p space) vault() *vault.Vault { return p.over(p.store, nil) }

// hooked returns a new vault whose requests pass through h.
func (p space) hooked(h intercept.Hooks) *vault.Vault {
	return p.over(intercept.Store(p.store, h), nil)
}

func (p space) over(store *vault.Store, o *vault.Options) *vault.Vault {
	if o == nil {
		o = &vault.Options{}
	}
	o.Collection = p.collection
	o.Log = slog.New(slog.NewTextHandler(locked{&p.fixture.mu, &p.fixture.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if p.mirror != nil && o.Mirror == nil {
		o.Mirror = &vault.Mirror{Vaults: []*vault.Vault{p.alone(p.mirror)}}
	}
	v, err := vault.New(store, p.tenant(), keys, o)
	if err != nil {
		panic(fmt.Sprintf("conformance: %v", err)) // impossible: the suite chooses tenant and collection
	}
	return v
}

// alone returns a vault over one store, without a mirror.
func (p space) alone(store *vault.Store) *vault.Vault {
	p.fixture = &fixture{Provider: p.Provider, store: store}
	return p.over(store, nil)
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// value returns n bytes that differ from every other value. If it is too short for the canary, it is random.
func (f *fixture) value(n int) []byte {
	if n < len(f.canary) {
		return []byte((random() + random() + random() + random())[:n])
	}
	unit := f.canary + random() + random()
	return []byte(strings.Repeat(unit, n/len(unit)+1)[:n])
}

// put calls [vault.Vault.Put]. Like get and delete, it records the error for leaks.
func (f *fixture) put(ctx context.Context, v *vault.Vault, name vault.Name, value []byte, o *vault.PutOptions) (vault.Info, error) {
	info, err := v.Put(ctx, name, bytes.NewReader(value), o)
	return info, f.recordError(err)
}

func (f *fixture) get(ctx context.Context, v *vault.Vault, name vault.Name, o *vault.GetOptions) ([]byte, error) {
	r, err := v.Get(ctx, name, o)
	if err != nil {
		return nil, f.recordError(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r)
	return value, f.recordError(err)
}

func (f *fixture) delete(ctx context.Context, v *vault.Vault, name vault.Name) error {
	return f.recordError(v.Delete(ctx, name, nil))
}

func (f *fixture) recordError(err error) error {
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.errs = append(f.errs, err)
	}
	return err
}

// names lists a collection.
func (f *fixture) names(ctx context.Context, v *vault.Vault, prefix string) (names []string, err error) {
	for e, err := range v.List(ctx, &vault.ListOptions{Prefix: prefix}) {
		if err != nil {
			return nil, f.recordError(err)
		}
		names = append(names, string(e.Name))
	}
	return names, nil
}

// wantValue checks with a new vault that name has the value want. Nil means that name must
// not exist.
func (p space) wantValue(ctx context.Context, name vault.Name, want []byte) error {
	got, err := p.get(ctx, p.vault(), name, nil)
	switch {
	case want == nil && errors.Is(err, vault.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("want %s, got the error: %w", describe(want), err)
	case want == nil:
		return fmt.Errorf("want no value, got %s", describe(got))
	case !bytes.Equal(got, want):
		return fmt.Errorf("want %s, got a different value, %s", describe(want), describe(got))
	}
	return nil
}

// describe describes a value without revealing it.
func describe(value []byte) string {
	if value == nil {
		return "no value"
	}
	return fmt.Sprintf("a value of %d bytes", len(value))
}

// clean deletes the objects of the check, and then looks for secrets in its errors and logs.
func (f *fixture) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probe.CleanupTime)
	defer cancel()
	var errs []error
	for _, c := range f.collections {
		_, err := space{f, c}.vault().Teardown(ctx, &vault.TeardownOptions{Purge: f.store.Purge != nil})
		errs = append(errs, f.recordError(err))
	}
	return errors.Join(append(errs, f.leaks())...)
}

// leaks looks for values and credentials in errors and logs.
func (f *fixture) leaks() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, secret := range append([]string{f.canary}, f.Secrets...) {
		what := fmt.Sprintf("secret %d of the provider", i)
		if i == 0 {
			what = "a value"
		}
		if strings.Contains(f.log.String(), secret) {
			return fmt.Errorf("the log contains %s", what)
		}
		for _, err := range f.errs {
			if text := fmt.Sprintf("%v\n%+v", err, err); strings.Contains(text, secret) {
				return fmt.Errorf("an error contains %s: %s", what, strings.ReplaceAll(text, secret, "[secret]"))
			}
		}
	}
	return nil
}
