package main

import (
	"context"
	"fmt"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// storeRow is a line of get --all --json.
type storeRow struct {
	Store    string            `json:"store"`
	Status   vault.StoreStatus `json:"status"`
	Name     vault.Name        `json:"name"`
	Revision int64             `json:"revision,omitempty"`
	Rewrap   int               `json:"rewrap,omitempty"`
	Size     int64             `json:"size,omitempty"`
	Modified *time.Time        `json:"modified,omitempty"`
	Error    *report           `json:"error,omitempty"`
}

// compare prints what each store of the profile has under a name.
func (s *session) compare(ctx context.Context, name vault.Name) error {
	for _, flag := range []string{"output", "version", "range", "reveal", "accept-older", "expect-seen"} {
		if s.c.IsSet(flag) {
			return usagef("--all cannot be used with --%s", flag)
		}
	}
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	states, err := v.Compare(ctx, name)
	differ := 0
	table := s.columns("lrll", "STATUS", "REVISION", "WRITTEN", "STORE")
	for _, state := range states {
		row := storeRow{Store: state.Store, Status: state.Status, Name: name, Revision: state.Info.Revision, Rewrap: state.Info.Rewrap, Size: state.Info.Size}
		written, revision := "", ""
		if !state.Info.Modified.IsZero() {
			row.Modified = utc(state.Info.Modified)
			written, revision = timestamp(state.Info.Modified), revisionText(state.Info)
		}
		if state.Status != vault.StoreNewest {
			differ++
		}
		if state.Err != nil {
			failure := s.filled(explain("get", v.explainKey(state.Err)))
			failure.Name = string(name)
			row.Error = &failure
		}
		if s.json {
			if err := s.print(row); err != nil {
				return err
			}
			continue
		}
		if row.Error != nil {
			s.printError(*row.Error)
		}
		if err := table.add(string(state.Status), revision, written, state.Store); err != nil {
			return err
		}
	}
	if ferr := table.flush(); ferr != nil {
		return ferr
	}
	switch {
	case err != nil:
		return s.suggest(ctx, v.Vault, err)
	case differ == len(states):
		return hint(fmt.Errorf("%w: no store that answered has the newest value", errPartial), "{vault} sync repairs the stores when all can be reached")
	case differ > 0:
		return hint(fmt.Errorf("%w: the newest value is missing in %d of %d stores", errPartial, differ, len(states)), "{vault} sync repairs the stores that can be reached")
	}
	return nil
}

func revisionText(info vault.Info) string {
	if info.Rewrap > 0 {
		return fmt.Sprintf("%d.%d", info.Revision, info.Rewrap)
	}
	return fmt.Sprint(info.Revision)
}
