package vault

import (
	"context"
	"time"
)

// A Cloud is what the cloud of a store can say about itself: for a doctor, and for whoami.
// Nothing here judges what it says.
type Cloud interface {
	// ServerTime returns the time of the service, with one request whose response may be a
	// refusal.
	ServerTime(ctx context.Context) (time.Time, error)
	// Caller returns whose credentials the store uses. If the cloud does not say, the error is
	// about that, and the Caller has what was known before.
	Caller(ctx context.Context) (Caller, error)
	// Settings returns how the bucket is set up, as far as the caller may read it: policies of
	// tenants allow only a part of it.
	Settings(ctx context.Context) []Setting
}

// A CloudTrier is a [Cloud] that also makes requests which a store has no use for, so that a
// doctor finds out whether they are denied. None of them changes anything. An error is that of the
// service, as the store's other methods return it.
type CloudTrier interface {
	// TryUnsigned reads the first byte of an object without credentials.
	TryUnsigned(ctx context.Context, key string) error
	// TryUploads lists unfinished multipart uploads of keys that start with prefix.
	TryUploads(ctx context.Context, prefix string) error
	// TryAbort aborts an upload of key that does not exist. It returns nil if the service
	// says so: the request was not denied.
	TryAbort(ctx context.Context, key string) error
}

// A BucketOwner is a [Cloud] that can say whether a caller owns the bucket.
type BucketOwner interface {
	// OwnsBucket reports whether the bucket is of the caller's account, and the credentials are the
	// account's own: those of its root, or of a user, and not of a role.
	OwnsBucket(ctx context.Context, who Caller) (bool, error)
}

// A Caller is whose credentials a store uses. Absent values are zero.
type Caller struct {
	From    string    // where they were found: identity, static, environment, or a name of the AWS SDK's
	KeyID   string    // the access key's id, which is no secret
	Expires time.Time // zero where they do not expire, or it is not known
	Session bool      // they are temporary, of a role or a federated user, and have a session token
	// The cloud's response. For a role at Tencent, User is its id and the name of the session,
	// with a colon between them.
	ARN, Account, Type, User string
}

// A Setting is how a bucket is set up in one respect, as the cloud returns it.
type Setting struct {
	// Name is endpoint (its URL), versioning, lifecycle, policy, acl or strict-signature.
	Name string
	// Document is the body of the response, JSON or XML; empty where nothing is configured.
	Document string
	// Err is why the setting is not known.
	Err error
}
