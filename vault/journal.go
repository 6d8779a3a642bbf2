package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A Put with a Spool has three steps. It seals the value into an entry of the spool, which makes
// the value durable on this machine. It sends the older entries of the name, so that the store
// receives them in order. Then it sends its own entry and removes it. If the store cannot be
// reached, or the outcome is unknown, the entry stays, and Deliver sends it later.

// journal seals the value into the spool. If entry is nil, the value was not read, and can be sent
// without an entry. saved reports whether the entry is durable. If it is not, cause is the reason,
// and the entry may contain only the start of the envelope.
func (v *Vault) journal(ctx context.Context, s *sealing, o *PutOptions) (entry Spooled, saved bool, cause error) {
	older, err := v.spool.Entries(ctx, s.ref)
	if err != nil {
		older = nil // Add reports what is wrong with the spool
	}
	e := SpoolEntry{Ref: s.ref, Create: o.Create, IfTag: o.IfTag, IfRevision: o.IfRevision, IfRewrap: o.IfRewrap}
	if o.Replaces != nil {
		e.Replaces = o.Replaces.Entry().ID
	}
	for _, other := range older {
		other := other.Entry()
		v.revisions.raise(s.name, other.Revision)
		if e.Replaces != "" && other.ID > e.Replaces && !other.Refused && !other.Mirrored {
			s.waiting = true
		}
	}
	if s.waiting {
		s.revision = o.Replaces.Entry().Revision
	}
	limit := v.spool.Limit()
	if size, known := sizeOf(s.value); known && size > limit {
		return nil, false, fmt.Errorf("%w: it has %d bytes, and the limit of the spool is %d", ErrTooLarge, size, limit)
	}
	// The end of the context ends the wait for a key source and for the store. It does not stop the saving of
	// a value that is already in memory.
	keysCtx := ctx
	if src, ok := s.value.(*source); ok && src.inMemory() {
		ctx = context.WithoutCancel(ctx)
		src.ctx = ctx
	}
	if err := v.begin(keysCtx, ctx, s, &e); err != nil {
		return nil, false, err
	}
	read := false
	entry, err = v.spool.Add(ctx, e, func(w io.Writer) error {
		read = true
		return s.sealStart(w, limit)
	})
	switch {
	case err == nil:
		s.replay = entry.Open
		return entry, true, nil
	case !read:
		s.sealer.Abort()
		s.sealer, s.header = nil, nil
		return nil, false, err
	case entry == nil, isUnread(err):
		if entry != nil {
			entry.Remove()
			entry.Unlock()
		}
		return nil, false, &brokenJournal{err}
	case s.sealer == nil: // complete, and not durable
		s.replay = entry.Open
	default:
		s.prefix = entry.Open
	}
	if errors.Is(err, errPastLimit) {
		err = fmt.Errorf("%w: it is longer than %d bytes", ErrTooLarge, limit)
	}
	return entry, false, err
}

// A brokenJournal means that the value was read but could not be kept, so it cannot be sent.
type brokenJournal struct{ err error }

func (e *brokenJournal) Error() string { return e.err.Error() }
func (e *brokenJournal) Unwrap() error { return e.err }

func isSourceError(err error) bool {
	var source *SourceError
	return errors.As(err, &source)
}

// begin seals the header. If a key source of the vault fails, for whatever reason, it uses the key of
// the spool, because the value must not be lost. ctx ends the wait for the key sources, and localCtx the use
// of the key of the spool.
func (v *Vault) begin(ctx, localCtx context.Context, s *sealing, e *SpoolEntry) error {
	if len(s.keys) == 0 {
		return notOfStore(fmt.Errorf("%w: the vault has no key source to seal the value with", envelope.ErrUnknownKey))
	}
	err := s.begin(ctx)
	if err != nil && !isKeyError(err) && !errors.Is(err, ErrConflict) && localCtx.Err() == nil {
		local, lerr := v.spool.KeySource(true)
		if lerr != nil {
			return notOfStore(fmt.Errorf("%w, and the key of the spool cannot be used: %w", err, lerr))
		}
		s.keys, e.Local, s.local = []envelope.KeySource{local}, true, notOfStore(err)
		err = s.begin(localCtx)
	}
	if err != nil {
		return notOfStore(err)
	}
	e.Revision, e.Created = s.header.Revision, v.revisions.now()
	return nil
}

