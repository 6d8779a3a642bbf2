package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/vault"
)

// Put stores an object over what may be there.
func (s *store) Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	done, _, err := s.write(ctx, key, nil, false, fill)
	if is := s.state.get(); err != nil || done.Untold || is == never || is == unknown {
		return done.VersionID, err
	}
	return cmp.Or(done.VersionID, "null"), nil
}

// Create stores an object only where there is none.
func (s *store) Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	is, err := s.versioningForCreate(ctx)
	if err != nil {
		return "", err
	}
	absent := func(v *vault.Version) bool { return v == nil || v.Deleted }
	if is == enabled {
		return s.replace(ctx, key, onNothing, absent, vault.ErrExist, fill)
	}
	done, _, err := s.write(ctx, key, nil, true, fill)
	if err != nil {
		if exists(err) {
			err = fmt.Errorf("%w: %w", vault.ErrExist, err)
		}
		return "", err
	}
	switch {
	case done.Untold:
		return "", fmt.Errorf("%w: it was written, and the service did not tell whether as a version", vault.ErrUnsure)
	case done.VersionID == "":
		return "", nil
	}
	// Versioning was enabled meanwhile, and the condition was ignored.
	s.state.set(enabled)
	return s.judge(ctx, key, done.VersionID, absent, vault.ErrExist)
}

// exists says whether a create-only write was refused because something is there.
func exists(err error) bool {
	c := code(err)
	return gcerrors.Code(err) == gcerrors.FailedPrecondition && c != "ObjectLocked" && c != "InvalidObjectState"
}

// Swap replaces an object only while it has the given tag, which is its version's id.
func (s *store) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	if is, err := s.versioningForCreate(ctx); err != nil {
		return "", err
	} else if is != enabled {
		return "", fmt.Errorf("%w: the bucket has no versions", vault.ErrUnsupported)
	}
	return s.replace(ctx, key, onVersion(tag), func(v *vault.Version) bool { return v != nil && !v.Deleted && v.ID == tag }, vault.ErrConflict, fill)
}

// tag is by what a version is known in a bucket with versioning: its id. What was written
// before has the id null, and never another content.
func tag(r *blob.Reader) string { return cmp.Or(header(r, "X-Cos-Version-Id"), "null") }

// etag tells a reader in any other bucket that an object was replaced.
func etag(r *blob.Reader) string { return header(r, "ETag") }

func header(r *blob.Reader, name string) string {
	var resp cos.Response
	if !r.As(&resp) {
		return ""
	}
	return resp.Header.Get(name)
}

// replace writes a version, in a bucket with versioning, if what it comes after is as may
// says; nil is nothing. Otherwise nothing stays, and the error wraps lost.
func (s *store) replace(ctx context.Context, key, on string, may func(*vault.Version) bool, lost error, fill func(io.Writer) error) (version string, err error) {
	var o opening
	var now *vault.Version
	create := on == onNothing
	done, full, err := s.write(ctx, key, map[string]string{basis: on}, create, func(w io.Writer) (err error) {
		o = opening{w: w}
		if err := fill(&o); err != nil {
			return err
		}
		// Most of those that are too late are told without a version that must be undone.
		if now, err = s.current(ctx, key); err != nil {
			return &unpublished{err}
		}
		if !may(now) {
			return lost
		}
		if create {
			return nil
		}
		switch doomed, err := s.doomed(ctx, key, now); {
		case err != nil:
			return &unpublished{err}
		case doomed:
			return lost
		}
		return nil
	})
	switch {
	case errors.Is(err, vault.ErrUnsure):
		return "", err
	case err == nil && !done.Untold:
		return s.judge(ctx, key, done.VersionID, may, lost)
	case err == nil, full && !unapplied(err):
		// It is there, or may be: first an id is needed to judge it and to undo it by.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeTime)
		defer cancel()
		id, serr := s.settle(ctx, key, &o, now)
		switch {
		case serr != nil:
			return "", errors.Join(fmt.Errorf("%w: %w", vault.ErrUnsure, serr), err)
		case id == "" && err == nil: // replaced where it has no version, or gone for ever
			return "", fmt.Errorf("%w: it was written, and is not among the versions", vault.ErrUnsure)
		case id == "":
			return "", &lateWrite{err, func(ctx context.Context) (string, error) {
				return s.settleLate(ctx, key, &o, now, may, lost)
			}}
		}
		return s.judge(ctx, key, id, may, lost)
	case create && exists(err): // by a service that does not ignore the condition after all
		return "", fmt.Errorf("%w: %w", lost, err)
	}
	return "", err
}

// current returns the newest version of a key, or nil.
func (s *store) current(ctx context.Context, key string) (*vault.Version, error) {
	for v, err := range s.Versions(ctx, key) {
		return &v, err
	}
	return nil, nil
}

// judgeTime is how long it may take to find out whether a write has won, and to undo it. The
// caller's context may have ended.
const judgeTime = 30 * time.Second

// judge looks at what a version of ours came after, and removes it if that is not as may
// says. Of several writers the one whose version is the oldest wins, and it is never
// removed by another.
func (s *store) judge(ctx context.Context, key, id string, may func(*vault.Version) bool, lost error) (version string, err error) {
	if id == "" || id == "null" {
		// It replaced what had no version before it, and is not ours alone to remove.
		return "", fmt.Errorf("%w: it was written without a version, so that versioning was suspended meanwhile", vault.ErrUnsure)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeTime)
	defer cancel()
	before, newest, err := s.predecessor(ctx, key, id)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: version %s was written, and what it came after is not known: %w", vault.ErrUnsure, id, err)
	case may(before):
		// The next read should see it: those that lost are about to remove theirs.
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
	if err != nil && code(err) != "NoSuchVersion" { // an earlier attempt, whose answer was lost, did it
		return "", fmt.Errorf("%w: version %s came too late and could not be removed: %w", vault.ErrUnsure, id, err)
	}
	return "", lost
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

// partSize is that of a part, and up to which a write is one request: a value of 8 MiB fits,
// sealed.
const partSize = 8<<20 + 64<<10

// write stores what fill writes, or nothing. full says that all of it was written when the
// error came, so that it may be there nevertheless.
func (s *store) write(ctx context.Context, key string, metadata map[string]string, create bool, fill func(io.Writer) error) (done cosblob.Written, full bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	written := &done
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream", // always: without one the writer buffers to guess
		Metadata:    metadata,
		IfNotExist:  create,
		BufferSize:  partSize,
		BeforeWrite: func(as func(any) bool) error {
			if !as(&written) {
				panic("tencent: the driver does not tell what it wrote")
			}
			return nil
		},
	})
	if err != nil {
		return done, false, err
	}
	defer func() {
		if !full { // also when fill panics: a plain Close would publish the part that was written
			cancel()
			w.Close()
		}
	}()
	if err := fill(w); err != nil {
		return done, false, err
	}
	full = true
	if err := w.Close(); errors.Is(err, cosblob.ErrChecksum) && !unapplied(err) {
		// Other bytes may be there, which start as ours do: no reading of a start tells.
		return done, true, fmt.Errorf("%w: %w", vault.ErrUnsure, err)
	} else if err != nil {
		return done, true, err
	}
	return *written, true, nil
}
