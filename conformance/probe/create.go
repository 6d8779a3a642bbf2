package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/objectvault/objectvault/vault"
)

func checkCreate(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	for _, size := range []int64{0, 1, 1000, 1 << 20} {
		if err := t.createsOnce(ctx, other, size); err != nil {
			return err
		}
	}
	// The existing object need not have been created.
	key, old := t.key("put"), newValue(10)
	if err := t.put(ctx, t.Store, key, old.fill); err != nil {
		return t.works(t.Store, err, "a write")
	}
	_, err = t.create(ctx, t.Store, key, newValue(10).fill)
	if err := t.fails(t.Store, err, vault.ErrExist, "a create where something was put"); err != nil {
		return err
	}
	return t.holds(ctx, t.Store, key, &old, "after a create where something was put")
}

// createsOnce creates an object and tries it again, with both clients.
func (t *trial) createsOnce(ctx context.Context, other *vault.Store, size int64) error {
	key, v := t.key(fmt.Sprint("size-", size)), newValue(size)
	id, err := t.create(ctx, t.Store, key, v.fill)
	if err != nil {
		return t.works(t.Store, err, "a create of %d bytes", size)
	}
	if err := t.createdVersion(ctx, key, id, v); err != nil {
		return err
	}
	for _, st := range []*vault.Store{t.Store, other} {
		_, err := t.create(ctx, st, key, newValue(size+1).fill)
		if err := t.fails(st, err, vault.ErrExist, "a create of %d bytes where an object is", size+1); err != nil {
			return err
		}
		if err := t.holds(ctx, st, key, &v, fmt.Sprintf("after a refused create of %d bytes", size+1)); err != nil {
			return err
		}
	}
	return nil
}

// createdVersion checks the id that a create returned.
func (t *trial) createdVersion(ctx context.Context, key, id string, v value) error {
	if t.Store.History == nil || t.Store.Create == nil {
		return nil
	}
	all, err := t.versions(ctx, t.Store, key)
	if err != nil {
		return t.works(t.Store, err, "reading the history")
	}
	if len(all) == 0 || all[0].ID != id || !all[0].Current {
		return broken("a create returned the version id %q, its history is %+v", id, all)
	}
	return t.versionHolds(ctx, key, id, v, 0, -1)
}

func checkCreateAfterDelete(ctx context.Context, t *trial) error {
	key := t.key("again")
	for round := range 3 {
		v := newValue(100)
		id, err := t.create(ctx, t.Store, key, v.fill)
		if err != nil {
			return t.works(t.Store, err, "create %d of a key that was deleted as often", round)
		}
		if err := t.createdVersion(ctx, key, id, v); err != nil {
			return err
		}
		if err := t.holds(ctx, t.Store, key, &v, "after a create where something was deleted"); err != nil {
			return err
		}
		_, err = t.create(ctx, t.Store, key, newValue(100).fill)
		if err := t.fails(t.Store, err, vault.ErrExist, "a second create"); err != nil {
			return err
		}
		if err := t.drop(ctx, t.Store, key); err != nil {
			return t.works(t.Store, err, "a delete")
		}
	}
	return nil
}

func checkCreateLarge(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	if err := t.createsOnce(ctx, other, t.large()); err != nil {
		return err
	}
	// Small over large and large over small: which way a server takes depends on size.
	key, small := t.key("small"), newValue(10)
	if _, err := t.create(ctx, t.Store, key, small.fill); err != nil {
		return t.works(t.Store, err, "a create")
	}
	_, err = t.create(ctx, t.Store, key, newValue(t.large()).fill)
	if err := t.fails(t.Store, err, vault.ErrExist, "a create of %d bytes where a small object is", t.large()); err != nil {
		return err
	}
	if err := t.holds(ctx, t.Store, key, &small, "after a refused create"); err != nil {
		return err
	}
	return t.raceCreates(ctx, 3, t.large(), false)
}

func checkCreateDetects(ctx context.Context, t *trial) error {
	for range 4 {
		if err := t.raceCreates(ctx, 16, 100, false); err != nil {
			return err
		}
	}
	return nil
}

