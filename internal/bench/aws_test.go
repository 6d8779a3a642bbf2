package bench

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// BenchmarkAWS compares a vault in S3 with the SDK alone, on Ceph's gateway with a disk, and on
// versitygw. Run it with make bench-aws. If TMPDIR is in memory, the large puts do not measure the
// disk.
func BenchmarkAWS(b *testing.B) {
	for _, s := range []struct {
		name  string
		start func(b *testing.B) target
		big   int // how often each side puts and gets 1 GiB
	}{
		{"rgw", startRGW, 2},           // the disk has 8 GiB, and replaced objects stay there for hours
		{"versitygw", startVersity, 3}, // must be last, because its pending disk writes would delay others
	} {
		b.Run(s.name, func(b *testing.B) {
			t := s.start(b)
			t.Bucket = "bench" // the server and its disk are discarded afterwards
			if _, err := newS3(t).client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &t.Bucket}); err != nil {
				b.Fatal(err)
			}
			benchServer(b, t, s.big)
			if s.name == "versitygw" { // the memory of the client does not depend on the server, so one is sufficient
				b.Run("memory", func(b *testing.B) {
					benchMemory(b, t, "s3://"+t.Bucket+"?endpoint="+url.QueryEscape(t.Endpoint), "AWS_ACCESS_KEY_ID="+t.KeyID, "AWS_SECRET_ACCESS_KEY="+t.Key)
				})
			}
		})
	}
}

func startVersity(b *testing.B) target {
	ctx, cancel := context.WithTimeout(b.Context(), 8*time.Minute)
	defer cancel()
	if err := testcloud.InstallVersity(ctx, nil); err != nil {
		b.Fatal(err)
	}
	v, err := testcloud.StartVersity(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Stop() })
	return target{Cloud: "aws", Endpoint: v.URL, KeyID: v.Root.AccessKeyID, Key: v.Root.SecretKey}
}

func startRGW(b *testing.B) target {
	ctx, cancel := context.WithTimeout(b.Context(), 8*time.Minute)
	defer cancel()
	if err := testcloud.InstallRGW(ctx, nil); err != nil {
		b.Fatal(err)
	}
	r, err := testcloud.StartRGW(ctx, &testcloud.RGWOptions{Store: "bluestore"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Stop() })
	return target{Cloud: "aws", Endpoint: r.URL, KeyID: r.Owner.AccessKeyID, Key: r.Owner.SecretKey}
}
