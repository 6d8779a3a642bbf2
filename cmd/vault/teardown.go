package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func teardownCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "teardown",
		Usage:     "remove all objects of the tenant",
		UsageText: s.prog + " teardown [--all-collections] [--purge] [--yes]",
		Description: "Removes every object of the tenant in the collection, including objects that vault did not\n" +
			"store. On a terminal it asks for confirmation; otherwise it requires --yes. Old versions stay\n" +
			"in the history, unless --purge permanently deletes them, too. If teardown cannot remove some\n" +
			"objects, it exits with code 3. teardown needs no key. With a signer as key source, it also\n" +
			"removes what agentKeys stored for the same wallet, under a second prefix.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " teardown --tenant 0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a\n" +
			"   " + s.prog + " teardown --all-collections --purge --yes --json",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all-collections", Usage: "remove all collections of the tenant", DisableDefaultText: true},
			&cli.BoolFlag{Name: "purge", Usage: "also delete the history, permanently", DisableDefaultText: true},
		},
		Action: s.action(s.teardown),
	}
}

func (s *session) teardown(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	if err := s.canConfirm("teardown removes all objects"); err != nil {
		return err
	}
	v, err := s.open(ctx, noKeys)
	if err != nil {
		return err
	}
	o := &vault.TeardownOptions{AllCollections: s.c.Bool("all-collections"), Purge: s.c.Bool("purge")}
	objects := "collection " + string(v.Collection())
	if o.AllCollections {
		objects = "all collections"
	}
	if o.Purge {
		objects += " and their history, permanently,"
	}
	if err := s.confirm(ctx, v, "Remove "+objects); err != nil {
		return err
	}
	return teardown(ctx, s.ui, v.Vault, o)
}

func teardown(ctx context.Context, u *ui, v *vault.Vault, o *vault.TeardownOptions) error {
	result, err := v.Teardown(ctx, o)
	if ctx.Err() != nil {
		err = ctx.Err() // the reason why objects are left
	}
	if err != nil && !errors.Is(err, vault.ErrPartial) {
		if result.Deleted > 0 {
			u.note("%s removed before the error", plural(result.Deleted, "object was", "objects were"))
		}
		if n := len(result.Failed); n > 0 {
			u.note("%s could not be removed", plural(n, "object", "objects"))
		}
		return err
	}
	if u.json {
		if err := u.print(teardownJSON(result)); err != nil {
			return err
		}
	} else {
		u.printTeardown("", result, o)
		for _, m := range result.Mirrors {
			u.printTeardown(" from the mirror "+m.Store, m.TeardownResult, o)
			if m.Err != nil && !errors.Is(m.Err, vault.ErrPartial) {
				u.note("the mirror %s was not emptied: %s", m.Store, explain("teardown", m.Err).Message)
			}
		}
	}
	n := len(result.Failed)
	for _, m := range result.Mirrors {
		n += len(m.Failed)
	}
	if n > 0 {
		return fmt.Errorf("%w: %s left", errPartial, plural(n, "object is", "objects are"))
	}
	return err
}

// printTeardown prints the result in one store.
func (u *ui) printTeardown(store string, result vault.TeardownResult, o *vault.TeardownOptions) {
	for _, f := range result.Failed {
		r := explain("teardown", f.Err)
		r.Name = f.Key
		u.printError(r)
	}
	u.note("%s removed%s", plural(result.Deleted, "object", "objects"), store)
	switch {
	case result.LeftInHistory > 0:
		u.note("%s left in the history; teardown --purge deletes old versions permanently", plural(result.LeftInHistory, "old version is", "old versions are"))
	case result.LeftInHistory < 0:
		u.note("old versions may be left in the history; this store does not report them")
	}
	if o.Purge {
		u.note("%s removed", plural(result.Purged, "old version", "old versions"))
	}
}

// tornDown is the JSON form of a teardown.
type tornDown struct {
	Deleted       int               `json:"deleted"`
	Purged        int               `json:"purged,omitempty"`
	LeftInHistory *int              `json:"left_in_history,omitempty"` // nil: the store does not report old versions
	Failed        []teardownFailure `json:"failed"`
	Store         string            `json:"store,omitempty"` // of a mirror
	Mirrors       []*tornDown       `json:"mirrors,omitempty"`
}

type teardownFailure struct {
	Name    vault.Name `json:"name,omitempty"`
	Key     string     `json:"key"`
	Code    int        `json:"code"`
	Kind    string     `json:"kind"`
	Message string     `json:"message"`
}

func teardownJSON(result vault.TeardownResult) *tornDown {
	j := &tornDown{Deleted: result.Deleted, Purged: result.Purged, Failed: []teardownFailure{}}
	if result.LeftInHistory >= 0 {
		j.LeftInHistory = &result.LeftInHistory
	}
	for _, f := range result.Failed {
		r := explain("teardown", f.Err)
		j.Failed = append(j.Failed, teardownFailure{f.Name, f.Key, r.Code, r.Kind, r.Message})
	}
	for _, m := range result.Mirrors {
		one := teardownJSON(m.TeardownResult)
		one.Store = m.Store
		j.Mirrors = append(j.Mirrors, one)
	}
	return j
}
