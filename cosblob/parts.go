package cosblob

import (
	"context"
	"errors"
)

// Parts is an object of known length, whose parts can be requested in any order.
type Parts struct {
	Size int64 // in bytes
	// Part fills p with the bytes from offset on. Several goroutines call it at once. Each byte is requested
	// once, and kept until the service has it.
	Part func(p []byte, offset int64) error
}

// A PartWriter writes an object of known length in parts, several at a time, without the copies of Write.
// WriterOptions.BeforeWrite gets it: its as function sets a *PartWriter, which can be used after NewWriter
// has returned.
type PartWriter struct{ w *writer }

var errPartsFirst = errors.New("cosblob: WriteParts needs a writer without a Tail, to which nothing was written")

// WriteParts writes the object s. Nothing may be written before or after it, and the writer must be closed
// as usual: Close publishes the object. When WriteParts returns, no call of s.Part is in progress. If it
// fails, cancel the context of the writer before Close.
func (p *PartWriter) WriteParts(s Parts) error {
	w := p.w
	if w == nil || w.up != nil || len(w.buf) > 0 || w.tail.Length > 0 {
		return errPartsFirst
	}
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil {
		w.err = w.writeParts(&s)
	}
	return w.err
}

func (w *writer) writeParts(s *Parts) (err error) {
	if s.Size <= int64(w.whole) {
		w.buf = make([]byte, s.Size)
		return s.Part(w.buf, 0)
	}
	size := max(int64(w.size), (s.Size+usualParts-1)/usualParts)
	if err := w.start(); err != nil {
		return err
	}
	for from := int64(0); from < s.Size && err == nil; from += size {
		err = w.up.sendFrom(s, from, min(size, s.Size-from), size)
	}
	w.up.sending.Wait()
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case err == nil && w.up.ctx.Err() != nil:
		return context.Cause(w.up.ctx)
	}
	return err
}