// awayErrors are the errors of a key source that cannot be used now: it cannot be reached, does not
// accept the caller, or has changed. A source that is not enrolled is not among them, because the
// operator must first enrol it.
var awayErrors = []error{envelope.ErrUnavailable, envelope.ErrUnauthenticated, envelope.ErrDenied, envelope.ErrChanged}

// putSpooled stores the value of s with the help of the spool. It returns the version that was
// stored.
func (v *Vault) putSpooled(ctx context.Context, key string, s *sealing, o *PutOptions) (version string, err error) {
	entry, saved, cause := v.journal(ctx, s, o)
	var lost *brokenJournal
	switch {
	case cause == nil:
	case isSourceError(cause), s.header == nil && isKeyError(cause):
		return "", cause
	case isUnread(cause):
		return "", notOfStore(cause)
	case errors.As(cause, &lost):
		return "", &UnsavedError{Err: fact(ErrUnavailable, lost.err), Spool: lost.err}
	case o.Spool == SpoolRequire:
		if entry != nil {
			entry.Remove()
			entry.Unlock()
		}
		return "", &spoolFailure{fmt.Errorf("the value cannot be saved on this machine: %w", cause)}
	}
	if entry != nil {
		defer entry.Unlock()
	}
	if !saved {
		if s.waiting {
			err = &spoolFailure{cause} // it must not be sent without its entry: see below
		} else {
			version, err = v.sendFirst(ctx, key, s, o)
		}
		if entry != nil {
			v.logSpool(ctx, "remove", entry, entry.Remove()) // if it stays, Deliver sends it unless the store has it
		}
		if err != nil && !isSourceError(err) {
			err = &UnsavedError{Err: err, Spool: cause}
		}
		return version, err
	}
	if o.Replaces != nil {
		if err = o.Replaces.Remove(); err != nil { // it would be sent once more
			err = &spoolFailure{fmt.Errorf("the entry that was replaced cannot be removed from the spool: %w", err)}
		}
	}
	if err == nil {
		err = v.sendOlder(ctx, s, entry.Entry().ID)
	}
	switch {
	case err != nil:
	case s.waiting: // Deliver compares the revisions
		err = fact(ErrBusy, errors.New("later values of this name are also saved on this machine"))
	case s.local != nil:
		err = s.local
	default:
		version, err = v.sendFirst(ctx, key, s, o)
	}
	err = v.finish(ctx, entry, true, err)
	if o.Replaces != nil { // it is removed, and nothing need wait for it while the mirrors get the value
		o.Replaces.Unlock()
		o.Replaces = nil
	}
	return version, v.withoutPrimary(ctx, key, s, o, err)
}

// finishReplaced ends a Put that could not save the value in an entry of its own: the entry replaced is
// removed if the store has the value, and gets the error otherwise.
func (v *Vault) finishReplaced(ctx context.Context, replaced Spooled, err error) error {
	var few *QuorumError
	var unsaved *UnsavedError
	switch {
	case errors.As(err, &few): // the store has the value
		v.logSpool(ctx, "remove", replaced, replaced.Remove())
		return err
	case errors.As(err, &unsaved):
		err = unsaved.Err
	}
	return v.finish(ctx, replaced, true, err)
}

func isKeyError(err error) bool {
	return isAny(err, []error{envelope.ErrInvalid, envelope.ErrUnknownKey, envelope.ErrNotEnrolled})
}

// sendFirst makes the first attempts at a write of s.
func (v *Vault) sendFirst(ctx context.Context, key string, s *sealing, o *PutOptions) (version string, err error) {
	if err := v.connect(ctx); err != nil {
		return "", err
	}
	how, err := v.condition(ctx, s.name, key, o)
	if err != nil {
		return "", err
	}
	return v.publish(ctx, key, how, s)
}

