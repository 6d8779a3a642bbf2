package vault

import "fmt"

// A Cause describes why a request failed, as reported by a provider or a key source. An error of a
// [Vault] wraps a Cause if the service gave a reason:
//
//	var cause *vault.Cause
//	if errors.As(err, &cause) && cause.Reason == vault.TokenExpired {
//		// get a new token
//	}
//
// Sentinel is the kind of failure; test for it with [errors.Is]. Use Reason to decide how to react.
type Cause struct {
	Sentinel error  // kind of failure: a sentinel of this package or of package envelope, or context.Canceled
	Service  string // the cloud that failed, such as "aws" or "tencent"; may be empty
	Reason   Reason // why the request failed; may be ReasonUnknown
	Detail   string // for WrongRegion, the region of the bucket, if it is known; otherwise empty
	Message  string // the operation, and the service's response with its error code; contains no secret
	Effect   Effect // what a failed write or delete changed
	// Unfinished is the size in bytes of an incomplete multipart upload that may remain: it could not be
	// aborted, or parts of it may have been stored after the abort. The cloud bills it until a lifecycle
	// rule removes it.
	Unfinished int64
}

// Error returns the text of Sentinel, followed by Message. If Sentinel is [ErrNotFound] or
// [ErrExist], it omits Message. If Sentinel is [ErrRefused], it returns only Message, which begins
// with the service's code. It adds Unfinished, if that is not 0.
func (c *Cause) Error() string {
	text := c.Sentinel.Error() + ": " + c.Message
	switch {
	case c.Message == "" || c.Sentinel == ErrNotFound || c.Sentinel == ErrExist:
		text = c.Sentinel.Error()
	case c.Sentinel == ErrRefused:
		text = c.Message
	}
	if c.Unfinished > 0 {
		text += "; " + UnfinishedText(c.Unfinished)
	}
	return text
}

// Unwrap returns Sentinel.
func (c *Cause) Unwrap() error { return c.Sentinel }

// An Effect describes what a failed write or delete changed in the store.
type Effect int

const (
	EffectUnknown Effect = iota // the request may have been applied, or may be applied later
	NotApplied                  // the request was not applied and will not be; another attempt may succeed
	// Refused means that the request changed nothing, and that the error is final. Either the
	// service would refuse the request again, or the provider has already retried it. Package vault
	// does not retry it.
	Refused
	// MayArrive means that a create or a compare-and-swap was not found in the store, but may be
	// applied later. It could then replace an object that another writer has stored in the
	// meantime. Package vault calls [Store].Settle to prevent that.
	MayArrive
)

// A Reason is why an operation failed. Failures have different reasons if the caller or the
// operator should react differently. Later versions may add reasons; treat an unknown reason like
// ReasonUnknown.
type Reason int

const (
	ReasonUnknown Reason = iota

	// Reasons that occur with [ErrPermission].
	AccessDenied   // no policy of the cloud allows the request
	AccountBlocked // the cloud has blocked the account, or requires a payment
	Archived       // the object is in an archive storage class and must be restored first
	Locked         // a retention rule forbids changing the object
	PathStyle      // the endpoint rejects path-style requests; use the bucket's own endpoint
	TenantMismatch // the token belongs to another tenant
	// VersioningUnreadable means that the caller may not read the versioning state of the bucket.
	// The provider needs it to find out whether create-only is possible.
	VersioningUnreadable

	// StoreKey means that the KMS key that encrypts the bucket cannot be used. It also occurs with
	// [ErrRefused] and [ErrUnavailable].
	StoreKey
	// NotPlain means that something in the directory of a store is neither a file nor a directory as the
	// store creates them, such as a symbolic link.
	NotPlain

	// Reasons that occur with [ErrUnauthenticated].
	NoCredentials       // no credentials were found
	CredentialsRejected // the service does not know the credentials, or the signature is wrong
	TokenExpired        // the credentials or the token have expired
	ClockSkew           // the clock of this machine is wrong
	TokenInvalid        // the token is malformed, or has another issuer or audience
	TokenRefused        // the issuer refused to issue a token
	TrustRefused        // the role's trust policy does not accept the token

	// Reasons that occur with [ErrUnavailable].
	Unreachable            // no connection, or no response
	Untrusted              // the certificate of the server, or of a proxy, is not trusted
	ForeignResponse        // a proxy or another server responded instead of the service
	IssuerUnreachable      // the cloud could not fetch the public keys of the token's issuer
	TokenSourceUnavailable // the source of the token, or the cloud's STS, did not respond
	Throttled              // the service limits the rate of requests; also occurs with ErrBusy
	WrongRegion            // the bucket is in another region; Detail is the region, if known
	NoBucket               // the bucket does not exist
	WriteConflict          // the service applied nothing because another write of the key was in progress; try again
	UploadAborted          // another client, or a lifecycle rule, aborted the multipart upload
	Damaged                // data was damaged in transit

	// Reasons that occur with [ErrNoSpace].
	QuotaExceeded // the disk, or the quota of the account, is full

	// Reasons that occur with [ErrUnsupported].
	RangeIgnored        // the server, or a proxy in front of it, ignores ranges
	VersioningSuspended // create-only is impossible while versioning is suspended
	ObjectsOnly         // the endpoint supports requests for objects, but not for the bucket

	// Reasons of a key source.
	KeyUnavailable // the key of the source cannot be used now
)

// UnfinishedText returns a sentence about incomplete multipart uploads of n bytes: see
// [Cause].Unfinished and [Info].Unfinished.
func UnfinishedText(n int64) string {
	return fmt.Sprintf("an unfinished upload of %d MB may remain; it is billed until a lifecycle rule removes it", (n+999_999)/1_000_000)
}
