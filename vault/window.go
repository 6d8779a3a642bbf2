package vault

import "io"

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
// It returns their bytes in order, and keeps at most limit + 1 parts in memory.
type window struct {
	b      *body
	next   int64 // offset of the next part to request
	limit  int   // parts in progress
	queue  []*rangePart
	free   [][]byte
	taken  []byte // the buffer of unread
	unread []byte // of the part that is being returned
}

// A rangePart is one part in progress.
type rangePart struct {
	buf  []byte
	done chan struct{}
	err  error
}

// fill requests parts until enough are in progress.
func (w *window) fill() {
	for len(w.queue) < w.limit && w.next < w.b.end {
		n := min(partRange, w.b.end-w.next)
		p := &rangePart{buf: w.buffer()[:n], done: make(chan struct{})}
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

func (w *window) buffer() []byte {
	if n := len(w.free); n > 0 {
		buf := w.free[n-1]
		w.free = w.free[:n-1]
		return buf
	}
	return make([]byte, partRange)
}

// read returns bytes of the next part. The error of a part is returned in its turn.
func (w *window) read(p []byte) (int, error) {
	if len(w.unread) == 0 {
		if w.taken != nil {
			w.free, w.taken = append(w.free, w.taken[:partRange]), nil
		}
		w.fill()
		part := w.queue[0]
		select {
		case <-part.done:
		case <-w.b.ctx.Done():
			return 0, w.b.b.explain(w.b.ctx.Err())
		}
		w.queue = w.queue[1:]
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
