package vault

import "fmt"

// A Cause describes why a request failed, as reported by a provider or a key source. Errors of
// a [Vault] wrap one if the service gave a reason:
//
//	var cause *vault.Cause
//	if errors.As(err, &cause) && cause.Reason == vault.TokenExpired {
//		// get a new token
//	}
//
// Sentinel is the kind of failure; test it with [errors.Is]. A program decides by Reason how to
// react.
type Cause struct {
	Sentinel error  // kind of failure: a sentinel of this package or of package envelope, or context.Canceled
	Service  string // the cloud that failed, such as "aws" or "tencent"; may be empty
	Reason   Reason // why the request failed; may be ReasonUnknown
	Detail   string // depends on Reason: the bucket's region for WrongRegion; may be empty
	Message  string // the operation and the response with its code; contains no secret
	Effect   Effect // of a write or a delete that failed
	// Unfinished is the number of bytes of a multipart upload that could not be removed. The
	// cloud bills them.
	Unfinished int64
}

// Error returns the sentinel's text and the message. It omits the message of "not found" and
// "already exists". For [ErrRefused] it returns the message only, which begins with the
// service's code.
func (c *Cause) Error() string {
	text := c.Sentinel.Error() + ": " + c.Message
	switch {
	case c.Message == "" || c.Sentinel == ErrNotFound || c.Sentinel == ErrExist:
		text = c.Sentinel.Error()
	case c.Sentinel == ErrRefused:
		text = c.Message
	}
	if c.Unfinished > 0 {
		text += fmt.Sprintf("; an unfinished upload of %d MB remains; it is billed until a lifecycle rule removes it", (c.Unfinished+999_999)/1_000_000)
	}
	return text
}

// Unwrap returns the sentinel.
func (c *Cause) Unwrap() error { return c.Sentinel }

// An Effect is the effect of a failed write or delete on the store.
type Effect int

const (
	EffectUnknown Effect = iota // the request may have been applied, or may still be
	NotApplied                  // the request changed nothing and will not; it may be retried
	// Refused means that the request changed nothing and that another attempt would not help: the
	// service would refuse it again, or the provider has already retried it. Package vault does
	// not retry it, and reads nothing back.
	Refused
	// MayArrive means that a create or a compare-and-swap was not applied yet, and that it
	// would replace the objects of other writers if it still arrived. Only [Store].Settle can
	// prevent that.
	MayArrive
)

// A Reason is why an operation failed. There is one for each way in which a caller or the
// operator can react. Later versions may add reasons; a program treats an unknown one like
// ReasonUnknown.
type Reason int

const (
	ReasonUnknown Reason = iota

	// With ErrPermission.
	AccessDenied   // no policy of the cloud allows the request
	AccountBlocked // the cloud has blocked the account, or asks for payment
	Archived       // the object is in an archive storage class and must be restored first
	Locked         // a retention rule forbids changing the object
	PathStyle      // the endpoint does not serve this bucket
	TenantMismatch // the token belongs to another tenant
	// VersioningUnreadable means that the caller may not read the versioning of the bucket,
	// which decides whether create-only is possible.
	VersioningUnreadable

	// StoreKey means that the key that encrypts the bucket cannot be used. It also occurs with
	// ErrRefused.
	StoreKey

	// With ErrUnauthenticated.
	NoCredentials       // no credentials were found
	CredentialsRejected // the service does not know the credentials, or the signature is wrong
	TokenExpired        // the credentials or the token have expired
	ClockSkew           // the clock of this machine is wrong
	TokenInvalid        // the token is malformed, or has another issuer or audience
	TokenRefused        // the issuer refused to issue a token
	TrustRefused        // the role's trust policy does not accept the token

	// With ErrUnavailable.
	Unreachable            // no connection, or no response
	Untrusted              // the certificate of the server, or of a proxy, is not trusted
	ForeignResponse        // a proxy or another server responded instead of the service
	IssuerUnreachable      // the cloud could not fetch the keys of the token's issuer
	TokenSourceUnavailable // the source of the token, or the cloud's STS, did not respond
	Throttled              // the service asks for fewer requests; also with ErrBusy
	WrongRegion            // the bucket is in another region; Detail is the region, if known
	NoBucket               // the bucket does not exist
	WriteConflict          // another write of the same key was in progress
	UploadAborted          // another client, or a lifecycle rule, aborted the multipart upload
	Damaged                // bytes were damaged in transit

	// With ErrNoSpace.
	QuotaExceeded

	// With ErrUnsupported.
	RangeIgnored        // the server, or a proxy in front of it, ignores ranges
	VersioningSuspended // create-only is impossible while versioning is suspended
	ObjectsOnly         // the endpoint serves objects, and no requests about buckets

	// From a key source.
	KeyUnavailable // the key cannot be used now
)
