package tencent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

func checkEndpoint(param, text string, insecure bool) error {
	if err := transport.CheckEndpoint(param, text, "https://cos.example.com", insecure); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	return nil
}

// attempts is the maximum number of attempts, without the extra attempt after a key was renewed.
const attempts = 3

// A kind of request determines when the request may be repeated.
type kind int

const (
	reading  kind = iota // may always be repeated
	changing             // may be repeated only if the service did nothing
)

// try makes a request with the client of the SDK. It repeats the request if this is safe and may
// help, as cosblob does for its own requests.
func (s *store) try(ctx context.Context, k kind, call func(ctx context.Context) error) error {
	renewed := false
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := s.credentials.renewals.Load()
		err := unwrapSDK(call(ctx))
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case !renewed && isRefused(err) && s.credentials.renewals.Load() != before:
			renewed = true
			n--
			continue
		case n == attempts || !mayRetry(k, err):
			return err
		}
		if !pause(ctx, n) {
			return ctx.Err()
		}
	}
}

// isRefused reports whether the service refused the request, so it did nothing.
func isRefused(err error) bool { return status(err)/100 == 4 }

func mayRetry(k kind, err error) bool {
	switch {
	case transport.Silent(err): // another attempt would only double the waiting time
		return false
	case temporary(err), isNotSent(err) && !transport.Untrusted(err):
		return true
	case k == changing, isCredentialsError(err):
		return false
	}
	s := status(err)
	return s == 0 || s >= 500
}

// undoneCodes are the error codes that mean that the service did nothing, and that another attempt
// may succeed.
var undoneCodes = map[string]bool{
	"SlowDown": true, "RequestLimitExceeded": true, "KmsFreqControl": true,
	"PathConflict": true, "UploadConflict": true, "OperationAborted": true,
	"RequestTimeout": true, "UserNetworkTooSlow": true,
	"BadDigest": true, "IncompleteBody": true, "EntitySizeNotMatch": true,
}

// pause waits before attempt n+1. It returns false if ctx ends.
func pause(ctx context.Context, n int) bool {
	d := 200 * time.Millisecond << (n - 1)
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unwrapSDK returns the cause of an error of the SDK. The wrapper of the SDK hides it from errors.As.
func unwrapSDK(err error) error {
	var tried *cos.RetryError
	if errors.As(err, &tried) && len(tried.Errs) > 0 {
		return tried.Errs[len(tried.Errs)-1]
	}
	return err
}

// code returns the error code of the service, or "".
func code(err error) string {
	var e *cos.ErrorResponse
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// message returns the error message of the service, or "".
func message(err error) string {
	var e *cos.ErrorResponse
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

// status returns the HTTP status of an error response, or 0.
func status(err error) int {
	var e *cos.ErrorResponse
	if errors.As(err, &e) && e.Response != nil {
		return e.Response.StatusCode
	}
	return 0
}

// isNotSent reports whether the service received no part of a request.
func isNotSent(err error) bool { return transport.NotSent(err) }
