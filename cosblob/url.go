package cosblob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
)

// Scheme is the scheme of the URLs that [blob.OpenBucket] opens with this package.
const Scheme = "cos"

func init() { blob.DefaultURLMux().RegisterBucket(Scheme, new(URLOpener)) }

var regionName = text.NewRegexp(`^[a-z0-9-]{1,40}$`)

// A URLOpener opens URLs such as cos://vault-1250000000?region=ap-guangzhou.
//
// The host is the name of the bucket. The parameter region is required. The parameter endpoint sets
// [ClientOptions].Endpoint. Other parameters are rejected.
type URLOpener struct {
	// Credentials sign the requests. Nil means the environment variables
	// TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY, and TENCENTCLOUD_TOKEN or
	// TENCENTCLOUD_SECURITY_TOKEN (https://cloud.tencent.com/document/product/440/96291).
	Credentials Credentials
	// Client configures the client. The endpoint parameter of the URL overrides its Endpoint.
	Client ClientOptions
}

// OpenBucketURL opens the bucket of the URL.
func (o *URLOpener) OpenBucketURL(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	q := u.Query()
	region, endpoint := q.Get("region"), q.Get("endpoint")
	q.Del("region")
	q.Del("endpoint")
	for name := range q {
		return nil, fmt.Errorf("cosblob: unknown parameter %q", name)
	}
	if u.User != nil || u.Path != "" && u.Path != "/" {
		return nil, errors.New("cosblob: the URL must have the form cos://BUCKET?region=REGION, without a user and a path")
	}
	if !regionName.MatchString(region) {
		return nil, fmt.Errorf("cosblob: %q is not a region such as region=ap-guangzhou", region)
	}
	credentials, client := o.Credentials, o.Client
	if credentials == nil {
		credentials = environment{}
	}
	if endpoint != "" {
		client.Endpoint = endpoint
	}
	var idle func()
	if client.Transport == nil {
		t := transport.New(client.Timeout)
		client.Transport, idle = t, t.CloseIdleConnections
	}
	c, err := NewClient(u.Host, region, credentials, &client)
	if err != nil {
		return nil, err
	}
	b, err := openBucket(c, u.Host, &Options{Credentials: credentials, Region: region})
	if err != nil {
		return nil, err
	}
	b.closed = idle
	return blob.NewBucket(b), nil
}

// environment reads the default credentials of a URLOpener from environment variables.
type environment struct{}

func (environment) Get(context.Context) (Snapshot, error) {
	id, key := os.Getenv("TENCENTCLOUD_SECRET_ID"), os.Getenv("TENCENTCLOUD_SECRET_KEY")
	if id == "" || key == "" {
		return Snapshot{}, errors.New("TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set")
	}
	return NewSnapshot(id, key, cmp.Or(os.Getenv("TENCENTCLOUD_TOKEN"), os.Getenv("TENCENTCLOUD_SECURITY_TOKEN"))), nil
}
