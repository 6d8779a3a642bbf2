package cosblob

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/objectvault/objectvault/internal/linger"
)

// When the context of a write ends, requests that are not completely sent are interrupted. If a
// request is completely sent, the write waits for its response, because the service may apply it. In
// any case the write returns within lateTime. A part that is being sent when its upload is aborted
// fails (436/7740), so one abort suffices.

const (
	// lateTime is the longest time for which a write continues after its context has ended.
	lateTime = 4500 * time.Millisecond
	// responseTime is the part of lateTime for the response. The rest is for an abort.
	responseTime = 2500 * time.Millisecond
)

// lingeringContext returns a context that ends responseTime after ctx.
func lingeringContext(ctx context.Context) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(linger.Half(ctx, responseTime))
		defer t.Stop()
		select {
		case <-t.C:
			cancel(ctx.Err())
		case <-lasting.Done():
		}
	})
	return lasting, func() { stop(); cancel(nil) }
}

// A body is the body of a request. Reading it fails after ctx has ended, unless everything was read: net/http
// reads once more to see the end, and would cut off a request that the service has received.
type body struct {
	ctx         context.Context
	mu          sync.Mutex
	r           *bytes.Reader
	interrupted bool
}

func newBody(ctx context.Context, data []byte) *body {
	return &body{ctx: ctx, r: bytes.NewReader(data)}
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.interrupted {
		return 0, io.ErrUnexpectedEOF
	}
	if err := b.ctx.Err(); err != nil && b.r.Len() > 0 {
		return 0, err
	}
	return b.r.Read(p)
}

// interrupt stops the reading, and reports whether unread data remained. If so, the service did not
// receive the complete request. The call is needed because a transport may continue to read after
// it has returned.
func (b *body) interrupt() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupted = b.r.Len() > 0
	return b.interrupted
}

// Size returns the length for the SDK.
func (b *body) Size() int64 { return b.r.Size() }
