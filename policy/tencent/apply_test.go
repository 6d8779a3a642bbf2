package tencent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms/tencentkms"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/policy/tencent"
)

// A cloud is a server on which the printed documents were applied unchanged.
type cloud struct {
	s      *costest.Server
	issuer *testcloud.Issuer
	docs   *tencent.Documents
}

func apply(t *testing.T, o tencent.Options, unsure map[string]string) *cloud {
	t.Helper()
	c := &cloud{issuer: testcloud.NewIssuer(&testcloud.IssuerOptions{Algorithm: "RS256"})}
	t.Cleanup(func() { c.issuer.Close() })
	var err error
	if c.s, err = costest.New(&costest.Options{TLS: true, Bucket: o.Bucket, Region: o.Region, OwnerUin: o.Account, Unsure: unsure}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.s.Close() })
	o.Issuer = c.issuer.URL
	c.docs = generate(t, o)
	if err := c.s.Setup(c.docs.JSON(), nil); err != nil {
		t.Fatalf("the server rejects the printed documents: %v", err)
	}
	return c
}

// assume exchanges a token for the temporary key of a tenant's role. code is the code of the error.
func (c *cloud) assume(t *testing.T, tenant, subject string) (id, secret, token, code string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"ProviderId": c.docs.OIDCProvider.Name, "RoleArn": c.docs.Tenants[tenant].RoleARN, "RoleSessionName": "bot",
		"WebIdentityToken": c.issuer.Mint(testcloud.Claims{Subject: subject, Audience: "vault"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "https://sts.tencentcloudapi.com/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Authorization": "SKIP", "X-TC-Action": "AssumeRoleWithWebIdentity",
		"X-TC-Version": "2018-08-13", "X-TC-Region": c.s.Region(), "X-TC-Timestamp": fmt.Sprint(time.Now().Unix()),
	} {
		req.Header.Set(name, value)
	}
	resp, err := c.s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct {
		Response struct {
			Error       struct{ Code string }
			Credentials struct{ Token, TmpSecretId, TmpSecretKey string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	r := out.Response
	return r.Credentials.TmpSecretId, r.Credentials.TmpSecretKey, r.Credentials.Token, r.Error.Code
}

// tenant returns a client with the temporary key of a tenant's role.
func (c *cloud) tenant(t *testing.T, tenant, subject string) *cos.Client {
	t.Helper()
	id, secret, token, code := c.assume(t, tenant, subject)
	if code != "" {
		t.Fatalf("%s cannot assume its role: %s", tenant, code)
	}
	return c.client(t, "https", id, secret, token)
}

func (c *cloud) client(t *testing.T, scheme, id, secret, token string) *cos.Client {
	t.Helper()
	u, err := url.Parse(c.s.BucketURL(c.s.Bucket()))
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme = scheme
	client := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{
		Timeout:   time.Minute,
		Transport: &cos.AuthorizationTransport{SecretID: id, SecretKey: secret, SessionToken: token, Transport: c.s.Client().Transport},
	})
	client.Conf.RetryOpt.Count = 1
	return client
}

// verdict returns "ok", the status and code of an error response, or the error.
func verdict(err error) string {
	var e *cos.ErrorResponse
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return strings.TrimSpace(fmt.Sprint(e.Response.StatusCode, " ", e.Code))
	}
	return err.Error()
}

const denied = "403 AccessDenied"

func headed(name, value string) *cos.ObjectPutOptions {
	return &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: &http.Header{name: {value}}}}
}

