package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/terminal"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func spoolCommand(s *session) *cli.Command {
	sub := func(name, usage, synopsis, description string, action func(context.Context, machineSpool) error, flags ...cli.Flag) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, UsageText: s.prog + " spool " + synopsis, HelpName: s.prog + " spool " + name,
			Description: description, Flags: flags,
			Action: s.action(func(ctx context.Context) error {
				sp, err := s.spoolOf(ctx, s.c.Args().First())
				if err != nil {
					return err
				}
				return action(ctx, sp)
			}),
		}
	}
	return &cli.Command{
		Name:      "spool",
		Usage:     "list and manage the values that are saved on this machine",
		UsageText: s.prog + " spool ls|show|get|retry|drop|export",
		Description: "For a store in a cloud, put saves the sealed value in the spool, a directory on this machine, before\n" +
			"it sends a request. When the store has the value, it is removed from the spool. A value that\n" +
			"could not be sent is pending: later commands and " + s.prog + " sync send it. The values of one name are\n" +
			"sent in the order in which they were put. A value that the store refused, when it was put or because\n" +
			"of a conflict, stays in the spool, and is sent only after " + s.prog + " spool retry.\n\n" +
			"If a key source (--keys) cannot be reached, or if put does not know the tenant, because there is no\n" +
			"valid token, put seals the value with the key of the spool, which is in the file spool.key. capture\n" +
			"and rotate always use this key for the outputs and the old values that they save, also for a local\n" +
			"store. If this file is lost, these values are lost, too. " + s.prog + " spool ls marks them.\n\n" +
			"Commands (" + s.prog + " help spool COMMAND describes each):\n" +
			"   ls      list the values\n" +
			"   show    show one value's history of attempts\n" +
			"   get     write a value\n" +
			"   retry   send a refused value again\n" +
			"   drop    delete a value\n" +
			"   export  copy values to another directory\n\n" +
			"Examples:\n" +
			"   " + s.prog + " spool ls\n" +
			"   " + s.prog + " spool retry 3c4934d0 --overwrite",
		Subcommands: []*cli.Command{
			sub("ls", "list the values", "ls", "Lists the values that are saved on this machine: those that are pending, those that the store\n"+
				"refused, and those that were set aside, because their name was removed or their file is damaged.\n"+
				"Without a terminal the columns are separated by tabs: id, name, state, tenant, time, size, reason.\n\n"+
				"Examples:\n   "+s.prog+" spool ls\n   "+s.prog+" spool ls --json | jq -r .name", s.spoolList),
			sub("show", "show one value's history of attempts", "show ID", "Shows an entry of the spool and the attempts to send it. It does not show the value.\n\n"+
				"Examples:\n   "+s.prog+" spool show 3c4934d0", s.spoolShow),
			sub("get", "write a value", "get ID [-o FILE]", "Writes the value of an entry. The entry may be pending, refused by the store, or set aside, or it may\n"+
				"be an output that capture saved. get needs the key for which the value was sealed. On a terminal,\n"+
				"get also needs --reveal.\n\n"+
				"Examples:\n   "+s.prog+" spool get 3c4934d0 -o output.txt", s.spoolGet,
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`, with mode 0600"}, boolFlag("reveal", "allow a text value on a terminal")),
			sub("retry", "send a refused value again", "retry ID [--overwrite]", "Takes a value that the store refused, or that was set aside, and makes it pending again. Then it\n"+
				"sends all pending values. With --overwrite, if the store also refused later values of this name,\n"+
				"they become pending, too. They are sent in order, so the newest value is stored last.\n\n"+
				"Examples:\n   "+s.prog+" spool retry 3c4934d0\n   "+s.prog+" spool retry 3c4934d0 --overwrite",
				s.spoolRetry, boolFlag("overwrite", "replace the object in the store, even if it is newer")),
			sub("drop", "delete a value", "drop ID", "Deletes a value from the spool. It asks for confirmation, unless --yes is set.\n\n"+
				"Examples:\n   "+s.prog+" spool drop 3c4934d0", s.spoolDrop),
			sub("export", "copy values to another directory", "export DIR [ID…]", "Copies all values, or only the values with the given ids, to DIR. DIR is then also a spool: on\n"+
				"another machine, "+s.prog+" sync --spool DIR sends the values that are pending. Refused values and values\n"+
				"that were set aside stay so. A value that DIR already has is not copied again. The values stay in\n"+
				"this spool, too.\n\n"+
				"Examples:\n   "+s.prog+" spool export /media/usb/spool\n   "+s.prog+" spool export /media/usb/spool 3c4934d0 --with-key",
				s.spoolExport, boolFlag("with-key", "also copy the key of the spool; values that are sealed for this key cannot be opened without it")),
		},
		Action: s.action(func(context.Context) error {
			if s.c.NArg() > 0 {
				return usagef("unknown command: %s", s.c.Command.UsageText)
			}
			return usagef("too few arguments: %s", s.c.Command.UsageText)
		}),
	}
}

// A spoolRow is an entry as spool ls shows it. Its JSON names are only added to.
type spoolRow struct {
	ID         string      `json:"id"`
	Name       string      `json:"name,omitempty"`
	Tenant     string      `json:"tenant,omitempty"`
	Collection string      `json:"collection,omitempty"`
	State      string      `json:"state"` // pending, refused or aside
	Created    *time.Time  `json:"created,omitempty"`
	Size       int64       `json:"sealed_size,omitempty"`
	Revision   int64       `json:"revision,omitempty"`
	Condition  string      `json:"condition,omitempty"`
	SpoolKey   bool        `json:"spool_key,omitempty"` // only the key of the spool opens it
	KeyMissing bool        `json:"key_missing,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	Next       *time.Time  `json:"next_attempt,omitempty"`
	Attempts   []attempted `json:"attempts,omitempty"`
	Mirror     string      `json:"mirror,omitempty"` // the mirror that does not have the change; absent: the value is in no store
}

type attempted struct {
	Time    time.Time `json:"time"`
	Reason  string    `json:"reason"`
	Refused bool      `json:"refused,omitempty"`
}

func spoolRowOf(e vault.SpoolEntry, sp machineSpool) spoolRow {
	r := spoolRow{
		ID: e.ID, Name: e.Ref.Name, Tenant: e.Ref.Tenant, Collection: e.Ref.Collection, State: "pending", Created: utc(e.Created),
		Size: e.Size, Revision: e.Revision, SpoolKey: e.Local, KeyMissing: e.Local && !sp.HasKey(), Mirror: sp.mirror,
	}
	switch {
	case e.Create:
		r.Condition = "create"
	case e.IfTag != "":
		r.Condition = "if-tag " + e.IfTag
	case e.IfRevision != 0:
		r.Condition = fmt.Sprintf("if-revision %d", e.IfRevision)
	}
	if e.Refused {
		r.State = "refused"
	} else if next := spool.NextAttempt(e); !next.IsZero() {
		r.Next = utc(next)
	}
	if n := len(e.Attempts); n > 0 {
		r.Reason = e.Attempts[n-1].Reason
	}
	return r
}

// spoolRows returns all entries, oldest first.
func spoolRows(ctx context.Context, sp machineSpool) ([]spoolRow, error) {
	all, err := sp.All(ctx)
	if err != nil {
		return nil, err
	}
	aside, err := sp.Aside(ctx)
	if err != nil {
		return nil, err
	}
	var rows []spoolRow
	for _, e := range all {
		rows = append(rows, spoolRowOf(e.Entry(), sp))
	}
	for _, a := range aside {
		r := spoolRowOf(a.Entry, sp)
		r.State, r.Reason, r.Next = "aside", a.Reason, nil
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b spoolRow) int { return strings.Compare(a.ID, b.ID) })
	return rows, nil
}

func (s *session) spoolList(ctx context.Context, _ machineSpool) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	spools, err := s.machineSpools()
	if err != nil {
		return err
	}
	var rows []spoolRow
	for _, sp := range spools {
		part, err := spoolRows(ctx, sp)
		if err != nil {
			return err
		}
		rows = append(rows, part...)
	}
	table := s.columns("lllllrl", "ID", "NAME", "STATE", "TENANT", "AGE", "SIZE", "REASON")
	for _, r := range rows {
		if s.json {
			if err := s.print(r); err != nil {
				return err
			}
			continue
		}
		state := r.State
		switch {
		case r.KeyMissing:
			state += ", its key is lost"
		case r.SpoolKey:
			state += ", needs the spool's key"
		}
		if r.Mirror != "" {
			state += ", for " + r.Mirror
		}
		id, when, bytes := r.ID, "", fmt.Sprint(r.Size)
		if r.Created != nil {
			when = timestamp(*r.Created)
		}
		if s.outTTY {
			id, bytes = spool.ShortID(r.ID), size(r.Size)
			if r.Created != nil {
				when = age(s.now(), *r.Created)
			}
		}
		if err := table.add(id, r.Name, state, r.Tenant, when, bytes, r.Reason); err != nil {
			return err
		}
	}
	return table.flush()
}

