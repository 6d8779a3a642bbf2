package aws

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/vault"
)

// A cloud implements [vault.Cloud].
type cloud struct {
	store  *store
	config Config
	aws    aws.Config
}

// ServerTime sends a HEAD of the bucket. An error response also has a date.
func (c *cloud) ServerTime(ctx context.Context) (time.Time, error) {
	out, err := c.store.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.config.Bucket})
	if err == nil {
		if t, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
			return t, nil
		}
		return time.Time{}, fmt.Errorf("%w: the response has no date", vault.ErrUnavailable)
	}
	var re *awshttp.ResponseError
	if errors.As(err, &re) && re.Response != nil && !errors.As(err, new(*foreignError)) {
		if t, perr := http.ParseTime(re.Response.Header.Get("Date")); perr == nil {
			return t, nil
		}
	}
	return time.Time{}, explained(err)
}

// Caller calls the STS of AWS, or the STS at Config.STSEndpoint. It does not call STS if there is an
// Endpoint and STSEndpoint is empty or the same, because servers that are not AWS do not support this
// call.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (c *cloud) Caller(ctx context.Context) (vault.Caller, error) {
	got, err := c.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return vault.Caller{}, explained(err)
	}
	caller := vault.Caller{From: got.Source, KeyID: got.AccessKeyID, Session: got.SessionToken != ""}
	if got.CanExpire {
		caller.Expires = got.Expires
	}
	if c.config.Endpoint != "" && (c.config.STSEndpoint == "" || c.config.STSEndpoint == c.config.Endpoint) {
		return caller, nil
	}
	client, err := newSTS(c.aws, c.config.STSEndpoint, c.config.Insecure, cmp.Or(c.config.Timeout, 30*time.Second))
	if err != nil {
		return caller, err
	}
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.Retryer = newRetryer() })
	if err != nil {
		return caller, explained(err)
	}
	caller.ARN, caller.Account = aws.ToString(out.Arn), aws.ToString(out.Account)
	return caller, nil
}

// OwnsBucket implements [vault.BucketOwner]. It sends the account as the expected owner, and S3 refuses
// the request if the bucket has another owner.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
func (c *cloud) OwnsBucket(ctx context.Context, caller vault.Caller) (bool, error) {
	name, err := arn.Parse(caller.ARN)
	if err != nil || name.Service != "iam" || name.Resource != "root" && !strings.HasPrefix(name.Resource, "user/") {
		return false, nil
	}
	_, err = c.store.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.config.Bucket, ExpectedBucketOwner: &caller.Account})
	if err == nil {
		return true, nil
	}
	if err = explained(err); errors.Is(err, vault.ErrPermission) {
		return false, nil
	}
	return false, err
}

// Settings makes three requests.
func (c *cloud) Settings(ctx context.Context) (all []vault.Setting) {
	for _, name := range []string{"endpoint", "versioning", "lifecycle", "policy"} {
		all = append(all, c.Setting(ctx, name))
	}
	return all
}

// Setting implements [vault.SettingReader].
func (c *cloud) Setting(ctx context.Context, name string) vault.Setting {
	bucket := &c.config.Bucket
	switch name {
	case "endpoint":
		return vault.Setting{Name: name, Document: c.config.Endpoint}
	case "versioning":
		return setting(name, "", func(raw func(*s3.Options)) error {
			_, err := c.store.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket}, raw)
			return err
		})
	case "lifecycle":
		return setting(name, "NoSuchLifecycleConfiguration", func(raw func(*s3.Options)) error {
			_, err := c.store.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: bucket}, raw)
			return err
		})
	case "policy":
		return setting(name, "NoSuchBucketPolicy", func(raw func(*s3.Options)) error {
			_, err := c.store.client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket}, raw)
			return err
		})
	}
	return vault.Setting{Name: name}
}

// setting makes a request and returns the body of its response. missing is the error code for a setting
// that is not configured.
func setting(name, missing string, request func(raw func(*s3.Options)) error) vault.Setting {
	s := vault.Setting{Name: name}
	err := request(captureBody(maxDocument, func(body []byte) error {
		s.Document = string(body)
		return nil
	}))
	switch {
	case err == nil:
	case missing != "" && code(err) == missing:
		s.Document = ""
	default:
		s.Document, s.Err = "", explained(err)
	}
	return s
}

// maxDocument limits the size of a setting. A bucket policy has at most 20 KiB.
const maxDocument = 1 << 20

// explained returns the cause of err, or err itself if it has none.
func explained(err error) error {
	if cause := explain(err); cause != nil {
		return cause
	}
	return err
}

// captureBody makes one call pass the body of its successful response to read, before the SDK parses it.
func captureBody(most int64, read func(body []byte) error) func(*s3.Options) {
	return func(options *s3.Options) {
		options.APIOptions = append(options.APIOptions, func(s *middleware.Stack) error {
			// This runs after the response was checked, and before the SDK reads the body.
			return s.Deserialize.Insert(middleware.DeserializeMiddlewareFunc("objectvault:Body", func(
				ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
			) (middleware.DeserializeOutput, middleware.Metadata, error) {
				out, meta, err := next.HandleDeserialize(ctx, in)
				resp, ok := out.RawResponse.(*smithyhttp.Response)
				if err != nil || !ok || resp.StatusCode != http.StatusOK {
					return out, meta, err
				}
				body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
				resp.Body.Close()
				if err == nil && int64(len(body)) > most {
					err = fmt.Errorf("%w: a response has more than %d bytes", vault.ErrUnavailable, most)
				}
				if err == nil {
					err = read(body)
				}
				resp.Body = io.NopCloser(bytes.NewReader(body))
				return out, meta, err
			}), proveID, middleware.Before)
		})
	}
}
