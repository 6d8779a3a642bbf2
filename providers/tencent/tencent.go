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
// reads the versioning state of the bucket (GET ?versioning):
//
//   - Never enabled: create-only uses the header. According to a report, several concurrent creates
//     of a key may succeed. So Create reads the object back, and returns an error if another create
//     has replaced it. It does not detect a later replacement, so do not use create-only as a lock
//     here. There is no compare-and-swap and no history.
//   - Enabled: there is history. Create and compare-and-swap are optimistic: they write a version and
//     check the version before it. If another writer was first, they permanently delete the new
//     version and return an error. Until then a reader may see the new value, and it stays if the
//     process is killed in between. The metadata of each version (x-cos-meta-basis) contains the
//     version that it is based on. A compare-and-swap fails with [vault.ErrConflict] if the current
//     version is less than a minute old and its writer may still delete it. If the response to a
//     write is lost, the store looks for the version. If the outcome is still unknown, the error
//     wraps [vault.ErrUnsure].
//   - Suspended: the history contains only the versions from before the suspension. A new write
//     permanently replaces the last write since the suspension, so create fails with
//     [vault.ErrUnsupported], and there is no compare-and-swap.
//   - Unknown, because the request was denied or failed: create, compare-and-swap and history repeat
//     the request, and fail with its error until it succeeds.
//
// # Optimistic writes
//
// In a bucket with versioning COS ignores the condition of a write. So a create or a
// compare-and-swap writes first, and detects a conflict after the write. If several writers write
// at the same time, the oldest version wins. No writer deletes the version of another writer.
//
//  1. Check. Before the last byte of the request is sent, the writer reads the newest version. If
//     the precondition is not met, it cancels the write, and nothing is stored. The precondition of
//     a swap is also not met if the newest version has lost against an older one (step 4), because
//     the writer of the newest version will then delete it.
//  2. Write. The metadata of the new version (x-cos-meta-basis) contains the version that it is
//     based on. Step 1 of another writer uses it to find out whether this version has lost.
//  3. Find. If the response was lost, the writer finds its version by the first bytes. They contain
//     the commitment of the envelope, which is different for every write.
//  4. Decide. The writer lists the versions until the list contains its own. The write has won if
//     the version before it meets the precondition.
//  5. Undo. Otherwise the writer permanently deletes its own version by ID, and returns an error.
//  6. Settle. If step 3 did not find the version, COS may still store it later. After the last
//     attempt, package vault repeats steps 3 to 5. If there is still no version, the outcome is
//     unknown and the error wraps [vault.ErrUnsure].
//
// Steps 1 and 4 need the versions before a version. So [vault.Vault.PurgeVersions] removes only what is
// older than a version that its writer no longer deletes: one that the same process has stored, one
// that was written without a condition, or one that is older than a minute. If the version before a
// swap has been removed all the same, for example by a lifecycle rule, step 4 deletes nothing and the
// error wraps [vault.ErrUnsure]: the new version may be the only one.
//
// BUG(objectvault): if versioning is suspended while a Store is open, a create or compare-and-swap
// detects this only after it has written. The error then wraps [vault.ErrUnsure]. If the bucket never
// had versioning, the Store checks this again after a minute. If versioning is enabled and suspended
// within that minute, a create may replace an existing object.
//
// BUG(objectvault): if a request gets no response, COS may still apply it later. With versioning,
// such a write may replace another writer's object, which stays in the history. The caller gets
// [vault.ErrUnsure], or success if another attempt succeeded.
//
// BUG(objectvault): keys with control characters or __0x have no history, because package cosblob
// stores them under other names. The method Leftovers of [vault.Purger] yields these other names. A
// vault never writes such keys.
package tencent

