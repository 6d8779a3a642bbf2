package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/ordered"
)

// Copy moves sealed bytes. An envelope is bound to its vault id, tenant, collection and name, and not
// to its store, so the same bytes open in another store. The lists of the two vaults are in the same
// order, so that one pass over both finds what is missing, and no state is needed to continue after
// an interruption.

// A CopyMode selects what [Copy] does with an object that dst has already, and that is not the one of
// src.
type CopyMode int

const (
	// CopyMissing keeps the object of dst, and reports [CopyExists].
	CopyMissing CopyMode = iota
	// CopyNewer opens both headers, and replaces the object of dst if the one of src is newer. Both
	// vaults need keys. If dst has no compare-and-swap, an object that another writer stores at the same
	// moment may be replaced, too.
	CopyNewer
	// CopyForce replaces the object of dst.
	CopyForce
)

// CopyOptions configures [Copy]. Nil, or the zero value, copies every object that dst does not have.
type CopyOptions struct {
	// Names are the names to copy; nil means all names that start with Prefix.
	Names  []Name
	Prefix string
	// Mode selects what happens to an object that dst has already.
	Mode CopyMode
	// Versions also copies the old versions and delete markers of each name, oldest first. Both stores
	// need a history. The times of the versions are those of the copy. Nothing else may write the
	// names at dst at the same time. If the newest version of dst is one of src, only the later ones
	// are copied; if it is not, the status is CopyExists, unless the Mode is CopyForce. All names are
	// held in memory.
	Versions bool
	// Extra also yields the names that only dst has, as [CopyExtra].
	Extra bool
	// Verify reads each copy back from dst, and compares its SHA-256 with that of the bytes that were
	// read from src. It also compares all bytes of the objects, and with Versions of the old versions, that
	// dst has already. With CopyNewer and CopyForce, a damaged object is replaced; if an old version is
	// damaged, only CopyForce copies the history again.
	Verify bool
	// Jobs is the number of objects that are copied at once; 0 means 16.
	Jobs int
	// DryRun writes nothing. The status of an object that would be copied is [CopyCopied].
	DryRun bool
	// Progress, if not nil, is called with the number of sealed bytes after each write to dst. Several
	// goroutines may call it at once.
	Progress func(bytes int64)
}

// minAway is the least number of objects in a row that fail before a copy ends.
const minAway = 8

// copyJobs is the default of [CopyOptions].Jobs.
const copyJobs = 16

// A CopyStatus is the result of one name.
type CopyStatus string

const (
	CopyCopied  CopyStatus = "copied"  // dst has the object now
	CopySame    CopyStatus = "same"    // dst had the object already
	CopyExists  CopyStatus = "exists"  // dst has another object, which was kept
	CopyOlder   CopyStatus = "older"   // dst has a newer object, which was kept; only with CopyNewer
	CopyGone    CopyStatus = "gone"    // src does not have the object any more
	CopyExtra   CopyStatus = "extra"   // only dst has an object; only with Extra
	CopyForeign CopyStatus = "foreign" // another program stored the object, which was not copied
	CopyFailed  CopyStatus = "failed"  // Err is the reason
)

// A Copied is the result of one name.
type Copied struct {
	Name     Name   // empty if Status is CopyForeign
	Key      string // the object's key in the bucket
	Status   CopyStatus
	Revision int64  // of the object of src; authenticated if Opened is set
	Sealed   int64  // sealed bytes that were written, of all versions
	Versions int    // versions and delete markers that were written; only with Versions
	SHA256   string // of the sealed bytes of the last version that was written, in hexadecimal
	// Opened means that a key source opened every version that was written, and verified it to its end
	// before dst stored it.
	Opened bool
	// Unfinished is the size in bytes of multipart uploads that failed before others succeeded and that may
	// remain, so that the store may bill them: see [Info].Unfinished. If Status is CopyFailed, it is in a
	// [Cause] in Err instead.
	Unfinished int64
	Err        error // a *CopyError; nil unless Status is CopyFailed

	later bool // if Status is CopyOlder: src wrote its object later, although the revision is earlier
}

