package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/mask"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/command"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func rotateCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "rotate",
		Usage:     "run a program that creates a new secret, replace the value, and revoke the old secret",
		UsageText: s.prog + " rotate NAME [--regex R|--json PATH|--line N] [--revoke COMMAND] -- COMMAND [ARG…]",
		Description: "Reads the value of NAME, runs COMMAND, takes the new secret from its output as capture does, and\n" +
			"replaces the value that was read. If another writer replaces the value in the meantime, rotate\n" +
			"exits with 11, and the new secret stays on this machine: see " + s.prog + " help spool. The labels and\n" +
			"the content type are kept. --label replaces the label with the same key. The new value does not\n" +
			"expire unless --expires is set, because rotate does not know for how long the new secret is valid.\n" +
			"--json stands after rotate and names a path; rotate has no JSON output.\n\n" +
			"After the new value is stored, rotate runs the command of --revoke, with the old value on its\n" +
			"standard input. It runs without a shell; quotes group words. What it prints is written to standard\n" +
			"error, with both secrets masked if they have at least 8 bytes. If it fails, the new value stays,\n" +
			"rotate exits with 3, and " + s.prog + " spool get writes the old value. If the new value is not in the\n" +
			"store, because the store refused it or cannot be reached, or if the outcome is unknown, --revoke\n" +
			"does not run. If the new value equals the old one, apart from white space, rotate exits with 1 and\n" +
			"stores nothing. If the new value has less than 8 bytes, or if one of the two values contains the\n" +
			"other one, it is stored, but --revoke does not run, and rotate exits with 3.\n\n" +
			"COMMAND does not start unless the value can be read, every setting is valid, and both values can\n" +
			"be saved on this machine. If COMMAND fails, rotate stores nothing, saves the output, sealed, on\n" +
			"this machine, and exits with the exit code of COMMAND. Otherwise it exits with the codes of put.\n" +
			"The old value and the output are sealed for the key of the spool, not for --keys: see " + s.prog + " help\n" +
			"spool.\n\n" +
			"Variables that start with OBJECTVAULT_, and those of --keys env:VAR, are passed neither to COMMAND\n" +
			"nor to the command of --revoke. If one of them calls " + s.prog + ", give it --store, --tenant and the other\n" +
			"flags, or a profile: without them it uses the default store.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " rotate openrouter --json data.key --revoke ./revoke-key -- ./mint-key --name agent-7\n" +
			"   " + s.prog + " rotate github --regex 'token: (\\S+)' --expires 90d -- gh-app token",
		Flags: append(secretFlags(),
			&cli.StringFlag{Name: "revoke", Usage: "after the new value is stored, run `COMMAND` with the old value on its standard input"},
			&cli.StringFlag{Name: "expires", Usage: "time `WHEN` the new value expires, such as 2027-01-31T12:00:00Z, or 30d or 12h from now"},
			&cli.StringSliceFlag{Name: "label", Usage: "set the label `KEY=VALUE`; may be repeated. Other labels are kept"},
			boolFlag("no-other-writers", "you make sure that nothing else writes the name while rotate runs; for a store without compare-and-swap"),
		),
		Action: s.action(s.rotate),
	}
}

func (s *session) rotate(ctx context.Context) error {
	name, argv, pattern, err := s.captureArguments()
	if err != nil {
		return err
	}
	o, err := s.putOptions()
	if err != nil {
		return err
	}
	var revoke []string
	env := childEnv(s.environWithoutKeys(), false, nil, nil)
	if s.c.IsSet("revoke") {
		if revoke, err = command.Parse(s.c.String("revoke")); err != nil {
			return usagef("--revoke: %v", err)
		}
		if _, err := startable(revoke[0], env); err != nil {
			return hint(fmt.Errorf("cannot start the command of --revoke: %w", err), "check that it is installed, in PATH and executable")
		}
	}
	s.spoolAlways, s.spoolLimit = true, math.MaxInt64
	p := &putting{session: s, name: name, options: o}
	v, err := p.open(ctx)
	if err == nil && v == nil {
		v, err = s.open(ctx, mustKeys) // the old value cannot be read without the tenant
	}
	if err != nil {
		return err
	}
	run, err := s.newCapture(ctx, p, v, argv)
	if err != nil {
		return err
	}
	r := &rotation{capture: run, revoke: revoke, env: env}
	if err := r.read(ctx); err != nil {
		return v.explainKey(s.suggest(ctx, v.Vault, err))
	}
	defer r.forget()
	code, err := run.program(ctx)
	switch {
	case err != nil:
		return r.unrevoked(err)
	case code != exitOK:
		matches, _ := pattern.Find(run.output.bytes())
		reason := fmt.Sprintf("the program failed with exit code %d, and nothing was stored", code)
		s.fail("rotate", r.unrevoked(also(run.keep(run.output, reason), run.showOther(matches))))
		return childCode(code)
	}
	err = run.store(ctx, pattern)
	if errors.Is(err, errSameValue) {
		return about(name, err)
	}
	r.keepOld = run.secret != nil // the next write, by whichever command, may remove it from the store
	if r.stored && r.aside != "" {
		r.keepAside(ctx, oldValueReason) // if this fails, the entry keeps its first reason
	}
	if id := refusedID(err); id != "" {
		err = r.refused(ctx, err, id)
	}
	switch {
	case err != nil:
		return r.unrevoked(err)
	case revoke == nil:
		return run.unseen
	}
	return cmp.Or(r.revokeOld(ctx), run.unseen)
}

