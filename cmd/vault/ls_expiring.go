package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/cmd/vault/internal/lifecycle"
	"github.com/objectvault/objectvault/vault"
)

// What ends the life of a value first.
const (
	byValue = "value"     // the expiry that is sealed with it
	byRule  = "lifecycle" // a lifecycle rule of the bucket
)

// An expiryFilter selects the names that expire up to a time.
type expiryFilter struct {
	until time.Time
	rules []lifecycle.Rule
}

// expiryFilter returns the filter of --expiring or --expired, or nil.
func (s *session) expiryFilter() (*expiryFilter, error) {
	text := s.c.String("expiring")
	switch d, ok := argv.ParseDuration(text); {
	case s.c.IsSet("expiring") && s.c.Bool("expired"):
		return nil, usagef("--expiring and --expired exclude each other")
	case s.c.Bool("expired"):
		return &expiryFilter{until: s.now()}, nil
	case !s.c.IsSet("expiring"):
		return nil, nil
	case !ok:
		return nil, usagef("--expiring must be a duration such as 7d or 12h")
	default:
		return &expiryFilter{until: s.now().Add(d)}, nil
	}
}

// readRules reads the lifecycle rules of the bucket. If that is not possible, a message says so.
func (f *expiryFilter) readRules(ctx context.Context, s *session, v *opened) {
	var err error
	f.rules, err = s.lifecycleRules(ctx, v.Vault)
	switch {
	case errors.Is(err, vault.ErrPermission):
		s.note("this identity has no permission to read the lifecycle rules of the bucket, so only the expiry that is sealed with each value counts")
	case err != nil && ctx.Err() == nil:
		s.note("the lifecycle rules of the bucket cannot be read, so only the expiry that is sealed with each value counts: %s", explain("ls", err).Message)
	}
}

// lifecycleRules returns the lifecycle rules of the bucket, with one request. A store that is not in a cloud
// has none.
func (s *session) lifecycleRules(ctx context.Context, v *vault.Vault) ([]lifecycle.Rule, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	setting, err := v.Setting(ctx, "lifecycle")
	if err != nil {
		return nil, err
	}
	scheme, _, _ := strings.Cut(set.Store.Text, "://")
	rules, err := lifecycle.Parse(scheme, setting.Document)
	if err != nil {
		return nil, fmt.Errorf("%w: the response is not from the service", vault.ErrUnavailable)
	}
	return rules, nil
}

// selects reports whether the value of r expires in time, and records when.
func (f *expiryFilter) selects(r *row) bool {
	if !r.info.Pending { // the store does not have a pending value
		r.rule, _ = lifecycle.Expiry(f.rules, lifecycle.Object{Key: r.Key, Size: r.SealedSize, Modified: r.Modified})
	}
	r.first, r.by = r.info.Expires, byValue
	if r.first.IsZero() || !r.rule.IsZero() && r.rule.Before(r.first) {
		r.first, r.by = r.rule, byRule
	}
	return !r.first.IsZero() && !r.first.After(f.until)
}

// until returns the time from now to t, in one unit.
func until(now, t time.Time) string {
	switch d := t.Sub(now); {
	case d.Abs() < time.Second:
		return "now"
	case d > 0:
		return "in " + age(t, now)
	}
	return age(now, t) + " ago"
}

// explainGone adds to the error for a name that the store does not have any more that its value had
// expired, or that a lifecycle rule deletes it, if this machine knows that. It sends one request.
func (s *session) explainGone(ctx context.Context, v *vault.Vault, err error) error {
	seen := gone(err)
	text := ""
	if at := seen.Last.Expires; !at.IsZero() && !at.After(s.now()) {
		text += "; its value expired at " + timestamp(at)
	}
	ctx, cancel := context.WithTimeout(ctx, nearTime)
	defer cancel()
	rules, _ := s.lifecycleRules(ctx, v) // the explanation is not worth a second error
	written := time.UnixMicro(seen.Last.Revision).UTC()
	if seen.Last.Rewrap > 0 || written.Year() < 2000 { // it was written again later, or has no revision
		written = seen.Last.Time
	}
	at, rule := lifecycle.Expiry(rules, lifecycle.Object{Key: seen.Key, Size: -1, Modified: written})
	if !at.IsZero() && !at.After(s.now()) {
		text += fmt.Sprintf("; a lifecycle rule of the bucket deletes it %s, so not before %s", rule, timestamp(at))
	}
	if text == "" {
		return err
	}
	r := explain("", err)
	return about(vault.Name(r.Name), &reworded{err, r.Message + text})
}
