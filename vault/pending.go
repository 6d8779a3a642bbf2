package vault

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/envelope"
)

// A value that is pending in the spool may be newer than the object in the store. Get and Stat
// return it and set Info.Pending, if the store cannot be reached or has an older object. They never
// return a value that the store refused.

// pendingOf returns the newest pending entry of name, or nil.
func (v *Vault) pendingOf(ctx context.Context, name Name) Spooled {
	if v.spool == nil || len(v.keys) == 0 {
		return nil
	}
	entries, err := v.spool.Entries(ctx, v.ref(name))
	if err != nil {
		return nil
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i].Entry(); !e.Refused && !e.Mirrored {
			return entries[i]
		}
	}
	return nil
}

// prefersPending reports whether Get should return the pending entry e. info or err is the result of
// reading the store.
func prefersPending(e SpoolEntry, info Info, err error) bool {
	revision := e.Revision
	switch {
	case err == nil && len(e.Attempts) == 0 && e.isConditional():
		return false // it is being sent for the first time, and the store may refuse it
	case err == nil && info.Legacy != "":
		return info.Modified.UnixMicro() < revision // both are times
	case err == nil:
		return info.Revision < revision
	}
	if e := (*unchangedError)(nil); errors.As(err, &e) {
		return e.revision < revision
	}
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnauthenticated)
}

// pendingInfo opens a pending entry. The caller closes the value.
func (v *Vault) pendingInfo(ctx context.Context, name Name, entry Spooled) (*openedEntry, Info, error) {
	value, err := v.openEntry(ctx, entry)
	if err != nil {
		return nil, Info{}, err
	}
	h, e := value.Header(), entry.Entry()
	info := v.info(name, h, value.Metadata())
	info.Pending, info.SealedSize, info.Modified = true, e.Size, e.Created
	if e.Local {
		info.Tag = "" // it is sealed again before it is sent
	}
	if info.Size, err = h.PlaintextSize(e.Size); err != nil {
		value.Close()
		return nil, Info{}, err
	}
	return value, info, nil
}

// readPending returns a Reader of a pending entry.
func (v *Vault) readPending(ctx context.Context, name Name, entry Spooled, want *Range) (*Reader, error) {
	value, info, err := v.pendingInfo(ctx, name, entry)
	if err != nil {
		return nil, err
	}
	r := &Reader{v: v, info: info, plain: value, local: value}
	if want == nil {
		return r, nil
	}
	offset, length := want.Offset, want.Length
	if offset < 0 {
		offset = max(0, info.Size+offset)
	}
	if _, err := io.CopyN(io.Discard, value, min(offset, info.Size)); err != nil {
		value.Close()
		return nil, err
	}
	if length > 0 {
		r.plain = io.LimitReader(value, length)
	}
	return r, nil
}

// holdPending locks the pending entries of name, so that no other process sends them while the name is
// removed. An empty name means every name of the collection, or of all collections. The caller must call
// end if the name was removed, and release in any case.
func (v *Vault) holdPending(ctx context.Context, name Name, allCollections bool) (held heldEntries, err error) {
	if v.spool == nil {
		return nil, nil
	}
	ref := v.ref(name)
	if allCollections {
		ref.Collection = ""
	}
	// A list can miss an entry that another process is sealing again under a new id. So two lists must find
	// nothing new. Later puts do not count: they may come after the removal.
	seen, names, last := make(map[string]bool), make(map[envelope.Ref]bool), ""
	for list, stable := 1, 0; stable < 2; list, stable = list+1, stable+1 {
		entries, err := v.spool.Entries(ctx, ref)
		if err != nil {
			held.release()
			return nil, err
		}
		for _, entry := range entries {
			e := entry.Entry()
			if list == 1 {
				last = max(last, e.ID)
			}
			if e.Refused || seen[e.ID] || e.ID > last && e.Replaces == "" {
				continue
			}
			seen[e.ID], stable = true, -1
			name := envelope.Ref{Collection: e.Ref.Collection, Name: e.Ref.Name}
			wait := lockTime
			if names[name] {
				wait = briefly // a put that holds it waits for the older entry, which is held here
			}
			switch err := lockWithin(ctx, entry, wait); {
			case errors.Is(err, ErrNotFound): // sent, or sealed again
			case errors.Is(err, ErrBusy) && names[name]:
			case err != nil:
				held.release()
				return nil, err
			case entry.Entry().Refused:
				entry.Unlock()
			default:
				held, names[name] = append(held, entry), true
			}
		}
	}
	return held, nil
}

// heldEntries are locked entries.
type heldEntries []Spooled

func (held heldEntries) release() {
	for _, e := range held {
		e.Unlock()
	}
}

// end sets the entries aside, so that they are not sent after the name was removed.
func (held heldEntries) end(reason string) error {
	var errs []error
	for _, e := range held {
		if e.Entry().Mirrored {
			errs = append(errs, e.Remove()) // a note has no value
		} else {
			errs = append(errs, e.SetAside(reason))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removed from the store, but a value that is saved on this machine may be stored again: %w", err)
	}
	return nil
}
