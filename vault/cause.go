package vault

import "fmt"

// A Cause is what a provider or a key source knows of a failure, for programs and for
// people. Errors of a [Vault] hold one wherever the service said why:
//
//	var cause *vault.Cause
//	if errors.As(err, &cause) && cause.Reason == vault.TokenExpired {
//		// get a new token
//	}
//
// Decide by Sentinel, with [errors.Is], what kind of failure it is, and by Reason what to
// do about it.
type Cause struct {
	Sentinel error  // of this package, of package envelope, or context.Canceled: what kind of failure it is
	Service  string // the cloud that failed, such as "aws" or "tencent"; may be empty
	Reason   Reason // why, as far as it is known
	Detail   string // what Reason is about: the bucket's region for WrongRegion; may be empty
	Message  string // what was tried and what the service returned, with its code; no secret
	Effect   Effect // of a write or a delete that failed
	// Unfinished is how many bytes of an upload in parts could not be removed: they are billed.
	Unfinished int64
}

// Error returns the sentinel's text and the message. "Not found" and "already exists" say
// all by themselves. The message of [ErrRefused] begins with the service's code, which is all
// that is known.
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

// An Effect is what a failed request to write or to delete has done to the store.
type Effect int

const (
	EffectUnknown Effect = iota // it may have been applied, or may yet be
	NotApplied                  // it has changed nothing, and will not; it may be tried again
	// Refused means that it has changed nothing, and that another attempt would not help: the
	// service would refuse it again, or the provider has made the attempts. Package vault makes no
	// more of them, and reads nothing back.
	Refused
	// MayArrive means that a create or a swap was not applied yet, and that it would replace
	// what other writers wrote if it still arrived: only [Store].Settle can end it.
	MayArrive
)

// A Reason is why an operation failed: one for each thing that a caller, or the operator,
// can do about it. The list grows; a program handles those that it does not know like
// ReasonUnknown.
type Reason int

const (
	ReasonUnknown Reason = iota

	// With ErrPermission.
	AccessDenied   // the policies of the cloud do not allow it
	AccountBlocked // the cloud has blocked the account, or asks for payment
	Archived       // the object is in an archive class and has to be restored first
	Locked         // a retention rule keeps the object as it is
	PathStyle      // the endpoint does not serve this bucket
	TenantMismatch // the token is another tenant's
	// VersioningUnreadable means that the bucket's versioning may not be read, on which
	// create-only depends.
	VersioningUnreadable

	// StoreKey means that the key cannot be used with which the cloud encrypts the bucket; also
	// with ErrRefused.
	StoreKey

	// With ErrUnauthenticated.
	NoCredentials       // there are none
	CredentialsRejected // the service does not know them, or the signature is wrong
	TokenExpired        // they have expired
	ClockSkew           // the clock of this machine is too far off
	TokenInvalid        // the token is malformed, or of another issuer or audience
	TokenRefused        // the issuer gives no token
	TrustRefused        // the role's trust policy does not accept the token

	// With ErrUnavailable.
	Unreachable            // no connection, or no response
	Untrusted              // the certificate of the server, or of a proxy, is not trusted
	ForeignResponse        // the response is not one of the service: a proxy or another server gave it
	IssuerUnreachable      // the cloud could not fetch the keys of the token's issuer
	TokenSourceUnavailable // the source of the token, or the cloud's STS, did not respond
	Throttled              // the service asks for fewer requests; also with ErrBusy
	WrongRegion            // the bucket is in another region, which Detail names if known
	NoBucket               // there is no such bucket
	WriteConflict          // another write of the same key was in progress
	UploadAborted          // another client, or a lifecycle rule, aborted the multipart upload
	Damaged                // bytes were damaged on the way

	// With ErrNoSpace.
	QuotaExceeded

	// With ErrUnsupported.
	RangeIgnored        // the server, or a proxy in front of it, ignores ranges
	VersioningSuspended // create-only is impossible while versioning is suspended
	ObjectsOnly         // the endpoint serves objects, and no requests about buckets

	// Of a key source.
	KeyUnavailable // the key cannot be used now
)
