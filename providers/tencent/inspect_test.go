package tencent_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/providers/tencent"
)

// ownersClient sets up a bucket.
func ownersClient(t *testing.T, s *costest.Server) *cos.BucketService {
	t.Helper()
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), owner(s), &cosblob.ClientOptions{Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return client.Bucket
}

// settings are what Inspect says, by name: ok, bad or hidden, and the message.
func inspected(t *testing.T, c tencent.Config) map[string]string {
	t.Helper()
	settings, err := tencent.Inspect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, s := range settings {
		state := "bad"
		switch {
		case !s.Known && s.Good:
			t.Errorf("%s is good, and not known", s.Name)
		case !s.Known:
			state = "hidden"
		case s.Good:
			state = "ok"
		}
		if (state != "ok") != (s.Hint != "" || s.Err != nil) {
			t.Errorf("%s is %s, with the hint %q", s.Name, state, s.Hint)
		}
		got[s.Name] = state + ": " + s.Message
	}
	return got
}

// want compares the states, and a part of the message.
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
		t.Errorf("and nobody asked for %v", got)
	}
}

func TestInspect(t *testing.T) {
	t.Run("bare", func(t *testing.T) {
		s := newServer(t, nil)
		want(t, inspected(t, config(s, owner(s))), map[string]string{
			"versioning": "ok: create-atomic", "lifecycle": "bad: no lifecycle rule", "public": "ok: neither",
			"tls": "bad: plain http", "strict-signature": "bad: off",
		})
	})
	for _, missing := range []string{"404", "empty"} {
		t.Run("set up, policy "+missing, func(t *testing.T) {
			s := newServer(t, &costest.Options{Versioning: "Enabled", Unsure: map[string]string{"policy-missing": missing}})
			ctx, b := t.Context(), ownersClient(t, s)
			if _, err := b.PutLifecycle(ctx, &cos.BucketPutLifecycleOptions{Rules: []cos.BucketLifecycleRule{
				{ID: "abort", Status: "Enabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/"}, AbortIncompleteMultipartUpload: &cos.BucketLifecycleAbortIncompleteMultipartUpload{DaysAfterInitiation: 1}},
				{ID: "expire", Status: "Enabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/"}, Expiration: &cos.BucketLifecycleExpiration{Days: 30}},
			}}); err != nil {
				t.Fatal(err)
			}
			want(t, inspected(t, config(s, owner(s))), map[string]string{
				"versioning": "ok: create-detects", "lifecycle": "ok: objects expire after 30 days", "public": "ok: neither",
				"tls": "bad: plain http", "strict-signature": "bad: off",
			})
		})
	}
	t.Run("open", func(t *testing.T) {
		s := newServer(t, &costest.Options{Versioning: "Suspended"})
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
		want(t, inspected(t, config(s, owner(s))), map[string]string{
			"versioning": "bad: suspended", "lifecycle": "bad: no lifecycle rule", "public": "bad: the ACL of the bucket grants READ to everybody",
			"tls": "bad: plain http", "strict-signature": "bad: off",
		})
	})
	t.Run("open by its policy", func(t *testing.T) {
		s := newServer(t, nil)
		b := ownersClient(t, s)
		if _, err := b.PutPolicy(t.Context(), &cos.BucketPutPolicyOptions{Version: "2.0", Statement: []cos.BucketStatement{{
			Effect: "allow", Principal: map[string][]string{"qcs": {"qcs::cam::anyone:anyone"}}, Action: []string{"name/cos:GetObject"},
			Resource: []string{"qcs::cos:" + s.Region() + ":uid/1250000000:" + s.Bucket() + "/bots/*"},
		}}}); err != nil {
			t.Fatal(err)
		}
		if got := inspected(t, config(s, owner(s)))["public"]; !strings.HasPrefix(got, "bad: public: the bucket policy has an allow for anyone") {
			t.Errorf("public is %q", got)
		}
	})
	t.Run("hidden", func(t *testing.T) {
		s := newServer(t, nil)
		nothing := temporary(exchanged(t, s, newIssuer(t, s), "nothing", ""))
		want(t, inspected(t, config(s, nothing)), map[string]string{
			"versioning": "hidden: may not read it", "lifecycle": "hidden: may not read it", "public": "hidden: may not read it",
			"tls": "bad: plain http", "strict-signature": "hidden: may not read it",
		})
	})
	t.Run("policy hidden", func(t *testing.T) { // which alone may open the bucket
		s := newServer(t, nil)
		s.SetRule(func(r *costest.Request) *costest.Fault {
			if r.Action == "GetBucketPolicy" {
				return costest.RespondBefore(http.StatusForbidden, costest.ErrorXML("AccessDenied", ""))
			}
			return nil
		})
		if got := inspected(t, config(s, owner(s)))["public"]; !strings.HasPrefix(got, "hidden: ") {
			t.Errorf("public is %q", got)
		}
	})
	t.Run("away", func(t *testing.T) {
		s := newServer(t, nil)
		s.SetRule(func(*costest.Request) *costest.Fault {
			return costest.RespondBefore(http.StatusForbidden, costest.ErrorXML("InvalidAccessKeyId", ""))
		})
		for name, is := range inspected(t, config(s, owner(s))) {
			if name != "tls" && !strings.HasPrefix(is, "hidden: "+name+": COS GET: 403 InvalidAccessKeyId") {
				t.Errorf("%s is %q", name, is)
			}
		}
	})
}

// TestInspectRequests says what is asked, once each.
func TestInspectRequests(t *testing.T) {
	s := newServer(t, nil)
	inspected(t, config(s, owner(s)))
	var asked []string
	for _, r := range s.Requests() {
		asked = append(asked, r.Action)
	}
	if diff := cmp.Diff([]string{"GetBucketPolicy", "GetBucketVersioning", "GetBucketLifecycle", "GetBucketACL", "GetBucketStrictSignature"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestInspectStrictSignature reads what is put by what policy tencent prints, and what does less.
func TestInspectStrictSignature(t *testing.T) {
	const whole = `<StrictSignatureConfiguration><Rule><ID>a</ID><actionlist><action>*</action></actionlist>` +
		`<headerlist><header>Host</header></headerlist><paramlist><param>all</param></paramlist></Rule></StrictSignatureConfiguration>`
	for doc, good := range map[string]bool{
		whole: true,
		strings.Replace(whole, "<action>*<", "<action>GetObject<", 1):      false,
		strings.Replace(whole, "<header>Host<", "<header>Content-MD5<", 1): false,
		strings.Replace(whole, "<param>all<", "<param>versionId<", 1):      false,
		strings.Replace(whole, "<header>Host<", "<header>host<", 1):        true,
	} {
		s := newServer(t, nil)
		s.SetRule(func(r *costest.Request) *costest.Fault {
			if r.Query == "strict-signature" || r.Query == "strict-signature=" {
				return costest.RespondBefore(200, doc)
			}
			return nil
		})
		if got := inspected(t, config(s, owner(s)))["strict-signature"]; strings.HasPrefix(got, "ok: ") != good {
			t.Errorf("%s\nis %q, want good %v", doc, got, good)
		}
	}
}
