package memfs

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/vault"
)

// partSize is the length of a part in bytes. It fits into the cache of a processor.
const partSize = 1 << 20

var errPartsFirst = errors.New("memfs: WriteParts was called after Write")

// WriteParts implements [vault.PartWriter].
func (w *writer) WriteParts(s vault.Sealed) error {
	switch {
	case w.err != nil:
		return w.err
	case w.draft == nil:
		return errClosed
	case w.written:
		return errPartsFirst
	}
	w.written = true
	w.err = w.draft.writeParts(w.ctx, s)
	return w.err
}

// eachPart divides size bytes into parts, and calls a writer for each of them. Each processor has a writer
// of its own, which newWriter returns.
func eachPart(ctx context.Context, size int64, newWriter func() (write func(offset, n int64) error)) error {
	workers, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(int64(runtime.GOMAXPROCS(0)), (size+partSize-1)/partSize) {
		workers.Go(func() error {
			write := newWriter()
			for {
				offset := next.Add(partSize) - partSize
				if offset >= size {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := write(offset, min(partSize, size-offset)); err != nil {
					return err
				}
			}
		})
	}
	return workers.Wait()
}

func (d *fileDraft) writeParts(ctx context.Context, s vault.Sealed) error {
	return eachPart(ctx, s.Size, func() func(offset, n int64) error {
		buf := make([]byte, min(partSize, s.Size))
		return func(offset, n int64) error {
			if err := s.Part(buf[:n], offset); err != nil {
				return err
			}
			_, err := d.WriteAt(buf[:n], offset)
			return classify(err)
		}
	})
}

func (d *memDraft) writeParts(ctx context.Context, s vault.Sealed) error {
	object := make([]byte, s.Size)
	d.Buffer = *bytes.NewBuffer(object)
	return eachPart(ctx, s.Size, func() func(offset, n int64) error {
		return func(offset, n int64) error { return s.Part(object[offset:offset+n], offset) }
	})
}
