package kek

import (
	"context"

	"github.com/objectvault/objectvault/envelope"
)

// A Deferred is a key source that reads its root at the first use, for example from a program or a
// keyring that may not be available now. Its stanzas are those of [Local]. After it has read the
// root, it does no I/O. [Defer] returns it.
type Deferred struct {
	name  string
	load  func(context.Context) (Root, error)
	busy  chan struct{} // holds one value while a goroutine loads
	local *Local        // guarded by busy
}

var (
	_ envelope.KeySource  = (*Deferred)(nil)
	_ envelope.Recognizer = (*Deferred)(nil)
)

// Defer returns a source that calls load for its root, for one caller at a time, until load has
// succeeded. The error of load becomes the error of the source. If the root cannot be read now,
// load must return an error that wraps [envelope.ErrUnavailable].
func Defer(name string, load func(context.Context) (Root, error)) *Deferred {
	return &Deferred{name: name, load: load, busy: make(chan struct{}, 1)}
}

// Name implements [envelope.KeySource].
func (d *Deferred) Name() string { return d.name }

// Remote implements [envelope.Recognizer]. It returns false.
func (*Deferred) Remote() bool { return false }

// Local returns the source with the root, which it reads if necessary.
func (d *Deferred) Local(ctx context.Context) (*Local, error) {
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.local != nil {
		return d.local, nil
	}
	root, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	d.local = NewLocal(root).Named(d.name)
	return d.local, nil
}

// Wrap implements [envelope.KeySource].
func (d *Deferred) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	l, err := d.Local(ctx)
	if err != nil {
		return envelope.Stanza{}, err
	}
	return l.Wrap(ctx, ref, dek, aad)
}

// Recognizes implements [envelope.Recognizer]. It reads the root only for a stanza of type 1.
func (d *Deferred) Recognizes(ctx context.Context, ref envelope.Ref, s envelope.Stanza, aad envelope.AAD) (bool, error) {
	if s.Type != typeRoot {
		return false, nil
	}
	l, err := d.Local(ctx)
	if err != nil {
		return false, err
	}
	return l.Recognizes(ctx, ref, s, aad)
}

// Unwrap implements [envelope.KeySource].
func (d *Deferred) Unwrap(ctx context.Context, ref envelope.Ref, s envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	if s.Type != typeRoot {
		return nil, envelope.ErrUnknownKey
	}
	l, err := d.Local(ctx)
	if err != nil {
		return nil, err
	}
	return l.Unwrap(ctx, ref, s, aad)
}
