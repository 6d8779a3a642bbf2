package aws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/policy/aws"
)

func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }

// TestRGW applies the printed documents to a real gateway, and checks which requests it allows.
func TestRGW(t *testing.T) {
	gateway := testcloud.RequireRGW(t)
	issuer := testcloud.NewIssuer(nil)
	defer issuer.Close()
	defer gateway.DeleteProvider(context.Background(), "arn:aws:iam:::oidc-provider/"+strings.TrimPrefix(issuer.URL, "http://"))
	provider := false
	for i, change := range []func(*aws.Options){
		func(*aws.Options) {},
		func(o *aws.Options) { o.Collection, o.ExpireDays = "credentials", 0 },
		func(o *aws.Options) { o.Grants = aws.InBucket },
		func(o *aws.Options) { o.Isolation = aws.ByRole },
		func(o *aws.Options) { o.Isolation, o.Grants = aws.ByRole, aws.InBucket },
		func(o *aws.Options) { o.TLS = true },
	} {
		o := aws.Options{
			Dialect: aws.RGW, Bucket: testcloud.NewBucket(t, gateway.URL, gateway.Owner, false), Role: fmt.Sprintf("vault%d", i),
			Issuer: issuer.URL, Thumbprints: []string{issuer.Thumbprint()}, ExpireDays: 30,
			Tenants: []aws.Tenant{{ID: "0xaaa"}, {ID: "0xbbb"}},
		}
		change(&o)
		if o.Isolation == aws.ByRole {
			o.Tenants[0].Subject, o.Tenants[1].Subject = "alice", "bob"
		}
		t.Run(fmt.Sprintf("%s_%s_%s_%v", or(string(o.Isolation), "tag"), or(string(o.Grants), "role"), o.Collection, o.TLS), func(t *testing.T) {
			d := generate(t, o)
			apply(t, gateway, d, o.Bucket, !provider)
			provider = true
			claims := func(tenant, subject string) testcloud.Claims {
				if o.Isolation == aws.ByRole {
					return testcloud.Claims{Subject: subject}
				}
				return testcloud.Claims{Subject: subject, Tags: map[string]string{aws.DefaultTag: tenant}}
			}
			role := func(tenant string) string { return or(d.Tenants[tenant].RoleARN, d.RoleARN) }
			ctx := t.Context()
			a, err := assume(ctx, gateway, role("0xaaa"), issuer.Mint(claims("0xaaa", "alice")))
			if err != nil {
				t.Fatalf("assume as A: %v", err)
			}
			b, err := assume(ctx, gateway, role("0xbbb"), issuer.Mint(claims("0xbbb", "bob")))
			if err != nil {
				t.Fatalf("assume as B: %v", err)
			}
			if o.TLS { // and the gateway uses http
				denied(t, ctx, a, o.Bucket, "bots/0xaaa/credentials/x.enc")
				return
			}
			own, foreign := "bots/0xaaa/credentials/x.enc", "bots/0xbbb/credentials/x.enc"
			if err := everything(ctx, b, o.Bucket, foreign); err != nil {
				t.Errorf("B in its own prefix: %v", err)
			}
			if err := everything(ctx, a, o.Bucket, own); err != nil {
				t.Errorf("A in its own prefix: %v", err)
			}
			denied(t, ctx, a, o.Bucket, foreign)
			denied(t, ctx, a, o.Bucket, "bots/0xaaaa/credentials/x.enc")
			denied(t, ctx, a, o.Bucket, "x.enc")
			if o.Collection != "" {
				denied(t, ctx, a, o.Bucket, "bots/0xaaa/other/x.enc")
			}
			for what, token := range map[string]string{
				"wrong audience":                     issuer.Mint(testcloud.Claims{Subject: "alice", Audience: "other", Tags: claims("0xaaa", "").Tags}),
				"role of a tenant, token of another": issuer.Mint(testcloud.Claims{Subject: "bob"}),
			} {
				if _, err := assume(ctx, gateway, role("0xaaa"), token); status(err) != http.StatusForbidden {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// apply applies the documents as the printed commands do.
func apply(t *testing.T, g *testcloud.RGW, d *aws.Documents, bucket string, provider bool) {
	t.Helper()
	ctx := t.Context()
	if provider {
		p := d.OIDCProvider
		out, err := g.IAM().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &p.URL, ClientIDList: append(p.ClientIDs, "other"), ThumbprintList: p.Thumbprints})
		if err != nil {
			t.Fatalf("provider: %v", err)
		}
		if arn := awssdk.ToString(out.OpenIDConnectProviderArn); !strings.HasSuffix(arn, strings.TrimPrefix(p.URL, "http://")) {
			t.Errorf("provider %s", arn)
		}
	}
	role := func(name, arn string, trust, own *aws.Policy) {
		if trust == nil {
			return
		}
		got, err := g.CreateRole(ctx, name, trust.String())
		if err != nil || got != arn {
			t.Fatalf("role %s, want %s: %v", got, arn, err)
		}
		t.Cleanup(func() { g.DeleteRole(context.Background(), name) })
		if own != nil {
			if err := g.PutRolePolicy(ctx, name, "objectvault", own.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	role(d.RoleName, d.RoleARN, d.TrustPolicy, d.RolePolicy)
	for _, tenant := range d.Tenants {
		role(tenant.RoleName, tenant.RoleARN, tenant.TrustPolicy, tenant.RolePolicy)
	}
	owner := testcloud.S3Client(g.URL, g.Owner)
	b := d.PublicAccessBlock
	_, err := owner.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &bucket, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: &b.BlockPublicAcls, IgnorePublicAcls: &b.IgnorePublicAcls, BlockPublicPolicy: &b.BlockPublicPolicy, RestrictPublicBuckets: &b.RestrictPublicBuckets,
	}})
	if err != nil {
		t.Errorf("public access block: %v", err)
	}
	_, err = owner.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatus(d.Versioning.Status)}})
	if err != nil {
		t.Errorf("versioning: %v", err)
	}
	applyLifecycle(t, owner, bucket, d.Lifecycle)
	if d.BucketPolicy != nil {
		if err := g.PutBucketPolicy(ctx, bucket, d.BucketPolicy.String()); err != nil {
			t.Errorf("bucket policy: %v", err)
		}
	}
}

func assume(ctx context.Context, g *testcloud.RGW, role, token string) (*s3.Client, error) {
	out, err := testcloud.STSClient(g.URL).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: awssdk.String("policy-test"), WebIdentityToken: &token})
	if err != nil {
		return nil, err
	}
	c := out.Credentials
	return testcloud.S3Client(g.URL, testcloud.Keys{}, func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	}), nil
}

