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

// The fault "applied later": a request gets no response and is applied after the client has
// given up, as when it waited in a proxy. It is played on every kind of write.

// A withheld store keeps requests that change something back, and sends them when the test asks
// to. A kept request fails with errLost.
type withheld struct {
	store *vault.Store
	most  int  // how many requests to keep back
	early bool // what was kept back is made just before the next request, and else on arrive

	mu   sync.Mutex
	n    int
	kept []func() error
}

// withhold returns store with its writes and deletions going through a withheld store, which
// keeps the first of them back.
func withhold(store *vault.Store, most int, early bool) (*vault.Store, *withheld) {
	w := &withheld{store: store, most: most, early: early}
	s := *store
	s.Put = w
	if store.Create != nil {
		s.Create = w
	}
	if store.Swap != nil {
		s.Swap = w
	}
	if store.Remover != nil {
		s.Remover = w
	}
	return &s, w
}

// request makes a request, or keeps it back.
func (w *withheld) request(send func() error) error {
	w.mu.Lock()
	w.n++
	keep := w.n <= w.most
	if keep {
		w.kept = append(w.kept, send)
	}
	w.mu.Unlock()
	switch {
	case keep:
		return errLost
	case w.early:
		if err := w.arrive(); err != nil {
			return err
		}
	}
	return send()
}

// arrive makes the requests that were kept back, in their order. A condition may refuse them,
// and so may a store that has no conditions.
func (w *withheld) arrive() error {
	w.mu.Lock()
	kept := w.kept
	w.kept = nil
	w.mu.Unlock()
	for _, send := range kept {
		err := send()
		if err != nil && !errors.Is(err, vault.ErrExist) && !errors.Is(err, vault.ErrConflict) && !errors.Is(err, vault.ErrNotFound) && !errors.Is(err, vault.ErrUnsupported) {
			return fmt.Errorf("a request that arrives late: %w", err)
		}
	}
	return nil
}

// write is a request with a body, which is read now.
func (w *withheld) write(fill func(io.Writer) error, send func(fill func(io.Writer) error) error) error {
	var body bytes.Buffer
	if err := fill(&body); err != nil {
		return err
	}
	return w.request(func() error {
		return send(func(to io.Writer) error { _, err := to.Write(body.Bytes()); return err })
	})
}

func (w *withheld) Put(ctx context.Context, key string, fill func(io.Writer) error) (id string, err error) {
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

func (w *withheld) Create(ctx context.Context, key string, fill func(io.Writer) error) (id string, err error) {
	err = w.write(fill, func(fill func(io.Writer) error) (err error) {
		id, err = w.store.Create.Create(context.WithoutCancel(ctx), key, fill)
		return err
	})
	return id, err
}

func (w *withheld) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	err = w.write(fill, func(fill func(io.Writer) error) (err error) {
		newTag, err = w.store.Swap.Swap(context.WithoutCancel(ctx), key, tag, fill)
		return err
	})
	return newTag, err
}

func (w *withheld) Remove(ctx context.Context, keys []string) (failed map[string]error, err error) {
	err = w.request(func() (err error) {
		failed, err = w.store.Remover.Remove(context.WithoutCancel(ctx), keys)
		return err
	})
	return failed, err
}

// checkAppliedLater keeps requests of every operation that writes back.
func checkAppliedLater(ctx context.Context, f *field) error {
	var all failures
	for _, op := range operations {
		if op.after == same || op.partial || !op.possible(f) || op.name == "delete" && f.store.Remover == nil {
			continue
		}
		all.add(f.firstLater(ctx, op, true), "%s, whose first request arrives just before the second", op.name)
		all.add(f.firstLater(ctx, op, false), "%s, whose first request arrives last", op.name)
		all.add(f.allLater(ctx, op), "%s, whose requests all arrive later", op.name)
		if op.again == vault.ErrExist || op.again == vault.ErrConflict {
			all.add(f.afterAnother(ctx, op), "%s, whose requests all arrive after another writer's", op.name)
		}
	}
	all.add(f.overtaken(ctx), "a put that arrives after the next one")
	return all.err()
}

// firstLater keeps the first request back. The second may be refused by a write that is the
// vault's own.
func (f *field) firstLater(ctx context.Context, op operation, early bool) error {
	s, err := f.scene(ctx, op)
	if err != nil {
		return err
	}
	store, late := withhold(f.store, 1, early)
	err = op.run(ctx, s, s.over(store, nil))
	switch {
	case op.retried && err != nil:
		return fmt.Errorf("one more attempt would have done it: %w", err)
	case err != nil && !errors.Is(err, vault.ErrUnsure):
		return want(vault.ErrUnsure, err, "the write")
	}
	if err := late.arrive(); err != nil {
		return err
	}
	return s.holds(ctx, target, s.after)
}

// allLater keeps every request back: that nothing is there when the operation ends proves
// nothing.
func (f *field) allLater(ctx context.Context, op operation) error {
	s, err := f.scene(ctx, op)
	if err != nil {
		return err
	}
	store, late := withhold(f.store, forGood, false)
	if err := op.run(ctx, s, s.over(store, nil)); !errors.Is(err, vault.ErrUnsure) {
		return want(vault.ErrUnsure, err, "the write")
	}
	if err := s.holds(ctx, target, s.before); err != nil {
		return fmt.Errorf("before anything arrived: %w", err)
	}
	if err := late.arrive(); err != nil {
		return err
	}
	return s.holds(ctx, target, s.after)
}

// afterAnother has another writer write before the requests arrive. Their conditions refuse
// them.
func (f *field) afterAnother(ctx context.Context, op operation) error {
	s, err := f.scene(ctx, op)
	if err != nil {
		return err
	}
	store, late := withhold(f.store, forGood, false)
	if err := op.run(ctx, s, s.over(store, nil)); !errors.Is(err, vault.ErrUnsure) {
		return want(vault.ErrUnsure, err, "the write")
	}
	theirs := f.value(33)
	if _, err := s.put(ctx, s.vault(), target, theirs, nil); err != nil {
		return err
	}
	if err := late.arrive(); err != nil {
		return err
	}
	return s.holds(ctx, target, theirs)
}

// overtaken puts twice with one vault, and the first attempt at the first put arrives last: a
// store cannot refuse it, but the vault knows of the second put.
func (f *field) overtaken(ctx context.Context) error {
	p := f.plot()
	store, late := withhold(f.store, 1, false)
	v := p.over(store, nil)
	first, second := f.value(20), f.value(30)
	if _, err := p.put(ctx, v, target, first, nil); err != nil {
		return err
	}
	if _, err := p.put(ctx, v, target, second, nil); err != nil {
		return err
	}
	if err := late.arrive(); err != nil {
		return err
	}
	if err := p.holds(ctx, target, first); err != nil {
		return err
	}
	_, err := p.get(ctx, v, target, nil)
	return want(vault.ErrRollback, err, "reading an older object than was put")
}
