package aws_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	policy "github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/vault"
)

// newWeedSite is newSite for SeaweedFS, with the policies in the form for AWS.
func newWeedSite(t *testing.T, versioned bool, change ...func(*policy.Options)) *site {
	t.Helper()
	return newWeedSiteOn(t, testcloud.RequireWeed(t), versioned, change...)
}

// newWeedSiteOn is newWeedSite on a server of the caller.
func newWeedSiteOn(t *testing.T, w *testcloud.Weed, versioned bool, change ...func(*policy.Options)) *site {
	t.Helper()
	// The printed bucket policy denies plain http.
	secure := testcloud.NewProxy(w.TLSURL, &testcloud.ProxyOptions{CA: w.CA})
	t.Cleanup(func() { secure.Close() })
	s := &site{URL: secure.URL, Version: w.Version, Owner: w.Owner, issuer: w.Issuer, flat: true, deviations: weedIsolation}
	s.bucket = testcloud.NewBucket(t, s.URL, s.Owner, versioned)
	s.owner = testcloud.S3Client(s.URL, s.Owner)
	o := policy.Options{
		Bucket: s.bucket, Account: testcloud.WeedAccount, Role: "tenants-" + s.bucket, Issuer: w.Issuer.Name,
		Tag: testcloud.WalletTag, Audience: testcloud.Audience,
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.docs, err = policy.Generate(o); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateRole(t.Context(), s.docs.RoleName, weedTrust(t, s.docs), s.docs.RolePolicy.String()); err != nil {
		t.Fatal(err)
	}
	if err := s.putBucketPolicy(t.Context(), weedBucketPolicy(t, s.docs)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.owner.DeleteBucketPolicy(context.Background(), &s3.DeleteBucketPolicyInput{Bucket: &s.bucket})
	})
	return s
}

// weedBucketPolicy returns the printed bucket policy without the statements that SeaweedFS rejects.
func weedBucketPolicy(t *testing.T, d *policy.Documents) string {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(d.BucketPolicy.String()), &p); err != nil {
		t.Fatal(err)
	}
	p["Statement"] = slices.DeleteFunc(p["Statement"].([]any), func(s any) bool { return s.(map[string]any)["NotAction"] != nil })
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// weedTrust returns the printed trust policy without the parts that SeaweedFS rejects.
func weedTrust(t *testing.T, d *policy.Documents) string {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(d.TrustPolicy.String()), &p); err != nil {
		t.Fatal(err)
	}
	for _, s := range p["Statement"].([]any) {
		s := s.(map[string]any)
		s["Action"] = "sts:AssumeRoleWithWebIdentity"
		s["Condition"] = map[string]any{"StringEquals": map[string]any{"oidc:aud": testcloud.Audience}}
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWeedIsolation is TestIsolation for SeaweedFS, with the policies for AWS.
func TestWeedIsolation(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	known(t, "SeaweedFS", testcloud.RequireWeed(t).Version, knownWeed)
	var both sync.WaitGroup
	defer both.Wait()
	for name, versioned := range map[string]bool{"plain": false, "versioned": true} {
		both.Go(func() {
			t.Run(name, func(t *testing.T) { newWeedSite(t, versioned).isolatesAll(t) })
		})
	}
}

// TestWeedDocuments sends the printed documents to SeaweedFS unchanged. weedDocuments contains the
// ones that it rejects.
func TestWeedDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	w := testcloud.RequireWeed(t)
	s := newWeedSite(t, false)
	outcomes := make(map[string]string)
	name := s.docs.RoleName + "-as-printed"
	_, err := w.CreateRole(t.Context(), name, s.docs.TrustPolicy.String(), s.docs.RolePolicy.String())
	outcomes["trust policy"] = outcome(err)
	_, err = w.CreateRole(t.Context(), name, weedTrust(t, s.docs), s.docs.RolePolicy.String())
	outcomes["role policy"] = outcome(err)
	if err := s.putBucketPolicy(t.Context(), s.docs.BucketPolicy.String()); err != nil {
		outcomes["bucket policy"] = outcome(err)
	}
	var p struct{ Statement []json.RawMessage }
	if err := json.Unmarshal([]byte(s.docs.BucketPolicy.String()), &p); err != nil {
		t.Fatal(err)
	}
	for _, statement := range p.Statement {
		var named struct{ Sid string }
		if err := json.Unmarshal(statement, &named); err != nil {
			t.Fatal(err)
		}
		outcomes[named.Sid] = outcome(s.putBucketPolicy(t.Context(), `{"Version": "2012-10-17", "Statement": [`+string(statement)+`]}`))
	}
	want := map[string]string{
		"trust policy": "", "role policy": "", "bucket policy": "",
		"DenyInsecureTransport": "", "DenyWithoutTag": "", "DenyOutsideOwnPrefix": "", "DenyListOutsideOwnPrefix": "", "DenyBucketItself": "",
	}
	for what, d := range weedDocuments {
		want[what] = d.code
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("the errors for the documents (-want +got):\n%s", diff)
	}
}

