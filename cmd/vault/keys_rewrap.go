package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// rewrapLine is a line of keys rewrap --json and keys rotate --json.
type rewrapLine struct {
	Name     vault.Name `json:"name"`
	Changed  bool       `json:"changed"` // with --dry-run: the object would be written
	Revision int64      `json:"revision,omitempty"`
	Rewrap   int        `json:"rewrap,omitempty"`
	Added    []string   `json:"added,omitempty"`
	Removed  []string   `json:"removed,omitempty"`
	Purged   int        `json:"purged,omitempty"` // old versions that were deleted
	// MissingKeys are key sources that cannot open the object yet, because they could not be used.
	MissingKeys []string `json:"missing_keys,omitempty"`
	Unfinished  int64    `json:"unfinished,omitempty"` // bytes of uploads that may remain
	Error       *report  `json:"error,omitempty"`

	info    vault.Info // of rotate
	written string     // the version that was stored
	err     error
	foreign bool
}

// A rewrapper changes the keys of objects.
type rewrapper struct {
	*session
	v               *opened
	one             func(ctx context.Context, name vault.Name) rewrapLine
	purge, dryRun   bool
	changed, failed int
	// waiting are the names with values in the spool. Such a value is sealed for the former keys, and its
	// name may have no object. listed are those that have one.
	waiting map[vault.Name]vault.SpoolEntry
	listed  map[vault.Name]bool
}

func (s *session) keysRewrap(ctx context.Context) error {
	v, prefix, err := s.openRewrap(ctx)
	if err != nil {
		return err
	}
	r := &rewrapper{session: s, v: v, purge: s.c.Bool("purge-versions"), dryRun: s.c.Bool("dry-run")}
	o := &vault.RewrapOptions{NoOtherWriters: s.c.Bool("no-other-writers"), DryRun: r.dryRun}
	if o.Add, err = s.flagSources(ctx, v, "add"); err != nil {
		return err
	}
	if o.Remove, err = s.flagSources(ctx, v, "remove"); err != nil {
		return err
	}
	r.one = func(ctx context.Context, name vault.Name) rewrapLine {
		result, err := v.Rewrap(ctx, name, o)
		line := rewrapLine{Name: name, Changed: result.Changed && err == nil, Revision: result.Revision, Rewrap: result.Info.Rewrap, Added: result.Added, Removed: result.Removed, Unfinished: result.Unfinished, err: err}
		if line.Changed {
			line.written = result.Version
		}
		return line
	}
	return r.run(ctx, prefix)
}

func (s *session) keysRotate(ctx context.Context) error {
	v, prefix, err := s.openRewrap(ctx)
	if err != nil {
		return err
	}
	r := &rewrapper{session: s, v: v, purge: s.c.Bool("purge-versions"), dryRun: s.c.Bool("dry-run")}
	r.one = func(ctx context.Context, name vault.Name) rewrapLine {
		if r.dryRun {
			info, err := v.Stat(ctx, name)
			return rewrapLine{Name: name, Changed: err == nil, Revision: info.Revision, err: err}
		}
		info, err := v.Rotate(ctx, name, &vault.RotateOptions{NoOtherWriters: s.c.Bool("no-other-writers")})
		return rewrapLine{Name: name, Changed: err == nil, Revision: info.Revision, MissingKeys: info.MissingKeys, Unfinished: info.Unfinished, info: info, written: info.Version, err: err}
	}
	return r.run(ctx, prefix)
}

// openRewrap opens the vault for a command that may run for long, and confirms that it deletes
// versions.
func (s *session) openRewrap(ctx context.Context) (v *opened, prefix string, err error) {
	args, err := s.arguments(0, 1)
	if err != nil {
		return nil, "", err
	}
	purges := s.c.Bool("purge-versions") && !s.c.Bool("dry-run")
	if purges {
		if err := s.canConfirm("--purge-versions deletes old versions permanently"); err != nil {
			return nil, "", err
		}
	}
	s.keepKeys = time.Minute
	if v, err = s.open(ctx, mustKeys); err != nil {
		return nil, "", err
	}
	if purges {
		err = s.confirm(ctx, v, "Permanently delete the old versions of these objects and of removed names")
	}
	return v, strings.Join(args, ""), err
}

