package cosblob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob/driver"
)

const (
	wholeSize       = 9 << 20 // default maximum size of a write in one request; a larger one is a multipart upload
	partSize        = 5 << 20 // default size of a part
	partConcurrency = 10      // default number of parts that are sent at a time
	minPart         = 1 << 20 // minimum size of a part, except the last (436/14518)
	maxParts        = 10000
	// With the default size, the parts after the first manyParts have largePart, and fewer are sent at a
	// time: the length of an object is not known before its end, and the memory must not grow with it.
	manyParts = 8000
	largePart = 32 << 20
	// usualParts is the number of parts of an object whose length is known before, if the size of a part is too
	// small for it.
	usualParts = 9000
)

// headerForbid makes a write create-only in a bucket that never had versioning. A multipart upload
// must send it with its start and with its end.
const headerForbid = "X-Cos-Forbid-Overwrite"

func forbid(h *http.Header) string {
	if h == nil {
		return ""
	}
	return h.Get(headerForbid)
}

// A Written describes the object of a successful write.
type Written struct {
	ETag      string // with its quotes; after a multipart upload it is not a checksum
	VersionID string // "" if the bucket has no versioning or versioning is suspended
	// VersionUnknown means that VersionID is not known. The response to a multipart upload did
	// not contain it, and a later read failed or found the object of another writer.
	VersionUnknown bool
}

func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	name, err := escapeKey(key)
	if err != nil {
		return nil, err
	}
	meta, err := writeMetadata(o.Metadata)
	if err != nil {
		return nil, err
	}
	in := &cos.ObjectPutOptions{
		ACLHeaderOptions: new(cos.ACLHeaderOptions),
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
			CacheControl:       o.CacheControl,
			ContentDisposition: o.ContentDisposition,
			ContentEncoding:    o.ContentEncoding,
			ContentLanguage:    o.ContentLanguage,
			ContentType:        contentType,
			XCosMetaXXX:        meta,
			XOptionHeader:      &http.Header{},
		},
	}
	if o.IfNotExist {
		in.XOptionHeader = &http.Header{headerForbid: {"true"}}
	}
	written, tail, parts := new(Written), new(Tail), new(PartWriter)
	if o.BeforeWrite != nil {
		options, result, rest, direct := as(&in), as(&written), as(&tail), as(&parts)
		if err := o.BeforeWrite(func(i any) bool { return options(i) || result(i) || rest(i) || direct(i) }); err != nil {
			return nil, err
		}
	}
	if err := b.checkTail(tail); err != nil {
		return nil, err
	}
	parts.w = &writer{
		ctx: ctx, b: b, key: key, name: name, options: cos.CloneObjectPutOptions(in), written: written, tail: *tail,
		size:        max(cmp.Or(o.BufferSize, partSize), minPart),
		whole:       max(cmp.Or(o.BufferSize, wholeSize), minPart),
		grows:       o.BufferSize == 0,
		concurrency: max(cmp.Or(o.MaxConcurrency, partConcurrency), 1),
	}
	return parts.w, nil
}

// A writer buffers data until it has a complete part, or until it is closed.
type writer struct {
	ctx         context.Context
	b           *bucket
	key, name   string
	options     *cos.ObjectPutOptions
	written     *Written
	tail        Tail
	whole       int  // maximum size of one request
	size        int  // size of a part
	grows       bool // later parts have largePart
	concurrency int  // number of parts at a time
	buf         []byte
	up          *upload // nil while one request suffices
	err         error   // the error of Write
}

func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := w.ready(); err != nil {
			return n, err
		}
		k := min(len(p), w.room()-len(w.buf))
		w.grow(len(w.buf) + k)
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, nil
}

// room returns how many bytes the buffer may hold.
func (w *writer) room() int {
	switch {
	case w.up == nil:
		return w.whole
	case w.grows && len(w.up.parts) >= manyParts:
		return largePart
	}
	return w.size
}

// ready makes sure that the buffer has space. It returns an error if the writer has failed.
func (w *writer) ready() error {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil && len(w.buf) == w.room() {
		if w.err = w.flush(false); w.err != nil && w.ctx.Err() != nil {
			w.err = w.ctx.Err()
		}
	}
	return w.err
}

// grow enlarges the buffer to at least n bytes, and at most to room. It copies large buffers only once.
func (w *writer) grow(n int) {
	if cap(w.buf) == 0 && w.up != nil {
		w.buf = w.up.buffer(w.room())
	}
	if n <= cap(w.buf) {
		return
	}
	size := max(n, 2*cap(w.buf), 4<<10)
	if size > 2<<20 {
		size = w.room()
	}
	w.buf = append(make([]byte, 0, min(size, w.room())), w.buf...)
}

