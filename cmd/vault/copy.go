package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/internal/ordered"
	"github.com/objectvault/objectvault/vault"
)

func copyCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "copy",
		Usage:     "copy sealed objects from one store to another",
		UsageText: s.prog + " copy SRC DST [NAME…] [--newer|--force] [--versions] [--verify] [--prune]",
		Description: "Copies the sealed objects of the tenant and collection, or only the given names, from SRC to DST.\n" +
			"SRC and DST are each a profile or the URL of a store. For a URL, the other settings are those of the\n" +
			"other profile, or else of the flags. The objects are not encrypted again: a copy has the same\n" +
			"revision, and the same keys open it. If there is a key, each object is opened and verified to its end\n" +
			"before DST stores it; without a key, copy works, too. The result of each name is:\n\n" +
			"   copied    DST has the object now\n" +
			"   same      DST had it already; printed only with --json\n" +
			"   exists    DST has another object, which was kept: see --newer and --force\n" +
			"   older     with --newer: DST has a newer object, which was kept\n" +
			"   gone      the object was removed from SRC in the meantime\n" +
			"   foreign   another program stored the object in SRC, so it was not copied\n" +
			"   failed    the reason follows; it starts with source or destination\n" +
			"   extra     with --prune: only DST has the name; then removed or kept\n\n" +
			"If objects failed or exist, the exit code is 3, or that of the only NAME. You can interrupt copy and run it again: it continues\n" +
			"where it ended. Values that wait in the spool of SRC are not in its store; run sync first.\n\n" +
			"--verify also compares the objects that DST has already: with --newer or --force, a damaged copy is\n" +
			"replaced. --versions also copies the old versions and deletions of each name, in their order. Both stores need\n" +
			"a history, and nothing else may write DST meanwhile. --prune removes the names that only DST has,\n" +
			"after it has printed them and asked.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " copy aws tencent\n" +
			"   " + s.prog + " copy work file:///mnt/backup/vault --newer --verify\n" +
			"   " + s.prog + " copy file:///mnt/backup/vault work openrouter --force --verify",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "newer", Usage: "replace an object of DST if the one of SRC has a later revision; requires a key", DisableDefaultText: true},
			&cli.BoolFlag{Name: "force", Usage: "replace the objects of DST", DisableDefaultText: true},
			&cli.BoolFlag{Name: "versions", Usage: "also copy the old versions", DisableDefaultText: true},
			&cli.StringFlag{Name: "prefix", Usage: "copy only the names that start with `PREFIX`"},
			&cli.BoolFlag{Name: "verify", Usage: "read each copy back from DST, and compare its digest", DisableDefaultText: true},
			&cli.BoolFlag{Name: "prune", Usage: "remove the names that only DST has", DisableDefaultText: true},
			&cli.BoolFlag{Name: "dry-run", Usage: "only print what would be copied and removed", DisableDefaultText: true},
			&cli.IntFlag{Name: "jobs", Usage: "copy `N` objects at once", Value: copiesAtOnce},
		},
		Action: s.action(s.copy),
	}
}

// copiesAtOnce is the default of copy --jobs.
const copiesAtOnce = 16

// copySummary is the last line of copy --json, in a member of its own.
type copySummary struct {
	Copied   int   `json:"copied"`
	Versions int   `json:"versions,omitempty"` // that were copied, with --versions
	Bytes    int64 `json:"bytes"`              // sealed bytes that were copied
	Unopened int   `json:"unopened,omitempty"` // copied objects that no key opened
	Same     int   `json:"same"`
	Exists   int   `json:"exists"`
	Older    int   `json:"older,omitempty"`
	Foreign  int   `json:"foreign,omitempty"`
	Failed   int   `json:"failed"`
	Extra    int   `json:"extra,omitempty"`   // names that only DST has
	Removed  int   `json:"removed,omitempty"` // of them
}

// A copying is one run of the command.
type copying struct {
	*session
	copySummary
	from, to *opened
	names    []vault.Name // nil: all
	found    int          // names of the vault in SRC
	extra    []vault.Name
	failure  error // of the only name
}

func (s *session) copy(ctx context.Context) error {
	args, err := s.arguments(2, -1)
	if err != nil {
		return err
	}
	c := &copying{session: s}
	for _, arg := range args[2:] {
		name, err := s.name(arg)
		if err != nil {
			return err // check all names before copying the first
		}
		if c.names = append(c.names, name); slices.Contains(c.names[:len(c.names)-1], name) {
			return usagef("the name %s is given twice", name)
		}
	}
	s.subject = ""
	o, err := c.options()
	if err != nil {
		return err
	}
	if s.c.Bool("prune") && !o.DryRun {
		if err := s.canConfirm("--prune removes objects from DST"); err != nil {
			return err
		}
	}
	closeAll, err := c.open(ctx, args[0], args[1], o)
	if err != nil {
		return err
	}
	defer closeAll()
	c.noteWaiting()
	err = c.run(ctx, o)
	if err == nil {
		err = c.prune(ctx)
	}
	if serr := c.summarize(err == nil); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	return c.result()
}

