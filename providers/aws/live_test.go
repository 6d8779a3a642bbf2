package aws_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestConformanceLive runs the suite on a bucket in AWS, or on any server that supports S3. Run it
// with "make conformance-aws"; see docs/aws.md. It fails if an object remains.
func TestConformanceLive(t *testing.T) {
	bucket := os.Getenv("OBJECTVAULT_CONFORMANCE_BUCKET")
	if bucket == "" {
		t.Skip("OBJECTVAULT_CONFORMANCE_BUCKET names no bucket")
	}
	c := aws.Config{Bucket: bucket, Region: os.Getenv("OBJECTVAULT_CONFORMANCE_REGION"), Endpoint: os.Getenv("OBJECTVAULT_CONFORMANCE_ENDPOINT")}
	opened := func(ctx context.Context) (*vault.Store, error) { return aws.Open(ctx, c) }
	lost := c
	lost.Endpoint = testcloud.NoServer(t)
	client := liveClient(t, c)
	out, err := client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	claims := onAWSPlain
	if out.Status == types.BucketVersioningStatusEnabled {
		claims = onAWS
	}
	before := all(t, client, bucket)
	conformance.Run(t, conformance.Provider{
		Name: "aws", Open: opened, Reopen: opened,
		Claims:      without(claims, "errors-denied", "errors-expired"),
		Unreachable: func(ctx context.Context) (*vault.Store, error) { return aws.Open(ctx, lost) },
		Timeout:     10 * time.Minute,
	})
	noOrphans(t, client, bucket)
	for key := range all(t, client, bucket) {
		if !before[key] {
			t.Errorf("%s remains", key)
		}
	}
}

func liveClient(t *testing.T, c aws.Config) *s3.Client {
	t.Helper()
	var client *s3.Client
	if !open(t, c).Bucket.As(&client) {
		t.Fatal("the bucket has no client of the SDK")
	}
	return client
}

// all returns every version of every key.
func all(t *testing.T, client *s3.Client, bucket string) map[string]bool {
	t.Helper()
	seen := make(map[string]bool)
	for p := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket}); p.HasMorePages(); {
		page, err := p.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			seen[strings.Join([]string{*v.Key, *v.VersionId}, "@")] = true
		}
		for _, m := range page.DeleteMarkers {
			seen[strings.Join([]string{*m.Key, *m.VersionId}, "@")] = true
		}
	}
	return seen
}