// findEntry returns the entry, or the one that was set aside, with the id of the first argument.
func (s *session) findEntry(ctx context.Context, sp machineSpool) (spoolRow, error) {
	args, err := s.arguments(1, 1)
	if err != nil {
		return spoolRow{}, err
	}
	rows, err := spoolRows(ctx, sp)
	if err != nil {
		return spoolRow{}, err
	}
	return findRow(rows, args[0])
}

// findRow returns the row with an id or a short id.
func findRow(rows []spoolRow, id string) (spoolRow, error) {
	var found []spoolRow
	for _, r := range rows {
		if r.ID == id || spool.ShortID(r.ID) == id {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return spoolRow{}, hint(fmt.Errorf("%w: the spool has no entry %s", vault.ErrNotFound, id), "{vault} spool ls lists the entries")
	case 1:
		return found[0], nil
	}
	return spoolRow{}, usagef("%d entries have the id %s: use the whole id", len(found), id)
}

func (s *session) spoolShow(ctx context.Context, sp machineSpool) error {
	r, err := s.findEntry(ctx, sp)
	if err != nil {
		return err
	}
	if e, err := sp.Find(ctx, r.ID); err == nil {
		for _, a := range e.Entry().Attempts {
			r.Attempts = append(r.Attempts, attempted{a.Time.UTC(), a.Reason, a.Refused})
		}
	}
	if s.json {
		return s.print(r)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", key, visible(value))
		}
	}
	line("id", r.ID)
	line("name", r.Name)
	line("tenant", r.Tenant)
	line("collection", r.Collection)
	line("state", r.State)
	if r.Created != nil {
		line("put", timestamp(*r.Created))
	}
	line("revision", fmt.Sprint(r.Revision))
	line("sealed size", fmt.Sprint(r.Size))
	line("condition", r.Condition)
	line("mirror", r.Mirror)
	switch {
	case r.KeyMissing:
		line("sealed for", "the key of the spool, which is lost")
	case r.SpoolKey:
		line("sealed for", "the key of the spool")
	}
	if len(r.Attempts) == 0 {
		line("reason", r.Reason)
	}
	for _, a := range r.Attempts {
		line("attempt "+timestamp(a.Time), a.Reason)
	}
	if r.Next != nil {
		line("next attempt", timestamp(*r.Next))
	}
	return t.Flush()
}

