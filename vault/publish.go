package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"gocloud.dev/blob"
)

// A condition says what must be true of a key for a write to take place. The zero
// value is none: whatever is there is replaced.
type condition struct {
	create bool
	tag    string // swap: the tag of what was read
	old    []byte // swap: the header of what was read
}

// condition reads what is to be swapped, if that was asked for.
func (v *Vault) condition(ctx context.Context, name Name, key string, o *PutOptions) (condition, error) {
	if o.IfRevision == 0 {
		return condition{create: o.Create}, nil
	}
	if v.store.Swap == nil || v.store.Tag == nil {
		return condition{}, fmt.Errorf("%w: it cannot compare and swap", ErrUnsupported)
	}
	h, err := v.head(ctx, place{key: key})
	if err = v.absent(ctx, key, err); errors.Is(err, ErrNotFound) {
		return condition{}, fmt.Errorf("%w: there is no revision %d, the object is gone", ErrConflict, o.IfRevision)
	} else if err != nil {
		return condition{}, err
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), v.ref(name), v.keys)
	if err != nil {
		return condition{}, v.explain(err)
	}
	v.clock.saw(name, object.Header().Revision)
	if is := object.Header().Revision; is != o.IfRevision {
		return condition{}, fmt.Errorf("%w: the object has revision %d, not %d", ErrConflict, is, o.IfRevision)
	}
	return condition{tag: h.tag, old: h.data[:object.Header().Len()]}, nil
}

// A sealing is one value on its way into an envelope.
type sealing struct {
	ref     envelope.Ref
	keys    []envelope.Source
	options envelope.SealOptions
	value   io.Reader

	header  *envelope.Header // of the envelope that was written last
	read    int64            // plaintext bytes
	written int64            // sealed bytes
}

// replayable is the longest value that is kept in memory, so that a write which the
// store did not answer can be tried again with the very same bytes.
const replayable = 1 << 20

// prepare returns what writes the envelope, and whether it may be called again.
func (s *sealing) prepare(ctx context.Context) (fill func(io.Writer) error, again bool, err error) {
	if len(s.keys) == 0 {
		return nil, false, fmt.Errorf("%w: there is no key source to seal for", envelope.ErrUnknownKey)
	}
	s.value = &source{ctx: ctx, r: s.value}
	var start bytes.Buffer
	if _, err := io.CopyN(&start, s.value, replayable+1); err != nil && err != io.EOF {
		return nil, false, err
	}
	if start.Len() > replayable {
		s.value = io.MultiReader(&start, s.value)
		used := false
		return func(w io.Writer) error {
			if used { // what is left of the value would pass for all of it
				return errTwice
			}
			used = true
			return s.seal(ctx, w)
		}, false, nil
	}
	s.value = &start
	var sealed bytes.Buffer
	if err := s.seal(ctx, &sealed); err != nil {
		return nil, false, err
	}
	return func(w io.Writer) error { _, err := w.Write(sealed.Bytes()); return err }, true, nil
}

var errTwice = errors.New("a store asked twice for a value that streams")

func (s *sealing) seal(ctx context.Context, w io.Writer) (err error) {
	count := &counter{w: w}
	sealer, err := envelope.Seal(ctx, count, s.ref, s.keys, &s.options)
	if err != nil {
		return err
	}
	s.header = sealer.Header()
	if s.read, err = io.Copy(sealer, s.value); err != nil {
		sealer.Abort()
		return err
	}
	err = sealer.Close()
	s.written = count.n
	return err
}

// publish stores the envelope of s at key, or nothing, and says which of the two
// happened even when the store did not.
func (v *Vault) publish(ctx context.Context, key string, how condition, s *sealing) (version string, err error) {
	fill, again, err := s.prepare(ctx)
	if err != nil {
		err, _ = explainOurs(err) // the store had no part in it
		return "", err
	}
	doubt := false // an earlier attempt may have been applied
	var late late  // and this one may yet be
	for attempt := 1; ; attempt++ {
		full := false
		version, err = v.write(ctx, key, how, func(w io.Writer) error {
			err := fill(w)
			full = err == nil
			return err
		})
		if err == nil {
			return version, nil
		}
		err = v.explain(err)
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		if errors.Is(err, ErrUnsure) {
			return "", err // what the store itself cannot promise, no read can
		}
		if late.notes(err) {
			// What is found there is no proof of having won: the store judges it, in the end.
		} else if full && ambiguous(err) || doubt && (errors.Is(err, ErrExist) || errors.Is(err, ErrConflict)) {
			doubt = true
			switch seen, rerr := v.readBack(ctx, key, how, s.header); {
			case rerr != nil:
				return "", fmt.Errorf("%w: %w", ErrUnsure, err)
			case seen == ours:
				return "", nil
			case how.create && seen == others:
				return "", fact(ErrExist, err)
			case how.tag != "" && seen != unchanged:
				return "", fact(ErrConflict, err)
			}
		}
		if again && attempt < maxAttempts && transient(err) && pause(ctx, attempt) {
			continue
		}
		return late.settle(ctx, v, err)
	}
}

