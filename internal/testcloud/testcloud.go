// Package testcloud gives tests real S3 servers, an OpenID Connect issuer, and a proxy
// that loses answers and expires keys, all on loopback.
//
// A package whose tests need a server has one line of set-up, and each test asks:
//
//	func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }
//
//	func TestPut(t *testing.T) {
//		r := testcloud.RequireRGW(t) // or RequireVersity, RequireWeed
//		bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
//		client := testcloud.S3Client(r.URL, r.Owner)
//		…
//
// The first test of a binary that asks installs the server if it is missing and starts
// it (Ceph in a second or so, versitygw at once, SeaweedFS in twelve), all share it, and Main stops it. Where
// that is impossible (another system, no root, no network) the test is skipped with the
// reason, unless OBJECTVAULT_TEST_REQUIRE lists aws: then it fails. Under make test the
// binaries find a Ceph and a versitygw running ([Share]), and each makes users of its own there: the
// names of buckets and roles are one space for all packages. What cannot be
// shared, such as lifecycle rules with short days, is started by the test itself with
// [StartRGW] or [StartVersity]; a SeaweedFS knows the issuer that it is started with, and each
// binary has its own.
//
//   - [RGW] is Ceph with S3, IAM and STS: roles, OpenID Connect providers, session tags,
//     lifecycle. It takes no variable in a policy's Resource and ignores create-only in
//     several places.
//   - [Versity] is versitygw: S3 closer to AWS, with versions and conditional writes.
//   - [Weed] is SeaweedFS: S3, IAM and STS, where the policies for AWS apply with the variable
//     of the tag in a resource. It reads session tags from a claim of its own form, refuses some
//     keys, and ignores case in a resource.
//   - [Issuer] mints tokens for RGW and Weed, good ones and bad ones, and plays agentKeys' broker.
//   - [Proxy] stands before a server, counts requests, injects each [Fault], expires
//     access keys and throttles.
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
// A server never outlives its process: the kernel kills it with us. Files that a killed
// process left are removed at the next start. Servers listen on 127.0.0.1 only, know no
// users but those made here, with random keys, and run on linux only.
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

// Keys are static credentials of a user. They print without the secret.
type Keys struct {
	AccessKeyID, SecretKey string
}

// Format writes the access key id alone, whatever the verb.
func (k Keys) Format(f fmt.State, _ rune) { io.WriteString(f, k.AccessKeyID) }

func newKeys(name string) Keys {
	// A server that took our port must not know our users: their names are new each time.
	return Keys{AccessKeyID: name + rand.Text()[:10], SecretKey: rand.Text()}
}

// httpClient is what each client of the SDK here is made with. Of the SDK's own, answers
// are lost: it may close a connection while the answer is being read ([transport.Bodies]),
// and does not read what a server says that refuses a request before it has the body.
func httpClient() *http.Client {
	base := transport.Default()
	base.DialContext = transport.DialContext(2 * time.Minute) // a Ceph on a busy machine takes its time
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

// STSClient returns a client that exchanges tokens at a server; it has no keys.
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
