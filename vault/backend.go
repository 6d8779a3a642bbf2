package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/bloberr"
)

// A backend sends the requests of a Vault to its Store. Each method is one request, or one
// listing of versions. It logs the request and explains its error, so callers must not explain
// an error of the store again.
type backend struct {
	store  *Store
	tenant Tenant
	log    *slog.Logger

	observe   func(context.Context, Event) // may be nil
	telemetry *telemetry                   // may be nil
	ahead     ahead                        // parts of large objects that are requested ahead
}

// maxPage is the most keys that S3 and COS list, or delete, in one request.
const maxPage = 1000

// A snapshot identifies what was stored when it was read.
type snapshot struct {
	size     int64
	modified time.Time
	version  string
	tag      string // empty if the store returns none
}

func (s snapshot) same(o snapshot) bool {
	return s.size == o.size && s.modified.Equal(o.modified) && s.version == o.version && s.tag == o.tag
}

// open requests length bytes of the object at offset. A negative length means the rest.
func (b *backend) open(ctx context.Context, at place, offset, length int64, attempt int) (snapshot, *response, error) {
	done := b.begin(ctx, request{op: "get", key: at.key, attempt: attempt})
	s, body, err := b.openRange(ctx, at, offset, length)
	if err != nil {
		return snapshot{}, nil, done(0, 1, err)
	}
	return s, &response{b: b, body: body, done: done}, nil
}

func (b *backend) openRange(ctx context.Context, at place, offset, length int64) (snapshot, io.ReadCloser, error) {
	if err := b.closed(); err != nil {
		return snapshot{}, nil, err
	}
	if at.known != nil {
		body, tag, err := b.store.History.OpenVersion(ctx, at.key, at.version, offset, length)
		s := *at.known
		s.tag = tag
		return s, body, err
	}
	r, err := b.store.Bucket.NewRangeReader(ctx, at.key, offset, length, nil)
	if err != nil {
		return snapshot{}, nil, err
	}
	s := snapshot{size: r.Size(), modified: r.ModTime()}
	if b.store.Tag != nil {
		s.tag = b.store.Tag(r)
	}
	return s, r, nil
}

// A response is a body that is being read. Closing it ends the request and logs it.
type response struct {
	b    *backend
	body io.ReadCloser
	done func(bytes int64, keys int, err error) error
	n    int64
	err  error
}

func (r *response) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.n += int64(n)
	if err != nil && err != io.EOF {
		err = r.b.explain(err)
		r.err = err
	}
	return n, err
}

// fail records that the body could not be used, for example because it ended early.
func (r *response) fail(err error) { r.err = err }

// Close ends the request. It ignores errors of closing, which do not concern the bytes that
// were read.
func (r *response) Close() {
	if r.done == nil {
		return
	}
	r.body.Close()
	r.done(r.n, 1, r.err)
	r.done = nil
}

// write sends one request that stores the bytes that fill writes. If splice is not nil, it replaces
// the start of the current object instead.
func (b *backend) write(ctx context.Context, key string, how condition, attempt int, splice *Splice, fill func(io.Writer) error) (version string, err error) {
	var n int64
	done := b.begin(ctx, request{op: how.kind.String(), key: key, attempt: attempt})
	defer func() { err = done(n, 1, err) }()
	counted := func(w io.Writer) error {
		c := &counter{w: w}
		defer func() { n = c.n }()
		if parts, ok := w.(PartWriter); ok {
			return fill(&partCounter{c, parts})
		}
		return fill(c)
	}
	if err := b.closed(); err != nil {
		return "", err
	}
	switch {
	case splice != nil:
		n = int64(len(splice.Start))
		return b.store.Splice.Splice(ctx, key, *splice)
	case how.kind == swap:
		tag, err := b.store.Swap.Swap(ctx, key, how.tag, counted)
		if b.store.Settle != nil {
			version = tag
		}
		return version, err
	case how.kind == create && how.quick && b.store.QuickCreate != nil:
		return b.store.QuickCreate.Create(ctx, key, counted)
	case how.kind == create && b.store.Create != nil:
		return b.store.Create.Create(ctx, key, counted)
	case how.kind == replace && b.store.Put != nil:
		return b.store.Put.Put(ctx, key, counted)
	}
	return "", b.writeBlob(ctx, key, how.kind == create, counted)
}

