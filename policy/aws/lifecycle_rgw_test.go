package aws_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/policy/aws"
)

// applyLifecycle sends the printed document, as the AWS CLI does.
func applyLifecycle(t *testing.T, owner *s3.Client, bucket string, l *aws.Lifecycle) {
	t.Helper()
	var rules types.BucketLifecycleConfiguration
	text, err := json.Marshal(l)
	if err == nil {
		err = json.Unmarshal(text, &rules)
	}
	if err == nil {
		_, err = owner.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &bucket, LifecycleConfiguration: &rules})
	}
	if err != nil {
		t.Fatalf("lifecycle: %v", err)
	}
}

// TestLifecycleRGW runs the printed lifecycle rules on a gateway where a day has two seconds. Under bots/
// nothing remains: no objects, old versions, delete markers and unfinished uploads. The rest of the
// bucket stays as it was.
func TestLifecycleRGW(t *testing.T) {
	if testing.Short() {
		t.Skip("the test waits for Ceph, so there is nothing for the race detector")
	}
	testcloud.RequireRGW(t)
	g, err := testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{LifecycleDay: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Stop() })
	owner := testcloud.S3Client(g.URL, g.Owner)
	for _, versioned := range []bool{true, false} {
		t.Run(fmt.Sprint(versioned), func(t *testing.T) {
			bucket := testcloud.NewBucket(t, g.URL, g.Owner, versioned)
			d := generate(t, aws.Options{
				Dialect: aws.RGW, Bucket: bucket, Role: "vault", Issuer: "http://127.0.0.1:1", Thumbprints: []string{strings.Repeat("a", 40)}, ExpireDays: 2,
				Tenants: []aws.Tenant{{ID: "0xaaa"}},
			})
			for _, prefix := range []string{"bots/0xaaa/credentials/", "bots/0xbbb/", "logs/", "bots", "other/bots/"} {
				fill(t, owner, bucket, prefix)
			}
			before := contents(t, owner, bucket)
			applyLifecycle(t, owner, bucket, d.Lifecycle)
			all := before
			for deadline := time.Now().Add(2 * time.Minute); slices.ContainsFunc(all, isTenants) && time.Now().Before(deadline); {
				all = contents(t, owner, bucket)
			}
			want := slices.DeleteFunc(before, isTenants)
			if diff := cmp.Diff(want, all); diff != "" || len(want) == 0 {
				t.Errorf("after the rules (-want +got):\n%s", diff)
			}
		})
	}
}

func isTenants(line string) bool { return strings.HasPrefix(line, "bots/") }

// fill stores an object with an old version, one that was deleted, and an unfinished upload.
func fill(t *testing.T, c *s3.Client, bucket, prefix string) {
	t.Helper()
	current, deleted, upload := prefix+"current", prefix+"deleted", prefix+"upload"
	for _, key := range []string{current, current, deleted} {
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("v")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &deleted}); err != nil {
		t.Fatal(err)
	}
	started, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &upload})
	if err == nil {
		_, err = c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &upload, UploadId: started.UploadId, PartNumber: awssdk.Int32(1), Body: strings.NewReader("part")})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// contents lists all versions, delete markers and unfinished uploads.
func contents(t *testing.T, c *s3.Client, bucket string) (all []string) {
	t.Helper()
	versions, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions.Versions {
		all = append(all, fmt.Sprintf("%s version, current: %v", *v.Key, *v.IsLatest))
	}
	for _, m := range versions.DeleteMarkers {
		all = append(all, fmt.Sprintf("%s delete marker, current: %v", *m.Key, *m.IsLatest))
	}
	uploads, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		all = append(all, *u.Key+" upload")
	}
	slices.Sort(all)
	return all
}
