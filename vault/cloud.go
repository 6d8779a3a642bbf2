package vault

import (
	"context"
	"time"
)

// A Cloud reports what the cloud of a store knows about itself, for a doctor and for whoami. It
// does not judge the reports.
type Cloud interface {
	// ServerTime returns the time of the service. It sends one request, and uses the response
	// even if the request was denied.
	ServerTime(ctx context.Context) (time.Time, error)
	// Caller returns the owner of the store's credentials. If the cloud does not report it,
	// Caller returns the locally known fields and an error.
	Caller(ctx context.Context) (Caller, error)
	// Settings returns the settings of the bucket that the caller may read. Policies of tenants
	// allow only some of them.
	Settings(ctx context.Context) []Setting
}

// A CloudTrier is a [Cloud] that also sends requests that a store does not need, so that a
// doctor can check that they are denied. None of them changes anything. Their errors are those
// of the service, as the other methods of the store return them.
type CloudTrier interface {
	// TryUnsigned reads the first byte of an object without credentials.
	TryUnsigned(ctx context.Context, key string) error
	// TryUploads lists unfinished multipart uploads of keys that start with prefix.
	TryUploads(ctx context.Context, prefix string) error
	// TryAbort aborts an upload of key that does not exist. It returns nil if the service
	// reports that the upload does not exist, because then the request was not denied.
	TryAbort(ctx context.Context, key string) error
}

// A BucketOwner is a [Cloud] that can report whether a caller owns the bucket.
type BucketOwner interface {
	// OwnsBucket reports whether the bucket belongs to the caller's account and the credentials
	// are those of the account's root or of a user, not of a role.
	OwnsBucket(ctx context.Context, who Caller) (bool, error)
}

// A Caller is the owner of a store's credentials. Unknown values are zero.
type Caller struct {
	From    string    // source of the credentials: identity, static, environment, or a name from the AWS SDK
	KeyID   string    // the access key's id, which is no secret
	Expires time.Time // zero if the credentials do not expire, or the time is unknown
	Session bool      // the credentials are temporary: a role or a federated user, with a session token
	// The response of the cloud. For a role at Tencent, User is the id of the role and the name
	// of the session, separated by a colon.
	ARN, Account, Type, User string
}

// A Setting is one setting of a bucket, as the cloud returns it.
type Setting struct {
	// Name is endpoint (its URL), versioning, lifecycle, policy, acl or strict-signature.
	Name string
	// Document is the body of the response, JSON or XML; empty if nothing is configured.
	Document string
	// Err is why the setting is not known.
	Err error
}
