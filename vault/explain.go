package vault

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"gocloud.dev/gcerrors"
)

// sentinels in the order in which an error that holds several is called: what says
// more comes first.
var sentinels = []error{
	ErrRollback, ErrUnsure, ErrBusy, ErrUnauthenticated, ErrPermission, ErrNoSpace, ErrConflict,
	ErrExist, ErrNotFound, ErrPartial, ErrUnsupported, ErrInvalidName, ErrUnavailable,
}

// explain puts the sentinel of this package before an error of a store or of a key
// source. It is the only place that does. What has no sentinel stays as it is: an
// error of the envelope, of the caller's own reader, a cancelled context.
func (v *Vault) explain(err error) error {
	err, known := explainOurs(err)
	if known {
		return err
	}
	if v.store.Explain != nil {
		if s := v.store.Explain(err); s != nil {
			return fact(s, err)
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fact(ErrNotFound, err)
	case gcerrors.PermissionDenied:
		return fact(ErrPermission, err)
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return fact(ErrExist, err) // the only condition that a bucket is given is create-only
	case gcerrors.Unimplemented:
		return fact(ErrUnsupported, err)
	case gcerrors.InvalidArgument:
		return err // a bug, or a key that the store cannot hold
	}
	return fact(ErrUnavailable, err)
}

// explainOurs explains what did not come from a store, and says whether it did.
func explainOurs(err error) (_ error, known bool) {
	var source *sourceError
	var done *factError
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &source) || errors.As(err, &done) {
		return err, true
	}
	for _, s := range sentinels {
		switch {
		case !errors.Is(err, s):
		case s == ErrNotFound, s == ErrExist:
			return fact(s, err), true
		default: // what the provider says of it is worth reading
			return err, true
		}
	}
	for _, s := range []error{envelope.ErrFormat, envelope.ErrUnknownKey, envelope.ErrDecrypt, envelope.ErrInvalid, errTwice} {
		if errors.Is(err, s) {
			return err, true
		}
	}
	switch {
	case errors.Is(err, envelope.ErrUnavailable):
		return fact(ErrUnavailable, err), true
	case errors.Is(err, envelope.ErrUnauthenticated):
		return fact(ErrUnauthenticated, err), true
	}
	return err, false
}

// fact returns an error that is both sentinel and cause. Where the sentinel says all,
// as in "not found" or in a store's own explanation, the cause is left out of the text.
func fact(sentinel, cause error) error { return &factError{sentinel, cause} }

type factError struct{ sentinel, cause error }

func (e *factError) Error() string {
	if _, ok := e.sentinel.(explanation); ok || e.sentinel == ErrNotFound || e.sentinel == ErrExist {
		return e.sentinel.Error()
	}
	return e.sentinel.Error() + ": " + e.cause.Error()
}

// An explanation is what [Store].Explain returns when it says more than a sentinel.
type explanation interface{ Hint() string }

func (e *factError) Unwrap() []error { return []error{e.sentinel, e.cause} }

// request notes that a request starts; the function it returns logs how it ended.
func (v *Vault) request(ctx context.Context, op, key string) func(bytes int64, err error) {
	start := time.Now()
	return func(bytes int64, err error) {
		status := "ok"
		if err != nil && err != io.EOF {
			status = v.status(err)
		}
		v.log.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("op", op), slog.String("key", key), slog.String("status", status),
			slog.Duration("time", time.Since(start)), slog.Int64("bytes", bytes))
	}
}

// status is err in a word or two, without the text of its causes.
func (v *Vault) status(err error) string {
	err = v.explain(err)
	for _, s := range append(sentinels, context.Canceled, envelope.ErrFormat, envelope.ErrUnknownKey, envelope.ErrDecrypt) {
		if errors.Is(err, s) {
			return s.Error()
		}
	}
	return "error"
}
