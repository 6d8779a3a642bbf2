package aws

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The SDK tries reads, lists and parts three times. Writes that publish something and
// deletions are tried by package vault, which finds out whether an attempt was applied;
// here they get a second attempt only when the service said that it did nothing because
// it was busy.

// throttledOnly is the retryer of those.
func throttledOnly() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}}
	})
}

// once is the option of one call that is not repeated unless it was throttled.
func once(o *s3.Options) { o.Retryer = throttledOnly() }

// untilEnd is the option of a call that the SDK repeats, until ctx ends.
func untilEnd(ctx context.Context) func(*s3.Options) {
	return func(o *s3.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.RateLimiter = ratelimit.None
			o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(error) aws.Ternary {
				if ctx.Err() != nil {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			})}, o.Retryables...)
		})
	}
}

// onceMore tries a request again, once, after the service said that its credentials
// have expired, which means that it did nothing. expired gets the access key's id.
func onceMore(expired func(accessKeyID string)) func(*middleware.Stack) error {
	return func(s *middleware.Stack) error {
		return s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("objectvault:OnceMore", func(
			ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
		) (middleware.FinalizeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleFinalize(ctx, in)
			id := expiredKey(err)
			if id == "" {
				return out, meta, err
			}
			r, ok := in.Request.(*smithyhttp.Request)
			if !ok || r.RewindStream() != nil {
				return out, meta, err
			}
			expired(id)
			return next.HandleFinalize(ctx, in)
		}), "Retry", middleware.Before)
	}
}

// expiredKey returns the id of the access key that err says has expired, or "".
func expiredKey(err error) string {
	var re *smithyhttp.ResponseError
	if code(err) != "ExpiredToken" || !errors.As(err, &re) || re.Response == nil || re.Response.Request == nil {
		return ""
	}
	_, rest, _ := strings.Cut(re.Response.Request.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}