func (s *site) putBucketPolicy(ctx context.Context, text string) error {
	_, err := s.owner.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &s.bucket, Policy: &text})
	return err
}

// TestWeedPlainHTTP: the printed bucket policy denies plain http to every caller, including the owner.
func TestWeedPlainHTTP(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	w := testcloud.RequireWeed(t)
	s := newWeedSite(t, false)
	c, err := s.identity(t, alice).Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := "bots/" + string(alice) + "/credentials/own.enc"
	put := func(client *s3.Client) error {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: strings.NewReader("value")})
		return err
	}
	if err := put(s.client(s.URL, c)); err != nil {
		t.Errorf("over https: %v", err)
	}
	if err := put(s.client(w.URL, c)); !hasCode(err, "AccessDenied") {
		t.Errorf("over http: %v", err)
	}
}

// TestWeedTokens sends invalid tokens directly to the STS of SeaweedFS, without the client's checks. It
// tries credentials that were issued for tokens without a valid tag at S3.
func TestWeedTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newWeedSite(t, false)
	stranger := testcloud.NewIssuer(&testcloud.IssuerOptions{Name: s.issuer.Name})
	t.Cleanup(func() { stranger.Close() })
	b := s.join(t, bob)
	if _, err := b.Put(t.Context(), "seed", strings.NewReader(secretOf(bob)), nil); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*testcloud.Claims)) testcloud.Claims {
		c := s.claims(alice)
		change(&c)
		return c
	}
	exchange := exchanger(t, s.URL, s.docs.RoleARN)
	as := func(token string) (federation.Credentials, error) {
		return exchange.Exchange(t.Context(), federation.Token{Raw: federation.NewSecret(token)})
	}
	for name, token := range map[string]string{
		"expired":         s.issuer.MintExpired(s.claims(alice)),
		"wrong audience":  s.issuer.Mint(with(func(c *testcloud.Claims) { c.Audience = "sts.example.com" })),
		"wrong signature": s.issuer.MintForged(s.claims(alice)),
		"alg none":        s.issuer.MintUnsigned(s.claims(alice)),
		"tampered tags":   testcloud.Tamper(s.issuer.Mint(s.claims(bob)), retag(alice)),
		"unknown issuer":  s.issuer.Mint(with(func(c *testcloud.Claims) { c.Issuer = "https://other.example" })),
		"another issuer":  stranger.Mint(s.claims(alice)),
	} {
		if _, err := as(token); !errors.Is(err, federation.ErrRefused) && !errors.Is(err, federation.ErrTokenInvalid) {
			t.Errorf("%s: %v, want %v", name, err, federation.ErrRefused)
		}
	}

	// SeaweedFS issues credentials for these tokens, because its trust policies cannot require a
	// tag (weedDocuments). AWS would refuse them. The role policy then allows nothing. However, a
	// tag with a star allows everything, because it becomes a pattern in the resource.
	get := func(c federation.Credentials) error {
		_, _, err := s.bytes(t.Context(), s.client(s.URL, c), "bots/"+string(bob)+"/credentials/seed.enc")
		return err
	}
	putOwn := func(c federation.Credentials) error {
		key := "bots/" + string(alice) + "/credentials/own.enc"
		_, err := s.client(s.URL, c).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: strings.NewReader("v")})
		return err
	}
	for name, tc := range map[string]struct {
		claims testcloud.Claims
		get    string // code of a read of bob's object
		putOwn string // code of a write of alice's object
	}{
		"both forms of the tag":       {s.claims(alice), "AccessDenied", ""},
		"no tags":                     {testcloud.Claims{Subject: "untagged"}, "AccessDenied", "AccessDenied"},
		"tag in the form of AWS only": {with(func(c *testcloud.Claims) { c.FlatTags = false }), "AccessDenied", "AccessDenied"},
		"tag is a star":               {with(func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "*" }), "", ""},
		"tag is a directory":          {with(func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = string(alice) + "/x" }), "AccessDenied", "AccessDenied"},
		"tag is a policy variable":    {with(func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "${aws:username}" }), "AccessDenied", "AccessDenied"},
	} {
		c, err := as(s.issuer.Mint(tc.claims))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := get(c); !hasCode(err, tc.get) {
			t.Errorf("%s: a read of another tenant's object: %v, want %q", name, err, tc.get)
		}
		if err := putOwn(c); !hasCode(err, tc.putOwn) {
			t.Errorf("%s: a write: %v, want %q", name, err, tc.putOwn)
		}
	}

	// The client rejects a tag with a star.
	identity := federation.NewProvider(fromFile(t, s.issuer.Mint(with(func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "*" }))), exchange, expect(alice))
	if _, err := identity.Credentials(t.Context()); !errors.Is(err, federation.ErrTokenInvalid) && !errors.Is(err, federation.ErrTenantMismatch) {
		t.Errorf("tag is a star: %v", err)
	}
}

