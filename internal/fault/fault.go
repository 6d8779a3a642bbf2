// Package fault says what a test server, or a proxy before one, does to a request instead
// of answering it faithfully. It needs the standard library alone: package costest, which
// is useful without this module's other packages, has its faults from here.
//
// What matters of a write is whether it took effect, and when, while the client hears
// nothing: it was [Lost], or [Applied], or will be applied later ([Later]). The other faults
// spoil an answer.
package fault

import (
	"context"
	"sync"
	"time"
)

// A Kind is what is done. Kinds of a server's own begin with [Own].
type Kind int

// Kinds. None is a faithful answer.
const (
	None         Kind = iota
	Lost              // the request never arrived, and the connection is cut
	Applied           // the request was carried out, and the connection is cut
	AppliedLater      // the request is carried out when the client has long heard nothing
	RespondBefore
	ApplyThen
	CutBody
	Truncated
	Delay
	IgnoreRange
	Own // and what follows
)

// A Fault is a kind, and how much of it.
type Fault struct {
	Kind   Kind
	Status int           // RespondBefore, ApplyThen
	Body   string        // of that answer
	Bytes  int64         // CutBody, Truncated: of the answer's body
	Delay  time.Duration // Delay
	Later  *Later        // AppliedLater
	Hold   bool          // AppliedLater: the connection is not cut before the client gives up
}

// A Later keeps requests until the test has them carried out. The zero value is ready to use.
type Later struct {
	mu   sync.Mutex
	held []held
	wake chan struct{} // closed when one comes; nil while no caller waits for it
}

type held struct {
	apply func()
	done  chan struct{}
}

// Cut is the fault of a request whose connection is cut once it was read to its end.
func (l *Later) Cut() Fault { return Fault{Kind: AppliedLater, Later: l} }

// Wait is the fault of a request whose client is left waiting once it was read to its end.
func (l *Later) Wait() Fault { return Fault{Kind: AppliedLater, Later: l, Hold: true} }

// Keep takes what carries out a request, for the server; done is closed when it has.
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

// Kept waits until there is a request to carry out, or returns why ctx has ended.
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

// Apply carries out what was kept, in the order in which it came, and returns how many
// requests that were. Those that come in the meantime are kept for the next call.
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
