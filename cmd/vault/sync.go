package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func syncCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "sync",
		Usage:     "send the values that are saved on this machine to the store",
		UsageText: s.prog + " sync [--once|--watch]",
		Description: "Sends every pending value of the spool. It exits with 0 if none is left, with 75 if some are still\n" +
			"pending, and with 3 if the store refused some. " + s.prog + " spool ls lists them. With\n" +
			"keys_required = \"one\", a value may have been sealed without some key sources. sync adds these key\n" +
			"sources to the stored value.\n\n" +
			"If the profile has mirrors, sync also sends them the changes that they do not have, and compares\n" +
			"every name with the first store. It copies what is newer, in both directions, and prints a line for\n" +
			"each name that differed: copied, restored, removed, extra (only the mirror has it), different (two\n" +
			"writers stored it at the same time, or a clock is wrong) or failed. --watch does not compare.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " sync\n" +
			"   " + s.prog + " sync --watch --quiet",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "try once and exit; the default", DisableDefaultText: true},
			&cli.BoolFlag{Name: "watch", Usage: "keep running, and send values until interrupted", DisableDefaultText: true},
		},
		Action: s.action(s.sync),
	}
}

func (s *session) sync(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	if s.c.Bool("once") && s.c.Bool("watch") {
		return usagef("--once and --watch exclude each other")
	}
	sp, err := s.ownSpool()
	if err != nil && !(sp == nil && (s.hasMirrors() || s.mayOweKeys())) {
		return err
	}
	if s.c.Bool("watch") {
		return s.watch(ctx, sp)
	}
	sum, err := s.syncAll(ctx, sp, nil)
	if err != nil {
		return err
	}
	var rerr error
	own := sum.Pending
	if s.hasMirrors() {
		o, err := s.openOnce(ctx)
		if err != nil {
			if serr := s.summarize(sum, 0); serr != nil {
				return serr // values that wait on this machine matter more
			}
			return err
		}
		if sum, err = s.syncMirrors(ctx, o, sum, nil); err != nil {
			return err
		}
		rerr = s.repair(ctx, o)
	}
	oerr := s.syncOwed(ctx)
	if sp == nil && !s.hasMirrors() {
		return oerr
	}
	return cmp.Or(s.summarize(sum, sum.Pending-own), rerr, oerr)
}

// hasMirrors reports whether the settings have mirrors.
func (s *session) hasMirrors() bool {
	set, err := s.settings()
	return err == nil && len(set.Mirrors) > 0
}

// openOnce returns the open vault, or opens it.
func (s *session) openOnce(ctx context.Context) (*opened, error) {
	if s.opened != nil {
		return s.opened, nil
	}
	s.flushesLater = true
	return s.open(ctx, mustKeys)
}

// owesKeys reports whether an object of the store misses a key.
func (s *session) owesKeys() bool {
	set, err := s.settings()
	if err != nil {
		return false
	}
	location, err := s.location(set)
	if err != nil {
		return false
	}
	list, err := s.owed(location.SpoolID())
	return err == nil && len(list) > 0
}

// mayOweKeys reports whether the settings let put store a value that is not sealed for all keys.
func (s *session) mayOweKeys() bool {
	set, err := s.settings()
	return err == nil && set.KeysRequired.Text == config.KeysOne || s.owesKeys()
}

// syncOwed adds the missing keys of objects.
func (s *session) syncOwed(ctx context.Context) error {
	if !s.owesKeys() {
		return nil
	}
	o, err := s.openOnce(ctx)
	if err != nil {
		return err
	}
	return s.reportOwed(s.addOwed(ctx, o))
}

// ownSpool returns the spool of the store, for a command that is about it.
func (s *session) ownSpool() (*spool.Spool, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	location, err := s.location(set)
	if err != nil {
		return nil, err
	}
	set.SpoolRequired = true // without a directory there is nothing to do
	if spooling(set, location) {
		return s.openSpool(set, location, 0)
	}
	// put has no spool for this store, but capture and rotate have. They need the key of the spool.
	if sp, err := s.openSpoolOf(set, location.SpoolID(), identityID(set, location), 0); err == nil && (sp.HasKey() || sp.Reached()) {
		s.spoolAlways = true
		return sp, nil
	}
	return nil, hint(usagef("nothing is saved on this machine for this store"), "by default, put saves values only for stores in a cloud; for another store set --spool DIR")
}

// syncAll sends the entries of the caller's tenant, of all collections and vault ids. sp and each may
// be nil.
func (s *session) syncAll(ctx context.Context, sp *spool.Spool, each func(spool.Result) bool) (spool.Summary, error) {
	if sp == nil {
		return spool.Summary{}, nil
	}
	all, err := sp.All(ctx)
	if err != nil || len(all) == 0 {
		return spool.Summary{}, err
	}
	s.flushesLater = true
	s.opened = nil
	o, err := s.open(ctx, mustKeys)
	if err != nil {
		if errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnauthenticated) {
			return countEntries(all, spool.Summary{Cause: err}), nil
		}
		return spool.Summary{}, err
	}
	total, err := s.syncParts(ctx, o, sp, o.with, each)
	if err == nil && total.Sent > 0 {
		sp.MarkReached()
	}
	return total, err
}

