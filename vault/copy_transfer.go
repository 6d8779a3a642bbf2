package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/objectvault/objectvault/envelope"
)

// A transfer is one sealed object that is read from one store and written to another.
type transfer struct {
	src      *Vault
	name     Name
	at       place
	snapshot // of the object that was read
	header   *envelope.Header
	start    []byte           // the header, and the header of the payload
	object   *envelope.Object // nil: no key opens it
	body     *body            // what follows start; nil: it was read
	whole    []byte           // all of a small object
	sum      hash.Hash        // of the bytes that were sent last
	progress func(int64)
}

// read starts to read the object at a place of src. It reads a small object to its end.
func (c *copier) read(ctx context.Context, name Name, at place) (*transfer, error) {
	body, err := c.src.fetch(ctx, at, 0, -1)
	if err != nil {
		return nil, c.src.absentAt(ctx, at, err)
	}
	t := &transfer{src: c.src, name: name, at: at, snapshot: body.snapshot, body: body, sum: sha256.New(), progress: c.o.Progress}
	if err = t.readStart(ctx, c); err == nil && t.size <= replayable {
		err = t.readWhole(ctx)
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *transfer) close() {
	if t.body != nil {
		t.body.Close()
		t.body = nil
	}
}

// readStart reads the header, and opens it if there are keys.
func (t *transfer) readStart(ctx context.Context, c *copier) error {
	var start bytes.Buffer
	var err error
	if t.header, err = envelope.ReadHeader(io.TeeReader(t.body, &start)); err != nil {
		if errors.Is(err, envelope.ErrFormat) {
			io.CopyN(&start, t.body, legacyMin)
		}
		return t.src.backend.explain(legacy(start.Bytes(), err))
	}
	if _, err := t.header.PlaintextSize(t.size); err != nil {
		return err
	}
	if _, err := io.CopyN(&start, t.body, payloadHeader); err != nil {
		return t.src.backend.explain(err)
	}
	t.start = start.Bytes()
	if c.opener == nil {
		return nil
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(t.start), t.src.ref(t.name), c.keysOf(c.opener))
	switch {
	case errors.Is(err, envelope.ErrUnknownKey):
		return nil
	case err != nil:
		return t.src.backend.explain(err)
	}
	t.object = object
	if c.opener == t.src {
		_, err = t.src.found(ctx, t.name, t.at, t.snapshot, object.Header(), object.Metadata())
	}
	return err
}

// readWhole reads and verifies a small object.
func (t *transfer) readWhole(ctx context.Context) error {
	whole := bytes.NewBuffer(make([]byte, 0, t.size))
	whole.Write(t.start)
	err := t.rest(t.body, whole)
	t.whole = whole.Bytes()
	if err != nil {
		err = t.src.backend.explain(t.src.replacedOrDamaged(ctx, t.at, t.header.Bytes(), t.tag, err))
	}
	return err
}

// send writes the sealed object to w. It may be called again. An error of the source is a [*SourceError].
func (t *transfer) send(ctx context.Context, w io.Writer) error {
	t.sum.Reset()
	if t.progress != nil {
		w = &watched{w, t.progress}
	}
	if t.whole == nil {
		return t.stream(ctx, io.MultiWriter(t.sum, w))
	}
	t.sum.Write(t.whole)
	_, err := w.Write(t.whole)
	return err
}

// stream writes the sealed object to w as it is read, and verifies it to its end.
func (t *transfer) stream(ctx context.Context, w io.Writer) error {
	body := t.body
	t.body = nil
	if body == nil {
		var err error
		if body, err = t.again(ctx); err != nil {
			return &SourceError{err}
		}
	}
	defer body.Close()
	if _, err := w.Write(t.start); err != nil {
		return err
	}
	out := newRelay(w)
	err := t.rest(body, out)
	switch werr := out.Close(); {
	case werr != nil:
		return werr
	case err != nil:
		err = t.src.replacedOrDamaged(ctx, t.at, t.header.Bytes(), t.tag, err)
		return &SourceError{t.src.backend.explain(err)}
	}
	return nil
}

// rest writes the sealed bytes that r returns to w, and opens them if there is a key.
func (t *transfer) rest(r io.Reader, w io.Writer) error {
	if t.object == nil {
		_, err := io.Copy(w, r)
		return err
	}
	span, err := t.object.Range(t.size, 0, -1)
	if err == nil {
		_, err = io.Copy(io.Discard, t.object.OpenRange(io.TeeReader(r, w), span))
	}
	return err
}

// again requests the same object once more, and returns what follows start.
func (t *transfer) again(ctx context.Context) (*body, error) {
	body, err := t.src.fetch(ctx, t.at, 0, -1)
	if err != nil {
		return nil, t.src.absentAt(ctx, t.at, err)
	}
	start := make([]byte, len(t.start))
	_, err = io.ReadFull(body, start)
	if err == nil && (!body.snapshot.same(t.snapshot) || !bytes.Equal(start, t.start)) {
		err = errReplaced
	}
	if err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

func (t *transfer) digest() string { return hex.EncodeToString(t.sum.Sum(nil)) }

// readBack reads the object that was just written to dst, and compares its digest.
func (c *copier) readBack(ctx context.Context, t *transfer) error {
	at, header := place{key: t.at.key}, t.header.Bytes()
	sum, err := digest(ctx, c.dst, at)
	if err != nil || bytes.Equal(sum, t.sum.Sum(nil)) {
		return err
	}
	if h, err := c.dst.readHead(ctx, at, 0, int64(len(header))); err != nil || !bytes.Equal(h.data, header) {
		return fmt.Errorf("%w: another writer replaced the copy before it was read back", ErrConflict)
	}
	return fmt.Errorf("%w: the store returns other bytes than were sent", envelope.ErrDecrypt)
}

// equal reports whether both stores return the same bytes.
func (c *copier) equal(ctx context.Context, ours, theirs place) (bool, error) {
	a, err := digest(ctx, c.src, ours)
	if err != nil {
		return false, c.atSource(err)
	}
	b, err := digest(ctx, c.dst, theirs)
	return bytes.Equal(a, b), c.atDestination(err)
}

func digest(ctx context.Context, v *Vault, at place) ([]byte, error) {
	body, err := v.fetch(ctx, at, 0, -1)
	if err != nil {
		return nil, v.absentAt(ctx, at, err)
	}
	defer body.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, body)
	return sum.Sum(nil), err
}

// A relay writes to another writer in a goroutine of its own, so that an object is opened while it is
// sent. It holds at most relayBuffers buffers.
type relay struct {
	free, full chan []byte
	failed     chan struct{} // closed after the first error
	done       chan struct{} // closed when the goroutine has ended
	err        error         // of the writer
	panicked   any           // a panic of the writer, which Close repeats
}

const (
	relayBuffer  = 256 << 10 // bytes
	relayBuffers = 4
)

func newRelay(w io.Writer) *relay {
	r := &relay{free: make(chan []byte, relayBuffers), full: make(chan []byte, relayBuffers), failed: make(chan struct{}), done: make(chan struct{})}
	for range relayBuffers {
		r.free <- nil // allocated when it is needed
	}
	go func() {
		defer close(r.done)
		defer func() {
			if r.panicked = recover(); r.panicked != nil {
				close(r.failed)
			}
			for range r.full { // until Close
			}
		}()
		for p := range r.full {
			if _, r.err = w.Write(p); r.err != nil {
				close(r.failed)
				return
			}
			r.free <- p[:0]
		}
	}()
	return r
}

var errRelay = errors.New("the destination failed")

// Write hands a copy of p over. If the writer has failed, Close returns its error.
func (r *relay) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		select {
		case buffer := <-r.free:
			if cap(buffer) == 0 {
				buffer = make([]byte, 0, relayBuffer)
			}
			part := p[:min(len(p), cap(buffer))]
			r.full <- append(buffer[:0], part...)
			p, n = p[len(part):], n+len(part)
		case <-r.failed:
			return n, errRelay
		}
	}
	return n, nil
}

// Close waits until everything was written, and returns the error of the writer.
func (r *relay) Close() error {
	close(r.full)
	if <-r.done; r.panicked != nil {
		panic(r.panicked)
	}
	return r.err
}

// A watched writer reports how much was written.
type watched struct {
	w    io.Writer
	call func(int64)
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.call(int64(n))
	return n, err
}
