package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Deferred returns a Store that calls open before its first request. [New] accepts it even if the
// cloud cannot be reached yet. So a [Vault] with a [Spool] can save a value before it needs a token
// or a connection. name is the [Store].Name. If open fails, the operation fails with that error,
// and the next operation calls open again. [Store].Close closes the opened store, if there is one.
func Deferred(name string, open func(context.Context) (*Store, error)) *Store {
	d := &deferral{open: open, opening: make(chan struct{}, 1)}
	return &Store{Name: name, deferral: d, Close: d.close, Closed: d.isClosed}
}

// A deferral opens a Store once.
type deferral struct {
	open func(context.Context) (*Store, error)

	opening chan struct{} // filled by the one goroutine that opens the store
	mu      sync.Mutex
	store   *Store // nil until it was opened
	closed  bool
}

// get returns the open store.
func (d *deferral) get(ctx context.Context) (*Store, error) {
	select {
	case d.opening <- struct{}{}:
		defer func() { <-d.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch s, closed := d.state(); {
	case closed:
		return nil, ErrClosed
	case s != nil:
		return s, nil
	}
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	if s == nil || s.Bucket == nil {
		return nil, fmt.Errorf("%w: there is no store", ErrConfig)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		if s.Close != nil {
			s.Close()
		}
		return nil, ErrClosed
	}
	d.store = s
	return s, nil
}

func (d *deferral) state() (*Store, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.store, d.closed
}

func (d *deferral) close() error {
	d.mu.Lock()
	s, closed := d.store, d.closed
	d.closed = true
	d.mu.Unlock()
	if s == nil || closed || s.Close == nil {
		return nil
	}
	return s.Close()
}

func (d *deferral) isClosed() bool {
	s, closed := d.state()
	return closed || s != nil && s.Closed != nil && s.Closed()
}

// connect opens the store of a Vault, if it is deferred.
func (v *Vault) connect(ctx context.Context) error {
	if v.deferral == nil {
		return nil
	}
	s, err := v.deferral.get(ctx)
	if err != nil {
		if err, done := explainOurs(err); done || errors.Is(err, context.Canceled) {
			return err
		}
		return fact(ErrUnavailable, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.store != s { // the first time
		v.store, v.backend.store = s, s
	}
	return nil
}
