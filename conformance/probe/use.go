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

// What a vault does with a store, each step the way package vault takes it. All
// answers pass through saw.

// put replaces what is at key.
func (t *trial) put(ctx context.Context, st *vault.Store, key string, fill func(io.Writer) error) error {
	if st.Put == nil {
		return t.write(ctx, st, key, false, fill)
	}
	_, err := st.Put.Put(ctx, key, fill)
	t.saw(err)
	return err
}

// create writes only where nothing is.
func (t *trial) create(ctx context.Context, st *vault.Store, key string, fill func(io.Writer) error) (version string, err error) {
	if st.Create == nil {
		return "", t.write(ctx, st, key, true, fill)
	}
	version, err = st.Create.Create(ctx, key, fill)
	t.saw(err)
	return version, err
}

// make creates, where that is not what is judged: a store that refuses create-only
// altogether, and says so, is given a plain write.
func (t *trial) make(ctx context.Context, st *vault.Store, key string, fill func(io.Writer) error) error {
	_, err := t.create(ctx, st, key, fill)
	if t.kind(st, err) == vault.ErrUnsupported {
		err = t.put(ctx, st, key, fill)
	}
	return err
}

func (t *trial) swap(ctx context.Context, st *vault.Store, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	newTag, err = st.Swap.Swap(ctx, key, tag, fill)
	t.saw(err)
	return newTag, err
}

func (t *trial) write(ctx context.Context, st *vault.Store, key string, create bool, fill func(io.Writer) error) (err error) {
	defer func() { t.saw(err) }()
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

// open reads a range of what is at key; a negative length means to the end.
func (t *trial) open(ctx context.Context, st *vault.Store, key string, offset, length int64) (*blob.Reader, error) {
	r, err := st.Bucket.NewRangeReader(ctx, key, offset, length, nil)
	t.saw(err)
	return r, t.absent(ctx, st, key, err)
}

// absent settles a denied read of what may not be there, as package vault does it: one
// list of exactly that key tells the two apart.
func (t *trial) absent(ctx context.Context, st *vault.Store, key string, err error) error {
	if !t.HidesAbsent || t.kind(st, err) != vault.ErrPermission {
		return err
	}
	page, _, lerr := st.Bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key})
	t.saw(lerr)
	if lerr != nil || len(page) > 0 && page[0].Key == key {
		return err
	}
	return fmt.Errorf("%w: denied, and not listed: %v", vault.ErrNotFound, err) // not wrapped: it is not a denial
}

func (t *trial) delete(ctx context.Context, st *vault.Store, key string) error {
	err := st.Bucket.Delete(ctx, key)
	t.saw(err)
	return err
}

func (t *trial) remove(ctx context.Context, st *vault.Store, keys []string) (map[string]error, error) {
	failed, err := st.Remover.Remove(ctx, keys)
	t.saw(err)
	for _, err := range failed {
		t.saw(err)
	}
	return failed, err
}

// drop deletes one key the way a vault does.
func (t *trial) drop(ctx context.Context, st *vault.Store, key string) error {
	if st.Remover == nil {
		return t.delete(ctx, st, key)
	}
	failed, err := t.remove(ctx, st, []string{key})
	if err == nil {
		err = failed[key]
	}
	return err
}

// list asks for pages of the given size until there are no more.
func (t *trial) list(ctx context.Context, st *vault.Store, prefix string, pageSize int) (pages [][]*blob.ListObject, err error) {
	token := blob.FirstPageToken
	for len(token) > 0 {
		page, next, err := st.Bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix})
		t.saw(err)
		if err != nil {
			return nil, err
		}
		if len(pages) > 100 {
			return nil, broken("a listing below %q has no end", prefix)
		}
		pages = append(pages, page)
		token = next
	}
	return pages, nil
}

func (t *trial) versions(ctx context.Context, st *vault.Store, key string) (all []vault.Version, err error) {
	for v, err := range st.History.Versions(ctx, key) {
		if err != nil {
			t.saw(err)
			return nil, err
		}
		if all = append(all, v); len(all) > 100 {
			return nil, broken("the history of %q has no end", key)
		}
	}
	return all, nil
}

func (t *trial) leftovers(ctx context.Context, st *vault.Store, prefix string) (all []vault.Leftover, err error) {
	for l, err := range st.Purge.Leftovers(ctx, prefix) {
		if err != nil {
			t.saw(err)
			return nil, err
		}
		if all = append(all, l); len(all) > 10_000 {
			return nil, broken("the leftovers below %q have no end", prefix)
		}
	}
	return all, nil
}

