package envelope

import (
	"errors"
	"io"
)

// A Writer seals the bytes that are written to it. The object is complete only after Close. Write
// and Close of the zero Writer return [ErrInvalid].
//
// A value of more than 256 KiB is sealed by several goroutines at once, as many as GOMAXPROCS and at most
// eight. The Writer holds at most that many MiB and two more, and writes to the underlying writer in order and only
// during a call of a method. Its goroutines end by themselves: none outlives 1 MiB of work.
type Writer struct {
	header  *Header
	missing []KeySource
	w       io.Writer
	segments
	batch *batch   // being filled; nil: nothing was written yet
	room  int64    // plaintext bytes that are missing in its last segment
	index int64    // of that segment
	queue []*batch // full, in order
	next  *batch   // follows batch; nil: not needed yet
	spares
	err error // returned by every further call
}

var (
	errClosed  = errors.New("envelope: write after close")
	errAborted = errors.New("envelope: the writer was aborted")

	errZeroWriter error = misuse("the Writer was not returned by Seal")
	errZeroReader error = misuse("the Reader was not returned by Open")
	errZeroObject error = misuse("the Object was not returned by OpenHeader")
)

// Header returns the header that was written.
func (w *Writer) Header() *Header { return w.header }

// Missing returns the sources that [SealOptions].OneSuffices left out. They cannot open the object.
func (w *Writer) Missing() []KeySource { return w.missing }

// Write seals p. It writes full segments to the underlying writer, some of them later. After an
// error, every further call returns that error and writes nothing.
func (w *Writer) Write(p []byte) (n int, err error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	for len(p) > 0 {
		to, err := w.space(len(p))
		if err != nil {
			w.fail(err)
			return n, err
		}
		k := copy(to, p)
		w.filled(k)
		p, n = p[k:], n+k
	}
	return n, nil
}

// ReadFrom seals everything that r returns until [io.EOF]. [io.Copy] calls it. An error of r does not
// end the Writer: the value can go on.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	for empty := 0; ; {
		to, err := w.space(minRead)
		if err != nil {
			w.fail(err)
			return n, err
		}
		k, err := r.Read(to)
		if k > 0 {
			w.filled(k)
			n, empty = n+int64(k), 0
		}
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case k == 0:
			if empty++; empty == maxEmptyReads {
				return n, io.ErrNoProgress
			}
		}
	}
}

const (
	minRead       = 512 // bytes, as in bytes.Buffer
	maxEmptyReads = 100
)

func (w *Writer) usable() error {
	if w.err == nil && w.w == nil {
		return errZeroWriter
	}
	return w.err
}

// space returns where the next bytes of the plaintext belong. If the current segment is full, that is in
// the next one. n is the number of bytes that the caller has, or expects.
func (w *Writer) space(n int) ([]byte, error) {
	if w.batch == nil {
		w.start(&batch{}, 0) // grows with its content
	}
	b, room, at := w.batch, w.room, len(w.batch.buf)-tagSize
	switch {
	case room > 0:
	case w.index+1 == maxSegments:
		return nil, errTooLong
	case w.fits():
		room, at = w.plain(w.index+1), len(b.buf)
	default:
		if err := w.prepare(); err != nil {
			return nil, err
		}
		b, room, at = w.next, w.plain(w.index+1), 0
	}
	room = min(room, int64(max(n, cap(b.buf)-at-tagSize)))
	if need := at + int(room) + tagSize; need > cap(b.buf) {
		b.buf = grow(b.buf, need)[:len(b.buf)]
	}
	return b.buf[at:cap(b.buf)][:room], nil
}

// filled records that the first n bytes of the last space are plaintext. n is not 0.
func (w *Writer) filled(n int) {
	switch {
	case w.room > 0:
	case w.fits():
		w.index++
		w.room = w.plain(w.index)
		w.batch.buf = w.batch.buf[:len(w.batch.buf)+tagSize]
	default:
		w.dispatch(false)
		w.start(w.next, w.index+1)
		w.next = nil
	}
	w.batch.buf = w.batch.buf[:len(w.batch.buf)+n]
	w.room -= int64(n)
}

// fits reports whether the current batch has room for another segment.
func (w *Writer) fits() bool {
	return int64(len(w.batch.buf))+w.sealed(w.index+1) <= w.limit(w.batch.first)
}

// start begins to fill a batch. Its length always includes the tag of its last segment.
func (w *Writer) start(b *batch, index int64) {
	b.first, b.buf = index, grow(b.buf[:0], tagSize)
	w.batch, w.index, w.room = b, index, w.plain(index)
}

// prepare makes a buffer for the batch after the current one. It writes the batches that are sealed, and
// waits for the oldest if as many are in use as may be.
func (w *Writer) prepare() error {
	if w.next != nil {
		return nil
	}
	for len(w.queue) > workers() || len(w.queue) > 0 && w.queue[0].isDone() {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.next = &batch{buf: w.spares.take()}
	return nil
}

// dispatch seals the current batch.
func (w *Writer) dispatch(last bool) {
	b := w.batch
	w.batch, b.last = nil, last
	b.run(last, w.seal)
	w.queue = append(w.queue, b)
}

// flush writes the oldest full batch.
func (w *Writer) flush() error {
	b := w.queue[0]
	w.queue = w.queue[1:]
	b.wait()
	_, err := w.w.Write(b.buf)
	w.spares.keep(b)
	return err
}

// Close writes the final segment. If the final segment is missing, no reader accepts the object as
// complete. Close does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err == errClosed {
		return nil
	}
	if err := w.usable(); err != nil {
		return err
	}
	if w.batch == nil {
		w.start(&batch{}, 0)
	}
	w.dispatch(true)
	for len(w.queue) > 0 {
		if err := w.flush(); err != nil {
			w.fail(err)
			return err
		}
	}
	w.fail(errClosed)
	return nil
}

// Abort abandons the object: the final segment is never written, so no reader accepts the
// object as complete. After Close it does nothing.
func (w *Writer) Abort() {
	if w.err == nil {
		w.fail(errAborted)
	}
}

// fail ends the Writer, and releases its buffers.
func (w *Writer) fail(err error) {
	w.err = err
	w.batch, w.queue, w.next = nil, nil, nil
	w.spares.release()
}
