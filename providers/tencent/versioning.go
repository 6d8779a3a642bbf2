package tencent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/vault"
)

// A versioning is the versioning state of a bucket (436/19888). A bucket cannot return to never.
type versioning string

const (
	unknown   versioning = ""
	never     versioning = "never"
	enabled   versioning = "Enabled"
	suspended versioning = "Suspended"
)

// A state is the last known versioning, with the time of the request.
type state struct {
	mu   sync.Mutex
	last versioning
	at   time.Time
}

// maxNeverAge is the time after which the state never is checked again. A change of the other states
// shows when a version is written.
const maxNeverAge = time.Minute

func (s *state) get() versioning {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *state) set(v versioning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.at = v, time.Now()
}

// isStale reports whether the versioning must be requested.
func (s *state) isStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last == unknown || s.last == never && time.Since(s.at) > maxNeverAge
}

// versioning returns the state of the bucket. It requests the state if necessary.
func (s *store) versioning(ctx context.Context) (versioning, error) {
	if !s.state.isStale() {
		return s.state.get(), nil
	}
	var got *cos.BucketGetVersionResult
	err := s.try(ctx, reading, func(ctx context.Context) (err error) {
		got, _, err = s.client.Bucket.GetVersioning(ctx)
		return err
	})
	if err != nil {
		return unknown, err
	}
	current := never
	switch got.Status { // cosblob has checked that the response is a VersioningConfiguration
	case "":
	case string(enabled):
		current = enabled
	default: // treat an unknown state like suspended, the state with the fewest guarantees
		current = suspended
	}
	s.state.set(current)
	return current, nil
}

// versioningForCreate returns the state, or an error if create-only is not possible.
func (s *store) versioningForCreate(ctx context.Context) (versioning, error) {
	current, err := s.versioning(ctx)
	switch {
	case err != nil:
		return unknown, &unpublished{unreadable(err)}
	case current == suspended:
		return current, &vault.Cause{
			Service: service, Sentinel: vault.ErrUnsupported, Reason: vault.VersioningSuspended, Effect: vault.NotApplied,
			Message: "versioning of the bucket is suspended; in this state COS ignores create-only and replaces the object",
		}
	}
	return current, nil
}

// unreadable turns a denial into an error that names the missing permission.
func unreadable(err error) error {
	if code(err) != "AccessDenied" || failureOf(err).reason != vault.AccessDenied {
		return err
	}
	return &vault.Cause{
		Service: service, Sentinel: vault.ErrPermission, Reason: vault.VersioningUnreadable, Effect: vault.Refused,
		Message: "permission to read the versioning of the bucket is missing; create-only, compare-and-swap and history need it",
	}
}

// An undecided store could not read the versioning of its bucket when it was opened. Each call that
// depends on the versioning requests it again, and returns the error if the request fails.
type undecided struct{ *store }

// decided returns nil if the bucket has or had versioning.
func (s undecided) decided(ctx context.Context) error {
	switch current, err := s.versioning(ctx); {
	case err != nil:
		return unreadable(err)
	case current == never:
		return fmt.Errorf("%w: it has no version history", vault.ErrUnsupported)
	}
	return nil
}

func (s undecided) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		if err := s.decided(ctx); err != nil {
			yield(vault.Version{}, err)
			return
		}
		s.store.Versions(ctx, key)(yield)
	}
}

func (s undecided) OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error) {
	if err := s.decided(ctx); err != nil {
		return nil, "", err
	}
	return s.store.OpenVersion(ctx, key, id, offset, length)
}

func (s undecided) Leftovers(ctx context.Context, prefix string) iter.Seq2[vault.Leftover, error] {
	return func(yield func(vault.Leftover, error) bool) {
		switch err := s.decided(ctx); {
		case errors.Is(err, vault.ErrUnsupported): // without versioning there are no leftovers
		case err != nil:
			yield(vault.Leftover{}, err)
		default:
			s.store.Leftovers(ctx, prefix)(yield)
		}
	}
}

// An unpublished error is the error of a write that failed before any request could change the
// bucket.
type unpublished struct{ err error }

func (e *unpublished) Error() string { return e.err.Error() }
func (e *unpublished) Unwrap() error { return e.err }