// refused adds a hint to the error of a new value that the store refused, and that is saved with an id.
func (r *rotation) refused(ctx context.Context, err error, id string) error {
	overwrite := r.command("spool retry %s --overwrite", id)
	switch tag := r.p.options.IfTag; {
	case !errors.Is(err, vault.ErrConflict):
		return r.capture.refused(err, id)
	case tag != "" && r.isCurrent(ctx, tag) == nil: // as at Ceph
		return hint(err, "the value is still the one that was read, so the server refuses every compare-and-swap: use --no-other-writers; %s stores the new value", overwrite)
	}
	return hint(err, "decide which value stays, and revoke the other one: %s writes the new value; %s stores it", r.command("spool get %s", id), overwrite)
}

// A rotation replaces a value with the secret that a program creates, and revokes the old one.
type rotation struct {
	*capture
	revoke, env []string // the command that revokes the old value, nil if there is none; the environment
	old         []byte   // the old value, if it is to be revoked
	aside       string   // the id of the old value in the spool; empty: it is not there
	keepOld     bool     // there is a new value, and the old one is not known to be revoked
}

// The reasons of the spool's entry with the old value: before the new value is stored, and after that.
// The entry stays there if rotate is killed, because a store without a history does not have the old
// value any more.
const (
	maybeOldReason = "the value before a rotation; it may still be the current one"
	oldValueReason = "the value before a rotation, which is not known to be revoked"
)

// errSameValue means that the program printed the value that the store has.
var errSameValue = errors.New("the new value equals the old one, so nothing was stored and --revoke was not run")

// read reads the value that is replaced, and prepares the condition and the metadata of the new one. It
// returns an error if the new value could not be stored.
func (r *rotation) read(ctx context.Context) (err error) {
	var info vault.Info
	name, o := r.p.name, r.p.options
	if r.revoke == nil {
		info, err = r.opened.Stat(ctx, name)
	} else {
		r.old, info, err = r.opened.ReadAll(ctx, name, nil)
	}
	switch {
	case gone(err) != nil:
		return hint(err, "%s; if it was deleted on purpose, use {vault} capture to store a new value", explain("rotate", err).Hint)
	case errors.Is(err, vault.ErrNotFound):
		return hint(err, "use {vault} capture to store the first value")
	case err != nil:
		return err
	case info.Legacy != "":
		return hint(about(name, fmt.Errorf("%w: an object of agentKeys cannot be replaced with compare-and-swap", vault.ErrUnsupported)), "use {vault} capture, or convert the object with {vault} migrate")
	case info.Pending:
		return hint(about(name, fmt.Errorf("%w: the current value is on this machine only", vault.ErrSpooled)), "run {vault} sync first")
	case info.Mirror != "":
		return about(name, fmt.Errorf("%w: only a mirror returned the value", vault.ErrUnavailable))
	}
	err = r.opened.CheckSwap(ctx)
	switch {
	case err == nil && !r.c.Bool("no-other-writers"):
		o.IfTag = info.Tag
	case err == nil || errors.Is(err, vault.ErrUnsupported) && r.c.Bool("no-other-writers"):
		r.check = func(ctx context.Context) error { return r.isCurrent(ctx, info.Tag) }
	case errors.Is(err, vault.ErrUnsupported):
		return hint(about(name, err), "while nothing else writes {name}, use --no-other-writers")
	default:
		return about(name, err)
	}
	labels := maps.Clone(info.Labels)
	if labels == nil {
		labels = make(map[string]string)
	}
	maps.Copy(labels, o.Labels)
	o.Labels, o.ContentType = labels, info.ContentType
	if err := r.p.checkScope(r.opened.settings); err != nil {
		return err
	}
	if err := r.checkMetadata(ctx); err != nil {
		return about(name, err)
	}
	if r.revoke == nil {
		return nil
	}
	current := r.check
	r.check = func(ctx context.Context) error {
		if bytes.Equal(bytes.TrimSpace(r.old), bytes.TrimSpace(r.secret)) {
			return errSameValue
		}
		if current == nil {
			return nil
		}
		return current(ctx)
	}
	for _, value := range [][]byte{r.old, bytes.TrimRight(r.old, "\r\n"), bytes.TrimSpace(r.old)} {
		if len(bytes.TrimSpace(value)) > 0 {
			r.hide = append(r.hide, value)
		}
	}
	if err := r.keepAside(ctx, maybeOldReason); err != nil {
		return about(name, fmt.Errorf("the old value cannot be saved on this machine: %w", err))
	}
	return nil
}

// keepAside saves the old value, in place of the entry that has it.
func (r *rotation) keepAside(ctx context.Context, reason string) error {
	id, err := r.spool.KeepAside(context.WithoutCancel(ctx), r.ref(), bytes.NewReader(r.old), reason)
	if err != nil {
		return err
	}
	if r.aside != "" {
		r.spool.Forget(r.aside)
	}
	r.aside = id
	return nil
}

