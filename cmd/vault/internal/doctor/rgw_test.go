package doctor_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	policy "github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }

const (
	alice vault.Tenant = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	bob   vault.Tenant = "0xb0b5e376e7c213b7e7e7e46cc70a5dd086da0b0b"
)

// A ward is a bucket on Ceph. Its tenants have a role with the policies that package policy prints. A
// test may add permissions for all objects.
type ward struct {
	*testcloud.RGW
	issuer *testcloud.Issuer
	bucket string
	role   string
}

func newWard(t *testing.T, versioned bool, holes ...string) *ward {
	t.Helper()
	w := &ward{RGW: testcloud.RequireRGW(t), issuer: testcloud.NewIssuer(nil)}
	t.Cleanup(func() { w.issuer.Close() })
	w.bucket = testcloud.NewBucket(t, w.URL, w.Owner, versioned)
	docs, err := policy.Generate(policy.Options{
		Dialect: policy.RGW, Bucket: w.bucket, Role: "doctor-" + w.bucket, Issuer: w.issuer.URL,
		Tag: testcloud.WalletTag, Audience: testcloud.Audience, Thumbprints: []string{w.issuer.Thumbprint()},
		Tenants: []policy.Tenant{{ID: string(alice)}, {ID: string(bob)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := w.CreateProvider(t.Context(), docs.OIDCProvider.URL, docs.OIDCProvider.Thumbprints[0], docs.OIDCProvider.ClientIDs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.DeleteProvider(context.Background(), provider) })
	if w.role, err = w.CreateRole(t.Context(), docs.RoleName, docs.TrustPolicy.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.DeleteRole(context.Background(), docs.RoleName) })
	if len(holes) > 0 {
		bucket := "arn:aws:s3:::" + w.bucket
		docs.RolePolicy.Statement = append(docs.RolePolicy.Statement, policy.Statement{Effect: "Allow", Action: holes, Resource: []string{bucket, bucket + "/bots/*"}})
	}
	if err := w.PutRolePolicy(t.Context(), docs.RoleName, "objectvault", docs.RolePolicy.String()); err != nil {
		t.Fatal(err)
	}
	if docs.BucketPolicy != nil {
		if err := w.PutBucketPolicy(t.Context(), w.bucket, docs.BucketPolicy.String()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// open returns a function that opens the bucket as a tenant.
func (w *ward) open(t *testing.T, tenant vault.Tenant) func(context.Context) (*vault.Store, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(w.issuer.Mint(testcloud.AgentClaims(string(tenant)))), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := federation.ParseSource("file:"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: w.role, Endpoint: w.URL})
	if err != nil {
		t.Fatal(err)
	}
	who := federation.NewProvider(source, exchange, &federation.Options{Expect: federation.Expectation{Audience: testcloud.Audience, Tenant: string(tenant)}})
	return func(ctx context.Context) (*vault.Store, error) {
		return aws.Open(ctx, aws.Config{Bucket: w.bucket, Endpoint: w.URL, Identity: who})
	}
}

// patient returns options for alice, with bob as the second tenant.
func (w *ward) patient(t *testing.T) *doctor.Options {
	t.Helper()
	p := &doctor.Options{Tenant: alice, OtherTenant: bob, Isolated: true, Quick: true, Reopen: w.open(t, alice)}
	for to, open := range map[**vault.Store]func(context.Context) (*vault.Store, error){&p.Store: p.Reopen, &p.Other: w.open(t, bob)} {
		st, err := open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		*to = st
	}
	return p
}

// empty checks, as the owner, that the bucket is empty.
func (w *ward) empty(t *testing.T) {
	t.Helper()
	out, err := testcloud.S3Client(w.URL, w.Owner).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: sdk.String(w.bucket)})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		t.Errorf("left: %s", *o.Key)
	}
	uploads, err := testcloud.S3Client(w.URL, w.Owner).ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: sdk.String(w.bucket)})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		t.Errorf("an upload is left: %s", *u.Key)
	}
}

