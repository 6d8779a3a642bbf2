package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vaulturl"
)

func keysCommand(s *session) *cli.Command {
	sub := func(name, usage, synopsis, description string, action func(context.Context) error, flags ...cli.Flag) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, UsageText: s.prog + " keys " + synopsis, HelpName: s.prog + " keys " + name,
			Description: description, Flags: flags, Action: s.action(action),
		}
	}
	noOthers := &cli.BoolFlag{Name: "no-other-writers", Usage: "write even if the store has no compare-and-swap; make sure that no other program writes at the same time", DisableDefaultText: true}
	dryRun := &cli.BoolFlag{Name: "dry-run", Usage: "show what would change, and write nothing", DisableDefaultText: true}
	add := &cli.StringSliceFlag{Name: "add", Usage: "`URL` of a key source that must be able to open the objects; may be repeated"}
	remove := &cli.StringSliceFlag{Name: "remove", Usage: "`URL` of a key source whose access is removed; may be repeated"}
	return &cli.Command{
		Name:      "keys",
		Usage:     "list key sources, and change which of them can open the stored objects",
		UsageText: s.prog + " keys list|audit|rewrap|rotate|recovery",
		Description: "A key source wraps the key of each object. " + s.prog + " init creates or enrols one, and --keys selects\n" +
			"one or several. The kinds are:\n" +
			"   local:              the root key file of this user, which " + s.prog + " init creates\n" +
			"   local:///FILE       a root key in another file, for example one that Kubernetes has mounted\n" +
			"   env:VAR             a root key in a variable\n" +
			"   fd:N                a root key from an open file descriptor\n" +
			"   exec:COMMAND        a root key that a program prints\n" +
			"   keyring:NAME        a root key in the keyring of the operating system\n" +
			"   passphrase:         a passphrase: from OBJECTVAULT_PASSPHRASE, from the file or the program that\n" +
			"                       OBJECTVAULT_PASSPHRASE_FILE or OBJECTVAULT_PASSPHRASE_COMMAND names, or typed\n" +
			"   signer+https://HOST?omni=HEX&token=SOURCE\n" +
			"                       the signatures of a wallet; SOURCE is file:PATH, env:VAR or exec:COMMAND\n" +
			"   awskms://ARN, tencentkms://REGION/ID, hashivault://KEY\n" +
			"                       a key of a key management service\n\n" +
			"If several sources are selected, put needs every one of them, unless keys_required of the\n" +
			"profile, or the variable OBJECTVAULT_KEYS_REQUIRED, is \"one\".\n\n" +
			"Commands (" + s.prog + " help keys COMMAND describes each):\n" +
			"   list      show the key sources and whether they can be used\n" +
			"   audit     show which key sources can open each object\n" +
			"   rewrap    change which key sources can open the objects\n" +
			"   rotate    encrypt the objects again, under new keys\n" +
			"   recovery  write a root key as words or shares, and restore it from them\n\n" +
			"Examples:\n" +
			"   " + s.prog + " keys list\n" +
			"   " + s.prog + " keys audit\n" +
			"   " + s.prog + " keys rewrap --add keyring:work --remove local:",
		Subcommands: []*cli.Command{
			sub("list", "show the key sources and whether they can be used", "list",
				"Shows the key sources that --keys, the environment or the profile select: whether each can be used\n"+
					"now, the fingerprint of its key, and the file with its record. It seals and opens a test value\n"+
					"with each source, and never asks for a passphrase. If a source cannot be used, the exit code is 3.\n\n"+
					"Examples:\n   "+s.prog+" keys list\n   "+s.prog+" keys list --keys keyring:work --json", s.keysList),
			sub("audit", "show which key sources can open each object", "audit [PREFIX] [--versions] [--retired URL]",
				"Opens the header of each object with each key source, and shows the sources that can open it. A ?\n"+
					"stands for a wrapped data key that no configured source can open. The last column has remarks: single means\n"+
					"that only one key can open the object; retired means that only a source of --retired can open it;\n"+
					"agentKeys means that the program agentKeys stored the object, in its own format. If no source can\n"+
					"open an object, the exit code is 3.\n\n"+
					"Examples:\n   "+s.prog+" keys audit\n   "+s.prog+" keys audit --versions --json\n   "+s.prog+" keys audit --keys keyring:work --retired local:", s.keysAudit,
				&cli.BoolFlag{Name: "versions", Usage: "also show old versions, including those of removed names", DisableDefaultText: true},
				&cli.StringSliceFlag{Name: "retired", Usage: "`URL` of a key source that is no longer used; may be repeated"}),
			sub("rewrap", "change which key sources can open the objects", "rewrap [PREFIX] [--add URL] [--remove URL] [--dry-run]",
				"Wraps the key of each object for other key sources. The values are not encrypted again, and the\n"+
					"payload of an object above 16 MiB does not pass through this machine, if the store can copy it. The\n"+
					"sources of --keys must be able to open the objects. Without --add, each source of --keys is added.\n"+
					"A source that is neither added nor removed keeps its access. An object is written only if a source\n"+
					"of --keys or --add can open it afterwards.\n\n"+
					"Each object is written only if no other program has changed it meanwhile. Some stores cannot\n"+
					"guarantee this; they need --no-other-writers. If rewrap is interrupted, run it again: objects that\n"+
					"already have the requested keys are not written. If rewrap fails for some objects, the exit code\n"+
					"is 3. Values that wait on this machine are sent first, because they have the former keys. If one\n"+
					"cannot be sent, its name is not changed.\n\n"+
					"A removed key still opens the old versions of an object, and of an object that was removed;\n"+
					"--purge-versions deletes these permanently, so that "+s.prog+" undelete and rollback cannot restore\n"+
					"them. A person who has read an object before may also know its data key: use\n"+
					s.prog+" keys rotate if a key was disclosed.\n\n"+
					"Examples:\n   "+s.prog+" keys rewrap --add keyring:work\n   "+s.prog+" keys rewrap --keys local: --add keyring:work --remove local: --purge-versions\n   "+s.prog+" keys rewrap --remove local:///old.key --dry-run prod/", s.keysRewrap,
				add, remove, noOthers, dryRun,
				&cli.BoolFlag{Name: "purge-versions", Usage: "then delete the old versions of these objects and of removed names, permanently", DisableDefaultText: true}),
			sub("rotate", "encrypt the objects again, under new keys", "rotate [PREFIX] [--dry-run]",
				"Encrypts the value of each object again, under a new data key, for the key sources of --keys and no\n"+
					"others. Use it after a key source or a value was disclosed: each person who was able to open an\n"+
					"object may know its data key, and with it can read and forge the object even after\n"+
					s.prog+" keys rewrap. Replace the values themselves, too: such a person may also know the values.\n\n"+
					"Examples:\n   "+s.prog+" keys rotate --keys keyring:new\n   "+s.prog+" keys rotate prod/ --dry-run", s.keysRotate,
				noOthers, dryRun,
				&cli.BoolFlag{Name: "purge-versions", Usage: "then delete the old versions of these objects and of removed names, permanently", DisableDefaultText: true}),
			sub("recovery", "write a root key as words or shares, and restore it from them", "recovery create|combine|test [FILE…]",
				"create writes the root key of --keys as 24 words, or with --shares as several shares of which\n"+
					"--threshold are needed. With --new, it writes a new root key, which you can add with\n"+
					s.prog+" keys rewrap --add and then keep offline. combine restores the root key file from the words\n"+
					"or shares in files, or on standard input, one share per line. test compares them with the root key\n"+
					"of this machine and stores nothing.\n\n"+
					"The words follow BIP-39. Fewer shares than the threshold disclose nothing.\n\n"+
					"Examples:\n   "+s.prog+" keys recovery create --shares 3 --threshold 2 --output share\n   "+s.prog+" keys recovery test share-1-of-3 share-3-of-3\n   "+s.prog+" keys recovery combine share-1-of-3 share-2-of-3\n   "+s.prog+" keys recovery create --reveal", s.keysRecovery,
				&cli.IntFlag{Name: "shares", Usage: "`NUMBER` of shares"},
				&cli.IntFlag{Name: "threshold", Usage: "`NUMBER` of shares that are needed to restore the root key"},
				&cli.BoolFlag{Name: "new", Usage: "write a new root key instead of an existing one", DisableDefaultText: true},
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the words to the new file `PREFIX`, or each share to PREFIX-1-of-N and so on"},
				&cli.BoolFlag{Name: "reveal", Usage: "show the words or shares on a terminal", DisableDefaultText: true}),
		},
		Action: s.action(func(context.Context) error {
			if s.c.NArg() > 0 {
				return usagef("unknown command: %s", s.c.Command.UsageText)
			}
			return usagef("too few arguments: %s", s.c.Command.UsageText)
		}),
	}
}

