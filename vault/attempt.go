package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// An attempt at a write is one request that stores an envelope. It ends with an outcome: the
// part of the result that is certain.

// A writeKind is how a write treats the existing object.
type writeKind int

const (
	replace writeKind = iota // replaces the object, if there is one
	create                   // stores only if there is no object
	swap                     // replaces only the object that was read
)

func (k writeKind) String() string { return [...]string{"put", "create", "swap"}[k] }

// A condition must be true for a write to be applied.
type condition struct {
	kind writeKind
	// quick means that a create may use [Store].QuickCreate: it is derived from a plain put.
	quick bool
	tag   string // swap: the store's tag of the object that was read; never empty
	old   []byte // swap: the header of that object
}

// An outcome is the certain result of an attempt.
type outcome int

const (
	unknown    outcome = iota // it may have been applied, or may be applied later
	stored                    // it was applied
	refused                   // it was not applied, and the error is final
	notApplied                // it was not applied; another attempt may succeed
)

// An attempt is the result of one write request.
type attempt struct {
	outcome outcome
	version string
	err     error
}

// attempt makes the n-th attempt at writing s.
func (v *Vault) attempt(ctx context.Context, key string, how condition, n int, s *sealing) attempt {
	full := s.splice != nil // all bytes were passed to the store
	version, err := v.backend.write(ctx, key, how, n, s.splice, func(w io.Writer) error {
		err := s.fill(ctx, w)
		full = err == nil
		return err
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return attempt{classify(full, err), version, err}
}

// certain are the sentinels with which a store refuses a request without applying it.
var certain = []error{ErrPermission, ErrUnauthenticated, ErrNoSpace, ErrNotFound, ErrUnsupported, ErrExist, ErrConflict, ErrInvalidName, ErrConfig, ErrClosed, ErrRefused}

// classify returns the outcome of a request that ended with err. full is false for a write whose
// bytes were not all passed to the store, so the store cannot have published it.
func classify(full bool, err error) outcome {
	var cause *Cause
	switch {
	case err == nil:
		return stored
	case errors.Is(err, ErrUnsure):
		return unknown
	case isAny(err, certain), isRefused(err):
		return refused
	case !full, errors.Is(err, ErrBusy), errors.As(err, &cause) && cause.Effect == NotApplied:
		return notApplied
	}
	return unknown
}

func isAny(err error, targets []error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// isRefused reports whether the store would refuse the same request again.
func isRefused(err error) bool {
	var cause *Cause
	return errors.As(err, &cause) && cause.Effect == Refused
}

// isSilent reports whether the store did not respond within the timeout of a connection: another
// attempt would only double the wait.
func isSilent(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// isForeign reports whether another server responded instead of the service. Another attempt would
// reach the same server.
func isForeign(err error) bool {
	var cause *Cause
	return errors.As(err, &cause) && cause.Reason == ForeignResponse
}

// maxAttempts is the number of attempts at a write or a delete that receives no response.
const maxAttempts = 3

// retryable reports whether a request that failed with err should be tried again.
func retryable(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrUnsure) && !isRefused(err) && !isSilent(err) && !isForeign(err)
}

// needsNewUpload reports whether a multipart upload failed for a reason that may not affect a new
// upload. Repeating a single request of the failed upload would not help.
func needsNewUpload(err error) bool {
	var cause *Cause
	return errors.As(err, &cause) && (cause.Reason == WriteConflict || cause.Reason == UploadAborted)
}