// spoolGet writes the value of an entry.
func (s *session) spoolGet(ctx context.Context, sp machineSpool) error {
	r, err := s.findEntry(ctx, sp)
	if err != nil {
		return err
	}
	if r.Mirror != "" {
		return hint(about(vault.Name(r.Name), usagef("the entry is a note that %s does not have the last change, and has no value", r.Mirror)), "{vault} get {name} reads the value")
	}
	file := s.c.String("output")
	if file == "" && s.outTTY && !s.c.Bool("reveal") {
		e := usagef("the value is not written to a terminal")
		e.Hint = "use --reveal to show it, or -o FILE, or a pipe"
		return e
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	keys, err := s.keys(ctx, set, anyKeys, new(opened))
	if err != nil {
		return err
	}
	value, err := sp.OpenValue(ctx, r.ID, keys)
	if err != nil {
		return about(vault.Name(r.Name), err)
	}
	defer value.Close()
	if file == "" {
		_, err := io.Copy(s.out, value)
		return err
	}
	f, err := s.create(file)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, plain(err))
	}
	defer f.Abort()
	if _, err := io.Copy(f, value); err != nil {
		return err
	}
	return f.Commit()
}

func (s *session) spoolRetry(ctx context.Context, sp machineSpool) error {
	r, err := s.findEntry(ctx, sp)
	if err != nil {
		return err
	}
	if r.State == "aside" && strings.HasPrefix(r.Reason, "output of a program") {
		e := usagef("the entry is the output of a program, not a value of %s", r.Name)
		e.Hint = s.command("spool get %s -o FILE", spool.ShortID(r.ID)) + " writes it; store the secret in it with {vault} put"
		return e
	}
	if id := spool.ShortID(r.ID); r.State == "aside" && (r.Reason == oldValueReason || r.Reason == maybeOldReason) {
		e := usagef("the entry is the value of %s before a rotation, not a new one", r.Name)
		e.Hint = s.command("spool get %s", id) + " writes it, for the program that revokes it; " + s.command("spool drop %s", id) + " deletes it"
		if r.Reason == maybeOldReason {
			e.Hint = fmt.Sprintf("first compare it with %s: if they are equal, the rotation did not happen, so do not revoke it, and run %s. Otherwise %s", s.command("get %s", shellWord(r.Name)), s.command("spool drop %s", id), e.Hint)
		}
		return e
	}
	if r.State == "aside" {
		if err := sp.Restore(r.ID); err != nil {
			return err
		}
	}
	if err := sp.Retry(ctx, r.ID, s.c.Bool("overwrite")); err != nil {
		return err
	}
	sum, err := spool.Summary{}, error(nil)
	if sp.mirror == "" {
		sum, err = s.syncAll(ctx, sp.Spool, nil)
	} else {
		var o *opened
		if o, err = s.openOnce(ctx); err == nil {
			sum, err = s.syncMirrors(ctx, o, sum, nil)
		}
	}
	if err != nil {
		return err
	}
	notes := 0
	if sp.mirror != "" {
		notes = sum.Pending
	}
	return s.summarize(sum, notes)
}

