package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// causeOf returns the cause of err. It contains the message of the service without the text of the
// layers in between.
func causeOf(f failure, err error) *vault.Cause {
	c := &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: describe(err), Effect: effectOf(err), Unfinished: remainingBytes(err)}
	switch {
	case f.reason == vault.WrongRegion:
		c.Detail = regionOf(err)
	case f.reason == vault.Untrusted && errors.Is(err, federation.ErrUnavailable) && !errors.As(err, new(*exchangeError)):
		c.Service = "" // the error comes from the source of the token, whose client does not use settings of the cloud
	case f.sentinel == vault.ErrRefused:
		c.Message = codeFirst(err)
	}
	return c
}

// effectOf returns the effect of the request on the store. After a 5xx response, or without a response,
// the service may have applied the request. After a 4xx it did nothing, and would refuse the request
// again unless the error is temporary. A response that does not come from the service, or that is not
// complete, proves nothing.
func effectOf(err error) vault.Effect {
	var re *awshttp.ResponseError
	var foreign *foreignError
	switch {
	case isUnpublished(err):
		return vault.NotApplied
	case errors.As(err, &foreign):
		if foreign.status == http.StatusTooManyRequests {
			return vault.NotApplied
		}
		return vault.EffectUnknown
	case !errors.As(err, &re), code(err) == "":
		return vault.EffectUnknown
	case isRepeated(err):
		return vault.Refused
	case isTemporary(err):
		return vault.NotApplied
	case re.HTTPStatusCode() >= 300 && re.HTTPStatusCode() < 500, code(err) == "NotImplemented":
		return vault.Refused
	}
	return vault.EffectUnknown
}

// isTemporary reports whether the service did nothing, and another attempt may succeed.
func isTemporary(err error) bool {
	if isThrottle(err) || temporaryCodes[code(err)] || damagedCodes[code(err)] {
		return true
	}
	var re *awshttp.ResponseError
	return errors.As(err, &re) && slices.Contains(temporaryStatus, re.HTTPStatusCode())
}

// temporaryStatus lists the 4xx statuses after which another attempt may succeed.
var temporaryStatus = []int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}

// temporaryCodes are the error codes, in addition to [throttleCodes], that mean that the service did
// nothing and that another attempt may succeed.
var temporaryCodes = map[string]bool{"RequestTimeout": true, "RequestTimeoutException": true, codeAborted: true, codeConflict: true}

// damagedCodes mean that the data was damaged in transit. Another attempt may succeed.
var damagedCodes = map[string]bool{"BadDigest": true, "IncompleteBody": true, "XAmzContentSHA256Mismatch": true, "XAmzContentChecksumMismatch": true}

// isRepeated reports whether the SDK has already repeated a request, so that package vault does not repeat
// it again. See [noRepeatWhole].
func isRepeated(err error) bool {
	var op *smithy.OperationError
	return (code(err) == codeAborted || code(err) == codeConflict || damagedCodes[code(err)]) && errors.As(err, &op) && op.OperationName == "PutObject"
}

// responded reports whether err is about a complete response of the service, which has an error code.
// Without a response, the SDK returns a ResponseError, too.
func responded(err error) bool { return code(err) != "" && !errors.As(err, new(*foreignError)) }

// isUnpublished reports whether the request that publishes the object was not sent.
func isUnpublished(err error) bool {
	var noCredentials *credentialsError
	var before *unpublished
	return errors.As(err, &noCredentials) || errors.As(err, &before) || transport.NotSent(err)
}

// codeFirst returns the message of the service, starting with its error code.
func codeFirst(err error) string {
	var op *smithy.OperationError
	var re *awshttp.ResponseError
	var ae smithy.APIError
	if !errors.As(err, &re) || !errors.As(err, &ae) {
		return describe(err)
	}
	text := ae.ErrorCode()
	if m := ae.ErrorMessage(); m != "" && m != text && m != "UnknownError" {
		text += ": " + m
	}
	text += " ("
	if errors.As(err, &op) {
		text += op.ServiceID + " " + op.OperationName + ", "
	}
	text += fmt.Sprintf("status %d", re.HTTPStatusCode())
	if id := re.ServiceRequestID(); id != "" {
		text += ", request " + id
	}
	return text + ")"
}

