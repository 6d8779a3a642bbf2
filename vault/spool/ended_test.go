package spool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// A hangingSource is a key source that does not respond.
type hangingSource struct{ envelope.KeySource }

func (hangingSource) Wrap(ctx context.Context, _ envelope.Ref, _ []byte, _ envelope.AAD) (envelope.Stanza, error) {
	<-ctx.Done()
	return envelope.Stanza{}, ctx.Err()
}

// TestPutEnds: a value in memory is saved although the context ends while the key source hangs.
func TestPutEnds(t *testing.T) {
	for label, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(10*time.Millisecond, cancel)
			return ctx, cancel
		},
		"at its deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Millisecond)
		},
		"before": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		},
	} {
		store, err := memfs.Open(t.Context(), memfs.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		v, err := vault.New(store, "acme", []envelope.KeySource{hangingSource{kek.InsecureFixed()}}, &vault.Options{Spool: sp})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := end(t.Context())
		var saved *vault.SpooledError
		if _, err := v.Put(ctx, "a", strings.NewReader("value"), nil); !errors.As(err, &saved) || saved.Refused {
			t.Errorf("%s: put: %v", label, err)
		}
		cancel()
		later, err := vault.New(store, "acme", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: sp})
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := sp.Sync(t.Context(), later, nil); err != nil || sum.Sent != 1 {
			t.Errorf("%s: sync: %+v, %v", label, sum, err)
		}
		if value, _, err := later.ReadAll(t.Context(), "a", nil); err != nil || string(value) != "value" {
			t.Errorf("%s: get: %q, %v", label, value, err)
		}
	}
}
