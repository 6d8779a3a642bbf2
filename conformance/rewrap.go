package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// rewrapSizes are the lengths of the values of checkRewrap. The store copies the payload of the second
// itself, if it can.
var rewrapSizes = []int{1000, 20 << 20}

// checkRewrap replaces the key source of objects.
func checkRewrap(ctx context.Context, f *fixture) error {
	p := f.newSpace()
	former, next := kek.NewLocal(kek.RandomRoot()), kek.NewLocal(kek.RandomRoot())
	spliced := 0
	store := intercept.Store(p.store, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "splice" {
			spliced++
		}
		return do()
	}})
	open := func(s *vault.Store, source envelope.KeySource) *vault.Vault {
		v, err := vault.New(s, p.tenant(), []envelope.KeySource{source}, &vault.Options{Collection: p.collection})
		if err != nil {
			panic(fmt.Sprintf("conformance: %v", err)) // impossible, as in over
		}
		return v
	}
	v := open(store, former)
	for _, size := range rewrapSizes {
		if size > 1<<20 && f.Large < 0 {
			continue
		}
		name, value := vault.Name(fmt.Sprint("rewrap/", size)), p.value(size)
		before, err := p.put(ctx, v, name, value, nil)
		if err != nil {
			return err
		}
		o := &vault.RewrapOptions{Add: []envelope.KeySource{next}, Remove: []envelope.KeySource{former}, NoOtherWriters: p.store.Swap == nil}
		result, err := v.Rewrap(ctx, name, o)
		if p.recordError(err) != nil {
			return fmt.Errorf("a rewrap of %d bytes: %w", size, err)
		}
		if got, err := p.get(ctx, open(p.store, next), name, nil); err != nil || !bytes.Equal(got, value) {
			return fmt.Errorf("after a rewrap, the new key opens %s, error %v; want the same value of %d bytes", describe(got), err, size)
		}
		if r, err := open(p.store, former).Get(ctx, name, nil); !errors.Is(err, envelope.ErrUnknownKey) {
			if err == nil {
				io.Copy(io.Discard, r)
				r.Close()
			}
			return fmt.Errorf("after a rewrap, a read with the former key returned the error %v, want %q", err, envelope.ErrUnknownKey)
		}
		after, err := open(p.store, next).Stat(ctx, name)
		if p.recordError(err) != nil {
			return err
		}
		if after.Revision != before.Revision || after.Rewrap != 1 || after.Tag != result.Tag || after.Tag == before.Tag {
			return fmt.Errorf("after a rewrap, the object is %+v, and was %+v", after, before)
		}
	}
	if p.store.Splice != nil && f.Large >= 0 && spliced == 0 {
		return errors.New("a rewrap of a large object did not use the Splicer of the store")
	}
	return nil
}
