package cosblob

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/objectvault/objectvault/internal/linger"
)

// When the context of a write ends, what is not all sent yet is cut off. The response to
// what is sent is waited for: it may take place, and a part that arrives after its
// upload was aborted would stay, and be billed. The write returns within lateTime all the same.

const (
	// lateTime is how long a write goes on after its context has ended.
	lateTime = 4500 * time.Millisecond
	// answerTime is the part of it in which a response is waited for; the rest is for an abort.
	answerTime = 2500 * time.Millisecond
)

// answered returns a context that ends answerTime after ctx.
func answered(ctx context.Context) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(linger.Half(ctx, answerTime))
		defer t.Stop()
		select {
		case <-t.C:
			cancel(ctx.Err())
		case <-lasting.Done():
		}
	})
	return lasting, func() { stop(); cancel(nil) }
}

// A body is what a request sends. Reading it fails once ctx has ended.
type body struct {
	ctx context.Context
	mu  sync.Mutex
	r   *bytes.Reader
	cut bool
}

func newBody(ctx context.Context, data []byte) *body {
	return &body{ctx: ctx, r: bytes.NewReader(data)}
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return 0, io.ErrUnexpectedEOF
	}
	return b.r.Read(p)
}

// cutOff ends the reading, and reports whether something was left, so that the service can
// have got no whole request: the transport may read even after it has given up.
func (b *body) cutOff() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = b.r.Len() > 0
	return b.cut
}

// Size is where the SDK looks for the length.
func (b *body) Size() int64 { return b.r.Size() }
