// Package intercept calls a function for every request of a vault to its store. Tests use it to
// count requests, lose responses and truncate bodies. It works with any [vault.Store], between the
// vault and the provider.
package intercept

import (
	"context"
	"io"
	"iter"

	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
)

// A Call is one request to a store.
type Call struct {
	Op             string // get, put, create, swap, splice, settle, settled, list, delete, remove, remove-if, versions, open-version, leftovers, purge, attributes, copy
	Key            string // the prefix for list and leftovers, the first key for remove
	Delimiter      string // for list
	Offset, Length int64  // for get and open-version
}

// Hooks contains the functions to call. Nil functions are not called.
type Hooks struct {
	// Call is called instead of each request. do makes the request. A hook that returns an error
	// without calling do loses the request. A hook that returns an error after do loses the
	// response. For a write, Call is called when all bytes are available.
	Call func(ctx context.Context, c Call, do func() error) error
	// Body may replace the body that a get or open-version returned.
	Body func(c Call, r io.Reader) io.Reader
}

func (h Hooks) call(ctx context.Context, c Call, do func() error) error {
	if h.Call == nil {
		return do()
	}
	return h.Call(ctx, c, do)
}

func (h Hooks) body(c Call, r io.ReadCloser) io.ReadCloser {
	if h.Body == nil {
		return r
	}
	return struct {
		io.Reader
		io.Closer
	}{h.Body(c, r), r}
}

// Store returns a store that calls the hooks for every request to s. Closing it closes s.
func Store(s *vault.Store, h Hooks) *vault.Store {
	wrapped := *s
	bucket := blob.NewBucket(&bucket{inner: s.Bucket, hooks: h})
	wrapped.Bucket = bucket
	wrapped.Close = func() error {
		bucket.Close()
		return s.Close()
	}
	if s.Put != nil {
		wrapped.Put = putter{s.Put, h}
	}
	if s.Create != nil {
		wrapped.Create = creator{s.Create, h}
	}
	if s.QuickCreate != nil {
		wrapped.QuickCreate = creator{s.QuickCreate, h}
	}
	if s.Swap != nil {
		wrapped.Swap = swapper{s.Swap, h}
	}
	if s.Splice != nil {
		wrapped.Splice = splicer{s.Splice, h}
	}
	if s.RemoveIf != nil {
		wrapped.RemoveIf = conditionalRemover{s.RemoveIf, h}
	}
	if s.Settle != nil {
		wrapped.Settle = settler{s.Settle, h}
	}
	if s.History != nil {
		wrapped.History = historian{s.History, h}
	}
	if s.Remover != nil {
		wrapped.Remover = remover{s.Remover, h}
	}
	if s.Purge != nil {
		wrapped.Purge = purger{s.Purge, h}
	}
	return &wrapped
}

// commit runs write, and calls the hook at the end of fill. The hook may lose the response after
// the write. If it loses the request, fill fails, and nothing is stored.
func commit(ctx context.Context, h Hooks, c Call, fill func(io.Writer) error, write func(fill func(io.Writer) error) error) error {
	var lost error
	called := false
	err := write(func(w io.Writer) error {
		if err := fill(w); err != nil {
			return err
		}
		// Here all bytes were written. do only records the call, because the write ends after this
		// function.
		called = true
		called := false
		lost = h.call(ctx, c, func() error { called = true; return nil })
		if !called {
			return lost
		}
		return nil
	})
	if called && lost != nil {
		return lost
	}
	return err
}

type putter struct {
	vault.Putter
	hooks Hooks
}

func (p putter) Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	err = commit(ctx, p.hooks, Call{Op: "put", Key: key}, fill, func(fill func(io.Writer) error) error {
		version, err = p.Putter.Put(ctx, key, fill)
		return err
	})
	return version, err
}

type creator struct {
	vault.Creator
	hooks Hooks
}

