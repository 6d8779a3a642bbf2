package cosblob

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/transport"
)

// attempts is the maximum number of attempts, without the extra attempt after a key was renewed.
const attempts = 3

// A kind of request determines when the request may be repeated.
type kind int

const (
	repeatable kind = iota // reads, lists, parts: a repeated request has no further effect
	publishing             // changes what readers see: repeated only if the service did nothing
)

// try makes a request. It repeats the request if this is safe and may help, and ctx has not ended.
// call gets a context that is derived from ctx.
func (b *bucket) try(ctx context.Context, k kind, call func(ctx context.Context) error) error {
	renewed := false
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		a := new(attempt)
		err := unwrapSDK(call(context.WithValue(ctx, attemptKey{}, a)))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case a.expired && !renewed: // the service did nothing
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

// undoneCodes are the error codes that mean that the service did nothing, and that another attempt
// may succeed.
var undoneCodes = map[string]bool{
	"SlowDown":             true,
	"RequestLimitExceeded": true,
	"KmsFreqControl":       true,
	"PathConflict":         true,
	"UploadConflict":       true,
	"OperationAborted":     true,
	"RequestTimeout":       true,
	"UserNetworkTooSlow":   true,
	"IncompleteBody":       true,
	"BadDigest":            true,
	"EntitySizeNotMatch":   true,
}

func mayRetry(k kind, err error) bool {
	switch {
	case transport.Silent(err), transport.Untrusted(err): // another attempt would only double the waiting time
		return false
	case undoneCodes[code(err)], isNotSent(err):
		return true
	}
	switch status(err) {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	if k == publishing || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrCredentials) {
		return false
	}
	var response *cos.ErrorResponse
	if errors.As(err, &response) {
		s := status(err)
		// With a 2xx status, the error means that the response could not be parsed.
		return s >= 500 && s != http.StatusNotImplemented || s/100 == 2
	}
	var sent *url.Error
	var network net.Error
	var text *xml.SyntaxError
	return errors.As(err, &sent) || errors.As(err, &network) || errors.As(err, &text) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrChecksum)
}
