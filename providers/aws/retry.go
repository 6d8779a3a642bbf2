package aws

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/internal/transport"
)

// The SDK tries reads, lists and parts three times. Package vault repeats deletes and the requests that
// publish an object, because it can find out whether an attempt was applied. Here they are only
// repeated if the service responded that it did nothing because it was busy. If another write was in
// progress, PutObject is also repeated, because its data is in memory. After CompleteMultipartUpload the
// parts no longer exist, so package vault makes another upload if it can read the value again.

// throttleCodes are the error codes that mean that there are too many requests: those of the SDK, one
// that S3 passes on from KMS, and those of other servers. MinIO uses the last two.
var throttleCodes = func() map[string]bool {
	codes := map[string]bool{"TooManyRequests": true, "KMS.ThrottlingException": true, "SlowDownRead": true, "SlowDownWrite": true}
	for code := range retry.DefaultThrottleErrorCodes {
		codes[code] = true
	}
	return codes
}()

// isThrottle reports whether the service did nothing because there are too many requests.
func isThrottle(err error) bool {
	var response interface{ HTTPStatusCode() int }
	return throttleCodes[code(err)] || errors.As(err, &response) && response.HTTPStatusCode() == http.StatusTooManyRequests
}

var isThrottled = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	if isThrottle(err) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
})

// newThrottleRetryer returns a retryer that repeats only throttled requests.
func newThrottleRetryer(also ...retry.IsErrorRetryable) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.Retryables = append(also, isThrottled)
	})
}

// newRetryer returns a retryer for requests that may be repeated. It repeats the errors that the SDK
// repeats, and temporary statuses. It does not repeat a request if the server did not respond within the
// timeout, because this would multiply the timeout. before has priority.
func newRetryer(before ...retry.IsErrorRetryable) aws.Retryer {
	codes := make(map[int]struct{})
	for _, status := range temporaryStatus {
		codes[status] = struct{}{}
	}
	return retry.NewStandard(func(o *retry.StandardOptions) {
		if len(before) > 0 {
			o.RateLimiter = ratelimit.None
		}
		silent := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if transport.Silent(err) {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		})
		o.Retryables = slices.Concat(before, []retry.IsErrorRetryable{silent}, o.Retryables, []retry.IsErrorRetryable{isThrottled, isDamaged, retry.RetryableHTTPStatusCode{Codes: codes}})
	})
}

// noRepeat is an option for a call that is repeated only if it was throttled.
func noRepeat(o *s3.Options) { o.Retryer = newThrottleRetryer() }

// noRepeatWhole is [noRepeat] for a request with a whole object. It is also repeated if S3 did nothing
// because another write of the key was in progress, or because the data was damaged in transit.
func noRepeatWhole(o *s3.Options) {
	o.Retryer = newThrottleRetryer(retry.RetryableErrorCode{Codes: map[string]struct{}{codeConflict: {}, codeAborted: {}}}, isDamaged)
}

var isDamaged = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	if damagedCodes[code(err)] {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
})

// repeatUntil is an option for a call that may be repeated until ctx ends. It calls failed, unless that is
// nil, with the error of each attempt.
func repeatUntil(ctx context.Context, failed func(error)) func(*s3.Options) {
	return func(o *s3.Options) {
		o.Retryer = newRetryer(retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if failed != nil {
				failed(err)
			}
			if ctx.Err() != nil {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		}))
	}
}

// retryExpired repeats a request once after the service responded that the credentials have expired,
// which means that it did nothing. renew gets the ID of the access key, and reports whether new
// credentials may be available.
func retryExpired(renew func(ctx context.Context, accessKeyID string) bool) func(*middleware.Stack) error {
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
			if !ok || !renew(ctx, id) || r.RewindStream() != nil {
				return out, meta, err
			}
			return next.HandleFinalize(ctx, in)
		}), "Retry", middleware.Before)
	}
}

// expiredCodes are the error codes for credentials that are no longer valid. AWS uses the first three for
// expired credentials, and the last for some that STS no longer knows.
var expiredCodes = map[string]bool{"ExpiredToken": true, "ExpiredTokenException": true, "TokenRefreshRequired": true, "InvalidToken": true}

// expiredKey returns the ID of the access key that has expired according to err, or "".
func expiredKey(err error) string {
	var re *smithyhttp.ResponseError
	if !expiredCodes[code(err)] || !errors.As(err, &re) || re.Response == nil || re.Response.Request == nil {
		return ""
	}
	_, rest, _ := strings.Cut(re.Response.Request.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}