// sendOlder sends the entries of the name that are older than the entry id, or all if id is empty. If one
// of them stays pending, it returns an error: the entry id must then wait, too.
func (v *Vault) sendOlder(ctx context.Context, s *sealing, id string) error {
	entries, err := v.spool.Entries(ctx, s.ref)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if id != "" && e.Entry().ID >= id || e.Entry().Refused {
			continue
		}
		var spooled *SpooledError
		older, err := v.Deliver(ctx, e)
		s.unfinished += older.Unfinished
		switch {
		case err == nil:
		case errors.As(err, &spooled) && spooled.Refused:
			s.unfinished += unfinishedBy(err)
		case errors.Is(err, envelope.ErrDecrypt), errors.Is(err, envelope.ErrFormat): // set aside
		case spooled != nil:
			return ofCaller(spooled.Err) // this value waits, too
		default:
			return err
		}
	}
	return nil
}

// finish removes the entry if err is nil, because it was sent. Otherwise it records the attempt
// that failed with err. unsent reports whether no earlier attempt was, or will be, applied.
func (v *Vault) finish(ctx context.Context, entry Spooled, unsent bool, err error) error {
	if err == nil {
		// If it stays, Deliver finds its envelope in the store or its history. Without a history, a value that was
		// deleted since is stored again.
		v.logSpool(ctx, "remove", entry, entry.Remove())
		return nil
	}
	final := isFinal(err) && !entry.Entry().Mirrored // the primary store has the value, and the mirror must get it
	// If the line is lost, the value is only sent again: an entry that was sent is not unsent since startAttempt.
	v.logSpool(ctx, "attempted", entry, entry.Attempted(SpoolAttempt{Time: v.revisions.now(), Reason: err.Error(), Refused: final, Unsent: unsent && !errors.Is(err, ErrUnsure)}))
	if final {
		v.dropEqual(ctx, entry)
	}
	return &SpooledError{ID: entry.Entry().ID, Refused: final, Err: err}
}

// logSpool logs an error of an entry that changes nothing for the caller. op is the method that failed.
func (v *Vault) logSpool(ctx context.Context, op string, entry Spooled, err error) {
	if err != nil {
		v.backend.log.WarnContext(ctx, "spool", "op", op, "id", entry.Entry().ID, "err", err)
	}
}

// A spoolFailure means that nothing was sent, because the spool failed. The store has refused nothing, so
// the value stays pending, also if the error wraps [ErrNoSpace].
type spoolFailure struct{ err error }

func (e *spoolFailure) Error() string { return e.err.Error() }
func (e *spoolFailure) Unwrap() error { return e.err }

// A callerError concerns the caller or the settings, not the value: the caller is not permitted, the token
// belongs to another tenant, or the region of the bucket is wrong. Another command may send the value, so an
// entry with that error stays pending. The first attempt of a Put does not use it: its caller must be told
// that the value cannot be stored in this way.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }
func (e *callerError) Unwrap() error { return e.err }

// ofCaller returns err, as a callerError if it is one.
func ofCaller(err error) error {
	var cause *Cause
	switch {
	case errors.Is(err, ErrUnsure):
	case errors.As(err, &cause) && (cause.Reason == Locked || cause.Reason == Archived): // concerns the object
	case errors.As(err, &cause) && cause.Reason == NoBucket,
		isAny(err, []error{ErrPermission, ErrConfig, envelope.ErrChanged, envelope.ErrNotEnrolled}):
		return &callerError{err}
	}
	return err
}

// isFinal reports whether the store refused a value, so that another attempt would not help.
func isFinal(err error) bool {
	var cause *Cause
	switch {
	case errors.As(err, new(*spoolFailure)), errors.As(err, new(*callerError)):
		return false
	case errors.Is(err, ErrUnsure), errors.Is(err, context.Canceled), errors.Is(err, ErrUnauthenticated):
		return false
	case errors.As(err, &cause) && cause.Reason == NoBucket:
		return true
	}
	return isAny(err, []error{ErrRollback, ErrPermission, ErrNoSpace, ErrUnsupported, ErrExist, ErrConflict, ErrInvalidName, ErrConfig, ErrRefused, envelope.ErrChanged, envelope.ErrNotEnrolled})
}

