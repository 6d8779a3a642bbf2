package vault

import (
	"context"
	"time"
)

// A Cloud reports on the cloud service, the caller and the bucket of a store. The commands vault
// doctor and vault whoami use it. It returns the settings of a bucket as they are; the commands
// decide whether they are safe.
type Cloud interface {
	// ServerTime returns the time of the service. It sends one request, and reads the time from the
	// response even if the request was denied.
	ServerTime(ctx context.Context) (time.Time, error)
	// Caller returns the identity that the store's credentials belong to. If the request to the
	// cloud fails, Caller returns the error, and the fields that it knows without the cloud. If a
	// custom endpoint has no known STS, Caller sends no request and leaves ARN and Account empty.
	Caller(ctx context.Context) (Caller, error)
	// Settings returns one [Setting] for each setting that the provider knows. If a setting could
	// not be read, its Err is set. A tenant is usually allowed to read only some settings.
	Settings(ctx context.Context) []Setting
}

// A [Cloud] may also implement CloudTrier. Its methods try requests that a Vault never sends, so
// that vault doctor can check that the service denies them. None of the requests changes anything.
// A nil error means that the request was not denied. An error is a [*Cause] if the provider can
// explain it.
type CloudTrier interface {
	// TryUnsigned tries to read the first byte of the object at key without credentials.
	TryUnsigned(ctx context.Context, key string) error
	// TryUploads tries to list unfinished multipart uploads of keys that start with prefix.
	TryUploads(ctx context.Context, prefix string) error
	// TryAbort tries to abort a multipart upload of key, with an upload id that does not exist. It
	// returns nil if the service reports that the upload does not exist, because then the request
	// was not denied.
	TryAbort(ctx context.Context, key string) error
}

// A [Cloud] may also implement BucketOwner, if it can find out who owns the bucket.
type BucketOwner interface {
	// OwnsBucket reports whether caller is a user, or the root, of the account that owns the
	// bucket. It returns false for a role, even for a role of that account.
	OwnsBucket(ctx context.Context, caller Caller) (bool, error)
}

// A [Cloud] may also implement SettingReader. Setting returns the setting with the given name, as
// Settings does, and sends no request for the other ones.
type SettingReader interface {
	Setting(ctx context.Context, name string) Setting
}

// Setting returns a setting of the bucket: see [Setting].Name. If the store is not in a cloud, or has no
// such setting, Document is empty. If the setting could not be read, the error is also in Err.
func (v *Vault) Setting(ctx context.Context, name string) (Setting, error) {
	err := v.opened()
	if err == nil {
		err = v.connect(ctx)
	}
	if err != nil {
		return Setting{Name: name, Err: err}, err
	}
	switch cloud := v.store.Cloud.(type) {
	case nil:
	case SettingReader:
		s := cloud.Setting(ctx, name)
		return s, s.Err
	default:
		for _, s := range cloud.Settings(ctx) {
			if s.Name == name {
				return s, s.Err
			}
		}
	}
	return Setting{Name: name}, nil
}

// A [Cloud] may also implement BucketOpener. OpenBucket opens another bucket of the same cloud, with the
// same credentials. The caller must close the store.
type BucketOpener interface {
	OpenBucket(ctx context.Context, name string) (*Store, error)
}

// A Caller is the identity that a store's credentials belong to. A field that is not known is zero.
type Caller struct {
	From    string    // source of the credentials: "identity", "static", "environment", or the AWS SDK's name of the source
	KeyID   string    // the access key's id, which is no secret
	Expires time.Time // zero if the credentials do not expire, or the time is unknown
	Session bool      // the credentials are temporary, with a session token
	// ARN, Account, Type and User are copied from the cloud's response to GetCallerIdentity. AWS
	// returns only ARN and Account. At Tencent, Type is CAMUser for a user or the root of an
	// account. For a role, User is the id of the role and the name of the session, separated by a
	// colon.
	ARN, Account, Type, User string
}

// A Setting is one setting of a bucket, as the cloud returns it.
type Setting struct {
	// Name is endpoint, versioning, lifecycle, policy, acl or strict-signature.
	Name string
	// Document is the body of the response, in JSON or XML, or the URL of the endpoint. It is empty
	// if nothing is configured.
	Document string
	// Err is why the setting could not be read.
	Err error
}