import (
	"cmp"
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
	"github.com/objectvault/objectvault/internal/requestid"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// Config configures [Open]. Bucket is required. Region is required unless Endpoint is set.
type Config struct {
	Bucket string // NAME-APPID
	Region string // the region of the bucket, such as ap-guangzhou
	// Endpoint is the URL of the bucket if it is not https://BUCKET.cos.REGION.myqcloud.com,
	// for example an internal host or a test server.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool

	// STSEndpoint is the URL of STS for [vault.Cloud]. The default is
	// https://sts.tencentcloudapi.com.
	STSEndpoint string

	// Identity supplies the credentials. If it is nil, Static supplies them. If both are nil,
	// they come from the environment variables TENCENTCLOUD_SECRET_ID,
	// TENCENTCLOUD_SECRET_KEY, and TENCENTCLOUD_TOKEN or TENCENTCLOUD_SECURITY_TOKEN.
	Identity *federation.Provider
	// Static supplies the credentials if Identity is nil.
	Static cosblob.Credentials

	// Timeout is the longest time without progress on a connection. The default is 30 seconds.
	Timeout time.Duration
	// Parallel is the number of requests at a time of one large write, and of all large reads of a Vault.
	// The default is 10. Each needs 5 MiB of memory.
	Parallel int
}

// defaultParallel is the default of [Config].Parallel.
const defaultParallel = 10

// Open returns the store in a bucket. It makes one request, GET ?versioning. If this request fails,
// Open still succeeds. The operations that need the response then repeat the request, and return
// its error until it succeeds.
func Open(ctx context.Context, c Config) (*vault.Store, error) {
	s, err := newStore(ctx, c)
	if err != nil {
		return nil, err
	}
	store := &vault.Store{
		Bucket:      s.bucket,
		Name:        "cos://" + c.Bucket,
		Put:         s,
		Create:      s,
		QuickCreate: quickCreator{s},
		Splice:      s,
		Remover:     s,
		Settle:      s, // always set, because versioning may be enabled later
		Cloud:       &cloud{s, c},
		Tag:         etag,
		ListAfter:   listAfter,
		Parallel:    s.parallel,
		Explain:     explain,
		Close:       s.close,
		Closed:      s.closed.Load,
	}
	state, err := s.versioning(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		s.close()
		return nil, ctx.Err()
	case code(err) == "ActionAccelerateNotSupported": // the endpoint is a custom domain of an accelerated endpoint
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

// errAccelerated is the error for an endpoint of global acceleration (436/38864).
var errAccelerated = fmt.Errorf("%w: endpoint: an accelerated endpoint does not support bucket requests such as lists: omit endpoint=, or use an endpoint in the region of the bucket", vault.ErrConfig)

// A store implements the interfaces of [vault.Store] that package cosblob does not cover.
type store struct {
	bucket      *blob.Bucket
	client      *cos.Client
	credentials *credentials
	idle        func() // closes unused connections
	state       state
	closed      atomic.Bool
	parallel    int          // see [Config].Parallel
	writes      atomic.Int32 // in progress
}

func (s *store) close() error {
	s.closed.Store(true)
	defer s.idle()
	return s.bucket.Close()
}

// listAfter starts a list after a key.
func listAfter(key string) func(as func(any) bool) error {
	return func(as func(any) bool) error {
		var in *cos.BucketGetOptions
		if as(&in) {
			in.Marker = key
		}
		return nil
	}
}

func newStore(ctx context.Context, c Config) (*store, error) {
	if c.Region == "" && c.Endpoint == "" {
		return nil, fmt.Errorf("%w: no region for the bucket: set region=", vault.ErrConfig)
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
	s := &store{credentials: newCredentials(c), parallel: cmp.Or(max(c.Parallel, 0), defaultParallel)}
	base := transport.New(c.Timeout)
	s.idle = base.CloseIdleConnections
	var err error
	s.client, err = cosblob.NewClient(c.Bucket, c.Region, s.credentials, &cosblob.ClientOptions{
		Endpoint: c.Endpoint, Transport: listings{requestid.Transport{Base: transport.Failures{Base: base}, Header: "X-Cos-Request-Id"}},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	s.bucket, err = cosblob.OpenBucket(ctx, s.client, c.Bucket, &cosblob.Options{
		Credentials: s.credentials, Region: c.Region, UncheckedReads: true, // the envelope authenticates the data
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	return s, nil
}