// describe returns the message of the service, with its error code and the request ID, which the support
// of AWS needs. Without a response it describes why the request failed.
func describe(err error) string {
	var noCredentials *credentialsError
	var op *smithy.OperationError
	var re *awshttp.ResponseError
	var ae smithy.APIError
	var network *url.Error
	var exchange *exchangeError
	var foreign *foreignError
	var left *unfinished
	if errors.As(err, &left) {
		err = left.err
	}
	switch {
	case errors.As(err, &exchange):
		return exchange.Error()
	case errors.As(err, &noCredentials):
		return noCredentials.Error()
	case errors.As(err, &foreign):
		if errors.As(err, &op) {
			return op.ServiceID + " " + op.OperationName + ": " + foreign.Error()
		}
		return foreign.Error()
	case errors.As(err, &re) && errors.As(err, &ae):
		text := ae.ErrorCode()
		if m := ae.ErrorMessage(); m != "" && m != text && m != "UnknownError" {
			text += ", " + m
		}
		text = fmt.Sprintf("%d %s", re.HTTPStatusCode(), text)
		if id := re.ServiceRequestID(); id != "" {
			text += ", request " + id
		}
		if errors.As(err, &op) {
			text = op.ServiceID + " " + op.OperationName + ": " + text
		}
		return text
	case errors.Is(err, context.DeadlineExceeded) && errors.As(err, &op):
		return op.ServiceID + " " + op.OperationName + ": no response in time"
	case errors.As(err, &network):
		return network.Error()
	}
	return err.Error()
}

// service names the cloud in a [vault.Cause].
const service = "aws"

// reasons maps error codes of S3 to their meaning.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
var reasons = map[string]failure{
	"NoSuchKey":     {vault.ErrNotFound, vault.ReasonUnknown},
	"NoSuchVersion": {vault.ErrNotFound, vault.ReasonUnknown},
	"NotFound":      {vault.ErrNotFound, vault.ReasonUnknown},

	"NoSuchBucket": {vault.ErrUnavailable, vault.NoBucket},

	"AccessDenied":       {vault.ErrPermission, vault.AccessDenied},
	"Forbidden":          {vault.ErrPermission, vault.AccessDenied},
	"AllAccessDisabled":  {vault.ErrPermission, vault.AccessDenied},
	"AccountProblem":     {vault.ErrPermission, vault.AccountBlocked},
	"InvalidPayer":       {vault.ErrPermission, vault.AccountBlocked},
	"InvalidObjectState": {vault.ErrPermission, vault.Archived},

	"ExpiredToken":          {vault.ErrUnauthenticated, vault.TokenExpired},
	"ExpiredTokenException": {vault.ErrUnauthenticated, vault.TokenExpired},
	"TokenRefreshRequired":  {vault.ErrUnauthenticated, vault.TokenExpired},
	"RequestExpired":        {vault.ErrUnauthenticated, vault.ClockSkew},
	"RequestTimeTooSkewed":  {vault.ErrUnauthenticated, vault.ClockSkew},
	"InvalidToken":          {vault.ErrUnauthenticated, vault.CredentialsRejected},
	"InvalidAccessKeyId":    {vault.ErrUnauthenticated, vault.CredentialsRejected},
	"InvalidClientTokenId":  {vault.ErrUnauthenticated, vault.CredentialsRejected},
	"SignatureDoesNotMatch": {vault.ErrUnauthenticated, vault.CredentialsRejected},
	"AuthFailure":           {vault.ErrUnauthenticated, vault.CredentialsRejected},
	"NotSignedUp":           {vault.ErrUnauthenticated, vault.CredentialsRejected},

	codeConflict:                   {vault.ErrUnavailable, vault.WriteConflict},
	codeAborted:                    {vault.ErrUnavailable, vault.WriteConflict},
	"ServiceUnavailable":           {vault.ErrUnavailable, vault.Throttled},
	"InternalError":                {vault.ErrUnavailable, vault.ReasonUnknown},
	"RequestTimeout":               {vault.ErrUnavailable, vault.ReasonUnknown},
	"RequestTimeoutException":      {vault.ErrUnavailable, vault.ReasonUnknown},
	"NoSuchUpload":                 {vault.ErrUnavailable, vault.UploadAborted},
	"AuthorizationHeaderMalformed": {vault.ErrUnavailable, vault.WrongRegion},
	"PermanentRedirect":            {vault.ErrUnavailable, vault.WrongRegion},
	"TemporaryRedirect":            {vault.ErrUnavailable, vault.ReasonUnknown}, // the bucket is new: see [isElsewhere]
	"MovedPermanently":             {vault.ErrUnavailable, vault.WrongRegion},

	// [failureOfCode] handles codes that contain Quota.
	"InsufficientStorage":  {vault.ErrNoSpace, vault.QuotaExceeded},
	"InsufficientCapacity": {vault.ErrNoSpace, vault.QuotaExceeded},
	"StorageCapExceeded":   {vault.ErrNoSpace, vault.QuotaExceeded}, // Backblaze B2
	"StorageFull":          {vault.ErrNoSpace, vault.QuotaExceeded},
	"XMinioStorageFull":    {vault.ErrNoSpace, vault.QuotaExceeded},

	// The data was damaged in transit: see [damagedCodes].
	"BadDigest":                   {vault.ErrUnavailable, vault.Damaged},
	"IncompleteBody":              {vault.ErrUnavailable, vault.Damaged},
	"XAmzContentSHA256Mismatch":   {vault.ErrUnavailable, vault.Damaged},
	"XAmzContentChecksumMismatch": {vault.ErrUnavailable, vault.Damaged},

	"KeyTooLongError":   {vault.ErrInvalidName, vault.ReasonUnknown},
	"InvalidObjectName": {vault.ErrInvalidName, vault.ReasonUnknown},
	"EntityTooLarge":    {vault.ErrUnsupported, vault.ReasonUnknown},
	"NotImplemented":    {vault.ErrUnsupported, vault.ReasonUnknown},
	"MethodNotAllowed":  {vault.ErrUnsupported, vault.ReasonUnknown},
}

