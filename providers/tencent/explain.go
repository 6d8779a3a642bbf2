package tencent

import (
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

// unapplied says whether the service has surely done nothing. It may have done what it
// answers with 5xx, and what it does not answer.
func unapplied(err error) bool {
	var before interface{ Unapplied() bool } // of this package, or of cosblob
	switch {
	case errors.As(err, &before) && before.Unapplied(), own(err), undialed(err), throttled[code(err)]:
		return true
	case errors.Is(err, cosblob.ErrChecksum):
		return false
	}
	s := status(err)
	return s >= 300 && s < 500
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
	case errors.As(err, &network):
		return network.Error()
	}
	return err.Error()
}

// A meaning is what a code says about the caller, the bucket or the moment.
type meaning struct {
	is   error
	hint string
}

// reasons are the codes that COS answers with.
// https://www.tencentcloud.com/document/product/436/7730
var reasons = map[string]meaning{
	"NoSuchKey":     {vault.ErrNotFound, ""},
	"NoSuchVersion": {vault.ErrNotFound, ""},

	"FileAlreadyExists": {vault.ErrExist, ""},

	"NoSuchBucket": {vault.ErrUnavailable, "there is no such bucket: see whether its name, with the APPID, and region= are right, or make it"},

	"AccessDenied":               {vault.ErrPermission, denied},
	"AccessForbidden":            {vault.ErrPermission, denied},
	"DownloadForbidden":          {vault.ErrPermission, denied},
	"PathStyleDomainForbidden":   {vault.ErrPermission, "the endpoint has to be the bucket's own, such as https://BUCKET.cos.REGION.myqcloud.com"},
	"PaymentRequired":            {vault.ErrPermission, arrears},
	"UnavailableForLegalReasons": {vault.ErrPermission, arrears},
	"InvalidObjectState":         {vault.ErrPermission, "the object was moved to an archive class: restore it first"},
	"ObjectLocked":               {vault.ErrPermission, "the object is locked until its retention ends"},

	"ExpiredToken":          {vault.ErrUnauthenticated, expired},
	"Request has expired":   {vault.ErrUnauthenticated, skewed},
	"RequestTimeTooSkewed":  {vault.ErrUnauthenticated, skewed},
	"InvalidAccessKeyId":    {vault.ErrUnauthenticated, wrongKey},
	"SignatureDoesNotMatch": {vault.ErrUnauthenticated, wrongKey},

	"PathConflict":         {vault.ErrUnavailable, conflict},
	"UploadConflict":       {vault.ErrUnavailable, conflict},
	"NoSuchUpload":         {vault.ErrUnavailable, "the upload was aborted by somebody else, or by a lifecycle rule: try again"},
	"SlowDown":             {vault.ErrBusy, busy},
	"RequestLimitExceeded": {vault.ErrBusy, busy},
	"KmsFreqControl":       {vault.ErrBusy, busy},
	"ServiceUnavailable":   {vault.ErrUnavailable, busy},
	"InternalError":        {vault.ErrUnavailable, ""},
	"RequestTimeout":       {vault.ErrUnavailable, ""},
	"UserNetworkTooSlow":   {vault.ErrUnavailable, ""},

	"KeyTooLong":                   {vault.ErrInvalidName, ""},
	"InvalidObjectName":            {vault.ErrInvalidName, ""},
	"EntityTooLarge":               {vault.ErrUnsupported, ""},
	"NotImplemented":               {vault.ErrUnsupported, ""},
	"MethodNotAllowed":             {vault.ErrUnsupported, ""},
	"ActionAccelerateNotSupported": {vault.ErrUnsupported, "the accelerated endpoint has no buckets, only objects: use the bucket's own"},
}

const (
	denied   = "the cloud's policies do not allow this: see whether the tenant is the role's, {prog} whoami, and {prog} policy check"
	arrears  = "Tencent Cloud has blocked the account or the object: see its console"
	expired  = "the credentials have expired: get a new token, and {prog} login again if that is how you work"
	skewed   = "the clock of this machine is more than 15 minutes off: set it"
	wrongKey = "the service does not know these credentials, or not with this secret: {prog} whoami shows where they come from"
	busy     = "the service asks for fewer requests: try again later"
	conflict = "another write of the same name was under way: try again"
	region   = "the bucket is in another region: give the right one with region="
)

// explain returns the sentinel behind an error of COS, of STS or of a token source. It
// decides on codes, and where the service gives none, on the HTTP status.
func explain(err error) error {
	m := meaningOf(err)
	if m.is == nil {
		return nil
	}
	return &reason{is: m.is, hint: m.hint, said: said(err), unapplied: unapplied(err)}
}

func meaningOf(err error) meaning {
	var done *reason
	switch {
	case err == nil, errors.As(err, &done):
		return meaning{}
	case errors.Is(err, federation.ErrTenantMismatch):
		return meaning{vault.ErrPermission, "the token is another tenant's: leave --tenant out, or take that tenant's token"}
	case errors.Is(err, federation.ErrTokenInvalid), errors.Is(err, federation.ErrInvalidSource):
		return meaning{vault.ErrUnauthenticated, "get a new token from the issuer; its iss and aud have to be those of the OIDC provider in CAM"}
	case errors.Is(err, federation.ErrRefused) && !errors.As(err, new(*exchangeError)):
		return meaning{vault.ErrUnauthenticated, "the issuer gives no token: renew what it knows you by"}
	case errors.Is(err, federation.ErrRefused):
		return meaning{vault.ErrUnauthenticated, "there is no such role, or its trust policy does not take this token: compare issuer, audience and subject, {prog} whoami, with {prog} policy tencent"}
	case errors.Is(err, federation.ErrUnavailable):
		return meaning{vault.ErrUnavailable, "the source of the token, or the cloud's STS, did not answer: see whether it works and can be reached"}
	case errors.Is(err, errNoCredentials):
		return meaning{vault.ErrUnauthenticated, "give --identity, or TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY"}
	case errors.Is(err, transport.ErrRange):
		return meaning{vault.ErrUnsupported, "the server, or a proxy or CDN before it, does not answer ranges: use the bucket's own endpoint"}
	case errors.Is(err, cosblob.ErrChecksum):
		return meaning{vault.ErrUnavailable, "bytes were damaged on the way: try again"}
	}
	if code(err) == "InvalidRange" && isEmpty(err) {
		return meaning{envelope.ErrFormat, ""}
	}
	if m, ok := reasons[code(err)]; ok {
		return m
	}
	var network *url.Error
	switch s := status(err); {
	case s == 0 && errors.As(err, &network):
		return meaning{vault.ErrUnavailable, "the service was not reached, or stopped answering: see whether the network, a proxy (HTTPS_PROXY), region= and endpoint= are right"}
	case s == http.StatusUnauthorized:
		return meaning{vault.ErrUnauthenticated, wrongKey}
	case s == http.StatusForbidden:
		return meaning{vault.ErrPermission, denied}
	case s == http.StatusTooManyRequests:
		return meaning{vault.ErrBusy, busy}
	case s >= 300 && s < 400 && s != http.StatusNotModified:
		return meaning{vault.ErrUnavailable, region}
	case s >= 500:
		return meaning{vault.ErrUnavailable, ""}
	}
	return meaning{}
}

// isEmpty says whether a range was refused because the object has no bytes at all, and so
// is no envelope: there is not even a first one.
func isEmpty(err error) bool {
	var e *cos.ErrorResponse
	return errors.As(err, &e) && e.Response != nil && e.Response.Request != nil &&
		strings.HasPrefix(e.Response.Request.Header.Get("Range"), "bytes=0-")
}
