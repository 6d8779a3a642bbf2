package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// Put stores an object, and replaces an existing object.
func (s *store) Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	done, _, err := s.write(ctx, key, nil, false, fill)
	if state := s.state.get(); err != nil || done.VersionUnknown || state == never || state == unknown {
		return done.VersionID, err
	}
	return cmp.Or(done.VersionID, "null"), nil
}

// Create stores an object only if the key does not exist.
func (s *store) Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	return s.create(ctx, key, true, fill)
}

// A quickCreator creates an object and does not read it back.
type quickCreator struct{ s *store }

func (q quickCreator) Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	return q.s.create(ctx, key, false, fill)
}

// create stores an object only if the key does not exist. If confirmed is true, it checks that no
// concurrent create has replaced the object.
func (s *store) create(ctx context.Context, key string, confirmed bool, fill func(io.Writer) error) (version string, err error) {
	state, err := s.versioningForCreate(ctx)
	if err != nil {
		return "", err
	}
	if state == enabled {
		return s.optimistic(ctx, key, precondition{}, fill)
	}
	var sent opening
	done, _, err := s.write(ctx, key, nil, true, func(w io.Writer) error {
		sent = opening{w: w}
		return fill(&sent)
	})
	if err != nil {
		var left *cosblob.UnfinishedError
		switch {
		case isExists(err) && errors.As(err, &left):
			err = &vault.Cause{Service: service, Sentinel: vault.ErrExist, Message: describe(left.Err), Effect: vault.Refused, Unfinished: left.Size}
		case isExists(err):
			err = fmt.Errorf("%w: %w", vault.ErrExist, err)
		}
		return "", err
	}
	switch {
	case done.VersionUnknown:
		return "", fmt.Errorf("%w: the object was stored, but the response does not show whether it was stored as a version", vault.ErrUnsure)
	case done.VersionID == "" && !confirmed:
		return "", nil
	case done.VersionID == "":
		return "", s.confirm(ctx, key, sent)
	}
	// Versioning has been enabled since then, so COS ignored the condition.
	s.state.set(enabled)
	return s.decide(ctx, key, done.VersionID, precondition{})
}

// confirm reads back the object of a create in a bucket that never had versioning. According to the
// documentation exactly one of several concurrent creates succeeds. According to a report from a
// real bucket several may succeed (https://github.com/apache/opendal/pull/7526). confirm detects
// that another create has replaced the object, but only if this happened before the read.
func (s *store) confirm(ctx context.Context, key string, sent opening) error {
	ctx, cancel := linger.Context(ctx, decideTime)
	defer cancel()
	id, ours, err := s.compare(ctx, key, "", sent.first, sent.size)
	switch {
	case errors.Is(explain(err), vault.ErrPermission):
		return fmt.Errorf("%w: the object was stored, but permission to read it back is missing: allow name/cos:GetObject, which a create needs in a bucket without versioning: %w", vault.ErrUnsure, err)
	case err != nil:
		return fmt.Errorf("%w: the object was stored, but could not be read back: %w", vault.ErrUnsure, err)
	case !ours && id != "": // an empty id means that the object has been deleted since
		return fmt.Errorf("%w: the object was stored, but a concurrent write replaced it", vault.ErrExist)
	}
	return nil
}

// isExists reports whether a create-only write was refused because the object exists. After a
// conflict with another write, cosblob has checked this.
func isExists(err error) bool {
	switch code(err) {
	case codeExists, "PathConflict", "UploadConflict":
		return gcerrors.Code(err) == gcerrors.FailedPrecondition
	}
	return false
}

// codeExists is the error code of a create-only write if the object exists.
const codeExists = "FileAlreadyExists"

// Swap replaces an object only if it has the given tag, which is its version ID.
func (s *store) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	if state, err := s.versioningForCreate(ctx); err != nil {
		return "", err
	} else if state != enabled {
		return "", fmt.Errorf("%w: the bucket has no versions", vault.ErrUnsupported)
	}
	if strings.HasPrefix(tag, `"`) {
		if tag, err = s.versionWithETag(ctx, key, tag); err != nil {
			return "", err
		}
	}
	return s.optimistic(ctx, key, precondition{tag}, fill)
}

// versionWithETag returns the version ID of the current object, if the object has the given ETag. An
// object that was read while the versioning of the bucket was unknown has its ETag as its tag.
func (s *store) versionWithETag(ctx context.Context, key, want string) (id string, err error) {
	r, err := s.open(ctx, key, "", 0, 1)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		return "", vault.ErrConflict
	case err != nil:
		return "", &unpublished{err}
	}
	defer r.Close()
	if etag(r) != want {
		return "", vault.ErrConflict
	}
	return tag(r), nil
}

// tag returns the tag of an object in a bucket with versioning, which is its version ID. An object
// from before versioning was enabled has the ID null, and its content never changes.
func tag(r *blob.Reader) string { return cmp.Or(header(r, "X-Cos-Version-Id"), "null") }

// tag returns the tag of an object if the versioning of the bucket was unknown when it was opened.
func (s *store) tag(r *blob.Reader) string {
	if s.state.get() == enabled {
		return tag(r)
	}
	return etag(r)
}

// etag returns the tag of an object in any other bucket. It changes when the object is replaced.
func etag(r *blob.Reader) string { return header(r, "ETag") }

func header(r *blob.Reader, name string) string {
	var resp cos.Response
	if !r.As(&resp) {
		return ""
	}
	return resp.Header.Get(name)
}

// partSize is the size of a part. A smaller write is one request. A sealed value of 8 MiB fits into
// one part.
const partSize = 8<<20 + 64<<10

// write stores the data that fill writes, or nothing. If full is true and err is not nil, the error
// occurred after all data was written, so the object may exist.
func (s *store) write(ctx context.Context, key string, metadata map[string]string, create bool, fill func(io.Writer) error) (done cosblob.Written, full bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	written := &done
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream", // without it, the writer would buffer data to detect the type
		Metadata:    metadata,
		IfNotExist:  create,
		BufferSize:  partSize,
		BeforeWrite: func(as func(any) bool) error {
			if !as(&written) {
				panic("tencent: the driver does not support *cosblob.Written")
			}
			return nil
		},
	})
	if err != nil {
		return done, false, err
	}
	defer func() {
		if full {
			return
		}
		cancel() // needed even if fill panics, because Close alone would publish the incomplete object
		if left := (*cosblob.UnfinishedError)(nil); errors.As(w.Close(), &left) && err != nil {
			err = &unpublished{&cosblob.UnfinishedError{Err: err, Abort: left.Abort, Size: left.Size}}
		}
	}()
	if err := fill(w); err != nil {
		return done, false, err
	}
	full = true
	if err := w.Close(); errors.Is(err, cosblob.ErrChecksum) && !notApplied(err) {
		// Wrong data may be stored. Reading its first bytes would not detect this.
		return done, true, fmt.Errorf("%w: %w", vault.ErrUnsure, err)
	} else if err != nil {
		return done, true, err
	}
	return *written, true, nil
}
