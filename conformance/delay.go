package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/vault"
)

// The fault "applied later": a request gets no response, and the server applies it after the
// client gave up. A proxy that delays the request can cause this. It is tested on every kind
// of write.

// A delayedStore delays writes and deletes. A delayed request fails with errLost, and is sent
// when the test calls deliver.
type delayedStore struct {
	store *vault.Store
	most  int  // how many requests to delay
	early bool // deliver the delayed requests before the next request

	mu      sync.Mutex
	n       int
	delayed []func() error
}

// delayWrites returns a copy of store whose writes and deletes pass through a delayedStore. The
// first requests are delayed, at most the given number.
func delayWrites(store *vault.Store, most int, early bool) (*vault.Store, *delayedStore) {
	w := &delayedStore{store: store, most: most, early: early}
	s := *store
	s.Put = w
	if store.Create != nil {
		s.Create = w
	}
	s.QuickCreate = nil // Create is delayed in its place
	if store.Swap != nil {
		s.Swap = w
	}
	if store.Remover != nil {
		s.Remover = w
	}
	return &s, w
}

// request sends a request, or delays it.
func (w *delayedStore) request(send func() error) error {
	w.mu.Lock()
	w.n++
	delay := w.n <= w.most
	if delay {
		w.delayed = append(w.delayed, send)
	}
	w.mu.Unlock()
	switch {
	case delay:
		return errLost
	case w.early:
		if err := w.deliver(); err != nil {
			return err
		}
	}
	return send()
}

// deliver sends the delayed requests in order. The store may refuse a request because its
// condition is not met, or because the store does not support conditions.
func (w *delayedStore) deliver() error {
	w.mu.Lock()
	delayed := w.delayed
	w.delayed = nil
	w.mu.Unlock()
	for _, send := range delayed {
		err := send()
		if err != nil && !errors.Is(err, vault.ErrExist) && !errors.Is(err, vault.ErrConflict) && !errors.Is(err, vault.ErrNotFound) && !errors.Is(err, vault.ErrUnsupported) {
			return fmt.Errorf("a delayed request: %w", err)
		}
	}
	return nil
}

// write makes a request with a body. It reads the body immediately.
func (w *delayedStore) write(fill func(io.Writer) error, send func(fill func(io.Writer) error) error) error {
	var body bytes.Buffer
	if err := fill(&body); err != nil {
		return err
	}
	return w.request(func() error {
		return send(func(to io.Writer) error { _, err := to.Write(body.Bytes()); return err })
	})
}

func (w *delayedStore) Put(ctx context.Context, key string, fill func(io.Writer) error) (id string, err error) {
	err = w.write(fill, func(fill func(io.Writer) error) (err error) {
		ctx := context.WithoutCancel(ctx)
		if w.store.Put != nil {
			id, err = w.store.Put.Put(ctx, key, fill)
			return err
		}
		to, err := w.store.Bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
		if err != nil {
			return err
		}
		return errors.Join(fill(to), to.Close()) // fill writes from memory
	})
	return id, err
}

func (w *delayedStore) Create(ctx context.Context, key string, fill func(io.Writer) error) (id string, err error) {
	err = w.write(fill, func(fill func(io.Writer) error) (err error) {
		id, err = w.store.Create.Create(context.WithoutCancel(ctx), key, fill)
		return err
	})
	return id, err
}

func (w *delayedStore) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	err = w.write(fill, func(fill func(io.Writer) error) (err error) {
		newTag, err = w.store.Swap.Swap(context.WithoutCancel(ctx), key, tag, fill)
		return err
	})
	return newTag, err
}

func (w *delayedStore) Remove(ctx context.Context, keys []string) (failed map[string]error, err error) {
	err = w.request(func() (err error) {
		failed, err = w.store.Remover.Remove(context.WithoutCancel(ctx), keys)
		return err
	})
	return failed, err
}

