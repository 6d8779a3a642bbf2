package aws_test

import (
	"context"
	"encoding/pem"
	"errors"
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
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// cloudOf returns the Cloud of a store.
func cloudOf(t *testing.T, c aws.Config) vault.Cloud {
	t.Helper()
	store, err := aws.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store.Cloud
}

// TestSettings: each setting is the value of the service, an empty string if the service has none, or
// an error.
func TestSettings(t *testing.T) {
	const versioning = `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`
	const policy = `{"Version":"2012-10-17","Statement":[]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Has("versioning"):
			fmt.Fprint(w, versioning)
		case q.Has("policy"):
			fmt.Fprint(w, policy)
		case q.Has("logging"):
			fmt.Fprint(w, "<BucketLoggingStatus/>")
		case q.Has("lifecycle") && strings.Contains(r.URL.Path, "none"):
			refuse(w, 404, "NoSuchLifecycleConfiguration")
		default:
			refuse(w, 403, "AccessDenied")
		}
	}))
	defer server.Close()
	for bucket, denied := range map[string]bool{"none": false, "denied": true} {
		got := cloudOf(t, aws.Config{Bucket: bucket, Endpoint: server.URL, Static: static(testcloud.Keys{AccessKeyID: "AKIDEXAMPLE", SecretKey: "secret"})}).Settings(t.Context())
		for i, s := range got {
			if lifecycle := s.Name == "lifecycle"; (s.Err != nil) != (lifecycle && denied) || s.Err != nil && !errors.Is(s.Err, vault.ErrPermission) {
				t.Errorf("%s of %s: %v", s.Name, bucket, s.Err)
			}
			got[i].Err = nil
		}
		want := []vault.Setting{{Name: "endpoint", Document: server.URL}, {Name: "versioning", Document: versioning}, {Name: "lifecycle"}, {Name: "policy", Document: policy}, {Name: "logging", Document: "<BucketLoggingStatus/>"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("settings of %s (-want +got):\n%s", bucket, diff)
		}
	}
}

// TestServerTime: the response to a refused request also contains the time.
func TestServerTime(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	for who, k := range map[string]testcloud.Keys{"owner": server.Root, "unknown": {AccessKeyID: "unknown", SecretKey: "nothing"}} {
		got, err := cloudOf(t, aws.Config{Bucket: bucket, Endpoint: server.URL, Static: static(k)}).ServerTime(t.Context())
		if off := time.Since(got).Abs(); err != nil || off > time.Minute {
			t.Errorf("ServerTime as %s: %v, %v", who, got, err)
		}
	}
	if _, err := cloudOf(t, aws.Config{Bucket: bucket, Endpoint: testcloud.NoServer(t), Static: static(server.Root)}).ServerTime(t.Context()); err == nil {
		t.Error("ServerTime returned no error, although no server listens")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []aws.Config{{Bucket: bucket, Endpoint: server.URL}, {Bucket: "bucket", Region: "eu_central"}} {
		c.Static = static(server.Root)
		if _, err := cloudOf(t, c).ServerTime(ended); err == nil || strings.Contains(fmt.Sprint(err), "PANIC") {
			t.Errorf("%+v: %v", c.Bucket, err)
		}
	}
}

// TestCaller sends the request for the STS of AWS to a server with a fixed response.
func TestCaller(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/operator</Arn>` +
			`<UserId>AID</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`))
	}))
	defer server.Close()
	k := testcloud.Keys{AccessKeyID: "AKIDEXAMPLE", SecretKey: "secret"}
	got, err := cloudOf(t, aws.Config{Bucket: "bucket", Region: "eu-central-1", STSEndpoint: server.URL, Static: static(k)}).Caller(t.Context())
	if err != nil || got.Account != "123456789012" || got.KeyID != "AKIDEXAMPLE" || !arn.IsARN(got.ARN) {
		t.Errorf("%+v, %v", got, err)
	}
	// An STS that is configured for an S3 server is also used for credentials of a role.
	role := credentials.NewStaticCredentialsProvider("ASIAEXAMPLE", "secret", "token")
	got, err = cloudOf(t, aws.Config{Bucket: "bucket", Endpoint: testcloud.NoServer(t), STSEndpoint: server.URL, Static: role}).Caller(t.Context())
	if err != nil || got.Account != "123456789012" || !got.Session {
		t.Errorf("%+v, %v", got, err)
	}
	// A server that is not AWS is not used.
	got, err = cloudOf(t, aws.Config{Bucket: "bucket", Endpoint: testcloud.NoServer(t), Static: static(k)}).Caller(t.Context())
	if err != nil || got.KeyID != "AKIDEXAMPLE" || got.ARN != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOwnsBucket: the root user and the users of the bucket's account own the bucket. Roles and
// other accounts do not.
func TestOwnsBucket(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "ID")
		if r.Header.Get("X-Amz-Expected-Bucket-Owner") != "111122223333" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	cloud := cloudOf(t, aws.Config{Bucket: "bucket", Endpoint: server.URL, Static: static(testcloud.Keys{AccessKeyID: "AKIDEXAMPLE", SecretKey: "secret"})}).(vault.BucketOwner)
	for _, tc := range []struct {
		arn, account string
		want         bool
	}{
		{"arn:aws:iam::111122223333:root", "111122223333", true},
		{"arn:aws:iam::111122223333:user/me", "111122223333", true},
		{"arn:aws-cn:iam::111122223333:user/path/me", "111122223333", true},
		{"arn:aws:iam::444455556666:user/me", "444455556666", false},
		{"arn:aws:sts::111122223333:assumed-role/agents/s", "111122223333", false},
		{"arn:aws:sts::111122223333:federated-user/me", "111122223333", false},
		{"", "", false},
	} {
		if got, err := cloud.OwnsBucket(t.Context(), vault.Caller{ARN: tc.arn, Account: tc.account}); got != tc.want || err != nil {
			t.Errorf("%s: %v, %v, want %v", tc.arn, got, err, tc.want)
		}
	}
}

// caFile returns a file with the certificate of a server.
func caFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
