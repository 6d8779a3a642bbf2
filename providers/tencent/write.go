package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// Put stores an object over what may be there.
func (s *store) Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	done, _, err := s.write(ctx, key, nil, false, fill)
	if is := s.state.get(); err != nil || done.VersionUnknown || is == never || is == unknown {
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
	if is == enabled {
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
		case exists(err) && errors.As(err, &left):
			err = &vault.Cause{Service: service, Sentinel: vault.ErrExist, Message: said(left.Err), Effect: vault.Refused, Unfinished: left.Size}
		case exists(err):
			err = fmt.Errorf("%w: %w", vault.ErrExist, err)
		}
		return "", err
	}
	switch {
	case done.VersionUnknown:
		return "", fmt.Errorf("%w: it was written, and the service did not return whether as a version", vault.ErrUnsure)
	case done.VersionID == "":
		return "", s.confirm(ctx, key, sent)
	}
	// Versioning was enabled meanwhile, and the condition was ignored.
	s.state.set(enabled)
	return s.judge(ctx, key, done.VersionID, precondition{})
}

// confirm reads back what a create stored, in a bucket that never had versioning. The documents
// let one creator win; a live report has more than one told success when they are many at once
// (https://github.com/apache/opendal/pull/7526). What comes over ours before this read is found
// out; what comes later is not.
func (s *store) confirm(ctx context.Context, key string, sent opening) error {
	ctx, cancel := linger.Context(ctx, judgeTime)
	defer cancel()
	id, ours, err := s.compare(ctx, key, "", sent.first, sent.size)
	switch {
	case errors.Is(explain(err), vault.ErrPermission):
		return fmt.Errorf("%w: it was written, and may not be read back: allow name/cos:GetObject, which a create needs in a bucket without versioning: %w", vault.ErrUnsure, err)
	case err != nil:
		return fmt.Errorf("%w: it was written, and could not be read back: %w", vault.ErrUnsure, err)
	case !ours && id != "": // nothing there: it was deleted since
		return fmt.Errorf("%w: this one was stored, and another write replaced it at the same moment", vault.ErrExist)
	}
	return nil
}

// exists reports whether a create-only write was refused because something is there. After a
// conflict with another write cosblob has looked.
func exists(err error) bool {
	switch code(err) {
	case codeExists, "PathConflict", "UploadConflict":
		return gcerrors.Code(err) == gcerrors.FailedPrecondition
	}
	return false
}

// codeExists is the response to a create-only write that found an object.
const codeExists = "FileAlreadyExists"

// Swap replaces an object only while it has the given tag, which is its version's id.
func (s *store) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	if is, err := s.versioningForCreate(ctx); err != nil {
		return "", err
	} else if is != enabled {
		return "", fmt.Errorf("%w: the bucket has no versions", vault.ErrUnsupported)
	}
	return s.optimistic(ctx, key, precondition{tag}, fill)
}

// tag is by what a version is known in a bucket with versioning: its id. What was written
// before has the id null, and never another content.
func tag(r *blob.Reader) string { return cmp.Or(header(r, "X-Cos-Version-Id"), "null") }

// tag is by what an object is known as long as the versioning of the bucket is undecided.
func (s *store) tag(r *blob.Reader) string {
	if s.state.get() == enabled {
		return tag(r)
	}
	return etag(r)
}

// etag tells a reader in any other bucket that an object was replaced.
func etag(r *blob.Reader) string { return header(r, "ETag") }

func header(r *blob.Reader, name string) string {
	var resp cos.Response
	if !r.As(&resp) {
		return ""
	}
	return resp.Header.Get(name)
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
		if full {
			return
		}
		cancel() // also when fill panics: a plain Close would publish the part that was written
		if left := (*cosblob.UnfinishedError)(nil); errors.As(w.Close(), &left) && err != nil {
			err = &unpublished{&cosblob.UnfinishedError{Err: err, Abort: left.Abort, Size: left.Size}}
		}
	}()
	if err := fill(w); err != nil {
		return done, false, err
	}
	full = true
	if err := w.Close(); errors.Is(err, cosblob.ErrChecksum) && !notApplied(err) {
		// Other bytes may be there, which start as ours do: no reading of a start tells.
		return done, true, fmt.Errorf("%w: %w", vault.ErrUnsure, err)
	} else if err != nil {
		return done, true, err
	}
	return *written, true, nil
}
