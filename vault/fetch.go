package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A place identifies an object to read: the current object of a key, or one version of it.
type place struct {
	key     string
	version string    // empty means current
	known   *snapshot // the version in the listing; nil for the current object
	// revision is the revision by which the version was chosen, or 0. It was read from a header
	// that was not authenticated yet.
	revision int64
	// before is the mark of the name from before the request; zero for an old version.
	before mark
	accept bool // accepts a current object that is older than a known one
	// unless is the tag of the value that the caller has; empty for none.
	unless     string
	headerOnly bool // open no part of the value
}

// A body yields sealed bytes from offset to end, all of one stored object. If a response is
// cut, it requests the rest, and checks that the object is still the same. If responses
// continue to be cut, it returns [ErrUnavailable] and never an early EOF, so that a bad
// connection does not look like a damaged object.
type body struct {
	snapshot
	b        *backend
	parent   context.Context // of the caller
	ctx      context.Context // ends with parent, or with Close
	cancel   context.CancelFunc
	at       place
	explain  func(error) error // tells an absent object from a denied one
	start    int64             // offset of the first byte
	offset   int64             // of the next byte
	stop     int64             // end of the bytes that are read from response
	end      int64
	window   *window   // reads the bytes from stop to end; nil: there are none
	pinned   bool      // snapshot is set before the first request
	response *response // the response being read; nil before the first request
	requests int
	stalled  int   // requests since the last byte
	silent   bool  // a connection was silent for its timeout since the last byte
	finished error // what every further Read returns
}

// fetch opens length bytes of the object at offset. A negative length means the rest. The range
// is clipped to the size of the object. More than 8 MiB are requested in parts, if the store allows
// several requests at a time: see [Store].Parallel.
func (v *Vault) fetch(ctx context.Context, at place, offset, length int64) (*body, error) {
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	b := &body{
		b: v.backend, parent: parent, ctx: ctx, cancel: cancel, at: at, explain: func(err error) error { return v.absentAt(ctx, at, err) },
		start: offset, offset: offset, end: offset + length,
	}
	if length < 0 {
		b.end = -1
	}
	b.stop = b.end
	if v.store.Parallel > 1 && (length < 0 || length > firstRange) {
		b.stop = offset + firstRange
	}
	if err := b.open(); err != nil {
		cancel()
		return nil, err
	}
	if b.end < 0 || b.end > b.size {
		b.end = b.size
	}
	if b.stop < 0 || b.stop >= b.end {
		b.stop = b.end
	} else {
		b.window = &window{b: b, next: b.stop}
	}
	return b, nil
}

// part opens length bytes at offset of the object that b reads. They are requested at the first Read.
func (b *body) part(ctx context.Context, offset, length int64) *body {
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	return &body{
		snapshot: b.snapshot, pinned: true, b: b.b, parent: parent, ctx: ctx, cancel: cancel, at: b.at, explain: b.explain,
		start: offset, offset: offset, stop: offset + length, end: offset + length,
	}
}