// start starts the multipart upload, unless there is one.
func (w *writer) start() error {
	if w.up != nil {
		return nil
	}
	up, err := w.b.start(w.ctx, w.name, w.options, w.concurrency, int64(w.size))
	if err != nil {
		return w.settleConflict(err)
	}
	w.up = up
	return nil
}

// flush sends the buffer in parts. Unless all is true, it keeps what is less than a part.
func (w *writer) flush(all bool) error {
	if err := w.start(); err != nil {
		return err
	}
	rest := w.buf
	w.buf = nil
	for len(rest) >= w.room() || all && len(rest) > 0 {
		n := min(w.room(), len(rest))
		if all && len(rest)-n < minPart {
			n = len(rest) // each part before a tail must have minPart
		}
		part := rest[:n:n]
		if n < len(rest) { // a copy, so that the larger buffer does not stay
			part = append(w.up.buffer(n), part...)
		}
		if err := w.up.send(part); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		w.buf = append(w.up.buffer(w.room()), rest...)
	}
	return nil
}

func (w *writer) Close() error {
	err := w.publish()
	w.buf = nil
	if err == nil || w.ctx.Err() == nil {
		return err
	}
	if errors.Is(err, w.ctx.Err()) {
		return err // it may also report parts that remain
	}
	ended := w.ctx.Err()
	if left := (*UnfinishedError)(nil); errors.As(err, &left) {
		ended = &UnfinishedError{ended, left.Abort, left.Size}
	}
	if failed := (*unpublished)(nil); errors.As(err, &failed) {
		return &unpublished{ended}
	}
	return ended
}

func (w *writer) publish() error {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil && w.up == nil && w.tail.Length > 0 && len(w.buf) < minPart {
		w.err = fmt.Errorf("cosblob: a tail requires that at least %d bytes are written before it", minPart)
	}
	if w.err == nil && w.up == nil && w.tail.Length == 0 {
		done, err := w.b.put(w.ctx, w.name, w.buf, w.options)
		if err != nil {
			return w.settleConflict(err)
		}
		*w.written = done
		return nil
	}
	if w.err == nil {
		w.err = w.flush(true)
	}
	if w.err == nil && w.tail.Length > 0 {
		w.err = w.copyTail()
	}
	if w.up == nil {
		return &unpublished{w.err}
	}
	if w.err != nil {
		return &unpublished{w.up.abandon(w.err)}
	}
	if err := w.up.wait(); err != nil {
		return &unpublished{w.settleConflict(err)}
	}
	done, err := w.up.finish(w.ctx, forbid(w.options.XOptionHeader), w.up.whole())
	if err != nil {
		return w.settleConflict(err)
	}
	*w.written = done
	return nil
}

// settleConflict finds out whether a create-only write lost against a concurrent request.
func (w *writer) settleConflict(err error) error {
	if c := code(err); forbid(w.options.XOptionHeader) == "" || c != "PathConflict" && c != "UploadConflict" {
		return err
	}
	if _, herr := w.b.head(w.ctx, w.key, nil); herr == nil {
		return fmt.Errorf("%w: %w", errExists, err)
	}
	return err
}

// put stores an object with one request.
func (b *bucket) put(ctx context.Context, name string, data []byte, options *cos.ObjectPutOptions) (Written, error) {
	sum := md5.Sum(data)
	o := cos.CloneObjectPutOptions(options)
	o.ContentLength = int64(len(data))
	o.ContentMD5 = base64.StdEncoding.EncodeToString(sum[:])
	var resp *cos.Response
	var sent *body
	err := b.try(ctx, publishing, func(ctx context.Context) (err error) {
		sent = newBody(ctx, data)
		var from io.Reader = sent
		if len(data) == 0 {
			from = bytes.NewReader(nil) // with any other type the SDK would send chunks
		}
		lasting, cancel := lingeringContext(ctx)
		defer cancel()
		resp, err = b.client.Object.Put(lasting, name, from, o)
		return err
	})
	if err != nil && (sent == nil || sent.interrupt()) {
		err = &unpublished{err}
	}
	if err != nil {
		return Written{}, err
	}
	if resp.Header.Get("ETag") == "" {
		return Written{}, errNoETag
	}
	if err := checkCRC(resp.Header, crc64.Checksum(data, crcTable)); err != nil {
		return Written{}, fmt.Errorf("%w; the object was stored", err)
	}
	return written(resp.Header, resp.Header.Get("ETag")), nil
}

func written(h http.Header, tag string) Written {
	return Written{ETag: tag, VersionID: h.Get("X-Cos-Version-Id")}
}
