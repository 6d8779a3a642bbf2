package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Content is a value of known size that can be read more than once. If the value that is passed to
// [Vault.Put] is a Content, and the store reported that nothing was applied, Put can send the value again,
// whatever its length. Put can also send the value of an [io.Seeker] again, such as an [*os.File] of a
// regular file, a [*bytes.Reader] or a [*strings.Reader]. These need no Content.
//
// If such a file or reader, or one that Open returns, has more than 8 MiB, the store may let several goroutines
// read, seal and send parts of it at once. Each part is read once. A type that embeds one of them is read in
// sequence, because its Read may return other bytes than its ReadAt. If the size or the
// modification time of a file changes meanwhile, Put fails and stores nothing.
type Content struct {
	Size int64                         // length in bytes; Put fails if the value has another length
	Open func() (io.ReadCloser, error) // opens the value at its start; called again for each attempt

	r   io.ReadCloser
	n   int64
	err error // what every further Read returns
}

// Read implements [io.Reader]. It opens the value before the first byte, and closes it after the
// last one or an error.
func (c *Content) Read(p []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case c.r == nil:
		if err := c.rewind(); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	switch {
	case c.n > c.Size, err == io.EOF && c.n < c.Size:
		err = c.tooLong(c.n)
		if c.n < c.Size {
			err = fmt.Errorf("%w: its Size is %d and it has %d bytes", io.ErrUnexpectedEOF, c.Size, c.n)
		}
	}
	if err != nil {
		c.close()
		c.err = err
	}
	return n, err
}

func (c *Content) tooLong(n int64) error {
	return fmt.Errorf("%w: Content.Size is %d, but the content has at least %d bytes", ErrConfig, c.Size, n)
}

// rewind opens the value at its start.
func (c *Content) rewind() error {
	c.close()
	if c.Open == nil {
		return fmt.Errorf("%w: the Content has no Open function", ErrConfig)
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	c.r, c.n, c.err = r, 0, nil
	return nil
}

func (c *Content) close() {
	if c.r != nil {
		c.r.Close()
		c.r = nil
	}
}

// sizeOf returns how many bytes are left in r, if that is known.
func sizeOf(r io.Reader) (int64, bool) {
	switch r := r.(type) {
	case *source:
		return sizeOf(r.r)
	case *Content:
		return r.Size, true
	case *bytes.Reader:
		return int64(r.Len()), true
	case *strings.Reader:
		return int64(r.Len()), true
	case *os.File:
		fi, err := r.Stat()
		if err != nil || !fi.Mode().IsRegular() {
			return 0, false
		}
		at, err := r.Seek(0, io.SeekCurrent)
		return max(0, fi.Size()-at), err == nil
	case interface{ Size() (int64, bool) }: // a reader around one of these; it may also be an io.ReaderAt
		return r.Size()
	}
	return 0, false
}

// DefaultReadLimit is the default of [ReadAllOptions].Limit, in bytes.
const DefaultReadLimit = 16 << 20

// ReadAllOptions configures [Vault.ReadAll]. With nil or the zero value, ReadAll reads the whole
// current object.
type ReadAllOptions struct {
	GetOptions
	// Limit is the maximum length of the value in bytes; 0 means [DefaultReadLimit].
	Limit int64
}

// ReadAll returns the value called name, or a range of it, after it has verified all returned
// bytes. If they are more than the limit, the error wraps [ErrTooLarge]. The other errors are those
// of [Vault.Get] and [Reader.Read].
func (v *Vault) ReadAll(ctx context.Context, name Name, o *ReadAllOptions) (value []byte, info Info, err error) {
	defer wrap(&err, "get", string(name))
	if o == nil {
		o = &ReadAllOptions{}
	}
	limit := o.Limit
	if limit <= 0 {
		limit = DefaultReadLimit
	}
	r, err := v.Get(ctx, name, &o.GetOptions)
	if err != nil {
		return nil, Info{}, err
	}
	defer r.Close()
	if o.Range == nil && r.Info().Size > limit { // the store's claim, which is enough to refuse
		return nil, Info{}, tooLarge(limit)
	}
	value, err = io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, Info{}, err
	case int64(len(value)) > limit:
		return nil, Info{}, tooLarge(limit)
	}
	return value, r.Info(), nil
}

func tooLarge(limit int64) error {
	return fmt.Errorf("%w: the value has more than %d bytes", ErrTooLarge, limit)
}
