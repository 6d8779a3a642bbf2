package doctor_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
)

// TestAWSBucket checks the settings of a bucket as its owner, before and after the bucket was set up,
// and as a caller without permission.
func TestAWSBucket(t *testing.T) {
	t.Parallel()
	rgw := testcloud.RequireRGW(t)
	bucket := testcloud.NewBucket(t, rgw.URL, rgw.Owner, false)
	client := testcloud.S3Client(rgw.URL, rgw.Owner)
	inspect := func(k testcloud.Keys) string {
		t.Helper()
		var all []string
		for _, l := range bucketLines(t, aws.Config{Bucket: bucket, Endpoint: rgw.URL, Static: keysOf(k)}) {
			all = append(all, l.Check+" "+string(l.Status))
			if l.Message == "" || l.Status != doctor.OK && l.Hint == "" {
				t.Errorf("%+v has no hint", l)
			}
		}
		return strings.Join(all, ", ")
	}
	if diff := cmp.Diff("versioning warning, lifecycle warning, tls warning, audit not proven", inspect(rgw.Owner)); diff != "" {
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
	if diff := cmp.Diff("versioning ok, lifecycle warning, tls warning, audit not proven", inspect(rgw.Owner)); diff != "" {
		t.Errorf("a rule for one tenant (-want +got):\n%s", diff)
	}
	abort("bots/")
	if diff := cmp.Diff("versioning ok, lifecycle ok, tls warning, audit not proven", inspect(rgw.Owner)); diff != "" {
		t.Errorf("a configured bucket, over plain http (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("versioning not proven, lifecycle not proven, tls warning, audit not proven", inspect(rgw.Other)); diff != "" {
		t.Errorf("another bucket (-want +got):\n%s", diff)
	}
}

// TestAWSBucketTLS checks bucket policies over TLS, as on a server that is not AWS.
func TestAWSBucketTLS(t *testing.T) {
	const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],"Condition":{%q:{"aws:SecureTransport":"false"}}}]}`
	for operator, want := range map[string]bool{"BoolIfExists": true, "Bool": false, "": false} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !r.URL.Query().Has("policy"):
			case operator != "":
				fmt.Fprintf(w, deny, operator)
			default:
				w.WriteHeader(http.StatusNotFound)
				io.WriteString(w, testcloud.ErrorXML("NoSuchBucketPolicy", "There is none."))
			}
		}))
		t.Setenv("AWS_CA_BUNDLE", caFile(t, server))
		lines := bucketLines(t, aws.Config{Bucket: "bucket", Endpoint: server.URL, Static: keysOf(testcloud.Keys{AccessKeyID: "AKIDEXAMPLE", SecretKey: "secret"})})
		server.Close()
		status := doctor.Warning
		if want {
			status = doctor.OK
		}
		for _, l := range lines {
			if l.Check == "tls" && l.Status != status {
				t.Errorf("a denial with %s: %+v, want %s", operator, l, status)
			}
		}
	}
}

// bucketLines returns the results for a bucket.
func bucketLines(t *testing.T, c aws.Config) []doctor.Line {
	t.Helper()
	store, err := aws.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	return doctor.Bucket(t.Context(), store.Name, store.Cloud, nil)
}

func keysOf(k testcloud.Keys) sdk.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretKey, "")
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