// A CopyError says on which side a [Copy] failed. The sentinels of Err can be found with [errors.Is].
type CopyError struct {
	Source bool   // the vault that was read failed, and not the one that was written
	Store  string // [Store].Name of that side
	Err    error
}

func (e *CopyError) Error() string {
	side := "destination"
	if e.Source {
		side = "source"
	}
	if e.Store == "" {
		return side + ": " + e.Err.Error()
	}
	return side + " " + e.Store + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *CopyError) Unwrap() error { return e.Err }

// Copy copies the sealed objects of src to dst, and yields a [Copied] for each name. It does not change
// the envelopes: a copy has the same revision and the same tag, and the same keys open it. The two
// vaults must have the same tenant, collection and vault id, because an envelope is bound to them. To
// copy to another tenant, pass the Reader of one Vault to Put of the other.
//
// If src has keys, or else dst, Copy verifies each object to its end before dst stores it. An object
// that none of the keys opens is copied unopened. Without keys, Copy verifies only that an object
// starts with a header and has a possible length.
//
// A name that dst does not have takes one request to src and one to dst; a list of both takes one
// request for each 1000 names. A name that both have takes one small request to each. Copy holds an
// object of up to 1 MiB in memory, and streams a larger one. An interrupted Copy leaves no part of an
// object in dst, and the next Copy continues where it ended.
//
// If an object cannot be copied, Copy yields it with [CopyFailed] and continues. If a list fails, or
// many objects in a row fail because a store cannot be reached, or ctx ends, Copy yields an error last.
// It is a [*CopyError], or wraps [ErrConfig] if the two vaults do not fit together.
//
// Copy never uses a [Spool]. Values that are pending in the spool of src are not in its store, and are
// not copied: send them first.
func Copy(ctx context.Context, dst, src *Vault, o *CopyOptions) iter.Seq2[Copied, error] {
	return copyAll(ctx, dst, src, o, false)
}

// copyAll is Copy. If mirrored is set, src may have older objects than this machine has seen: see [Vault.Repair].
func copyAll(ctx context.Context, dst, src *Vault, o *CopyOptions, mirrored bool) iter.Seq2[Copied, error] {
	return func(yield func(Copied, error) bool) {
		c, err := newCopier(ctx, dst, src, o)
		if err != nil {
			wrap(&err, "copy", "")
			yield(Copied{}, err)
			return
		}
		c.mirrored = mirrored
		jobs := cmp.Or(c.o.Jobs, copyJobs)
		away := 0 // results in a row that failed because a store cannot be reached
		for item, err := range ordered.Map(ctx, jobs, c.pairs, c.copy) {
			wrap(&err, "copy", "")
			if !yield(item, err) || err != nil {
				return
			}
			if away++; !isAway(item.Err) {
				away = 0
			}
			if away >= max(jobs, minAway) {
				err := item.Err.(*Error).Err
				wrap(&err, "copy", "")
				yield(Copied{}, err)
				return
			}
		}
	}
}

// A copier is one run of Copy.
type copier struct {
	dst, src *Vault
	o        CopyOptions
	mirrored bool                 // compare does not look for rollbacks of src
	opener   *Vault               // whose keys open the objects; nil: there are no keys
	keys     []envelope.KeySource // open the objects of both sides, in place of their own keys; nil: their own do
}

