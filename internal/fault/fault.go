// Package fault describes the faults that a test server, or a proxy for one, injects into requests.
// It uses only the standard library, because package costest, which is useful without this module's
// other packages, uses it.
//
// For a write whose client gets no response, the important question is whether and when it took
// effect: never ([Lost]), before the connection was closed ([Applied]), or later ([Later]). The
// other faults change the response.
package fault

import (
	"context"
	"sync"
	"time"
)

// A Kind is the kind of a fault. Kinds that a server defines itself start at [Own].
type Kind int

// The kinds. None means a normal response.
const (
	None         Kind = iota
	Lost              // the request never arrives, and the connection is closed
	Applied           // the server applies the request, and the connection is closed
	AppliedLater      // the server applies the request after the client has given up
	RespondBefore
	ApplyThen
	CutBody
	Truncated
	Delay
	IgnoreRange
	Own // the first kind that a server defines itself
)

// A Fault is a kind with its parameters.
type Fault struct {
	Kind   Kind
	Status int           // for RespondBefore and ApplyThen
	Body   string        // the body of that response
	Bytes  int64         // for CutBody and Truncated: bytes of the response body
	Delay  time.Duration // for Delay
	Later  *Later        // for AppliedLater
	Hold   bool          // for AppliedLater: keep the connection open until the client gives up
}

// A Later holds requests back until the test applies them. The zero value is ready to use.
type Later struct {
	mu   sync.Mutex
	held []held
	wake chan struct{} // closed when a request arrives; nil while no caller waits
}

type held struct {
	apply func()
	done  chan struct{}
}

// Cut returns a fault that reads the request completely, holds it back, and closes the connection.
func (l *Later) Cut() Fault { return Fault{Kind: AppliedLater, Later: l} }

// Wait returns a fault that reads the request completely and holds it back. The client gets no
// response.
func (l *Later) Wait() Fault { return Fault{Kind: AppliedLater, Later: l, Hold: true} }

// Keep adds a request for the server. apply applies the request, and done is closed afterwards.
func (l *Later) Keep(apply func()) (done <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := held{apply, make(chan struct{})}
	l.held = append(l.held, h)
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
	return h.done
}

// Kept waits until a request is held back. If ctx ends first, Kept returns its cause.
func (l *Later) Kept(ctx context.Context) error {
	for {
		l.mu.Lock()
		if len(l.held) > 0 {
			l.mu.Unlock()
			return nil
		}
		if l.wake == nil {
			l.wake = make(chan struct{})
		}
		wake := l.wake
		l.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Apply applies the held-back requests in the order of their arrival and returns their number.
// Requests that arrive in the meantime are held back for the next call.
func (l *Later) Apply() int {
	l.mu.Lock()
	all := l.held
	l.held = nil
	l.mu.Unlock()
	for _, h := range all {
		h.apply()
		close(h.done)
	}
	return len(all)
}
