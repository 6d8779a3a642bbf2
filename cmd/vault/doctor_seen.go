package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// reportSeen reports where this machine records the revisions that it has seen, and whether it can.
func (s *session) reportSeen(ctx context.Context, l *lines, set config.Settings) error {
	location, err := s.location(set)
	if err != nil {
		return err
	}
	line := func(status doctor.Status, hint, format string, args ...any) {
		l.report(doctor.Line{Check: "seen", Status: status, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	log, err := s.openSeenLog(set, location)
	switch {
	case errors.Is(err, config.ErrNoHome):
		line(doctor.Warning, "set HOME, or OBJECTVAULT_SEEN to a directory", "the revisions that this machine sees are not recorded: %v", err)
		return nil
	case err != nil:
		return err
	case log == nil && set.Seen.Text == config.SeenOff:
		l.setting("seen", "off", origin(set.Seen, ""))
		return nil
	case log == nil:
		return nil // nothing is recorded for this store
	}
	l.setting("seen", log.Dir(), origin(set.Seen, "default"))
	switch r, err := log.Check(ctx); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		line(doctor.Warning, "check the directory and its owner, or set OBJECTVAULT_SEEN to another directory",
			"the revisions that this machine sees cannot be recorded, so an older object is not detected: %v", plain(err))
	case r.Damaged > 0:
		line(doctor.Warning, "vault removes these lines when it next writes the file; if lines are damaged again, check the disk",
			"%s in the record of revisions: for the names in them, an older object is not detected", plural(r.Damaged, "damaged line", "damaged lines"))
	default:
		line(doctor.OK, "", "the revisions of %s are recorded on this machine", plural(r.Objects, "name", "names"))
	}
	return nil
}
