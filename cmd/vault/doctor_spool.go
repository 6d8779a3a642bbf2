package main

import (
	"context"
	"fmt"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// reportSpool reports where values are saved until the store has them, and which are.
func (s *session) reportSpool(ctx context.Context, l *lines, set config.Settings) error {
	location, err := s.location(set)
	if err != nil {
		return err
	}
	line := func(status doctor.Status, hint, format string, args ...any) {
		l.report(doctor.Line{Check: "spool", Status: status, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	required := set
	required.SpoolRequired = true
	sp, err := s.openSpool(required, location, 0)
	switch {
	case err != nil:
		line(doctor.Warning, "set HOME, or --spool DIR", "put cannot save values on this machine: %v", err)
		return nil
	case sp == nil:
		return nil // this store has none
	}
	l.setting("spool", sp.Dir(), origin(set.Spool, "default"))
	if fs := s.fileSystem(sp.Dir()); fs != "" {
		line(doctor.Warning, "set --spool to a directory on a disk, or mount a volume there",
			"the spool is on %s: a value that is saved there may be lost when the machine or the container ends", fs)
	}
	all, err := sp.All(ctx)
	if err != nil {
		line(doctor.Warning, "check the directory and its owner", "the spool cannot be read: %v", err)
		return nil
	}
	pending, refused, lost := 0, 0, 0
	for _, e := range all {
		switch {
		case e.Entry().Refused:
			refused++
		default:
			pending++
		}
		if e.Entry().Local && !sp.HasKey() {
			lost++
		}
	}
	if len(all) == 0 {
		line(doctor.OK, "", "the spool is empty")
	} else {
		put := age(s.now(), all[0].Entry().Created)
		if put == "now" {
			put = "just now"
		} else {
			put += " ago"
		}
		line(doctor.Warning, "run {vault} sync; {vault} spool ls shows the reasons", "%s on this machine only: %d pending, %d refused by the store; the oldest was put %s",
			plural(len(all), "value is", "values are"), pending, refused, put)
	}
	if lost > 0 {
		line(doctor.Fail, "restore the file spool.key from a backup", "%s cannot be opened, because the key of the spool is missing", plural(lost, "value", "values"))
	}
	return nil
}
