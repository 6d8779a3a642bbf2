package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func historyCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "history",
		Usage:     "list the versions of a name",
		UsageText: s.prog + " history NAME",
		Description: "Lists the versions of NAME, the newest first. Each version has an id, which the store assigns,\n" +
			"and a revision, which is a number that increases with each write. For get --version and\n" +
			"rollback, use the id in the first column, @2 for the version in the second line, or\n" +
			"r:REVISION. If the output is not a terminal, the columns are separated by tabs: version,\n" +
			"revision, size, modified, state. history needs no key.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " history openai\n" +
			"   " + s.prog + " get openai --version @2 -o old",
		Action: s.action(s.history),
	}
}

func (s *session) history(ctx context.Context) error {
	args, err := s.arguments(1, 1)
	if err != nil {
		return err
	}
	name, err := s.name(args[0])
	if err != nil {
		return err
	}
	v, err := s.open(ctx, noKeys)
	if err != nil {
		return err
	}
	return noHistory(s.suggest(ctx, v.Vault, history(ctx, s.ui, v.Vault, name)))
}

// A historyLine is a line of history --json.
type historyLine struct {
	Version  string     `json:"version"`
	Revision int64      `json:"revision,omitempty"`
	Size     *int64     `json:"size,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
	Current  bool       `json:"current"`
	Deleted  bool       `json:"deleted"`
	Damaged  bool       `json:"damaged,omitempty"`
	Format   string     `json:"format,omitempty"` // agentkeys; absent: an envelope
}

func history(ctx context.Context, u *ui, v *vault.Vault, name vault.Name) error {
	table := u.columns("llrll", "VERSION", "REVISION", "SIZE", "WHEN", "STATE")
	for e, err := range v.History(ctx, name) {
		if err != nil {
			return errors.Join(table.flush(), err)
		}
		readable := !e.Deleted && !e.Damaged
		format := ""
		if e.Legacy {
			format = "agentkeys"
		}
		if u.json {
			l := historyLine{Version: e.Version, Revision: e.Revision, Modified: utc(e.Modified), Current: e.Current, Deleted: e.Deleted, Damaged: e.Damaged, Format: format}
			if readable {
				l.Size = &e.Size
			}
			if err := u.print(l); err != nil {
				return err
			}
			continue
		}
		revision, bytes, state := "", "", ""
		if readable {
			if bytes = fmt.Sprint(e.Size); !e.Legacy {
				revision = fmt.Sprint(e.Revision)
			}
			if u.outTTY {
				bytes = size(e.Size)
			}
		}
		switch {
		case e.Deleted:
			state = "deleted"
		case e.Damaged:
			state = "damaged"
		case e.Legacy:
			state = "agentKeys"
		}
		if e.Current {
			state = join(state, "current")
		}
		if err := table.add(e.Version, revision, bytes, timestamp(e.Modified), state); err != nil {
			return err
		}
	}
	return table.flush()
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// noHistory adds a hint to the error of a store that keeps no history.
func noHistory(err error) error {
	if errors.Is(err, vault.ErrUnsupported) {
		return hint(err, "enable versioning for the bucket, or remove versions=0 from a file:// URL")
	}
	return err
}
