package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// apply creates a bucket and a role on a running server and sets the policies from its standard
// input. If it fails, the completed steps stay, and it can be run again.
func apply(ctx context.Context, w *world, args []string) error {
	f := flag.NewFlagSet("apply", flag.ContinueOnError)
	f.SetOutput(w.err)
	path, bucket, role := f.String("server", "", "the line that up printed is in this `file`"), f.String("bucket", "", "the bucket's `name`"), f.String("role", "", "the role's `name`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *path == "" || *bucket == "" || *role == "" || f.NArg() > 0 {
		return errors.New("--server, --bucket and --role are required, and no other arguments")
	}
	b, err := os.ReadFile(*path)
	if err != nil {
		return err
	}
	var at server
	if err := json.Unmarshal(b, &at); err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	var policy struct {
		Trust  json.RawMessage `json:"trust_policy"`
		Role   json.RawMessage `json:"role_policy"`
		Bucket json.RawMessage `json:"bucket_policy"`
	}
	if err := json.NewDecoder(w.in).Decode(&policy); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if policy.Trust == nil {
		return errors.New("policy: trust_policy is missing")
	}

	r := &testcloud.RGW{URL: at.URL, Owner: testcloud.Keys(at.Owner)}
	var ours *types.BucketAlreadyOwnedByYou
	if _, err := testcloud.S3Client(r.URL, r.Owner).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil && !errors.As(err, &ours) {
		return err
	}
	fmt.Fprintf(w.out, "bucket %s\n", *bucket)
	if err := r.DeleteRole(ctx, *role); err != nil && !errors.Is(err, testcloud.ErrNoRole) {
		return err
	}
	arn, err := r.CreateRole(ctx, *role, string(policy.Trust))
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "role %s\n", arn)
	if policy.Role != nil {
		if err := r.PutRolePolicy(ctx, *role, "objectvault", string(policy.Role)); err != nil {
			return err
		}
		fmt.Fprintln(w.out, "role policy")
	}
	if policy.Bucket != nil {
		if err := r.PutBucketPolicy(ctx, *bucket, string(policy.Bucket)); err != nil {
			return err
		}
		fmt.Fprintln(w.out, "bucket policy")
	}
	return nil
}
