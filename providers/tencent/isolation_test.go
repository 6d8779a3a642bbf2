package tencent_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/federation"
	policy "github.com/objectvault/objectvault/policy/tencent"
)

// A place is a key on which a tenant tries every verb.
type place struct {
	name, key string
	version   string // version of the object
	upload    string // multipart upload that its owner started
	own       bool
}

// A verb is one call. A tenant may make it at its own place, or at no place.
type verb struct {
	name    string
	nowhere bool
	only    string // Enabled: allowed only in a bucket with versioning
	do      func(ctx context.Context, c *cos.Client, p place, bucket string) error
}

func options(name, value string) *cos.ObjectPutHeaderOptions {
	return &cos.ObjectPutHeaderOptions{XOptionHeader: &http.Header{name: {value}}}
}

var verbs = []verb{
	{name: "put", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Put(ctx, p.key, strings.NewReader("theirs"), nil))
	}},
	{name: "create", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Put(ctx, p.key+".new", strings.NewReader("theirs"), &cos.ObjectPutOptions{ObjectPutHeaderOptions: options("X-Cos-Forbid-Overwrite", "true")}))
	}},
	{name: "get", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Get(ctx, p.key, nil))
	}},
	{name: "get a part", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Get(ctx, p.key, &cos.ObjectGetOptions{Range: "bytes=0-0"}))
	}},
	{name: "get a version", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Get(ctx, p.key, nil, p.version))
	}},
	{name: "head", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Head(ctx, p.key, nil))
	}},
	{name: "list", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return third(c.Bucket.Get(ctx, &cos.BucketGetOptions{Prefix: p.key}))
	}},
	{name: "list from a marker", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return third(c.Bucket.Get(ctx, &cos.BucketGetOptions{Marker: p.key}))
	}},
	{name: "list with a delimiter", nowhere: true, do: func(ctx context.Context, c *cos.Client, _ place, _ string) error {
		return third(c.Bucket.Get(ctx, &cos.BucketGetOptions{Prefix: "bots/", Delimiter: "/"}))
	}},
	{name: "list versions", only: "Enabled", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return third(c.Bucket.GetObjectVersions(ctx, &cos.BucketGetObjectVersionsOptions{Prefix: p.key}))
	}},
	{name: "list uploads", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return third(c.Bucket.ListMultipartUploads(ctx, &cos.ListMultipartUploadsOptions{Prefix: p.key}))
	}},
	{name: "delete", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Delete(ctx, p.key+".new"))
	}},
	{name: "delete a version", only: "Enabled", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Delete(ctx, p.key+".new", &cos.ObjectDeleteOptions{VersionId: p.version}))
	}},
	{name: "delete many", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		done, _, err := c.Object.DeleteMulti(ctx, &cos.ObjectDeleteMultiOptions{Objects: []cos.Object{{Key: p.key + ".new"}}})
		if err == nil && len(done.Errors) > 0 {
			return &cos.ErrorResponse{Code: done.Errors[0].Code}
		}
		return err
	}},
	{name: "initiate", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		up, _, err := c.Object.InitiateMultipartUpload(ctx, p.key, nil)
		if err != nil {
			return err
		}
		return failed(c.Object.AbortMultipartUpload(ctx, p.key, up.UploadID))
	}},
	{name: "upload a part", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.UploadPart(ctx, p.key, p.upload, 1, strings.NewReader("part"), nil))
	}},
	{name: "list parts", do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return third(c.Object.ListParts(ctx, p.key, p.upload, nil))
	}},
	{name: "complete", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		if p.own {
			return denial
		}
		return third(c.Object.CompleteMultipartUpload(ctx, p.key, p.upload, &cos.CompleteMultipartUploadOptions{Parts: []cos.Object{{PartNumber: 1, ETag: "x"}}}))
	}},
	{name: "abort", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		if p.own {
			return denial
		}
		return failed(c.Object.AbortMultipartUpload(ctx, p.key, p.upload))
	}},
	{name: "copy from", do: func(ctx context.Context, c *cos.Client, p place, bucket string) error {
		return third(c.Object.Copy(ctx, "bots/acme/credentials/copy.enc", bucket+"/"+p.key, nil))
	}},
	{name: "copy a part from", do: func(ctx context.Context, c *cos.Client, p place, bucket string) error {
		const to = "bots/acme/credentials/copy.enc"
		up, _, err := c.Object.InitiateMultipartUpload(ctx, to, nil)
		if err != nil {
			return err
		}
		defer c.Object.AbortMultipartUpload(ctx, to, up.UploadID)
		return third(c.Object.CopyPart(ctx, to, up.UploadID, 1, bucket+"/"+p.key, nil))
	}},
	{name: "copy to", do: func(ctx context.Context, c *cos.Client, p place, bucket string) error {
		return third(c.Object.Copy(ctx, p.key+".copy", bucket+"/bots/acme/credentials/seed.enc", nil))
	}},
	{name: "put with a public ACL", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.Put(ctx, p.key, strings.NewReader("x"), &cos.ObjectPutOptions{ACLHeaderOptions: &cos.ACLHeaderOptions{XCosACL: "public-read"}}))
	}},
	{name: "set a public object ACL", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.PutACL(ctx, p.key, &cos.ObjectPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}}))
	}},
	{name: "set tags", nowhere: true, do: func(ctx context.Context, c *cos.Client, p place, _ string) error {
		return failed(c.Object.PutTagging(ctx, p.key, &cos.ObjectPutTaggingOptions{TagSet: []cos.ObjectTaggingTag{{Key: "k", Value: "v"}}}))
	}},
	{name: "set a public bucket ACL", nowhere: true, do: func(ctx context.Context, c *cos.Client, _ place, _ string) error {
		return failed(c.Bucket.PutACL(ctx, &cos.BucketPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}}))
	}},
	{name: "suspend versioning", nowhere: true, do: func(ctx context.Context, c *cos.Client, _ place, _ string) error {
		return failed(c.Bucket.PutVersioning(ctx, &cos.BucketPutVersionOptions{Status: "Suspended"}))
	}},
}

