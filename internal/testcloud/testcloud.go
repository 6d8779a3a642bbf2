// Package testcloud provides real S3 servers, a KMS, an OpenID Connect issuer, and a fault-injecting proxy
// for tests. All of them run on the loopback interface.
//
// A package whose tests need a server has one line of set-up, and each test requires its server:
//
//	func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }
//
//	func TestPut(t *testing.T) {
//		r := testcloud.RequireRGW(t) // or RequireVersity, RequireWeed, RequireLocalKMS
//		bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
//		client := testcloud.S3Client(r.URL, r.Owner)
//		…
//
// The first test of a binary that requires a server installs it if it is missing, and starts it:
// Ceph in about a second, versitygw and local-kms at once, SeaweedFS in twelve seconds. The other tests share it,
// and Main stops it. Where a server cannot be installed (other systems, no root, no network), the
// test is skipped with the reason. If OBJECTVAULT_TEST_REQUIRE lists aws, the test fails instead.
//
// Under make test, all binaries share one Ceph and one versitygw ([Share]). Each binary creates its
// own users, but the names of buckets and roles must be unique across packages. A test that needs
// its own server, for example for lifecycle rules with short days, calls [StartRGW] or
// [StartVersity]. A SeaweedFS knows only the issuer that it was started with, so each binary has
// its own. So has local-kms.
//
//   - [RGW] is Ceph with S3, IAM and STS: roles, OpenID Connect providers, session tags,
//     lifecycle. It supports no variable in a policy's Resource and ignores create-only in
//     several places.
//   - [Versity] is versitygw: S3 closer to AWS, with versions and conditional writes.
//   - [Weed] is SeaweedFS: S3, IAM and STS, where the policies for AWS apply with the variable
//     of the tag in a resource. It reads session tags from its own kind of claim, rejects some
//     keys, and ignores case in a resource.
//   - [LocalKMS] is local-kms: the API of AWS KMS, without signatures and policies.
//   - [Issuer] mints valid and invalid tokens for RGW and Weed, and acts as the broker of agentKeys.
//   - [Proxy] forwards requests to a server, counts them, injects a [Fault] where a test needs
//     it, expires access keys and throttles.
//
// Federated, against RGW:
//
//	i := testcloud.NewIssuer(nil)
//	defer i.Close()
//	provider, err := r.CreateProvider(ctx, i.URL, i.Thumbprint(), testcloud.Audience)
//	role, err := r.CreateRole(ctx, "agents", trustPolicyNaming(provider))
//	err = r.PutRolePolicy(ctx, "agents", "own", policy)
//	path, err := i.TokenFile(t.TempDir(), testcloud.AgentClaims("0xaaa"))
//
// A server never outlives the process that started it, because the kernel kills it with that
// process. The next start removes the files of a process that was killed. Servers listen only on
// 127.0.0.1, have only the users created here, with random keys, and run only on Linux.
package testcloud

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/objectvault/objectvault/internal/transport"
)

// Region is the region of every server.
const Region = "us-east-1"

// Keys are the static credentials of a user. Printing them omits the secret.
type Keys struct {
	AccessKeyID, SecretKey string
}

// Format writes only the access key id, for every verb.
func (k Keys) Format(f fmt.State, _ rune) { io.WriteString(f, k.AccessKeyID) }

func newKeys(name string) Keys {
	// The names of users are random, so a server that took over a port does not know them.
	return Keys{AccessKeyID: name + rand.Text()[:10], SecretKey: rand.Text()}
}

// httpClient returns the HTTP client for all SDK clients of this package. The SDK's own HTTP client
// loses responses: it may close a connection while the response is being read ([transport.Bodies]),
// and it does not read the response of a server that refuses a request before it has read the body.
func httpClient() *http.Client {
	base := transport.Default()
	base.DialContext = transport.DialContext(2 * time.Minute) // because Ceph is slow on a busy machine
	return &http.Client{
		Transport:     transport.Bodies{Base: base},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// S3Client returns a client for a server, with path style addresses and the SDK's defaults.
func S3Client(endpoint string, k Keys, more ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		Region:       Region,
		BaseEndpoint: aws.String(endpoint),
		UsePathStyle: true,
		HTTPClient:   httpClient(),
		Credentials:  credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretKey, ""),
	}, more...)
}

// STSClient returns a client that exchanges tokens at a server. It has no keys.
func STSClient(endpoint string, more ...func(*sts.Options)) *sts.Client {
	return sts.New(sts.Options{Region: Region, BaseEndpoint: aws.String(endpoint), HTTPClient: httpClient()}, more...)
}

// IAM returns an IAM client of the owner.
func (r *RGW) IAM() *iam.Client { return iamClient(r.URL, r.Owner) }

// IAM returns an IAM client of the owner.
func (w *Weed) IAM() *iam.Client { return iamClient(w.URL, w.Owner) }

func iamClient(endpoint string, k Keys) *iam.Client {
	return iam.New(iam.Options{
		Region:       Region,
		BaseEndpoint: aws.String(endpoint),
		HTTPClient:   httpClient(),
		Credentials:  credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretKey, ""),
	})
}
