package kek_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
)

// The root is read once, at the first use, for any number of callers. A failure is not remembered.
func TestDeferred(t *testing.T) {
	var loads atomic.Int32
	d := kek.Defer("exec pass", func(context.Context) (kek.Root, error) {
		if loads.Add(1) == 1 {
			return kek.Root{}, fmt.Errorf("%w: locked", envelope.ErrUnavailable)
		}
		return kek.ParseRoot([]byte(someRoot))
	})
	if d.Name() != "exec pass" || d.Remote() || loads.Load() != 0 {
		t.Error(d.Name(), d.Remote(), loads.Load())
	}
	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "openrouter"}
	keys := []envelope.KeySource{d}
	if _, err := envelope.Seal(t.Context(), new(bytes.Buffer), ref, keys, nil); !errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("first use: %v", err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			var sealed bytes.Buffer
			w, err := envelope.Seal(t.Context(), &sealed, ref, keys, nil)
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(w, "sk")
			w.Close()
			for _, source := range []envelope.KeySource{d, newLocal(t, root(t))} {
				r, err := envelope.Open(t.Context(), bytes.NewReader(sealed.Bytes()), ref, []envelope.KeySource{source})
				if err != nil {
					t.Error(err)
					continue
				}
				if value, err := io.ReadAll(r); err != nil || string(value) != "sk" {
					t.Errorf("%q, %v", value, err)
				}
			}
		})
	}
	group.Wait()
	if n := loads.Load(); n != 2 {
		t.Errorf("the root was read %d times", n)
	}
	l, err := d.Local(t.Context())
	if err != nil || l.Fingerprint() != "5702411fe3f18693" || l.Name() != "exec pass" {
		t.Error(l.Fingerprint(), l.Name(), err)
	}
}

// A caller whose context ends does not wait for another one.
func TestDeferredContext(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	d := kek.Defer("slow", func(context.Context) (kek.Root, error) {
		close(started)
		<-release
		return kek.RandomRoot(), nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := d.Local(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Local(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	<-done
}

// A stanza of another type never makes the source read its root.
func TestDeferredOtherTypes(t *testing.T) {
	d := kek.Defer("exec pass", func(context.Context) (kek.Root, error) {
		t.Error("the root was read")
		return kek.Root{}, envelope.ErrUnavailable
	})
	s := envelope.Stanza{Type: 3, Body: []byte{1}}
	if ok, err := d.Recognizes(t.Context(), envelope.Ref{}, s, envelope.AAD{}); ok || err != nil {
		t.Error(ok, err)
	}
	if _, err := d.Unwrap(t.Context(), envelope.Ref{}, s, envelope.AAD{}); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Error(err)
	}
}

func root(t *testing.T) []byte {
	t.Helper()
	r, err := kek.ParseRoot([]byte(someRoot))
	if err != nil {
		t.Fatal(err)
	}
	return r.Reveal()
}
