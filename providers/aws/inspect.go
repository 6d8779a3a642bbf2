package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	policy "github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/vault"
)

// A Setting is how the bucket is set up in one respect.
type Setting struct {
	Name    string // versioning, lifecycle, tls
	Known   bool   // false: the bucket did not tell, and Message says why
	Good    bool
	Message string
	Hint    string
	Err     error // why it is not known, for the hint
}

// Inspect reads how the bucket is set up, as far as the caller may: policies of tenants
// do not allow it by themselves. It is three requests.
func Inspect(ctx context.Context, c Config) ([]Setting, error) {
	cfg, err := load(ctx, c)
	if err != nil {
		return nil, err
	}
	defer closeIdle(cfg.HTTPClient)
	client, err := newClient(cfg, c)
	if err != nil {
		return nil, err
	}
	return []Setting{inspectVersioning(ctx, client, c.Bucket), inspectLifecycle(ctx, client, c.Bucket), inspectTLS(ctx, client, c)}, nil
}

// hidden is a setting that the bucket did not tell.
func hidden(name string, err error) Setting {
	s := Setting{Name: name, Message: name + ": " + said(err), Err: explain(err)}
	if errors.Is(explain(err), vault.ErrPermission) {
		s.Message = name + ": this identity may not read it"
		s.Hint = "ask the operator, or allow it: {prog} policy aws --allow-doctor"
	}
	return s
}

func inspectVersioning(ctx context.Context, client *s3.Client, bucket string) Setting {
	out, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket})
	if err != nil {
		return hidden("versioning", err)
	}
	s := Setting{Name: "versioning", Known: true, Good: out.Status == types.BucketVersioningStatusEnabled}
	switch out.Status {
	case types.BucketVersioningStatusEnabled:
		s.Message = "versioning is on"
	case types.BucketVersioningStatusSuspended:
		s.Message, s.Hint = "versioning is suspended: what is overwritten now is gone", "switch it on again"
	default:
		s.Message, s.Hint = "versioning is off: what is overwritten or deleted is gone", "switch it on: {prog} policy aws prints how"
	}
	return s
}

func inspectLifecycle(ctx context.Context, client *s3.Client, bucket string) Setting {
	out, err := client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	s := Setting{Name: "lifecycle", Known: true}
	if code(err) == "NoSuchLifecycleConfiguration" {
		s.Message, s.Hint = "no lifecycle rule removes what killed uploads leave behind", "add one: {prog} policy aws prints it"
		return s
	}
	if err != nil {
		return hidden("lifecycle", err)
	}
	var expires []string
	for _, r := range out.Rules {
		if r.Status != types.ExpirationStatusEnabled {
			continue
		}
		if r.AbortIncompleteMultipartUpload != nil && coversTenants(r) {
			s.Good = true
		}
		if r.Expiration != nil && r.Expiration.Days != nil {
			expires = append(expires, fmt.Sprintf("%d days", *r.Expiration.Days))
		}
	}
	s.Message = "a lifecycle rule removes what killed uploads leave behind"
	if !s.Good {
		s.Message, s.Hint = "no lifecycle rule removes what killed uploads leave behind", "add one: {prog} policy aws prints it"
	}
	if len(expires) > 0 {
		s.Message += "; objects expire after " + strings.Join(expires, ", ")
	}
	return s
}

// coversTenants says whether a rule is about all that tenants have. A rule of the old
// form, without a filter, is not looked into.
func coversTenants(r types.LifecycleRule) bool {
	f := r.Filter
	return f != nil && f.Tag == nil && f.And == nil && f.ObjectSizeGreaterThan == nil && f.ObjectSizeLessThan == nil &&
		strings.HasPrefix("bots/", aws.ToString(f.Prefix))
}

func inspectTLS(ctx context.Context, client *s3.Client, c Config) Setting {
	s := Setting{Name: "tls", Known: true}
	o := policy.CheckOptions{Bucket: c.Bucket, TLS: true}
	switch {
	case strings.HasPrefix(c.Endpoint, "http:"):
		s.Message, s.Hint = "the endpoint is plain http", "use its https address, and have the bucket refuse http: {prog} policy aws --tls"
		return s
	case c.Endpoint != "":
		o.Dialect = policy.RGW // what holds there holds on any server
	}
	out, err := client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &c.Bucket})
	if code(err) == "NoSuchBucketPolicy" {
		s.Message, s.Hint = "the bucket takes plain http: it has no policy", "add one: {prog} policy aws prints it"
		return s
	}
	if err != nil {
		return hidden("tls", err)
	}
	docs, err := policy.Parse("bucket policy", []byte(aws.ToString(out.Policy)))
	if err != nil {
		return hidden("tls", err)
	}
	for _, f := range policy.Check(docs, o) {
		if f.Weakness == policy.HTTPAllowed {
			s.Message, s.Hint = f.Message, f.Fix
			return s
		}
	}
	s.Good, s.Message = true, "the bucket policy refuses plain http"
	return s
}

// ServerTime asks the service what time it is, with one request whose answer may be a
// refusal.
func ServerTime(ctx context.Context, c Config) (time.Time, error) {
	cfg, err := load(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	defer closeIdle(cfg.HTTPClient)
	client, err := newClient(cfg, c)
	if err != nil {
		return time.Time{}, err
	}
	out, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.Bucket})
	if err == nil {
		if t, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
			return t, nil
		}
		return time.Time{}, fmt.Errorf("%w: the answer has no date", vault.ErrUnavailable)
	}
	var re *awshttp.ResponseError
	if errors.As(err, &re) && re.Response != nil {
		if t, perr := http.ParseTime(re.Response.Header.Get("Date")); perr == nil {
			return t, nil
		}
	}
	if r := explain(err); r != nil {
		return time.Time{}, fmt.Errorf("%w", r)
	}
	return time.Time{}, err
}