func failed(resp *cos.Response, err error) error {
	if err == nil {
		resp.Body.Close()
	}
	return err
}

func third[T any](_ T, _ *cos.Response, err error) error { return err }

var denial = &cos.ErrorResponse{Code: "AccessDenied"}

// TestIsolation tries every verb at every place as one tenant, with the role from the printed
// documents. Calls on the tenant's own objects succeed, the service denies all others, and the
// objects of other tenants do not change.
func TestIsolation(t *testing.T) {
	for _, versioning := range []string{"", "Enabled"} {
		t.Run(fmt.Sprintf("%q", versioning), func(t *testing.T) {
			w := newTenantServer(t, versioning, "acme", "acmes", "globex")
			all, mine := ownerClient(t, w.Server), w.client("acme", w.URL())
			places := w.places(t, all)
			before := w.others(t, all)
			for _, v := range verbs {
				for _, p := range places {
					err := v.do(t.Context(), mine, p, w.host())
					allowed := p.own && !v.nowhere && (v.only == "" || v.only == versioning)
					switch code := codeOf(err); {
					case allowed && err != nil:
						t.Errorf("%s at %s: %v", v.name, p.name, err)
					case !allowed && code != "AccessDenied" && !(v.name == "head" && code == ""):
						t.Errorf("%s at %s: %q, %v; want AccessDenied", v.name, p.name, code, err)
					}
				}
			}
			if diff := cmp.Diff(before, w.others(t, all)); diff != "" {
				t.Errorf("the objects of other tenants (-before +after):\n%s", diff)
			}
			for _, p := range places {
				if _, err := all.Object.AbortMultipartUpload(t.Context(), p.key, p.upload); err != nil {
					t.Errorf("the upload to %s: %v", p.name, err)
				}
			}

			// A token is not accepted for the role of another tenant, and plain http is refused.
			if c, err := w.exchanger("globex").Exchange(t.Context(), w.token("acme")); err == nil {
				t.Errorf("acme received credentials of the role of globex, with the key %s", c.AccessKeyID)
			}
			plain := w.client("acme", strings.Replace(w.URL(), "https:", "http:", 1))
			for _, v := range verbs[:9] {
				err := v.do(t.Context(), plain, places[0], w.host())
				if e, ok := cos.IsCOSError(err); !ok || e.Response.StatusCode != http.StatusForbidden {
					t.Errorf("%s over plain http: %v, want a denial", v.name, err)
				}
			}
		})
	}
}

