package memfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"time"

	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/vault"
)

// A shelf stores the objects of a bucket and their versions, in memory or in a directory. Its
// errors wrap the sentinels of package vault. The caller has checked the keys.
type shelf interface {
	// open returns the object at key or, if id is not empty, that version of it.
	open(ctx context.Context, key, id string) (*content, error)
	// draft begins a write, which is invisible until it is published.
	draft(ctx context.Context, key string) (draft, error)
	// remove removes the object at key if c, whose absent is not set, is true.
	remove(ctx context.Context, key string, c condition) error
	// list yields the objects whose keys begin with prefix and are not less than *from, in the
	// order of the keys' bytes. The caller may raise *from during the iteration.
	list(ctx context.Context, prefix string, from *string) iter.Seq2[object, error]
	// versions returns the versions of key: the current one first, then newest first.
	versions(ctx context.Context, key string) ([]vault.Version, error)
	// keysWithPast yields all keys that begin with prefix and have old versions. It may yield
	// other keys, too.
	keysWithPast(ctx context.Context, prefix string) iter.Seq2[string, error]
	// purge permanently removes one version of key that is not current, if it exists.
	purge(ctx context.Context, key string, old state) error
	close() error
}

// A draft is an object that is being written. It ends with one call of publish or discard.
type draft interface {
	io.Writer
	// writeParts writes the object s, to a draft to which nothing was written before.
	writeParts(ctx context.Context, s vault.Sealed) error
	// copyFrom appends n bytes of c, starting at offset.
	copyFrom(ctx context.Context, c *content, offset, n int64) error
	// publish makes the written content the object at its key if c is true, and returns its id.
	// If it fails, nothing has changed.
	publish(ctx context.Context, a attrs, c condition) (id string, err error)
	discard()
}

// A condition must be true of the object that is replaced. The zero value is always true.
type condition struct {
	absent bool   // no object exists
	tag    string // if not empty: the object has this id
}

// check returns an error unless the object, with the given id if it is present, meets c.
func (c condition) check(present bool, id uint64) error {
	switch {
	case c.absent && present:
		return vault.ErrExist
	case c.tag != "" && !present:
		return fmt.Errorf("%w: the object no longer exists", vault.ErrConflict)
	case c.tag != "" && formatID(id) != c.tag:
		return fmt.Errorf("%w: its tag is %s now, and was %s before", vault.ErrConflict, formatID(id), c.tag)
	}
	return nil
}

// A content is an object opened for reading. Its bytes do not change.
type content struct {
	io.ReaderAt
	size  int64
	id    uint64
	attrs attrs
	close func() error
}

// An object is an entry of a list.
type object struct {
	key      string
	size     int64
	modified time.Time
	// costly reports whether finding the next object reads a whole directory. Then the caller
	// does not search only to learn whether there is a next object.
	costly bool
}

// A bucket implements a gocloud driver, and the rest of a [vault.Store], with a shelf.
type bucket struct{ shelf shelf }

var (
	_ driver.Bucket   = (*bucket)(nil)
	_ vault.Putter    = (*bucket)(nil)
	_ vault.Creator   = (*bucket)(nil)
	_ vault.Swapper   = (*bucket)(nil)
	_ vault.Splicer   = (*bucket)(nil)
	_ vault.Historian = (*bucket)(nil)
	_ vault.Remover   = (*bucket)(nil)

	_ vault.ConditionalRemover = (*bucket)(nil)
	_ vault.Purger             = (*bucket)(nil)
)

// Put implements [vault.Putter].
func (b *bucket) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return b.fill(ctx, "put", key, condition{}, fill)
}

// Create implements [vault.Creator].
func (b *bucket) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return b.fill(ctx, "create", key, condition{absent: true}, fill)
}

// Swap implements [vault.Swapper]. An object's tag is its id.
func (b *bucket) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
	if _, ok := parseID(tag); !ok {
		return "", fmt.Errorf("swap %s: %w: %q is not a tag of this store", key, vault.ErrConflict, tag)
	}
	return b.fill(ctx, "swap", key, condition{tag: tag}, fill)
}

// Splice implements [vault.Splicer].
func (b *bucket) Splice(ctx context.Context, key string, x vault.Splice) (id string, err error) {
	if id, err = b.splice(ctx, key, x); err != nil {
		return "", fmt.Errorf("splice %s: %w", key, err)
	}
	return id, nil
}

func (b *bucket) splice(ctx context.Context, key string, x vault.Splice) (id string, err error) {
	c, err := b.open(ctx, key, "")
	if errors.Is(err, vault.ErrNotFound) {
		return "", fmt.Errorf("%w: the object no longer exists", vault.ErrConflict)
	}
	if err != nil {
		return "", err
	}
	defer c.close()
	same := condition{tag: x.Tag}
	if err := same.check(true, c.id); err != nil {
		return "", err
	}
	if !x.Conditional {
		same = condition{}
	}
	w, err := b.newWriter(ctx, key, attrs{}, same)
	if err != nil {
		return "", err
	}
	defer w.discard()
	if _, err := w.Write(x.Start); err != nil {
		return "", err
	}
	if err := w.draft.copyFrom(ctx, c, x.From, x.Size-x.From); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return w.id, nil
}

