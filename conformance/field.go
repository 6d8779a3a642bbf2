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

// A vaultCheck judges vaults over the provider's store. It returns what is wrong, or
// an error wrapping errNotOffered.
type vaultCheck struct {
	name  string
	check func(context.Context, *field) error
	// serial says that it does many things, one after the other: -short leaves it out, which
	// is for the race detector.
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
	{name: "kinds", check: checkKinds},
	{name: "sources", check: checkSources, serial: true},
	{name: "faults", check: checkFaults, serial: true},
	{name: "cut-bodies", check: checkCutBodies, serial: true},
	{name: "frozen-creators", check: checkFrozenCreators},
	{name: "interlopers", check: checkInterlopers},
	{name: "applied-later", check: checkAppliedLater, serial: true},
}

// errNotOffered means that the store has none of what a check is about.
var errNotOffered = errors.New("the store does not offer it")

// A field is where one check makes its vaults.
type field struct {
	Provider
	store  *vault.Store
	canary string // is in every value, and must be in no error and no log

	mu          sync.Mutex
	collections []vault.Collection
	errs        []error
	log         bytes.Buffer
}

func newField(p Provider, store *vault.Store) *field {
	return &field{Provider: p, store: store, canary: "sk-canary-" + random() + random()}
}

// keys is public: what the suite stores is not secret.
var keys = []envelope.KeySource{kek.InsecureFixed()}

// A plot is a collection of its own.
type plot struct {
	*field
	collection vault.Collection
}

func (f *field) plot() plot {
	p := plot{f, vault.Collection("conformance-" + random())}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collections = append(f.collections, p.collection)
	return p
}

// vault returns a fresh one, which knows nothing of what others did.
func (p plot) vault() *vault.Vault { return p.over(p.store, nil) }

// hooked returns a fresh vault whose requests meet h.
func (p plot) hooked(h intercept.Hooks) *vault.Vault { return p.over(intercept.Store(p.store, h), nil) }

func (p plot) over(store *vault.Store, o *vault.Options) *vault.Vault {
	if o == nil {
		o = &vault.Options{}
	}
	o.Collection = p.collection
	o.Log = slog.New(slog.NewTextHandler(locked{&p.field.mu, &p.field.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	v, err := vault.New(store, p.tenant(), keys, o)
	if err != nil {
		panic(fmt.Sprintf("conformance: %v", err)) // tenant and collection are ours
	}
	return v
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

// value returns n bytes that no other value has.
func (f *field) value(n int) []byte {
	unit := f.canary + random() + random()
	return []byte(strings.Repeat(unit, n/len(unit)+1)[:n])
}

// put, get and delete keep their errors for leaks.
func (f *field) put(ctx context.Context, v *vault.Vault, name vault.Name, value []byte, o *vault.PutOptions) (vault.Info, error) {
	info, err := v.Put(ctx, name, bytes.NewReader(value), o)
	return info, f.saw(err)
}

func (f *field) get(ctx context.Context, v *vault.Vault, name vault.Name, o *vault.GetOptions) ([]byte, error) {
	r, err := v.Get(ctx, name, o)
	if err != nil {
		return nil, f.saw(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r)
	return value, f.saw(err)
}

func (f *field) delete(ctx context.Context, v *vault.Vault, name vault.Name) error {
	return f.saw(v.Delete(ctx, name, nil))
}

func (f *field) saw(err error) error {
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.errs = append(f.errs, err)
	}
	return err
}

// names lists a collection, foreign keys included.
func (f *field) names(ctx context.Context, v *vault.Vault, prefix string) (names []string, err error) {
	for e, err := range v.List(ctx, prefix) {
		if err != nil {
			return nil, f.saw(err)
		}
		names = append(names, string(e.Name))
	}
	return names, nil
}

// holds checks that name has the value want, nil meaning that there is none, for a
// fresh vault.
func (p plot) holds(ctx context.Context, name vault.Name, want []byte) error {
	got, err := p.get(ctx, p.vault(), name, nil)
	switch {
	case want == nil && errors.Is(err, vault.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("want %s: %w", about(want), err)
	case want == nil:
		return fmt.Errorf("want none, there is %s", about(got))
	case !bytes.Equal(got, want):
		return fmt.Errorf("want %s, there is another, %s", about(want), about(got))
	}
	return nil
}

// about describes a value without showing it.
func about(value []byte) string {
	if value == nil {
		return "no value"
	}
	return fmt.Sprintf("a value of %d bytes", len(value))
}

// clean removes what the check wrote, and looks for secrets in all that was said.
func (f *field) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probe.CleanupTime)
	defer cancel()
	var errs []error
	for _, c := range f.collections {
		_, err := plot{f, c}.vault().Teardown(ctx, &vault.TeardownOptions{Purge: f.store.Purge != nil})
		errs = append(errs, f.saw(err))
	}
	return errors.Join(append(errs, f.leaks())...)
}

// leaks looks for values and credentials in errors and logs.
func (f *field) leaks() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, secret := range append([]string{f.canary}, f.Secrets...) {
		what := fmt.Sprintf("secret %d of the provider", i)
		if i == 0 {
			what = "a value"
		}
		if strings.Contains(f.log.String(), secret) {
			return fmt.Errorf("the log holds %s", what)
		}
		for _, err := range f.errs {
			if text := fmt.Sprintf("%v\n%+v", err, err); strings.Contains(text, secret) {
				return fmt.Errorf("an error holds %s: %s", what, strings.ReplaceAll(text, secret, "[secret]"))
			}
		}
	}
	return nil
}
