package tencent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// notApplied reports whether the service certainly did nothing. After a 5xx response, or without a
// response, it may have applied the request.
func notApplied(err error) bool {
	return isUnpublished(err) || temporary(err) || final(err)
}

// final reports whether the service refused a request and would refuse it again.
func final(err error) bool {
	s := status(err)
	return s >= 300 && s < 500 && !temporary(err) && !errors.Is(err, cosblob.ErrChecksum)
}

// temporary reports whether the service did nothing, and another attempt may succeed.
func temporary(err error) bool {
	switch status(err) {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return undoneCodes[code(err)]
}

// isExhausted reports whether a request that did nothing has used all its attempts here, so that
// package vault need not repeat it. The end of an upload is an exception, because another upload may
// succeed.
func isExhausted(err error) bool {
	var e *cos.ErrorResponse
	if errors.As(err, &e) && e.Response != nil && e.Response.Request != nil {
		if r := e.Response.Request; r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
			return false
		}
	}
	return temporary(err) && reasons[code(err)].sentinel != vault.ErrBusy
}

// isUnpublished reports whether the request that publishes the object was not sent.
func isUnpublished(err error) bool {
	var before *unpublished
	var cause *vault.Cause
	return errors.As(err, &before) || errors.Is(err, cosblob.ErrNotApplied) || isCredentialsError(err) || isNotSent(err) ||
		errors.As(err, &cause) && cause.Effect == vault.NotApplied
}

// describe returns the message of the service, with its error code and the request ID, which the
// support of Tencent needs. Without a response it describes why the request failed.
func describe(err error) string {
	var noCredentials *credentialsError
	var response *cos.ErrorResponse
	var network *url.Error
	var exchange *exchangeError
	switch {
	case errors.As(err, &exchange):
		return exchange.Error()
	case errors.As(err, &noCredentials):
		return noCredentials.Error()
	case errors.As(err, &response) && response.Response != nil:
		if _, known := reasons[response.Code]; !known && response.Code != "" && !cosblob.IsSignatureExpired(response.Code, response.Message) {
			return unknownCode(response)
		}
		text := fmt.Sprintf("%d %s", response.Response.StatusCode, response.Code)
		if response.Code == "" {
			text = fmt.Sprintf("%d %s", response.Response.StatusCode, http.StatusText(response.Response.StatusCode))
		}
		if m := strings.TrimRight(response.Message, "."); m != "" && m != response.Code {
			text += ", " + m
		}
		id := response.RequestID
		if id == "" {
			id = response.Response.Header.Get("X-Cos-Request-Id")
		}
		if id != "" {
			text += ", request " + id
		}
		if r := response.Response.Request; r != nil {
			text = r.Method + ": " + text
		}
		return "COS " + text
	case errors.Is(err, cosblob.ErrForeign) && errors.As(err, &network):
		return network.Op + ": " + strings.TrimPrefix(network.Err.Error(), "cosblob: ")
	case errors.As(err, &network):
		return network.Error()
	}
	return strings.TrimPrefix(err.Error(), "cosblob: ")
}

// unknownCode describes an error response with a code that this package does not know.
func unknownCode(response *cos.ErrorResponse) string {
	text := response.Code
	if m := strings.TrimRight(response.Message, "."); m != "" {
		text += ": " + m
	}
	text += fmt.Sprintf(" (COS, status %d", response.Response.StatusCode)
	if id := cmp.Or(response.RequestID, response.Response.Header.Get("X-Cos-Request-Id")); id != "" {
		text += ", request " + id
	}
	return text + ")"
}

// A failure is the meaning of an error code.
type failure struct {
	sentinel error
	reason   vault.Reason
}

// service names the cloud in a [vault.Cause].
const service = "tencent"