// writeBlob writes with the blob.Bucket.
func (b *backend) writeBlob(ctx context.Context, key string, create bool, fill func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.store.Bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream", // always: without one the writer buffers to guess
		IfNotExist:  create,
	})
	if err != nil {
		return err
	}
	full := false
	defer func() {
		if !full { // also when fill panics: a plain Close would publish the part that was written
			cancel()
			w.Close()
		}
	}()
	// Create-only is the only condition that is passed to a bucket. Its driver may detect an
	// existing object during a write or at the end.
	existing := func(err error) error {
		if create && gcerrors.Code(err) == gcerrors.FailedPrecondition {
			return fact(ErrExist, err)
		}
		return err
	}
	if err := fill(w); err != nil {
		return existing(err)
	}
	full = true
	return existing(w.Close())
}

// page lists at most a page of the keys that start with prefix, from a token on. The first page starts
// after the key after, if the store can do that.
func (b *backend) page(ctx context.Context, prefix, after string, token []byte) (page []*blob.ListObject, next []byte, err error) {
	done := b.begin(ctx, request{op: "list", key: prefix})
	o := &blob.ListOptions{Prefix: prefix}
	if after != "" && b.store.ListAfter != nil && bytes.Equal(token, blob.FirstPageToken) {
		o.BeforeList = b.store.ListAfter(after)
	}
	if err = b.closed(); err == nil {
		page, next, err = b.store.Bucket.ListPage(ctx, token, maxPage, o)
	}
	return page, next, done(0, len(page), err)
}

// list yields the objects whose keys start with prefix, page by page.
func (b *backend) list(ctx context.Context, prefix string) iter.Seq2[*blob.ListObject, error] {
	return b.listAfter(ctx, prefix, "", nil)
}

// listAfter is list for the keys after a key; "" means all. If skip is not nil, it gets the last key of each page,
// and returns the key after which the next page starts; "" means the last key.
func (b *backend) listAfter(ctx context.Context, prefix, after string, skip func(last string) string) iter.Seq2[*blob.ListObject, error] {
	return func(yield func(*blob.ListObject, error) bool) {
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := b.page(ctx, prefix, after, token)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, o := range page {
				if after != "" && o.Key <= after {
					continue
				}
				if !yield(o, nil) {
					return
				}
			}
			token = next
			if skip != nil && len(token) > 0 && len(page) > 0 {
				if to := skip(page[len(page)-1].Key); to != "" {
					after, token = to, blob.FirstPageToken
				}
			}
		}
	}
}

// remove deletes the current object of one key.
func (b *backend) remove(ctx context.Context, key string, attempt int) (err error) {
	done := b.begin(ctx, request{op: "delete", key: key, attempt: attempt})
	defer func() { err = done(0, 1, err) }()
	if err := b.closed(); err != nil {
		return err
	}
	if b.store.Remover == nil {
		return b.store.Bucket.Delete(ctx, key)
	}
	failed, err := b.store.Remover.Remove(ctx, []string{key})
	if err == nil {
		err = failed[key]
	}
	return err
}

// removeIf deletes the object of one key if it has the given tag.
func (b *backend) removeIf(ctx context.Context, key, tag string, attempt int) (err error) {
	done := b.begin(ctx, request{op: "delete-if", key: key, attempt: attempt})
	defer func() { err = done(0, 1, err) }()
	if err := b.closed(); err != nil {
		return err
	}
	return b.store.RemoveIf.RemoveIf(ctx, key, tag)
}