func (c creator) Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	err = commit(ctx, c.hooks, Call{Op: "create", Key: key}, fill, func(fill func(io.Writer) error) error {
		version, err = c.Creator.Create(ctx, key, fill)
		return err
	})
	return version, err
}

type swapper struct {
	vault.Swapper
	hooks Hooks
}

func (s swapper) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	err = commit(ctx, s.hooks, Call{Op: "swap", Key: key}, fill, func(fill func(io.Writer) error) error {
		newTag, err = s.Swapper.Swap(ctx, key, tag, fill)
		return err
	})
	return newTag, err
}

type splicer struct {
	vault.Splicer
	hooks Hooks
}

func (s splicer) Splice(ctx context.Context, key string, splice vault.Splice) (version string, err error) {
	err = s.hooks.call(ctx, Call{Op: "splice", Key: key, Offset: splice.From}, func() error {
		version, err = s.Splicer.Splice(ctx, key, splice)
		return err
	})
	return version, err
}

type conditionalRemover struct {
	vault.ConditionalRemover
	hooks Hooks
}

func (r conditionalRemover) RemoveIf(ctx context.Context, key, tag string) error {
	return r.hooks.call(ctx, Call{Op: "remove-if", Key: key}, func() error { return r.ConditionalRemover.RemoveIf(ctx, key, tag) })
}

type settler struct {
	vault.Settler
	hooks Hooks
}

func (s settler) Settle(ctx context.Context, key string, w vault.UnknownWrite) (version string, err error) {
	err = s.hooks.call(ctx, Call{Op: "settle", Key: key}, func() (err error) {
		version, err = s.Settler.Settle(ctx, key, w)
		return err
	})
	return version, err
}

func (s settler) IsSettled(ctx context.Context, key, version string) (settled bool, err error) {
	err = s.hooks.call(ctx, Call{Op: "settled", Key: key}, func() (err error) {
		settled, err = s.Settler.IsSettled(ctx, key, version)
		return err
	})
	return settled, err
}

type historian struct {
	vault.Historian
	hooks Hooks
}

func (h historian) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return hookSeq(ctx, h.hooks, Call{Op: "versions", Key: key}, h.Historian.Versions(ctx, key))
}

func (h historian) OpenVersion(ctx context.Context, key, id string, offset, length int64) (r io.ReadCloser, tag string, err error) {
	c := Call{Op: "open-version", Key: key, Offset: offset, Length: length}
	err = h.hooks.call(ctx, c, func() (err error) {
		r, tag, err = h.Historian.OpenVersion(ctx, key, id, offset, length)
		return err
	})
	if err != nil {
		if r != nil {
			r.Close()
		}
		return nil, "", err
	}
	return h.hooks.body(c, r), tag, nil
}

type remover struct {
	vault.Remover
	hooks Hooks
}

func (r remover) Remove(ctx context.Context, keys []string) (failed map[string]error, err error) {
	err = r.hooks.call(ctx, Call{Op: "remove", Key: keys[0]}, func() (err error) {
		failed, err = r.Remover.Remove(ctx, keys)
		return err
	})
	return failed, err
}

type purger struct {
	vault.Purger
	hooks Hooks
}

func (p purger) Leftovers(ctx context.Context, prefix string) iter.Seq2[vault.Leftover, error] {
	return hookSeq(ctx, p.hooks, Call{Op: "leftovers", Key: prefix}, p.Purger.Leftovers(ctx, prefix))
}

func (p purger) Purge(ctx context.Context, leftovers []vault.Leftover) (failed map[vault.Leftover]error, err error) {
	err = p.hooks.call(ctx, Call{Op: "purge"}, func() (err error) {
		failed, err = p.Purger.Purge(ctx, leftovers)
		return err
	})
	return failed, err
}

// hookSeq calls the hook once, before the first item.
func hookSeq[T any](ctx context.Context, h Hooks, c Call, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := h.call(ctx, c, func() error { return nil }); err != nil {
			var none T
			yield(none, err)
			return
		}
		seq(yield)
	}
}
