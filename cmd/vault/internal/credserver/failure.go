package credserver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// A failure is the response to a request that failed.
type failure struct {
	status     int
	code       string // the member error
	message    string
	retryAfter time.Duration // 0: none
}

func (f *failure) Error() string { return f.message }

func badRequest(message string) error {
	return &failure{status: http.StatusBadRequest, code: "bad_request", message: message}
}

func unauthorized(message string) error {
	return &failure{status: http.StatusUnauthorized, code: "unauthorized", message: message}
}

func forbidden(message string) error {
	return &failure{status: http.StatusForbidden, code: "forbidden", message: message}
}

func outOfScope() error { return forbidden("the service is outside the scope of the token") }

func tooLarge() error {
	return &failure{status: http.StatusRequestEntityTooLarge, code: "too_large", message: "a value has at most 1 MiB"}
}

// storeRetry is the Retry-After of a store that is unreachable.
const storeRetry = 5 * time.Second

// failureOf returns the response to a request that failed with err. The package comment lists the
// codes.
func failureOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	f = &failure{status: http.StatusInternalServerError, code: "internal", message: err.Error()}
	switch {
	case errors.Is(err, vault.ErrUnsure):
		f.status, f.code = http.StatusServiceUnavailable, "outcome_unknown"
	case isAny(err, vault.ErrUnavailable, envelope.ErrUnavailable, vault.ErrClosed, context.DeadlineExceeded, context.Canceled):
		f.status, f.code, f.retryAfter = http.StatusServiceUnavailable, "unavailable", storeRetry
	case isAny(err, vault.ErrUnauthenticated, vault.ErrRefused, envelope.ErrUnauthenticated, envelope.ErrDenied):
		f.status, f.code = http.StatusBadGateway, "store_refused"
	case errors.Is(err, vault.ErrScope):
		f.status, f.code = http.StatusForbidden, "forbidden"
	case errors.Is(err, vault.ErrPermission): // the store denied the request
		f.status, f.code = http.StatusBadGateway, "store_refused"
	case errors.Is(err, vault.ErrNotFound):
		f.status, f.code = http.StatusNotFound, "not_found"
	case errors.Is(err, vault.ErrInvalidName), errors.Is(err, vault.ErrLegacyLimit):
		f.status, f.code = http.StatusBadRequest, "bad_request"
	case errors.Is(err, vault.ErrTooLarge):
		f.status, f.code = http.StatusRequestEntityTooLarge, "too_large"
	case errors.Is(err, vault.ErrNoSpace):
		f.status, f.code = http.StatusInsufficientStorage, "no_space"
	}
	return f
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
