package aws

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// A reason is a sentinel of package vault, what the service said, and what the user can
// do.
type reason struct {
	is        error
	hint      string
	said      string
	unapplied bool
}

// Unapplied says that the service did nothing: a write that failed so need not be read
// back.
func (r *reason) Unapplied() bool { return r.unapplied }

func (r *reason) Error() string {
	if r.said == "" || r.is == vault.ErrNotFound || r.is == vault.ErrExist {
		return r.is.Error()
	}
	return r.is.Error() + ": " + r.said
}

func (r *reason) Unwrap() error { return r.is }

// Hint says what the user can do.
func (r *reason) Hint() string { return r.hint }

// because says what err is: its sentinel, in the service's words but without those of
// the layers in between.
func because(is error, hint string, err error) *reason {
	return &reason{is: is, hint: hint, said: said(err), unapplied: unapplied(err)}
}

// unapplied says whether the service has surely done nothing. It may have done what it
// answers with 5xx, and what it does not answer.
func unapplied(err error) bool {
	var own *credentialsError
	var before *unpublished
	var op *net.OpError
	var re *awshttp.ResponseError
	switch {
	case errors.As(err, &own), errors.As(err, &before), errors.As(err, &op) && op.Op == "dial":
		return true
	case !errors.As(err, &re):
		return false
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[code(err)]; throttled {
		return true
	}
	return re.HTTPStatusCode() >= 300 && re.HTTPStatusCode() < 500
}

// said is what the service said, with its code and the id of the request, by which AWS's
// support and its logs know it; or what kept the request from it.
func said(err error) string {
	var own *credentialsError
	var op *smithy.OperationError
	var re *awshttp.ResponseError
	var ae smithy.APIError
	var network *url.Error
	var exchange *exchangeError
	switch {
	case errors.As(err, &exchange):
		return exchange.Error()
	case errors.As(err, &own):
		return own.Error()
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
	case errors.As(err, &network):
		return network.Error()
	}
	return err.Error()
}

// reasons are the codes that S3 answers with, as far as they say something about the
// caller, the bucket or the moment.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
var reasons = map[string]kind{
	"NoSuchKey":     {vault.ErrNotFound, ""},
	"NoSuchVersion": {vault.ErrNotFound, ""},
	"NotFound":      {vault.ErrNotFound, ""},

	"NoSuchBucket": {vault.ErrUnavailable, "there is no such bucket: see whether its name, region= and endpoint= are right, or make it"},

	"AccessDenied":       {vault.ErrPermission, denied},
	"Forbidden":          {vault.ErrPermission, denied},
	"AllAccessDisabled":  {vault.ErrPermission, denied},
	"AccountProblem":     {vault.ErrPermission, "AWS says that something is wrong with the account: see its console"},
	"InvalidPayer":       {vault.ErrPermission, "AWS says that something is wrong with the account: see its console"},
	"InvalidObjectState": {vault.ErrPermission, "the object was moved to an archive class: restore it first"},

	"ExpiredToken":          {vault.ErrUnauthenticated, expired},
	"ExpiredTokenException": {vault.ErrUnauthenticated, expired},
	"TokenRefreshRequired":  {vault.ErrUnauthenticated, expired},
	"RequestExpired":        {vault.ErrUnauthenticated, skewed},
	"RequestTimeTooSkewed":  {vault.ErrUnauthenticated, skewed},
	"InvalidToken":          {vault.ErrUnauthenticated, wrongKey},
	"InvalidAccessKeyId":    {vault.ErrUnauthenticated, wrongKey},
	"InvalidClientTokenId":  {vault.ErrUnauthenticated, wrongKey},
	"SignatureDoesNotMatch": {vault.ErrUnauthenticated, wrongKey},
	"AuthFailure":           {vault.ErrUnauthenticated, wrongKey},
	"NotSignedUp":           {vault.ErrUnauthenticated, wrongKey},

	codeConflict:                   {vault.ErrUnavailable, "another write of the same name was under way: try again"},
	"OperationAborted":             {vault.ErrUnavailable, "another write of the same name was under way: try again"},
	"SlowDown":                     {vault.ErrBusy, busy},
	"ServiceUnavailable":           {vault.ErrUnavailable, busy},
	"Throttling":                   {vault.ErrBusy, busy},
	"ThrottlingException":          {vault.ErrBusy, busy},
	"RequestLimitExceeded":         {vault.ErrBusy, busy},
	"TooManyRequests":              {vault.ErrBusy, busy},
	"InternalError":                {vault.ErrUnavailable, ""},
	"RequestTimeout":               {vault.ErrUnavailable, ""},
	"NoSuchUpload":                 {vault.ErrUnavailable, "the upload was aborted by somebody else, or by a lifecycle rule: try again"},
	"AuthorizationHeaderMalformed": {vault.ErrUnavailable, region},
	"PermanentRedirect":            {vault.ErrUnavailable, region},
	"TemporaryRedirect":            {vault.ErrUnavailable, region},
	"MovedPermanently":             {vault.ErrUnavailable, region},

	"QuotaExceeded":       {vault.ErrNoSpace, ""},
	"InsufficientStorage": {vault.ErrNoSpace, ""},

	"KeyTooLongError":   {vault.ErrInvalidName, ""},
	"InvalidObjectName": {vault.ErrInvalidName, ""},
	"EntityTooLarge":    {vault.ErrUnsupported, ""},
	"NotImplemented":    {vault.ErrUnsupported, ""},
	"MethodNotAllowed":  {vault.ErrUnsupported, ""},
}

const (
	denied   = "the cloud's policies do not allow this: see whether the tenant is the token's, {prog} whoami, and {prog} policy check"
	expired  = "the credentials have expired: get a new token, and {prog} login again if that is how you work"
	skewed   = "the clock of this machine is more than 15 minutes off: set it"
	wrongKey = "the service does not know these credentials, or not with this secret: {prog} whoami shows where they come from"
	busy     = "the service asks for fewer requests: try again later"
	region   = "the bucket is in another region: give the right one with region="
)

// A kind is what a code means.
type kind struct {
	is   error
	hint string
}

// explain returns the sentinel behind an error of S3, of STS or of a token source. It
// decides on codes, and where a server gives none, on the HTTP status.
func explain(err error) error {
	k := kindOf(err)
	if k.is == nil {
		return nil
	}
	return because(k.is, k.hint, err)
}

func kindOf(err error) kind {
	var done *reason
	switch {
	case err == nil, errors.As(err, &done):
		return kind{}
	case errors.Is(err, federation.ErrTenantMismatch):
		return kind{vault.ErrPermission, "the token is another tenant's: leave --tenant out, or take that tenant's token"}
	case errors.Is(err, federation.ErrTokenInvalid), errors.Is(err, federation.ErrInvalidSource):
		return kind{vault.ErrUnauthenticated, "get a new token from the issuer, for this audience and tenant"}
	case errors.Is(err, federation.ErrRefused) && !errors.As(err, new(*exchangeError)):
		return kind{vault.ErrUnauthenticated, "the issuer gives no token: renew what it knows you by"}
	case errors.Is(err, federation.ErrRefused):
		return kind{vault.ErrUnauthenticated, "the role's trust policy does not take this token: compare issuer, audience, subject and tags, {prog} whoami, with {prog} policy aws"}
	case errors.Is(err, federation.ErrUnavailable):
		return kind{vault.ErrUnavailable, "the source of the token, or the cloud's STS, did not answer: see whether it works and can be reached"}
	case errors.Is(err, errNoCredentials):
		return kind{vault.ErrUnauthenticated, "give --identity, or credentials that the AWS SDK finds: AWS_PROFILE, AWS_ACCESS_KEY_ID, an instance role"}
	case errors.Is(err, transport.ErrRange):
		return kind{vault.ErrUnsupported, "the server, or a proxy before it, does not answer ranges: use another one"}
	}
	if code(err) == "InvalidRange" && isEmpty(err) {
		return kind{envelope.ErrFormat, ""}
	}
	if k, ok := reasons[code(err)]; ok {
		if k.hint == region {
			k.hint = inRegion(err)
		}
		return k
	}
	var re *smithyhttp.ResponseError
	var network *url.Error
	switch {
	case errors.As(err, &network):
		return kind{vault.ErrUnavailable, "the service was not reached, or stopped answering: see whether the network, a proxy (HTTPS_PROXY) and endpoint= are right"}
	case !errors.As(err, &re):
		return kind{}
	}
	switch status := re.HTTPStatusCode(); {
	case status == http.StatusUnauthorized:
		return reasons["InvalidAccessKeyId"]
	case status == http.StatusForbidden:
		return reasons["AccessDenied"]
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return reasons["SlowDown"]
	case status == http.StatusInsufficientStorage:
		return reasons["InsufficientStorage"]
	case status >= 300 && status < 400:
		return kind{vault.ErrUnavailable, inRegion(err)}
	case status >= 500:
		return kind{vault.ErrUnavailable, ""}
	}
	return kind{}
}

// isEmpty says whether a range was refused because the object has no bytes at all, and so
// is no envelope: there is not even a first one.
func isEmpty(err error) bool {
	var re *awshttp.ResponseError
	return errors.As(err, &re) && re.Response != nil && re.Response.Request != nil &&
		strings.HasPrefix(re.Response.Request.Header.Get("Range"), "bytes=0-")
}

// inRegion is about a bucket that is elsewhere; AWS says where in a header.
func inRegion(err error) string {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		if is := re.Response.Header.Get("X-Amz-Bucket-Region"); regionName.MatchString(is) {
			return fmt.Sprintf("the bucket is in %s: give region=%s", is, is)
		}
	}
	return region
}

var regionName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// code is the service's error code, or "".
func code(err error) string {
	var ae smithy.APIError
	if !errors.As(err, &ae) {
		return ""
	}
	return ae.ErrorCode()
}
