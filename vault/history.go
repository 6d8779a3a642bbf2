package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A HistoryEntry is one version of an object, or a deletion.
type HistoryEntry struct {
	Version    string    // the store's id, for [GetOptions].Version
	Revision   int64     // read from the header, which is authenticated only by Get
	Size       int64     // bytes of the value; not verified
	SealedSize int64     // bytes stored
	Modified   time.Time // the store's time of the write
	Current    bool      // the version that Get opens by default
	Deleted    bool      // a delete marker: there is no value to open
	Damaged    bool      // not an envelope; Revision and Size are 0
	Legacy     bool      // an object of agentKeys, which has no revision: see [Options].Legacy
}

// History yields the versions of name, newest first, including delete markers. It sends one small
// request for each version. If the name never existed, the error wraps [ErrNotFound]. If the store
// has no history, the error wraps [ErrUnsupported].
func (v *Vault) History(ctx context.Context, name Name) iter.Seq2[HistoryEntry, error] {
	return operateEach(v, ctx, "history", name, func(ctx context.Context) iter.Seq2[HistoryEntry, error] { return v.history(ctx, name) })
}

func (v *Vault) history(ctx context.Context, name Name) iter.Seq2[HistoryEntry, error] {
	return func(yield func(HistoryEntry, error) bool) {
		fail := func(err error) {
			wrap(&err, "history", string(name))
			yield(HistoryEntry{}, err)
		}
		key, err := v.readable(ctx, name)
		if err != nil {
			fail(err)
			return
		}
		none := true
		for version, err := range v.backend.versions(ctx, key) {
			if err != nil {
				fail(err)
				return
			}
			none = false
			e, err := v.historyEntry(ctx, key, version)
			if errors.Is(err, ErrNotFound) {
				continue // dropped since it was listed
			}
			if err != nil {
				fail(err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if none {
			fail(ErrNotFound)
		}
	}
}

func (v *Vault) historyEntry(ctx context.Context, key string, version Version) (HistoryEntry, error) {
	e := HistoryEntry{Version: version.ID, SealedSize: version.Size, Modified: version.Modified, Current: version.Current, Deleted: version.Deleted}
	if e.Deleted {
		return e, nil
	}
	header, err := v.versionHeader(ctx, key, version)
	if err == nil {
		e.Revision = header.Revision
		e.Size, err = header.PlaintextSize(version.Size)
	}
	if errors.Is(err, ErrLegacy) {
		e.Size, e.Legacy = version.Size-legacyMin, true
		return e, nil
	}
	if errors.Is(err, envelope.ErrFormat) || errors.Is(err, envelope.ErrDecrypt) {
		e.Revision, e.Size, e.Damaged = 0, 0, true
		err = nil
	}
	return e, err
}

func (v *Vault) versionHeader(ctx context.Context, key string, version Version) (*envelope.Header, error) {
	h, err := v.head(ctx, at(key, version))
	if err != nil {
		return nil, err
	}
	header, err := envelope.ReadHeader(bytes.NewReader(h.data))
	return header, legacy(h.data, err)
}

// findVersion resolves a version spec, as [GetOptions] describes it, to a version
// that can be opened.
func (v *Vault) findVersion(ctx context.Context, key, spec string) (Version, error) {
	nth, revision := int64(0), int64(0)
	var err error
	if s, ok := strings.CutPrefix(spec, "@"); ok {
		nth, err = strconv.ParseInt(s, 10, 64)
	} else if s, ok := strings.CutPrefix(spec, "r:"); ok {
		revision, err = strconv.ParseInt(s, 10, 64)
	}
	if err != nil || nth < 0 || revision < 0 || spec == "@0" || spec == "r:0" {
		return Version{}, fmt.Errorf("%w: %q is not a version; write an id from history, @N or r:REVISION", ErrInvalidName, spec)
	}
	line := int64(0)
	for version, err := range v.backend.versions(ctx, key) {
		if err != nil {
			return Version{}, err
		}
		line++
		switch {
		case nth > 0 && nth != line, nth == 0 && revision == 0 && version.ID != spec, revision > 0 && version.Deleted:
			continue
		case revision > 0:
			header, err := v.versionHeader(ctx, key, version)
			if errors.Is(err, envelope.ErrFormat) || errors.Is(err, ErrNotFound) {
				continue // not an envelope, or dropped since it was listed
			}
			if err != nil {
				return Version{}, err
			}
			if header.Revision != revision {
				continue
			}
		}
		if version.Deleted {
			return Version{}, fmt.Errorf("%w: version %s is a delete marker", ErrNotFound, spec)
		}
		return version, nil
	}
	return Version{}, fmt.Errorf("%w: version %s", ErrNotFound, spec)
}

// at returns the place of one version.
func at(key string, version Version) place {
	return place{key: key, version: version.ID, known: &snapshot{size: version.Size, modified: version.Modified, version: version.ID}}
}

// check returns an error if the authenticated revision is not the one by which the version was
// chosen, or if a current object is older than one that was already seen.
func (p place) check(h *envelope.Header) error {
	switch {
	case p.accept:
	case p.revision != 0 && p.revision != h.Revision:
		return fmt.Errorf("%w: revision %d was requested, and the store returned revision %d", ErrRollback, p.revision, h.Revision)
	case h.Revision < p.before.floor:
		return fmt.Errorf("%w: the current revision was %d before and is %d now: the store returned an old object, the clock of a writer is slow, or two writers wrote at the same time", ErrRollback, p.before.floor, h.Revision)
	}
	return nil
}

// Rollback stores the value of an old version again, under a new revision. It removes nothing from
// the history, and does not use the [Spool]. version has the form of [GetOptions].Version, and must
// not be empty. Rollback verifies the old version to its end. If that fails, it stores nothing.
func (v *Vault) Rollback(ctx context.Context, name Name, version string) (info Info, err error) {
	defer wrap(&err, "rollback", string(name))
	ctx, op := v.operate(ctx, "rollback", name)
	defer op.finish(&info, &err)
	key, err := v.storable(name)
	if err == nil {
		err = v.connect(ctx)
	}
	if err != nil {
		return Info{}, err
	}
	if version == "" {
		return Info{}, fmt.Errorf("%w: the version is empty", ErrInvalidName)
	}
	old, err := v.locate(ctx, key, version)
	if err != nil {
		return Info{}, err
	}
	return v.putAgain(ctx, name, old, false)
}

// Undelete stores the newest value of a deleted name again, under a new revision. It does not use
// the [Spool]. If the name is not deleted, the error wraps [ErrExist]. If the history has no value,
// the error wraps [ErrNotFound].
//
// Some stores have a history but no create-only, for example COS with suspended versioning. There,
// Undelete may replace an object that another writer stores at the same moment.
func (v *Vault) Undelete(ctx context.Context, name Name) (info Info, err error) {
	defer wrap(&err, "undelete", string(name))
	ctx, op := v.operate(ctx, "undelete", name)
	defer op.finish(&info, &err)
	key, err := v.storable(name)
	if err == nil {
		err = v.connect(ctx)
	}
	if err != nil {
		return Info{}, err
	}
	for version, err := range v.backend.versions(ctx, key) {
		switch {
		case err != nil:
			return Info{}, err
		case version.Current && !version.Deleted:
			return Info{}, fmt.Errorf("%w: it is not deleted", ErrExist)
		case !version.Deleted:
			info, err := v.putAgain(ctx, name, at(key, version), true)
			if errors.Is(err, ErrUnsupported) {
				return v.putAgain(ctx, name, at(key, version), false)
			}
			return info, err
		}
	}
	return Info{}, ErrNotFound
}

func (v *Vault) putAgain(ctx context.Context, name Name, old place, create bool) (Info, error) {
	body, err := v.fetch(ctx, old, 0, -1)
	if err != nil {
		return Info{}, err
	}
	defer body.Close()
	r, err := envelope.Open(ctx, body, v.ref(name), v.keys)
	if v.mayBeLegacy(err) {
		o, err := v.openLegacyVersion(ctx, name, old, v.backend.explain(err))
		if err != nil {
			return Info{}, err
		}
		return v.put(ctx, name, bytes.NewReader(o.value), &PutOptions{Create: create, Spool: SpoolOff, again: true})
	}
	if err != nil {
		return Info{}, v.backend.explain(err)
	}
	if err := old.check(r.Header()); err != nil {
		return Info{}, err
	}
	v.revisions.raise(name, r.Header().Revision)
	m := r.Metadata()
	return v.put(ctx, name, r, &PutOptions{Create: create, ContentType: m.ContentType, Expires: m.Expires, Labels: m.Labels, Spool: SpoolOff, again: true})
}