// keyLine is a line of keys list --json.
type keyLine struct {
	Source      string              `json:"source"`
	State       string              `json:"state"` // ok, missing, not_enrolled, unavailable, denied, changed or failed
	Fingerprint string              `json:"fingerprint,omitempty"`
	Record      string              `json:"record,omitempty"` // the file of the enrolment
	Enrolment   *vaulturl.Enrolment `json:"enrolment,omitempty"`
	Reason      string              `json:"reason,omitempty"`
}

func (s *session) keysList(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	urls, _ := keyURLs(set)
	table := s.columns("llll", "SOURCE", "STATE", "FINGERPRINT", "RECORD")
	failed := 0
	for _, v := range urls {
		line, err := s.inspect(ctx, set, v)
		if err != nil {
			return err
		}
		if line.State != "ok" {
			failed++
		}
		if s.json {
			if err := s.print(line); err != nil {
				return err
			}
			continue
		}
		if err := table.add(line.Source, line.State, line.Fingerprint, line.Record); err != nil {
			return err
		}
		if line.Reason != "" {
			s.note("%s: %s", line.Source, line.Reason)
		}
	}
	if err := table.flush(); err != nil {
		return err
	}
	if failed > 0 {
		return hint(tagged{errors.New(plural(failed, "key source cannot be used", "key sources cannot be used")), errPartial}, "{prog} init --keys URL enrols a source; {vault} doctor checks the keys")
	}
	return nil
}

