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

// attempts is how often a request is sent, not counting one for a renewed key.
const attempts = 3

// A kind of request says when it may be sent again.
type kind int

const (
	repeatable kind = iota // reads, lists, parts: twice is as good as once
	publishing             // changes what others see: only if the service did nothing
)

// try makes a request, and makes it again where that is safe and may help, but not after
// ctx has ended. The context that call gets is under ctx.
func (b *bucket) try(ctx context.Context, k kind, call func(ctx context.Context) error) error {
	renewed := false
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		a := new(attempt)
		err := clean(call(context.WithValue(ctx, attemptKey{}, a)))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return err
		case a.expired && !renewed: // the service did nothing
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

// undone are the codes by which the service says that it did nothing, and may do it
// when asked again.
var undone = map[string]bool{
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

func again(k kind, err error) bool {
	switch {
	case transport.Silent(err), transport.Untrusted(err): // another attempt would only double the wait
		return false
	case undone[code(err)], unsent(err):
		return true
	}
	switch status(err) {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	if k == publishing || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrCredentials) {
		return false
	}
	var answer *cos.ErrorResponse
	if errors.As(err, &answer) {
		s := status(err)
		// A status of success is an answer that could not be understood.
		return s >= 500 && s != http.StatusNotImplemented || s/100 == 2
	}
	var sent *url.Error
	var network net.Error
	var text *xml.SyntaxError
	return errors.As(err, &sent) || errors.As(err, &network) || errors.As(err, &text) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrChecksum)
}