// TestApplied: with the unchanged documents, a tenant can use its own objects as a vault does, and
// cannot do anything else.
func TestApplied(t *testing.T) {
	for _, form := range []struct {
		name   string
		o      tencent.Options
		unsure map[string]string
	}{
		{"usual", usual(), nil},
		{"usual, other evaluation of policies", usual(), map[string]string{"negated-list": "any-of", "action-wildcard": "evaluate", "multi-delete-denied": "call"}},
		{"versioned", golden["versioned"], nil},
		{"forced", with(usual(), func(o *tencent.Options) { o.ForbidOverwrite = true }), nil},
	} {
		t.Run(form.name, func(t *testing.T) {
			ctx := t.Context()
			form.o.JWKS = nil // the one of golden is not a valid key set
			c := apply(t, form.o, form.unsure)
			a, b := c.tenant(t, "0xabc", "agentkeys:agent:0xabc"), c.tenant(t, "acme.b_c-d", "repo:acme/agents:ref:refs/heads/main")
			create := headed("X-Cos-Forbid-Overwrite", "true")
			const own, foreign = "bots/0xabc/credentials/x.enc", "bots/acme.b_c-d/credentials/x.enc"

			put := func(c *cos.Client, key string, o *cos.ObjectPutOptions) string {
				_, err := c.Object.Put(ctx, key, strings.NewReader("v"), o)
				return verdict(err)
			}
			get := func(c *cos.Client, key string) string {
				resp, err := c.Object.Get(ctx, key, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				return verdict(err)
			}
			list := func(c *cos.Client, prefix string) string {
				_, _, err := c.Bucket.Get(ctx, &cos.BucketGetOptions{Prefix: prefix, EncodingType: "url"})
				return verdict(err)
			}
			versions := func(c *cos.Client, prefix string) string {
				_, _, err := c.Bucket.GetObjectVersions(ctx, &cos.BucketGetObjectVersionsOptions{Prefix: prefix, EncodingType: "url"})
				return verdict(err)
			}
			remove := func(c *cos.Client, key string, o *cos.ObjectDeleteOptions) string {
				_, err := c.Object.Delete(ctx, key, o)
				return verdict(err)
			}
			type cell struct{ what, got, want string }
			check := func(cells ...cell) {
				t.Helper()
				for _, cell := range cells {
					if cell.got != cell.want {
						t.Errorf("%s: %s, want %s", cell.what, cell.got, cell.want)
					}
				}
			}

			for tenant, subject := range map[string]string{"0xabc": "repo:acme/agents:ref:refs/heads/main", "acme.b_c-d": "agentkeys:agent:0xabc"} {
				_, _, _, code := c.assume(t, tenant, subject)
				check(cell{"role of " + tenant + ", subject of another tenant", code, "UnauthorizedOperation"})
			}
			check(
				cell{"create", put(a, own, create), "ok"},
				cell{"create by the other tenant", put(b, foreign, create), "ok"},
				cell{"get", get(a, own), "ok"},
				cell{"list", list(a, "bots/0xabc/"), "ok"},
				cell{"list of one key", list(a, own), "ok"},
				cell{"get of another tenant's object", get(a, foreign), denied},
				cell{"get of a missing object of another tenant", get(a, foreign+"x"), denied},
				cell{"put into another tenant's prefix", put(a, foreign+"y", create), denied},
				cell{"delete of another tenant's object", remove(a, foreign, nil), denied},
				cell{"put into a longer prefix", put(a, "bots/0xabcd/x", create), denied},
				cell{"put outside bots", put(a, "x", create), denied},
				cell{"list of another tenant", list(a, "bots/acme.b_c-d/"), denied},
				cell{"list of a prefix without a slash at the end", list(a, "bots/0xabc"), denied},
				cell{"list of all tenants", list(a, "bots/"), denied},
				cell{"list of the whole bucket", list(a, ""), denied},
				cell{"versions of another tenant", versions(a, "bots/acme.b_c-d/"), denied},
				cell{"get, unsigned", get(c.client(t, "https", "", "", ""), own), denied},
			)

			// A tenant cannot make its objects public.
			for header, value := range map[string]string{
				"X-Cos-Acl": "public-read", "X-Cos-Grant-Read": `id="100000000002"`, "X-Cos-Grant-Read-Acp": `id="100000000002"`,
				"X-Cos-Grant-Write-Acp": `id="100000000002"`, "X-Cos-Grant-Full-Control": `id="100000000002"`,
			} {
				o := headed(header, value)
				o.XOptionHeader.Set("X-Cos-Forbid-Overwrite", "true")
				check(cell{"put with " + header, put(a, own+".acl", o), denied})
				_, _, err := a.Object.InitiateMultipartUpload(ctx, own+".acl", &cos.InitiateMultipartUploadOptions{ObjectPutHeaderOptions: o.ObjectPutHeaderOptions})
				check(cell{"initiate with " + header, verdict(err), denied})
			}
			_, err := a.Object.PutACL(ctx, own, &cos.ObjectPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}})
			check(cell{"set an ACL of an existing object", verdict(err), denied})
			o := headed("X-Cos-Acl", "private")
			o.XOptionHeader.Set("X-Cos-Forbid-Overwrite", "true")
			check(cell{"put as private", put(a, own+".private", o), "ok"})

			// Plain http is denied.
			id, secret, token, _ := c.assume(t, "0xabc", "agentkeys:agent:0xabc")
			check(
				cell{"get over https", get(c.client(t, "https", id, secret, token), own), "ok"},
				cell{"get over http", get(c.client(t, "http", id, secret, token), own), denied},
				cell{"list over http", list(c.client(t, "http", id, secret, token), "bots/0xabc/"), denied},
			)

			// Multipart, as a vault sends it.
			up, _, err := a.Object.InitiateMultipartUpload(ctx, own+".parts", &cos.InitiateMultipartUploadOptions{ObjectPutHeaderOptions: create.ObjectPutHeaderOptions})
			if check(cell{"initiate", verdict(err), "ok"}); err == nil {
				resp, err := a.Object.UploadPart(ctx, own+".parts", up.UploadID, 1, strings.NewReader("part"), nil)
				check(cell{"upload part", verdict(err), "ok"})
				_, _, err = a.Object.CompleteMultipartUpload(ctx, own+".parts", up.UploadID, &cos.CompleteMultipartUploadOptions{
					Parts: []cos.Object{{PartNumber: 1, ETag: resp.Header.Get("Etag")}}, XOptionHeader: &http.Header{"X-Cos-Forbid-Overwrite": {"true"}},
				})
				check(cell{"complete", verdict(err), "ok"})
			}

			version, _, err := a.Bucket.GetVersioning(ctx)
			check(cell{"get the versioning", verdict(err), "ok"})
			overwrite, deleteVersion, ownVersions, status := "ok", denied, denied, ""
			switch {
			case form.o.Versioned:
				deleteVersion, ownVersions, status = "ok", "ok", "Enabled"
			case form.o.ForbidOverwrite:
				overwrite = denied
			}
			check(
				cell{"versioning", version.Status, status},
				cell{"overwrite", put(a, own, nil), overwrite},
				cell{"versions", versions(a, "bots/0xabc/"), ownVersions},
				cell{"delete of a version", remove(a, own, &cos.ObjectDeleteOptions{VersionId: "null"}), deleteVersion},
				cell{"delete", remove(a, own+".private", nil), "ok"},
			)
			result, _, err := a.Object.DeleteMulti(ctx, &cos.ObjectDeleteMultiOptions{Objects: []cos.Object{{Key: own + ".parts"}}})
			check(cell{"multi-delete", verdict(err), "ok"})
			if err == nil && len(result.Errors) > 0 {
				t.Errorf("multi-delete: %+v", result.Errors)
			}
			if result, _, err = a.Object.DeleteMulti(ctx, &cos.ObjectDeleteMultiOptions{Objects: []cos.Object{{Key: foreign}}}); err == nil && len(result.Errors) != 1 {
				t.Errorf("multi-delete of another tenant's object: %+v", result)
			}
			check(cell{"get of the other tenant's object, afterwards", get(b, foreign), "ok"})

			doctor := denied
			if form.o.AllowDoctor {
				doctor = "ok"
			}
			_, _, err = a.Bucket.GetLifecycle(ctx)
			check(cell{"get the lifecycle configuration", verdict(err), doctor})
			_, err = a.Bucket.PutVersioning(ctx, &cos.BucketPutVersionOptions{Status: "Suspended"})
			check(cell{"suspend versioning", verdict(err), denied})
		})
	}
}

// TestKMSKeyApplied: with the printed policy, a tenant's key source can use its key, and no other.
func TestKMSKeyApplied(t *testing.T) {
	c := apply(t, with(usual(), func(o *tencent.Options) { o.KMSKey = keyID }), nil)
	if err := c.s.AddKMSKey(keyID); err != nil {
		t.Fatal(err)
	}
	id, secret, token, code := c.assume(t, "0xabc", "agentkeys:agent:0xabc")
	if code != "" {
		t.Fatal(code)
	}
	for key, want := range map[string]error{keyID: nil, c.s.NewKMSKey(): envelope.ErrDenied} {
		_, err := tencentkms.Enrol(t.Context(), tencentkms.Config{
			KeyID: key, Region: c.s.Region(), Endpoint: strings.Replace(c.s.URL(), "https:", "http:", 1),
			Credentials: func(context.Context) (string, string, string, error) { return id, secret, token, nil },
		})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
}