// dropEqual removes the other refused entries of the same name and value.
func (v *Vault) dropEqual(ctx context.Context, entry Spooled) {
	entries, err := v.spool.Entries(ctx, entry.Entry().Ref)
	if err != nil {
		return
	}
	for _, old := range entries {
		o := old.Entry()
		if o.ID == entry.Entry().ID || !o.Refused || !v.sameValue(ctx, entry, old) || lockBriefly(ctx, old) != nil {
			continue
		}
		if old.Entry().Refused {
			old.Remove() // if it stays, the spool has the value twice
		}
		old.Unlock()
	}
}

// sameValue reports whether two entries contain the same value. It opens both.
func (v *Vault) sameValue(ctx context.Context, a, b Spooled) bool {
	ra, err := v.openEntry(ctx, a)
	if err != nil {
		return false
	}
	defer ra.Close()
	rb, err := v.openEntry(ctx, b)
	if err != nil {
		return false
	}
	defer rb.Close()
	return equal(ra, rb)
}

// equal reports whether two readers return the same bytes, to the end.
func equal(a, b io.Reader) bool {
	pa, pb := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		na, erra := io.ReadFull(a, pa)
		nb, errb := io.ReadFull(b, pb)
		atEnd := erra == io.EOF || erra == io.ErrUnexpectedEOF
		if na != nb || !bytes.Equal(pa[:na], pb[:nb]) || erra != errb || erra != nil && !atEnd {
			return false
		}
		if atEnd {
			return true
		}
	}
}

// An openedEntry is the value of an entry.
type openedEntry struct {
	*envelope.Reader
	sealed io.Closer
}

func (o *openedEntry) Close() error { return o.sealed.Close() }

// openEntry opens the value of an entry.
func (v *Vault) openEntry(ctx context.Context, entry Spooled) (*openedEntry, error) {
	e := entry.Entry()
	keys, err := v.entryKeys(e)
	if err != nil {
		return nil, err
	}
	sealed, err := entry.Open()
	if err != nil {
		return nil, err
	}
	r, err := envelope.Open(ctx, sealed, e.Ref, keys)
	if err != nil {
		sealed.Close()
		return nil, err
	}
	if r.Header().Revision != e.Revision {
		sealed.Close()
		return nil, errOtherRevision
	}
	return &openedEntry{r, sealed}, nil
}

var errOtherRevision = fmt.Errorf("%w: the entry contains another revision", envelope.ErrDecrypt)

// entryKeys returns the key sources that open an entry.
func (v *Vault) entryKeys(e SpoolEntry) ([]envelope.KeySource, error) {
	if !e.Local {
		return v.keys, nil
	}
	local, err := v.spool.KeySource(false)
	return []envelope.KeySource{local}, err
}

// openEntryHeader authenticates the header and the metadata of an entry.
func (v *Vault) openEntryHeader(ctx context.Context, entry Spooled) (*envelope.Object, error) {
	e := entry.Entry()
	keys, err := v.entryKeys(e)
	if err != nil {
		return nil, err
	}
	sealed, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer sealed.Close()
	o, err := envelope.OpenHeader(ctx, sealed, e.Ref, keys)
	if err != nil {
		return nil, err
	}
	if o.Header().Revision != e.Revision {
		return nil, errOtherRevision
	}
	return o, nil
}