// removeMany deletes the current objects of at most a page of keys. failed contains the
// explained error of each object that was not removed.
func (b *backend) removeMany(ctx context.Context, keys []string, attempt int) (failed map[string]error, err error) {
	done := b.begin(ctx, request{op: "delete", key: keys[0], attempt: attempt})
	if err = b.closed(); err == nil {
		failed, err = b.store.Remover.Remove(ctx, keys)
	}
	for key, err := range failed {
		failed[key] = b.explain(err)
	}
	return failed, done(0, len(keys), err)
}

// versions yields the versions of key.
func (b *backend) versions(ctx context.Context, key string) iter.Seq2[Version, error] {
	if b.store.History == nil {
		return func(yield func(Version, error) bool) {
			yield(Version{}, fmt.Errorf("%w: it has no version history", ErrUnsupported))
		}
	}
	return logged(b, ctx, request{op: "versions", key: key}, b.store.History.Versions(ctx, key))
}

// leftovers yields the old versions and delete markers of the keys below prefix.
func (b *backend) leftovers(ctx context.Context, prefix string) iter.Seq2[Leftover, error] {
	return logged(b, ctx, request{op: "leftovers", key: prefix}, b.store.Purge.Leftovers(ctx, prefix))
}

// logged yields the items of seq, logs the iteration as one request, and explains its error.
func logged[T any](b *backend, ctx context.Context, r request, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		var failure error
		done := b.begin(ctx, r)
		defer func() { done(0, n, failure) }()
		var none T
		if failure = b.closed(); failure != nil {
			yield(none, failure)
			return
		}
		for item, err := range seq {
			if err != nil {
				failure = err
				yield(none, b.explain(err))
				return
			}
			n++
			if !yield(item, nil) {
				return
			}
		}
	}
}

// purge removes at most a page of versions permanently. failed contains the explained error of
// each version that was not removed.
func (b *backend) purge(ctx context.Context, batch []Leftover) (failed map[Leftover]error, err error) {
	done := b.begin(ctx, request{op: "purge", key: batch[0].Key})
	if err = b.closed(); err == nil {
		failed, err = b.store.Purge.Purge(ctx, batch)
	}
	for l, err := range failed {
		failed[l] = b.explain(err)
	}
	return failed, done(0, len(batch), err)
}

// settle asks the store for the outcome of a write.
func (b *backend) settle(ctx context.Context, key string, w UnknownWrite) (version string, err error) {
	done := b.begin(ctx, request{op: "settle", key: key})
	if err = b.closed(); err == nil {
		version, err = b.store.Settle.Settle(ctx, key, w)
	}
	return version, done(0, 1, err)
}

// isSettled asks the store whether the writer of the current version no longer deletes it.
func (b *backend) isSettled(ctx context.Context, key, version string) (settled bool, err error) {
	done := b.begin(ctx, request{op: "settled", key: key})
	if err = b.closed(); err == nil {
		settled, err = b.store.Settle.IsSettled(ctx, key, version)
	}
	return settled, done(0, 1, err)
}

func (b *backend) closed() error {
	if b.store.Closed != nil && b.store.Closed() {
		return ErrClosed
	}
	return nil
}

// A request contains the log attributes that are known when a request starts.
type request struct {
	op, key string
	attempt int // from 1; 0 for a request that is never retried
}

// begin starts a request. The function that it returns logs the result of the request and
// returns the explained error. [Options].Log documents the attributes.
func (b *backend) begin(ctx context.Context, r request) func(bytes int64, keys int, err error) error {
	start := time.Now()
	operationOf(ctx).count(r.attempt)
	ctx, span := b.telemetry.startRequest(ctx, r)
	return func(bytes int64, keys int, err error) error {
		err = b.explain(err)
		e := Event{
			Op: r.op, Tenant: b.tenant, Key: r.key, Keys: keys, Bytes: bytes,
			Attempt: max(1, r.attempt), Duration: time.Since(start), Err: err,
		}
		if b.observe != nil {
			b.observe(ctx, e)
		}
		b.telemetry.endRequest(ctx, span, &e)
		b.log.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("op", r.op), slog.String("key", r.key), slog.String("status", status(err)),
			slog.Duration("duration", time.Since(start)), slog.Int64("bytes", bytes),
			slog.Int("keys", keys), slog.String("tenant", string(b.tenant)), slog.Int("attempt", max(1, r.attempt)))
		return err
	}
}

