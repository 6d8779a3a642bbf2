package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

func verifyCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "read and open all objects, and report the damaged ones",
		UsageText: s.prog + " verify [PREFIX] [--headers] [--versions] [--sample PERCENT]",
		Description: "Reads each object whose name starts with PREFIX to its end, and verifies every byte. It prints a\n" +
			"line for each object that needs attention:\n\n" +
			"   damaged    the object was changed, truncated, replaced by an older one, or is no envelope\n" +
			"   unopened   no configured key source opens the object\n" +
			"   failed     the object could not be read; the reason follows\n" +
			"   expired    the object opens, and its expiry date has passed\n" +
			"   agentkeys  agentKeys stored the object, in its weaker format\n" +
			"   foreign    another program stored the object, so it cannot be verified\n" +
			"   pending    a value waits on this machine (" + s.prog + " help spool)\n" +
			"   refused    the store refused a value of this name, and this machine keeps it\n\n" +
			"With --json, the objects without a remark are printed, too. The exit code is 15 if an object is\n" +
			"damaged, and otherwise 3 if one could not be opened or read. If verify is interrupted, the next run\n" +
			"with the same arguments and keys continues; --restart begins again. If the profile has mirrors,\n" +
			"verify reads only the first store.\n\n" +
			"--headers opens only the start of each object: its name, revision and metadata. Damage in the value\n" +
			"is then not detected. Without a key, verify checks only that each object starts like an envelope and\n" +
			"has a possible length. This does not prove that an object was not changed.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " verify\n" +
			"   " + s.prog + " verify team/ --versions --jobs 32\n" +
			"   " + s.prog + " verify --sample 5% --json",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "headers", Usage: "open only the start of each object", DisableDefaultText: true},
			&cli.BoolFlag{Name: "versions", Usage: "also verify the old versions, including those of removed names", DisableDefaultText: true},
			&cli.StringFlag{Name: "sample", Usage: "verify a random `PERCENT` of the objects, such as 5%"},
			&cli.IntFlag{Name: "jobs", Usage: "open `N` objects at once", Value: entriesAtOnce},
			&cli.BoolFlag{Name: "restart", Usage: "do not continue an interrupted run", DisableDefaultText: true},
		},
		Action: s.action(s.verify),
	}
}

// errDamaged means that an object is damaged. It has the exit code of a damaged object.
var errDamaged = errors.New("damaged")

const maxJobs = 1024

func (s *session) verify(ctx context.Context) error {
	args, err := s.arguments(0, 1)
	if err != nil {
		return err
	}
	sample, err := s.sample()
	if err != nil {
		return err
	}
	jobs := s.c.Int("jobs")
	if jobs < 1 || jobs > maxJobs {
		return usagef("--jobs must be between 1 and %d", maxJobs)
	}
	s.keepKeys = time.Minute
	v, err := s.open(ctx, anyKeys)
	if err != nil {
		return err
	}
	r := &verification{session: s, v: v, sample: sample, prefix: strings.Join(args, "")}
	if r.store, err = v.storeOnly(); err != nil {
		return err
	}
	if err := r.resume(ctx); err != nil {
		return err
	}
	if !v.keyed {
		s.note("there is no key: verify only checks that each object starts like an envelope and has a possible length")
	}
	bar := s.progress("verify", -1)
	err = eachAtOnce(ctx, r.store, &vault.ListOptions{Prefix: r.prefix, Removed: s.c.Bool("versions")}, jobs, r.entry, func(lines verifiedEntry) error {
		bar.add(lines.read)
		return r.show(lines)
	})
	bar.done()
	if err == nil {
		err = r.showSpool(ctx)
	}
	if err != nil {
		r.save()
		return err
	}
	return r.finish()
}

// sample returns the part of the objects that is verified.
func (s *session) sample() (float64, error) {
	if !s.c.IsSet("sample") {
		return 1, nil
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(s.c.String("sample"), "%"), 64)
	if err != nil || !(percent > 0 && percent <= 100) {
		return 0, usagef("--sample must be a percentage, such as 5%%")
	}
	return percent / 100, nil
}

