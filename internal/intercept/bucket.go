package intercept

import (
	"context"
	"io"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// A bucket is a driver that delegates to any [blob.Bucket].
type bucket struct {
	inner *blob.Bucket
	hooks Hooks
}

func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode { return gcerrors.Code(err) }
func (b *bucket) As(i any) bool                          { return b.inner.As(i) }
func (b *bucket) ErrorAs(err error, i any) bool          { return b.inner.ErrorAs(err, i) }
func (b *bucket) Close() error                           { return nil } // the store closes the bucket

func (b *bucket) Attributes(ctx context.Context, key string) (a *driver.Attributes, err error) {
	err = b.hooks.call(ctx, Call{Op: "attributes", Key: key}, func() error {
		attrs, err := b.inner.Attributes(ctx, key)
		if err == nil {
			a = &driver.Attributes{
				CacheControl: attrs.CacheControl, ContentDisposition: attrs.ContentDisposition, ContentEncoding: attrs.ContentEncoding,
				ContentLanguage: attrs.ContentLanguage, ContentType: attrs.ContentType, Metadata: attrs.Metadata,
				CreateTime: attrs.CreateTime, ModTime: attrs.ModTime, Size: attrs.Size, MD5: attrs.MD5, ETag: attrs.ETag, AsFunc: attrs.As,
			}
		}
		return err
	})
	return a, err
}

func (b *bucket) ListPaged(ctx context.Context, o *driver.ListOptions) (page *driver.ListPage, err error) {
	err = b.hooks.call(ctx, Call{Op: "list", Key: o.Prefix, Delimiter: o.Delimiter}, func() error {
		token, size := o.PageToken, o.PageSize
		if len(token) == 0 {
			token = blob.FirstPageToken
		}
		if size == 0 {
			size = 1000
		}
		objects, next, err := b.inner.ListPage(ctx, token, size, &blob.ListOptions{Prefix: o.Prefix, Delimiter: o.Delimiter, BeforeList: o.BeforeList})
		if err != nil {
			return err
		}
		page = &driver.ListPage{NextPageToken: next}
		for _, attrs := range objects {
			page.Objects = append(page.Objects, &driver.ListObject{Key: attrs.Key, ModTime: attrs.ModTime, Size: attrs.Size, MD5: attrs.MD5, IsDir: attrs.IsDir, AsFunc: attrs.As})
		}
		return nil
	})
	return page, err
}

func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, o *driver.ReaderOptions) (driver.Reader, error) {
	c := Call{Op: "get", Key: key, Offset: offset, Length: length}
	var r *blob.Reader
	err := b.hooks.call(ctx, c, func() (err error) {
		r, err = b.inner.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{BeforeRead: o.BeforeRead})
		return err
	})
	if err != nil {
		if r != nil {
			r.Close()
		}
		return nil, err
	}
	return &reader{ReadCloser: b.hooks.body(c, r), inner: r}, nil
}

type reader struct {
	io.ReadCloser
	inner *blob.Reader
}

// As hides an io.ReaderAt, which no hook would intercept.
func (r *reader) As(i any) bool {
	_, random := i.(*io.ReaderAt)
	return !random && r.inner.As(i)
}

func (r *reader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: r.inner.ContentType(), ModTime: r.inner.ModTime(), Size: r.inner.Size()}
}

func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, err := b.inner.NewWriter(ctx, key, &blob.WriterOptions{
		BufferSize: o.BufferSize, MaxConcurrency: o.MaxConcurrency, CacheControl: o.CacheControl,
		ContentDisposition: o.ContentDisposition, ContentEncoding: o.ContentEncoding, ContentLanguage: o.ContentLanguage,
		ContentType: contentType, ContentMD5: o.ContentMD5, Metadata: o.Metadata, BeforeWrite: o.BeforeWrite, IfNotExist: o.IfNotExist,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	op := "put"
	if o.IfNotExist {
		op = "create"
	}
	return &writer{Writer: w, ctx: ctx, cancel: cancel, hooks: b.hooks, call: Call{Op: op, Key: key}}, nil
}

type writer struct {
	*blob.Writer
	ctx    context.Context
	cancel context.CancelFunc
	hooks  Hooks
	call   Call
}

// Close completes the write, unless the hook loses the request. Then nothing is stored.
func (w *writer) Close() error {
	defer w.cancel()
	if err := w.ctx.Err(); err != nil {
		w.Writer.Close()
		return err
	}
	called := false
	err := w.hooks.call(w.ctx, w.call, func() error {
		called = true
		return w.Writer.Close()
	})
	if !called {
		w.cancel()
		w.Writer.Close()
	}
	return err
}

func (b *bucket) Copy(ctx context.Context, dst, src string, o *driver.CopyOptions) error {
	return b.hooks.call(ctx, Call{Op: "copy", Key: dst}, func() error {
		return b.inner.Copy(ctx, dst, src, &blob.CopyOptions{BeforeCopy: o.BeforeCopy})
	})
}

func (b *bucket) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	return b.hooks.call(ctx, Call{Op: "delete", Key: key}, func() error { return b.inner.Delete(ctx, key) })
}

func (b *bucket) SignedURL(ctx context.Context, key string, o *driver.SignedURLOptions) (string, error) {
	return b.inner.SignedURL(ctx, key, &blob.SignedURLOptions{
		Expiry: o.Expiry, Method: o.Method, ContentType: o.ContentType,
		EnforceAbsentContentType: o.EnforceAbsentContentType, BeforeSign: o.BeforeSign,
	})
}
