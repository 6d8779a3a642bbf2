package federation

import (
	"errors"
	"io/fs"
	"time"
)

// What can go wrong, one sentinel a fact. Test with [errors.Is]; a caller's own
// [context.Canceled] is passed on as it is.
var (
	// ErrInvalidSource means that a source is written in a way that has no meaning, or
	// one that would send a token in the clear.
	ErrInvalidSource = errors.New("invalid identity source")
	// ErrTokenInvalid means that there is no token that may be sent: none where it should
	// be, or one that is malformed, expired, or for somebody else.
	ErrTokenInvalid = errors.New("no valid identity token")
	// ErrTenantMismatch means that the token is of another tenant than the one asked for.
	ErrTenantMismatch = errors.New("tenant mismatch")
	// ErrUnavailable means that a source or the exchange did not answer, or not in time;
	// trying again may help.
	ErrUnavailable = errors.New("identity service unavailable")
	// ErrRefused means that a broker or the cloud said no to the token or the session.
	ErrRefused = errors.New("identity refused")
	// ErrLoginFile means that the file of a login is there and is not one to be used:
	// others may read it, or it is malformed. The message says what to do.
	ErrLoginFile = errors.New("unusable login file")
)

// A LoginExpiredError means that there is a login, and that it has expired. It wraps
// [fs.ErrNotExist].
type LoginExpiredError struct{ At time.Time }

func (e *LoginExpiredError) Error() string {
	return "the login expired at " + clock(e.At) + ": " + fs.ErrNotExist.Error()
}

// Unwrap returns [fs.ErrNotExist].
func (e *LoginExpiredError) Unwrap() error { return fs.ErrNotExist }
