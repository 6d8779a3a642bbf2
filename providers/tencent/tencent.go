// Package tencent keeps the objects of a vault in a bucket of Tencent Cloud COS.
//
// Credentials are temporary ones of a CAM role, which an OIDC token was exchanged for
// ([NewExchanger], package federation), given ones, or those of the environment.
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
// COS has no conditional writes but x-cos-forbid-overwrite, and that only in a bucket
// which never had versioning; in any other it is ignored without notice. So the bucket
// decides what the store honours, and [Open] asks it (GET ?versioning):
//
//   - Never versioned: create-only is documented, and under many creators at once reported not
//     to hold (see Create). What was created is read back, so that a creator who was
//     overwritten by then is told. One that is overwritten later is not: create-only is no
//     lock here. There is neither swap nor history.
//   - Versioning enabled: there is history. Create and swap are optimistic: they write,
//     look at what came before their own version, and remove it for ever if that is not
//     what they may replace. The loser is told, and what it met stays. But a reader may
//     see the loser's value for a moment, and for good if the loser is killed right then.
//     Each such write tells in its metadata what it wants to come after (x-cos-meta-basis),
//     so that a swap is not based on a loser: it is refused with [vault.ErrConflict] until
//     that one is removed, or a minute old.
//     If the answer to such a write is lost, the store looks whether it is there, and
//     judges it then; where that cannot be told it is [vault.ErrUnsure].
//   - Versioning suspended: there is history of what was written before. A write replaces
//     the last one that was made while suspended, history included, so that create is
//     refused with [vault.ErrUnsupported], and there is no swap.
//   - Not known, because the bucket may not be asked or did not answer: create, swap and
//     history ask again, and fail for that reason as long as they get no answer.
//
// BUG(objectvault): versioning that is suspended while a Store is open is found out only
// by a create or swap that has written already: it is then [vault.ErrUnsure]. A bucket
// that never had versioning is asked again after a minute; if it is enabled and suspended
// within that minute, a create may replace what is there.
//
// BUG(objectvault): a request that got no answer may be carried out later. With versioning,
// such a write may then come over what others wrote, which stays in the history. The one
// who made it is told [vault.ErrUnsure], or success if another attempt of his won.
//
// BUG(objectvault): keys that hold control characters or __0x, which no vault writes,
// have no history here, since package cosblob stores them under other names. Leftovers
// have those names.
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
	idle        func() // closes the connections that nobody uses
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
