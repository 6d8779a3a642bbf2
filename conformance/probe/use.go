package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// The methods of this file use a store in the same way as package vault. They record every
// error with recordError.

// put replaces the object at key.
func (t *probeRun) put(ctx context.Context, st *vault.Store, key string, fill func(io.Writer) error) error {
	if st.Put == nil {
		return t.write(ctx, st, key, false, fill)
	}
	_, err := st.Put.Put(ctx, key, fill)
	t.recordError(err)
	return err
}

// create writes the object only if key does not exist.
func (t *probeRun) create(ctx context.Context, st *vault.Store, key string, fill func(io.Writer) error) (version string, err error) {
	if st.Create == nil {
		return "", t.write(ctx, st, key, true, fill)
	}
	version, err = st.Create.Create(ctx, key, fill)
	t.recordError(err)
	return version, err
}

// createOrPut creates an object for a check of another feature. If the store does not support
// create-only writes, it uses put.
func (t *probeRun) createOrPut(ctx context.Context, st *vault.Store, key string, fill func(io.Writer) error) error {
	_, err := t.create(ctx, st, key, fill)
	if t.kind(st, err) == vault.ErrUnsupported {
		err = t.put(ctx, st, key, fill)
	}
	return err
}

func (t *probeRun) swap(ctx context.Context, st *vault.Store, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	newTag, err = st.Swap.Swap(ctx, key, tag, fill)
	t.recordError(err)
	return newTag, err
}

func (t *probeRun) write(ctx context.Context, st *vault.Store, key string, create bool, fill func(io.Writer) error) (err error) {
	defer func() { t.recordError(err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := st.Bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: create})
	if err != nil {
		return err
	}
	full := false
	defer func() {
		if !full {
			cancel() // a plain Close would publish the part that was written
			w.Close()
		}
	}()
	if err := fill(w); err != nil {
		return err
	}
	full = true
	return w.Close()
}

// openRange opens a range of the object at key. A negative length means up to the end.
func (t *probeRun) openRange(ctx context.Context, st *vault.Store, key string, offset, length int64) (*blob.Reader, error) {
	r, err := st.Bucket.NewRangeReader(ctx, key, offset, length, nil)
	t.recordError(err)
	return r, t.resolveDenied(ctx, st, key, err)
}

// resolveDenied finds out whether a denied read means that the object does not exist. Like
// package vault, it lists exactly that key.
func (t *probeRun) resolveDenied(ctx context.Context, st *vault.Store, key string, err error) error {
	if !t.HidesAbsent || t.kind(st, err) != vault.ErrPermission {
		return err
	}
	page, _, lerr := st.Bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key})
	t.recordError(lerr)
	if lerr != nil || len(page) > 0 && page[0].Key == key {
		return err
	}
	return fmt.Errorf("%w: denied, and not listed: %v", vault.ErrNotFound, err) // not wrapped: it is not a denial
}

func (t *probeRun) delete(ctx context.Context, st *vault.Store, key string) error {
	err := st.Bucket.Delete(ctx, key)
	t.recordError(err)
	return err
}

func (t *probeRun) remove(ctx context.Context, st *vault.Store, keys []string) (map[string]error, error) {
	failed, err := st.Remover.Remove(ctx, keys)
	t.recordError(err)
	for _, err := range failed {
		t.recordError(err)
	}
	return failed, err
}

// deleteKey deletes one key in the same way as a vault.
func (t *probeRun) deleteKey(ctx context.Context, st *vault.Store, key string) error {
	if st.Remover == nil {
		return t.delete(ctx, st, key)
	}
	failed, err := t.remove(ctx, st, []string{key})
	if err == nil {
		err = failed[key]
	}
	return err
}

// list requests pages of the given size until the last page.
func (t *probeRun) list(ctx context.Context, st *vault.Store, prefix string, pageSize int) (pages [][]*blob.ListObject, err error) {
	token := blob.FirstPageToken
	for len(token) > 0 {
		page, next, err := st.Bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix})
		t.recordError(err)
		if err != nil {
			return nil, err
		}
		if len(pages) > 100 {
			return nil, violation("a list of the prefix %q does not end", prefix)
		}
		pages = append(pages, page)
		token = next
	}
	return pages, nil
}

func (t *probeRun) versions(ctx context.Context, st *vault.Store, key string) (all []vault.Version, err error) {
	for v, err := range st.History.Versions(ctx, key) {
		if err != nil {
			t.recordError(err)
			return nil, err
		}
		if all = append(all, v); len(all) > 100 {
			return nil, violation("the history of %q does not end", key)
		}
	}
	return all, nil
}

func (t *probeRun) leftovers(ctx context.Context, st *vault.Store, prefix string) (all []vault.Leftover, err error) {
	for l, err := range st.Purge.Leftovers(ctx, prefix) {
		if err != nil {
			t.recordError(err)
			return nil, err
		}
		if all = append(all, l); len(all) > 10_000 {
			return nil, violation("the list of old versions under %q does not end", prefix)
		}
	}
	return all, nil
}

