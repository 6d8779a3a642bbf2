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

// A place is where to read: the current object of a key, or one version of it.
type place struct {
	key     string
	version string  // empty means current
	known   *stored // what a listing said of the version; nil for the current object
	// revision is the one by which the version was chosen, when it was: the header that
	// said so was not authenticated then.
	revision int64
}

// stored is what the store says of an object.
type stored struct {
	size     int64
	modified time.Time
	version  string
	tag      string // swap tag, empty where the store has none
}

func (s stored) same(o stored) bool {
	return s.size == o.size && s.modified.Equal(o.modified) && s.version == o.version && s.tag == o.tag
}

// A body yields sealed bytes from offset to end, all of one stored object, however
// many requests that takes: a body cut midway goes on from where it stopped, pinned
// to what was opened first. A body that stays cut is [ErrUnavailable], never an early
// EOF, so that a bad connection is not taken for a damaged object.
type body struct {
	stored
	v        *Vault
	ctx      context.Context
	cancel   context.CancelFunc
	at       place
	offset   int64 // of the next byte
	end      int64
	answer   io.ReadCloser      // what is being read; nil before the first request
	done     func(int64, error) // logs that request
	got      int64              // bytes of that request
	stalled  int                // requests since the last byte
	finished error              // what every further Read answers
}

// fetch opens length bytes of the object at offset, a negative length meaning the
// rest. What lies past the end is left out.
func (v *Vault) fetch(ctx context.Context, at place, offset, length int64) (*body, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &body{v: v, ctx: ctx, cancel: cancel, at: at, offset: offset, end: offset + length}
	if length < 0 {
		b.end = -1
	}
	if err := b.open(); err != nil {
		cancel()
		return nil, err
	}
	if b.end < 0 || b.end > b.size {
		b.end = b.size
	}
	return b, nil
}

// open makes one request for what is still missing.
func (b *body) open() error {
	length := int64(-1)
	if b.end >= 0 {
		length = b.end - b.offset
	}
	done := b.v.request(b.ctx, "get", b.at.key)
	now, r, err := b.request(length)
	if err != nil {
		done(0, err)
		return b.v.explain(err)
	}
	if b.answer == nil {
		b.stored = now
	} else if !now.same(b.stored) {
		r.Close()
		done(0, errReplaced)
		return errReplaced
	}
	b.answer, b.done, b.got = r, done, 0
	return nil
}

func (b *body) request(length int64) (stored, io.ReadCloser, error) {
	if b.at.known != nil {
		r, err := b.v.store.History.OpenVersion(b.ctx, b.at.key, b.at.version, b.offset, length)
		return *b.at.known, r, err
	}
	r, err := b.v.store.Bucket.NewRangeReader(b.ctx, b.at.key, b.offset, length, nil)
	if err != nil {
		return stored{}, nil, err
	}
	now := stored{size: r.Size(), modified: r.ModTime()}
	if b.v.store.Tag != nil {
		now.tag = b.v.store.Tag(r)
	}
	return now, r, nil
}

func (b *body) Read(p []byte) (int, error) {
	for b.finished == nil {
		if b.offset >= b.end {
			b.finish(io.EOF)
			break
		}
		n, err := b.answer.Read(p[:min(int64(len(p)), b.end-b.offset)])
		b.offset += int64(n)
		b.got += int64(n)
		if n > 0 {
			b.stalled = 0
		}
		if err != nil && b.offset < b.end {
			b.resume(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, b.finished
}

// maxStalled is how many requests may follow one another without a byte.
const maxStalled = 5

// resume asks for the rest after cause cut the body, or finishes.
func (b *body) resume(cause error) {
	if cause == io.EOF {
		cause = io.ErrUnexpectedEOF
	}
	b.done(b.got, cause)
	b.answer.Close()
	b.done = nil
	for b.stalled < maxStalled {
		b.stalled++
		if !pause(b.ctx, b.stalled) {
			b.finish(b.v.explain(b.ctx.Err()))
			return
		}
		if err := b.open(); err == nil {
			return
		} else if cause = err; !errors.Is(err, ErrUnavailable) || err == errReplaced {
			break
		}
	}
	b.finish(b.v.explain(cause))
}

func (b *body) finish(err error) {
	b.finished = err
	if b.done != nil {
		b.done(b.got, nil)
		b.done = nil
	}
}

// Close ends the request that is under way.
func (b *body) Close() error {
	if b.finished == nil {
		b.finish(errors.New("read after close"))
	}
	b.cancel()
	return b.answer.Close()
}

// pause waits a little longer each time, and reports whether ctx is still alive.
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
	stored
	data []byte
}

// headSize holds the header of any object with a handful of recipients.
const headSize = 16 << 10

// payloadHeader is the header of the payload, which opening a range needs as well.
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
	if !rest.same(h.stored) {
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
	return head{b.stored, data}, err
}

// openRange reads the header, then exactly the segments that hold the range. Both
// come from one object: when it is replaced between the two requests, the second one
// is refused by its tag, or does not verify, and the reading starts again.
func (v *Vault) openRange(ctx context.Context, name Name, at place, want Range) (*Reader, error) {
	for attempt := 1; ; attempt++ {
		r, err := v.tryRange(ctx, name, at, want)
		if err == nil || attempt == 3 || !errors.Is(err, errReplaced) {
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
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), v.ref(name), v.keys)
	if err != nil {
		return nil, v.explain(err)
	}
	info, err := v.found(name, at, h.stored, object.Header(), object.Metadata())
	if err != nil {
		return nil, err
	}
	offset, length := want.Offset, want.Length
	if offset < 0 {
		offset = max(0, info.Size+offset)
	}
	span, err := object.Range(h.size, offset, length)
	if err != nil {
		return nil, err
	}
	b, err := v.fetch(ctx, at, span.Offset, span.Length)
	if err != nil {
		return nil, v.absentAt(ctx, at, err)
	}
	if !b.same(h.stored) {
		b.Close()
		return nil, errReplaced
	}
	return &Reader{v: v, info: info, plain: object.OpenRange(b, span), body: b}, nil
}

// absent settles what a denied read or delete of an own key means. Where listing is
// granted only under a prefix, a cloud answers 403 for a key that is not there; one
// list of exactly that key tells the two apart.
func (v *Vault) absent(ctx context.Context, key string, err error) error {
	if !errors.Is(err, ErrPermission) {
		return err
	}
	for o, lerr := range v.listKeys(ctx, key) {
		switch {
		case lerr != nil && !errors.Is(lerr, ErrPermission):
			return lerr // nobody knows which of the two it is
		case lerr != nil || o.Key == key:
			return err
		}
		break // listed in order: key itself would come first
	}
	if ctx.Err() != nil {
		return err
	}
	// Not wrapped: it is not denied, it is not there.
	return fmt.Errorf("%w: it is not listed, and reading it was answered with %v", ErrNotFound, err)
}

// absentAt is absent for the current object. Of an old version a list tells nothing.
func (v *Vault) absentAt(ctx context.Context, at place, err error) error {
	if at.known != nil {
		return err
	}
	return v.absent(ctx, at.key, err)
}

// locate turns a version spec into a place.
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
