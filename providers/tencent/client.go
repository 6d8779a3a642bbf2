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

// attempts is how often a request is sent, not counting one for a renewed key.
const attempts = 3

// A kind of request says when it may be sent again.
type kind int

const (
	reading  kind = iota // twice is as good as once
	changing             // only if the service did nothing
)

// try makes a request of the SDK's client, and makes it again where that is safe and may
// help. It does what cosblob does for the requests of the portable bucket.
func (s *store) try(ctx context.Context, k kind, call func(ctx context.Context) error) error {
	renewed := false
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := s.credentials.renewals.Load()
		err := clean(call(ctx))
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case !renewed && refused(err) && s.credentials.renewals.Load() != before:
			renewed = true
			n--
			continue
		case n == attempts || !again(k, err):
			return err
		}
		if !pause(ctx, n) {
			return ctx.Err()
		}
	}
}

// refused reports whether the service said no, and so did nothing.
func refused(err error) bool { return status(err)/100 == 4 }

func again(k kind, err error) bool {
	switch {
	case transport.Silent(err): // another attempt would only double the wait
		return false
	case temporary(err), undialed(err) && !transport.Untrusted(err):
		return true
	case k == changing, own(err):
		return false
	}
	answered := status(err)
	return answered == 0 || answered >= 500
}

// throttled are the codes by which the service says that it did nothing, and may do it
// when asked again.
var throttled = map[string]bool{
	"SlowDown": true, "RequestLimitExceeded": true, "KmsFreqControl": true,
	"PathConflict": true, "UploadConflict": true, "OperationAborted": true,
	"RequestTimeout": true, "UserNetworkTooSlow": true,
	"BadDigest": true, "IncompleteBody": true, "EntitySizeNotMatch": true,
}

// pause waits before attempt n+1, and reports whether ctx is still alive.
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

// clean takes the SDK's wrapping, which hides its cause, off an error.
func clean(err error) error {
	var tried *cos.RetryError
	if errors.As(err, &tried) && len(tried.Errs) > 0 {
		return tried.Errs[len(tried.Errs)-1]
	}
	return err
}

// code is the service's error code, or "".
func code(err error) string {
	var e *cos.ErrorResponse
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// status is the HTTP status of an answer that is an error, or 0.
func status(err error) int {
	var e *cos.ErrorResponse
	if errors.As(err, &e) && e.Response != nil {
		return e.Response.StatusCode
	}
	return 0
}

// undialed reports whether the service received nothing of a request.
func undialed(err error) bool { return transport.NotSent(err) }
