package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

func checkSwapRace(ctx context.Context, f *field) error {
	if f.store.Swap == nil {
		return fmt.Errorf("swap: %w", errNotOffered)
	}
	p := f.plot()
	for range 3 {
		info, err := p.put(ctx, p.vault(), "raced", f.value(10), nil)
		if err != nil {
			return err
		}
		together := probe.Gather(8, 100*time.Millisecond)
		hooks := intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			err := do()
			if c.Op == "get" {
				together() // now that all have read the same revision, only the swap decides
			}
			return err
		}}
		open := func() *vault.Vault { return p.hooked(hooks) }
		if err := p.oneWins(ctx, "raced", 8, 100, &vault.PutOptions{IfRevision: info.Revision}, vault.ErrConflict, open); err != nil {
			return err
		}
	}
	return nil
}

// oneWins puts n values at once, each by a vault of its own. One succeeds and its value stays, the others get
// that they lost.
func (p plot) oneWins(ctx context.Context, name vault.Name, n, size int, o *vault.PutOptions, lost error, open func() *vault.Vault) error {
	values, errs := make([][]byte, n), make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		v := open()
		values[i] = p.value(size)
		wg.Go(func() {
			<-start
			_, errs[i] = p.put(ctx, v, name, values[i], o)
		})
	}
	close(start)
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			return fmt.Errorf("of %d writers at once two were told success", n)
		case err == nil:
			winner = i
		case !errors.Is(err, lost):
			return want(lost, err, "one of %d writers at once", n)
		}
	}
	if winner < 0 {
		return fmt.Errorf("none of %d writers at once was told success: %w", n, errs[0])
	}
	if err := p.holds(ctx, name, values[winner]); err != nil {
		return fmt.Errorf("the winner's value: %w", err)
	}
	return nil
}

// checkFrozenCreators has sixteen vaults create one name in the same microsecond, and
// loses every answer. Only the headers can tell them whose write it was.
func checkFrozenCreators(ctx context.Context, f *field) error {
	if f.deviates("create-detects") {
		return fmt.Errorf("create-only: %w", errNotOffered)
	}
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for round := range 6 {
		size := 100
		if round == 5 {
			size = streamed
		}
		p := f.plot()
		together := probe.Gather(16, 100*time.Millisecond)
		lost := intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op != "create" {
				return do()
			}
			together()
			do()
			return errLost
		}}
		create := &vault.PutOptions{Create: true}
		if err := p.oneWins(ctx, "frozen", 16, size, create, vault.ErrExist, func() *vault.Vault {
			return p.over(intercept.Store(f.store, lost), &vault.Options{Now: func() time.Time { return at }})
		}); err != nil {
			return err
		}
	}
	return nil
}

// checkInterlopers lets another writer write after an operation looked and before its
// own write arrives. What they wrote stays.
func checkInterlopers(ctx context.Context, f *field) error {
	for _, op := range operations {
		lost := op.again
		if lost != vault.ErrExist && lost != vault.ErrConflict || !op.possible(f) {
			continue
		}
		s, err := f.scene(ctx, op)
		if err != nil {
			return err
		}
		theirs := f.value(33)
		var perr error
		cutIn := sync.OnceFunc(func() { _, perr = s.put(ctx, s.vault(), target, theirs, nil) })
		err = op.run(ctx, s, s.hooked(intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			switch c.Op {
			case "put", "create", "swap":
				cutIn()
			}
			return do()
		}}))
		if perr != nil {
			return perr
		}
		if err := want(lost, err, "%s, when another writer writes just before", op.name); err != nil {
			return err
		}
		if err := s.holds(ctx, target, theirs); err != nil {
			return fmt.Errorf("%s, after another writer wrote: %w", op.name, err)
		}
	}
	return nil
}
