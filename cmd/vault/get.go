package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func getCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "print the value of a name",
		UsageText: s.prog + " get NAME [-o FILE | --all]",
		Description: "Writes the stored value, unchanged, to standard output or to FILE. If standard output is a\n" +
			"terminal, get requires --reveal. Bytes that fail verification are never written. If a value of\n" +
			"more than 64 KiB is damaged, the bytes before the damage may already be written when get exits\n" +
			"with code 15. With -o, no file is created in this case.\n\n" +
			"-o replaces FILE. If FILE is a symbolic link, its target is replaced. get fails if the link\n" +
			"belongs to a user other than you or root, or if other users can write to the target's\n" +
			"directory. If FILE is a mount point, as in containers, get verifies the whole value and then\n" +
			"overwrites the file in place.\n\n" +
			"If the profile has mirrors, get asks the first store, and a mirror only if that store cannot be\n" +
			"reached, or is behind. --all writes no value. It asks every store, and prints for each what it has:\n" +
			"newest, behind (an older value), different (two writers stored a value at the same time), missing or\n" +
			"failed; then the revision, the time of the write, and the store. The exit code is 3 if they differ.\n\n" +
			"Examples:\n" +
			"   curl -H \"Authorization: Bearer $(" + s.prog + " get openai)\" …\n" +
			"   " + s.prog + " get acme/tls.key -o server.key\n" +
			"   " + s.prog + " get openai --version @2 --reveal",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`, with mode 0600, once the value is complete and verified"},
			&cli.StringFlag{Name: "version", Usage: "read this `VERSION`: an id that history prints, @2 for the second newest, or r:REVISION"},
			&cli.StringFlag{Name: "range", Usage: "write only the bytes `A-B`, counted from 0, including B; A- means from A to the end, -N means the last N"},
			&cli.BoolFlag{Name: "reveal", Usage: "show the value on the terminal, if it is text", DisableDefaultText: true},
			&cli.BoolFlag{Name: "all", Usage: "compare the stores of the profile, and write no value", DisableDefaultText: true},
			acceptOlderFlag(), expectSeenFlag(),
		},
		Action: s.action(s.get),
	}
}

// getOptions selects the value, and where get writes it.
type getOptions struct {
	vault.GetOptions
	file   string // empty: standard output
	reveal bool
}

func (s *session) get(ctx context.Context) error {
	args, err := s.arguments(1, 1)
	if err != nil {
		return err
	}
	name, err := s.name(args[0])
	if err != nil {
		return err
	}
	if s.c.Bool("all") {
		return s.compare(ctx, name)
	}
	o := getOptions{reveal: s.c.Bool("reveal"), file: s.c.String("output")}
	o.Version = s.c.String("version")
	switch {
	case s.c.IsSet("output") && o.file == "":
		return usagef("--output is empty")
	case s.c.IsSet("version") && o.Version == "":
		return usagef("--version is empty")
	case o.Version != "" && (s.c.Bool("accept-older") || s.c.Bool("expect-seen")):
		return usagef("--accept-older and --expect-seen cannot be used with --version")
	case o.file == "-":
		o.file = ""
	}
	if s.c.IsSet("range") {
		r, err := argv.ParseRange(s.c.String("range"))
		if err != nil {
			return err
		}
		o.Range = (*vault.Range)(&r)
	}
	if o.file == "" && s.outTTY && !o.reveal {
		e := usagef("standard output is a terminal, so the value is not shown")
		e.Hint = "use --reveal to show the value, or use -o FILE or a pipe"
		return e
	}
	if o.file == "" && s.outClosed {
		return hint(about(name, fmt.Errorf("%w: standard output is closed", errOutput)), "use -o FILE or a pipe; {vault} stat {name} shows whether the name exists")
	}
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	s.acceptOlder(ctx, v, name)
	err = get(ctx, s.ui, v.Vault, name, o)
	if o.Version != "" && errors.Is(err, vault.ErrNotFound) {
		return hint(err, "{vault} history {name} lists the existing versions")
	}
	return v.explainKey(s.suggest(ctx, v.Vault, err))
}

func get(ctx context.Context, u *ui, v *vault.Vault, name vault.Name, o getOptions) error {
	var file outFile
	if o.file != "" {
		var err error
		file, err = u.create(o.file)
		switch {
		case errors.Is(err, errNotRegular):
			return hint(about(name, fmt.Errorf("writing %s: %w", o.file, err)), "omit -o to write to standard output, and redirect it")
		case errors.Is(err, errForeignLink), errors.Is(err, errSharedLink):
			return hint(about(name, fmt.Errorf("writing %s: %w", o.file, err)), "use the path of the file itself, or of a file in your own directory")
		case errors.Is(err, fs.ErrNotExist):
			return hint(about(name, fmt.Errorf("writing %s: %w", o.file, plain(err))), "create the directory of the file first")
		case err != nil:
			return about(name, fmt.Errorf("writing %s: %w", o.file, plain(err)))
		}
		defer file.Abort()
	}
	r, err := v.Get(ctx, name, &o.GetOptions)
	if err != nil {
		return err
	}
	defer r.Close()
	info := r.Info()
	if info.Expired {
		u.note("%s expired at %s", name, timestamp(info.Expires))
	}
	u.notePending(info)
	limitMemory(info.Size)
	switch {
	case file != nil:
		if err := u.getFile(ctx, r, file, o.file); err != nil {
			return err
		}
		if u.json {
			return u.print(toJSON(info))
		}
		return nil
	case u.json:
		value, err := readSmall(r, info)
		if err != nil {
			return err
		}
		j := toJSON(info)
		j.Value = &value
		return u.print(j)
	case u.outTTY:
		return u.reveal(r, info)
	}
	bar := u.progress("get "+string(name), info.Size)
	defer bar.done()
	_, err = io.Copy(u.out, bar.reader(r))
	return err
}

func (u *ui) getFile(ctx context.Context, r *vault.Reader, file outFile, path string) error {
	w := &fileOutput{file: file, bar: u.progress("get "+string(r.Info().Name), r.Info().Size)}
	ended := make(chan error, 1)
	go func() {
		_, err := r.Download(w)
		ended <- err
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done(): // a disk may not respond
		select {
		case err = <-ended:
		case <-time.After(diskTime):
			err = ctx.Err() // the download goes on until the process ends, which is now
		}
	}
	w.mu.Lock()
	w.bar.done()
	w.mu.Unlock()
	if err == nil {
		err = file.Commit()
	} else if !w.failed.Load() {
		return err // the value could not be read
	}
	if err != nil {
		return about(r.Info().Name, fmt.Errorf("writing %s: %w", path, plain(err)))
	}
	return nil
}

// diskTime limits the wait for a disk after ctx has ended.
const diskTime = 2 * time.Second

// A fileOutput writes to a file, and shows the progress.
type fileOutput struct {
	file   outFile
	failed atomic.Bool
	mu     sync.Mutex // of bar
	bar    *progress
}

func (o *fileOutput) WriteAt(p []byte, offset int64) (int, error) {
	n, err := o.file.WriteAt(p, offset)
	if err != nil {
		o.failed.Store(true)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bar.add(int64(n))
	return n, err
}

// reveal prints a text on the terminal, and ends it with a newline.
func (u *ui) reveal(r io.Reader, info vault.Info) error {
	value, err := readSmall(r, info)
	if err != nil {
		return err
	}
	if !isText(value) {
		e := usagef("the value is not text")
		e.Hint = "use -o FILE or a pipe"
		return about(info.Name, e)
	}
	if len(value) == 0 || value[len(value)-1] != '\n' {
		value = append(value, '\n')
	}
	_, err = u.out.Write(value)
	return err
}

// isText reports whether a terminal prints all of b as text, without control characters.
func isText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// maxInMemory is the maximum size of a value that is read into memory to be shown or encoded.
const maxInMemory = 16 << 20

func readSmall(r io.Reader, info vault.Info) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, maxInMemory+1))
	if err == nil && len(value) > maxInMemory {
		e := usagef("the value is larger than %s", size(maxInMemory))
		e.Hint = "use -o FILE or a pipe"
		err = about(info.Name, e)
	}
	return value, err
}

// suggest adds a hint to an error that means "not found": a value of the name that is kept on this machine, or
// similar existing names.
func (s *session) suggest(ctx context.Context, v *vault.Vault, err error) error {
	lost := gone(err) != nil
	if damaged := errors.Is(err, envelope.ErrDecrypt) || errors.Is(err, envelope.ErrFormat); s.hasMirrors() && (lost || damaged) {
		start, mirror, first := s.mirrorCopy()
		err = hint(err, "a mirror may have the value: {vault} get {name} --all shows it, and %s %s %s {name} --force --verify restores it. If the name was removed on purpose, run {vault} rm {name}", start, mirror, first)
	}
	if lost {
		return s.expectSeen(s.explainGone(ctx, v, err)) // the name is right
	}
	var e *vault.Error
	if !errors.Is(err, vault.ErrNotFound) || !errors.As(err, &e) || e.Name == "" {
		return err
	}
	if s.opened != nil {
		if kept, ok := s.opened.waiting(ctx, e.Name)[vault.Name(e.Name)]; ok && kept.Refused {
			return hint(err, "this machine keeps a value of this name that was not stored; %s shows the reason", s.command("spool show %s", spool.ShortID(kept.ID)))
		}
	}
	first, _ := utf8.DecodeRuneInString(e.Name)
	near := argv.Nearest(e.Name, someNames(ctx, v, string(first)), 3)
	if len(near) == 0 {
		near = argv.Nearest(e.Name, someNames(ctx, v, ""), 3)
	}
	unseen := ""
	if _, bad := vault.ParseNewName(e.Name); bad != nil {
		unseen = "the name contains an invisible character, or ends with a space: type the name again"
	}
	switch {
	case len(near) == 0 && unseen == "":
		return err
	case len(near) == 0:
		return hint(err, "%s", unseen)
	case unseen == "":
		return hint(err, "did you mean %s?", strings.Join(near, " or "))
	}
	return hint(err, "%s; did you mean %s?", unseen, strings.Join(near, " or "))
}
