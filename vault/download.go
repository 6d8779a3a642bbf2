package vault

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// spanSize is the length of a part that is opened and written as it arrives.
const spanSize = firstRange

// Download writes the value to w, each byte at its offset, and returns its length. Large objects are read
// with several requests at a time, if the store allows it, and each part is verified and written as it
// arrives: see [Store].Parallel. w is called by several goroutines at a time, for ranges that do not
// overlap. A file must not be in append mode.
//
// Download must be called before Read, and ends the Reader. Every byte that is written was verified.
// Only if the error is nil is the value complete. Otherwise w may have any part of it.
func (r *Reader) Download(w io.WriterAt) (n int64, err error) {
	switch {
	case r.plain == nil:
		return 0, &Error{Op: "get", Err: fmt.Errorf("%w: the Reader was not returned by Get", ErrConfig)}
	case r.started, r.err == io.EOF:
		return 0, &Error{Op: "get", Name: string(r.info.Name), Err: fmt.Errorf("%w: Download was called after Read", ErrConfig)}
	case r.err != nil:
		return 0, r.err
	}
	download := r.download
	if r.object == nil || r.body.window == nil {
		from := r.readerAt()
		if from == nil {
			return r.WriteTo(io.NewOffsetWriter(w, 0))
		}
		download = func(w io.WriterAt) error { return r.openAt(w, from) }
	}
	r.started = true
	out := &sinkAt{w: w}
	err = download(out)
	if failed := out.err.Load(); failed != nil { // not an error of the value
		r.end(*failed)
		return 0, r.err
	}
	if r.end(r.checked(err)); r.err != nil {
		return 0, r.err
	}
	r.end(io.EOF)
	return r.info.Size, nil
}

// A sinkAt remembers the first error of a writer.
type sinkAt struct {
	w   io.WriterAt
	err atomic.Pointer[error]
}

func (s *sinkAt) WriteAt(p []byte, offset int64) (int, error) {
	n, err := s.w.WriteAt(p, offset)
	if err != nil {
		s.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// download opens the spans of the object, several at a time. The first is in the response that is open.
func (r *Reader) download(w io.WriterAt) error {
	b := r.body
	spans, ctx := errgroup.WithContext(b.ctx)
	spans.SetLimit(b.b.store.Parallel)
	b.window = nil                           // request no part that is kept in memory
	defer context.AfterFunc(ctx, b.cancel)() // the first span ends with the others
	first := true
	for s, err := range r.object.Spans(b.size, spanSize) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil { // a failure of a span comes first
			return cmp.Or(spans.Wait(), err)
		}
		if first {
			first = false
			spans.Go(func() error { return r.object.OpenTo(w, io.LimitReader(b, s.Length), s) })
			continue
		}
		spans.Go(func() error {
			from := b.part(ctx, s.Offset, s.Length)
			defer from.Close()
			return r.object.OpenTo(w, from, s)
		})
	}
	return spans.Wait()
}

// readerAt returns the object, if the store can read it at any offset: see [Store].Bucket. It returns nil
// for a short object, which needs no other goroutine.
func (r *Reader) readerAt() *responseAt {
	if r.object == nil || r.body.response == nil || r.body.size <= minParts {
		return nil
	}
	from := &responseAt{ctx: r.body.ctx, response: r.body.response}
	if as, ok := from.body.(interface{ As(any) bool }); !ok || !as.As(&from.at) {
		return nil
	}
	return from
}

// openAt opens the spans of the object, one on each processor at a time.
func (r *Reader) openAt(w io.WriterAt, from *responseAt) error {
	spans, ctx := errgroup.WithContext(r.body.ctx)
	spans.SetLimit(runtime.GOMAXPROCS(0))
	defer func() { from.n = min(from.n+from.more.Load(), r.body.size) }() // also if a span fails
	for s, err := range r.object.Spans(r.body.size, spanSize) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil { // a failure of a span comes first
			return cmp.Or(spans.Wait(), err)
		}
		spans.Go(func() error { return r.object.OpenTo(w, io.NewSectionReader(from, s.Offset, s.Length), s) })
	}
	return spans.Wait()
}

// A responseAt reads the object of a response at any offset.
type responseAt struct {
	*response
	ctx  context.Context
	at   io.ReaderAt
	more atomic.Int64 // bytes that were read
}

func (r *responseAt) ReadAt(p []byte, offset int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.at.ReadAt(p, offset)
	r.more.Add(int64(n))
	if err != nil && n < len(p) {
		if err == io.EOF { // an object has the size that its reader reports
			err = fact(ErrUnavailable, io.ErrUnexpectedEOF)
		}
		return n, r.b.explain(err)
	}
	return n, nil
}

// WriteTo writes the rest of the value to w, verified and in order. [io.Copy] calls it.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	switch {
	case r.plain == nil:
		return 0, &Error{Op: "get", Err: fmt.Errorf("%w: the Reader was not returned by Get", ErrConfig)}
	case r.err == io.EOF:
		return 0, nil
	case r.err != nil:
		return 0, r.err
	}
	r.started = true
	out := &sink{w: w}
	n, err := io.Copy(out, r.plain)
	if out.err != nil { // not an error of the value; what was read is lost
		r.end(out.err)
		return n, out.err
	}
	if r.end(r.checked(err)); r.err == nil {
		r.end(io.EOF)
		return n, nil
	}
	return n, r.err
}

// A sink remembers the error of a writer.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = err
	return n, err
}