func newCopier(ctx context.Context, dst, src *Vault, o *CopyOptions) (*copier, error) {
	c := &copier{dst: dst, src: src}
	if o != nil {
		c.o = *o
	}
	for _, v := range []*Vault{src, dst} {
		if err := v.opened(); err != nil {
			return nil, err
		}
	}
	switch {
	case c.o.Jobs < 0:
		return nil, fmt.Errorf("%w: Jobs is negative", ErrConfig)
	case dst.ref("") != src.ref(""):
		return nil, fmt.Errorf("%w: the two vaults have another tenant, collection or vault id, to which every object is bound", ErrConfig)
	case dst.writer != nil:
		return nil, fmt.Errorf("%w: the destination stores objects of agentKeys, and no envelopes", ErrConfig)
	case c.o.Mode == CopyNewer && (len(src.keys) == 0 || len(dst.keys) == 0):
		return nil, fmt.Errorf("%w: the newer object can only be found with a key", envelope.ErrUnknownKey)
	}
	if len(src.keys) > 0 {
		c.opener = src
	} else if len(dst.keys) > 0 {
		c.opener = dst
	}
	if dst.scope.ReadOnly {
		return nil, c.atDestination(fmt.Errorf("%w: this vault is read-only", ErrScope))
	}
	if err := src.connect(ctx); err != nil {
		return nil, c.atSource(err)
	}
	if err := dst.connect(ctx); err != nil {
		return nil, c.atDestination(err)
	}
	if src.store == dst.store {
		return nil, fmt.Errorf("%w: the source and the destination are the same store", ErrConfig)
	}
	if c.o.Versions && src.store.History == nil {
		return nil, c.atSource(fmt.Errorf("%w: it has no version history", ErrUnsupported))
	}
	if c.o.Versions && dst.store.History == nil {
		return nil, c.atDestination(fmt.Errorf("%w: it has no version history", ErrUnsupported))
	}
	return c, nil
}

// keysOf returns the keys that open the objects of one side.
func (c *copier) keysOf(v *Vault) []envelope.KeySource {
	if c.keys != nil {
		return c.keys
	}
	return v.keys
}

func (c *copier) atSource(err error) error      { return sided(err, true, c.src) }
func (c *copier) atDestination(err error) error { return sided(err, false, c.dst) }

// sided names the side of an error, unless it is named already.
func sided(err error, source bool, v *Vault) error {
	var already *CopyError
	if err == nil || errors.As(err, &already) {
		return err
	}
	if e, ok := err.(*Error); ok { // of a method that Copy calls
		err = e.Err
	}
	return &CopyError{Source: source, Store: v.name, Err: err}
}

// A presence is what a list says about a name in dst.
type presence int

const (
	maybe   presence = iota // there is no list
	absent                  // it was not in the list
	present                 // it was in the list
)

// A pair is a name, and what the lists say about it.
type pair struct {
	Entry
	inSource bool
	inDest   presence
	err      error // the name cannot be copied
}

