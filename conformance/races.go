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

func checkSwapRace(ctx context.Context, f *fixture) error {
	if f.store.Swap == nil {
		return fmt.Errorf("swap: %w", errNotOffered)
	}
	p := f.newSpace()
	for range 3 {
		info, err := p.put(ctx, p.vault(), "raced", f.value(10), nil)
		if err != nil {
			return err
		}
		together := probe.Gather(8, 100*time.Millisecond)
		hooks := intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			err := do()
			if c.Op == "get" {
				together() // all writers have now read the same revision, so only the swap decides
			}
			return err
		}}
		open := func() *vault.Vault { return p.hooked(hooks) }
		if err := p.wantOneWinner(ctx, "raced", 8, 100, &vault.PutOptions{IfRevision: info.Revision}, vault.ErrConflict, open); err != nil {
			return err
		}
	}
	return nil
}

// wantOneWinner puts n values concurrently, each with its own vault. Exactly one put must
// succeed, and its value must stay. The others must fail with the error lost.
func (p space) wantOneWinner(ctx context.Context, name vault.Name, n, size int, o *vault.PutOptions, lost error, open func() *vault.Vault) error {
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
			return fmt.Errorf("two of %d concurrent writers succeeded", n)
		case err == nil:
			winner = i
		case !errors.Is(err, lost):
			return wantError(lost, err, "one of %d concurrent writers", n)
		}
	}
	if winner < 0 {
		return fmt.Errorf("none of %d concurrent writers succeeded: %w", n, errs[0])
	}
	if err := p.wantValue(ctx, name, values[winner]); err != nil {
		return fmt.Errorf("the winner's value: %w", err)
	}
	return nil
}

// checkSimultaneousCreators lets sixteen vaults create one name in the same microsecond, and loses
// every response. Each vault must find out from the header of the object whose write succeeded.
func checkSimultaneousCreators(ctx context.Context, f *fixture) error {
	if f.deviates("create-detects") {
		return fmt.Errorf("create-only: %w", errNotOffered)
	}
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for round := range 6 {
		size := 100
		if round == 5 {
			size = streamed
		}
		p := f.newSpace()
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
		if err := p.wantOneWinner(ctx, "created", 16, size, create, vault.ErrExist, func() *vault.Vault {
			return p.over(intercept.Store(f.store, lost), &vault.Options{Now: func() time.Time { return at }})
		}); err != nil {
			return err
		}
	}
	return nil
}

// checkCompetingWriter lets another writer write between the read and the write of an operation.
// The value of the other writer must stay.
func checkCompetingWriter(ctx context.Context, f *fixture) error {
	for _, op := range operations {
		lost := op.secondError
		if lost != vault.ErrExist && lost != vault.ErrConflict || !op.applies(f) {
			continue
		}
		s, err := f.setUp(ctx, op)
		if err != nil {
			return err
		}
		otherValue := f.value(33)
		var otherErr error
		writeOnce := sync.OnceFunc(func() { _, otherErr = s.put(ctx, s.vault(), target, otherValue, nil) })
		err = op.run(ctx, s, s.hooked(intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			switch c.Op {
			case "put", "create", "swap":
				writeOnce()
			}
			return do()
		}}))
		if otherErr != nil {
			return otherErr
		}
		if err := wantError(lost, err, "%s, after another writer wrote", op.name); err != nil {
			return err
		}
		if err := s.wantValue(ctx, target, otherValue); err != nil {
			return fmt.Errorf("the value of another writer, after %s: %w", op.name, err)
		}
	}
	return nil
}