// TestWeedNotGranted makes requests that the printed policies grant to no role, on the tenant's own
// object and on another tenant's object.
func TestWeedNotGranted(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newWeedSite(t, true)
	a, b := s.join(t, alice), s.join(t, bob)
	for _, m := range []*member{a, b} {
		if _, err := m.Put(t.Context(), "seed", strings.NewReader(secretOf(m.tenant)), nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, c, bucket := t.Context(), a.raw, &s.bucket
	tags := &types.Tagging{TagSet: []types.Tag{{Key: awssdk.String("k"), Value: awssdk.String("v")}}}
	for _, tenant := range []vault.Tenant{alice, bob} {
		key := "bots/" + string(tenant) + "/credentials/seed.enc"
		client := s.owner
		_, version, err := s.bytes(ctx, client, key)
		if err != nil {
			t.Fatal(err)
		}
		for call, do := range map[string]func() error{
			"GetObjectTagging": func() error {
				_, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: bucket, Key: &key})
				return err
			},
			"PutObjectTagging": func() error {
				_, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: bucket, Key: &key, Tagging: tags})
				return err
			},
			"DeleteObjectTagging": func() error {
				_, err := c.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: bucket, Key: &key})
				return err
			},
			"GetObjectAcl": func() error {
				_, err := c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: bucket, Key: &key})
				return err
			},
			"PutObjectAcl": func() error {
				_, err := c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: bucket, Key: &key, ACL: types.ObjectCannedACLPublicRead})
				return err
			},
			"PutObjectRetention": func() error {
				_, err := c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: bucket, Key: &key, Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeGovernance}})
				return err
			},
			"DeleteObject of a version": func() error {
				_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: &key, VersionId: &version})
				return err
			},
			"ListObjectsV2 of everything": func() error {
				_, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
				return err
			},
			"ListObjectVersions of everything": func() error {
				_, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket})
				return err
			},
			"ListMultipartUploads": func() error {
				_, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: bucket, Prefix: &key})
				return err
			},
			"GetBucketPolicy": func() error {
				_, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
				return err
			},
			"DeleteBucketPolicy": func() error {
				_, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: bucket})
				return err
			},
			"PutBucketVersioning": func() error {
				_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended}})
				return err
			},
			"DeleteBucketLifecycle": func() error {
				_, err := c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: bucket})
				return err
			},
			"GetBucketLocation": func() error {
				_, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: bucket})
				return err
			},
			"DeleteBucket": func() error {
				_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
				return err
			},
		} {
			if err := do(); !hasCode(err, weedGrants[call]) {
				t.Errorf("%s as %s at %s: %v, want %q", call, alice, key, err, weedGrants[call])
			}
		}
	}
	if got, err := read(ctx, b.Vault, "seed", nil); err != nil || string(got) != secretOf(bob) {
		t.Errorf("bob reads %d bytes, %v", len(got), err)
	}
}