// Deliver sends an entry of the spool to the store and removes the entry. Deliver locks the entry,
// so the caller must not hold the lock. If the store already has the envelope of the entry, as the
// current object or in its history, Deliver only removes the entry. If another process has sent the
// entry, removed it or set it aside, Deliver returns a zero Info and no error. If the store has an
// object with the same or a later revision and [SpoolEntry].Overwrite is not set, Deliver does not
// replace the object. It marks the entry as refused, and the error wraps [ErrConflict], or
// [ErrExist] if the entry is a create. Without compare-and-swap, Deliver may replace an object that
// another writer stores at the same moment.
//
// If the value could not be sent, the error wraps a [*SpooledError], and the entry stays, pending
// or refused. It stays pending if the caller is denied or the settings are wrong, because another
// caller may be able to send it. If the envelope is damaged, Deliver sets the entry aside, and the error wraps
// [envelope.ErrDecrypt] or [envelope.ErrFormat]. If the entry belongs to another tenant, collection
// or vault, the error wraps [ErrConfig], and the entry stays.
//
// A [Delivery] sends many entries with fewer requests.
func (v *Vault) Deliver(ctx context.Context, entry Spooled) (Info, error) {
	return v.deliver(ctx, entry, nil)
}

// deliver is Deliver as a part of the delivery d, which may be nil.
func (v *Vault) deliver(ctx context.Context, entry Spooled, d *Delivery) (info Info, err error) {
	if entry == nil {
		return Info{}, fmt.Errorf("%w: the entry is nil", ErrConfig)
	}
	name := Name(entry.Entry().Ref.Name)
	defer wrap(&err, "sync", string(name))
	ctx, op := v.operate(ctx, "sync", name)
	defer op.finish(&info, &err)
	mirror := func() {}
	defer func() { mirror() }() // after the entry was removed and unlocked
	check := v.storable
	if entry.Entry().Mirrored {
		check = v.writable
	}
	key, err := check(name)
	if err != nil {
		return Info{}, err
	}
	if v.spool == nil {
		return Info{}, fmt.Errorf("%w: this vault has no spool", ErrConfig)
	}
	if err := lockWithin(ctx, entry, lockTime); err != nil {
		if errors.Is(err, ErrNotFound) { // another process has sent it, or ended it
			return Info{}, nil
		}
		return Info{}, err
	}
	defer func() { entry.Unlock() }()
	e := entry.Entry()
	own := v.ref(name)
	if !v.isNamed(e, name) {
		return Info{}, fmt.Errorf("%w: the entry belongs to another tenant, collection or vault", ErrConfig)
	}
	if e.Refused {
		return Info{}, &SpooledError{ID: e.ID, Refused: true, Err: fmt.Errorf("%w: %s", ErrRefused, lastReason(e))}
	}
	if e.Mirrored {
		info := Info{Name: name, Tenant: v.tenant, Collection: v.collection, Revision: e.Revision}
		if v.primary == nil {
			return Info{}, fmt.Errorf("%w: the entry is for a mirror, and this vault is not one", ErrConfig)
		}
		unfinished, err := v.primary.bring(ctx, v, name, key, &changes{revision: e.Revision, deleted: e.Deleted})
		info.Unfinished = unfinished
		if err = v.finishNote(ctx, entry, err); errors.Is(err, errNewerInMirror) {
			info.Unfinished, err = unfinishedBy(err), nil // Repair decides what happens to the object
		}
		return info, err
	}
	unsent := e.Unsent || e.Local // an envelope for the key of the spool is never sent
	finish := func(err error) error { return v.finish(ctx, entry, unsent, ofCaller(err)) }
	object, err := v.openEntryHeader(ctx, entry)
	switch {
	case errors.Is(err, envelope.ErrDecrypt), errors.Is(err, envelope.ErrFormat):
		// If it stays, the next Deliver finds the same, and does not send it either.
		v.logSpool(ctx, "set aside", entry, entry.SetAside("the envelope does not match the entry: "+err.Error()))
		return Info{}, err
	case err != nil:
		return Info{}, finish(notOfStore(err))
	}
	m, header := object.Metadata(), object.Header()
	s := &sealing{ref: own, keys: v.keys, oneKey: v.oneKey, metadata: m, revisions: &v.revisions, name: name, header: header, written: e.Size, replay: entry.Open, writer: v.writer}
	s.read, _ = header.PlaintextSize(e.Size)
	if err := v.checkLegacyEntry(name, e, s); err != nil {
		return Info{}, finish(err)
	}
	if err := v.connect(ctx); err != nil {
		return Info{}, finish(err)
	}
	var next nextWrite
	if d.isAbsent(ctx, key, e, unsent) {
		next = nextWrite{how: condition{kind: create, quick: !e.Create}, derived: !e.Create, listed: true}
	} else {
		next, err = v.again(ctx, key, e, s)
	}
	if err == nil && !next.done && (e.Local || e.Overwrite) {
		// Seal the value again, with the keys of the vault, and to overwrite under a new revision.
		if e.Overwrite {
			v.overwriteLater(ctx, e)
		}
		var fresh Spooled
		if fresh, err = v.reseal(ctx, entry, s); err == nil {
			if rerr := entry.Remove(); rerr != nil { // it would be sent once more, after the new one
				err = &spoolFailure{fmt.Errorf("the entry that was sealed again cannot be removed from the spool: %w", rerr)}
			}
			entry.Unlock()
			entry, e, unsent = fresh, fresh.Entry(), true
			s.replay = entry.Open
		}
	}
	if err == nil && !next.done && e.Unsent { // from now on it is known only after the attempt
		err = v.startAttempt(entry)
	}
	var version string
	if err == nil && !next.done {
		version, err = v.publishAgain(ctx, key, e, next, s)
	} else if err == nil {
		s.notes = v.noteChange(ctx, name, e.Revision, false) // the attempt that was applied may not have done it
	}
	mirror = func() {
		v.mirrorStored(ctx, key, s)
		info.Unfinished = s.unfinished
	}
	info = v.infoOf(s, key)
	info.Version = version
	info.MissingKeys = s.missing // if it was sealed again: for another entry, Put has returned them
	return info, finish(err)
}

