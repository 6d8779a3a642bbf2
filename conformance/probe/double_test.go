package probe_test

import (
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// A double is a driver over any bucket. A function that is not nil replaces a method. All other
// methods use the bucket.
type double struct {
	*blob.Bucket
	read   func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error)
	list   func(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error)
	write  func(ctx context.Context, key string, o *driver.WriterOptions) (driver.Writer, error)
	remove func(ctx context.Context, key string) error
	size   func(driver.ReaderAttributes) driver.ReaderAttributes
}

func (d *double) ErrorCode(err error) gcerrors.ErrorCode                          { return gcerrors.Code(err) }
func (d *double) As(any) bool                                                     { return false }
func (d *double) ErrorAs(error, any) bool                                         { return false }
func (d *double) Close() error                                                    { return nil }
func (d *double) Copy(context.Context, string, string, *driver.CopyOptions) error { panic("unused") }

func (d *double) Attributes(context.Context, string) (*driver.Attributes, error) { panic("unused") }

func (d *double) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	panic("unused")
}

func (d *double) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	if d.remove != nil {
		return d.remove(ctx, key)
	}
	return d.Bucket.Delete(ctx, key)
}

func (d *double) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	if d.list != nil {
		return d.list(ctx, o)
	}
	return listPage(ctx, d.Bucket, o)
}

func listPage(ctx context.Context, b *blob.Bucket, o *driver.ListOptions) (*driver.ListPage, error) {
	token := o.PageToken
	if len(token) == 0 {
		token = blob.FirstPageToken
	}
	objects, next, err := b.ListPage(ctx, token, o.PageSize, &blob.ListOptions{Prefix: o.Prefix})
	if err != nil {
		return nil, err
	}
	page := &driver.ListPage{NextPageToken: next}
	for _, object := range objects {
		page.Objects = append(page.Objects, &driver.ListObject{Key: object.Key, ModTime: object.ModTime, Size: object.Size})
	}
	return page, nil
}

func (d *double) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	read := d.read
	if read == nil {
		read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
			return d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
		}
	}
	r, err := read(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return &doubleReader{r, d.size}, nil
}

type doubleReader struct {
	*blob.Reader
	size func(driver.ReaderAttributes) driver.ReaderAttributes
}

func (r *doubleReader) Attributes() *driver.ReaderAttributes {
	a := driver.ReaderAttributes{ContentType: r.ContentType(), ModTime: r.ModTime(), Size: r.Size()}
	if r.size != nil {
		a = r.size(a)
	}
	return &a
}

func (d *double) NewTypedWriter(ctx context.Context, key, _ string, o *driver.WriterOptions) (driver.Writer, error) {
	if d.write != nil {
		return d.write(ctx, key, o)
	}
	return newWriter(ctx, d.Bucket, key, o.IfNotExist)
}

func newWriter(ctx context.Context, b *blob.Bucket, key string, create bool) (driver.Writer, error) {
	return b.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: create})
}

// withDouble returns a copy of s whose bucket is a double.
func withDouble(s *vault.Store, change func(d *double)) *vault.Store {
	d := &double{Bucket: s.Bucket}
	change(d)
	c := *s
	c.Bucket = blob.NewBucket(d)
	if d.write != nil {
		c.Put = nil // a put is a write of the bucket
	}
	return &c
}

// changed returns a changed copy of s.
func changed(s *vault.Store, change func(s *vault.Store)) *vault.Store {
	c := *s
	change(&c)
	return &c
}

type creator func(ctx context.Context, key string, fill func(io.Writer) error) (string, error)

func (f creator) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return f(ctx, key, fill)
}

type swapper func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error)

func (f swapper) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
	return f(ctx, key, tag, fill)
}

type splicer func(ctx context.Context, key string, x vault.Splice) (string, error)

func (f splicer) Splice(ctx context.Context, key string, x vault.Splice) (string, error) {
	return f(ctx, key, x)
}

type remover func(ctx context.Context, keys []string) (map[string]error, error)

func (f remover) Remove(ctx context.Context, keys []string) (map[string]error, error) {
	return f(ctx, keys)
}

// A historian changes the results of the wrapped Historian.
type historian struct {
	vault.Historian
	versions func(key string, all []vault.Version) []vault.Version
	open     func(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, error)
}

func (h historian) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	if h.versions == nil {
		return h.Historian.Versions(ctx, key)
	}
	return func(yield func(vault.Version, error) bool) {
		var all []vault.Version
		for v, err := range h.Historian.Versions(ctx, key) {
			if err != nil {
				yield(v, err)
				return
			}
			all = append(all, v)
		}
		for _, v := range h.versions(key, all) {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (h historian) OpenVersion(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, string, error) {
	if h.open == nil {
		return h.Historian.OpenVersion(ctx, key, id, offset, length)
	}
	r, err := h.open(ctx, key, id, offset, length)
	return r, "", err
}

// A purger hides some leftovers from a list or from a purge.
type purger struct {
	vault.Purger
	list  func(vault.Leftover) bool
	purge func(vault.Leftover) bool
}

func (p purger) Leftovers(ctx context.Context, prefix string) iter.Seq2[vault.Leftover, error] {
	return func(yield func(vault.Leftover, error) bool) {
		for l, err := range p.Purger.Leftovers(ctx, prefix) {
			if (err != nil || p.list == nil || p.list(l)) && !yield(l, err) {
				return
			}
		}
	}
}

func (p purger) Purge(ctx context.Context, all []vault.Leftover) (map[vault.Leftover]error, error) {
	var some []vault.Leftover
	for _, l := range all {
		if p.purge == nil || p.purge(l) {
			some = append(some, l)
		}
	}
	return p.Purger.Purge(ctx, some)
}

type putter func(ctx context.Context, key string, fill func(io.Writer) error) (string, error)

func (f putter) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return f(ctx, key, fill)
}

// A lossyWriter takes an object in parts, and loses the last one.
type lossyWriter struct{ bytes.Buffer }

func (w *lossyWriter) WriteParts(s vault.Sealed) error {
	const size = 1 << 20
	object := make([]byte, s.Size)
	for from := int64(0); from+size < s.Size; from += size {
		if err := s.Part(object[from:from+size], from); err != nil {
			return err
		}
	}
	w.Write(object)
	return nil
}
