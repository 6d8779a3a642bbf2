package envelope

import "io"

// A Reader returns the plaintext of one object. [Open] returns it.
//
// A value of more than 256 KiB is opened by several goroutines at once, as many as GOMAXPROCS and at most
// eight. The Reader holds at most that many MiB and two more, and reads sealed bytes only during a call of a method. Its
// goroutines end by themselves: none outlives 1 MiB of work.
type Reader struct {
	o Object
	opening
}

// Header returns the header, which is authenticated.
func (r *Reader) Header() *Header { return r.o.header }

// Metadata returns the metadata that was sealed with the payload.
func (r *Reader) Metadata() Metadata { return r.o.metadata }

// Object returns the object that r reads, to open parts of it independently of r.
func (r *Reader) Object() *Object { return &r.o }

// Complete reports whether all of the plaintext was read and the final segment was verified. If it
// returns false, the bytes that were read may be only the start of the object.
func (r *Reader) Complete() bool { return r.complete }

// Read implements [io.Reader]. It verifies each byte before it returns it. After an error, every
// further Read returns the same error. Read of the zero Reader returns [ErrInvalid].
func (r *Reader) Read(p []byte) (int, error) {
	if r.src == nil {
		return 0, errZeroReader
	}
	return r.read(p)
}

// WriteTo writes the rest of the plaintext to w, verified and in order. [io.Copy] calls it.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.src == nil {
		return 0, errZeroReader
	}
	return r.writeTo(w)
}

// An opening reads consecutive sealed segments, and returns their plaintext in order.
type opening struct {
	segments
	src   *source
	next  int64 // index of the next segment to read
	left  int64 // sealed bytes to read; negative: all
	final bool  // the last segment of the payload is included: src must end after it
	skip  int64 // plaintext bytes to leave out at the start

	target  *target
	alone   bool  // start no goroutine
	limited bool  // take limits the plaintext
	take    int64 // plaintext bytes to return after skip

	ahead    [1]byte  // the byte that follows the last batch, if hasAhead
	hasAhead bool     // it was read to find out whether that batch is the last
	ended    error    // why no further batch can be read: io.EOF or a failure; nil: there may be one
	queue    []*batch // read, in order
	returned int      // batches
	spares
	current  *batch // whose plaintext is being returned
	plain    []byte // verified bytes of a segment of current that were not returned yet
	complete bool   // the end was verified, and every byte was returned
	err      error  // returned by every further read
}

