package cosblob

import (
	"bytes"
	"context"
	"time"
)

// When the context of a write ends, what is not all sent yet is cut off. The answer to
// what is sent is waited for: it may take place, and a part that arrives after its
// upload was aborted would stay, and be paid for.

// answerTime is how long an answer is waited for after the context has ended.
const answerTime = 10 * time.Second

// answered returns a context that ends answerTime after ctx.
func answered(ctx context.Context) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(answerTime)
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
	r   *bytes.Reader
	ctx context.Context
}

func newBody(ctx context.Context, data []byte) *body { return &body{bytes.NewReader(data), ctx} }

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

// Size is where the SDK looks for the length.
func (b *body) Size() int64 { return b.r.Size() }