// isNamed reports whether an entry is one of the object called name. If the tenant was not known when the
// value was saved, it may be that of the Vault.
func (v *Vault) isNamed(e SpoolEntry, name Name) bool {
	own := v.ref(name)
	if e.Local && e.Ref.Tenant == "" {
		own.Tenant = ""
	}
	return e.Ref == own
}

// startAttempt records that an attempt to send an unsent entry starts. Without that record the entry would
// still seem unsent after an attempt without a response, and a [Delivery] would store its value again after
// another writer has deleted it.
func (v *Vault) startAttempt(entry Spooled) error {
	err := entry.Attempted(SpoolAttempt{Time: v.revisions.now(), Sending: true})
	if err != nil {
		return &spoolFailure{fmt.Errorf("the start of an attempt cannot be recorded in the spool: %w", err)}
	}
	return nil
}

func lastReason(e SpoolEntry) string {
	if len(e.Attempts) == 0 {
		return "refused"
	}
	return e.Attempts[len(e.Attempts)-1].Reason
}

// reseal seals the value of an entry again, into a new entry that replaces the old one. It returns
// the new entry, locked.
func (v *Vault) reseal(ctx context.Context, old Spooled, s *sealing) (Spooled, error) {
	e := old.Entry()
	value, err := v.openEntry(ctx, old)
	if err != nil {
		return nil, notOfStore(err)
	}
	defer value.Close()
	s.value = value
	v.revisions.raise(s.name, e.Revision)
	if !e.Overwrite {
		s.revision = e.Revision // it was never sent, and later values of the name have later revisions
	}
	if err := s.begin(ctx); err != nil {
		return nil, notOfStore(err)
	}
	fresh := SpoolEntry{
		Ref: s.ref, Revision: s.header.Revision, Created: e.Created, Replaces: e.ID, Overwrite: e.Overwrite,
		Create: e.Create, IfTag: e.IfTag, IfRevision: e.IfRevision, IfRewrap: e.IfRewrap,
	}
	entry, err := v.spool.Add(ctx, fresh, func(w io.Writer) error { return s.sealStart(w, math.MaxInt64) })
	if err != nil {
		if entry != nil {
			entry.Remove()
			entry.Unlock()
		}
		return nil, &spoolFailure{fact(ErrBusy, err)}
	}
	return entry, nil
}