// TestSharedRole: a single role whose trust policy contains no subject does not isolate tenants,
// and the printed documents warn about this.
func TestSharedRole(t *testing.T) {
	w := newTenantServerWith(t, "", func(d *policy.Documents) {
		shared := d.Tenants["acme"]
		delete(shared.TrustPolicy.Statement[0].Condition["string_equal"], "oidc:sub")
		for i := range shared.RolePolicy.Statement {
			s := &shared.RolePolicy.Statement[i]
			for j := range s.Resource {
				s.Resource[j] = strings.Replace(s.Resource[j], "bots/acme/", "bots/", 1)
			}
			for _, keys := range s.Condition {
				for j, prefix := range keys["cos:prefix"] {
					keys["cos:prefix"][j] = strings.Replace(prefix, "acme%2F", "", 1)
				}
			}
		}
		d.Tenants = map[string]policy.TenantDocuments{"acme": shared}
	}, "acme")
	v := newVault(t, open(t, w.config("acme")), "acme")
	if _, err := v.Put(t.Context(), "openai", strings.NewReader("sk"), nil); err != nil {
		t.Fatal(err)
	}
	c := w.config("acme")
	c.Identity = federation.NewProvider(source{w, "globex"}, w.exchanger("acme"), nil)
	if _, err := newVault(t, open(t, c), "acme").Stat(t.Context(), "openai"); err != nil {
		t.Errorf("globex, with the shared role, cannot read acme's object: %v", err)
	}

	docs, err := policy.Parse("printed.json", w.docs.JSON())
	if err != nil {
		t.Fatal(err)
	}
	var holes []string
	for _, f := range policy.Check(docs, policy.CheckOptions{}) {
		holes = append(holes, f.Weakness)
	}
	for _, want := range []string{policy.NoSubject, policy.BroadAllow, policy.ListPrefixWide} {
		if !slices.Contains(holes, want) {
			t.Errorf("the reported weaknesses are %q, want %s", holes, want)
		}
	}
}

// host returns the host of the bucket in the source of a copy.
func (w *tenantServer) host() string { return w.Bucket() + ".cos." + w.Region() + ".myqcloud.com" }

// client returns a client of the SDK with a tenant's temporary key.
func (w *tenantServer) client(tenant, endpoint string) *cos.Client {
	w.t.Helper()
	c, err := cosblob.NewClient(w.Bucket(), w.Region(), temporary(w.exchanged(tenant)), &cosblob.ClientOptions{Endpoint: endpoint})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// places creates an object and a multipart upload at every place.
func (w *tenantServer) places(t *testing.T, all *cos.Client) []place {
	t.Helper()
	places := []place{
		{name: "own object", key: "bots/acme/credentials/seed.enc", own: true},
		{name: "own object in another collection", key: "bots/acme/files/seed.enc", own: true},
		{name: "object of another tenant", key: "bots/globex/credentials/seed.enc"},
		{name: "object of a tenant with a longer id", key: "bots/acmes/credentials/seed.enc"},
		{name: "object next to the tenants", key: "bots/seed"},
		{name: "object with the key of the tenant's directory", key: "bots/acme"},
		{name: "object at the root", key: "seed"},
		{name: "object in another directory", key: "other/acme/seed"},
		{name: "encoded slash", key: "bots/acme%2Fseed"},
		{name: "upper case", key: "bots/ACME/seed"},
		{name: "two slashes", key: "bots//acme/seed"},
	}
	for i := range places {
		p := &places[i]
		resp, err := all.Object.Put(t.Context(), p.key, strings.NewReader("ours"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if p.version = resp.Header.Get("X-Cos-Version-Id"); p.version == "" {
			p.version = "null"
		}
		up, _, err := all.Object.InitiateMultipartUpload(t.Context(), p.key, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.upload = up.UploadID
	}
	return places
}

// others returns the objects that do not belong to acme.
func (w *tenantServer) others(t *testing.T, all *cos.Client) (state []string) {
	t.Helper()
	out, _, err := all.Bucket.GetObjectVersions(t.Context(), &cos.BucketGetObjectVersionsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range out.Version {
		if !strings.HasPrefix(v.Key, "bots/acme/") {
			state = append(state, fmt.Sprint(v.Key, " ", v.VersionId, " ", v.ETag))
		}
	}
	for _, m := range out.DeleteMarker {
		if !strings.HasPrefix(m.Key, "bots/acme/") {
			state = append(state, fmt.Sprint(m.Key, " deleted ", m.VersionId))
		}
	}
	if len(state) < 9 {
		t.Fatalf("other tenants have %d objects", len(state))
	}
	slices.Sort(state)
	return state
}

func codeOf(err error) string {
	if e, ok := cos.IsCOSError(err); ok {
		return e.Code
	}
	return ""
}
