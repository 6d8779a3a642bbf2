package cosblob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/linger"
)

// abortTime is how long an upload that failed may take to be aborted.
const abortTime = 30 * time.Second

// An upload is a multipart upload. It ends with finish or abandon.
type upload struct {
	b        *bucket
	name, id string
	ctx      context.Context // ends with the caller's, and with the first part that fails
	caller   context.Context
	ended    atomic.Int64 // when the caller's context ended, in nanoseconds since 1970; 0: it has not
	fail     context.CancelCauseFunc
	slots    chan struct{} // one for each part under way
	free     chan []byte   // buffers of parts that were sent
	parts    []*part       // in order; each is written by the goroutine that sends it
	sending  sync.WaitGroup
}

// A part, or what all of them are together.
type part struct {
	etag string
	crc  uint64
	size int64
}

// BUG(objectvault): If the answer to the start of a multipart upload is lost, it is
// started again, and an upload without parts may stay behind. It costs nothing, and
// cannot be told from another client's; a lifecycle rule removes it
// (AbortIncompleteMultipartUpload).

// start begins an upload. It takes the headers of a PUT.
func (b *bucket) start(ctx context.Context, name string, options *cos.ObjectPutOptions, once int) (*upload, error) {
	o := cos.CloneObjectPutOptions(options)
	o.ContentMD5, o.ContentLength = "", 0
	var got *cos.InitiateMultipartUploadResult
	err := b.try(ctx, repeatable, func(ctx context.Context) (err error) {
		lasting, cancel := answered(ctx) // only the response has the id, which an abort needs
		defer cancel()
		got, _, err = b.client.Object.InitiateMultipartUpload(lasting, name, &cos.InitiateMultipartUploadOptions{
			ACLHeaderOptions: o.ACLHeaderOptions, ObjectPutHeaderOptions: o.ObjectPutHeaderOptions,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if got.UploadID == "" {
		return nil, fmt.Errorf("cosblob: %w: an upload was begun, and has no id", ErrForeign)
	}
	u := &upload{
		b: b, name: name, id: url.QueryEscape(got.UploadID), // the SDK puts it into the URL as it is
		slots: make(chan struct{}, once), free: make(chan []byte, once),
	}
	u.ctx, u.fail = context.WithCancelCause(ctx)
	u.caller = ctx
	context.AfterFunc(ctx, func() { u.ended.CompareAndSwap(0, time.Now().UnixNano()) })
	return u, nil
}

// send sends data as the next part, as soon as one of those under way is done. The
// upload owns data from then on.
func (u *upload) send(data []byte) error {
	return u.do(func(ctx context.Context, n int, p *part) error { return u.put(ctx, n, p, data) })
}

// buffer returns an empty buffer for a part.
func (u *upload) buffer(size int) []byte {
	select {
	case buf := <-u.free:
		return buf
	default:
		return make([]byte, 0, size)
	}
}

// do makes the next part in a goroutine, when there is a slot for it.
func (u *upload) do(send func(ctx context.Context, n int, p *part) error) error {
	if len(u.parts) == maxParts {
		return fmt.Errorf("cosblob: the object has more than %d parts: give WriterOptions.BufferSize", maxParts)
	}
	select {
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	case u.slots <- struct{}{}:
	}
	if u.ctx.Err() != nil {
		<-u.slots
		return context.Cause(u.ctx)
	}
	p := new(part)
	u.parts = append(u.parts, p)
	n := len(u.parts)
	u.sending.Go(func() {
		defer func() { <-u.slots }()
		if err := send(u.ctx, n, p); err != nil {
			u.fail(err)
		}
	})
	return nil
}

func (u *upload) put(ctx context.Context, n int, p *part, data []byte) error {
	p.crc, p.size = crc64.Checksum(data, crcTable), int64(len(data))
	tries := 0
	err := u.b.try(ctx, repeatable, func(ctx context.Context) error {
		tries++
		lasting, cancel := answered(ctx)
		defer cancel()
		resp, err := u.b.client.Object.UploadPart(lasting, u.name, u.id, n, newBody(ctx, data), &cos.ObjectUploadPartOptions{ContentLength: p.size})
		if err != nil {
			return err
		}
		p.etag = resp.Header.Get("ETag")
		return checkPart(resp.Header, n, p, data)
	})
	if err != nil || tries > 1 {
		return err // a request that failed may be reading data still
	}
	select {
	case u.free <- data[:0]:
	default:
	}
	return nil
}

// checkPart compares the answer to a part with what was sent.
func checkPart(h http.Header, n int, p *part, data []byte) error {
	if p.etag == "" {
		return fmt.Errorf("%w: part %d has no ETag", ErrChecksum, n)
	}
	if _, ok := crcOf(h); !ok {
		if sum := md5.Sum(data); md5Of(h) != nil && !bytes.Equal(md5Of(h), sum[:]) {
			return fmt.Errorf("%w: the service's MD5 of part %d is not that of what was sent", ErrChecksum, n)
		}
	}
	return checkCRC(h, p.crc)
}

// after returns a context for what has to follow an upload that failed, or whose response was
// lost. The caller's may have ended: then little time is left.
func (u *upload) after() (context.Context, context.CancelFunc) {
	d := abortTime
	if u.caller.Err() != nil {
		u.ended.CompareAndSwap(0, time.Now().UnixNano())
		d = time.Until(time.Unix(0, u.ended.Load()).Add(lateTime))
	}
	return linger.Context(u.caller, d)
}

// sent is what the parts are together.
func (u *upload) sent() *part {
	whole := new(part)
	for _, p := range u.parts {
		whole.crc, whole.size = joinCRC(whole.crc, p.crc, p.size), whole.size+p.size
	}
	return whole
}

// wait waits for the parts, and removes them if one has failed.
func (u *upload) wait() error {
	u.sending.Wait()
	if u.ctx.Err() != nil {
		return u.abandon(context.Cause(u.ctx))
	}
	return nil
}

// finish publishes the object, or leaves nothing. It comes after wait. The service's CRC64 is
// compared with that of whole, if it is not nil.
func (u *upload) finish(ctx context.Context, forbid string, whole *part) (Written, error) {
	o := &cos.CompleteMultipartUploadOptions{XOptionHeader: &http.Header{}}
	if forbid != "" {
		o.XOptionHeader = &http.Header{headerForbid: {forbid}}
	}
	for i, p := range u.parts {
		o.Parts = append(o.Parts, cos.Object{PartNumber: i + 1, ETag: p.etag})
	}
	var got *cos.CompleteMultipartUploadResult
	var resp *cos.Response
	err := u.b.try(ctx, publishing, func(ctx context.Context) (err error) {
		lasting, cancel := answered(ctx)
		defer cancel()
		got, resp, err = u.b.client.Object.CompleteMultipartUpload(lasting, u.name, u.id, o)
		return err
	})
	if err != nil {
		return u.lost(err, whole)
	}
	u.fail(nil)
	if got.ETag == "" {
		return Written{}, errNoETag
	}
	if whole == nil {
		return written(resp.Header, got.ETag), nil
	}
	if resp.Header.Get("X-Cos-Version-Id") == "" && resp.Header.Get("X-Cos-Hash-Crc64ecma") == "" {
		return u.untold(got.ETag, whole)
	}
	if err := checkCRC(resp.Header, whole.crc); err != nil {
		return Written{}, fmt.Errorf("%w; it was written", err)
	}
	return written(resp.Header, got.ETag), nil
}

// untold asks for what the answer to the end of an upload did not tell: its head may have
// gone out before there was an object (436/7742).
func (u *upload) untold(tag string, whole *part) (Written, error) {
	ctx, cancel := u.after()
	defer cancel()
	resp, err := u.b.head(ctx, unescapeKey(u.name), nil)
	switch {
	case err != nil:
		return Written{ETag: tag, Untold: true}, nil
	case strings.Trim(resp.Header.Get("ETag"), `"`) == strings.Trim(tag, `"`):
		if err := checkCRC(resp.Header, whole.crc); err != nil {
			return Written{}, fmt.Errorf("%w; it was written", err)
		}
		return written(resp.Header, tag), nil
	}
	return Written{ETag: tag, Untold: resp.Header.Get("X-Cos-Version-Id") != ""}, nil
}

// lost aborts an upload whose end failed with err. Only we know its id: if it is gone and
// the object has our checksum, then it was finished and the answer was lost.
func (u *upload) lost(err error, whole *part) (Written, error) {
	gone, aerr := u.abort()
	if aerr != nil || !gone || whole == nil || refused(err) {
		return Written{}, u.alsoAbort(err, aerr)
	}
	ctx, cancel := u.after()
	defer cancel()
	resp, herr := u.b.head(ctx, unescapeKey(u.name), nil)
	if herr != nil || resp.ContentLength != whole.size {
		return Written{}, err
	}
	if crc, ok := crcOf(resp.Header); !ok || binary.BigEndian.Uint64(crc) != whole.crc {
		return Written{}, err
	}
	return written(resp.Header, resp.Header.Get("ETag")), nil
}

// abandon removes the parts and returns err.
func (u *upload) abandon(err error) error {
	_, aerr := u.abort()
	return u.alsoAbort(err, aerr)
}

// An UnfinishedError is a write that failed, and whose parts could not be removed.
type UnfinishedError struct {
	Err   error // of the write
	Abort error // why the parts stay
	Size  int64 // of the parts, in bytes
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("%v; the %d bytes that were sent stay until the upload is aborted: %v", e.Err, e.Size, e.Abort)
}

// Unwrap returns the error of the write. Abort is not wrapped: it does not say why the write failed.
func (e *UnfinishedError) Unwrap() error { return e.Err }

func (u *upload) alsoAbort(err, aerr error) error {
	if aerr == nil {
		return err
	}
	return &UnfinishedError{err, aerr, u.sent().size}
}

// abort removes the parts, once nothing is sent any more. It reports whether the upload
// was gone already. The caller's context may have ended.
func (u *upload) abort() (gone bool, err error) {
	u.fail(nil)
	u.sending.Wait()
	ctx, cancel := u.after()
	defer cancel()
	err = u.b.try(ctx, repeatable, func(ctx context.Context) error {
		_, err := u.b.client.Object.AbortMultipartUpload(ctx, u.name, u.id)
		return err
	})
	if code(err) == "NoSuchUpload" {
		return true, nil
	}
	return false, err
}