// open sends one request for the bytes that are still missing.
func (b *body) open() error {
	length := int64(-1)
	if b.stop >= 0 {
		length = b.stop - b.offset
	}
	b.requests++
	current, r, err := b.b.open(b.ctx, b.at, b.offset, length, b.requests)
	if err != nil {
		return err
	}
	if b.requests == 1 && !b.pinned {
		b.snapshot = current
	} else if !current.same(b.snapshot) {
		r.fail(errReplaced)
		r.Close()
		return errReplaced
	}
	b.response = r
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	for b.finished == nil {
		switch {
		case b.offset >= b.end:
			b.finish(io.EOF)
			continue
		case b.offset >= b.stop:
			if b.response != nil {
				b.response.Close() // the event of the request, and its connection
			}
			n, err := b.window.read(p)
			switch b.offset += int64(n); {
			case err == errCrowded: // read on with one request
				b.stop, b.response = b.window.skip(), nil
			case err != nil:
				b.finish(err)
			case n > 0 || len(p) == 0:
				return n, nil
			}
			continue
		case b.response == nil: // of a part
			if err := b.open(); err != nil {
				if isTemporary(err) {
					b.retry(err)
				} else {
					b.finish(b.explain(err))
				}
				continue
			}
		case b.window != nil && b.offset-b.start >= readAhead:
			b.window.fill()
		}
		n, err := b.response.Read(p[:min(int64(len(p)), b.stop-b.offset)])
		b.offset += int64(n)
		if n > 0 {
			b.stalled, b.silent = 0, false
		}
		if err != nil && b.offset < b.stop {
			b.resume(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, b.finished
}

const (
	// maxStalled is the maximum number of consecutive requests that return no byte.
	maxStalled = 5
	// A body that is requested more than freeRequests times must get at least minProgress bytes for each
	// further request, on average. Otherwise a server that cuts every response would keep a reader busy
	// for millions of requests.
	freeRequests = 32
	minProgress  = 64 << 10
)

// isTooSlow reports whether responses were cut so often that it is not worth a further request.
func (b *body) isTooSlow() bool {
	return b.requests > freeRequests && (b.offset-b.start)/minProgress < int64(b.requests-freeRequests)
}

// resume requests the rest of a body that was cut because of cause. If that fails, it finishes
// the body.
func (b *body) resume(cause error) {
	if cause == io.EOF {
		cause = fact(ErrUnavailable, io.ErrUnexpectedEOF)
		b.response.fail(cause)
	}
	b.response.Close()
	b.retry(cause)
}

// retry requests the rest of a body after a request failed with cause.
func (b *body) retry(cause error) {
	for b.stalled < maxStalled && !b.isTooSlow() {
		if isSilent(cause) {
			if b.silent {
				break // do not wait for the timeout again
			}
			b.silent = true
		}
		b.stalled++
		if !pause(b.ctx, b.stalled) {
			b.finish(b.b.explain(b.ctx.Err()))
			return
		}
		if err := b.open(); err == nil {
			return
		} else if cause = err; !isTemporary(err) {
			break
		}
	}
	b.finish(cause)
}

// isTemporary reports whether the same request may succeed later.
func isTemporary(err error) bool {
	return errors.Is(err, ErrUnavailable) && !isRefused(err) && err != errReplaced
}

// finish ends the request that is in progress: every further Read returns err.
func (b *body) finish(err error) {
	b.finished = err
	if b.response != nil {
		b.response.Close()
	}
	if b.window != nil {
		b.window.close()
	}
}

// Close ends the request that is in progress. It must not be called during a Read.
func (b *body) Close() {
	if b.finished == nil {
		b.finish(errClosedReader)
	}
	b.cancel()
}

var errClosedReader = errors.New("read after close")

// pause waits longer for each attempt, and reports whether ctx is still active.
func pause(ctx context.Context, attempt int) bool {
	t := time.NewTimer(25 * time.Millisecond << min(attempt, 6))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A head is the start of an object: all of its header.
type head struct {
	snapshot
	data []byte
}

// headSize is enough for the header of an object with a few recipients.
const headSize = 16 << 10

// payloadHeader is the length of the payload's header, which is needed to open a range.
const payloadHeader = 40

// head reads the header in one request, or in two when it is longer than 16 KiB.
func (v *Vault) head(ctx context.Context, at place) (head, error) {
	h, err := v.readHead(ctx, at, 0, headSize)
	if err != nil || len(h.data) < headSize {
		return h, err
	}
	need := envelope.HeaderLen(h.data) + payloadHeader
	if need <= len(h.data) || need > envelope.MaxHeaderLen+payloadHeader {
		return h, nil
	}
	rest, err := v.readHead(ctx, at, headSize, int64(need-headSize))
	if err != nil {
		return head{}, err
	}
	if !rest.same(h.snapshot) {
		return head{}, errReplaced
	}
	h.data = append(h.data, rest.data...)
	return h, nil
}

func (v *Vault) readHead(ctx context.Context, at place, offset, length int64) (head, error) {
	b, err := v.fetch(ctx, at, offset, length)
	if err != nil {
		return head{}, err
	}
	defer b.Close()
	data, err := io.ReadAll(b)
	return head{b.snapshot, data}, err
}

// maxReplaced is the number of attempts to read a range of an object that is being replaced.
const maxReplaced = 5

// openRange reads the header, then exactly the segments that contain the range, all of one
// object. If the object is replaced between the two requests, the second one fails by its tag,
// or does not verify, and openRange starts again.
func (v *Vault) openRange(ctx context.Context, name Name, at place, want *Range) (*Reader, error) {
	if want == nil {
		want = &Range{}
	}
	for attempt := 1; ; attempt++ {
		r, err := v.tryRange(ctx, name, at, *want)
		if err == nil || attempt == maxReplaced || !errors.Is(err, errReplaced) || !pause(ctx, attempt) {
			return r, err
		}
	}
}

// errReplaced means that the object is not the one whose header was read.
var errReplaced = fmt.Errorf("%w: the object was replaced while it was being read; try again", ErrUnavailable)

func (v *Vault) tryRange(ctx context.Context, name Name, at place, want Range) (*Reader, error) {
	h, err := v.head(ctx, at)
	if err != nil {
		return nil, v.absentAt(ctx, at, err)
	}
	if at.unless != "" {
		if header, err := envelope.ReadHeader(bytes.NewReader(h.data)); err == nil {
			if err := v.checkChanged(ctx, name, at, header); err != nil {
				return nil, err
			}
		}
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), v.ref(name), v.keys)
	if err != nil {
		return nil, v.backend.explain(err)
	}
	info, err := v.found(ctx, name, at, h.snapshot, object.Header(), object.Metadata())
	if err != nil {
		return nil, err
	}
	opened := &remote{at, h, object}
	if at.headerOnly {
		return &Reader{v: v, info: info, plain: bytes.NewReader(nil), remote: opened}, nil
	}
	offset, length := want.Offset, want.Length
	if length == 0 {
		length = -1
	}
	fromEnd := offset < 0
	if fromEnd {
		offset = max(0, info.Size+offset)
	}
	span, err := object.Range(h.size, offset, length)
	if err != nil {
		return nil, err
	}
	if segment := int64(1) << object.Header().SegmentLog2; fromEnd && (!span.Final() || span.Length > segment) {
		// The size is the store's claim. Only the final segment proves it.
		if err := v.verifyEnd(ctx, at, h, object, info.Size); err != nil {
			return nil, err
		}
	}
	return v.readSpan(ctx, opened, span, info, nil)
}

// readSpan returns a Reader of a part of an object. If into is not nil, the caller reads all of the
// part into it.
func (v *Vault) readSpan(ctx context.Context, o *remote, span envelope.Span, info Info, into []byte) (_ *Reader, err error) {
	r := &Reader{v: v, info: info, header: o.data[:o.object.Header().Len()]}
	if span.Offset+span.Length <= int64(len(o.data)) {
		r.plain = o.object.OpenRangeInto(into, bytes.NewReader(o.data[span.Offset:span.Offset+span.Length]), span)
		return r, nil
	}
	if r.body, err = v.fetchSpan(ctx, o.place, o.head, span); err != nil {
		return nil, err
	}
	r.plain = o.object.OpenRangeInto(into, r.body, span)
	return r, nil
}

// fetchSpan opens the sealed bytes of span, of the object whose header is h.
func (v *Vault) fetchSpan(ctx context.Context, at place, h head, span envelope.Span) (*body, error) {
	b, err := v.fetch(ctx, at, span.Offset, span.Length)
	if err != nil {
		return nil, v.absentAt(ctx, at, err)
	}
	if !b.same(h.snapshot) {
		b.Close()
		return nil, errReplaced
	}
	return b, nil
}

// verifyEnd reads and verifies the final segment of the object whose head is h.
func (v *Vault) verifyEnd(ctx context.Context, at place, h head, object *envelope.Object, size int64) error {
	span, err := object.Range(h.size, size, -1)
	if err != nil {
		return err
	}
	sealed := io.Reader(nil)
	if span.Offset+span.Length <= int64(len(h.data)) {
		sealed = bytes.NewReader(h.data[span.Offset : span.Offset+span.Length])
	} else {
		b, err := v.fetchSpan(ctx, at, h, span)
		if err != nil {
			return err
		}
		defer b.Close()
		sealed = b
	}
	_, err = io.Copy(io.Discard, object.OpenRange(sealed, span))
	return v.replacedOrDamaged(ctx, at, h.data[:object.Header().Len()], h.tag, err)
}

// replacedOrDamaged returns errReplaced if bytes of two objects were mixed, and err otherwise.
// In a store without tags an object may be replaced between two requests; then decryption fails
// without tampering. header is the header that the first request returned.
func (v *Vault) replacedOrDamaged(ctx context.Context, at place, header []byte, tag string, err error) error {
	if !errors.Is(err, envelope.ErrDecrypt) || tag != "" || at.known != nil {
		return err
	}
	current, rerr := v.readHead(ctx, at, 0, int64(len(header)))
	if rerr == nil && !bytes.Equal(current.data, header) || errors.Is(rerr, ErrNotFound) {
		return errReplaced
	}
	return err
}

// absent returns ErrNotFound in place of a denied read or delete if the object does not exist.
// If the caller may list only below a prefix, a cloud returns 403 for a missing key, too. One
// list request for exactly that key distinguishes the two.
func (v *Vault) absent(ctx context.Context, key string, err error) error {
	if !errors.Is(err, ErrPermission) {
		return err
	}
	for o, lerr := range v.backend.list(ctx, key) {
		switch {
		case lerr != nil && !errors.Is(lerr, ErrPermission):
			return lerr // denied or absent is still unknown
		case lerr != nil || o.Key == key:
			return err
		}
		break // a list is in order: key itself would be the first entry
	}
	if ctx.Err() != nil {
		return err
	}
	// err is not wrapped, because the object is absent and not denied.
	return fmt.Errorf("%w (the request was denied, and a listing shows no such object: %v)", ErrNotFound, err)
}

// absentAt is absent for the current object. It returns err for an old version, which a list
// does not contain.
func (v *Vault) absentAt(ctx context.Context, at place, err error) error {
	if at.known != nil {
		return err
	}
	return v.absent(ctx, at.key, err)
}

// locate resolves a version spec to a place.
func (v *Vault) locate(ctx context.Context, key, spec string) (place, error) {
	if spec == "" {
		return place{key: key}, nil
	}
	version, err := v.findVersion(ctx, key, spec)
	if err != nil {
		return place{}, err
	}
	p := at(key, version)
	if s, ok := strings.CutPrefix(spec, "r:"); ok {
		p.revision, err = strconv.ParseInt(s, 10, 64)
	}
	return p, err
}