// options returns the options of the flags.
func (c *copying) options() (*vault.CopyOptions, error) {
	o := &vault.CopyOptions{
		Names: c.names, Prefix: c.c.String("prefix"), Versions: c.c.Bool("versions"), Extra: c.c.Bool("prune"),
		Verify: c.c.Bool("verify"), DryRun: c.c.Bool("dry-run"), Jobs: c.c.Int("jobs"),
	}
	switch {
	case o.Jobs < 1 || o.Jobs > maxJobs:
		return nil, usagef("--jobs must be between 1 and %d", maxJobs)
	case c.c.Bool("newer") && c.c.Bool("force"):
		return nil, usagef("--newer and --force exclude each other")
	case o.Prefix != "" && c.names != nil:
		return nil, usagef("--prefix and names exclude each other")
	case c.c.Bool("newer"):
		o.Mode = vault.CopyNewer
	case c.c.Bool("force"):
		o.Mode = vault.CopyForce
	}
	return o, nil
}

// noteWaiting mentions values of SRC that are on this machine only.
func (c *copying) noteWaiting() {
	if n := len(c.from.waiting(context.Background(), c.c.String("prefix"))); n > 0 {
		c.note("%s on this machine, and not in its store: run %s sync first", plural(n, "value of SRC is only", "values of SRC are only"), c.prog)
	}
}

