package fault_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/objectvault/objectvault/internal/fault"
)

// Held-back requests are applied once, in order, and a waiting caller is notified of both.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l fault.Later
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Kept(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("nothing is kept: %v", err)
		}
		kept := make(chan error, 1)
		go func() { kept <- l.Kept(t.Context()) }()
		synctest.Wait()
		if len(kept) > 0 {
			t.Error("a caller was notified, although no request is held back")
		}
		var order []int
		var done []<-chan struct{}
		for i := range 3 {
			done = append(done, l.Keep(func() { order = append(order, i) }))
		}
		if err := <-kept; err != nil {
			t.Error(err)
		}
		select {
		case <-done[0]:
			t.Error("the request was applied too early")
		default:
		}
		if n := l.Apply(); n != 3 || !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("%d requests were applied: %v", n, order)
		}
		for _, d := range done {
			<-d
		}
		if n := l.Apply(); n != 0 {
			t.Errorf("%d requests were applied twice", n)
		}
	})
}