// A failure is the meaning of an error code.
type failure struct {
	sentinel error
	reason   vault.Reason
}

// Explain returns a [*vault.Cause] or a sentinel for an error of this package, for example of a
// token exchange. If it does not know the error, it returns nil. [Open] sets it as
// [vault.Store].Explain.
func Explain(err error) error { return explain(err) }

// explain returns the cause of an error of S3, of STS or of a token source. It uses the error code or, if
// there is none, the HTTP status.
func explain(err error) error {
	var done *vault.Cause
	if err == nil || errors.As(err, &done) {
		return nil
	}
	f := failureOf(err)
	switch {
	case errors.Is(err, context.Canceled) && (isUnpublished(err) || remainingBytes(err) > 0):
		f = failure{context.Canceled, vault.ReasonUnknown}
	case errors.Is(err, context.Canceled):
		return nil // the caller cancelled it: this is not a network error
	case f.sentinel == nil && isUnpublished(err):
		f.sentinel = vault.ErrUnavailable
	case f.sentinel == nil:
		return nil
	}
	return causeOf(f, err)
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
	}
	if code(err) == "InvalidRange" && isEmpty(err) {
		return failure{envelope.ErrFormat, vault.ReasonUnknown}
	}
	var foreign *foreignError
	if errors.As(err, &foreign) {
		switch {
		case foreign.status == http.StatusTooManyRequests:
			return failure{vault.ErrBusy, vault.Throttled}
		case foreign.isTemporary():
			return failure{vault.ErrUnavailable, vault.ReasonUnknown}
		}
		return failure{vault.ErrUnavailable, vault.ForeignResponse}
	}
	if code(err) == codeFailed { // conditional writes handle this code before
		return failure{vault.ErrRefused, vault.ReasonUnknown}
	}
	if isThrottle(err) {
		return failure{vault.ErrBusy, vault.Throttled}
	}
	if code(err) == "TemporaryRedirect" && isElsewhere(err) {
		return failure{vault.ErrUnavailable, vault.WrongRegion}
	}
	if f, ok := failureOfCode(code(err), effectOf(err)); ok {
		return f
	}
	var re *smithyhttp.ResponseError
	var network *url.Error
	switch {
	case transport.Untrusted(err):
		return failure{vault.ErrUnavailable, vault.Untrusted}
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return failure{vault.ErrUnavailable, vault.Unreachable}
	case errors.As(err, new(*cutError)):
		return failure{vault.ErrUnavailable, vault.ReasonUnknown}
	case !errors.As(err, &re), code(err) == "":
		return failure{}
	}
	switch status := re.HTTPStatusCode(); {
	case status == http.StatusUnauthorized:
		return reasons["InvalidAccessKeyId"]
	case status == http.StatusForbidden:
		return reasons["AccessDenied"]
	case status == http.StatusServiceUnavailable:
		return failure{vault.ErrBusy, vault.Throttled}
	case status == http.StatusInsufficientStorage:
		return reasons["InsufficientStorage"]
	case status >= 300 && status < 400 && regionOf(err) != "":
		return failure{vault.ErrUnavailable, vault.WrongRegion}
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		return failure{vault.ErrUnavailable, vault.ReasonUnknown}
	case status >= 300:
		return failure{vault.ErrRefused, vault.ReasonUnknown}
	}
	return failure{}
}

