package main

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/vault"
)

func putCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "put",
		Usage:     "store a value under a name",
		UsageText: s.prog + " put NAME [FILE|-]",
		Description: "Reads the value from FILE, from standard input, or, on a terminal, from a hidden prompt that\n" +
			"asks twice. Values are never read from the command line, where other users could see them. An\n" +
			"existing value is replaced. If the store keeps a history, the old value stays there.\n" +
			s.prog + " help names describes the rules for NAME.\n\n" +
			"For a store in a cloud, put first saves the sealed value on this machine. Then it gets a token and\n" +
			"connects to the store. If the store cannot be reached, put exits with 75, and later commands and\n" +
			s.prog + " sync send the value. See " + s.prog + " help spool.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " put openai\n" +
			"   pass show openai | " + s.prog + " put openai --expires 90d\n" +
			"   " + s.prog + " put acme/tls.key server.key --label env=prod --create",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "create", Usage: "fail if the name exists", DisableDefaultText: true},
			&cli.StringFlag{Name: "if-revision", Usage: "fail unless the current revision is `REVISION` (see stat)"},
			&cli.StringFlag{Name: "content-type", Usage: "`TYPE` of the value, such as text/plain; sealed with the value"},
			&cli.StringFlag{Name: "expires", Usage: "time `WHEN` the value expires, such as 2027-01-31T12:00:00Z, or 30d or 12h from now; sealed with the value"},
			&cli.StringSliceFlag{Name: "label", Usage: "add the label `KEY=VALUE`, sealed with the value; may be repeated"},
			&cli.BoolFlag{Name: "allow-empty", Usage: "allow an empty value", DisableDefaultText: true},
			&cli.BoolFlag{Name: "no-spool", Usage: "do not save the value on this machine first", DisableDefaultText: true},
			&cli.BoolFlag{Name: "require-remote", Usage: "if the value is saved on this machine only, exit with the code of the error that stopped the write to the store, instead of 75", DisableDefaultText: true},
			&cli.BoolFlag{Name: "spool-large", Usage: "also save values of more than 64 MiB on this machine first", DisableDefaultText: true},
		},
		Action: s.action(s.put),
	}
}

func (s *session) put(ctx context.Context) error {
	args, err := s.arguments(1, 2)
	if err != nil {
		return err
	}
	name, err := s.newName(args[0])
	if err != nil {
		return err
	}
	file := "-"
	if len(args) == 2 {
		file = args[1]
	}
	o, err := s.putOptions()
	if err != nil {
		return err
	}
	if file == "" {
		return usagef("the file name is empty")
	}
	s.createsStore, s.flushesLater = true, true
	if s.c.Bool("spool-large") {
		s.spoolLimit = math.MaxInt64
	}
	p := &putting{session: s, name: name, options: o, remote: s.c.Bool("require-remote")}
	v, err := p.open(ctx)
	if err != nil {
		return err
	}
	value, size, done, err := s.value(ctx, file, s.c.Bool("allow-empty"))
	if err != nil {
		return err
	}
	defer done()
	if v == nil {
		return p.hintKept(p.withoutTenant(ctx, value, size))
	}
	return p.hintKept(p.put(ctx, v, value, size))
}

// hintKept adds to an error how to store a value that was refused and that is kept on this machine.
func (p *putting) hintKept(err error) error {
	id := refusedID(err)
	if id == "" {
		return err
	}
	next := p.command("spool retry %s", id) + " sends the kept value again"
	if errors.Is(err, vault.ErrExist) || errors.Is(err, vault.ErrConflict) {
		next = p.command("spool retry %s --overwrite", id) + " stores the kept value all the same"
	}
	if cause := explain("put", err).Hint; cause != "" {
		next = cause + "; " + next
	}
	return hint(err, "%s", next)
}

// stored prints the result of a write.
func (s *session) stored(v *opened, info vault.Info) error {
	s.owe(v, info)
	return s.printStored(info, s.behind.stores(info.Name))
}

func (u *ui) printStored(info vault.Info, behind []string) error {
	if !info.Expires.IsZero() && info.Expired {
		u.note("%s has already expired, at %s", info.Name, timestamp(info.Expires))
	}
	u.noteUnfinished(info.Name, info.Unfinished)
	if u.json {
		j := toJSON(info)
		j.Behind = behind
		return u.print(j)
	}
	if info.Legacy != "" {
		u.note("stored %s, %s, in the format %s of agentKeys, which is weaker than an envelope", info.Name, size(info.Size), info.Legacy)
		return nil
	}
	u.note("stored %s, %s, revision %d", info.Name, size(info.Size), info.Revision)
	return nil
}

// noteUnfinished reports the bytes of uploads that failed and may remain. Only this process knows of them.
func (u *ui) noteUnfinished(name vault.Name, bytes int64) {
	if bytes > 0 {
		u.note("%s: %s", name, vault.UnfinishedText(bytes))
	}
}

// about adds a name to an error.
func about(name vault.Name, err error) error {
	return &vault.Error{Name: string(name), Err: err}
}

func (s *session) putOptions() (*vault.PutOptions, error) {
	o := &vault.PutOptions{Create: s.c.Bool("create"), ContentType: s.c.String("content-type")}
	if s.c.Bool("no-spool") {
		o.Spool = vault.SpoolOff
	}
	var err error
	if text := s.c.String("if-revision"); s.c.IsSet("if-revision") {
		if o.IfRevision, err = strconv.ParseInt(text, 10, 64); err != nil || o.IfRevision <= 0 {
			return nil, usagef("--if-revision must be a number above 0: use the revision that stat shows")
		}
	}
	if o.Create && o.IfRevision != 0 {
		return nil, usagef("--create and --if-revision cannot be used together")
	}
	if text := s.c.String("expires"); s.c.IsSet("expires") {
		if o.Expires, err = argv.ParseExpiry(text, s.now()); err != nil {
			return nil, err
		}
	}
	if len(o.ContentType) > 255 {
		return nil, usagef("--content-type may have at most 255 bytes")
	}
	for _, label := range s.c.StringSlice("label") {
		key, value, ok := strings.Cut(label, "=")
		if !ok || key == "" {
			return nil, usagef("--label must be KEY=VALUE")
		}
		if o.Labels == nil {
			o.Labels = make(map[string]string)
		}
		if _, twice := o.Labels[key]; twice {
			return nil, usagef("--label sets the key %q twice", key)
		}
		o.Labels[key] = value
	}
	return o, nil
}