// status returns the sentinel's text of an explained error, without the text of its causes.
func status(err error) string {
	if err == nil {
		return "ok"
	}
	for _, s := range slices.Concat(sentinels, []error{context.Canceled}, envelopeErrors) {
		if errors.Is(err, s) {
			return s.Error()
		}
	}
	return "error"
}

// explain returns err wrapped in a sentinel of this package. Some errors stay as they are:
// those of the envelope, of the caller's reader, and a cancelled context, unless the store
// knows the effect of the request.
func (b *backend) explain(err error) error {
	err, done := explainOurs(bloberr.Plain(err))
	switch {
	case done:
		return err
	case errors.Is(err, context.Canceled):
		var cause *Cause
		if b.store.Explain != nil && errors.As(b.store.Explain(err), &cause) && (cause.Effect != EffectUnknown || cause.Unfinished > 0) {
			return fact(cause, err)
		}
		return err
	}
	if b.store.Explain != nil {
		if s := b.store.Explain(err); s != nil {
			return fact(s, err)
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fact(ErrNotFound, err)
	case gcerrors.PermissionDenied:
		return fact(ErrPermission, err)
	case gcerrors.AlreadyExists:
		return fact(ErrExist, err)
	case gcerrors.FailedPrecondition: // the condition of writeBlob was handled there
		return fact(ErrClosed, err)
	case gcerrors.Unimplemented:
		return fact(ErrUnsupported, err)
	case gcerrors.InvalidArgument:
		return err // a bug, or a key that the store cannot hold
	}
	return fact(ErrUnavailable, err)
}

// explainOurs explains an error that has a sentinel already, or that is not from a store. It
// reports whether err is such an error.
func explainOurs(err error) (_ error, done bool) {
	var source *SourceError
	var already *factError
	switch {
	case err == nil, errors.As(err, &source), errors.As(err, &already):
		return err, true
	case errors.Is(err, context.Canceled):
		return err, false
	}
	for _, s := range sentinels {
		switch {
		case !errors.Is(err, s):
		case s == ErrNotFound, s == ErrExist:
			return fact(s, err), true
		default: // keep the provider's text
			return err, true
		}
	}
	switch {
	case errors.Is(err, envelope.ErrUnavailable):
		return fact(ErrUnavailable, err), true
	case errors.Is(err, envelope.ErrUnauthenticated):
		return fact(ErrUnauthenticated, err), true
	case errors.Is(err, envelope.ErrDenied):
		return fact(ErrPermission, err), true
	}
	for _, s := range append(envelopeErrors, errTwice) {
		if errors.Is(err, s) {
			return err, true
		}
	}
	return err, false
}

// fact returns an error that wraps sentinel and cause. Its text omits the cause if the sentinel
// is sufficient, such as "not found" or a [*Cause].
func fact(sentinel, cause error) error { return &factError{sentinel, cause} }

type factError struct{ sentinel, cause error }

func (e *factError) Error() string {
	if _, ok := e.sentinel.(*Cause); ok || e.sentinel == ErrNotFound || e.sentinel == ErrExist {
		if cause := (*Cause)(nil); !ok && errors.As(e.cause, &cause) && cause.Unfinished > 0 {
			return cause.Error()
		}
		return e.sentinel.Error()
	}
	return e.sentinel.Error() + ": " + e.cause.Error()
}

func (e *factError) Unwrap() []error { return []error{e.sentinel, e.cause} }

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A partCounter is a counter of a PartWriter.
type partCounter struct {
	*counter
	parts PartWriter
}

func (c *partCounter) WriteParts(s Sealed) error {
	var n atomic.Int64
	defer func() { c.n += n.Load() }()
	return c.parts.WriteParts(Sealed{Size: s.Size, Part: func(p []byte, offset int64) error {
		n.Add(int64(len(p)))
		return s.Part(p, offset)
	}})
}