func (b *bucket) fill(ctx context.Context, op, key string, c condition, fill func(io.Writer) error) (id string, err error) {
	w, err := b.newWriter(ctx, key, attrs{}, c)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", op, key, err)
	}
	defer w.discard()
	if err := fill(w); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("%s %s: %w", op, key, err)
	}
	return w.id, nil
}

// Versions implements [vault.Historian].
func (b *bucket) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		all, err := b.all(ctx, key)
		if err != nil {
			yield(vault.Version{}, fmt.Errorf("versions of %s: %w", key, err))
			return
		}
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (b *bucket) all(ctx context.Context, key string) ([]vault.Version, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	return b.shelf.versions(ctx, key)
}

// OpenVersion implements [vault.Historian]. A version never changes, so it has no tag.
func (b *bucket) OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error) {
	if _, ok := parseID(id); !ok {
		return nil, "", fmt.Errorf("version %q of %s: %w", id, key, vault.ErrNotFound)
	}
	r, err := b.newReader(ctx, key, id, offset, length)
	if err != nil {
		return nil, "", fmt.Errorf("version %s of %s: %w", id, key, err)
	}
	return r, "", nil
}

// Remove implements [vault.Remover].
func (b *bucket) Remove(ctx context.Context, keys []string) (failed map[string]error, err error) {
	failed = map[string]error{}
	for _, key := range keys {
		if err := b.remove(ctx, key, condition{}); err != nil {
			failed[key] = fmt.Errorf("remove %s: %w", key, err)
		}
	}
	return failed, nil // the outcome of each key is known, even after ctx has ended
}

// RemoveIf implements [vault.ConditionalRemover].
func (b *bucket) RemoveIf(ctx context.Context, key, tag string) error {
	if _, ok := parseID(tag); !ok {
		return fmt.Errorf("remove %s: %w: %q is not a tag of this store", key, vault.ErrConflict, tag)
	}
	if err := b.remove(ctx, key, condition{tag: tag}); err != nil {
		return fmt.Errorf("remove %s: %w", key, err)
	}
	return nil
}

func (b *bucket) remove(ctx context.Context, key string, c condition) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	return b.shelf.remove(ctx, key, c)
}

// ErrorCode implements [driver.Bucket].
func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch explain(err) {
	case vault.ErrNotFound:
		return gcerrors.NotFound
	case vault.ErrExist, vault.ErrConflict: // blob.Bucket requires this code for a refused create
		return gcerrors.FailedPrecondition
	case vault.ErrPermission:
		return gcerrors.PermissionDenied
	case vault.ErrNoSpace:
		return gcerrors.ResourceExhausted
	case vault.ErrInvalidName:
		return gcerrors.InvalidArgument
	case vault.ErrUnsupported:
		return gcerrors.Unimplemented
	}
	return gcerrors.Unknown
}

// As implements [driver.Bucket]. There is no underlying type.
func (b *bucket) As(any) bool { return false }

// ErrorAs implements [driver.Bucket].
func (b *bucket) ErrorAs(error, any) bool { return false }

func asNothing(any) bool { return false }

// Attributes implements [driver.Bucket].
func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	c, err := b.open(ctx, key, "")
	if err != nil {
		return nil, err
	}
	defer c.close()
	return &driver.Attributes{
		CacheControl:       c.attrs.CacheControl,
		ContentDisposition: c.attrs.ContentDisposition,
		ContentEncoding:    c.attrs.ContentEncoding,
		ContentLanguage:    c.attrs.ContentLanguage,
		ContentType:        c.attrs.contentType(),
		Metadata:           maps.Clone(c.attrs.Metadata),
		ModTime:            timeOf(c.id),
		Size:               c.size,
		ETag:               `"` + formatID(c.id) + `"`,
	}, nil
}

func (b *bucket) open(ctx context.Context, key, id string) (*content, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	return b.shelf.open(ctx, key, id)
}

// maxPage is the maximum number of objects in a page.
const maxPage = 1000

// ListPaged implements [driver.Bucket]. A page token is the least key that may follow, so
// writes and deletions between two pages do not disturb a list.
func (b *bucket) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	if o.BeforeList != nil {
		if err := o.BeforeList(asNothing); err != nil {
			return nil, err
		}
	}
	size := o.PageSize
	if size == 0 || size > maxPage {
		size = maxPage
	}
	from := string(o.PageToken)
	page := new(driver.ListPage)
	for found, err := range b.shelf.list(ctx, o.Prefix, &from) {
		if err != nil {
			return nil, err
		}
		if len(page.Objects) == size {
			page.NextPageToken = []byte(from)
			break
		}
		dir := ""
		if o.Delimiter != "" {
			if before, _, ok := strings.Cut(found.key[len(o.Prefix):], o.Delimiter); ok {
				dir = o.Prefix + before + o.Delimiter
			}
		}
		if dir != "" {
			page.Objects = append(page.Objects, &driver.ListObject{Key: dir, IsDir: true})
			from = after(dir)
		} else {
			page.Objects = append(page.Objects, &driver.ListObject{Key: found.key, ModTime: found.modified, Size: found.size})
			from = found.key + "\x00"
		}
		if found.costly && len(page.Objects) == size {
			page.NextPageToken = []byte(from) // the page may be empty
			break
		}
	}
	return page, nil
}

