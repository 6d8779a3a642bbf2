package plainserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// Reasons to keep an item.
const (
	reasonOtherAgent  = "it belongs to another agent"
	reasonUnchecked   = "it could not be compared with the source again"
	reasonDenied      = "the token may not remove it"
	reasonRefused     = "the server did not remove it"
	reasonUnconfirmed = "the server did not confirm the removal, and still has it"
	reasonStillThere  = "the server confirmed the removal, and still has it"
	reasonUnknown     = "outcome unknown: the removal was requested, and the server may have it or not"
	allAtOnce         = "the server can only remove all credentials of the agent at once"
)

// remarkFile follows every removal.
const remarkFile = "The database file of the old server, its journals and its backups may still contain the removed values. Stop the old server and delete the file, or replace the credentials at their services."

// Shred implements [migrate.Source]. The server can only remove all credentials of the agent at once.
// So Shred lists them, reads and compares each, and lists them again. If the server has a service that
// was not verified, or another value, Shred removes nothing and keeps every item. If the response to
// the removal is lost, a list shows what happened. An item that was gone already counts as removed.
//
// A credential that another program stores between the last check and the removal is lost. The caller
// must ensure that no program stores credentials in the meantime.
func (s *Source) Shred(ctx context.Context, verified []migrate.Verified) (report migrate.ShredReport, err error) {
	var ours []migrate.Verified
	for _, v := range verified {
		if v.Agent == s.id {
			ours = append(ours, v)
		} else {
			report.Kept = append(report.Kept, migrate.Kept{Item: v.Item, Reason: reasonOtherAgent})
		}
	}
	if len(ours) == 0 {
		return report, nil
	}
	rest, reason, err := s.check(ctx, ours, &report)
	if reason != "" {
		keep(&report, ours, reason)
		return report, err
	}
	if rest { // otherwise another program has removed them all
		err = s.removeAll(ctx, ours, &report)
	} else {
		remove(&report, ours)
	}
	if len(report.Removed) > 0 {
		report.Remarks = append(report.Remarks, remarkFile)
	}
	return report, err
}

func keep(report *migrate.ShredReport, items []migrate.Verified, reason string) {
	for _, v := range items {
		report.Kept = append(report.Kept, migrate.Kept{Item: v.Item, Reason: reason})
	}
}

func remove(report *migrate.ShredReport, items []migrate.Verified) {
	for _, v := range items {
		report.Removed = append(report.Removed, v.Item)
	}
}

// check compares the server with the items. It returns a reason to keep them all, or reports whether
// the server has any of them.
func (s *Source) check(ctx context.Context, items []migrate.Verified, report *migrate.ShredReport) (rest bool, reason string, err error) {
	services, err := s.services(ctx)
	if err != nil {
		return false, reasonUnchecked, err
	}
	if reason := unverified(services, items); reason != "" {
		return false, reason, nil // without reading all of them
	}
	var unchanged []migrate.Verified
	var gone []string
	for _, v := range items {
		value, err := s.Read(ctx, v.Item)
		switch {
		case errors.Is(err, migrate.ErrGone):
			gone = append(gone, fmt.Sprintf("%q was already gone from the server.", v.Service))
			continue
		case err != nil:
			return false, reasonUnchecked, err
		}
		same := v.Same != nil && v.Same(value)
		clear(value)
		if !same {
			return false, fmt.Sprintf("%q has changed since it was verified, and %s", v.Service, allAtOnce), nil
		}
		unchanged = append(unchanged, v)
	}
	// The reads may have waited for minutes.
	if services, err = s.services(ctx); err != nil {
		return false, reasonUnchecked, err
	}
	if reason := unverified(services, unchanged); reason != "" {
		return false, reason, nil
	}
	report.Remarks = append(report.Remarks, gone...)
	return len(services) > 0, "", nil
}

// unverified returns the reason to keep everything if a service is not one of items.
func unverified(services []string, items []migrate.Verified) string {
	for _, service := range services {
		if !slices.ContainsFunc(items, func(v migrate.Verified) bool { return v.Service == service }) {
			return fmt.Sprintf("the server also has %q, which was not verified, and %s", service, allAtOnce)
		}
	}
	return ""
}

// removeAll removes everything that the agent has, and lists what remains.
func (s *Source) removeAll(ctx context.Context, items []migrate.Verified, report *migrate.ShredReport) error {
	err := s.client.teardown(ctx, s.agent)
	// Also after an interrupt the outcome must be known. The timeout limits this request.
	left, listErr := s.services(context.WithoutCancel(ctx))
	if err == nil && errors.Is(listErr, migrate.ErrGone) {
		listErr = nil // the server no longer knows the agent
	}
	if listErr != nil {
		keep(report, items, reasonUnknown)
		return errors.Join(err, listErr)
	}
	var gone, kept []migrate.Verified
	for _, v := range items {
		if slices.Contains(left, v.Service) {
			kept = append(kept, v)
		} else {
			gone = append(gone, v)
		}
	}
	remove(report, gone)
	if len(kept) == 0 {
		return nil // also if the response was lost
	}
	keep(report, kept, whyStillThere(err))
	return err
}

// whyStillThere returns the reason to keep an item that is listed after the removal returned err.
func whyStillThere(err error) string {
	switch {
	case err == nil:
		return reasonStillThere
	case errors.Is(err, migrate.ErrUnauthorized), errors.Is(err, migrate.ErrDenied):
		return reasonDenied
	case errors.Is(err, migrate.ErrSource), errors.Is(err, migrate.ErrGone):
		return reasonRefused
	}
	return reasonUnconfirmed
}
