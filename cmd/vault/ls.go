package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func lsCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "list names",
		UsageText: s.prog + " ls [PREFIX]",
		Description: "Lists the names that start with PREFIX: as a table on a terminal, otherwise one name per line.\n" +
			"The table shows the size of each sealed object. ls needs no key. With a signer as key source, it\n" +
			"also lists what agentKeys stored for the same wallet.\n\n" +
			"--long also opens each object, and shows the size of the value, its revision, expiry and type.\n" +
			"Without a key, --long shows only the size of the value and its revision, and cannot verify\n" +
			"them. If the output is not a terminal, --long prints these columns, separated by tabs: name,\n" +
			"size, revision, modified, expires, type.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " ls acme/\n" +
			"   " + s.prog + " ls --long --json",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "open each object and show its details", DisableDefaultText: true},
			acceptOlderFlag(),
		},
		Action: s.action(s.ls),
	}
}

func (s *session) ls(ctx context.Context) error {
	args, err := s.arguments(0, 1)
	if err != nil {
		return err
	}
	prefix := ""
	if len(args) == 1 {
		prefix = args[0]
	}
	long, need := s.c.Bool("long"), noKeys
	if s.c.Bool("accept-older") && !long {
		return usagef("--accept-older needs --long")
	}
	if long {
		need = anyKeys
	}
	v, err := s.open(ctx, need)
	if err != nil {
		return err
	}
	if long && !v.keyed {
		s.note("there is no root key: the sealed details are not shown, and nothing is verified")
	}
	return s.list(ctx, v, prefix, long)
}

// A row is a line of ls.
type row struct {
	vault.Entry
	info vault.Info // with --long
	err  error      // set if the header could not be read
}

// list lists the objects of the store, and the values that wait in the spool.
func (s *session) list(ctx context.Context, v *opened, prefix string, long bool) error {
	u := s.ui
	list := &lister{u: u, long: long, waiting: v.waiting(ctx, prefix)}
	list.table = u.columns("lrr", "NAME", "SIZE", "AGE")
	if long {
		list.table = u.columns("lrlrll", "NAME", "SIZE", "REVISION", "AGE", "EXPIRES", "TYPE")
	}
	if err := errors.Join(s.eachRow(ctx, v, prefix, list), list.addWaiting()); err != nil {
		return errors.Join(list.table.flush(), err)
	}
	return list.end()
}

// eachRow adds the objects of the store. With --long it reads several headers at a time.
func (s *session) eachRow(ctx context.Context, v *opened, prefix string, list *lister) error {
	if list.long {
		return eachEntry(ctx, v.Vault, prefix, func(ctx context.Context, e vault.Entry) row {
			r := row{Entry: e}
			if !e.Foreign {
				s.acceptOlder(ctx, v, e.Name)
				r.info, r.err = v.Stat(ctx, e.Name)
			}
			return r
		}, list.add)
	}
	list.table.batch = 100
	for e, err := range v.List(ctx, &vault.ListOptions{Prefix: prefix}) {
		if err == nil {
			err = list.add(row{Entry: e})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type lister struct {
	u       *ui
	long    bool
	table   *columns
	foreign int
	failed  int
	waiting map[vault.Name]vault.SpoolEntry // those that were not listed yet
}

func (l *lister) add(r row) error {
	var e *vault.Error
	switch {
	case errors.Is(r.err, context.Canceled), errors.Is(r.err, context.DeadlineExceeded):
		return r.err
	case l.long && errors.Is(r.err, vault.ErrNotFound):
		return nil // the object was removed after it was listed
	case errors.As(r.err, &e):
		l.failed++
		if l.u.json {
			return l.u.print(struct {
				Name  vault.Name `json:"name"`
				Error report     `json:"error"`
			}{r.Name, l.u.filled(explain("ls", r.err))})
		}
		l.u.printError(explain("ls", r.err))
	case r.Foreign:
		l.foreign++
	}
	state := ""
	if e, ok := l.waiting[r.Name]; ok && r.Name != "" {
		state = stateOf(e)
		delete(l.waiting, r.Name)
	}
	if l.u.json {
		return l.u.print(l.json(r, state))
	}
	if r.Foreign && !l.u.outTTY {
		return nil
	}
	name := string(r.Name)
	if r.Foreign {
		name = "(foreign) " + r.Key
	}
	modified := timestamp(r.Modified)
	if state != "" && l.u.outTTY {
		name += " (" + state + " in the spool)"
	}
	if l.u.outTTY {
		modified = age(l.u.now(), r.Modified)
	}
	switch {
	case !l.long && l.u.outTTY:
		return l.table.add(name, size(r.SealedSize), modified)
	case !l.long:
		return l.table.add(name)
	case r.Foreign || r.err != nil:
		return l.table.add(name, "", "", modified, "", "")
	}
	bytes := fmt.Sprint(r.info.Size)
	if l.u.outTTY {
		bytes = size(r.info.Size)
	}
	revision, kind := fmt.Sprint(r.info.Revision), r.info.ContentType
	if r.info.Legacy != "" {
		revision, kind = "", "agentKeys "+r.info.Legacy
	}
	return l.table.add(name, bytes, revision, modified, timestamp(r.info.Expires), kind)
}

// stateOf returns the state of an entry, as ls and spool ls show it.
func stateOf(e vault.SpoolEntry) string {
	if e.Refused {
		return "refused"
	}
	return "pending"
}

// addWaiting adds the names that are only in the spool.
func (l *lister) addWaiting() error {
	for _, name := range slices.Sorted(maps.Keys(l.waiting)) {
		e := l.waiting[name]
		r := row{Entry: vault.Entry{Name: name, SealedSize: e.Size, Modified: e.Created}}
		r.info = vault.Info{Name: name, Revision: e.Revision, SealedSize: e.Size, Modified: e.Created, Pending: true}
		if e.Refused {
			continue // spool ls lists it
		}
		if err := l.add(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) json(r row, state string) any {
	switch {
	case r.Foreign:
		return infoJSON{Key: r.Key, Foreign: true, SealedSize: r.SealedSize, Modified: utc(r.Modified)}
	case l.long:
		j := toJSON(r.info)
		j.Spool = state
		return j
	}
	return struct {
		Name       vault.Name `json:"name"`
		SealedSize int64      `json:"sealed_size"`
		Modified   *time.Time `json:"modified,omitempty"`
		Spool      string     `json:"spool,omitempty"` // pending or refused: a value of the name waits on this machine
	}{r.Name, r.SealedSize, utc(r.Modified), state}
}

func (l *lister) end() error {
	if err := l.table.flush(); err != nil {
		return err
	}
	if l.foreign > 0 && !l.u.outTTY && !l.u.json {
		l.u.note("%d objects that vault did not store are not shown; --json shows them", l.foreign)
	}
	if l.failed > 0 {
		return fmt.Errorf("%w: %d objects could not be read", errPartial, l.failed)
	}
	return nil
}
