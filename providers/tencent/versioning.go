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

// A versioning is a state of a bucket (436/19888). There is no way back to never.
type versioning string

const (
	unknown   versioning = ""
	never     versioning = "never"
	enabled   versioning = "Enabled"
	suspended versioning = "Suspended"
)

// state is what was found out, and when.
type state struct {
	mu sync.Mutex
	is versioning
	at time.Time
}

// believed is how long a bucket is taken for one that never had versioning. From a version
// that was written the other states are seen to be true or not.
const believed = time.Minute

func (s *state) get() versioning {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is
}

func (s *state) set(is versioning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.is, s.at = is, time.Now()
}

// stale reports whether to ask, for the first time or again.
func (s *state) stale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is == unknown || s.is == never && time.Since(s.at) > believed
}

// versioning returns the bucket's state, which it asks for if it has to.
func (s *store) versioning(ctx context.Context) (versioning, error) {
	if !s.state.stale() {
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
	is := never
	switch got.Status { // of a VersioningConfiguration, which cosblob saw to
	case "":
	case string(enabled):
		is = enabled
	default: // what else there may be one day is not never
		is = suspended
	}
	s.state.set(is)
	return is, nil
}

// versioningForCreate returns the state, or why create-only is impossible.
func (s *store) versioningForCreate(ctx context.Context) (versioning, error) {
	is, err := s.versioning(ctx)
	switch {
	case err != nil:
		return unknown, &unpublished{unreadable(err)}
	case is == suspended:
		return is, &vault.Cause{
			Service: service, Sentinel: vault.ErrUnsupported, Reason: vault.VersioningSuspended, Effect: vault.NotApplied,
			Message: "versioning of the bucket is suspended, where COS ignores create-only and overwrites",
		}
	}
	return is, nil
}

// unreadable says of a denial that it is the versioning that may not be read.
func unreadable(err error) error {
	if code(err) != "AccessDenied" {
		return err
	}
	return &vault.Cause{
		Service: service, Sentinel: vault.ErrPermission, Reason: vault.VersioningUnreadable, Effect: vault.Refused,
		Message: "the versioning of the bucket may not be read, and create-only, swap and history depend on it",
	}
}

// An undecided store could not learn the versioning of its bucket when it was opened. Each call
// that depends on it asks again, and fails for the reason for which that is not known.
type undecided struct{ *store }

// decided returns nil in a bucket that has, or had, versioning.
func (s undecided) decided(ctx context.Context) error {
	switch is, err := s.versioning(ctx); {
	case err != nil:
		return unreadable(err)
	case is == never:
		return fmt.Errorf("%w: it keeps no history", vault.ErrUnsupported)
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
		case errors.Is(err, vault.ErrUnsupported): // nothing stays
		case err != nil:
			yield(vault.Leftover{}, err)
		default:
			s.store.Leftovers(ctx, prefix)(yield)
		}
	}
}

// An unpublished write failed before anything was sent that could change the bucket.
type unpublished struct{ err error }

func (e *unpublished) Error() string { return e.err.Error() }
func (e *unpublished) Unwrap() error { return e.err }