// run copies the objects, and prints the results.
func (c *copying) run(ctx context.Context, o *vault.CopyOptions) error {
	bar := c.progress("copy", -1)
	var mu sync.Mutex // lines and the bar are drawn one after another
	if bar != nil {
		o.Progress = func(n int64) {
			mu.Lock()
			defer mu.Unlock()
			bar.add(n)
		}
	}
	defer bar.done()
	for r, err := range vault.Copy(ctx, c.to.Vault, c.from.Vault, o) {
		if err != nil {
			return c.sideKey(err)
		}
		mu.Lock()
		err := c.report(r)
		mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// copyLine is a line of copy --json.
type copyLine struct {
	Name       vault.Name       `json:"name,omitempty"`
	Key        string           `json:"key,omitempty"` // of a foreign object
	Status     vault.CopyStatus `json:"status"`        // also removed or kept
	Revision   int64            `json:"revision,omitempty"`
	Size       int64            `json:"sealed_size,omitempty"` // sealed bytes that were copied
	Versions   int              `json:"versions,omitempty"`
	SHA256     string           `json:"sha256,omitempty"`
	Unopened   bool             `json:"unopened,omitempty"`
	Unfinished int64            `json:"unfinished,omitempty"` // bytes of uploads to DST that may remain
	Side       string           `json:"side,omitempty"`       // on which a copy failed: source or destination
	Error      *report          `json:"error,omitempty"`
}

// report prints the result of one name.
func (c *copying) report(r vault.Copied) error {
	l := copyLine{Name: r.Name, Status: r.Status, Revision: r.Revision, Size: r.Sealed, Versions: r.Versions, SHA256: r.SHA256, Unfinished: r.Unfinished}
	switch r.Status {
	case vault.CopyExtra, vault.CopyForeign, vault.CopyGone:
	default:
		c.found++
	}
	detail := ""
	switch r.Status {
	case vault.CopyCopied:
		c.Copied++
		c.Bytes += r.Sealed
		c.Versions += r.Versions
		if l.Unopened = !r.Opened; l.Unopened {
			c.Unopened++
		}
		if detail = size(r.Sealed); r.Versions > 0 {
			detail += ", " + plural(r.Versions, "version", "versions")
		}
	case vault.CopySame:
		c.Same++
	case vault.CopyExists:
		c.Exists++
		c.failure = about(r.Name, vault.ErrExist)
	case vault.CopyOlder:
		c.Older++
	case vault.CopyForeign:
		c.Foreign++
		l.Key = r.Key
	case vault.CopyExtra:
		c.Extra++
		c.extra = append(c.extra, r.Name)
	case vault.CopyFailed:
		c.Failed++
		c.failure = c.sideKey(r.Err)
		l.fail(c.session, c.failure)
	}
	c.noteUnfinished(r.Name, r.Unfinished)
	return c.print(l, detail)
}

// fail adds an error to a line.
func (l *copyLine) fail(s *session, err error) {
	failure := s.filled(explain("copy", err))
	l.Error = &failure
	var side *vault.CopyError
	if errors.As(err, &side) {
		if l.Side = "destination"; side.Source {
			l.Side = "source"
		}
	}
}

// print prints a line.
func (c *copying) print(l copyLine, detail string) error {
	switch {
	case c.json:
		return c.ui.print(l)
	case l.Status == vault.CopySame:
		return nil
	}
	text := fmt.Sprintf("%s\t%s", l.Status, visible(string(l.Name)+l.Key))
	if detail != "" {
		text += "\t" + detail
	}
	if _, err := fmt.Fprintln(c.out, text); err != nil {
		return err
	}
	if l.Error != nil && len(c.names) != 1 {
		c.printError(*l.Error)
	}
	return nil
}

// sideKey adds a hint to the error for an object that no key opens.
func (c *copying) sideKey(err error) error {
	var side *vault.CopyError
	if errors.As(err, &side) && !side.Source {
		return c.to.explainKey(err)
	}
	return c.from.explainKey(err)
}

const (
	copyRemoved vault.CopyStatus = "removed"
	copyKept    vault.CopyStatus = "kept"
)

// prune removes the names that only DST has.
func (c *copying) prune(ctx context.Context) error {
	switch {
	case len(c.extra) == 0 || c.c.Bool("dry-run"):
		return nil
	case c.Failed > 0:
		c.note("nothing was removed, because objects could not be copied")
		return nil
	case c.found == 0 && c.names == nil:
		return hint(fmt.Errorf("%w: SRC has no objects, so that --prune would remove everything from DST", vault.ErrNotFound), "check SRC, --tenant and --collection")
	}
	if err := c.confirm(ctx, c.to, "Remove "+plural(len(c.extra), "name", "names")); err != nil {
		return err
	}
	names := func(context.Context) iter.Seq2[vault.Name, error] {
		return func(yield func(vault.Name, error) bool) {
			for _, name := range c.extra {
				if !yield(name, nil) {
					return
				}
			}
		}
	}
	remove := func(ctx context.Context, name vault.Name) copyLine {
		l := copyLine{Name: name, Status: copyRemoved}
		if err := vault.Prune(ctx, c.to.Vault, c.from.Vault, name); err != nil {
			l.Status = copyKept
			l.fail(c.session, err)
		}
		return l
	}
	for l, err := range ordered.Map(ctx, c.c.Int("jobs"), names, remove) {
		if err != nil {
			return err
		}
		if l.Status == copyRemoved {
			c.Removed++
		} else {
			c.Failed++
		}
		if err := c.print(l, ""); err != nil {
			return err
		}
	}
	return nil
}

// summarize prints the numbers of the run. complete means that the run has listed all names.
func (c *copying) summarize(complete bool) error {
	if c.json {
		return c.ui.print(map[string]copySummary{"summary": c.copySummary})
	}
	verb := "copied"
	if c.c.Bool("dry-run") {
		verb = "to copy"
	}
	text := fmt.Sprintf("%d %s, %s; %d the same, %s, %d failed", c.Copied, verb, size(c.Bytes), c.Same, plural(c.Exists, "exists", "exist"), c.Failed)
	if c.Older > 0 {
		text += fmt.Sprintf(", %d older than in DST", c.Older)
	}
	if c.Extra > 0 {
		text += fmt.Sprintf("; %d only in DST, %d removed", c.Extra, c.Removed)
	}
	c.note("%s", text)
	if c.found == 0 && c.names == nil && complete {
		text := fmt.Sprintf("SRC has no objects of the tenant %s in the collection %s", c.from.Tenant(), c.from.Collection())
		if prefix := c.c.String("prefix"); prefix != "" {
			text += " whose names start with " + prefix
		}
		c.note("%s", text)
	}
	if c.Unopened > 0 {
		c.note("no key opened %s: their contents were copied, and not verified", plural(c.Unopened, "copied object", "copied objects"))
	}
	if c.Foreign > 0 {
		c.note("%s not copied", plural(c.Foreign, "object of another program in SRC was", "objects of other programs in SRC were"))
	}
	return nil
}

// result returns the error of a complete run.
func (c *copying) result() error {
	advice := ""
	if c.Exists > 0 {
		advice = "--newer replaces the objects of DST that are older, and --force replaces all"
	}
	switch {
	case c.failure != nil && len(c.names) == 1:
		return hint(c.failure, "%s", advice)
	case c.Failed+c.Exists > 0:
		return hint(fmt.Errorf("%w: %s not copied or removed", errPartial, plural(c.Failed+c.Exists, "name was", "names were")), "%s", advice)
	}
	return nil
}

// sameVault returns an error unless the objects of SRC can be opened in DST.
func (c *copying) sameVault() error {
	for _, v := range []struct{ what, from, to string }{
		{"tenant", string(c.from.Tenant()), string(c.to.Tenant())},
		{"collection", string(c.from.Collection()), string(c.to.Collection())},
		{"vault id", c.from.VaultID(), c.to.VaultID()},
	} {
		if v.from != v.to {
			return hint(usagef("SRC has the %s %q, and DST has %q: sealed objects are bound to it", v.what, v.from, v.to), "use the same %s for both, or read with {prog} get and store with {prog} put", v.what)
		}
	}
	if c.from.storeID == c.to.storeID {
		return usagef("SRC and DST are the same store")
	}
	return nil
}

// needKeys returns whether the two sides need keys. Those of SRC verify what is copied; DST needs keys
// only to compare revisions.
func (c *copying) needKeys(o *vault.CopyOptions) (from, to keyNeed) {
	if o.Mode == vault.CopyNewer {
		return mustKeys, mustKeys
	}
	return anyKeys, noKeys
}