// overwriteLater makes the later values of a name overwrite, too, before the value e is sealed under a
// new revision. Otherwise this revision would be later than theirs, and they would be refused. A value
// with a condition keeps it. If e has no tenant, Retry did not find the later values that were refused.
func (v *Vault) overwriteLater(ctx context.Context, e SpoolEntry) {
	entries, err := v.spool.Entries(ctx, v.ref(Name(e.Ref.Name)))
	if err != nil {
		return // they are refused, and kept
	}
	for _, later := range entries {
		l := later.Entry()
		switch {
		case l.ID <= e.ID || l.Overwrite:
			continue
		case l.Refused && e.Ref.Tenant != "", !l.Refused && l.isConditional(): // Retry has selected the refused ones
			continue
		case lockBriefly(ctx, later) != nil:
			continue
		}
		// If the line is lost, the value is refused, and kept.
		later.Attempted(SpoolAttempt{Time: v.revisions.now(), Reason: "an older value of the same name was sent again later, and overwrites the object in the store", Retry: true, Overwrite: true})
		later.Unlock()
	}
}

// A nextWrite is the decision how an entry is sent.
type nextWrite struct {
	done bool // an earlier attempt was applied
	how  condition
	// derived means that how is not the condition of the Put, but makes sure that only the object
	// that was just read is replaced.
	derived bool
	listed  bool // the object was not read: a list did not contain it
}

// maxRaces is how often an entry is tried against other writers of the name.
const maxRaces = 3

// publishAgain sends the envelope of s after an earlier attempt, which may have been applied.
func (v *Vault) publishAgain(ctx context.Context, key string, e SpoolEntry, next nextWrite, s *sealing) (version string, err error) {
	unfinished := int64(0) // size of the uploads of earlier attempts that may remain
	defer func() { err = keepUnfinished(err, unfinished, &s.unfinished) }()
	for n := 1; ; n++ {
		version, err = v.publish(ctx, key, next.how, s)
		denied := errors.Is(err, ErrUnsupported) || errors.Is(err, ErrPermission)
		raced := errors.Is(err, ErrExist) || errors.Is(err, ErrConflict)
		if err == nil || !next.derived || errors.Is(err, ErrUnsure) || !denied && !raced {
			return version, err
		}
		unfinished += unfinishedBy(err)
		if denied {
			// The store or the caller's permissions do not allow the condition, and a plain put needs none.
			if next.listed { // without a condition, the object must be read first
				if next, err = v.again(ctx, key, e, s); err != nil || next.done {
					return "", err
				}
			}
			return v.publish(ctx, key, condition{}, s)
		}
		// Another writer was faster, or the store refuses every condition, as Ceph does.
		looked := next
		if next, err = v.again(ctx, key, e, s); err != nil || next.done {
			return "", err
		}
		if next.how.kind == looked.how.kind && bytes.Equal(next.how.old, looked.how.old) {
			next = nextWrite{}
		} else if n == maxRaces {
			return "", fact(ErrBusy, errors.New("other writers stored objects of this name at the same time"))
		}
	}
}