// A verifyStatus is the result of one object.
type verifyStatus string

const (
	statusOK       verifyStatus = "ok"
	statusDamaged  verifyStatus = "damaged"
	statusUnopened verifyStatus = "unopened"
	statusFailed   verifyStatus = "failed"
	statusForeign  verifyStatus = "foreign"
	statusPending  verifyStatus = "pending"
	statusRefused  verifyStatus = "refused"
)

// verifyLine is a line of verify --json.
type verifyLine struct {
	Name     vault.Name   `json:"name,omitempty"`
	Key      string       `json:"key,omitempty"` // of a foreign object, or of one of agentKeys
	Version  string       `json:"version,omitempty"`
	Status   verifyStatus `json:"status"`
	Remark   string       `json:"remark,omitempty"` // expired or agentkeys
	Revision int64        `json:"revision,omitempty"`
	Size     int64        `json:"size,omitempty"`
	Error    *report      `json:"error,omitempty"`
}

// A verifiedEntry is the result of an entry of the list.
type verifiedEntry struct {
	lines []verifyLine
	key   string // of the entry, to continue after it; empty: it does not follow the order of the list
	read  int64  // bytes of the values
	err   error  // ends the run
}

// A verification is one run of the command.
type verification struct {
	*session
	verifyState
	v      *opened
	store  *vault.Vault // v without its mirrors and its spool
	prefix string
	sample float64

	path    string // of the state; empty: it is not saved
	skipped string // the key after which this run continues
	saved   time.Time
}

// entry verifies an object and, with --versions, its old versions.
func (r *verification) entry(ctx context.Context, e vault.Entry) verifiedEntry {
	result := verifiedEntry{key: e.Key}
	if e.Legacy || e.Removed {
		result.key = ""
	}
	switch {
	case result.key != "" && e.Key <= r.skipped:
		return result
	case e.Foreign:
		result.lines = []verifyLine{{Key: e.Key, Status: statusForeign}}
		return result
	case r.sample < 1 && rand.Float64() >= r.sample:
		return result
	}
	if !e.Removed {
		result.add(r.one(ctx, e.Name, ""))
	}
	if !r.c.Bool("versions") || result.err != nil {
		return result
	}
	for h, err := range r.store.History(ctx, e.Name) {
		switch {
		case err != nil:
			result.add(r.line(e.Name, "", vault.Info{}, err))
			return result
		case h.Deleted || h.Current:
			continue
		case h.Damaged:
			result.add(r.line(e.Name, h.Version, vault.Info{}, fmt.Errorf("%w: the version is not an envelope", envelope.ErrFormat)))
		case r.v.keyed:
			result.add(r.one(ctx, e.Name, h.Version))
		}
	}
	return result
}

func (e *verifiedEntry) add(l verifyLine, err error) {
	if err != nil {
		e.err = cmp.Or(e.err, err)
		return
	}
	e.lines = append(e.lines, l)
	if l.Status == statusOK {
		e.read += l.Size
	}
}

// one verifies one version; an empty version means the current one.
func (r *verification) one(ctx context.Context, name vault.Name, version string) (verifyLine, error) {
	if (r.c.Bool("headers") || !r.v.keyed) && version == "" {
		info, err := r.store.Stat(ctx, name)
		return r.line(name, version, info, err)
	}
	o := &vault.GetOptions{Version: version}
	if r.c.Bool("headers") {
		o.Range = &vault.Range{Length: 1}
	}
	reader, err := r.store.Get(ctx, name, o)
	if err != nil {
		return r.line(name, version, vault.Info{}, err)
	}
	defer reader.Close()
	_, err = io.Copy(io.Discard, reader)
	return r.line(name, version, reader.Info(), err)
}