// maxAttempts is how often a write, or a delete, that got no answer is tried.
const maxAttempts = 3

// transient says whether a request that failed with err is worth another try.
func transient(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrUnsure)
}

// ambiguous says whether a write that failed with err, its bytes all handed over, may
// have been applied. It may not when the store answered with a refusal.
func ambiguous(err error) bool {
	var sure interface{ Unapplied() bool }
	if errors.As(err, &sure) && sure.Unapplied() {
		return false
	}
	for _, refusal := range []error{ErrBusy, ErrPermission, ErrUnauthenticated, ErrNoSpace, ErrNotFound, ErrUnsupported, ErrExist, ErrConflict} {
		if errors.Is(err, refusal) {
			return false
		}
	}
	return true
}

// write is one attempt.
func (v *Vault) write(ctx context.Context, key string, how condition, fill func(io.Writer) error) (version string, err error) {
	var bytes int64
	counted := func(w io.Writer) error {
		c := &counter{w: w}
		defer func() { bytes = c.n }()
		return fill(c)
	}
	op := "put"
	switch {
	case how.tag != "":
		op = "swap"
	case how.create:
		op = "create"
	}
	done := v.request(ctx, op, key)
	defer func() { done(bytes, err) }()
	switch {
	case how.tag != "":
		_, err = v.store.Swap.Swap(ctx, key, how.tag, counted)
		return "", err
	case how.create && v.store.Create != nil:
		return v.store.Create.Create(ctx, key, counted)
	}
	if !how.create && v.store.Put != nil {
		return v.store.Put.Put(ctx, key, counted)
	}
	return "", v.writeBlob(ctx, key, how.create, counted)
}

// writeBlob writes through the portable bucket.
func (v *Vault) writeBlob(ctx context.Context, key string, create bool, fill func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := v.store.Bucket.NewWriter(ctx, key, &blob.WriterOptions{
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
	if err := fill(w); err != nil {
		return err
	}
	full = true
	return w.Close()
}

// What a key holds after a write whose outcome is not known.
type seen int

const (
	gone      seen = iota // nothing
	ours                  // what was written
	unchanged             // what was to be swapped
	others                // somebody else's
)

// readBackTime is how long a caller whose context has ended waits to be told what became
// of a write.
const readBackTime = 5 * time.Second

// readBack tells whether a write took effect by the one thing that no two writes
// share: the header, whose commitment holds a fresh key. Revisions do not decide; two
// writers can share a microsecond.
func (v *Vault) readBack(ctx context.Context, key string, how condition, mine *envelope.Header) (seen, error) {
	// A caller who gave up still wants to know whether the write was applied.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTime)
	defer cancel()
	want := mine.Bytes()
	h, err := v.readHead(ctx, place{key: key}, 0, int64(max(len(want), len(how.old))))
	err = v.absent(ctx, key, err)
	is := others
	switch {
	case errors.Is(err, ErrNotFound):
		is = gone
	case err != nil:
		return gone, err
	case bytes.HasPrefix(h.data, want):
		return ours, nil
	case how.tag != "" && bytes.HasPrefix(h.data, how.old):
		return unchanged, nil
	}
	if v.wasStored(ctx, key, want) {
		return ours, nil
	}
	return is, nil
}

// maxReadBack is how many versions may have been written since a write of ours, for it to
// be found.
const maxReadBack = 32

// wasStored looks for a header in the history, where what was written stays when others
// replace or delete it, be it for the moment that a store takes to undo a write which came
// too late. Who may not read the history is told what is current.
func (v *Vault) wasStored(ctx context.Context, key string, header []byte) bool {
	if v.store.History == nil {
		return false
	}
	n := 0
	for version, err := range v.versions(ctx, key) {
		if n++; err != nil || n > maxReadBack {
			return false
		}
		if version.Deleted {
			continue
		}
		h, err := v.readHead(ctx, at(key, version), 0, int64(len(header)))
		if err == nil && bytes.HasPrefix(h.data, header) {
			return true
		}
	}
	return false
}

// remove deletes key, trying again when the store does not answer.
func (v *Vault) remove(ctx context.Context, key string) error {
	for attempt := 1; ; attempt++ {
		err := v.removeOnce(ctx, key)
		switch {
		case attempt > 1 && errors.Is(err, ErrNotFound):
			return nil // an earlier attempt did it
		case !transient(err):
			return err
		case attempt == maxAttempts, !pause(ctx, attempt):
			return fmt.Errorf("%w: %w", ErrUnsure, err)
		}
	}
}

func (v *Vault) removeOnce(ctx context.Context, key string) (err error) {
	done := v.request(ctx, "delete", key)
	defer func() { done(0, err) }()
	if v.store.Remover == nil {
		return v.explain(v.store.Bucket.Delete(ctx, key))
	}
	failed, err := v.store.Remover.Remove(ctx, []string{key})
	if err == nil {
		err = failed[key]
	}
	return v.explain(err)
}

// A source is the caller's reader, which stops when ctx ends.
type source struct {
	ctx context.Context
	r   io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

// A sourceError is about the value that was to be stored, not about the store.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "reading the value: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
