// # Optimistic writes
//
// In a bucket with versioning COS ignores the condition of a write, so a create or a
// compare-and-swap writes first and detects a conflict after the write. Of several writers
// the one whose version is the oldest wins, and no writer removes the version of another:
//
//  1. Look. All bytes but the end of the request are sent; then the newest version is read.
//     If the precondition does not hold, the write is cancelled and nothing was stored. A
//     swap is not based on the version of a writer that has lost and is about to undo it.
//  2. Write. The version carries in its metadata what it is based on (x-cos-meta-basis), so
//     that step 1 of another writer can see whether it has lost.
//  3. Find. If the response was lost, the version is found by its first bytes, which hold the
//     envelope's commitment; no other write has them.
//  4. Judge. The versions are listed until ours is among them. If what it came after is what
//     the precondition asks for, it has won.
//  5. Undo. Otherwise our version is deleted permanently, by its id, and the caller gets
//     the error that it lost.
//  6. Settle. A write that step 3 did not find may arrive later. After its last attempt package
//     vault asks for step 3 once more. If the version is still not there the outcome is
//     unknown, [vault.ErrUnsure].
package tencent

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// A precondition is what an optimistic write may come after: the version tag, or, if that is
// empty, no object.
type precondition struct{ tag string }

// holds reports whether v may be replaced; nil is no version.
func (p precondition) holds(v *vault.Version) bool {
	if p.tag == "" {
		return v == nil || v.Deleted
	}
	return v != nil && !v.Deleted && v.ID == p.tag
}

// lost is the error of a writer that came too late.
func (p precondition) lost() error {
	if p.tag == "" {
		return vault.ErrExist
	}
	return vault.ErrConflict
}

// basisKey is the metadata of step 2, and basisNone its value for a create. For a swap it is
// the version's id in hex, since ids may hold what a header may not.
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

// optimistic stores what fill writes as a version, if p holds.
func (s *store) optimistic(ctx context.Context, key string, p precondition, fill func(io.Writer) error) (version string, err error) {
	var sent opening
	var before *vault.Version // the newest version when step 1 looked
	create := p.tag == ""
	done, full, err := s.write(ctx, key, map[string]string{basisKey: p.basis()}, create, func(w io.Writer) (err error) {
		sent = opening{w: w}
		if err := fill(&sent); err != nil {
			return err
		}
		before, err = s.look(ctx, key, p)
		return err
	})
	switch {
	case errors.Is(err, vault.ErrUnsure):
		return "", err
	case err == nil && !done.VersionUnknown:
		return s.judge(ctx, key, done.VersionID, p)
	case err == nil, full && !notApplied(err):
		// It is there, or may be: an id is needed to judge it and to undo it by.
		ctx, cancel := linger.Context(ctx, judgeTime)
		defer cancel()
		id, ferr := s.find(ctx, key, sent.first, sent.size, before)
		switch {
		case ferr != nil:
			return "", errors.Join(fmt.Errorf("%w: %w", vault.ErrUnsure, ferr), err)
		case id == "" && err == nil: // replaced where it has no version, or deleted permanently
			return "", fmt.Errorf("%w: it was written, and is not among the versions", vault.ErrUnsure)
		case id == "":
			return "", &lateWrite{err} // step 6
		}
		return s.judge(ctx, key, id, p)
	case create && exists(err): // by a service that does not ignore the condition after all
		return "", fmt.Errorf("%w: %w", p.lost(), err)
	}
	return "", err
}

// A lateWrite got no response and is not there: it may be in progress still.
type lateWrite struct{ err error }

func (e *lateWrite) Error() string { return e.err.Error() }
func (e *lateWrite) Unwrap() error { return e.err }

// look is step 1. Most writers that are too late learn it here, without a version that must
// be undone.
func (s *store) look(ctx context.Context, key string, p precondition) (newest *vault.Version, err error) {
	newest, err = s.current(ctx, key)
	switch {
	case err != nil:
		return nil, &unpublished{err}
	case !p.holds(newest):
		return nil, p.lost()
	case p.tag == "":
		return newest, nil
	}
	switch doomed, err := s.doomed(ctx, key, newest); {
	case err != nil:
		return nil, &unpublished{err}
	case doomed:
		return nil, p.lost()
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

// doomed reports whether a version, which is current, has lost and is about to be removed by
// its writer. A version that is older than a writer may take for that is not doomed: its
// writer was killed.
func (s *store) doomed(ctx context.Context, key string, v *vault.Version) (bool, error) {
	r, err := s.open(ctx, key, v.ID, 0, 0)
	switch gcerrors.Code(err) {
	case gcerrors.OK:
		defer r.Close()
	case gcerrors.NotFound:
		return true, nil
	case gcerrors.PermissionDenied: // it may not be asked for, only read
		return false, nil
	default:
		return false, err
	}
	basis := header(r, "X-Cos-Meta-"+basisKey)
	if basis == "" || aged(r) {
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
		case basis == basisNone, based: // another version came between
			return true, nil
		default:
			first = false
		}
	}
	// What it came after was removed since, and so was the proof.
	return false, nil
}

// aged reports whether an object was written so long before this response that its write has
// been judged.
func aged(r *blob.Reader) bool {
	now, err := http.ParseTime(header(r, "Date"))
	return err == nil && now.Sub(r.ModTime()) > 2*judgeTime
}

// An opening is how the bytes of a write begin, and how many there are.
type opening struct {
	w     io.Writer
	first []byte
	size  int64
}

// maxOpening is how many bytes are compared: more than the header of most envelopes has.
const maxOpening = 4 << 10

func (o *opening) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.first = append(o.first, p[:min(n, maxOpening-len(o.first))]...)
	o.size += int64(n)
	return n, err
}

