package tencent

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// A precondition is the required state before an optimistic write: the current version has the ID
// tag or, if tag is empty, there is no object.
type precondition struct{ tag string }

// isMet reports whether the newest version v meets the precondition. Nil means that there is no
// version.
func (p precondition) isMet(v *vault.Version) bool {
	if p.tag == "" {
		return v == nil || v.Deleted
	}
	return v != nil && !v.Deleted && v.ID == p.tag
}

// err returns the error of a write whose precondition is not met.
func (p precondition) err() error {
	if p.tag == "" {
		return vault.ErrExist
	}
	return vault.ErrConflict
}

// basisKey is the metadata key of step 2. Its value is basisNone for a create. For a swap it is the
// version ID in hex, because an ID may contain characters that a header does not allow.
const (
	basisKey  = "basis"
	basisNone = "none"
)

func (p precondition) basis() string {
	if p.tag == "" {
		return basisNone
	}
	return hex.EncodeToString([]byte(p.tag))
}

// optimistic stores the data that fill writes, followed by tail, as a new version, if the precondition
// is met.
func (s *store) optimistic(ctx context.Context, key string, p precondition, tail cosblob.Tail, fill func(io.Writer) error) (version string, err error) {
	var sent opening
	var before *vault.Version // the newest version in step 1
	create := p.tag == ""
	o := writeOptions{metadata: map[string]string{basisKey: p.basis()}, create: create, tail: tail}
	done, full, err := s.write(ctx, key, o, func(w io.Writer) (err error) {
		sent = opening{w: w.(partWriter), size: tail.Length}
		if err := fill(&sent); err != nil {
			return err
		}
		before, err = s.check(ctx, key, p)
		return err
	})
	switch {
	case errors.Is(err, vault.ErrUnsure):
		return "", err
	case err == nil && !done.VersionUnknown:
		return s.decide(ctx, key, done.VersionID, p)
	case err == nil, full && !notApplied(err):
		// The version exists, or may exist. Steps 4 and 5 need its ID.
		ctx, cancel := linger.Context(ctx, decideTime)
		defer cancel()
		id, ferr := s.find(ctx, key, sent.first, sent.size, before)
		switch {
		case ferr != nil:
			return "", unsure(errors.Join(ferr, err))
		case id == "" && err == nil: // it was stored without a version and replaced, or permanently deleted
			return "", fmt.Errorf("%w: the object was stored, but is not in the list of versions", vault.ErrUnsure)
		case id == "":
			return "", &lateWrite{err} // step 6
		}
		return s.decide(ctx, key, id, p)
	case create && isExists(err): // the service did not ignore the condition
		return "", fmt.Errorf("%w: %w", p.err(), err)
	}
	return "", err
}

// A lateWrite is the error of a write without a response. Its version does not exist, but COS may
// still store it.
type lateWrite struct{ err error }

func (e *lateWrite) Error() string { return e.err.Error() }
func (e *lateWrite) Unwrap() error { return e.err }

// check is step 1. It detects most conflicts before a version is written.
func (s *store) check(ctx context.Context, key string, p precondition) (newest *vault.Version, err error) {
	newest, err = s.current(ctx, key)
	switch {
	case err != nil:
		return nil, &unpublished{err}
	case !p.isMet(newest):
		return nil, p.err()
	case p.tag == "":
		return newest, nil
	}
	switch lost, err := s.hasLost(ctx, key, newest); {
	case err != nil:
		return nil, &unpublished{err}
	case lost:
		return nil, p.err()
	}
	return newest, nil
}

// current returns the newest version of a key, or nil.
func (s *store) current(ctx context.Context, key string) (*vault.Version, error) {
	for v, err := range s.Versions(ctx, key) {
		return &v, err
	}
	return nil, nil
}