// purge removes all that is left in history below prefix.
func (t *trial) purge(ctx context.Context, st *vault.Store, prefix string) error {
	all, err := t.leftovers(ctx, st, prefix)
	for len(all) > 0 && err == nil {
		batch := all[:min(1000, len(all))]
		all = all[len(batch):]
		var failed map[vault.Leftover]error
		failed, err = st.Purge.Purge(ctx, batch)
		t.saw(err)
		for l, ferr := range failed {
			t.saw(ferr)
			err = fmt.Errorf("purging version %s of %s: %w", l.ID, l.Key, ferr)
		}
	}
	return err
}

// Kind returns the sentinel of package vault that an error of st amounts to, and nil
// where it amounts to none: a sentinel that it wraps, then what the store explains, then
// the code of gcerrors.
func Kind(st *vault.Store, err error) error {
	if s := sentinel(err); s != nil || err == nil {
		return s
	}
	if st.Explain != nil {
		if is := st.Explain(err); is != nil {
			if s := sentinel(is); s != nil { // what explains may wrap it, with a hint
				return s
			}
			return is
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

// sentinel is the one of package vault that err wraps, or nil.
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

func (t *trial) kind(st *vault.Store, err error) error { return Kind(st, err) }

// silent reports whether err means that the store did not answer at all.
func silent(err error) bool {
	var network net.Error
	return errors.Is(err, vault.ErrUnavailable) || errors.As(err, &network) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// works returns nil for nil. Any other answer is about the clause only when the store
// did answer, and not about rights or space.
func (t *trial) works(st *vault.Store, err error, what string, args ...any) error {
	what = fmt.Sprintf(what, args...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotHonoured):
		return fmt.Errorf("%s: %w", what, err)
	case silent(err):
	default:
		switch t.kind(st, err) {
		case vault.ErrNotFound, vault.ErrExist, vault.ErrConflict, vault.ErrUnsupported:
			return broken("%s was refused: %w", what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// fails checks that err is of the wanted kind.
func (t *trial) fails(st *vault.Store, err, want error, what string, args ...any) error {
	what = fmt.Sprintf(what, args...)
	switch kind := t.kind(st, err); {
	case err == nil:
		return broken("%s: answered nil, want %q", what, want)
	case errors.Is(err, ErrNotHonoured):
		return fmt.Errorf("%s: %w", what, err)
	case kind == want:
		return nil
	case silent(err):
		return fmt.Errorf("%s: want %q: %w", what, want, err)
	case kind == nil:
		return broken("%s: want %q, the answer has no code that says so: %w", what, want, err)
	default:
		return broken("%s: want %q, the answer says %q: %w", what, want, kind, err)
	}
}

// holds checks that key holds want; nil means that it is absent.
func (t *trial) holds(ctx context.Context, st *vault.Store, key string, want *value, when string) error {
	r, err := t.open(ctx, st, key, 0, -1)
	if want == nil {
		if err == nil {
			n, _ := io.Copy(io.Discard, r)
			r.Close()
			return broken("%s: a read gives %d bytes, want not found", when, n)
		}
		return t.fails(st, err, vault.ErrNotFound, "%s: a read of what is absent", when)
	}
	if err := t.works(st, err, "%s: a read", when); err != nil {
		return err
	}
	defer r.Close()
	if r.Size() != want.size {
		return broken("%s: a read tells a size of %d, want %d", when, r.Size(), want.size)
	}
	return t.same(r, *want, 0, want.size, when+": a read")
}

// same checks that r gives n bytes of want.
func (t *trial) same(r io.Reader, want value, offset, n int64, what string) error {
	err := want.compare(r, offset, n)
	if d := (*difference)(nil); errors.As(err, &d) {
		return broken("%s gives %w", what, err)
	}
	t.saw(err)
	if err != nil {
		return fmt.Errorf("%s breaks off: %w", what, err)
	}
	return nil
}

// tag reads the swap tag of what is at key.
func (t *trial) tag(ctx context.Context, st *vault.Store, key string) (string, error) {
	r, err := t.open(ctx, st, key, 0, 1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	tag := st.Tag(r)
	if tag == "" {
		return "", broken("an object has no tag")
	}
	return tag, nil
}
