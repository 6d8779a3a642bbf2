package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/objectvault/objectvault/envelope"
)

// Rewrap replaces the header of an object: its data key is wrapped for other key sources, and its
// payload stays. A small object is read and written again. The payload of a larger one is copied
// inside the store, if the store has a Splicer, or else through this process.

// RewrapOptions configures [Vault.Rewrap]. Nil, or the zero value, adds each key source of the Vault
// that the object does not have yet, and removes none.
type RewrapOptions struct {
	// Add are the key sources that must be able to open the object afterwards; nil means those of
	// the Vault.
	Add []envelope.KeySource
	// Remove are the key sources that must not have a stanza in the object afterwards. Each must be
	// usable now, so that it recognizes its stanza. A source of Add that has the same key as one of
	// Remove is not added.
	Remove []envelope.KeySource
	// NoOtherWriters permits Rewrap at a store without compare-and-swap, or that returns no tag for
	// the object. The caller makes sure that no other process writes the object at the same time.
	// Rewrap compares the header right before and right after the write.
	NoOtherWriters bool
	// DryRun makes Rewrap find out what it would do, and write nothing.
	DryRun bool
}

// A Rewrapped is the result of [Vault.Rewrap].
type Rewrapped struct {
	Info
	// Changed reports whether the object was written, or would be without DryRun.
	Changed bool
	// Added and Removed are the names of the key sources whose stanzas were added and removed.
	Added, Removed []string
}

const (
	// rewritten is the maximum length of an object that is read and written as a whole.
	rewritten = 16 << 20
	// spliced is the length of the payload that is sent together with a new header, because the
	// parts of an upload to S3 and COS, except the last, have at least 5 MiB:
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
	spliced = 5 << 20
)

// Rewrap changes which key sources can open the object called name, and does not encrypt its value
// again. Stanzas of sources that are neither added nor removed stay. If the object already has the
// requested stanzas, Rewrap writes nothing, except to a mirror that has an older object.
//
// Rewrap does not revoke access. A former recipient may know the data key of the object, and can
// open old versions of it: see [Vault.Rotate]. Rewrap writes only if a key source of the Vault or of
// Add can open the object afterwards. Otherwise the error wraps [ErrConfig].
//
// The write is a compare-and-swap against the object that was read. If another writer changes the
// object at the same time, the error wraps [ErrConflict]. If the store has no compare-and-swap, the
// error wraps [ErrUnsupported], unless NoOtherWriters is set. The other errors are those of
// [Vault.Get] and [Vault.Put].
//
// With [Options].Spool, Rewrap first sends the pending values of the name, which are sealed for the former
// key sources. If one stays pending, or if a source of Remove can open a refused one, Rewrap changes nothing,
// and the error wraps [ErrSpooled].
func (v *Vault) Rewrap(ctx context.Context, name Name, o *RewrapOptions) (result Rewrapped, err error) {
	defer wrap(&err, "rewrap", string(name))
	ctx, op := v.operate(ctx, "rewrap", name)
	defer op.finish(&result.Info, &err)
	if o == nil {
		o = &RewrapOptions{}
	}
	key, err := v.writable(name)
	if err != nil {
		return Rewrapped{}, err
	}
	if slices.Contains(o.Add, nil) || slices.Contains(o.Remove, nil) {
		return Rewrapped{}, fmt.Errorf("%w: a key source is nil", ErrConfig)
	}
	if err := v.connect(ctx); err != nil {
		return Rewrapped{}, err
	}
	unfinished := int64(0) // size of the uploads of earlier attempts that may remain
	if !o.DryRun {
		if unfinished, err = v.sendPending(ctx, name, o.Remove); err != nil {
			return Rewrapped{}, withUnfinished(err, unfinished)
		}
	}
	for attempt := 1; ; attempt++ {
		r, err := v.rewrap(ctx, name, key, o)
		err = keepUnfinished(err, unfinished, &r.Unfinished)
		if attempt == maxReplaced || !errors.Is(err, errReplaced) || !pause(ctx, attempt) {
			return r, err
		}
		unfinished = unfinishedBy(err)
	}
}

// sendPending sends the pending values of name. If one stays pending, the error wraps ErrSpooled. A refused
// value that a source of removed can open is such an error, too: it may still be sent later. unfinished is
// the size of the uploads that may remain.
func (v *Vault) sendPending(ctx context.Context, name Name, removed []envelope.KeySource) (unfinished int64, err error) {
	if v.spool == nil {
		return 0, nil
	}
	s := &sealing{ref: v.ref(name)}
	if err := v.sendOlder(ctx, s, ""); err != nil {
		return s.unfinished, fmt.Errorf("%w, and must be sent first: %w", ErrSpooled, err)
	}
	if len(removed) == 0 {
		return s.unfinished, nil
	}
	entries, err := v.spool.Entries(ctx, s.ref)
	for _, entry := range entries {
		if e := entry.Entry(); err != nil || !e.Refused || e.Local || e.Mirrored {
			continue
		}
		opens := false
		if opens, err = v.isSealedFor(ctx, entry, removed); err == nil && opens {
			err = fmt.Errorf("%w: a value of this name was refused, and is sealed for a removed key", ErrSpooled)
		}
	}
	return s.unfinished, err
}