// purge permanently deletes every old version under prefix.
func (t *probeRun) purge(ctx context.Context, st *vault.Store, prefix string) error {
	all, err := t.leftovers(ctx, st, prefix)
	for len(all) > 0 && err == nil {
		batch := all[:min(1000, len(all))]
		all = all[len(batch):]
		var failed map[vault.Leftover]error
		failed, err = st.Purge.Purge(ctx, batch)
		t.recordError(err)
		for l, ferr := range failed {
			t.recordError(ferr)
			err = fmt.Errorf("purging version %s of %s: %w", l.ID, l.Key, ferr)
		}
	}
	return err
}

// Kind returns the sentinel of package vault for an error of st. It tries these in order: the
// sentinel that the error wraps, the Explain function of the store, the code of gcerrors. It
// returns nil if none of them applies.
func Kind(st *vault.Store, err error) error {
	if s := sentinel(err); s != nil || err == nil {
		return s
	}
	if st.Explain != nil {
		if explained := st.Explain(err); explained != nil {
			if s := sentinel(explained); s != nil { // the explanation may wrap a sentinel and add a hint
				return s
			}
			return explained
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return vault.ErrNotFound
	case gcerrors.PermissionDenied:
		return vault.ErrPermission
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return vault.ErrExist
	case gcerrors.Unimplemented:
		return vault.ErrUnsupported
	}
	return nil
}

// sentinel returns the sentinel of package vault that err wraps, or nil.
func sentinel(err error) error {
	for _, s := range []error{
		vault.ErrUnauthenticated, vault.ErrPermission, vault.ErrNoSpace, vault.ErrConflict, vault.ErrExist,
		vault.ErrNotFound, vault.ErrUnsupported, vault.ErrRefused, vault.ErrUnavailable,
	} {
		if errors.Is(err, s) {
			return s
		}
	}
	return nil
}

func (t *probeRun) kind(st *vault.Store, err error) error { return Kind(st, err) }

// isNoResponse reports whether err means that the store did not respond at all.
func isNoResponse(err error) bool {
	var network net.Error
	return errors.Is(err, vault.ErrUnavailable) || errors.As(err, &network) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// wantSuccess returns nil if err is nil. It returns a violation if the store responded that it
// refuses the call. If the store did not respond, or if permission or space is missing, the
// returned error is not a violation.
func (t *probeRun) wantSuccess(st *vault.Store, err error, what string, args ...any) error {
	what = fmt.Sprintf(what, args...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrViolated):
		return fmt.Errorf("%s: %w", what, err)
	case isNoResponse(err):
	default:
		switch t.kind(st, err) {
		case vault.ErrNotFound, vault.ErrExist, vault.ErrConflict, vault.ErrUnsupported:
			return violation("%s was refused: %w", what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// wantError checks that the kind of err is want.
func (t *probeRun) wantError(st *vault.Store, err, want error, what string, args ...any) error {
	what = fmt.Sprintf(what, args...)
	switch kind := t.kind(st, err); {
	case err == nil:
		return violation("%s: no error was returned, want %q", what, want)
	case errors.Is(err, ErrViolated):
		return fmt.Errorf("%s: %w", what, err)
	case kind == want:
		return nil
	case isNoResponse(err):
		return fmt.Errorf("%s: want the error %q, got: %w", what, want, err)
	case kind == nil:
		return violation("%s: want the error %q, but the error has no such code: %w", what, want, err)
	default:
		return violation("%s: want the error %q, got %q: %w", what, want, kind, err)
	}
}

// wantObject checks that the object at key has the value want. Nil means that the object must
// not exist.
func (t *probeRun) wantObject(ctx context.Context, st *vault.Store, key string, want *value, when string) error {
	r, err := t.openRange(ctx, st, key, 0, -1)
	if want == nil {
		if err == nil {
			n, _ := io.Copy(io.Discard, r)
			r.Close()
			return violation("%s: a read returned %d bytes, want not found", when, n)
		}
		return t.wantError(st, err, vault.ErrNotFound, "%s: a read of a missing object", when)
	}
	if err := t.wantSuccess(st, err, "%s: a read", when); err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != want.size {
		return violation("%s: a read reports the size %d, want %d", when, r.Size(), want.size)
	}
	return t.wantBytes(r, *want, 0, want.size, when+": a read")
}

// wantBytes checks that r returns n bytes of want.
func (t *probeRun) wantBytes(r io.Reader, want value, offset, n int64, what string) error {
	err := want.compare(r, offset, n)
	if d := (*difference)(nil); errors.As(err, &d) {
		return violation("%s returned wrong data: %w", what, err)
	}
	t.recordError(err)
	if err != nil {
		return fmt.Errorf("%s failed before the end: %w", what, err)
	}
	return nil
}

// tag returns the tag of the object at key.
func (t *probeRun) tag(ctx context.Context, st *vault.Store, key string) (string, error) {
	r, err := t.openRange(ctx, st, key, 0, 1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	tag := st.Tag(r)
	if tag == "" {
		return "", violation("an object has an empty tag")
	}
	return tag, nil
}
