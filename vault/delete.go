package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/envelope"
)

// DeleteOptions configures [Vault.Delete]. With nil or the zero value, Delete removes the object,
// whatever its tag is.
type DeleteOptions struct {
	// IfTag, if not empty, makes Delete fail with [ErrConflict] unless the object has this
	// [Info].Tag. Delete sends one more request to read the object. If the store has no
	// [ConditionalRemover], or returns no tag for the object, Delete fails with [ErrUnsupported]
	// and removes nothing.
	IfTag string
}

// Delete removes the current object called name. If the store has a history, the old versions stay.
// If the object does not exist, the error wraps [ErrNotFound], or is nil if the cloud does not
// report absent objects.
//
// If the connection fails, Delete sends the request again. This may remove an object that another
// writer stored in the meantime, unless IfTag is set. If the error wraps [ErrUnsure], the object
// may have been removed, or may be removed later. When ctx ends during a request, Delete may take 5
// more seconds to find out the outcome.
//
// With [Options].Spool, Delete locks the pending entries of the name, so that no other process sends
// them. When it has removed the object, or may have, or there is none, it sets them aside, so that they are
// not sent later: see [Spooled].SetAside. Otherwise they stay pending. If there were such entries and the
// store has no object, Delete without IfTag returns nil. With [Options].Legacy, Delete
// first removes the objects that agentKeys stored under the name. If one of them cannot be removed,
// the error wraps [ErrPartial] and names its key, and the envelope stays.
func (v *Vault) Delete(ctx context.Context, name Name, o *DeleteOptions) (err error) {
	defer wrap(&err, "delete", string(name))
	ctx, op := v.operate(ctx, "delete", name)
	defer op.finish(new(Info), &err)
	key, err := v.writable(name)
	if err != nil {
		return err
	}
	pending, err := v.holdPending(ctx, name, false)
	if err != nil {
		return err
	}
	defer pending.release()
	if err := v.connect(ctx); err != nil {
		return err
	}
	ended := false
	if o != nil && o.IfTag != "" {
		err = v.deleteIf(ctx, name, key, o.IfTag)
		ended = err == nil || errors.Is(err, ErrUnsure)
	} else {
		ended, err = v.deleteAny(ctx, name, key)
	}
	var perr error
	if ended {
		perr = pending.end("the name was removed")
	}
	pending.release() // a put need not wait for the mirrors
	if ended && (err == nil || errors.Is(err, ErrNotFound)) {
		v.mirrorDelete(ctx, name, key)
	}
	if ended && len(pending) > 0 && errors.Is(err, ErrNotFound) {
		err = nil // what existed was in the spool
	}
	if perr != nil {
		return errors.Join(err, perr)
	}
	return err
}

// deleteAny removes the object of name, whatever its tag is. ended reports whether something was removed, may
// have been removed, or did not exist.
func (v *Vault) deleteAny(ctx context.Context, name Name, key string) (ended bool, err error) {
	last := v.lastSeen(ctx, v.ref(name))
	legacy, err := v.removeLegacy(ctx, name, key)
	if err != nil {
		return legacy > 0 || errors.Is(err, ErrUnsure), err
	}
	err = v.absent(ctx, key, v.remove(ctx, key))
	if legacy > 0 && errors.Is(err, ErrNotFound) {
		err = nil // what existed was stored by agentKeys
	}
	err = v.deleted(ctx, v.ref(name), last, err)
	return err == nil || legacy > 0 || errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnsure), err
}

// deleteIf removes the object of name if it has the given tag.
func (v *Vault) deleteIf(ctx context.Context, name Name, key, want string) error {
	if v.store.RemoveIf == nil || v.store.Tag == nil {
		return fmt.Errorf("%w: conditional delete", ErrUnsupported)
	}
	ref := v.ref(name)
	last := v.lastSeen(ctx, ref)
	h, header, err := v.current(ctx, name, key)
	if err != nil {
		return v.deleted(ctx, ref, last, err)
	}
	if tag := tagOf(header); tag != want {
		return fmt.Errorf("%w: the object has the tag %s", ErrConflict, tag)
	}
	if h.tag == "" {
		return errNoTag
	}
	if _, err := v.removeLegacy(ctx, name, key); err != nil {
		return err
	}
	last = v.lastSeen(ctx, ref)
	return v.deleted(ctx, ref, last, v.removeExactly(ctx, key, h.tag, h.data[:header.Len()]))
}

// removeExactly deletes the object at key that has the store's tag and starts with start.
func (v *Vault) removeExactly(ctx context.Context, key, tag string, start []byte) error {
	return v.removal(ctx, func(n int) error { return v.backend.removeIf(ctx, key, tag, n) }, func(ctx context.Context) (bool, error) {
		h, err := v.readHead(ctx, place{key: key}, 0, int64(len(start)))
		if err = v.absent(ctx, key, err); err != nil {
			return errors.Is(err, ErrNotFound), nil
		}
		if !bytes.HasPrefix(h.data, start) {
			return false, fmt.Errorf("%w: the object was replaced by another one", ErrConflict)
		}
		return false, nil
	})
}

// current reads and authenticates the header of the current object.
func (v *Vault) current(ctx context.Context, name Name, key string) (head, *envelope.Header, error) {
	at := place{key: key, before: v.mark(ctx, name)}
	h, err := v.head(ctx, at)
	if err = v.absent(ctx, key, err); err != nil {
		if errors.Is(err, ErrNotFound) {
			found, lerr := v.otherLegacy(ctx, name, key)
			if lerr != nil {
				return head{}, nil, lerr
			}
			if len(found) > 0 {
				return head{}, nil, errLegacyTag
			}
		}
		return head{}, nil, err
	}
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), v.ref(name), v.keys)
	if v.readsLegacy() && errors.Is(err, envelope.ErrFormat) && isLegacy(h.data) {
		return head{}, nil, errLegacyTag
	}
	if err != nil {
		return head{}, nil, v.backend.explain(err)
	}
	if err := v.checkSeen(ctx, name, &at, o.Header()); err != nil {
		return head{}, nil, err
	}
	v.saw(ctx, name, at, o.Header(), o.Metadata())
	return h, o.Header(), nil
}

// remove deletes key.
func (v *Vault) remove(ctx context.Context, key string) error {
	return v.removal(ctx, func(n int) error { return v.backend.remove(ctx, key, n) }, func(ctx context.Context) (bool, error) {
		_, err := v.readHead(ctx, place{key: key}, 0, 1)
		return errors.Is(v.absent(ctx, key, err), ErrNotFound), nil
	})
}

// removal makes up to three attempts. After an attempt with an unknown outcome it calls look. look
// reports whether the object is gone; an error of look ends the removal.
func (v *Vault) removal(ctx context.Context, attempt func(n int) error, look func(context.Context) (gone bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return v.backend.explain(err) // nothing was sent
	}
	var lost error // of the last attempt with an unknown outcome
	for n := 1; ; n++ {
		err := attempt(n)
		switch o := classify(true, err); {
		case o == stored:
			return nil
		case errors.Is(err, ErrUnsure):
			return err
		case o == unknown:
			lost = err
		}
		if lost != nil {
			ctx, cancel := lingering(ctx)
			gone, lerr := look(ctx)
			cancel()
			if gone || lerr != nil {
				return lerr
			}
		}
		switch {
		case n < maxAttempts && retryable(err) && pause(ctx, n):
		case lost == nil:
			return err
		default:
			return fmt.Errorf("%w: %w", ErrUnsure, err)
		}
	}
}