// isCurrent returns an error if the object has another tag.
func (r *rotation) isCurrent(ctx context.Context, tag string) error {
	info, err := r.opened.Stat(ctx, r.p.name)
	switch {
	case errors.Is(err, vault.ErrNotFound):
		return r.conflict("another writer removed the object while the program ran")
	case err == nil && info.Tag != tag:
		return r.conflict("another writer replaced the value while the program ran")
	}
	return err
}

// conflict returns the error for a value that is not the one that was read any more.
func (r *rotation) conflict(text string) error {
	return hint(about(r.p.name, fmt.Errorf("%w: %s", vault.ErrConflict, text)), "decide which value stays, and revoke the other one")
}

// checkMetadata returns an error if the metadata of the new value cannot be sealed.
func (r *rotation) checkMetadata(ctx context.Context) error {
	key, err := r.spool.KeySource(true)
	if err != nil {
		return err
	}
	o := r.p.options
	sealer, err := envelope.Seal(ctx, io.Discard, r.ref(), []envelope.KeySource{key}, &envelope.SealOptions{
		Revision: 1, Metadata: envelope.Metadata{ContentType: o.ContentType, Expires: o.Expires, Labels: o.Labels},
	})
	if err == nil {
		sealer.Abort()
	}
	return err
}

// revokeOld runs the command of --revoke.
func (r *rotation) revokeOld(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return r.unrevoked(&interruption{err, "the secret was stored"})
	}
	if err := r.doubt(); err != nil {
		return err
	}
	var secrets []mask.Secret
	for _, value := range append(r.hide, r.secret) {
		secrets = append(secrets, mask.Secret{Name: string(r.p.name), Value: value})
	}
	shown := &draining{w: r.err}
	out := mask.NewWriter(shown, secrets)
	code, err := r.runChild(ctx, child{argv: r.revoke, env: r.env, in: bytes.NewReader(r.old), out: out, err: out})
	out.Close() // a draining returns no error
	if err == nil && code == exitOK {
		r.note("the command of --revoke succeeded")
		r.keepOld = false
		return shown.err
	}
	reason := fmt.Sprintf("the command of --revoke ended with exit code %d", code)
	if err != nil {
		reason = "the command of --revoke did not end properly: " + err.Error()
	}
	return r.partial(reason, "pipe the old value to the command again")
}

// doubt returns an error if the new value may not be what the program created, or may be the old one in
// another form. Then the old value is not revoked.
func (r *rotation) doubt() error {
	old, secret := bytes.TrimSpace(r.old), bytes.TrimSpace(r.secret)
	reason := ""
	switch {
	case slices.Contains(r.behind.stores(r.p.name), r.opened.store.Name):
		return r.partial("the first store does not have it yet, so --revoke was not run", "run {vault} sync, then pipe the old value to the command")
	case len(secret) < mask.MinLen:
		reason = fmt.Sprintf("it has only %s, so --revoke was not run", plural(len(secret), "byte", "bytes"))
	case bytes.Contains(secret, old), bytes.Contains(old, secret):
		reason = "one of the two values contains the other one, so --revoke was not run"
	default:
		return nil
	}
	return r.partial(reason, "check the new value with {vault} get {name}; if the old one is not in use any more, pipe it to the command")
}

// partial returns the error for a new value that is stored and an old one that is not known to be revoked.
func (r *rotation) partial(reason, next string) error {
	id := spool.ShortID(r.aside)
	err := fmt.Errorf("%w: the new value is stored, but %s: the old value may still be valid; it is saved on this machine, and in the history if the store keeps one", errPartial, reason)
	return hint(about(r.p.name, err), "%s: %s | COMMAND; then run %s", next, r.command("spool get %s", id), r.command("spool drop %s", id))
}

// A draining writes to w until that fails. It accepts the rest, so that the program that writes does not
// end because of a closed pipe.
type draining struct {
	w   io.Writer
	err error // of w
}

func (d *draining) Write(p []byte) (int, error) {
	if d.err == nil {
		if _, err := d.w.Write(p); err != nil {
			d.err = fmt.Errorf("%w: %w", errOutput, err)
		}
	}
	return len(p), nil
}

// unrevoked adds to err that the old value was not revoked.
func (r *rotation) unrevoked(err error) error {
	if r.revoke == nil {
		return err
	}
	text := "the old value was not revoked"
	if r.keepOld {
		text += "; " + r.command("spool get %s", spool.ShortID(r.aside)) + " writes it"
	}
	report := explain("rotate", err)
	if report.Kind != "interrupted" {
		return about(r.p.name, &reworded{err, report.Message + "; " + text})
	}
	var i *interruption
	if errors.As(err, &i) {
		text = i.done + "; " + text
	}
	return &interruption{err, text}
}

// forget removes the old value from this machine, unless it may be the only copy.
func (r *rotation) forget() {
	if r.aside != "" && !r.keepOld {
		r.spool.Forget(r.aside)
	}
}
