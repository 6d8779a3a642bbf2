package aws_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
)

// TestInspect reads the settings of a bucket as its owner, before and after it was set
// up, and as somebody who may not.
func TestInspect(t *testing.T) {
	t.Parallel()
	rgw := testcloud.RequireRGW(t)
	bucket := testcloud.NewBucket(t, rgw.URL, rgw.Owner, false)
	client := testcloud.S3Client(rgw.URL, rgw.Owner)
	inspect := func(k testcloud.Keys) string {
		t.Helper()
		settings, err := aws.Inspect(t.Context(), aws.Config{Bucket: bucket, Endpoint: rgw.URL, Static: static(k)})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range settings {
			state := "hidden"
			switch {
			case s.Known && s.Good:
				state = "good"
			case s.Known:
				state = "bad"
			}
			all = append(all, s.Name+" "+state)
			if s.Message == "" || state != "good" && s.Hint == "" {
				t.Errorf("%+v does not say what to do", s)
			}
		}
		return strings.Join(all, ", ")
	}
	if diff := cmp.Diff("versioning bad, lifecycle bad, tls bad", inspect(rgw.Owner)); diff != "" {
		t.Errorf("a new bucket (-want +got):\n%s", diff)
	}
	ctx := t.Context()
	_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	abort := func(prefix string) {
		t.Helper()
		days := int32(1)
		_, err = client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &bucket,
			LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
				Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix},
				AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: &days},
			}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	abort("bots/acme/")
	if diff := cmp.Diff("versioning good, lifecycle bad, tls bad", inspect(rgw.Owner)); diff != "" {
		t.Errorf("a rule for one tenant (-want +got):\n%s", diff)
	}
	abort("bots/")
	if diff := cmp.Diff("versioning good, lifecycle good, tls bad", inspect(rgw.Owner)); diff != "" {
		t.Errorf("a bucket that is set up, over plain http (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("versioning hidden, lifecycle hidden, tls bad", inspect(rgw.Other)); diff != "" {
		t.Errorf("somebody else's bucket (-want +got):\n%s", diff)
	}
}

// TestServerTime: a refusal tells the time as well.
func TestServerTime(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	for who, k := range map[string]testcloud.Keys{"owner": server.Root, "nobody": {AccessKeyID: "nobody", SecretKey: "nothing"}} {
		got, err := aws.ServerTime(t.Context(), aws.Config{Bucket: bucket, Endpoint: server.URL, Static: static(k)})
		if off := time.Since(got).Abs(); err != nil || off > time.Minute {
			t.Errorf("%s is told %v, %v", who, got, err)
		}
	}
	if _, err := aws.ServerTime(t.Context(), aws.Config{Bucket: bucket, Endpoint: nobody(t), Static: static(server.Root)}); err == nil {
		t.Error("nobody has told the time")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []aws.Config{{Bucket: bucket, Endpoint: server.URL}, {Bucket: "bucket", Region: "eu_central"}} {
		c.Static = static(server.Root)
		if _, err := aws.ServerTime(ended, c); err == nil || strings.Contains(fmt.Sprint(err), "PANIC") {
			t.Errorf("%+v: %v", c.Bucket, err)
		}
	}
}

// TestWhoAmI asks the STS of AWS, which here is a server that has been told what to say.
func TestWhoAmI(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/operator</Arn>` +
			`<UserId>AID</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`))
	}))
	defer server.Close()
	k := testcloud.Keys{AccessKeyID: "AKIDEXAMPLE", SecretKey: "secret"}
	got, err := aws.WhoAmI(t.Context(), aws.Config{Bucket: "bucket", Region: "eu-central-1", Static: static(k)}, server.URL)
	if err != nil || got.Account != "123456789012" || got.KeyID != "AKIDEXAMPLE" || !arn.IsARN(got.ARN) {
		t.Errorf("%+v, %v", got, err)
	}
	// A server that is not AWS is not asked.
	got, err = aws.WhoAmI(t.Context(), aws.Config{Bucket: "bucket", Endpoint: nobody(t), Static: static(k)}, "")
	if err != nil || got.KeyID != "AKIDEXAMPLE" || got.ARN != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestInspectTLS reads bucket policies over TLS, as a server that is not AWS has them.
func TestInspectTLS(t *testing.T) {
	const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{%q:{"aws:SecureTransport":"false"}}}]}`
	for operator, want := range map[string]bool{"BoolIfExists": true, "Bool": false, "": false} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("policy") && operator != "" {
				fmt.Fprintf(w, deny, operator)
			}
		}))
		t.Setenv("AWS_CA_BUNDLE", caFile(t, server))
		settings, err := aws.Inspect(t.Context(), aws.Config{Bucket: "bucket", Endpoint: server.URL, Static: static(testcloud.Keys{AccessKeyID: "AKIDEXAMPLE", SecretKey: "secret"})})
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range settings {
			if s.Name == "tls" && (s.Known != (operator != "") || s.Good != want) {
				t.Errorf("a denial with %s: %+v, want good %v", operator, s, want)
			}
		}
	}
}

// caFile holds the certificate of a server.
func caFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