// isSealedFor reports whether one of the sources has a stanza in the envelope of an entry.
func (v *Vault) isSealedFor(ctx context.Context, entry Spooled, sources []envelope.KeySource) (bool, error) {
	sealed, err := entry.Open()
	if errors.Is(err, ErrNotFound) { // sent or dropped meanwhile
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer sealed.Close()
	header, err := envelope.ReadHeader(sealed)
	if err != nil {
		return false, err
	}
	owners, err := header.Recipients(ctx, entry.Entry().Ref, sources)
	return slices.ContainsFunc(owners, func(owner int) bool { return owner >= 0 }), err
}

// A rewrapping is one attempt of Rewrap, with the object that was read.
type rewrapping struct {
	v       *Vault
	name    Name
	at      place
	old     head
	header  *envelope.Header // of the old object
	before  []byte           // the same header, as it was read
	after   []byte           // the header of the new object; equal to before if nothing changes
	sources []envelope.KeySource
	result  Rewrapped
}

func (v *Vault) rewrap(ctx context.Context, name Name, key string, o *RewrapOptions) (Rewrapped, error) {
	add := o.Add
	if add == nil {
		add = v.keys
	}
	r := &rewrapping{v: v, name: name, at: place{key: key, before: v.mark(ctx, name)}}
	r.sources = slices.Concat(v.keys, add, o.Remove)
	var err error
	if r.old, err = v.head(ctx, r.at); err != nil {
		return Rewrapped{}, v.gone(ctx, v.ref(name), r.at.before.seen, v.absent(ctx, key, err))
	}
	if r.header, err = envelope.ReadHeader(bytes.NewReader(r.old.data)); err != nil {
		return Rewrapped{}, legacy(r.old.data, err)
	}
	r.before = r.old.data[:r.header.Len()]
	if err := r.plan(ctx, add, o.Remove); err != nil {
		return Rewrapped{}, v.backend.explain(err)
	}
	if !r.result.Changed && !o.DryRun {
		r.result.Unfinished = v.mirrorUnchanged(ctx, name, key, r.sources)
	}
	if !r.result.Changed || o.DryRun {
		return r.result, nil
	}
	how, err := v.swapCondition(r.old.tag, r.before, o.NoOtherWriters)
	if err != nil {
		return Rewrapped{}, err
	}
	err = r.write(ctx, how)
	if how.kind == swap && errors.Is(err, ErrConflict) && r.unchanged(ctx, r.before) == nil {
		// The object is still the one that was read: the server refuses every condition, as Ceph does.
		if err = fact(errNoConditions, err); o.NoOtherWriters {
			err = keepUnfinished(r.write(ctx, condition{}), unfinishedBy(err), &r.result.Unfinished)
		}
	}
	return r.result, err
}

// swapCondition returns the condition of a write that replaces the object with a tag, which starts with old.
// Without compare-and-swap, there is no condition if nothing else writes.
func (v *Vault) swapCondition(tag string, old []byte, noOtherWriters bool) (condition, error) {
	switch {
	case v.store.Swap != nil && tag != "":
		return condition{kind: swap, tag: tag, old: old}, nil
	case noOtherWriters:
		return condition{}, nil
	case v.store.Swap == nil:
		return condition{}, fmt.Errorf("%w: the store has no compare-and-swap, which protects the object from other writers", ErrUnsupported)
	}
	return condition{}, errNoTag
}

// errNoConditions means that a server refuses every compare-and-swap, also one whose condition holds.
var errNoConditions = fmt.Errorf("%w: the server refuses every compare-and-swap, which protects the object from other writers", ErrUnsupported)

// errNoneLeft means that a rewrap would leave no key source that this process has.
var errNoneLeft = fmt.Errorf("%w: no key source would be left that can open the object; nothing was changed", ErrConfig)

// plan authenticates the object, and finds out which stanzas must change.
func (r *rewrapping) plan(ctx context.Context, add, remove []envelope.KeySource) error {
	ref := r.v.ref(r.name)
	former, err := r.header.Recipients(ctx, ref, remove)
	if err != nil {
		return err
	}
	owners, err := r.header.Recipients(ctx, ref, add)
	if err != nil {
		return err
	}
	var keys []envelope.KeySource // of the new header
	present := make([]bool, len(add))
	for i, owner := range former {
		if owners[i] >= 0 {
			present[owners[i]] = true // if it is removed: it has the same key as a source of Remove
		}
		if owner >= 0 {
			r.result.Removed = append(r.result.Removed, remove[owner].Name())
			continue
		}
		keys = append(keys, envelope.Keep(r.header.Stanzas[i]))
	}
	for i, source := range add {
		if !present[i] {
			r.result.Added = append(r.result.Added, source.Name())
			keys = append(keys, source)
		}
	}
	r.result.Changed = len(r.result.Added)+len(r.result.Removed) > 0
	if len(keys) == 0 {
		return errNoneLeft
	}
	r.after = r.before
	if r.result.Changed {
		if r.after, err = envelope.Rewrap(ctx, r.header, ref, r.sources, keys); err != nil {
			return err
		}
	}
	// This authenticates the object, and proves that a new header opens before it replaces the old one.
	object, err := envelope.OpenHeader(ctx, r.start(), ref, r.sources)
	switch {
	case r.result.Changed && errors.Is(err, envelope.ErrUnknownKey):
		return errNoneLeft
	case r.result.Changed && err != nil:
		return fmt.Errorf("the new header cannot be opened, so nothing was changed: %w", err)
	case err != nil:
		return err
	}
	r.result.Info, err = r.v.found(ctx, r.name, r.at, r.old.snapshot, r.header, object.Metadata())
	return err
}

// start returns the new header and the part of the payload that was read with the old one.
func (r *rewrapping) start() io.Reader {
	return io.MultiReader(bytes.NewReader(r.after), bytes.NewReader(r.old.data[len(r.before):]))
}

// write stores the new object.
func (r *rewrapping) write(ctx context.Context, how condition) error {
	v := r.v
	header, err := envelope.ReadHeader(bytes.NewReader(r.after))
	if err != nil {
		return err
	}
	payload := r.old.size - int64(len(r.before))
	s := &sealing{ref: v.ref(r.name), revisions: &v.revisions, name: r.name, header: header, written: int64(len(r.after)) + payload}
	s.read, _ = header.PlaintextSize(s.written)
	switch {
	case s.written <= rewritten:
		sealed, err := r.whole(ctx)
		if err != nil {
			return err
		}
		s.replay = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(sealed)), nil }
	case v.store.Splice != nil && r.old.tag != "" && payload > spliced:
		start, err := r.read(ctx, spliced)
		if err != nil {
			return err
		}
		s.splice = &Splice{Tag: r.old.tag, Conditional: how.kind == swap, Start: start, From: int64(len(r.before)) + spliced, Size: r.old.size}
	default:
		s.replay = func() (io.ReadCloser, error) { return r.stream(ctx) }
	}
	if how.kind == replace {
		if err := r.unchanged(ctx, r.before); err != nil {
			return err
		}
	}
	version, err := v.publish(ctx, r.at.key, how, s)
	if s.splice != nil && errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrUnsure) {
		// The server cannot copy within the store, or does not allow it.
		unfinished := unfinishedBy(err)
		s.splice, s.replay = nil, func() (io.ReadCloser, error) { return r.stream(ctx) }
		version, err = v.publish(ctx, r.at.key, how, s)
		err = keepUnfinished(err, unfinished, &s.unfinished)
	}
	if s.notes != nil {
		s.notes.keys = r.sources // those of the Vault may have been removed
	}
	v.mirrorStored(ctx, r.at.key, s)
	if err == nil && how.kind == replace {
		err = withUnfinished(r.unchanged(ctx, r.after), s.unfinished)
	}
	if err != nil {
		return err
	}
	info := v.info(r.name, header, envelope.Metadata{ContentType: r.result.ContentType, Expires: r.result.Expires, Labels: r.result.Labels})
	info.Version, info.Size, info.SealedSize, info.Unfinished = version, s.read, s.written, s.unfinished
	r.result.Info = info
	return nil
}