// pairs yields the names to copy, in the order of their keys.
func (c *copier) pairs(ctx context.Context) iter.Seq2[pair, error] {
	if c.o.Names != nil {
		return c.named()
	}
	return func(yield func(pair, error) bool) {
		listed := make(map[Name]bool) // only with Versions
		for p, err := range c.merged(ctx) {
			if err == nil && c.o.Versions {
				listed[p.Name] = true
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
		if !c.o.Versions || c.src.store.Purge == nil {
			return
		}
		for p, err := range c.deleted(ctx, listed) {
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// named yields the names of the options.
func (c *copier) named() iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for _, name := range c.o.Names {
			p := pair{Entry: Entry{Name: name}, inSource: true}
			if p.Key, p.err = c.src.allowed(name); p.err == nil {
				_, p.err = c.dst.writable(name)
				p.err = c.atDestination(p.err)
			}
			p.err = c.atSource(p.err)
			if !yield(p, nil) {
				return
			}
		}
	}
}

// merged yields the names of both lists.
func (c *copier) merged(ctx context.Context) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		theirs, stop := iter.Pull2(c.dst.listHere(ctx, &ListOptions{Prefix: c.o.Prefix}))
		defer stop()
		other, known := Entry{}, maybe // the next entry of dst; absent: there is none left
		advance := func() error {
			e, err, ok := theirs()
			for ok && err == nil && (e.Foreign || e.Legacy) {
				e, err, ok = theirs()
			}
			switch {
			case errors.Is(err, ErrPermission) && !c.o.Extra:
				known = maybe // ask for each name
			case err != nil:
				return c.atDestination(err)
			case !ok:
				known = absent
			default:
				other, known = e, present
			}
			return nil
		}
		extra := func() (more bool, err error) {
			if c.o.Extra && c.src.scope.Check(other.Name, false) == nil && !yield(pair{Entry: other, inDest: present}, nil) {
				return false, nil
			}
			return true, advance()
		}
		if err := advance(); err != nil {
			yield(pair{}, err)
			return
		}
		for e, err := range c.src.listHere(ctx, &ListOptions{Prefix: c.o.Prefix}) {
			if err != nil {
				yield(pair{}, c.atSource(err))
				return
			}
			for known == present && !e.Legacy && other.Key < e.Key {
				more, err := extra()
				if err != nil {
					yield(pair{}, err)
				}
				if err != nil || !more {
					return
				}
			}
			p := pair{Entry: e, inSource: true, inDest: known}
			switch {
			case e.Foreign:
			case e.Legacy:
				p.err = c.atSource(ErrLegacy)
			case known == present && other.Key != e.Key:
				p.inDest = absent
			case known == present:
				if err := advance(); err != nil {
					yield(pair{}, err)
					return
				}
			}
			if p.err == nil && !e.Foreign {
				_, err := c.dst.writable(e.Name)
				p.err = c.atDestination(err)
			}
			if !yield(p, nil) {
				return
			}
		}
		for known == present {
			more, err := extra()
			if err != nil {
				yield(pair{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// copy copies one name.
func (c *copier) copy(ctx context.Context, p pair) Copied {
	done := Copied{Name: p.Name, Key: p.Key}
	switch {
	case p.err != nil:
		done.Err = p.err
	case p.Foreign:
		done.Status = CopyForeign
	case !p.inSource:
		done.Status = CopyExtra
	default:
		done.Err = c.copyName(ctx, p, &done)
	}
	if done.Err != nil {
		done.Status = CopyFailed
		wrap(&done.Err, "copy", string(p.Name))
	}
	return done
}

// copyName copies the object of a name, or all its versions, as one operation of dst, or else of src.
func (c *copier) copyName(ctx context.Context, p pair, done *Copied) (err error) {
	observer := c.dst
	if !observer.isObserved() {
		observer = c.src
	}
	var info Info
	ctx, op := observer.operate(ctx, "copy", p.Name)
	defer op.finish(&info, &err)
	if c.o.Versions {
		err = c.history(ctx, p, done)
	} else {
		err = c.current(ctx, p, done)
	}
	err = done.withUnfinished(err)
	info = Info{Revision: done.Revision, SealedSize: done.Sealed, Unfinished: done.Unfinished}
	return err
}

// withUnfinished moves the size of unfinished uploads to err, unless that is nil.
func (c *Copied) withUnfinished(err error) error {
	if err == nil {
		return nil
	}
	size := c.Unfinished
	c.Unfinished = 0
	if side, ok := err.(*CopyError); ok {
		return &CopyError{Source: side.Source, Store: side.Store, Err: withUnfinished(side.Err, size)}
	}
	return withUnfinished(err, size)
}

// current copies the current object of a name.
func (c *copier) current(ctx context.Context, p pair, done *Copied) error {
	for attempt := 1; ; attempt++ {
		err := c.try(ctx, p, done)
		removed := false
		if err == nil && c.mirrored && done.Status == CopyCopied && !c.o.DryRun {
			removed, err = c.removeAgain(ctx, p.Key, done)
		}
		raced := removed || errors.Is(err, errReplaced) || errors.Is(err, ErrExist) || errors.Is(err, ErrConflict)
		if !raced || errors.Is(err, ErrUnsure) || attempt == maxReplaced || !pause(ctx, attempt) {
			return err
		}
		done.Unfinished += unfinishedBy(err)
		p.inDest = maybe // another writer changed one of the two objects
	}
}

// removeAgain deletes the copy that was just made in a mirror, if the object was deleted from the primary
// store in the meantime: the deletion in the mirror may have come before the copy.
func (c *copier) removeAgain(ctx context.Context, key string, done *Copied) (removed bool, err error) {
	_, err = c.src.readHead(ctx, place{key: key}, 0, 1)
	if err = c.src.absent(ctx, key, err); !errors.Is(err, ErrNotFound) {
		return false, c.atSource(err)
	}
	if _, _, err := c.dst.deleteOlder(ctx, key, done.Revision); err != nil {
		return false, c.atDestination(err)
	}
	*done = Copied{Name: done.Name, Key: done.Key, Unfinished: done.Unfinished, Status: CopyGone}
	return true, nil
}

// try is one attempt of current.
func (c *copier) try(ctx context.Context, p pair, done *Copied) error {
	at := place{key: p.Key, before: c.src.mark(ctx, p.Name)}
	how := condition{kind: create, quick: c.o.Mode == CopyForce}
	if p.inDest != absent {
		status, write, err := c.compare(ctx, p.Name, at, done)
		if err != nil || status != "" {
			done.Status = status
			return err
		}
		how = write
	}
	t, err := c.read(ctx, p.Name, at)
	if errors.Is(err, ErrNotFound) && c.o.Names == nil {
		done.Status = CopyGone
		return nil
	}
	if err != nil {
		return c.atSource(err)
	}
	defer t.close()
	done.Opened = t.object != nil
	return c.write(ctx, t, how, done)
}

// write stores what t has read at dst.
func (c *copier) write(ctx context.Context, t *transfer, how condition, done *Copied) error {
	done.Status, done.Revision = CopyCopied, t.header.Revision
	if c.o.DryRun {
		done.Sealed += t.size
		return nil
	}
	s := &sealing{ref: c.dst.ref(t.name), revisions: &c.dst.revisions, name: t.name, header: t.header, written: t.size, copy: t.send, unopened: t.object == nil}
	_, err := c.dst.publish(ctx, t.at.key, how, s)
	if how.kind == swap && errors.Is(err, ErrConflict) && c.refusesConditions(ctx, t.at.key, how.old) {
		done.Unfinished += unfinishedBy(err)
		_, err = c.dst.publish(ctx, t.at.key, condition{}, s)
	}
	c.dst.mirrorStored(ctx, t.at.key, s)
	done.Unfinished += s.unfinished
	if source := (*SourceError)(nil); errors.As(err, &source) {
		return c.atSource(withUnfinished(source.Err, unfinishedBy(err)))
	}
	if err == nil && c.o.Verify {
		err = c.readBack(ctx, t)
	}
	if err != nil {
		return c.atDestination(err)
	}
	if how.kind == replace && t.object != nil {
		c.dst.revisions.accept(t.name, t.header.Revision) // it may be older than the object that it replaced
	}
	done.Sealed += t.size
	done.SHA256 = t.digest()
	return nil
}

// refusesConditions reports whether dst refused a compare-and-swap whose condition held, as Ceph does.
func (c *copier) refusesConditions(ctx context.Context, key string, header []byte) bool {
	h, err := c.dst.readHead(ctx, place{key: key}, 0, int64(len(header)))
	return err == nil && bytes.Equal(h.data, header)
}

// compare compares the headers of the two objects. It returns either the status of a name that is not
// copied, or the condition of the write.
func (c *copier) compare(ctx context.Context, name Name, at place, done *Copied) (CopyStatus, condition, error) {
	how := condition{kind: create, quick: c.o.Mode == CopyForce}
	theirs, err := c.dst.head(ctx, place{key: at.key})
	err = c.dst.absent(ctx, at.key, err)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return "", how, c.atDestination(err)
	}
	if missing && !c.o.Extra {
		return "", how, nil
	}
	ours, err := c.src.head(ctx, at)
	switch err = c.src.absent(ctx, at.key, err); {
	case errors.Is(err, ErrNotFound) && !missing && c.o.Extra:
		return CopyExtra, how, nil
	case errors.Is(err, ErrNotFound) && c.o.Names != nil:
		return "", how, c.atSource(err)
	case errors.Is(err, ErrNotFound):
		return CopyGone, how, nil
	case err != nil:
		return "", how, c.atSource(err)
	case missing:
		return "", how, nil
	}
	header, err := envelope.ReadHeader(bytes.NewReader(ours.data))
	if err != nil {
		return "", how, c.atSource(legacy(ours.data, err))
	}
	done.Revision = header.Revision
	same := ours.size == theirs.size && bytes.HasPrefix(theirs.data, header.Bytes())
	if same && c.o.Verify {
		if same, err = c.equal(ctx, at, place{key: at.key}); err != nil {
			return "", how, err
		}
	}
	if same {
		return CopySame, how, nil
	}
	switch c.o.Mode {
	case CopyMissing:
		return CopyExists, how, nil
	case CopyForce:
		return "", condition{}, nil
	}
	status, how, err := c.newer(ctx, name, at, ours, theirs)
	done.later = status == CopyOlder && ours.modified.After(theirs.modified)
	return status, how, err
}

// newer compares the revisions of the two objects, which it authenticates.
func (c *copier) newer(ctx context.Context, name Name, at place, ours, theirs head) (CopyStatus, condition, error) {
	mine, err := envelope.OpenHeader(ctx, bytes.NewReader(ours.data), c.src.ref(name), c.keysOf(c.src))
	if err == nil && !c.mirrored {
		err = c.src.checkSeen(ctx, name, &at, mine.Header())
	}
	if err != nil {
		return "", condition{}, c.atSource(c.src.backend.explain(err))
	}
	other, err := envelope.OpenHeader(ctx, bytes.NewReader(theirs.data), c.dst.ref(name), c.keysOf(c.dst))
	if err != nil {
		return "", condition{}, c.atDestination(c.dst.backend.explain(legacy(theirs.data, err)))
	}
	order := stateOf(mine.Header()).Compare(stateOf(other.Header()))
	switch {
	case order < 0:
		return CopyOlder, condition{}, nil
	case order == 0 && !bytes.Equal(mine.Header().Bytes(), other.Header().Bytes()):
		return CopyExists, condition{}, nil // two writers used the same revision: neither object is newer
	}
	// An object with the same header and another length is damaged, and is replaced, too.
	how, err := c.dst.swapCondition(theirs.tag, other.Header().Bytes(), true)
	return "", how, c.atDestination(err)
}

// Prune deletes the object called name from dst, if src does not have it. It sends one request to src,
// and one to dst. If src has the object, the error wraps [ErrExist]. It is for the names that [Copy]
// yields as [CopyExtra].
func Prune(ctx context.Context, dst, src *Vault, name Name) (err error) {
	defer wrap(&err, "copy", string(name))
	ctx, op := dst.operate(ctx, "prune", name)
	defer op.finish(new(Info), &err)
	c, err := newCopier(ctx, dst, src, nil)
	if err != nil {
		return err
	}
	key, err := src.allowed(name)
	if err != nil {
		return c.atSource(err)
	}
	_, err = src.readHead(ctx, place{key: key}, 0, 1)
	switch err = src.absent(ctx, key, err); {
	case err == nil:
		return c.atSource(fmt.Errorf("%w: it was stored after the list was made", ErrExist))
	case !errors.Is(err, ErrNotFound):
		return c.atSource(err)
	}
	return c.atDestination(dst.Delete(ctx, name, nil))
}