// line returns the line of an object whose verification ended with err. The error that it returns ends
// the run.
func (r *verification) line(name vault.Name, version string, info vault.Info, err error) (verifyLine, error) {
	l := verifyLine{Name: name, Version: version, Status: statusOK, Revision: info.Revision, Size: info.Size}
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return l, err
	case errors.Is(err, vault.ErrLegacy):
		info.Legacy = "unopened"
	default:
		failure := r.filled(explain("verify", r.v.explainKey(err)))
		if l.Error, l.Status = &failure, statusFailed; failure.Code == exitIntegrity {
			l.Status = statusDamaged
		} else if failure.Code == exitUnknownKey {
			l.Status = statusUnopened
		}
	}
	switch {
	case info.Legacy != "":
		l.Key, l.Remark = info.LegacyKey, "agentkeys"
	case info.Expired:
		l.Remark = "expired"
	}
	return l, nil
}

// show prints the lines of an entry.
func (r *verification) show(e verifiedEntry) error {
	if e.err != nil {
		return e.err
	}
	for _, l := range e.lines {
		if l.Error != nil && l.Error.Code == exitNotFound {
			continue // removed since it was listed
		}
		if err := r.print(l); err != nil {
			return err
		}
	}
	if e.key != "" {
		r.After = e.key
	}
	if r.now().Sub(r.saved) > saveInterval {
		r.save()
	}
	return nil
}

func (r *verification) print(l verifyLine) error {
	switch l.Status {
	case statusOK:
		r.OK++
		r.Bytes += l.Size
	case statusDamaged:
		r.Damaged++
	case statusUnopened:
		r.Unopened++
	case statusFailed:
		r.Failed++
	}
	if r.json {
		return r.ui.print(l)
	}
	status := string(l.Status)
	if l.Status == statusOK {
		if status = l.Remark; status == "" {
			return nil
		}
	}
	text := fmt.Sprintf("%s\t%s", status, visible(cmp.Or(string(l.Name), l.Key)))
	if l.Version != "" {
		text += "\tversion " + visible(l.Version)
	}
	if _, err := fmt.Fprintln(r.out, text); err != nil {
		return err
	}
	if l.Error != nil {
		r.printError(*l.Error)
	}
	return nil
}

// showSpool prints the values of the spool that are not in the store.
func (r *verification) showSpool(ctx context.Context) error {
	if r.v.spool == nil {
		return nil
	}
	entries, err := r.v.spool.Entries(ctx, envelope.Ref{Vault: r.v.VaultID(), Tenant: string(r.v.Tenant()), Collection: string(r.v.Collection())})
	if err != nil {
		return err
	}
	for _, e := range entries {
		entry := e.Entry()
		if !strings.HasPrefix(entry.Ref.Name, r.prefix) {
			continue
		}
		l := verifyLine{Name: vault.Name(entry.Ref.Name), Status: statusPending, Revision: entry.Revision}
		if entry.Refused {
			l.Status = statusRefused
		}
		if err := r.print(l); err != nil {
			return err
		}
	}
	return nil
}

// finish prints the numbers of the run, and returns its error.
func (r *verification) finish() error {
	r.forget()
	checked := plural(r.OK+r.Damaged+r.Unopened+r.Failed, "object", "objects")
	if r.c.Bool("versions") {
		checked += " and versions"
	}
	if !r.json {
		r.note("%s checked, %s: %d ok, %d damaged, %d unopened, %d failed", checked, size(r.Bytes), r.OK, r.Damaged, r.Unopened, r.Failed)
	}
	switch {
	case r.Damaged > 0:
		return hint(fmt.Errorf("%w: %s", errDamaged, plural(r.Damaged, "object or version", "objects or versions")), "{vault} history NAME lists the versions of a damaged object, and {vault} rollback restores one")
	case r.Unopened > 0:
		return hint(fmt.Errorf("%w: %s could not be opened", errPartial, plural(r.Unopened+r.Failed, "object or version", "objects or versions")), "add the key sources of their writers with --keys")
	case r.Failed > 0:
		return fmt.Errorf("%w: %s could not be read", errPartial, plural(r.Failed, "object or version", "objects or versions"))
	}
	return nil
}
