package federation

import (
	"errors"
	"io/fs"
	"time"
)

// Errors of this package, one sentinel for each kind of failure. Test with [errors.Is]. The
// caller's [context.Canceled] is returned unchanged.
var (
	// ErrInvalidSource means that the text of a source is invalid, or that the source would
	// send a token unencrypted.
	ErrInvalidSource = errors.New("invalid identity source")
	// ErrTokenInvalid means that there is no token that may be sent: it is missing, malformed,
	// expired, from another issuer, or for another audience.
	ErrTokenInvalid = errors.New("no valid identity token")
	// ErrTenantMismatch means that the token belongs to another tenant than the expected one.
	ErrTenantMismatch = errors.New("tenant mismatch")
	// ErrUnavailable means that a source or the exchange did not respond in time; a retry may
	// succeed.
	ErrUnavailable = errors.New("identity service unavailable")
	// ErrRefused means that the token broker refused the session token, or that the cloud refused
	// the identity token.
	ErrRefused = errors.New("identity refused")
	// ErrLoginFile means that the file of a login must not be used: it is malformed, or other
	// users may access it. The message says how to repair it.
	ErrLoginFile = errors.New("unusable login file")
)

// A MissingError means that a source has no token now: its file cannot be opened, its variable is not
// set, or its command cannot be started. It wraps [ErrTokenInvalid].
type MissingError struct {
	Kind string // file, env, exec or github
	Name string // of the file, the variable or the command; empty for github
	Err  error
}

func (e *MissingError) Error() string { return ErrTokenInvalid.Error() + ": " + e.Err.Error() }

// Unwrap returns [ErrTokenInvalid] and Err.
func (e *MissingError) Unwrap() []error { return []error{ErrTokenInvalid, e.Err} }

// A LoginExpiredError means that a login exists but has expired. It wraps [fs.ErrNotExist].
type LoginExpiredError struct {
	At     time.Time
	Tenant string // of the login
	Source string // of the login: see [Login]
}

func (e *LoginExpiredError) Error() string {
	return "the login expired at " + clock(e.At) + ": " + fs.ErrNotExist.Error()
}

// Unwrap returns [fs.ErrNotExist].
func (e *LoginExpiredError) Unwrap() error { return fs.ErrNotExist }
