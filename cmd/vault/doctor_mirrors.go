package main

import (
	"context"
	"fmt"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// reportMirrors reports the mirrors of the profile, and what they do not have yet. The doctor examines the
// first store only: a mirror has settings of its own.
func (s *session) reportMirrors(ctx context.Context, l *lines, set config.Settings) error {
	for _, v := range set.Mirrors {
		_, mset, err := s.ofMirror(v)
		if err != nil {
			return err
		}
		l.setting("mirror", mirrorLabel(v, mset), "not checked here; use --profile or --store")
	}
	if len(set.Mirrors) == 0 {
		return nil
	}
	spools, err := s.machineSpools()
	if err != nil {
		return err
	}
	for _, sp := range spools {
		if sp.mirror == "" {
			continue
		}
		line := doctor.Line{Check: "mirror", Status: doctor.OK, Message: fmt.Sprintf("%s has every change of this machine", sp.mirror)}
		all, err := sp.All(ctx)
		switch {
		case err != nil:
			line.Status, line.Message, line.Hint = doctor.Warning, fmt.Sprintf("the notes about %s cannot be read: %v", sp.mirror, err), "check the directory of the spool and its owner"
		case len(all) > 0:
			line.Status, line.Hint = doctor.Warning, "run {vault} sync; {vault} spool ls shows the reasons"
			line.Message = fmt.Sprintf("%s does not have %s of this machine; the oldest is %s old", sp.mirror, plural(len(all), "change", "changes"), age(s.now(), all[0].Entry().Created))
		}
		l.report(line)
	}
	return nil
}
