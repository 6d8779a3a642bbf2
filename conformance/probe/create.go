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

func checkCreate(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	for _, size := range []int64{0, 1, 1000, 1 << 20} {
		if err := t.wantCreateOnce(ctx, other, size); err != nil {
			return err
		}
	}
	// An object that was stored with a plain put must also be protected.
	key, old := t.key("put"), newValue(10)
	if err := t.put(ctx, t.Store, key, old.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write")
	}
	_, err = t.create(ctx, t.Store, key, newValue(10).fill)
	if err := t.wantError(t.Store, err, vault.ErrExist, "a create for the key of an object stored with put"); err != nil {
		return err
	}
	return t.wantObject(ctx, t.Store, key, &old, "after a create for the key of an object stored with put")
}

// wantCreateOnce creates an object, and checks that both clients fail to create it again.
func (t *probeRun) wantCreateOnce(ctx context.Context, other *vault.Store, size int64) error {
	key, v := t.key(fmt.Sprint("size-", size)), newValue(size)
	id, err := t.create(ctx, t.Store, key, v.fill)
	if err != nil {
		return t.wantSuccess(t.Store, err, "a create of %d bytes", size)
	}
	if err := t.wantCreatedVersion(ctx, key, id, v); err != nil {
		return err
	}
	for _, st := range []*vault.Store{t.Store, other} {
		_, err := t.create(ctx, st, key, newValue(size+1).fill)
		if err := t.wantError(st, err, vault.ErrExist, "a create of %d bytes for an existing key", size+1); err != nil {
			return err
		}
		if err := t.wantObject(ctx, st, key, &v, fmt.Sprintf("after a refused create of %d bytes", size+1)); err != nil {
			return err
		}
	}
	return nil
}

// wantCreatedVersion checks the version ID that a create returned.
func (t *probeRun) wantCreatedVersion(ctx context.Context, key, id string, v value) error {
	if t.Store.History == nil || t.Store.Create == nil {
		return nil
	}
	all, err := t.versions(ctx, t.Store, key)
	if err != nil {
		return t.wantSuccess(t.Store, err, "reading the history")
	}
	if len(all) == 0 || all[0].ID != id || !all[0].Current {
		return violation("a create returned the version ID %q, but the history of the key is %+v", id, all)
	}
	return t.wantVersion(ctx, key, id, v, 0, -1)
}

func checkCreateAfterDelete(ctx context.Context, t *probeRun) error {
	key := t.key("again")
	for round := range 3 {
		v := newValue(100)
		id, err := t.create(ctx, t.Store, key, v.fill)
		if err != nil {
			return t.wantSuccess(t.Store, err, "create %d of a key that was deleted after each create", round+1)
		}
		if err := t.wantCreatedVersion(ctx, key, id, v); err != nil {
			return err
		}
		if err := t.wantObject(ctx, t.Store, key, &v, "after a create for a deleted key"); err != nil {
			return err
		}
		_, err = t.create(ctx, t.Store, key, newValue(100).fill)
		if err := t.wantError(t.Store, err, vault.ErrExist, "a second create"); err != nil {
			return err
		}
		if err := t.deleteKey(ctx, t.Store, key); err != nil {
			return t.wantSuccess(t.Store, err, "a delete")
		}
	}
	return nil
}

func checkCreateLarge(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	if err := t.wantCreateOnce(ctx, other, t.large()); err != nil {
		return err
	}
	// Also create a large object over a small one, because a server may handle small and large
	// writes differently.
	key, small := t.key("small"), newValue(10)
	if _, err := t.create(ctx, t.Store, key, small.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a create")
	}
	_, err = t.create(ctx, t.Store, key, newValue(t.large()).fill)
	if err := t.wantError(t.Store, err, vault.ErrExist, "a create of %d bytes for the key of a small object", t.large()); err != nil {
		return err
	}
	if err := t.wantObject(ctx, t.Store, key, &small, "after a refused create"); err != nil {
		return err
	}
	return t.raceCreates(ctx, 3, t.large(), false)
}

