package testcloud_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// TestCrash kills a gateway. It must be restarted with its complete state.
func TestCrash(t *testing.T) {
	testcloud.RequireRGW(t) // installs it
	r, err := testcloud.StartRGW(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
	before := r.PIDs()
	if err := syscall.Kill(before[len(before)-1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := testcloud.S3Client(r.URL, r.Owner, func(o *s3.Options) { o.RetryMaxAttempts = 30 })
	if _, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if after := r.PIDs(); len(after) != len(before) || after[len(after)-1] == before[len(before)-1] {
		t.Errorf("the processes were %v, and now are %v", before, after)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