// read returns the new header and n bytes of the payload; a negative n means all of it.
func (r *rewrapping) read(ctx context.Context, n int64) ([]byte, error) {
	if int64(len(r.old.data)) == r.old.size {
		return io.ReadAll(r.start()) // the first request returned all of a small object
	}
	body, err := r.payload(ctx, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sealed := bytes.NewBuffer(bytes.Clone(r.after))
	_, err = sealed.ReadFrom(body)
	return sealed.Bytes(), err
}

// payload opens n bytes of the payload of the old object.
func (r *rewrapping) payload(ctx context.Context, n int64) (*body, error) {
	body, err := r.v.fetch(ctx, r.at, int64(len(r.before)), n)
	if err != nil {
		return nil, err
	}
	if !body.snapshot.same(r.old.snapshot) {
		body.Close()
		return nil, errReplaced
	}
	return body, nil
}

// whole returns the new object. It opens the object to its end, so that bytes that were damaged on
// the way never replace the old ones.
func (r *rewrapping) whole(ctx context.Context) ([]byte, error) {
	sealed, err := r.read(ctx, -1)
	if err != nil {
		return nil, err
	}
	opened, err := envelope.Open(ctx, bytes.NewReader(sealed), r.v.ref(r.name), r.sources)
	if err == nil {
		_, err = io.Copy(io.Discard, opened)
	}
	return sealed, r.v.backend.explain(err)
}

// stream returns a reader of the new object, which reads the old payload from the store.
func (r *rewrapping) stream(ctx context.Context) (io.ReadCloser, error) {
	body, err := r.payload(ctx, -1)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(r.after), body), closer(body.Close)}, nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

