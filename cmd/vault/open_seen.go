package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vaulturl"
)

// This file opens what this machine remembers of a store: the newest state of each object.

// openSeenLog returns the log of the store, or nil if nothing is remembered: the store is not in a cloud,
// has no mirrors, and no directory is set, or it is switched off.
func (s *session) openSeenLog(set config.Settings, l *vaulturl.Location) (*seen.Log, error) {
	dir := set.Seen.Text
	switch {
	case dir == config.SeenOff, dir == "" && !l.InCloud() && len(set.Mirrors) == 0:
		return nil, nil
	case dir == "":
		var err error
		if dir, err = s.places().Seen(); err != nil {
			return nil, err
		}
	}
	return seen.Open(seen.Config{Dir: dir, Store: l.SpoolID(), Warn: func(err error) { s.note("%v", err) }})
}

// openSeen is openSeenLog for a vault. Without a home directory nothing is remembered.
func (s *session) openSeen(set config.Settings, l *vaulturl.Location) (vault.Seen, error) {
	log, err := s.openSeenLog(set, l)
	if log == nil || errors.Is(err, config.ErrNoHome) {
		return nil, nil
	}
	return log, err
}

// ownSeenLog is openSeenLog for the commands that need the log.
func (s *session) ownSeenLog() (*seen.Log, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	location, err := s.location(set)
	if err != nil {
		return nil, err
	}
	log, err := s.openSeenLog(set, location)
	switch {
	case errors.Is(err, config.ErrNoHome):
		return nil, hint(fmt.Errorf("there is no directory for the revisions that were seen: %w", err), "set HOME, or OBJECTVAULT_SEEN to a directory")
	case err == nil && log == nil:
		return nil, hint(usagef("this machine does not record the revisions of this store"), "by default, only the revisions of stores in a cloud are recorded; for another store set OBJECTVAULT_SEEN to a directory")
	}
	return log, err
}

func acceptOlderFlag() cli.Flag {
	return boolFlag("accept-older", "accept the object although this machine has seen a newer one, and remember the accepted object as the newest")
}

func expectSeenFlag() cli.Flag {
	return boolFlag("expect-seen", "exit with 15 instead of 10 if the name is not in the store, but this machine has seen it there")
}

// acceptOlder accepts the object of name with --accept-older. If that fails, the read that follows
// reports why.
func (s *session) acceptOlder(ctx context.Context, v *opened, name vault.Name) {
	if s.c.Bool("accept-older") && v.keyed {
		v.AcceptOlder(ctx, name)
	}
}

// gone returns the error for a name that this machine has seen, and that the store does not have any
// more; nil: err is another error.
func gone(err error) *vault.SeenError {
	var seen *vault.SeenError
	if errors.Is(err, vault.ErrNotFound) && errors.As(err, &seen) {
		return seen
	}
	return nil
}

// expectSeen makes the absence of a name a rollback, with --expect-seen.
func (s *session) expectSeen(err error) error {
	if s.c.Bool("expect-seen") {
		return tagged{err, vault.ErrRollback}
	}
	return err
}