func (r *opening) read(p []byte) (int, error) {
	if len(p) == 0 {
		if len(r.plain) > 0 {
			return 0, nil
		}
		return 0, r.err
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	r.checkComplete()
	return n, nil
}

func (r *opening) writeTo(w io.Writer) (n int64, err error) {
	for {
		switch err := r.fill(); {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
		k, err := w.Write(r.plain)
		if err == nil && k < len(r.plain) {
			err = io.ErrShortWrite
		}
		n += int64(k)
		r.plain = r.plain[k:]
		r.checkComplete()
		if err != nil {
			return n, err
		}
	}
}

// fill makes sure that plain is not empty.
func (r *opening) fill() error {
	for len(r.plain) == 0 && r.err == nil {
		if b := r.current; b == nil || len(b.plain) == 0 {
			r.err = r.advance()
			continue
		}
		b := r.current
		r.plain, b.plain = b.plain[0], b.plain[1:]
		skip := min(r.skip, int64(len(r.plain)))
		r.plain, r.skip = r.plain[skip:], r.skip-skip
		if r.limited {
			r.plain = r.plain[:min(r.take, int64(len(r.plain)))]
			r.take -= int64(len(r.plain))
		}
	}
	if len(r.plain) > 0 {
		return nil
	}
	return r.err
}

// checkComplete sets complete with the last byte of the payload.
func (r *opening) checkComplete() {
	if b := r.current; len(r.plain) == 0 && len(b.plain) == 0 && b.last && b.err == nil {
		r.complete = true
	}
}

// advance makes the next batch current.
func (r *opening) advance() error {
	if b := r.current; b != nil {
		if b.err != nil {
			r.settle()
			return b.err
		}
		r.spares.keep(b)
		r.current = nil
	}
	// A reader that stops early should not have read much more than it returned: begin with one batch, and
	// read one more ahead each time.
	for r.ended == nil && len(r.queue) <= min(r.returned, workers()) && (len(r.queue) == 0 || !r.queue[0].isDone()) {
		b := &batch{target: r.target}
		if r.next > 0 && (r.left < 0 || r.left > smallBuffer) {
			b.buf = r.spares.take()
		}
		if r.ended = r.readBatch(b); len(b.buf) == 0 {
			r.spares.keep(b)
		} else {
			b.run(r.alone || r.returned == 0, r.open) // there is nothing else to do for the first batch
			r.queue = append(r.queue, b)
		}
	}
	if len(r.queue) == 0 {
		r.spares.release()
		if r.ended == io.EOF {
			r.complete = r.final
		}
		return r.ended
	}
	r.returned++
	r.current = r.queue[0]
	r.queue = r.queue[1:]
	r.current.wait()
	return nil
}

// settle waits for the batches that are opened into the buffer of the caller, who may use it for something
// else after an error.
func (r *opening) settle() {
	for _, b := range r.queue {
		if r.target != nil {
			b.wait()
		}
	}
}

// readBatch reads the next segments into b. It returns the reason if no batch follows. If the sealed
// bytes end early, b contains the segments that are complete.
func (r *opening) readBatch(b *batch) error {
	limit := r.limit(r.next)
	b.first, b.last, b.err, b.buf = r.next, false, nil, b.buf[:0]
	if !r.final { // read no byte after the span
		want := min(limit, r.left)
		if want == 0 {
			return io.EOF
		}
		return r.readPart(b, want)
	}
	if r.hasAhead {
		b.buf = append(b.buf, r.ahead[0])
		r.hasAhead = false
	}
	err := r.readUpTo(b, limit+1)
	switch n := int64(len(b.buf)); {
	case err == nil && n > limit:
		r.ahead[0], r.hasAhead = b.buf[limit], true
		b.buf = b.buf[:limit]
		if r.left >= 0 {
			if r.left -= limit; r.left <= 0 { // src has more than the span
				return r.cut(b, ErrDecrypt)
			}
		}
		return r.passed(b)
	case err != nil && err != io.EOF:
		return r.cut(b, r.src.or(ErrDecrypt))
	case n == 0, r.left >= 0 && r.left != n:
		return r.cut(b, ErrDecrypt)
	}
	b.last = true
	return io.EOF
}

// readPart reads want bytes of a span that does not include the last segment.
func (r *opening) readPart(b *batch, want int64) error {
	b.buf = grow(b.buf, int(want))
	n, err := io.ReadFull(r.src, b.buf)
	if b.buf = b.buf[:n]; err != nil {
		return r.cut(b, r.src.or(ErrDecrypt))
	}
	r.left -= want
	if err := r.passed(b); err != nil || r.left > 0 {
		return err
	}
	return io.EOF
}

// passed counts the segments of a full batch.
func (r *opening) passed(b *batch) error {
	if r.next += (int64(len(b.buf)) + r.size - 1) / r.size; r.next >= maxSegments {
		return ErrDecrypt
	}
	return nil
}

// cut leaves in b only complete segments, and of these only the ones that were followed by more bytes if
// the payload ends in the span: another could be the last.
func (r *opening) cut(b *batch, err error) error {
	whole, have := int64(0), int64(len(b.buf))
	if r.final {
		have--
	}
	for index := b.first; whole+r.sealed(index) <= have; index++ {
		whole += r.sealed(index)
	}
	b.buf = b.buf[:whole]
	return err
}

// readUpTo reads until b has n bytes. The buffer grows with its content.
func (r *opening) readUpTo(b *batch, n int64) error {
	for int64(len(b.buf)) < n {
		if len(b.buf) == cap(b.buf) {
			need := max(minRead, int64(len(b.buf))+1)
			if r.left >= 0 {
				need = min(r.left+1, n)
			}
			b.buf = grow(b.buf, int(need))[:len(b.buf)]
		}
		k, err := r.src.Read(b.buf[len(b.buf):min(int64(cap(b.buf)), n)])
		if b.buf = b.buf[:len(b.buf)+k]; err != nil {
			return err
		}
	}
	return nil
}
