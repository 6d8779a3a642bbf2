package aws

import (
	"bytes"
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

// ServerTime asks for the bucket. A refusal has a date as well.
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

// Caller asks the STS of AWS, or the one at Config.STSEndpoint. It asks no STS if that is the
// S3 server at Config.Endpoint, or empty beside it: servers that are not AWS have no such call.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (c *cloud) Caller(ctx context.Context) (vault.Caller, error) {
	got, err := c.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return vault.Caller{}, explained(err)
	}
	who := vault.Caller{From: got.Source, KeyID: got.AccessKeyID, Session: got.SessionToken != ""}
	if got.CanExpire {
		who.Expires = got.Expires
	}
	if c.config.Endpoint != "" && (c.config.STSEndpoint == "" || c.config.STSEndpoint == c.config.Endpoint) {
		return who, nil
	}
	client, err := newSTS(c.aws, c.config.STSEndpoint, c.config.Insecure)
	if err != nil {
		return who, err
	}
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.Retryer = repeating() })
	if err != nil {
		return who, explained(err)
	}
	who.ARN, who.Account = aws.ToString(out.Arn), aws.ToString(out.Account)
	return who, nil
}

// OwnsBucket implements [vault.BucketOwner]: S3 refuses a request that expects another owner.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
func (c *cloud) OwnsBucket(ctx context.Context, who vault.Caller) (bool, error) {
	name, err := arn.Parse(who.ARN)
	if err != nil || name.Service != "iam" || name.Resource != "root" && !strings.HasPrefix(name.Resource, "user/") {
		return false, nil
	}
	_, err = c.store.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.config.Bucket, ExpectedBucketOwner: &who.Account})
	if err == nil {
		return true, nil
	}
	if err = explained(err); errors.Is(err, vault.ErrPermission) {
		return false, nil
	}
	return false, err
}

// Settings makes three requests.
func (c *cloud) Settings(ctx context.Context) []vault.Setting {
	bucket := &c.config.Bucket
	return []vault.Setting{
		{Name: "endpoint", Document: c.config.Endpoint},
		setting("versioning", "", func(raw func(*s3.Options)) error {
			_, err := c.store.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket}, raw)
			return err
		}),
		setting("lifecycle", "NoSuchLifecycleConfiguration", func(raw func(*s3.Options)) error {
			_, err := c.store.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: bucket}, raw)
			return err
		}),
		setting("policy", "NoSuchBucketPolicy", func(raw func(*s3.Options)) error {
			_, err := c.store.client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket}, raw)
			return err
		}),
	}
}

// setting makes a request and keeps the body of its response. missing is the code by which
// the service says that nothing is configured.
func setting(name, missing string, ask func(raw func(*s3.Options)) error) vault.Setting {
	s := vault.Setting{Name: name}
	err := ask(captureBody(maxDocument, func(body []byte) error {
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

// maxDocument is the most bytes of a setting that are read: a bucket policy has 20 KiB.
const maxDocument = 1 << 20

// explained returns the cause of err, and err itself where there is none.
func explained(err error) error {
	if cause := explain(err); cause != nil {
		return cause
	}
	return err
}

// captureBody makes one call hand the body of its successful response to read, before the SDK
// parses it.
func captureBody(most int64, read func(body []byte) error) func(*s3.Options) {
	return func(options *s3.Options) {
		options.APIOptions = append(options.APIOptions, func(s *middleware.Stack) error {
			// Before the SDK reads the body, and after it was proven to be one of the service.
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
