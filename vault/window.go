package vault

import (
	"errors"
	"io"
	"sync/atomic"
)

const (
	// firstRange is the length of the first request for an object of unknown size. Most objects are
	// shorter, so that they need no other request.
	firstRange = 8 << 20
	// readAhead is the number of bytes of a body that are read before other parts are requested: a
	// reader that stops early costs no more than the first request.
	readAhead = 1 << 20
	// partRange is the length of a part that is kept in memory until its turn.
	partRange = 5 << 20
)

// A window requests the parts of a body that follow its first range. Several are in progress at a time.
// It returns their bytes in order. All windows of a Vault together keep [Store].Parallel parts in memory, and
// each one more, which is being returned.
type window struct {
	b      *body
	next   int64 // offset of the next part to request
	queue  []*rangePart
	free   []byte // a buffer that can be used again; nil: there is none
	taken  []byte // the buffer of unread
	unread []byte // of the part that is being returned
}

// A rangePart is one part in progress.
type rangePart struct {
	buf  []byte
	done chan struct{}
	err  error
}

// An ahead counts the parts that are requested ahead.
type ahead struct{ n atomic.Int32 }

// take reports whether there may be another part, of at most limit.
func (a *ahead) take(limit int) bool {
	for {
		switch n := a.n.Load(); {
		case int(n) >= limit:
			return false
		case a.n.CompareAndSwap(n, n+1):
			return true
		}
	}
}

// fill requests parts until enough are in progress.
func (w *window) fill() {
	for w.next < w.b.end && w.b.b.ahead.take(w.b.b.store.Parallel) {
		n := min(partRange, w.b.end-w.next)
		if w.free == nil {
			w.free = make([]byte, partRange)
		}
		p := &rangePart{buf: w.free[:n], done: make(chan struct{})}
		w.free = nil
		from := w.b.part(w.b.ctx, w.next, n)
		w.next += n
		w.queue = append(w.queue, p)
		go func() {
			defer close(p.done)
			defer from.Close()
			_, p.err = io.ReadFull(from, p.buf)
		}()
	}
}

// errCrowded means that other reads have requested as many parts as a Vault keeps in memory.
var errCrowded = errors.New("too many parts are in memory")

// read returns bytes of the next part. The error of a part is returned in its turn. If no part could be
// requested, the error is errCrowded.
func (w *window) read(p []byte) (int, error) {
	if len(w.unread) == 0 {
		if w.taken != nil {
			w.free, w.taken = w.taken[:partRange], nil
		}
		if w.fill(); len(w.queue) == 0 {
			return 0, errCrowded
		}
		part := w.queue[0]
		select {
		case <-part.done:
		case <-w.b.ctx.Done():
			return 0, w.b.b.explain(w.b.ctx.Err())
		}
		w.queue = w.queue[1:]
		w.b.b.ahead.n.Add(-1)
		if part.err != nil {
			return 0, part.err
		}
		w.taken, w.unread = part.buf, part.buf
		w.fill()
	}
	n := copy(p, w.unread)
	w.unread = w.unread[n:]
	return n, nil
}

// skip leaves the next range to the body, and returns its end.
func (w *window) skip() int64 {
	w.next = min(w.next+firstRange, w.b.end)
	return w.next
}

// close gives up the parts that were not returned. Their requests end with the body.
func (w *window) close() {
	w.b.b.ahead.n.Add(-int32(len(w.queue)))
	w.queue, w.free, w.taken, w.unread = nil, nil, nil, nil
}