// hasLost reports whether the current version v has lost, so that its writer will delete it. It
// returns false for a version that is older than the time limit for the delete. In that case the
// writer was killed.
func (s *store) hasLost(ctx context.Context, key string, v *vault.Version) (bool, error) {
	r, err := s.open(ctx, key, v.ID, 0, 0)
	switch gcerrors.Code(err) {
	case gcerrors.OK:
		defer r.Close()
	case gcerrors.NotFound:
		return true, nil
	case gcerrors.PermissionDenied: // the caller may read the object, but not a version
		return false, nil
	default:
		return false, err
	}
	basis := header(r, "X-Cos-Meta-"+basisKey)
	if basis == "" || isSettled(r) {
		return false, nil
	}
	found, first := false, true
	for w, err := range s.Versions(ctx, key) {
		based := basis == precondition{w.ID}.basis()
		switch {
		case err != nil:
			return false, err
		case !found:
			found = w.ID == v.ID
		case first && (based || basis == basisNone && w.Deleted):
			return false, nil
		case basis == basisNone, based: // there is another version in between
			return true, nil
		default:
			first = false
		}
	}
	// The version before it has been deleted since, so nothing shows that it has lost.
	return false, nil
}

// isSettled reports whether an object is so old that its writer must have finished step 5.
func isSettled(r *blob.Reader) bool {
	date, err := http.ParseTime(header(r, "Date"))
	return err == nil && date.Sub(r.ModTime()) > 2*decideTime
}

// IsSettled implements [vault.Settler].
func (s *store) IsSettled(ctx context.Context, key, version string) (bool, error) {
	r, err := s.open(ctx, key, "", 0, 0)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		return false, nil
	case err != nil:
		return false, err
	}
	defer r.Close()
	return tag(r) == version && (header(r, "X-Cos-Meta-"+basisKey) == "" || isSettled(r)), nil
}

// An opening records the first bytes of a write, and its size.
type opening struct {
	w     partWriter
	first []byte
	size  int64
}

// maxOpening is the number of bytes that are compared. Most envelope headers are shorter.
const maxOpening = 4 << 10

func (o *opening) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.first = append(o.first, p[:min(n, maxOpening-len(o.first))]...)
	o.size += int64(n)
	return n, err
}

// WriteParts implements [vault.PartWriter].
func (o *opening) WriteParts(s vault.Sealed) error {
	var first atomic.Pointer[[]byte]
	err := o.w.WriteParts(vault.Sealed{Size: s.Size, Part: func(p []byte, offset int64) error {
		err := s.Part(p, offset)
		if offset == 0 && err == nil {
			start := slices.Clone(p[:min(len(p), maxOpening)])
			first.Store(&start)
		}
		return err
	}})
	if start := first.Load(); start != nil {
		o.first = *start
	}
	o.size += s.Size
	return err
}

var errUnseen = errors.New("another version is current, and the new version is in no list of versions")

// find is step 3. It returns the ID of the version that starts with first, or "" if the current
// version has not changed since step 1. Reads of COS are consistent, but lists may lag behind. So
// find uses a list only to find out whether the object has been deleted.
func (s *store) find(ctx context.Context, key string, first []byte, size int64, before *vault.Version) (id string, err error) {
	for n := 1; ; n++ {
		current, ours, err := s.compare(ctx, key, "", first, size)
		switch {
		case err != nil:
			return "", err
		case ours:
			return current, nil
		case before != nil && !before.Deleted && current == before.ID:
			return "", nil
		case current == "" && (before == nil || before.Deleted):
			newest, err := s.current(ctx, key)
			if err != nil || newest == nil || before != nil && newest.ID == before.ID {
				return "", err
			}
		}
		// Another client has written or deleted the object.
		last := ""
		if before != nil {
			last = before.ID
		}
		if id, err := s.oldest(ctx, key, first, size, last); err != nil || id != "" {
			return id, err
		}
		switch { // lists may lag behind
		case n == attempts:
			return "", errUnseen
		case !pause(ctx, n):
			return "", ctx.Err()
		}
	}
}

// maxCompared limits the number of versions that are read to find one.
const maxCompared = 32

// oldest returns the ID of the oldest version that starts with first and is newer than the version
// last, or "". A write that was sent several times may have several versions.
func (s *store) oldest(ctx context.Context, key string, first []byte, size int64, last string) (id string, err error) {
	compared := 0
	for v, err := range s.Versions(ctx, key) {
		switch {
		case err != nil:
			return "", err
		case v.ID == last, compared == maxCompared:
			return id, nil
		case v.Deleted || v.Size != size:
			continue
		}
		compared++
		_, ours, err := s.compare(ctx, key, v.ID, first, size)
		if err != nil {
			return "", err
		}
		if ours {
			id = v.ID
		}
	}
	return id, nil
}

