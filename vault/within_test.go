package vault_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// TestCancelledWrite: at a store that never responds, a put returns within 5 seconds of the end of its
// context, and its outcome is unknown. The clock is the test's own.
func TestCancelledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, intercept.Store(newStore(t), intercept.Hooks{Call: func(ctx context.Context, c intercept.Call, do func() error) error {
			switch c.Op {
			case "put": // as a provider waits for the response to what was sent
				if err := do(); err != nil {
					return err
				}
				<-ctx.Done()
				<-time.After(linger.Half(ctx, time.Minute))
				return vault.ErrUnavailable
			case "get":
				<-ctx.Done()
				return vault.ErrUnavailable
			}
			return do()
		}}), nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(time.Hour, cancel)
		began := time.Now()
		_, err := v.Put(ctx, "openai", strings.NewReader("sk"), nil)
		if took := time.Since(began) - time.Hour; took < 0 || took > 5*time.Second {
			t.Errorf("it returned %v after the end of its context, want 5s at most", took)
		}
		if !errors.Is(err, vault.ErrUnsure) || !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v, want %v", err, vault.ErrUnsure)
		}
	})
}