// inspect tries one key source.
func (s *session) inspect(ctx context.Context, set config.Settings, v config.Value) (keyLine, error) {
	line := keyLine{Source: shownKey(v.Text)}
	var err error
	if v.Text == defaultKey {
		var source envelope.KeySource
		if source, err = s.keySource(ctx, set, v); err == nil {
			line.Fingerprint = source.(*kek.Local).Fingerprint()
		}
	} else {
		o, oerr := s.keyOptions(ctx, set, v)
		if oerr != nil {
			return line, oerr
		}
		o.Prompt = nil // never asks
		info, ierr := vaulturl.InspectKeySource(ctx, v.Text, o)
		if ierr != nil {
			return line, keyError(v, "", ierr)
		}
		line.Fingerprint, line.Record, line.Enrolment, err = info.Fingerprint, info.Path, info.Enrolment, info.Err
		if info.Enrolment == nil {
			line.Record = ""
		}
	}
	line.State = keyState(err)
	if err != nil {
		line.Reason = explain("keys", err).Message
	}
	return line, nil
}

// keyState returns the state of a key source whose use ended with err.
func keyState(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case errors.Is(err, envelope.ErrNotEnrolled):
		return "not_enrolled"
	case errors.Is(err, envelope.ErrUnavailable), errors.Is(err, envelope.ErrUnauthenticated):
		return "unavailable"
	case errors.Is(err, envelope.ErrDenied):
		return "denied"
	case errors.Is(err, envelope.ErrChanged):
		return "changed"
	}
	return "failed"
}