// An attempt is an operation of a tenant on a key.
type attempt struct {
	name string
	do   func(ctx context.Context, c *s3.Client, bucket, key string) error
}

var attempts = []attempt{
	{"put", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("v")})
		return err
	}},
	{"multipart", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: awssdk.Int32(1), Body: bytes.NewReader([]byte("part"))})
		if err != nil {
			return err
		}
		_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: awssdk.Int32(1)}}}})
		return err
	}},
	{"abort", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		_, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId})
		return err
	}},
	{"list", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		_, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: awssdk.String(key[:strings.LastIndex(key, "/")+1])})
		return err
	}},
	{"versions", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		out, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key})
		if err == nil && len(out.Versions) < 2 {
			err = fmt.Errorf("%d versions", len(out.Versions))
		}
		return err
	}},
	{"delete", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
		return err
	}},
}

// everything makes all attempts and some reads. The object exists afterwards.
func everything(ctx context.Context, c *s3.Client, bucket, key string) error {
	for _, a := range attempts {
		if err := a.do(ctx, c, bucket, key); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	old, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("v")})
	if err != nil {
		return err
	}
	if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, VersionId: old.VersionId}); err != nil {
		return fmt.Errorf("get a version: %w", err)
	}
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: old.VersionId}); status(err) != http.StatusForbidden {
		return fmt.Errorf("purge, which was not allowed: %w", err)
	}
	return nil
}

func denied(t *testing.T, ctx context.Context, c *s3.Client, bucket, key string) {
	t.Helper()
	all := append(attempts, attempt{"get", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		return err
	}}, attempt{"list of uploads", func(ctx context.Context, c *s3.Client, bucket, key string) error {
		_, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &key})
		return err
	}})
	for _, a := range all {
		if err := a.do(ctx, c, bucket, key); status(err) != http.StatusForbidden {
			t.Errorf("%s of %s: %v, want 403", a.name, key, err)
		}
	}
}

// status returns the HTTP status of an error response, or 0.
func status(err error) int {
	var e *awshttp.ResponseError
	if errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}