// unchanged returns an error unless the current object starts with header.
func (r *rewrapping) unchanged(ctx context.Context, header []byte) error {
	h, err := r.v.readHead(ctx, place{key: r.at.key}, 0, int64(len(header)))
	if err = r.v.absent(ctx, r.at.key, err); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if !bytes.Equal(h.data, header) {
		return fmt.Errorf("%w: another writer changed the object at the same time", ErrConflict)
	}
	return nil
}

// RotateOptions configures [Vault.Rotate]. Nil, or the zero value, is ready to use.
type RotateOptions struct {
	// NoOtherWriters permits Rotate at a store without compare-and-swap: see [RewrapOptions].
	NoOtherWriters bool
}

// Rotate encrypts the value of the object called name again, under a new data key, for the key
// sources of the Vault and no others. The new object has a new revision. Rotate is for an object
// whose data key or key source is known to others: [Vault.Rewrap] does not help then, because a
// former recipient may know the data key, and with it can read the object and forge it. Old versions
// of the object stay as they are.
//
// The write is a compare-and-swap, as for Rewrap. With [Options].Spool, Rotate first sends the pending
// values of the name. If one stays pending, Rotate changes nothing, and the error wraps [ErrSpooled]:
// otherwise the pending value would be older than the object.
func (v *Vault) Rotate(ctx context.Context, name Name, o *RotateOptions) (info Info, err error) {
	defer wrap(&err, "rotate", string(name))
	ctx, op := v.operate(ctx, "rotate", name)
	defer op.finish(&info, &err)
	if o == nil {
		o = &RotateOptions{}
	}
	key, err := v.writable(name)
	if err == nil && v.writer != nil {
		err = errLegacyWriter
	}
	if err != nil {
		return Info{}, err
	}
	left, err := v.sendPending(ctx, name, nil)
	if err != nil {
		return Info{}, withUnfinished(err, left)
	}
	defer func() { info.Unfinished += left }()
	conditional := v.store.Swap != nil || !o.NoOtherWriters
	info, tag, err := v.rotate(ctx, name, key, conditional)
	if !conditional || !errors.Is(err, ErrConflict) {
		return info, err
	}
	if now, serr := v.statHere(ctx, name, place{key: key}); serr == nil && now.Tag == tag {
		// The object is still the one that was read: the server refuses every condition, as Ceph does.
		if err = fact(errNoConditions, err); o.NoOtherWriters {
			unfinished := unfinishedBy(err)
			info, _, err = v.rotate(ctx, name, key, false)
			err = keepUnfinished(err, unfinished, &info.Unfinished)
		}
	}
	return info, err
}

// rotate reads the object, and stores its value again. It returns the tag of the object that it
// read. If conditional is set, the object is replaced only if it still has this tag.
func (v *Vault) rotate(ctx context.Context, name Name, key string, conditional bool) (info Info, tag string, err error) {
	r, err := v.getHere(ctx, name, key, &GetOptions{})
	if err != nil {
		return Info{}, "", err
	}
	defer r.Close()
	old := r.Info()
	if old.Legacy != "" {
		return Info{}, "", errLegacyTag
	}
	o := &PutOptions{ContentType: old.ContentType, Expires: old.Expires, Labels: old.Labels, Spool: SpoolOff, again: true}
	if conditional {
		o.IfTag = old.Tag
	}
	info, err = v.put(ctx, name, newSource(ctx, r), o)
	if source := (*SourceError)(nil); errors.As(err, &source) {
		err = withUnfinished(v.backend.explain(source.Err), unfinishedBy(err)) // the store failed, and not the caller's reader
	}
	return info, old.Tag, err
}
