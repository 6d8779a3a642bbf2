package aws_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	policy "github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// The tenants, whose ids are wallets as in agentKeys. alice's id is a prefix of longer's.
const (
	alice  vault.Tenant = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	bob    vault.Tenant = "0xb0b5e376e7c213b7e7e7e46cc70a5dd086da0b0b"
	longer vault.Tenant = alice + "00"
)

// A site is a bucket that the tenants share, with one role for all of them, the policies from
// package policy, and the issuer of their tokens.
type site struct {
	*testcloud.RGW // nil for SeaweedFS
	URL, Version   string
	Owner          testcloud.Keys
	issuer         *testcloud.Issuer
	bucket         string
	owner          *s3.Client // client of the bucket's owner
	docs           *policy.Documents
	flat           bool       // tokens also have the tags in the claim that SeaweedFS reads
	deviations     deviations // of the server from AWS
}

// newSite applies the printed documents for the three tenants, modified by change.
func newSite(t *testing.T, versioned bool, change ...func(*policy.Options)) *site {
	t.Helper()
	return newSiteOn(t, testcloud.RequireRGW(t), versioned, change...)
}

// newSiteOn is newSite on a server of the caller.
func newSiteOn(t *testing.T, server *testcloud.RGW, versioned bool, change ...func(*policy.Options)) *site {
	t.Helper()
	s := &site{RGW: server, URL: server.URL, Version: server.Version, Owner: server.Owner, issuer: testcloud.NewIssuer(nil)}
	t.Cleanup(func() { s.issuer.Close() })
	s.bucket = testcloud.NewBucket(t, s.URL, s.Owner, versioned)
	s.owner = testcloud.S3Client(s.URL, s.Owner)
	o := policy.Options{
		Dialect: policy.RGW, Bucket: s.bucket, Role: "tenants-" + s.bucket, Issuer: s.issuer.URL,
		Tag: testcloud.WalletTag, Audience: testcloud.Audience, Thumbprints: []string{s.issuer.Thumbprint()},
		Tenants: []policy.Tenant{{ID: string(alice)}, {ID: string(bob)}, {ID: string(longer)}},
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.docs, err = policy.Generate(o); err != nil {
		t.Fatal(err)
	}
	p := s.docs.OIDCProvider
	provider, err := s.CreateProvider(t.Context(), p.URL, p.Thumbprints[0], p.ClientIDs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.DeleteProvider(context.Background(), provider) })
	if arn := s.newRole(t, s.docs.RoleName, s.docs.TrustPolicy.String()); arn != s.docs.RoleARN {
		t.Fatalf("the role is %s, but the policies apply to %s", arn, s.docs.RoleARN)
	}
	if s.docs.BucketPolicy != nil {
		if err := s.PutBucketPolicy(t.Context(), s.bucket, s.docs.BucketPolicy.String()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// newRole creates a role with the permissions of the tenants' role, and returns its ARN.
func (s *site) newRole(t *testing.T, name, trust string) string {
	t.Helper()
	arn, err := s.CreateRole(t.Context(), name, trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.DeleteRole(context.Background(), name) })
	if err := s.PutRolePolicy(t.Context(), name, "objectvault", s.docs.RolePolicy.String()); err != nil {
		t.Fatal(err)
	}
	return arn
}

// exchanger returns an exchanger for the role, with the STS at endpoint.
func exchanger(t *testing.T, endpoint, role string) federation.Exchanger {
	t.Helper()
	e, err := aws.NewExchanger(t.Context(), aws.Role{ARN: role, Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fromFile returns a source that reads the token from a file, as an agent does.
func fromFile(t *testing.T, token string) federation.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := federation.ParseSource("file:"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// expect returns the command's expectations for the token of a tenant.
func expect(tenant vault.Tenant) *federation.Options {
	return &federation.Options{Expect: federation.Expectation{Audience: testcloud.Audience, Tenant: string(tenant)}}
}

// claims returns the claims of an agent of tenant. Each site has different agents, because the
// gateway creates a user when it first sees a subject, and responds with 409 to a concurrent
// request.
func (s *site) claims(tenant vault.Tenant) testcloud.Claims {
	c := testcloud.AgentClaims(string(tenant))
	c.Subject += "@" + s.bucket
	c.FlatTags = s.flat
	return c
}

// identity returns the identity of an agent of tenant.
func (s *site) identity(t *testing.T, tenant vault.Tenant) *federation.Provider {
	t.Helper()
	return federation.NewProvider(fromFile(t, s.issuer.Mint(s.claims(tenant))), exchanger(t, s.URL, s.docs.RoleARN), expect(tenant))
}

// A member is a tenant of a site with one set of temporary credentials.
type member struct {
	tenant vault.Tenant
	store  *vault.Store
	*vault.Vault
	raw *s3.Client
}

func (s *site) join(t *testing.T, tenant vault.Tenant) *member {
	t.Helper()
	p := s.identity(t, tenant)
	m := &member{tenant: tenant, store: open(t, aws.Config{Bucket: s.bucket, Endpoint: s.URL, Identity: p})}
	m.Vault = newVault(t, m.store, tenant)
	c, err := p.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.raw = s.client(s.URL, c)
	return m
}

// client returns the SDK's client with exchanged credentials. It has many retries with short
// delays, because the gateway denies a PUT before it has read the body, closes the connection, and
// sometimes loses its response.
func (s *site) client(endpoint string, c federation.Credentials) *s3.Client {
	return testcloud.S3Client(endpoint, testcloud.Keys{}, func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretKey.Reveal(), c.SessionToken.Reveal())
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 10, 10*time.Millisecond, ratelimit.None
		})
	})
}

// bytes returns the stored bytes of a key.
func (s *site) bytes(ctx context.Context, client *s3.Client, key string) (value []byte, version string, err error) {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return nil, "", err
	}
	defer out.Body.Close()
	value, err = io.ReadAll(out.Body)
	if version = awssdk.ToString(out.VersionId); version == "" {
		version = "null"
	}
	return value, version, err
}

// outside lists, as the owner of the bucket, all versions, delete markers and multipart uploads
// that do not belong to actor. It ignores the prefixes in open.
func (s *site) outside(t *testing.T, actor vault.Tenant, open ...string) (all []string) {
	t.Helper()
	open = append(open, "bots/"+string(actor)+"/")
	add := func(key *string, format string, args ...any) {
		if !slices.ContainsFunc(open, func(prefix string) bool { return strings.HasPrefix(*key, prefix) }) {
			all = append(all, *key+": "+fmt.Sprintf(format, args...))
		}
	}
	versions := s3.NewListObjectVersionsPaginator(s.owner, &s3.ListObjectVersionsInput{Bucket: &s.bucket})
	for versions.HasMorePages() {
		page, err := versions.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			add(v.Key, "version %s, %d bytes %s, current %v", *v.VersionId, *v.Size, *v.ETag, *v.IsLatest)
		}
		for _, m := range page.DeleteMarkers {
			add(m.Key, "deleted by %s", *m.VersionId)
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(s.owner, &s3.ListMultipartUploadsInput{Bucket: &s.bucket})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Uploads {
			add(u.Key, "upload %s", *u.UploadId)
		}
	}
	slices.Sort(all)
	return all
}