// checkAppliedLater delays the requests of every operation that writes.
func checkAppliedLater(ctx context.Context, f *fixture) error {
	var all failures
	for _, op := range operations {
		if op.after == sameValue || op.partial || !op.applies(f) || op.name == "delete" && f.store.Remover == nil {
			continue
		}
		all.add(f.firstAppliedLater(ctx, op, true), "%s, with the first request applied just before the second", op.name)
		all.add(f.firstAppliedLater(ctx, op, false), "%s, with the first request applied last", op.name)
		all.add(f.allAppliedLater(ctx, op), "%s, with all requests applied later", op.name)
		if op.secondError == vault.ErrExist || op.secondError == vault.ErrConflict {
			all.add(f.appliedAfterAnother(ctx, op), "%s, with all requests applied after another writer's", op.name)
		}
	}
	all.add(f.appliedAfterNextPut(ctx), "a put that is applied after the next put")
	return all.err()
}

// firstAppliedLater delays the first request. The store may then refuse the second request, because
// the vault's own first request was applied.
func (f *fixture) firstAppliedLater(ctx context.Context, op operation, early bool) error {
	s, err := f.setUp(ctx, op)
	if err != nil {
		return err
	}
	store, late := delayWrites(f.store, 1, early)
	err = op.run(ctx, s, s.over(store, nil))
	switch {
	case op.retried && err != nil:
		return fmt.Errorf("another attempt would have succeeded: %w", err)
	case err != nil && !errors.Is(err, vault.ErrUnsure):
		return wantError(vault.ErrUnsure, err, "the write")
	}
	if err := late.deliver(); err != nil {
		return err
	}
	return s.wantValue(ctx, target, s.after)
}

// allAppliedLater delays every request. The vault must not report failure when it finds nothing
// stored, because a request may still be applied later.
func (f *fixture) allAppliedLater(ctx context.Context, op operation) error {
	s, err := f.setUp(ctx, op)
	if err != nil {
		return err
	}
	store, late := delayWrites(f.store, permanently, false)
	if err := op.run(ctx, s, s.over(store, nil)); !errors.Is(err, vault.ErrUnsure) {
		return wantError(vault.ErrUnsure, err, "the write")
	}
	if err := s.wantValue(ctx, target, s.before); err != nil {
		return fmt.Errorf("before the delayed requests: %w", err)
	}
	if err := late.deliver(); err != nil {
		return err
	}
	return s.wantValue(ctx, target, s.after)
}

// appliedAfterAnother lets another writer write before the delayed requests are sent. The store must
// refuse them, because their condition is no longer met.
func (f *fixture) appliedAfterAnother(ctx context.Context, op operation) error {
	s, err := f.setUp(ctx, op)
	if err != nil {
		return err
	}
	store, late := delayWrites(f.store, permanently, false)
	if err := op.run(ctx, s, s.over(store, nil)); !errors.Is(err, vault.ErrUnsure) {
		return wantError(vault.ErrUnsure, err, "the write")
	}
	otherValue := f.value(33)
	if _, err := s.put(ctx, s.vault(), target, otherValue, nil); err != nil {
		return err
	}
	if err := late.deliver(); err != nil {
		return err
	}
	return s.wantValue(ctx, target, otherValue)
}

// appliedAfterNextPut puts twice with one vault. The first attempt of the first put is applied last. The
// store cannot refuse it, but the vault must report the rollback, because it has seen the
// revision of the second put.
func (f *fixture) appliedAfterNextPut(ctx context.Context) error {
	p := f.newSpace()
	store, late := delayWrites(f.store, 1, false)
	v := p.over(store, nil)
	first, second := f.value(20), f.value(30)
	if _, err := p.put(ctx, v, target, first, nil); err != nil {
		return err
	}
	if _, err := p.put(ctx, v, target, second, nil); err != nil {
		return err
	}
	if err := late.deliver(); err != nil {
		return err
	}
	if err := p.wantValue(ctx, target, first); err != nil {
		return err
	}
	got, err := p.get(ctx, v, target, nil)
	if f.mirror != nil { // the mirror has the value of the last put
		if err == nil && !bytes.Equal(got, second) {
			err = errors.New("get returned a value that is older than the last put")
		}
		return err
	}
	return wantError(vault.ErrRollback, err, "reading a value that is older than the last put")
}