var errUnseen = errors.New("another version is current, and no list of versions shows this one")

// find is step 3. It returns the id of the version that starts with first, or "" if what was
// current before it still is. Reads of COS show that without delay, unlike lists; only that
// the object was deleted since is left to a list.
func (s *store) find(ctx context.Context, key string, first []byte, size int64, before *vault.Version) (id string, err error) {
	for n := 1; ; n++ {
		now, ours, err := s.compare(ctx, key, "", first, size)
		switch {
		case err != nil:
			return "", err
		case ours:
			return now, nil
		case before != nil && !before.Deleted && now == before.ID:
			return "", nil
		case now == "" && (before == nil || before.Deleted):
			newest, err := s.current(ctx, key)
			if err != nil || newest == nil || before != nil && newest.ID == before.ID {
				return "", err
			}
		}
		// Another client wrote or deleted since.
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

// maxCompared is how many versions are read in search of one.
const maxCompared = 32

// oldest returns the id of the oldest version after the version last that starts with first,
// or "". The same write may have been sent more than once.
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

// compare reads the first bytes of a version, or of the current one if id is empty. It returns
// the version's id, "" if there is none, and whether it has these bytes and this size.
func (s *store) compare(ctx context.Context, key, id string, first []byte, size int64) (found string, same bool, err error) {
	r, err := s.open(ctx, key, id, 0, int64(len(first)))
	if gcerrors.Code(err) == gcerrors.NotFound || code(err) == "InvalidRange" { // absent, removed meanwhile; empty
		return id, false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer r.Close()
	got, err := io.ReadAll(io.LimitReader(r, int64(len(first))))
	return tag(r), r.Size() == size && bytes.Equal(got, first), err
}

// judgeTime is how long it may take to find out whether a write has won, and to undo it. The
// caller's context may have ended.
const judgeTime = 30 * time.Second

// judge is steps 4 and 5.
func (s *store) judge(ctx context.Context, key, id string, p precondition) (version string, err error) {
	if id == "" || id == "null" {
		// It replaced what had no version before it, and is not ours alone to remove.
		return "", fmt.Errorf("%w: it was written without a version, so that versioning was suspended meanwhile", vault.ErrUnsure)
	}
	ctx, cancel := linger.Context(ctx, judgeTime)
	defer cancel()
	before, newest, err := s.predecessor(ctx, key, id)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: version %s was written, and what it came after is not known: %w", vault.ErrUnsure, id, err)
	case p.holds(before):
		// The next read should see it: the writers that lost are about to remove theirs.
		for n := 1; !newest && n < attempts && pause(ctx, n); n++ {
			now, err := s.current(ctx, key)
			newest = err != nil || now != nil && now.ID == id
		}
		return id, nil
	}
	err = s.try(ctx, reading, func(ctx context.Context) error { // of one id: twice is as good as once
		_, err := s.client.Object.Delete(ctx, key, &cos.ObjectDeleteOptions{VersionId: id})
		return err
	})
	if err != nil && code(err) != "NoSuchVersion" { // an earlier attempt, whose response was lost, did it
		return "", fmt.Errorf("%w: version %s came too late and could not be removed: %w", vault.ErrUnsure, id, err)
	}
	return "", p.lost()
}

var errUnlisted = errors.New("the list of versions does not show it")

// predecessor returns the version that came before id, or nil if there is none, and whether
// nothing came after it. Lists of COS may lag behind.
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

var errMayArrive = fmt.Errorf("%w: a request that got no response may still arrive", vault.ErrUnsure)

// Settle is step 6, and implements [vault.Settler]. All versions of the write came too late if
// the oldest did.
func (s *store) Settle(ctx context.Context, key string, w vault.UnknownWrite) (version string, err error) {
	ctx, cancel := linger.Context(ctx, judgeTime)
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
		if version, err = s.judge(ctx, key, id, p); !errors.Is(err, p.lost()) {
			return version, err
		}
	}
}
