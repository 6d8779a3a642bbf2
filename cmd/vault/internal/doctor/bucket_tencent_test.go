package doctor_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/providers/tencent"
)

// ownersClient returns a client with the owner's keys, which sets up a bucket.
func ownersClient(t *testing.T, s *costest.Server) *cos.BucketService {
	t.Helper()
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), cosblob.Static(s.SecretID(), s.SecretKey(), ""), &cosblob.ClientOptions{Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return client.Bucket
}

// newCOS starts a separate COS server for the test.
func newCOS(t *testing.T, o *costest.Options) *costest.Server {
	t.Helper()
	s, err := costest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// judged returns the results for the bucket by check, as status and message.
func judged(t *testing.T, s *costest.Server) map[string]string {
	t.Helper()
	store, err := tencent.Open(t.Context(), tencent.Config{
		Bucket: s.Bucket(), Region: s.Region(), Endpoint: s.URL(), Static: cosblob.Static(s.SecretID(), s.SecretKey(), ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	hint := func(err error, _ string) string { return "hint about " + err.Error() }
	got := make(map[string]string)
	for _, l := range doctor.Bucket(t.Context(), store.Name, store.Cloud, hint) {
		if (l.Status != doctor.OK) != (l.Hint != "") {
			t.Errorf("%s is %s, with the hint %q", l.Check, l.Status, l.Hint)
		}
		got[l.Check] = string(l.Status) + ": " + l.Message
	}
	return got
}

// want compares the statuses, and a part of each message.
func want(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		state, part, _ := strings.Cut(text, ": ")
		if !strings.HasPrefix(got[name], state+": ") || !strings.Contains(got[name], part) {
			t.Errorf("%s is %q, want %s: …%s…", name, got[name], state, part)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("unexpected: %v", got)
	}
}

func TestTencentBucket(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		s := newCOS(t, nil)
		want(t, judged(t, s), map[string]string{
			"versioning": "ok: put --create detects most conflicts", "lifecycle": "warning: no lifecycle rule", "public": "ok: neither",
			"tls": "warning: plain http", "strict-signature": "warning: disabled", "audit": "warning: does not record",
		})
	})
	for _, missing := range []string{"404", "empty"} {
		t.Run("set up, policy "+missing, func(t *testing.T) {
			s := newCOS(t, &costest.Options{Versioning: "Enabled", Unsure: map[string]string{"policy-missing": missing}})
			ctx, b := t.Context(), ownersClient(t, s)
			if _, err := b.PutLifecycle(ctx, &cos.BucketPutLifecycleOptions{Rules: []cos.BucketLifecycleRule{
				{ID: "abort", Status: "Enabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/"}, AbortIncompleteMultipartUpload: &cos.BucketLifecycleAbortIncompleteMultipartUpload{DaysAfterInitiation: 1}},
				{ID: "expire", Status: "Enabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/"}, Expiration: &cos.BucketLifecycleExpiration{Days: 30}},
			}}); err != nil {
				t.Fatal(err)
			}
			want(t, judged(t, s), map[string]string{
				"versioning": "ok: put --create detects a conflict only after the write", "lifecycle": "ok: objects expire after 30 days", "public": "ok: neither",
				"tls": "warning: plain http", "strict-signature": "warning: disabled", "audit": "warning: does not record",
			})
		})
	}
	t.Run("open", func(t *testing.T) {
		s := newCOS(t, &costest.Options{Versioning: "Suspended"})
		ctx, b := t.Context(), ownersClient(t, s)
		if _, err := b.PutACL(ctx, &cos.BucketPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.PutLifecycle(ctx, &cos.BucketPutLifecycleOptions{Rules: []cos.BucketLifecycleRule{
			{ID: "abort", Status: "Enabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/0xabc/"}, AbortIncompleteMultipartUpload: &cos.BucketLifecycleAbortIncompleteMultipartUpload{DaysAfterInitiation: 1}},
			{ID: "off", Status: "Disabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/"}, AbortIncompleteMultipartUpload: &cos.BucketLifecycleAbortIncompleteMultipartUpload{DaysAfterInitiation: 1}},
		}}); err != nil {
			t.Fatal(err)
		}
		want(t, judged(t, s), map[string]string{
			"versioning": "warning: suspended", "lifecycle": "warning: no lifecycle rule", "public": "warning: the ACL of the bucket grants READ to everyone",
			"tls": "warning: plain http", "strict-signature": "warning: disabled", "audit": "warning: does not record",
		})
	})
	t.Run("open by its policy", func(t *testing.T) {
		s := newCOS(t, nil)
		b := ownersClient(t, s)
		if _, err := b.PutPolicy(t.Context(), &cos.BucketPutPolicyOptions{Version: "2.0", Statement: []cos.BucketStatement{{
			Effect: "allow", Principal: map[string][]string{"qcs": {"qcs::cam::anyone:anyone"}}, Action: []string{"name/cos:GetObject"},
			Resource: []string{"qcs::cos:" + s.Region() + ":uid/1250000000:" + s.Bucket() + "/bots/*"},
		}}}); err != nil {
			t.Fatal(err)
		}
		if got := judged(t, s)["public"]; !strings.HasPrefix(got, "warning: public: the bucket policy has a weakness: an Allow for anyone") {
			t.Errorf("public is %q", got)
		}
	})
	t.Run("denied", func(t *testing.T) {
		s := newCOS(t, nil)
		s.SetRule(func(*costest.Request) *costest.Fault {
			return costest.RespondBefore(http.StatusForbidden, costest.ErrorXML("AccessDenied", ""))
		})
		want(t, judged(t, s), map[string]string{
			"versioning": "not proven: has no permission to read the setting", "lifecycle": "not proven: has no permission to read the setting", "public": "not proven: has no permission to read the setting",
			"tls": "warning: plain http", "strict-signature": "not proven: has no permission to read the setting", "audit": "not proven: has no permission to read the setting",
		})
	})
	t.Run("recorded", func(t *testing.T) {
		s := newCOS(t, nil)
		ctx, b := t.Context(), ownersClient(t, s)
		if _, err := b.PutLogging(ctx, &cos.BucketPutLoggingOptions{LoggingEnabled: &cos.BucketLoggingEnabled{TargetBucket: s.Bucket(), TargetPrefix: "log/"}}); err != nil {
			t.Fatal(err)
		}
		// The endpoint is of one bucket, so that the log bucket cannot be listed.
		if got := judged(t, s)["audit"]; !strings.HasPrefix(got, "not proven: requests are recorded in the bucket "+s.Bucket()+`, below "log/"; the age`) {
			t.Errorf("audit is %q", got)
		}
	})
	t.Run("policy hidden", func(t *testing.T) { // the hidden policy could make the bucket public
		s := newCOS(t, nil)
		s.SetRule(func(r *costest.Request) *costest.Fault {
			if r.Action == "GetBucketPolicy" {
				return costest.RespondBefore(http.StatusForbidden, costest.ErrorXML("AccessDenied", ""))
			}
			return nil
		})
		if got := judged(t, s)["public"]; !strings.HasPrefix(got, "not proven: ") {
			t.Errorf("public is %q", got)
		}
	})
	t.Run("away", func(t *testing.T) {
		s := newCOS(t, nil)
		s.SetRule(func(*costest.Request) *costest.Fault {
			return costest.RespondBefore(http.StatusForbidden, costest.ErrorXML("InvalidAccessKeyId", ""))
		})
		for name, is := range judged(t, s) {
			if name != "tls" && !strings.HasPrefix(is, "not proven: "+name+": COS GET: 403 InvalidAccessKeyId") {
				t.Errorf("%s is %q", name, is)
			}
		}
	})
}

// TestStrictSignature checks the statement that policy tencent prints, and weaker ones.
func TestStrictSignature(t *testing.T) {
	const whole = `<StrictSignatureConfiguration><Rule><ID>a</ID><actionlist><action>*</action></actionlist>` +
		`<headerlist><header>Host</header></headerlist><paramlist><param>all</param></paramlist></Rule></StrictSignatureConfiguration>`
	for doc, good := range map[string]bool{
		whole: true,
		strings.Replace(whole, "<action>*<", "<action>GetObject<", 1):      false,
		strings.Replace(whole, "<header>Host<", "<header>Content-MD5<", 1): false,
		strings.Replace(whole, "<param>all<", "<param>versionId<", 1):      false,
		strings.Replace(whole, "<header>Host<", "<header>host<", 1):        true,
	} {
		s := newCOS(t, nil)
		s.SetRule(func(r *costest.Request) *costest.Fault {
			if r.Query == "strict-signature" || r.Query == "strict-signature=" {
				return costest.RespondBefore(200, doc)
			}
			return nil
		})
		if got := judged(t, s)["strict-signature"]; strings.HasPrefix(got, "ok: ") != good {
			t.Errorf("%s\nis %q, want good %v", doc, got, good)
		}
	}
}
