// Package tencent keeps the objects of a vault in a bucket of Tencent Cloud COS.
//
// Its credentials come from the exchange of an OIDC token for a CAM role ([NewExchanger], package
// federation), from the caller, or from the environment.
//
//	exchange, err := tencent.NewExchanger(tencent.Role{
//		ARN: "qcs::cam::uin/100000000001:roleName/vault-0xabc", Provider: "broker", Region: "ap-guangzhou",
//	})
//	source, err := federation.ParseSource("file:/run/token", nil)
//	store, err := tencent.Open(ctx, tencent.Config{
//		Bucket: "vault-1250000000", Region: "ap-guangzhou",
//		Identity: federation.NewProvider(source, exchange, &federation.Options{
//			Expect: federation.Expectation{Audience: "vault"},
//		}),
//	})
//
// The only conditional write of COS is x-cos-forbid-overwrite. COS ignores it silently in a bucket
// that has, or ever had, versioning. So the bucket decides which features the store has, and [Open]
// requests its versioning (GET ?versioning):
//
//   - Never enabled: create-only uses the header. Several creators of a key at the same moment are
//     reported to succeed together (see Create), so the object is read back, and a creator whose
//     object was overwritten by then gets an error. One that is overwritten later does not:
//     create-only is not a lock here. There is no compare-and-swap and no history.
//   - Enabled: there is history. Create and compare-and-swap are optimistic: they write a version,
//     check the version before it, and permanently delete their own if another writer was first. That
//     writer's version stays, and the loser gets an error. Until then a reader may see the losing
//     value; it stays if the process is killed at this moment. The version stores in its metadata
//     (x-cos-meta-basis) which version it is based on. A compare-and-swap based on a version that
//     may still be deleted fails with [vault.ErrConflict] until that is deleted or a minute old. If
//     the response to a write is lost, the store looks for the version; if the outcome cannot be
//     determined, the error wraps [vault.ErrUnsure].
//   - Suspended: there is only the history from before. A write permanently replaces the last one made
//     while suspended, so create fails with [vault.ErrUnsupported], and there is no compare-and-swap.
//   - Unknown, because the request was denied or failed: create, compare-and-swap and history request
//     it again, and fail with its error until it succeeds.
//
// BUG(objectvault): if versioning is suspended while a Store is open, only a create or swap that has
// already written detects it; its error wraps [vault.ErrUnsure]. A bucket that never had versioning is
// asked again after a minute; if versioning is enabled and suspended within that minute, a create
// may replace an existing object.
//
// BUG(objectvault): COS may apply a request without a response later. With versioning such a write
// may then replace another writer's object, which stays in the history. Its caller gets
// [vault.ErrUnsure], or success if another attempt succeeded.
//
// BUG(objectvault): keys that contain control characters or __0x, which no vault writes, have no
// history here, because package cosblob stores them under other names. Leftovers have those names.
package tencent

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// Config says which bucket, and as whom. Bucket is required, and Region where there is no
// Endpoint.
type Config struct {
	Bucket string // NAME-APPID
	Region string // where the bucket is, such as ap-guangzhou
	// Endpoint is the bucket's URL where it is not https://BUCKET.cos.REGION.myqcloud.com:
	// an internal or accelerated host, a test server.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool

	// STSEndpoint is the URL of an STS that is not https://sts.tencentcloudapi.com, for
	// [vault.Cloud].
	STSEndpoint string

	// Identity gives the credentials. Nil: Static, or else TENCENTCLOUD_SECRET_ID,
	// TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_TOKEN, or else TENCENTCLOUD_SECURITY_TOKEN, of
	// the environment.
	Identity *federation.Provider
	// Static gives the credentials where there is no Identity.
	Static cosblob.Credentials

	// Timeout is how long a connection may make no progress; 0 means 30 seconds.
	Timeout time.Duration
}

// Open returns the store in a bucket. It makes one request, GET ?versioning. A bucket that
// does not answer it is no error: the first operation will say why.
func Open(ctx context.Context, c Config) (*vault.Store, error) {
	s, err := newStore(ctx, c)
	if err != nil {
		return nil, err
	}
	store := &vault.Store{
		Bucket:  s.bucket,
		Name:    "cos://" + c.Bucket,
		Put:     s,
		Create:  s,
		Remover: s,
		Settle:  s, // also where versioning is enabled later
		Cloud:   &cloud{s, c},
		Tag:     etag,
		Explain: explain,
		Close:   s.close,
		Closed:  s.closed.Load,
	}
	state, err := s.versioning(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		s.close()
		return nil, ctx.Err()
	case code(err) == "ActionAccelerateNotSupported": // behind a name of one's own
		s.close()
		return nil, errAccelerated
	case err != nil:
		store.Swap, store.Tag = s, s.tag
		store.History, store.Purge = undecided{s}, undecided{s}
	case state == enabled:
		store.Swap, store.Tag = s, tag
		store.History, store.Purge = s, s
	case state == suspended:
		store.History, store.Purge = s, s
	}
	return store, nil
}

// errAccelerated is why a store cannot use an endpoint of global acceleration (436/38864).
var errAccelerated = fmt.Errorf("%w: endpoint: an accelerated endpoint takes no requests about the bucket, such as lists: leave endpoint= out, or give an endpoint of the bucket's region", vault.ErrConfig)

// store is the bucket beyond what cosblob does with it.
type store struct {
	bucket      *blob.Bucket
	client      *cos.Client
	credentials *credentials
	idle        func() // closes unused connections
	state       state
	closed      atomic.Bool
}

func (s *store) close() error {
	s.closed.Store(true)
	defer s.idle()
	return s.bucket.Close()
}

func newStore(ctx context.Context, c Config) (*store, error) {
	if c.Region == "" && c.Endpoint == "" {
		return nil, fmt.Errorf("%w: in which region is the bucket? say so with region=", vault.ErrConfig)
	}
	if err := checkEndpoint("endpoint", c.Endpoint, c.Insecure); err != nil {
		return nil, err
	}
	if err := checkEndpoint("sts_endpoint", c.STSEndpoint, c.Insecure); err != nil {
		return nil, err
	}
	if u, err := url.Parse(c.Endpoint); err == nil && strings.Contains(u.Hostname()+".", ".cos.accelerate.") {
		return nil, errAccelerated
	}
	s := &store{credentials: newCredentials(c)}
	base := transport.New(c.Timeout)
	s.idle = base.CloseIdleConnections
	var err error
	s.client, err = cosblob.NewClient(c.Bucket, c.Region, s.credentials, &cosblob.ClientOptions{
		Endpoint: c.Endpoint, Transport: listings{transport.Failures{Base: base}},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	s.bucket, err = cosblob.OpenBucket(ctx, s.client, c.Bucket, &cosblob.Options{
		Credentials: s.credentials, Region: c.Region, UncheckedReads: true, // an envelope authenticates itself
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	return s, nil
}