// syncParts sends the entries of the caller's tenant in a spool, for each collection and vault id, with the
// vault that with returns.
func (s *session) syncParts(ctx context.Context, o *opened, sp *spool.Spool, with func(envelope.Ref) (*vault.Vault, error), each func(spool.Result) bool) (total spool.Summary, err error) {
	all, err := sp.All(ctx)
	if err != nil {
		return total, err
	}
	type part struct{ vault, collection string }
	done := make(map[part]bool)
	for _, e := range all {
		ref := e.Entry().Ref
		if ref.Tenant != "" && ref.Tenant != string(o.Tenant()) {
			continue // its own identity sends it
		}
		if p := (part{ref.Vault, ref.Collection}); done[p] {
			continue
		} else {
			done[p] = true
		}
		v, err := with(ref)
		if err != nil {
			return total, err
		}
		sum, err := s.send(ctx, o, sp, v, spool.SyncOptions{}, each)
		if err != nil {
			return total, err
		}
		total.Sent += sum.Sent
		if total.Cause == nil {
			total.Cause = sum.Cause
		}
	}
	left, err := sp.All(context.WithoutCancel(ctx))
	return countEntries(left, total), err
}

// countEntries adds the pending and the refused entries to sum.
func countEntries(all []vault.Spooled, sum spool.Summary) spool.Summary {
	for _, e := range all {
		if e.Entry().Refused {
			sum.Refused++
		} else {
			sum.Pending++
		}
	}
	return sum
}

// with returns the vault with another collection or vault id.
func (o *opened) with(ref envelope.Ref) (*vault.Vault, error) {
	v, _, err := o.withMirrors(ref)
	return v, err
}

// withMirrors is with, and also returns the mirrors of the vault.
func (o *opened) withMirrors(ref envelope.Ref) (v *vault.Vault, mirrors []*vault.Vault, err error) {
	options := o.options
	options.VaultID, options.Collection = ref.Vault, vault.Collection(ref.Collection)
	for _, m := range o.mirrors {
		mv, err := m.with(ref)
		if err != nil {
			return nil, nil, err
		}
		mirrors = append(mirrors, mv)
	}
	if options.Mirror != nil {
		mirror := *options.Mirror
		mirror.Vaults = mirrors
		options.Mirror = &mirror
	}
	v, err = vault.New(o.store, o.Tenant(), o.sources, &options)
	return v, mirrors, err
}

// summarize reports what sync left. notes is the number of pending changes that only a mirror does not have.
func (s *session) summarize(sum spool.Summary, notes int) error {
	if s.json {
		j := struct {
			Sent    int    `json:"sent"`
			Pending int    `json:"pending"`
			Refused int    `json:"refused"`
			Reason  string `json:"reason,omitempty"`
			// Unfinished are the bytes of uploads that may remain.
			Unfinished int64 `json:"unfinished,omitempty"`
		}{sum.Sent, sum.Pending, sum.Refused, "", s.unfinished}
		if sum.Cause != nil {
			j.Reason = explain("sync", causeOf(sum.Cause)).Message
		}
		if err := s.print(j); err != nil {
			return err
		}
	} else {
		s.note("%d sent, %d pending, %d refused", sum.Sent, sum.Pending, sum.Refused)
	}
	left := plural(sum.Pending-notes, "value is", "values are") + " on this machine only"
	switch {
	case notes == sum.Pending:
		left = plural(notes, "change is", "changes are") + " not yet in a mirror"
	case notes > 0:
		left += ", and " + plural(notes, "change is", "changes are") + " not yet in a mirror"
	}
	switch {
	case sum.Pending > 0 && sum.Cause != nil:
		r := explain("sync", causeOf(sum.Cause))
		return hint(&savedError{vault.ErrSpooled, left + ": " + r.Message}, "%s", r.Hint)
	case sum.Pending > 0:
		return hint(&savedError{vault.ErrSpooled, left}, "another process is sending the values, or they belong to another tenant; {vault} spool ls lists them")
	case sum.Refused > 0:
		return hint(tagged{errors.New(plural(sum.Refused, "value was", "values were") + " refused by the store"), errPartial}, "{vault} spool ls shows the reasons; {vault} spool retry sends a refused value again, and {vault} spool drop deletes it")
	}
	return nil
}

// causeOf returns why a value is not in the store.
func causeOf(err error) error {
	var spooled *vault.SpooledError
	if errors.As(err, &spooled) {
		return spooled.Err
	}
	return err
}

const (
	firstWatch = time.Second
	lastWatch  = time.Minute
)

// watch sends values, and adds missing keys, until ctx ends. sp may be nil.
func (s *session) watch(ctx context.Context, sp *spool.Spool) error {
	wait := firstWatch
	for {
		each := func(r spool.Result) (printed bool) {
			switch {
			case r.Err == nil:
				s.note("sent %s, put at %s", r.Entry.Ref.Name, timestamp(r.Entry.Created))
			case !errors.Is(r.Err, context.Canceled):
				s.note("%s: %s", r.Entry.Ref.Name, explain("sync", causeOf(r.Err)).Message)
				return true
			}
			return false
		}
		sum, err := s.syncAll(ctx, sp, each)
		if err == nil && s.hasMirrors() && s.mirrorsWait(ctx) {
			o, oerr := s.openOnce(ctx)
			switch {
			case oerr == nil:
				sum, err = s.syncMirrors(ctx, o, sum, each)
			case errors.Is(oerr, vault.ErrUnavailable), errors.Is(oerr, vault.ErrUnauthenticated):
				sum.Pending++ // try again later
			default:
				err = oerr
			}
		}
		if err == nil {
			if oerr := s.syncOwed(ctx); oerr != nil && ctx.Err() == nil {
				s.note("%s", explain("sync", oerr).Message)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if wait = min(2*wait, lastWatch); sum.Pending == 0 {
			wait = firstWatch
		}
		if s.opened != nil {
			s.opened.close()
			s.opened = nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