// reasons maps the error codes of COS to their meaning.
// https://www.tencentcloud.com/document/product/436/7730
var reasons = map[string]failure{
	"NoSuchKey":     {vault.ErrNotFound, vault.ReasonUnknown},
	"NoSuchVersion": {vault.ErrNotFound, vault.ReasonUnknown},

	"NoSuchBucket": {vault.ErrUnavailable, vault.NoBucket},

	"AccessDenied":               {vault.ErrPermission, vault.AccessDenied},
	"AccessForbidden":            {vault.ErrPermission, vault.AccessDenied},
	"DownloadForbidden":          {vault.ErrPermission, vault.AccessDenied},
	"PathStyleDomainForbidden":   {vault.ErrPermission, vault.PathStyle},
	"PaymentRequired":            {vault.ErrPermission, vault.AccountBlocked},
	"UnavailableForLegalReasons": {vault.ErrPermission, vault.AccountBlocked},
	"InvalidObjectState":         {vault.ErrPermission, vault.Archived},
	"ObjectLocked":               {vault.ErrPermission, vault.Locked},

	"ExpiredToken":          {vault.ErrUnauthenticated, vault.TokenExpired},
	"RequestTimeTooSkewed":  {vault.ErrUnauthenticated, vault.ClockSkew},
	"InvalidAccessKeyId":    {vault.ErrUnauthenticated, vault.CredentialsRejected},
	"SignatureDoesNotMatch": {vault.ErrUnauthenticated, vault.CredentialsRejected},

	"PathConflict":         {vault.ErrUnavailable, vault.WriteConflict},
	"UploadConflict":       {vault.ErrUnavailable, vault.WriteConflict},
	"OperationAborted":     {vault.ErrUnavailable, vault.WriteConflict},
	"NoSuchUpload":         {vault.ErrUnavailable, vault.UploadAborted},
	"SlowDown":             {vault.ErrBusy, vault.Throttled},
	"RequestLimitExceeded": {vault.ErrBusy, vault.Throttled},
	"KmsFreqControl":       {vault.ErrBusy, vault.Throttled},
	"ServiceUnavailable":   {vault.ErrUnavailable, vault.Throttled},
	"InternalError":        {vault.ErrUnavailable, vault.ReasonUnknown},
	"RequestTimeout":       {vault.ErrUnavailable, vault.ReasonUnknown},
	"UserNetworkTooSlow":   {vault.ErrUnavailable, vault.ReasonUnknown},
	"BadDigest":            {vault.ErrUnavailable, vault.Damaged},
	"IncompleteBody":       {vault.ErrUnavailable, vault.Damaged},
	"EntitySizeNotMatch":   {vault.ErrUnavailable, vault.Damaged},

	"KeyTooLong":                   {vault.ErrInvalidName, vault.ReasonUnknown},
	"InvalidObjectName":            {vault.ErrInvalidName, vault.ReasonUnknown},
	"EntityTooLarge":               {vault.ErrUnsupported, vault.ReasonUnknown},
	"NotImplemented":               {vault.ErrUnsupported, vault.ReasonUnknown},
	"MethodNotAllowed":             {vault.ErrUnsupported, vault.ReasonUnknown},
	"ActionAccelerateNotSupported": {vault.ErrUnsupported, vault.ObjectsOnly},
}

// Explain returns a [*vault.Cause] or a sentinel for an error of this package, for example of a
// token exchange. If it does not know the error, it returns nil. [Open] sets it as
// [vault.Store].Explain.
func Explain(err error) error { return explain(err) }

// explain returns the cause of an error of COS, of STS or of a token source. It uses the error code
// or, if there is none, the HTTP status.
func explain(err error) error {
	var done *vault.Cause
	if err == nil || errors.As(err, &done) {
		return nil
	}
	f := failureOf(err)
	var left *cosblob.UnfinishedError
	if errors.As(err, &left) && f.sentinel == nil && left.Err != nil {
		for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
			if errors.Is(err, ended) {
				f.sentinel = ended
			}
		}
	}
	var late *lateWrite
	arriving := errors.As(err, &late)
	switch {
	case errors.Is(err, context.Canceled) && (isUnpublished(err) || arriving):
		f = failure{context.Canceled, vault.ReasonUnknown}
	case errors.Is(err, context.Canceled) && left == nil:
		return nil // the caller cancelled it: this is not a network error
	case f.sentinel == nil && (isUnpublished(err) || arriving):
		f.sentinel = vault.ErrUnavailable
	case f.sentinel == nil:
		return nil
	}
	c := &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: describe(err)}
	if f.reason == vault.Untrusted && isSourceError(err) {
		c.Service = "" // the client of the source does not use settings of the cloud
	}
	if left != nil {
		c.Unfinished = left.Size
		c.Message = describe(left.Err)
	}
	switch {
	case final(err), isExhausted(err):
		c.Effect = vault.Refused
	case notApplied(err):
		c.Effect = vault.NotApplied
	case arriving:
		c.Effect = vault.MayArrive
	}
	return c
}

