package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/objectvault/objectvault/envelope"
)

// An Object is an open object, of which any part can be read. [Vault.Open] opens it. All reads are of
// the same stored object: if another writer replaces it, they fail.
//
// ReadAt may be called by several goroutines at once. Read and Seek share a position.
type Object struct {
	v      *Vault
	info   Info
	ctx    context.Context
	cancel context.CancelFunc
	closed atomic.Bool
	failed atomic.Pointer[error] // of the first read that failed
	proven atomic.Bool           // the end was verified, so Info.Size is certain
	remote *remote               // nil: the value is in memory
	memory []byte

	mu     sync.Mutex
	op     *operation // ends with Close
	at     int64      // position of Read
	stream *Reader    // reads from at on; nil: not open
}

// A remote is an object of the store whose header was opened.
type remote struct {
	place
	head
	object *envelope.Object
}

// Open opens the object called name for reads of any part. It reads the header, unwraps the data key once,
// and sends one request. Each ReadAt of at most 8 MiB then sends at most one request, and none if the first
// 16 KiB of the object have the bytes. Reads in sequence continue one request, as those of a [Reader].
//
// The requests of all reads use ctx. The caller must close the Object. o.Range must be nil. An object of
// agentKeys, or a pending value of the [Spool], is read into memory; if it is longer than
// [DefaultReadLimit], the error wraps [ErrTooLarge]. The other errors are those of [Vault.Get].
func (v *Vault) Open(ctx context.Context, name Name, o *GetOptions) (_ *Object, err error) {
	defer wrap(&err, "open", string(name))
	ctx, op := v.operate(ctx, "open", name)
	defer func() {
		if err != nil {
			op.end(Info{}, err)
		}
	}()
	if o == nil {
		o = &GetOptions{}
	}
	if o.Range != nil {
		return nil, fmt.Errorf("%w: GetOptions.Range of an Open is not nil", ErrConfig)
	}
	header := *o
	header.header = true // the Reader of an object of the store then reads nothing
	ctx, cancel := context.WithCancel(ctx)
	r, err := v.Get(ctx, name, &header)
	if err != nil {
		cancel()
		return nil, err
	}
	defer r.Close()
	object := &Object{v: r.v, info: r.info, ctx: ctx, cancel: cancel, remote: r.remote, op: op}
	if object.remote == nil {
		if object.memory, err = io.ReadAll(io.LimitReader(r, DefaultReadLimit+1)); err == nil && len(object.memory) > DefaultReadLimit {
			err = tooLarge(DefaultReadLimit)
		}
		if err != nil {
			cancel()
			return nil, err
		}
		object.info.Size = int64(len(object.memory))
	}
	return object, nil
}

// Info describes the object, as [Reader.Info] does. Its Size is verified by the first read that reaches the
// end.
func (o *Object) Info() Info { return o.info }

// ReadAt implements [io.ReaderAt]. Every byte that it returns was verified. It returns [io.EOF] only after
// the end of the object was verified. If the object was replaced since Open, the error wraps
// [ErrUnavailable].
func (o *Object) ReadAt(p []byte, offset int64) (n int, err error) {
	defer o.wrap(&err)
	switch err := o.usable(); {
	case err != nil:
		return 0, err
	case offset < 0:
		return 0, fmt.Errorf("%w: the offset %d is negative", ErrConfig, offset)
	case o.remote == nil:
		return bytes.NewReader(o.memory).ReadAt(p, offset)
	case offset >= o.info.Size && o.proven.Load():
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	p, wanted := p[:min(int64(len(p)), max(0, o.info.Size-offset))], len(p)
	r, err := o.section(offset, int64(wanted), p)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err = io.ReadFull(r, p)
	if err == nil && offset+int64(n) >= o.info.Size {
		err = o.prove(r)
	}
	if err == nil && n < wanted {
		err = io.EOF
	}
	return n, err
}

// section opens the part of the value from offset on. A negative length means all bytes to the end. If
// into is not nil, the caller reads all of the part into it.
func (o *Object) section(offset, length int64, into []byte) (*Reader, error) {
	m := o.remote
	span, err := m.object.Range(m.size, min(offset, o.info.Size), length)
	if err != nil {
		return nil, err
	}
	return o.v.readSpan(o.ctx, m, span, o.info, into)
}

// prove reads the end of r, which was read up to the last byte.
func (o *Object) prove(r *Reader) error {
	switch n, err := r.Read(make([]byte, 1)); {
	case err == io.EOF && n == 0:
		o.proven.Store(true)
		return nil
	case err != nil:
		return err
	}
	return envelope.ErrDecrypt // not reached: a span ends with the value
}

// Read implements [io.Reader]. See [Object.ReadAt] for its guarantees.
func (o *Object) Read(p []byte) (n int, err error) {
	defer o.wrap(&err)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.usable(); err != nil {
		return 0, err
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case o.remote == nil:
		n, err = bytes.NewReader(o.memory).ReadAt(p, o.at)
		o.at += int64(n)
		return n, err
	case o.stream != nil:
	case o.at >= o.info.Size && o.proven.Load():
		return 0, io.EOF
	default:
		if o.stream, err = o.section(o.at, -1, nil); err != nil {
			return 0, err
		}
	}
	n, err = o.stream.Read(p)
	if o.at += int64(n); err == io.EOF {
		o.proven.Store(true)
	} else if err != nil { // another Read opens another stream
		o.stream.Close()
		o.stream = nil
	}
	return n, err
}

// Seek implements [io.Seeker]. A position relative to the end is returned only after the end was verified,
// which may need one request.
func (o *Object) Seek(offset int64, whence int) (_ int64, err error) {
	defer o.wrap(&err)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.usable(); err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		if o.remote != nil && !o.proven.Load() {
			r, err := o.section(o.info.Size, -1, nil)
			if err == nil {
				err = o.prove(r)
				r.Close()
			}
			if err != nil {
				return 0, err
			}
		}
		offset += o.info.Size
	default:
		return 0, fmt.Errorf("%w: whence is %d", ErrConfig, whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("%w: the position is negative", ErrConfig)
	}
	if offset != o.at && o.stream != nil {
		o.stream.Close()
		o.stream = nil
	}
	o.at = offset
	return offset, nil
}

// Close ends the requests that are in progress. It always returns nil, and may be called more than once.
func (o *Object) Close() error {
	if o == nil || o.v == nil || o.closed.Swap(true) {
		return nil
	}
	var failed error
	if err := o.failed.Load(); err != nil {
		failed = *err
	}
	o.op.end(o.info, failed)
	o.cancel() // also ends a Read, which holds mu
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != nil {
		o.stream.Close()
	}
	return nil
}

func (o *Object) usable() error {
	switch {
	case o == nil || o.v == nil:
		return fmt.Errorf("%w: the Object was not returned by Open", ErrConfig)
	case o.closed.Load():
		return errClosedReader
	}
	return nil
}

// wrap wraps an error other than io.EOF in an [*Error], once.
func (o *Object) wrap(err *error) {
	if *err == nil || *err == io.EOF || errors.As(*err, new(*Error)) {
		return
	}
	name := ""
	if o != nil {
		name = string(o.info.Name)
		o.failed.CompareAndSwap(nil, err)
	}
	wrap(err, "read", name)
}