// compare reads the first bytes of a version, or of the current version if id is empty. It returns
// the ID of the version, or "" if there is none. same reports whether the bytes and the size match.
func (s *store) compare(ctx context.Context, key, id string, first []byte, size int64) (found string, same bool, err error) {
	r, err := s.open(ctx, key, id, 0, int64(len(first)))
	if gcerrors.Code(err) == gcerrors.NotFound || code(err) == "InvalidRange" { // it does not exist, has been deleted, or is empty
		return id, false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer r.Close()
	got, err := io.ReadAll(io.LimitReader(r, int64(len(first))))
	return tag(r), r.Size() == size && bytes.Equal(got, first), err
}

// decideTime limits the time for steps 3 to 5, also after the caller's context has ended.
const decideTime = 30 * time.Second

// decide is steps 4 and 5.
func (s *store) decide(ctx context.Context, key, id string, p precondition) (version string, err error) {
	if id == "" || id == "null" {
		// Without a version ID a delete could delete the object of another writer.
		return "", fmt.Errorf("%w: the object was stored without a version ID, so versioning must have been suspended in the meantime", vault.ErrUnsure)
	}
	ctx, cancel := linger.Context(ctx, decideTime)
	defer cancel()
	before, newest, err := s.predecessor(ctx, key, id)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: version %s was stored, but the version before it is not known: %w", vault.ErrUnsure, id, err)
	case before == nil && p.tag != "":
		// Nothing shows which write was first. This version may be the only one that is left.
		return "", fmt.Errorf("%w: version %s was stored, but the version before it has been deleted permanently", vault.ErrUnsure, id)
	case p.isMet(before):
		// Wait until the writers that lost have deleted their versions, so that the next read
		// returns this version.
		for n := 1; !newest && n < attempts && pause(ctx, n); n++ {
			current, err := s.current(ctx, key)
			newest = err != nil || current != nil && current.ID == id
		}
		return id, nil
	}
	err = s.try(ctx, reading, func(ctx context.Context) error { // repeating the delete of one ID is safe
		_, err := s.client.Object.Delete(ctx, key, &cos.ObjectDeleteOptions{VersionId: id})
		return err
	})
	if err != nil && code(err) != "NoSuchVersion" { // NoSuchVersion means that an earlier attempt succeeded
		return "", fmt.Errorf("%w: version %s lost against another writer, but could not be deleted: %w", vault.ErrUnsure, id, err)
	}
	return "", p.err()
}

var errUnlisted = errors.New("it is not in the list of versions")

// predecessor returns the version before id, or nil if there is none. newest reports whether id is
// the newest version. Lists of COS may lag behind, so predecessor repeats the list.
func (s *store) predecessor(ctx context.Context, key, id string) (before *vault.Version, newest bool, err error) {
	for n := 1; ; n++ {
		found := false
		for v, err := range s.Versions(ctx, key) {
			if err != nil {
				return nil, false, err
			}
			if found {
				return &v, newest, nil
			}
			if found = v.ID == id; found {
				newest = v.Current
			}
		}
		switch {
		case found:
			return nil, newest, nil
		case n == attempts:
			return nil, false, errUnlisted
		case !pause(ctx, n):
			return nil, false, ctx.Err()
		}
	}
}

var errMayArrive = fmt.Errorf("%w: a request without a response may still be applied", vault.ErrUnsure)

// Settle is step 6, and implements [vault.Settler]. If the oldest version of the write has lost, its
// other versions have lost too.
func (s *store) Settle(ctx context.Context, key string, w vault.UnknownWrite) (version string, err error) {
	ctx, cancel := linger.Context(ctx, decideTime)
	defer cancel()
	p := precondition{w.Tag}
	first := w.Header[:min(len(w.Header), maxOpening)]
	for err = errMayArrive; ; {
		id, ferr := s.oldest(ctx, key, first, w.Size, w.Tag)
		switch {
		case ferr != nil:
			return "", fmt.Errorf("%w: %w", errMayArrive, ferr)
		case id == "":
			return "", err
		}
		if version, err = s.decide(ctx, key, id, p); !errors.Is(err, p.err()) {
			return version, err
		}
	}
}
