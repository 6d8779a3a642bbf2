package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	done, _, err := s.write(ctx, key, writeOptions{}, fill)
	return s.version(done), err
}

// version returns the version of a successful write.
func (s *store) version(done cosblob.Written) string {
	if state := s.state.get(); done == (cosblob.Written{}) || done.VersionUnknown || state == never || state == unknown {
		return done.VersionID
	}
	return cmp.Or(done.VersionID, "null")
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
		return s.optimistic(ctx, key, precondition{}, cosblob.Tail{}, fill)
	}
	var sent opening
	done, _, err := s.write(ctx, key, writeOptions{create: true}, func(w io.Writer) error {
		sent = opening{w: w.(partWriter)}
		return fill(&sent)
	})
	if err != nil {
		if isExists(err) {
			err = refusal(vault.ErrExist, err)
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

// refusal returns the error of a write that stored nothing, and may have left parts.
func refusal(sentinel, err error) error {
	if left := (*cosblob.UnfinishedError)(nil); errors.As(err, &left) {
		return &vault.Cause{Service: service, Sentinel: sentinel, Message: describe(left.Err), Effect: vault.Refused, Unfinished: left.Size}
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// unsure returns the error of a write that may have stored the object, and may have left parts.
func unsure(err error) error {
	if left := (*cosblob.UnfinishedError)(nil); errors.As(err, &left) {
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnsure, Message: describe(left.Err), Unfinished: left.Size}
	}
	return fmt.Errorf("%w: %w", vault.ErrUnsure, err)
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
	state, err := s.versioningForCreate(ctx)
	switch {
	case err != nil:
		return "", err
	case state != enabled:
		return "", errNoVersions
	}
	if tag, err = s.versionWithTag(ctx, key, tag); err != nil {
		return "", err
	}
	return s.optimistic(ctx, key, precondition{tag}, cosblob.Tail{}, fill)
}

var errNoVersions = fmt.Errorf("%w: the bucket has no versions", vault.ErrUnsupported)

// versionWithTag returns the version ID of the object with the given tag.
func (s *store) versionWithTag(ctx context.Context, key, tag string) (id string, err error) {
	if !strings.HasPrefix(tag, `"`) {
		return tag, nil
	}
	return s.versionWithETag(ctx, key, tag)
}

// Splice replaces the start of an object. In a bucket with versioning it is an optimistic
// compare-and-swap, and the copy is pinned to the version. In another bucket there is no
// compare-and-swap, and the copy is pinned to the ETag, up to the last copy.
func (s *store) Splice(ctx context.Context, key string, x vault.Splice) (version string, err error) {
	fill := func(w io.Writer) error { _, err := w.Write(x.Start); return err }
	tail := cosblob.Tail{Key: key, Offset: x.From, Length: x.Size - x.From}
	state, err := s.versioning(ctx)
	switch {
	case err != nil:
		return "", &unpublished{unreadable(err)}
	case state == enabled:
		if tail.VersionID, err = s.versionWithTag(ctx, key, x.Tag); err != nil {
			return "", err
		}
		version, err = s.optimistic(ctx, key, precondition{tail.VersionID}, tail, fill)
	case x.Conditional:
		return "", errNoVersions
	case !strings.HasPrefix(x.Tag, `"`): // a version ID, from when the bucket had versions
		return "", vault.ErrConflict
	default:
		tail.ETag = x.Tag
		var done cosblob.Written
		done, _, err = s.write(ctx, key, writeOptions{tail: tail}, fill)
		version = s.version(done)
	}
	if failed := (*cosblob.TailError)(nil); errors.As(err, &failed) {
		switch {
		case isChanged(failed):
			return "", refusal(vault.ErrConflict, err)
		case status(failed) == http.StatusForbidden && failureOf(failed).sentinel != vault.ErrUnauthenticated, code(failed) == "InvalidCopySource":
			return "", refusal(vault.ErrUnsupported, err)
		}
	}
	return version, err
}

// isChanged reports whether a part was not copied because its source is not the expected object any
// more.
func isChanged(err error) bool {
	switch status(err) {
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return true
	case http.StatusNotFound:
		return code(err) != "NoSuchUpload" && code(err) != "NoSuchBucket"
	}
	return code(err) == "InvalidRequest" // the version is a delete marker
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

// writeOptions are the options of a write.
type writeOptions struct {
	metadata map[string]string
	create   bool
	tail     cosblob.Tail // copied after the written data
}

// write stores the data that fill writes, or nothing. If full is true and err is not nil, the error
// occurred after all data was written, so the object may exist.
func (s *store) write(ctx context.Context, key string, o writeOptions, fill func(io.Writer) error) (done cosblob.Written, full bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.writes.Add(-1)
	written, tail, parts := &done, new(cosblob.Tail), new(cosblob.PartWriter)
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType:    "application/octet-stream", // without it, the writer would buffer data to detect the type
		Metadata:       o.metadata,
		IfNotExist:     o.create,
		MaxConcurrency: min(s.parallel, max(2, s.parallel/int(s.writes.Add(1)))), // the writes at this moment share the requests
		BeforeWrite: func(as func(any) bool) error {
			if !as(&written) || !as(&tail) || !as(&parts) {
				panic("tencent: the driver does not support *cosblob.Written, *cosblob.Tail or *cosblob.PartWriter")
			}
			*tail = o.tail
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
	if err := fill(partWriter{w, parts}); err != nil {
		return done, false, err
	}
	full = true
	if err := w.Close(); errors.Is(err, cosblob.ErrChecksum) && !notApplied(err) {
		// Wrong data may be stored. Reading its first bytes would not detect this.
		return done, true, unsure(err)
	} else if err != nil {
		return done, true, err
	}
	return *written, true, nil
}

// A partWriter is the writer of an object, as a [vault.PartWriter].
type partWriter struct {
	*blob.Writer
	parts *cosblob.PartWriter
}

func (w partWriter) WriteParts(s vault.Sealed) error { return w.parts.WriteParts(cosblob.Parts(s)) }
