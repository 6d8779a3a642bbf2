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

// The SDK tries reads, lists and parts three times. Writes that publish something and
// deletions are tried by package vault, which finds out whether an attempt was applied;
// here they get a second attempt only when the service said that it did nothing because
// it was busy. After another write was in progress PutObject is sent again, whose bytes are in
// memory; the parts that CompleteMultipartUpload was about are gone, and package vault makes
// another upload where it can read the value again.

// throttleCodes are the codes with which a service asks for fewer requests: those of the SDK, and
// those that S3 passes on from KMS and that other servers have. MinIO has the last two.
var throttleCodes = func() map[string]bool {
	codes := map[string]bool{"TooManyRequests": true, "KMS.ThrottlingException": true, "SlowDownRead": true, "SlowDownWrite": true}
	for code := range retry.DefaultThrottleErrorCodes {
		codes[code] = true
	}
	return codes
}()

// asksForFewer reports whether the service did nothing because there are too many requests.
func asksForFewer(err error) bool {
	var answered interface{ HTTPStatusCode() int }
	return throttleCodes[code(err)] || errors.As(err, &answered) && answered.HTTPStatusCode() == http.StatusTooManyRequests
}

var isThrottled = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	if asksForFewer(err) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
})

// throttledOnly is the retryer of those.
func throttledOnly(also ...retry.IsErrorRetryable) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.Retryables = append(also, isThrottled)
	})
}

// repeating is the retryer of requests that may be repeated: what the SDK repeats, and the
// statuses that say so by themselves. But when a server was silent for the whole timeout, it is not
// asked again: the timeout bounds the silence once. before is asked first.
func repeating(before ...retry.IsErrorRetryable) aws.Retryer {
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

// once is the option of one call that is not repeated unless it was throttled.
func once(o *s3.Options) { o.Retryer = throttledOnly() }

// onceWhole is [once] for a request that holds the whole object: another write of the same key
// may have been in progress, or bytes were damaged on the way, so that S3 did nothing.
func onceWhole(o *s3.Options) {
	o.Retryer = throttledOnly(retry.RetryableErrorCode{Codes: map[string]struct{}{codeConflict: {}, codeAborted: {}}}, isDamaged)
}

var isDamaged = retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
	if damagedCodes[code(err)] {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
})

// untilEnd is the option of a call that is repeated, until ctx ends.
func untilEnd(ctx context.Context) func(*s3.Options) {
	return func(o *s3.Options) {
		o.Retryer = repeating(retry.IsErrorRetryableFunc(func(error) aws.Ternary {
			if ctx.Err() != nil {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		}))
	}
}

// onceMore tries a request again, once, after the service said that its credentials
// have expired, which means that it did nothing. renew gets the access key's id, and reports
// whether there may be other credentials now.
func onceMore(renew func(ctx context.Context, accessKeyID string) bool) func(*middleware.Stack) error {
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

// expiredCodes are those of credentials that were good once: fresh ones may be. AWS has the first
// three for those that have expired, and the last for some that STS does not know any more.
var expiredCodes = map[string]bool{"ExpiredToken": true, "ExpiredTokenException": true, "TokenRefreshRequired": true, "InvalidToken": true}

// expiredKey returns the id of the access key that err says has expired, or "".
func expiredKey(err error) string {
	var re *smithyhttp.ResponseError
	if !expiredCodes[code(err)] || !errors.As(err, &re) || re.Response == nil || re.Response.Request == nil {
		return ""
	}
	_, rest, _ := strings.Cut(re.Response.Request.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}
