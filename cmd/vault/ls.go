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
			"--expiring and --expired list only the names whose value expires soon, or has expired: at the\n" +
			"earlier of the time that put --expires sealed with it, and the time from which a lifecycle rule of\n" +
			"the bucket may delete the object. The table shows this time, and which of the two it is. With\n" +
			"--long, this time replaces the sealed one, and a last column has which it is. Both flags need the\n" +
			"key, and send one request for each name, because only the object itself has the sealed time. If\n" +
			"this identity may not read the lifecycle rules, only the sealed time counts, and a message says so.\n" +
			"With --json, deleted_from is the time of the rule, first_expiry the earlier time, and expires_by is\n" +
			"value or lifecycle.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " ls acme/\n" +
			"   " + s.prog + " ls --long --json\n" +
			"   " + s.prog + " ls --expiring 7d",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "open each object and show its details", DisableDefaultText: true},
			&cli.StringFlag{Name: "expiring", Usage: "list the names that expire within the `DURATION`, such as 7d or 12h, and those that have expired"},
			boolFlag("expired", "list the names that have expired"),
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
	expiry, err := s.expiryFilter()
	switch {
	case err != nil:
		return err
	case expiry != nil:
		need = mustKeys
	case s.c.Bool("accept-older") && !long:
		return usagef("--accept-older needs --long, --expiring or --expired")
	case long:
		need = anyKeys
	}
	v, err := s.open(ctx, need)
	if err != nil {
		return err
	}
	if long && !v.keyed {
		s.note("there is no root key: the sealed details are not shown, and nothing is verified")
	}
	if expiry != nil {
		expiry.readRules(ctx, s, v)
	}
	return s.list(ctx, v, prefix, long, expiry)
}

// A row is a line of ls.
type row struct {
	vault.Entry
	info vault.Info // if the lister opens the objects
	err  error      // set if the header could not be read

	rule, first time.Time // from when a lifecycle rule may delete the object; the earlier of this and the sealed expiry
	by          string    // byValue or byRule: which of the two is the earlier one
}

// list lists the objects of the store, and the values that wait in the spool.
func (s *session) list(ctx context.Context, v *opened, prefix string, long bool, expiry *expiryFilter) error {
	u := s.ui
	list := &lister{u: u, long: long, expiry: expiry, waiting: v.waiting(ctx, prefix)}
	switch {
	case long && expiry != nil:
		list.table = u.columns("lrlrLll", "NAME", "SIZE", "REVISION", "AGE", "EXPIRES", "TYPE", "BY")
	case long:
		list.table = u.columns("lrlrLl", "NAME", "SIZE", "REVISION", "AGE", "EXPIRES", "TYPE")
	case expiry != nil:
		list.table = u.columns("lLl", "NAME", "EXPIRES", "BY")
	default:
		list.table = u.columns("lrr", "NAME", "SIZE", "AGE")
	}
	if err := errors.Join(s.eachRow(ctx, v, prefix, list), list.addWaiting(ctx, v)); err != nil {
		return errors.Join(list.table.flush(), err)
	}
	return list.end()
}

// eachRow adds the objects of the store. With --long, --expiring or --expired it reads several headers at
// a time.
func (s *session) eachRow(ctx context.Context, v *opened, prefix string, list *lister) error {
	if list.opens() {
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
	expiry  *expiryFilter // nil: all names are listed
	table   *columns
	foreign int
	failed  int
	waiting map[vault.Name]vault.SpoolEntry // those that were not listed yet
}

// opens reports whether the header of each object is read.
func (l *lister) opens() bool { return l.long || l.expiry != nil }

func (l *lister) add(r row) error {
	var e *vault.Error
	switch {
	case errors.Is(r.err, context.Canceled), errors.Is(r.err, context.DeadlineExceeded):
		return r.err
	case l.opens() && errors.Is(r.err, vault.ErrNotFound):
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
		if l.expiry != nil {
			return nil // it is not known to expire
		}
	case l.expiry != nil && (r.Foreign || !l.expiry.selects(&r)):
		return nil
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
	expires, mark := r.info.Expires, noEmphasis
	if l.expiry != nil {
		expires = r.first
	}
	if !expires.IsZero() && !expires.After(l.u.now()) {
		mark = notable
	}
	switch {
	case !l.long && l.u.outTTY && l.expiry != nil:
		return l.table.addEmphasized(mark, name, until(l.u.now(), expires), r.by)
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
	if l.expiry != nil {
		return l.table.addEmphasized(mark, name, bytes, revision, modified, timestamp(expires), kind, r.by)
	}
	return l.table.addEmphasized(mark, name, bytes, revision, modified, timestamp(expires), kind)
}

// stateOf returns the state of an entry, as ls and spool ls show it.
func stateOf(e vault.SpoolEntry) string {
	if e.Refused {
		return "refused"
	}
	return "pending"
}

// addWaiting adds the names that are only in the spool.
func (l *lister) addWaiting(ctx context.Context, v *opened) error {
	for _, name := range slices.Sorted(maps.Keys(l.waiting)) {
		e := l.waiting[name]
		r := row{Entry: vault.Entry{Name: name, SealedSize: e.Size, Modified: e.Created}}
		r.info = vault.Info{Name: name, Revision: e.Revision, SealedSize: e.Size, Modified: e.Created, Pending: true}
		if e.Refused {
			continue // spool ls lists it
		}
		if l.expiry != nil { // only the sealed metadata has the expiry
			r.info, r.err = v.Stat(ctx, name)
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
	case l.opens():
		j := toJSON(r.info)
		j.Spool = state
		j.DeletedFrom, j.FirstExpiry, j.ExpiresBy = utc(r.rule), utc(r.first), r.by
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
		l.u.note("%s not shown; --json shows them", plural(l.foreign, "object that vault did not store is", "objects that vault did not store are"))
	}
	if l.failed > 0 {
		return fmt.Errorf("%w: %s could not be read", errPartial, plural(l.failed, "object", "objects"))
	}
	return nil
}