// after returns the least string that is greater than all strings with the prefix. Since prefix
// is UTF-8, it has a byte that can be raised.
func after(prefix string) string {
	return prefix[:len(prefix)-1] + string([]byte{prefix[len(prefix)-1] + 1})
}

// NewRangeReader implements [driver.Bucket].
func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, o *driver.ReaderOptions) (driver.Reader, error) {
	r, err := b.newReader(ctx, key, "", offset, length)
	if err != nil {
		return nil, err
	}
	if o.BeforeRead != nil {
		if err := o.BeforeRead(asNothing); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

func (b *bucket) newReader(ctx context.Context, key, id string, offset, length int64) (*reader, error) {
	c, err := b.open(ctx, key, id)
	if err != nil {
		return nil, err
	}
	left := max(c.size-offset, 0)
	if length >= 0 {
		left = min(left, length)
	}
	return &reader{ctx, c, offset, left}, nil
}

// A reader reads a range of a content. It keeps the context of its creation, as gocloud
// requires.
type reader struct {
	ctx    context.Context
	c      *content
	offset int64
	left   int64
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.c.ReadAt(p[:min(int64(len(p)), r.left)], r.offset)
	r.offset += int64(n)
	r.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; r.left > 0 {
			err = io.ErrUnexpectedEOF // another program truncated the file
		}
	}
	return n, err
}

func (r *reader) Close() error { return r.c.close() }

// As returns the object as an [io.ReaderAt], whatever the range of r: see [vault.Store].Bucket.
func (r *reader) As(i any) bool {
	at, ok := i.(*io.ReaderAt)
	if ok {
		*at = r.c
	}
	return ok
}

func (r *reader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: r.c.attrs.contentType(), ModTime: timeOf(r.c.id), Size: r.c.size}
}

// NewTypedWriter implements [driver.Bucket].
func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	w, err := b.newWriter(ctx, key, newAttrs(contentType, o), condition{absent: o.IfNotExist})
	if err != nil {
		return nil, err
	}
	if o.BeforeWrite != nil {
		if err := o.BeforeWrite(asNothing); err != nil {
			w.discard()
			return nil, err
		}
	}
	return w, nil
}

func (b *bucket) newWriter(ctx context.Context, key string, a attrs, c condition) (*writer, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	d, err := b.shelf.draft(ctx, key)
	if err != nil {
		return nil, err
	}
	return &writer{ctx: ctx, draft: d, attrs: a, condition: c}, nil
}

var errClosed = errors.New("the writer was closed before")

// A writer publishes its draft when it is closed, unless a write failed or the context has
// ended. It keeps the context of its creation, as gocloud requires.
type writer struct {
	ctx       context.Context
	draft     draft // nil after it was closed
	attrs     attrs
	condition condition
	written   bool   // by Write or WriteParts
	id        string // set when it is published
	err       error  // the first error
}

func (w *writer) Write(p []byte) (n int, err error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.draft == nil:
		return 0, errClosed
	}
	w.written = true
	if w.err = w.ctx.Err(); w.err == nil {
		n, w.err = w.draft.Write(p)
	}
	return n, w.err
}

func (w *writer) Close() error {
	d := w.draft
	if d == nil {
		return errClosed
	}
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err != nil {
		w.discard()
		return w.err
	}
	w.draft = nil
	w.id, w.err = d.publish(w.ctx, w.attrs, w.condition)
	return w.err
}

func (w *writer) discard() {
	if w.draft != nil {
		w.draft.discard()
		w.draft = nil
	}
}

// Copy implements [driver.Bucket].
func (b *bucket) Copy(ctx context.Context, to, from string, o *driver.CopyOptions) error {
	if o.BeforeCopy != nil {
		if err := o.BeforeCopy(asNothing); err != nil {
			return err
		}
	}
	r, err := b.newReader(ctx, from, "", 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := b.newWriter(ctx, to, r.c.attrs, condition{})
	if err != nil {
		return err
	}
	defer w.discard()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Close()
}

// Delete implements [driver.Bucket].
func (b *bucket) Delete(ctx context.Context, key string, o *driver.DeleteOptions) error {
	if o.BeforeDelete != nil {
		if err := o.BeforeDelete(asNothing); err != nil {
			return err
		}
	}
	return b.remove(ctx, key, condition{})
}

// SignedURL implements [driver.Bucket]. It is not supported, because no server serves the
// objects.
func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", fmt.Errorf("signed URL: %w", vault.ErrUnsupported)
}

// Close implements [driver.Bucket].
func (b *bucket) Close() error { return b.shelf.close() }