// again decides how an entry is sent after an earlier attempt, which may have been applied.
func (v *Vault) again(ctx context.Context, key string, e SpoolEntry, s *sealing) (next nextWrite, err error) {
	header, seen := s.header.Bytes(), v.lastSeen(ctx, s.ref)
	h, err := v.head(ctx, place{key: key})
	err = v.absent(ctx, key, err)
	absent := errors.Is(err, ErrNotFound)
	switch {
	case err != nil && !absent:
		return next, err
	case e.Local: // never sent
	case !absent && bytes.HasPrefix(h.data, header):
		v.wrote(ctx, s.ref, seen, s.header, s.metadata)
		return nextWrite{done: true}, nil
	case v.wasStored(ctx, key, header):
		return nextWrite{done: true}, nil
	}
	if applied, err := v.legacyApplied(ctx, key, e, s, h); applied || err != nil {
		return nextWrite{done: applied}, err
	}
	if err := v.newerLegacy(ctx, key, e, s.name, h); err != nil {
		return next, err
	}
	switch {
	case e.Create && !absent && !e.Overwrite:
		return next, ErrExist
	case e.Create && !e.Overwrite:
		return nextWrite{how: condition{kind: create}}, v.noLegacy(ctx, s.name, key)
	case (e.IfTag != "" || e.IfRevision != 0) && !e.Overwrite:
		next.how, err = v.condition(ctx, s.name, key, &PutOptions{IfTag: e.IfTag, IfRevision: e.IfRevision, IfRewrap: e.IfRewrap})
		return next, err
	case absent:
		return nextWrite{how: condition{kind: create}, derived: true}, nil
	}
	remote, err := v.stateIn(ctx, h, s, e)
	switch {
	case err != nil:
		return next, err
	case e.Overwrite:
		v.revisions.raise(s.name, remote.Revision)
	case remote.Revision >= e.Revision:
		return next, fmt.Errorf("%w: the store already has revision %d, written at %s", ErrConflict, remote.Revision, time.UnixMicro(remote.Revision).UTC().Format(time.RFC3339))
	}
	if v.store.Swap == nil || h.tag == "" {
		return nextWrite{}, nil
	}
	return nextWrite{how: condition{kind: swap, tag: h.tag, old: startOf(h.data)}, derived: true}, nil
}

// startOf returns the bytes of an object that no other write shares: the header of an envelope, or the
// first bytes of an object of agentKeys.
func startOf(object []byte) []byte {
	n := envelope.HeaderLen(object)
	if n == 0 {
		n = legacyMin
	}
	return object[:min(len(object), n)]
}

// newerLegacy returns ErrConflict if agentKeys has stored a value of the name after the entry was
// created. h is the object at key, if there is one.
func (v *Vault) newerLegacy(ctx context.Context, key string, e SpoolEntry, name Name, h head) error {
	if e.Create || e.IfTag != "" || e.IfRevision != 0 || e.Overwrite {
		return nil
	}
	newest, err := v.newestLegacy(ctx, name, key, h)
	if err == nil && newest >= e.Revision {
		err = fmt.Errorf("%w: agentKeys has stored a newer value, written at %s", ErrConflict, time.UnixMicro(newest).UTC().Format(time.RFC3339))
	}
	return err
}

// stateIn returns the authenticated state of the object h, which e would replace. If the object cannot be
// opened, it returns ErrConflict, or the zero state if the object may be overwritten.
func (v *Vault) stateIn(ctx context.Context, h head, s *sealing, e SpoolEntry) (SeenState, error) {
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), s.ref, v.keys)
	switch {
	case err == nil:
		return stateOf(object.Header()), nil
	case isAny(err, awayErrors):
		return SeenState{}, notOfStore(err)
	case e.Overwrite, v.readsLegacy() && errors.Is(err, envelope.ErrFormat) && isLegacy(h.data):
		return SeenState{}, nil // newerLegacy has compared the times
	case e.Local && errors.Is(err, envelope.ErrUnknownKey): // another command may have other keys
		return SeenState{}, notOfStore(err)
	}
	return SeenState{}, fmt.Errorf("%w: the store has an object that the keys of this vault cannot open: %v", ErrConflict, err)
}

// lockTime is the time to wait for the lock of an entry, which another process holds while it sends the
// entry. A process that is suspended holds it for longer.
const lockTime = 10 * time.Second

// lockWithin locks an entry. If that takes longer than d, the error wraps [ErrBusy].
func lockWithin(ctx context.Context, entry Spooled, d time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := entry.Lock(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: another process is sending or removing a value of this name", ErrBusy)
	}
	return err
}

// briefly is the time to wait for the lock of an entry that is not worth waiting for.
const briefly = 20 * time.Millisecond

func lockBriefly(ctx context.Context, entry Spooled) error { return lockWithin(ctx, entry, briefly) }