// unavailableReason returns the reason why a token could not be exchanged for credentials.
func unavailableReason(err error) vault.Reason {
	var foreign *foreignError
	switch {
	case issuerUnreachable(err):
		return vault.IssuerUnreachable
	case errors.As(err, &foreign) && !foreign.isTemporary():
		return vault.ForeignResponse
	case transport.Untrusted(err):
		return vault.Untrusted
	}
	return vault.TokenSourceUnavailable
}

// failureOfCode returns the meaning of an error code for a request with the given effect. It recognizes
// codes of quotas and codes that S3 passes on from KMS by a part of their names, because there are many.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#KMSErrorList
func failureOfCode(code string, effect vault.Effect) (f failure, ok bool) {
	if throttleCodes[code] {
		return failure{vault.ErrBusy, vault.Throttled}, true
	}
	if f, ok := reasons[code]; ok {
		return f, true
	}
	switch {
	case strings.Contains(code, "Quota"):
		return failure{vault.ErrNoSpace, vault.QuotaExceeded}, true
	case strings.Contains(code, "KMS") && strings.Contains(code, "AccessDenied"):
		return failure{vault.ErrPermission, vault.StoreKey}, true
	case strings.Contains(code, "KMS") && effect == vault.Refused:
		return failure{vault.ErrRefused, vault.StoreKey}, true
	case strings.Contains(code, "KMS"):
		return failure{vault.ErrUnavailable, vault.StoreKey}, true
	}
	return failure{}, false
}

// isEmpty reports whether a range was refused because the object is empty, so it is not an envelope.
func isEmpty(err error) bool {
	var re *awshttp.ResponseError
	return errors.As(err, &re) && re.Response != nil && re.Response.Request != nil &&
		strings.HasPrefix(re.Response.Request.Header.Get("Range"), "bytes=0-")
}

// regionOf returns the region of the bucket from a response header, or "".
func regionOf(err error) string {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		if name := re.Response.Header.Get("X-Amz-Bucket-Region"); regionName.MatchString(name) {
			return name
		}
	}
	return ""
}

// isElsewhere reports whether the response names a region of the bucket that differs from the region of
// the signature. S3 also redirects requests of a new bucket until its name resolves.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html
func isElsewhere(err error) bool {
	var re *smithyhttp.ResponseError
	region := regionOf(err)
	if region == "" || !errors.As(err, &re) || re.Response.Request == nil {
		return region != ""
	}
	_, scope, _ := strings.Cut(re.Response.Request.Header.Get("Authorization"), "Credential=")
	parts := strings.Split(scope, "/") // key, date, region, service
	return len(parts) < 3 || parts[2] != region
}

var regionName = text.NewRegexp(`^[a-z0-9-]{1,40}$`)

// code returns the error code of the service, or "".
func code(err error) string {
	var ae smithy.APIError
	if !errors.As(err, &ae) {
		return ""
	}
	return ae.ErrorCode()
}