func (s *session) spoolDrop(ctx context.Context, sp machineSpool) error {
	r, err := s.findEntry(ctx, sp)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Delete the %s value of %s from this machine? Type yes to confirm: ", r.State, r.Name)
	switch {
	case r.Mirror != "":
		question = fmt.Sprintf("Delete the note that %s does not have the last change of %s? Type yes to confirm: ", r.Mirror, r.Name)
	case r.Created != nil:
		question = fmt.Sprintf("Delete the %s value of %s from this machine? It was put at %s. Type yes to confirm: ", r.State, r.Name, timestamp(*r.Created))
	}
	if !s.yes {
		answer, err := s.ask(ctx, visible(question), false)
		switch {
		case errors.Is(err, terminal.ErrNone), errors.Is(err, io.EOF):
			e := usagef("no answer; nothing was deleted")
			e.Hint = "use --yes to skip the confirmation"
			return e
		case err != nil:
			return err
		case string(answer) != "yes":
			return usagef("the answer is not yes; nothing was deleted")
		}
	}
	if r.State == "aside" {
		return sp.Forget(r.ID)
	}
	return sp.Drop(ctx, r.ID)
}

func (s *session) spoolExport(ctx context.Context, sp machineSpool) error {
	args, err := s.arguments(1, -1)
	if err != nil {
		return err
	}
	entries, err := exportable(ctx, sp, args[1:])
	if err != nil {
		return err
	}
	copied, had, err := sp.Export(ctx, args[0], entries, s.c.Bool("with-key"))
	if errors.Is(err, spool.ErrNeedsKey) {
		return hint(err, "use --with-key to copy the key, too: its holder can open these values")
	}
	if err != nil {
		return err
	}
	already := ""
	if had > 0 {
		already = fmt.Sprintf("; it already had %d", had)
	}
	s.note("copied %s to %s%s", plural(copied, "value", "values"), args[0], already)
	return nil
}

// exportable returns the entries with the given ids, or all entries, including those that were set aside.
// Notes about mirrors have no value.
func exportable(ctx context.Context, sp machineSpool, ids []string) ([]vault.SpoolEntry, error) {
	rows, err := spoolRows(ctx, sp)
	if err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		all := rows
		rows = nil
		for _, id := range ids {
			r, err := findRow(all, id)
			if err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
	}
	var entries []vault.SpoolEntry
	for _, r := range rows {
		if r.Mirror == "" && !slices.ContainsFunc(entries, func(e vault.SpoolEntry) bool { return e.ID == r.ID }) {
			entries = append(entries, vault.SpoolEntry{ID: r.ID, Local: r.SpoolKey})
		}
	}
	return entries, nil
}
