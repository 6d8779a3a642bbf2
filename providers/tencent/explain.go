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

// notApplied reports whether the service has certainly done nothing. It may have done what it
// answers with 5xx, and what it does not answer.
func notApplied(err error) bool {
	return unpublishable(err) || temporary(err) || final(err)
}

// final reports whether the service refused a request and would refuse it again.
func final(err error) bool {
	s := status(err)
	return s >= 300 && s < 500 && !temporary(err) && !errors.Is(err, cosblob.ErrChecksum)
}

// temporary reports whether the service did nothing, and may do it when asked again.
func temporary(err error) bool {
	switch status(err) {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return throttled[code(err)]
}

// repeated reports whether a request that did nothing has had all its attempts here, so that package
// vault does not make them again. But after the end of an upload another upload may help.
func repeated(err error) bool {
	var e *cos.ErrorResponse
	if errors.As(err, &e) && e.Response != nil && e.Response.Request != nil {
		if r := e.Response.Request; r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
			return false
		}
	}
	return temporary(err) && reasons[code(err)].sentinel != vault.ErrBusy
}

// unpublishable reports whether the request that would have made an object visible was not
// sent.
func unpublishable(err error) bool {
	var before *unpublished
	var cause *vault.Cause
	return errors.As(err, &before) || errors.Is(err, cosblob.ErrNotApplied) || own(err) || undialed(err) ||
		errors.As(err, &cause) && cause.Effect == vault.NotApplied
}

// said is what the service said, with its code and the id of the request, by which
// Tencent's support and its logs know it; or what kept the request from it.
func said(err error) string {
	var mine *credentialsError
	var answer *cos.ErrorResponse
	var network *url.Error
	var exchange *exchangeError
	switch {
	case errors.As(err, &exchange):
		return exchange.Error()
	case errors.As(err, &mine):
		return mine.Error()
	case errors.As(err, &answer) && answer.Response != nil:
		if _, known := reasons[answer.Code]; !known && answer.Code != "" {
			return unknownCode(answer)
		}
		text := fmt.Sprintf("%d %s", answer.Response.StatusCode, answer.Code)
		if answer.Code == "" {
			text = fmt.Sprintf("%d %s", answer.Response.StatusCode, http.StatusText(answer.Response.StatusCode))
		}
		if m := strings.TrimRight(answer.Message, "."); m != "" && m != answer.Code {
			text += ", " + m
		}
		id := answer.RequestID
		if id == "" {
			id = answer.Response.Header.Get("X-Cos-Request-Id")
		}
		if id != "" {
			text += ", request " + id
		}
		if r := answer.Response.Request; r != nil {
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

// unknownCode describes a refusal of which nothing is known but what the service says.
func unknownCode(answer *cos.ErrorResponse) string {
	text := answer.Code
	if m := strings.TrimRight(answer.Message, "."); m != "" {
		text += ": " + m
	}
	text += fmt.Sprintf(" (COS, status %d", answer.Response.StatusCode)
	if id := cmp.Or(answer.RequestID, answer.Response.Header.Get("X-Cos-Request-Id")); id != "" {
		text += ", request " + id
	}
	return text + ")"
}

// A failure is what a code says about the caller, the bucket or the moment.
type failure struct {
	sentinel error
	reason   vault.Reason
}

// service names the cloud in a [vault.Cause].
const service = "tencent"

// reasons are the codes that COS answers with.
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
	"Request has expired":   {vault.ErrUnauthenticated, vault.ClockSkew},
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

// Explain returns the cause of an error of this package, such as that of an exchange, or nil.
// The store that Open returns has it as [vault.Store].Explain.
func Explain(err error) error { return explain(err) }

// explain returns the cause of an error of COS, of STS or of a token source. It
// decides on codes, and where the service gives none, on the HTTP status.
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
	case errors.Is(err, context.Canceled) && (unpublishable(err) || arriving):
		f = failure{context.Canceled, vault.ReasonUnknown}
	case errors.Is(err, context.Canceled) && left == nil:
		return nil // by the caller: the network is not to blame
	case f.sentinel == nil && (unpublishable(err) || arriving):
		f.sentinel = vault.ErrUnavailable
	case f.sentinel == nil:
		return nil
	}
	c := &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: said(err)}
	if f.reason == vault.Untrusted && isSourceError(err) {
		c.Service = "" // its client reads no setting of the cloud
	}
	if left != nil {
		c.Unfinished = left.Size
		c.Message = said(left.Err)
	}
	switch {
	case final(err), repeated(err):
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
		return failure{vault.ErrUnavailable, whyUnavailable(err)}
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
	if f, ok := failureOfCode(code(err)); ok {
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
		return failure{vault.ErrUnavailable, vault.ReasonUnknown} // of a bucket that is new, or moved
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s >= 500:
		return failure{vault.ErrUnavailable, vault.ReasonUnknown}
	case s >= 300 && s != http.StatusNotFound:
		return failure{vault.ErrRefused, vault.ReasonUnknown}
	}
	return failure{}
}

// isElsewhere reports whether COS names the region of the bucket.
func isElsewhere(err error) bool {
	var e *cos.ErrorResponse
	return errors.As(err, &e) && e.Response != nil && e.Response.Header.Get("X-Cos-Bucket-Region") != ""
}

// whyUnavailable is why there are no credentials for a token.
func whyUnavailable(err error) vault.Reason {
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

// failureOfCode returns what a code of COS means. The documents do not list those of a key in
// KMS and of a quota; both kinds are recognised by the service in their names.
func failureOfCode(code string) (f failure, ok bool) {
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

// isEmpty reports whether a range was refused because the object has no bytes at all, and so
// is no envelope: there is not even a first one.
func isEmpty(err error) bool {
	var e *cos.ErrorResponse
	return errors.As(err, &e) && e.Response != nil && e.Response.Request != nil &&
		strings.HasPrefix(e.Response.Request.Header.Get("Range"), "bytes=0-")
}
