package cosblob

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/internal/transport"
)

// ErrChecksum means that the service has, or sent, other bytes than a checksum says. After
// a write it leaves open whether the object was published.
var ErrChecksum = errors.New("cosblob: checksum mismatch")

// ErrNotApplied means that a write failed before its object was to be published: it has
// certainly changed nothing that other readers see.
var ErrNotApplied = errors.New("cosblob: not applied")

// errNoETag is about an answer that COS does not give: a gateway's, which may have stored
// nothing.
var errNoETag = fmt.Errorf("%w: the answer to a write has no ETag", ErrChecksum)

// errExists is what a create-only write met.
var errExists = errors.New("cosblob: the object exists")

// An unpublished write failed before its object was to be published, whatever became of
// its parts.
type unpublished struct{ err error }

func (e *unpublished) Error() string { return e.err.Error() }
func (e *unpublished) Unwrap() error { return e.err }

// Is reports that the write was not applied.
func (e *unpublished) Is(target error) bool { return target == ErrNotApplied }

// codes are what the service's codes mean to gocloud.dev. Those about credentials,
// which it has no code for, are Unknown: see *cos.ErrorResponse through ErrorAs.
// https://www.tencentcloud.com/document/product/436/7730
var codes = map[string]gcerrors.ErrorCode{
	"NoSuchKey":        gcerrors.NotFound,
	"NoSuchBucket":     gcerrors.NotFound,
	"NoSuchVersion":    gcerrors.NotFound,
	"NoSuchCopySource": gcerrors.NotFound,

	"FileAlreadyExists":  gcerrors.FailedPrecondition,
	"PreconditionFailed": gcerrors.FailedPrecondition,
	"ObjectLocked":       gcerrors.FailedPrecondition,
	"InvalidObjectState": gcerrors.FailedPrecondition,

	"AccessDenied":             gcerrors.PermissionDenied,
	"AccessForbidden":          gcerrors.PermissionDenied,
	"DownloadForbidden":        gcerrors.PermissionDenied,
	"PathStyleDomainForbidden": gcerrors.PermissionDenied,

	"InvalidArgument":   gcerrors.InvalidArgument,
	"InvalidBucketName": gcerrors.InvalidArgument,
	"InvalidDelimiter":  gcerrors.InvalidArgument,
	"InvalidObjectName": gcerrors.InvalidArgument,
	"InvalidRange":      gcerrors.InvalidArgument,
	"InvalidURI":        gcerrors.InvalidArgument,
	"KeyTooLong":        gcerrors.InvalidArgument,
	"EntityTooLarge":    gcerrors.InvalidArgument,

	"NotImplemented":               gcerrors.Unimplemented,
	"MethodNotAllowed":             gcerrors.Unimplemented,
	"ActionAccelerateNotSupported": gcerrors.Unimplemented,

	"SlowDown":             gcerrors.ResourceExhausted,
	"ServiceUnavailable":   gcerrors.ResourceExhausted,
	"KmsFreqControl":       gcerrors.ResourceExhausted,
	"RequestLimitExceeded": gcerrors.ResourceExhausted,

	"InternalError": gcerrors.Internal,
}

func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errExists):
		return gcerrors.FailedPrecondition
	case errors.Is(err, gcerrors.ErrInvalidArgument):
		return gcerrors.InvalidArgument
	case errors.Is(err, gcerrors.ErrUnimplemented):
		return gcerrors.Unimplemented
	case errors.Is(err, transport.ErrRange):
		return gcerrors.Internal
	}
	if c := code(err); c != "" {
		if known, ok := codes[c]; ok {
			return known
		}
		return gcerrors.Unknown
	}
	switch status(err) {
	case http.StatusNotFound:
		return gcerrors.NotFound
	case http.StatusForbidden:
		return gcerrors.PermissionDenied
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return gcerrors.FailedPrecondition
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return gcerrors.ResourceExhausted
	case http.StatusInternalServerError:
		return gcerrors.Internal
	}
	return gcerrors.Unknown
}

// code is the service's error code, or "".
func code(err error) string {
	var e *cos.ErrorResponse
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// status is the HTTP status of an answer that is an error, or 0.
func status(err error) int {
	var e *cos.ErrorResponse
	if errors.As(err, &e) && e.Response != nil {
		return e.Response.StatusCode
	}
	return 0
}

// refused reports whether the service said no. What comes after a 200 has no status of its
// own.
func refused(err error) bool {
	switch c, known := codes[code(err)]; {
	case code(err) == "NoSuchUpload":
		return false
	case known:
		return c != gcerrors.Internal && c != gcerrors.ResourceExhausted
	}
	s := status(err)
	return s >= 400 && s < 500
}

// clean takes the SDK's wrapping, which hides its cause, off an error.
func clean(err error) error {
	var tried *cos.RetryError
	if errors.As(err, &tried) && len(tried.Errs) > 0 {
		return tried.Errs[len(tried.Errs)-1]
	}
	return err
}

// unsent reports whether the service received nothing of a request.
func unsent(err error) bool { return transport.NotSent(err) }