// TestRGWIsolated: with the printed policies, a real server denies all requests outside the prefix, and
// missing features are reported.
func TestRGWIsolated(t *testing.T) {
	if testing.Short() {
		t.Skip("it asks one thing after the other")
	}
	w := newWard(t, false)
	p := w.patient(t)
	p.Quick, p.Large = false, 16<<20+1
	lines := examine(t, t.Context(), p)
	check(t, lines, all(doctor.OK, append(crossed, isolated...)...))
	check(t, lines, all(doctor.OK, "bucket", "own-put", "own-get", "own-list", "own-delete", "cleanup",
		"read-after-write", "ranges", "all-or-nothing", "create", "create-after-delete", "create-detects", "all-or-nothing-large"))
	// The bucket was never versioned. This server ignores conditions on the complete of an upload, and
	// conditions with an ETag in quotes.
	check(t, lines, all(doctor.Warning, "history", "create-large", "swap"))
	check(t, lines, all(doctor.NotProven, purged...)) // tenants may not purge their own objects either
	if got := lines["history"].Message; !strings.Contains(got, "has 1 version,") {
		t.Errorf("history: %s", got)
	}
	w.empty(t)

	p.Other, p.Quick = nil, true
	lines = examine(t, t.Context(), p)
	check(t, lines, all(doctor.OK, isolated...))
	check(t, lines, all(doctor.NotProven, "isolation-get"))
	w.empty(t)
}

// TestRGWVersioned: this server ignores create-only in a versioned bucket. That is a failure, but does
// not break isolation.
func TestRGWVersioned(t *testing.T) {
	if testing.Short() {
		t.Skip("it asks one thing after the other")
	}
	w := newWard(t, true)
	lines := examine(t, t.Context(), w.patient(t))
	check(t, lines, all(doctor.OK, append(crossed, isolated...)...))
	check(t, lines, map[string]doctor.Status{"create": doctor.Fail, "history": doctor.OK, "versions": doctor.OK, "cleanup": doctor.Warning})
	w.empty(t)
}

// TestRGWVersionIDs: in a bucket that was never versioned, a real server lets a caller with permissions
// for versions read and remove any object.
func TestRGWVersionIDs(t *testing.T) {
	if testing.Short() {
		t.Skip("it asks one thing after the other")
	}
	w := newWard(t, false, "s3:GetObjectVersion")
	lines := examine(t, t.Context(), w.patient(t))
	check(t, lines, all(doctor.Broken, "isolation-get-version", "isolation-reverse-get-version"))
	check(t, lines, all(doctor.OK, "isolation-get", "isolation-reverse-get", "isolation-intact"))
	w.empty(t)

	w = newWard(t, false, "s3:DeleteObjectVersion")
	lines = examine(t, t.Context(), w.patient(t))
	check(t, lines, all(doctor.Broken, "isolation-remove-version", "isolation-intact"))
	check(t, lines, all(doctor.OK, "isolation-remove", "isolation-get-version"))
	w.empty(t)
}

// TestRGWReadsAll: on a real server, doctor detects GetObject for all tenants with a second tenant or
// with an existing key. Otherwise the result is never ok, even with a correct list permission.
func TestRGWReadsAll(t *testing.T) {
	if testing.Short() {
		t.Skip("it asks one thing after the other")
	}
	w := newWard(t, false, "s3:GetObject")
	p := w.patient(t)
	lines := examine(t, t.Context(), p)
	check(t, lines, all(doctor.Broken, "isolation-get", "isolation-reverse-get"))
	check(t, lines, all(doctor.OK, append(isolated, "isolation-overwrite", "isolation-add", "isolation-remove", "isolation-names", "isolation-intact")...))
	w.empty(t)

	theirs := p.Other
	p.Other = nil
	lines = examine(t, t.Context(), p)
	check(t, lines, all(doctor.OK, isolated...))
	check(t, lines, all(doctor.NotProven, "isolation-get"))

	key := "bots/" + string(bob) + "/credentials/openai.enc"
	if err := theirs.Bucket.WriteAll(t.Context(), key, []byte("sealed"), nil); err != nil {
		t.Fatal(err)
	}
	p.ForeignKey = key
	check(t, examine(t, t.Context(), p), all(doctor.Broken, "isolation-get"))
}
