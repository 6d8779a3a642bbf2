package cosblob

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/internal/transport"
)

// ErrChecksum means that data does not match its checksum. After a write, the object may have
// been published.
var ErrChecksum = errors.New("cosblob: checksum mismatch")

// ErrNotApplied means that a write failed before it published the object. Readers see no change.
var ErrNotApplied = errors.New("cosblob: not applied")

// errNoETag means that the response to a write has no ETag. COS always sends one. The response may
// come from a gateway that stored nothing.
var errNoETag = fmt.Errorf("%w: the response to a write has no ETag", ErrChecksum)

// errExists means that a create-only write failed because the object exists.
var errExists = errors.New("cosblob: the object exists")

// An unpublished error is the error of a write that failed before it published the object. Some
// of its parts may still be stored.
type unpublished struct{ err error }

func (e *unpublished) Error() string { return e.err.Error() }
func (e *unpublished) Unwrap() error { return e.err }

// Is reports that the write was not applied.
func (e *unpublished) Is(target error) bool { return target == ErrNotApplied }

// codes maps error codes of the service to codes of gocloud.dev. Errors about credentials have no
// code there and are Unknown: use ErrorAs to get the *cos.ErrorResponse.
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
		if isSignatureExpired(err) {
			return gcerrors.Unknown
		}
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

// IsSignatureExpired reports whether an error response means that the signature was no longer valid
// when the request arrived, usually because the clock of this machine is wrong.
//
// This is the only decision that depends on a message. COS sends the code AccessDenied for missing
// permissions and also for this error, as published responses show
// (https://github.com/tencentyun/cos-php-sdk-v5/pull/153), and Tencent's own clients compare the
// message (allowRetry in src/base.js of https://github.com/tencentyun/cos-wx-sdk-v5). The list of
// codes contains Request has expired (436/7730), and Tencent's client for Android also knows
// RequestIsExpired.
func IsSignatureExpired(code, message string) bool {
	const expired = "Request has expired"
	switch code {
	case expired, "RequestIsExpired":
		return true
	case "AccessDenied":
		return strings.TrimSuffix(message, ".") == expired
	}
	return false
}

func isSignatureExpired(err error) bool {
	var e *cos.ErrorResponse
	return errors.As(err, &e) && IsSignatureExpired(e.Code, e.Message)
}

// code returns the error code of the service, or "".
func code(err error) string {
	var e *cos.ErrorResponse
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// status returns the HTTP status of an error response, or 0.
func status(err error) int {
	var e *cos.ErrorResponse
	if errors.As(err, &e) && e.Response != nil {
		return e.Response.StatusCode
	}
	return 0
}

// isRefused reports whether the service refused the request. An error in the body of a 200 has no
// status, so isRefused checks the code first.
func isRefused(err error) bool {
	switch c, known := codes[code(err)]; {
	case code(err) == "NoSuchUpload":
		return false
	case known:
		return c != gcerrors.Internal && c != gcerrors.ResourceExhausted
	}
	s := status(err)
	return s >= 400 && s < 500
}

// unwrapSDK returns the cause of an error of the SDK. The wrapper of the SDK
// hides it from errors.As.
func unwrapSDK(err error) error {
	var tried *cos.RetryError
	if errors.As(err, &tried) && len(tried.Errs) > 0 {
		return tried.Errs[len(tried.Errs)-1]
	}
	return err
}

// isNotSent reports whether the service received no part of a request.
func isNotSent(err error) bool { return transport.NotSent(err) }