func failureOf(err error) failure {
	switch {
	case errors.Is(err, federation.ErrTenantMismatch):
		return failure{vault.ErrPermission, vault.TenantMismatch}
	case errors.Is(err, federation.ErrTokenInvalid), errors.Is(err, federation.ErrInvalidSource):
		return failure{vault.ErrUnauthenticated, vault.TokenInvalid}
	case errors.Is(err, federation.ErrRefused) && !errors.As(err, new(*exchangeError)):
		return failure{vault.ErrUnauthenticated, vault.TokenRefused}
	case errors.Is(err, federation.ErrRefused):
		return failure{vault.ErrUnauthenticated, vault.TrustRefused}
	case errors.Is(err, federation.ErrUnavailable):
		return failure{vault.ErrUnavailable, unavailableReason(err)}
	case errors.Is(err, errNoCredentials):
		return failure{vault.ErrUnauthenticated, vault.NoCredentials}
	case errors.Is(err, transport.ErrRange):
		return failure{vault.ErrUnsupported, vault.RangeIgnored}
	case errors.Is(err, cosblob.ErrChecksum):
		return failure{vault.ErrUnavailable, vault.Damaged}
	case errors.Is(err, cosblob.ErrForeign):
		return failure{vault.ErrUnavailable, vault.ForeignResponse}
	case transport.Untrusted(err):
		return failure{vault.ErrUnavailable, vault.Untrusted}
	}
	if code(err) == "InvalidRange" && isEmpty(err) {
		return failure{envelope.ErrFormat, vault.ReasonUnknown}
	}
	if f, ok := failureOfCode(code(err), message(err)); ok {
		return f
	}
	var network *url.Error
	switch s := status(err); {
	case s == 0 && errors.As(err, &network):
		return failure{vault.ErrUnavailable, vault.Unreachable}
	case s == http.StatusUnauthorized:
		return failure{vault.ErrUnauthenticated, vault.CredentialsRejected}
	case s == http.StatusForbidden:
		return failure{vault.ErrPermission, vault.AccessDenied}
	case s == http.StatusTooManyRequests:
		return failure{vault.ErrBusy, vault.Throttled}
	case s >= 300 && s < 400 && (code(err) == "PermanentRedirect" || isElsewhere(err)):
		return failure{vault.ErrUnavailable, vault.WrongRegion}
	case s == http.StatusTemporaryRedirect, s == http.StatusPermanentRedirect:
		return failure{vault.ErrUnavailable, vault.ReasonUnknown} // the bucket is new, or was moved
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s >= 500:
		return failure{vault.ErrUnavailable, vault.ReasonUnknown}
	case s >= 300 && s != http.StatusNotFound:
		return failure{vault.ErrRefused, vault.ReasonUnknown}
	}
	return failure{}
}

// isElsewhere reports whether the response names another region of the bucket.
func isElsewhere(err error) bool {
	var e *cos.ErrorResponse
	return errors.As(err, &e) && e.Response != nil && e.Response.Header.Get("X-Cos-Bucket-Region") != ""
}

// unavailableReason returns the reason why a token could not be exchanged for credentials.
func unavailableReason(err error) vault.Reason {
	switch {
	case errors.As(err, new(*foreignSTS)):
		return vault.ForeignResponse
	case transport.Untrusted(err):
		return vault.Untrusted
	}
	return vault.TokenSourceUnavailable
}

// isSourceError reports whether err comes from the source of the token, and not from STS.
func isSourceError(err error) bool {
	return errors.Is(err, federation.ErrUnavailable) && !errors.As(err, new(*exchangeError))
}

// failureOfCode returns the meaning of an error code of COS. The message is only used as documented for
// [cosblob.IsSignatureExpired]. The documentation does not list the codes for KMS keys and quotas, so
// failureOfCode recognizes them by a part of their names.
func failureOfCode(code, message string) (f failure, ok bool) {
	if cosblob.IsSignatureExpired(code, message) {
		return failure{vault.ErrUnauthenticated, vault.ClockSkew}, true
	}
	if f, ok := reasons[code]; ok {
		return f, true
	}
	switch lower := strings.ToLower(code); {
	case strings.Contains(lower, "quota"):
		return failure{vault.ErrNoSpace, vault.ReasonUnknown}, true
	case strings.HasPrefix(lower, "kms") && (strings.Contains(lower, "denied") || strings.Contains(lower, "unauthorized") || strings.Contains(lower, "forbidden")):
		return failure{vault.ErrPermission, vault.StoreKey}, true
	case strings.HasPrefix(lower, "kms"):
		return failure{vault.ErrRefused, vault.StoreKey}, true
	}
	return failure{}, false
}

// isEmpty reports whether a range was refused because the object is empty, so it is not an envelope.
func isEmpty(err error) bool {
	var e *cos.ErrorResponse
	return errors.As(err, &e) && e.Response != nil && e.Response.Request != nil &&
		strings.HasPrefix(e.Response.Request.Header.Get("Range"), "bytes=0-")
}