func checkCreateAtomic(ctx context.Context, t *trial) error {
	for range 8 {
		if err := t.raceCreates(ctx, 16, 100, true); err != nil {
			return err
		}
	}
	return nil
}

// raceCreates has n creators on one key at once, half of them on another client.
// Exactly one succeeds, the others get an error that the object exists; the winner's value
// stays. When watched, no reader ever sees another one.
func (t *trial) raceCreates(ctx context.Context, n int, size int64, watched bool) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	stores := []*vault.Store{t.Store, other}
	key := t.key("race-" + random())
	values := make([]value, n)
	for i := range values {
		values[i] = newValue(size)
	}
	var watch *watcher
	if watched {
		watch = t.watch(ctx, other, key, values)
	}
	together := Gather(n, 20*time.Millisecond)
	errs := race(n, func(i int) error {
		_, err := t.create(ctx, stores[i%2], key, func(w io.Writer) error {
			err := values[i].fill(w)
			together()
			return err
		})
		return err
	})
	winner, err := t.oneWinner(stores, errs, vault.ErrExist, "creators")
	if watched {
		err = errors.Join(err, watch.stop(winner))
	}
	if err != nil {
		return err
	}
	for _, st := range stores {
		if err := t.holds(ctx, st, key, &values[winner], "the winner's value after a race of creators"); err != nil {
			return err
		}
	}
	return nil
}

// Gather returns a function that each of n goroutines calls: it waits up to d for the others,
// so that they go on together. It waits no longer because a store may take its writers one by
// one.
func Gather(n int, d time.Duration) func() {
	var here atomic.Int32
	all := make(chan struct{})
	return func() {
		if here.Add(1) == int32(n) {
			close(all)
		}
		select {
		case <-all:
		case <-time.After(d):
		}
	}
}

// oneWinner judges the answers of a race.
func (t *trial) oneWinner(stores []*vault.Store, errs []error, lost error, who string) (winner int, err error) {
	winner, wins := -1, 0
	var unclear error
	for i, err := range errs {
		st := stores[i%len(stores)]
		switch {
		case err == nil:
			winner = i
			wins++
		case unclear == nil && t.kind(st, err) != lost:
			unclear = t.works(st, err, "one of %d %s at once", len(errs), who)
		}
	}
	switch {
	case wins > 1:
		return winner, broken("%d of %d %s at once were told success, want 1", wins, len(errs), who)
	case wins == 0 && unclear != nil:
		return winner, unclear
	case wins == 0:
		return winner, broken("none of %d %s at once was told success", len(errs), who)
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		if err := t.fails(stores[i%len(stores)], err, lost, "one of %d %s at once that did not win", len(errs), who); err != nil {
			return winner, err
		}
	}
	return winner, nil
}

// A watcher reads a key all the time and notes whose values it saw.
type watcher struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	seen   map[int]bool
	absent bool // was absent after it had been present
}

func (t *trial) watch(ctx context.Context, st *vault.Store, key string, values []value) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{cancel: cancel, seen: make(map[int]bool)}
	w.done.Go(func() {
		for ctx.Err() == nil {
			r, err := st.Bucket.NewRangeReader(ctx, key, 0, -1, nil)
			if err != nil {
				w.absent = w.absent || len(w.seen) > 0 && t.kind(st, err) == vault.ErrNotFound
				continue
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				continue
			}
			whose := -1
			for i, v := range values {
				if want := make([]byte, v.size); int64(len(got)) == v.size {
					v.ReadAt(want, 0)
					if string(want) == string(got) {
						whose = i
					}
				}
			}
			w.seen[whose] = true
		}
	})
	return w
}

// stop ends the watching and judges what was seen.
func (w *watcher) stop(winner int) error {
	w.cancel()
	w.done.Wait()
	if w.absent {
		return broken("during a race of creators a reader saw a value, and then none")
	}
	for whose := range w.seen {
		if whose < 0 {
			return broken("during a race of creators a reader saw a value that no writer wrote completely")
		}
		if whose != winner {
			return broken("during a race of creators a reader saw the value of one that lost")
		}
	}
	return nil
}