func checkCreateDetects(ctx context.Context, t *probeRun) error {
	for range 4 {
		if err := t.raceCreates(ctx, 16, 100, false); err != nil {
			return err
		}
	}
	return nil
}

func checkCreateAtomic(ctx context.Context, t *probeRun) error {
	for range 8 {
		if err := t.raceCreates(ctx, 16, 100, true); err != nil {
			return err
		}
	}
	return nil
}

// raceCreates starts n concurrent creates of one key, half of them with another client.
// Exactly one must succeed, and its value must stay. The others must fail because the object
// exists. If watched is set, no reader may ever see another value.
func (t *probeRun) raceCreates(ctx context.Context, n int, size int64, watched bool) error {
	other, err := t.secondClient(ctx)
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
			fill := values[i].fill
			if i%2 == 1 {
				fill = values[i].fillParts
			}
			err := fill(w)
			together()
			return err
		})
		return err
	})
	winner, err := t.wantOneWinner(stores, errs, vault.ErrExist, "creates")
	if watched {
		err = errors.Join(err, watch.stop(winner))
	}
	if err != nil {
		return err
	}
	for _, st := range stores {
		if err := t.wantObject(ctx, st, key, &values[winner], "the value of the successful create after concurrent creates"); err != nil {
			return err
		}
	}
	return nil
}

// Gather returns a function for n goroutines. Each goroutine calls it to wait for the others, so
// that they continue together. The function waits at most d: if a store processes its writers one
// at a time, the other goroutines can only call it after the first one has continued.
func Gather(n int, d time.Duration) func() {
	var arrived atomic.Int32
	all := make(chan struct{})
	return func() {
		if arrived.Add(1) == int32(n) {
			close(all)
		}
		select {
		case <-all:
		case <-time.After(d):
		}
	}
}

// wantOneWinner checks that exactly one call of a race succeeded, and that the others failed
// with the error lost. It returns the index of the successful call.
func (t *probeRun) wantOneWinner(stores []*vault.Store, errs []error, lost error, calls string) (winner int, err error) {
	winner, wins := -1, 0
	var unclear error
	for i, err := range errs {
		st := stores[i%len(stores)]
		switch {
		case err == nil:
			winner = i
			wins++
		case unclear == nil && t.kind(st, err) != lost:
			unclear = t.wantSuccess(st, err, "one of %d concurrent %s", len(errs), calls)
		}
	}
	switch {
	case wins > 1:
		return winner, violation("%d of %d concurrent %s succeeded, want 1", wins, len(errs), calls)
	case wins == 0 && unclear != nil:
		return winner, unclear
	case wins == 0:
		return winner, violation("none of %d concurrent %s succeeded", len(errs), calls)
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		if err := t.wantError(stores[i%len(stores)], err, lost, "one of %d concurrent %s, after another succeeded", len(errs), calls); err != nil {
			return winner, err
		}
	}
	return winner, nil
}

// A watcher reads a key repeatedly and records which values it saw.
type watcher struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	seen   map[int]bool // by index of the writer; -1 for any other value
	absent bool         // the object was missing after a value had been seen
}

func (t *probeRun) watch(ctx context.Context, st *vault.Store, key string, values []value) *watcher {
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
			writer := -1
			for i, v := range values {
				if want := make([]byte, v.size); int64(len(got)) == v.size {
					v.ReadAt(want, 0)
					if string(want) == string(got) {
						writer = i
					}
				}
			}
			w.seen[writer] = true
		}
	})
	return w
}

// stop stops the watcher and checks that it saw only the value of the winner.
func (w *watcher) stop(winner int) error {
	w.cancel()
	w.done.Wait()
	if w.absent {
		return violation("during concurrent creates a reader saw a value, and then the object was missing")
	}
	for writer := range w.seen {
		if writer < 0 {
			return violation("during concurrent creates a reader saw a value that is not the complete value of any create")
		}
		if writer != winner {
			return violation("during concurrent creates a reader saw the value of a create that failed")
		}
	}
	return nil
}