// flagSources opens the key sources of a flag. It returns nil if the flag is not set.
func (s *session) flagSources(ctx context.Context, v *opened, flag string) (sources []envelope.KeySource, err error) {
	for _, text := range s.c.StringSlice(flag) {
		source, err := s.keySource(ctx, v.settings, config.Value{Text: text, From: "--" + flag})
		if err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	return sources, nil
}

func (r *rewrapper) run(ctx context.Context, prefix string) error {
	r.listed = make(map[vault.Name]bool)
	if !r.dryRun {
		r.waiting = r.v.waiting(ctx, prefix)
	}
	o := &vault.ListOptions{Prefix: prefix, Removed: r.purge && !r.dryRun}
	err := eachAtOnce(ctx, r.v.Vault, o, entriesAtOnce, r.entry, r.show)
	for _, name := range slices.Sorted(maps.Keys(r.waiting)) {
		if err == nil && !r.listed[name] {
			err = r.show(r.entry(ctx, vault.Entry{Name: name}))
		}
	}
	if err == nil || r.changed+r.failed > 0 {
		verb := "changed"
		if r.dryRun {
			verb = "would be changed"
		}
		r.note("%s %s", plural(r.changed, "object", "objects"), verb)
	}
	if err != nil {
		return err
	}
	if r.failed > 0 {
		again := "run the command again: objects that already have the requested keys are not written"
		if r.c.Command.Name == "rotate" {
			again = "run the command again with the names of these objects, because rotate encrypts every object of its prefix again"
		}
		return hint(fmt.Errorf("%w: %s not changed", errPartial, plural(r.failed, "object was", "objects were")), "%s", again)
	}
	return nil
}

// entry changes one object.
func (r *rewrapper) entry(ctx context.Context, e vault.Entry) rewrapLine {
	if e.Foreign {
		return rewrapLine{foreign: true}
	}
	line := rewrapLine{Name: e.Name}
	if _, waits := r.waiting[e.Name]; waits || !e.Removed {
		line = r.one(ctx, e.Name)
	}
	if e.Removed && errors.Is(line.err, vault.ErrNotFound) {
		line.err = nil // only its versions exist
	}
	if line.err == nil && r.purge && !r.dryRun {
		line.Purged, line.err = r.v.PurgeVersions(ctx, e.Name, &vault.PurgeOptions{Written: line.written})
	}
	if errors.Is(line.err, vault.ErrSpooled) {
		line.err = hint(line.err, "run {vault} sync, and this command again; {vault} spool retry or {vault} spool drop decides about a refused value")
	}
	if errors.Is(line.err, vault.ErrUnsupported) && !r.c.Bool("no-other-writers") && reasonHint(line.err) == "" {
		line.err = hint(line.err, "use --no-other-writers while no other program writes these objects")
	}
	return line
}

func (r *rewrapper) show(line rewrapLine) error {
	if _, ok := r.waiting[line.Name]; ok {
		r.listed[line.Name] = true
	}
	switch {
	case line.foreign, errors.Is(line.err, vault.ErrNotFound): // not an object of vault, or removed meanwhile
		return nil
	case errors.Is(line.err, context.Canceled), errors.Is(line.err, context.DeadlineExceeded):
		return line.err
	case line.err != nil:
		r.failed++
		report := r.filled(explain("keys "+r.c.Command.Name, r.v.explainKey(line.err)))
		line.Error = &report
	case line.Changed:
		r.changed++
	}
	if line.Changed { // also if its old versions could not be deleted
		r.owe(r.v, line.info)
	}
	r.noteUnfinished(line.Name, line.Unfinished)
	if r.json {
		return r.print(line)
	}
	if line.Error != nil {
		r.printError(*line.Error)
		return nil
	}
	if !line.Changed {
		return nil
	}
	text := string(line.Name)
	for _, name := range line.Added {
		text += "\t+" + name
	}
	for _, name := range line.Removed {
		text += "\t-" + name
	}
	_, err := fmt.Fprintln(r.out, visibleLine(text))
	return err
}

// visibleLine escapes control characters, but keeps the tabs between columns.
func visibleLine(text string) string {
	columns := strings.Split(text, "\t")
	for i := range columns {
		columns[i] = visible(columns[i])
	}
	return strings.Join(columns, "\t")
}
