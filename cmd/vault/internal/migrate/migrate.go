// Package migrate moves credentials from another place into a vault: from the objects of agentKeys, or
// from its plaintext credential server.
//
// Each credential is read from the source, stored, read back, and compared. A migration can be
// interrupted and run again: credentials that the vault already has are only compared.
package migrate

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// A Status is how the migration of one credential ended.
type Status string

const (
	StatusFound    Status = "found"    // dry run: the credential would be stored
	StatusVerified Status = "verified" // the vault returned the value of the source
	StatusSkipped  Status = "skipped"  // the vault has a newer value
	StatusFailed   Status = "failed"   // the credential was not migrated
)

// A Result describes the migration of one credential.
type Result struct {
	Item
	Status Status
	Stored bool // this run stored the value; without it, a verified value was in the vault before
	// Replaces means that the vault had another value, which this run has replaced, or would replace.
	Replaces bool
	Size     int        // bytes of the value
	Info     vault.Info // of the value in the vault; zero if the credential is not there
	Err      error      // why the credential was skipped or not migrated
}

var (
	// ErrDiffers means that the vault has another value than the source, and that it is not certain which
	// one is newer.
	ErrDiffers = errors.New("the vault has another value, and it is not certain which one is newer")
	// ErrNewer means that the vault has a newer value than the source.
	ErrNewer = errors.New("the vault has a newer value")
	// ErrChanging means that other programs stored the credential again and again during the migration.
	ErrChanging = errors.New("other programs store this credential at the same time")
	// ErrPending means that a value of the name waits in the spool.
	ErrPending = errors.New("a value of this name waits in the spool")
	// ErrUnverified means that the vault does not return the value any more that was verified.
	ErrUnverified = errors.New("the vault does not return the verified value any more")
)

// Options configures a [Migration]. The zero value is ready to use.
type Options struct {
	// DryRun stores nothing. It reads every value of the source and of the vault.
	DryRun bool
	// Overwrite replaces a value of the vault that differs, even if it is newer, or if its age is not
	// known.
	Overwrite bool
	// NoOtherWriters permits a migration at a store without conditional writes.
	NoOtherWriters bool
	// InPlace means that the source is the objects of agentKeys in the store of the vault.
	InPlace bool
	// Written is called for each object that the migration stores; nil calls nothing.
	Written func(vault.Info)
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
}

// A Migration moves the credentials of one source into a vault.
type Migration struct {
	source  Source
	vault   *vault.Vault
	options Options
	key     []byte // of the digests, which are compared in place of the values

	seen     int // credentials of the source
	verified []Verified
}

// New returns a Migration from a source into a vault, which must not store objects of agentKeys.
func New(source Source, v *vault.Vault, o *Options) *Migration {
	m := &Migration{source: source, vault: v, key: make([]byte, sha256.Size)}
	if o != nil {
		m.options = *o
	}
	if m.options.Now == nil {
		m.options.Now = time.Now
	}
	if m.options.Written == nil {
		m.options.Written = func(vault.Info) {}
	}
	rand.Read(m.key)
	return m
}

// Run migrates all credentials of the source, in their order, and calls report for each of them. It returns
// the number of credentials of other agents in the source (-1: not known). It stops early only if the
// source cannot be listed, if report returns an error, or if ctx ends.
func (m *Migration) Run(ctx context.Context, report func(Result) error) (others int, err error) {
	items, others, err := m.source.List(ctx)
	if err != nil {
		return others, err
	}
	m.seen = len(items)
	for _, item := range items {
		r := m.one(ctx, item)
		if ctx.Err() != nil {
			return others, ctx.Err()
		}
		if err := report(r); err != nil {
			return others, err
		}
	}
	return others, nil
}

// Shred removes the credentials from the source that Run has verified. It reads each of them from the vault
// once more, and keeps those whose value the vault does not return any more.
func (m *Migration) Shred(ctx context.Context) (ShredReport, error) {
	var verified []Verified
	var kept []Kept
	for _, v := range m.verified {
		value, info, err := m.read(ctx, vault.Name(v.Service))
		switch {
		case ctx.Err() != nil:
			return ShredReport{}, ctx.Err()
		case err == nil && info.Legacy == "" && !info.Pending && v.Same(value):
			verified = append(verified, v)
		default:
			kept = append(kept, Kept{v.Item, ErrUnverified.Error()})
		}
		clear(value)
	}
	if len(verified) == 0 && len(kept)+m.seen > 0 {
		return ShredReport{Kept: kept}, nil
	}
	report, err := m.source.Shred(ctx, verified)
	report.Kept = append(report.Kept, kept...)
	return report, err
}

// one migrates one credential.
func (m *Migration) one(ctx context.Context, item Item) Result {
	r := Result{Item: item}
	err := m.move(ctx, &r)
	switch {
	case err == nil:
	case errors.Is(err, ErrNewer):
		r.Status, r.Err = StatusSkipped, err
	default:
		r.Status, r.Err = StatusFailed, err
	}
	return r
}

// move migrates one credential in rounds. A round stores the value of the source. The next one checks that
// the source still has it, because a value that was stored in the source in the meantime would seem older
// than the one in the vault. A source without times is not read again: there, no value seems older.
func (m *Migration) move(ctx context.Context, r *Result) error {
	name, err := vault.ParseNewName(r.Service)
	if err != nil {
		return err
	}
	var digest []byte // of the value in the source
	stored := false   // the last round has stored and verified this value
	own := ""         // the tag of the object that this run has stored
	changed := ErrChanging
	for round := 1; ; round++ {
		value, err := m.source.Read(ctx, r.Item)
		if stored && errors.Is(err, ErrGone) { // an object that was converted in place
			m.verify(r, digest)
			return nil
		}
		if err != nil {
			return err
		}
		now := m.digest(value)
		if stored && hmac.Equal(now, digest) {
			clear(value)
			m.verify(r, digest)
			return nil
		}
		if round > maxRounds {
			clear(value)
			return changed
		}
		digest, r.Size = now, len(value)
		wrote, err := m.round(ctx, r, name, value, digest, &own)
		clear(value)
		var again *changedError
		switch {
		case errors.As(err, &again):
			stored, changed = false, again.error
		case err == nil && wrote && !r.Updated.IsZero():
			stored = true
		case err != nil && r.Stored && !errors.Is(err, ErrNewer):
			return fmt.Errorf("the value was stored, but could not be verified: %w", err)
		case err != nil || r.Status == StatusFound:
			return err
		default:
			m.verify(r, digest)
			return nil
		}
	}
}

const (
	maxRounds = 3
	// maxAttempts is how often a credential is stored in a round while other writers store the same name.
	maxAttempts = 3
	// margin is the difference of two times that does not show which one is later: clocks differ, and
	// some times are in whole seconds.
	margin = 2 * time.Second
	// maxValue is the length of the longest value that is read from the vault: that of a file of SQLite.
	maxValue = 64 << 20
)

// A changedError means that the source must be read again. Its error is the result if the last round also
// ends with a changedError.
type changedError struct{ error }

// verify records that the vault has returned the value of the source.
func (m *Migration) verify(r *Result, digest []byte) {
	r.Status = StatusVerified
	m.verified = append(m.verified, Verified{r.Item, func(value []byte) bool { return hmac.Equal(m.digest(value), digest) }})
}

// round stores a value, unless the vault has it, and reads it back. own is the tag of the object that an
// earlier round has stored. wrote reports whether the round may have stored anything.
func (m *Migration) round(ctx context.Context, r *Result, name vault.Name, value, digest []byte, own *string) (wrote bool, err error) {
	for attempt := 1; ; attempt++ {
		current, err := m.compare(ctx, r, name, digest, *own)
		switch {
		case err != nil:
			return wrote, err
		case hmac.Equal(current, digest) && r.Info.Legacy == "":
			return wrote, nil
		case m.options.DryRun:
			r.Status, r.Replaces = StatusFound, current != nil && !hmac.Equal(current, digest)
			return false, nil
		case attempt > maxAttempts:
			return wrote, ErrChanging
		}
		wrote = true
		r.Replaces = r.Replaces || current != nil && !hmac.Equal(current, digest) && *own == ""
		legacy := r.Info.Legacy != ""
		info, err := m.store(ctx, r, name, value, digest, current, attempt)
		if info.Tag != "" {
			*own, r.Stored = info.Tag, true
			m.options.Written(info)
		}
		conflict := errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrExist)
		switch {
		case conflict && legacy && m.options.InPlace:
			return wrote, &changedError{err}
		case err != nil && (!conflict || attempt == maxAttempts):
			return wrote, err
		} // otherwise another writer was faster: compare with its value
	}
}

// read reads a value of the vault. A mirror does not take the place of its store, because the value may then
// be in the mirror only.
func (m *Migration) read(ctx context.Context, name vault.Name) ([]byte, vault.Info, error) {
	value, info, err := m.vault.ReadAll(ctx, name, &vault.ReadAllOptions{Limit: maxValue})
	if err == nil && info.Mirror != "" {
		clear(value)
		return nil, vault.Info{}, fmt.Errorf("%w: only the mirror %s returned the value", vault.ErrUnavailable, info.Mirror)
	}
	return value, info, err
}

// compare returns the digest of the value in the vault; nil: there is none. The error wraps ErrNewer or
// ErrDiffers if it is another value than that of the source, and must not be replaced.
func (m *Migration) compare(ctx context.Context, r *Result, name vault.Name, digest []byte, own string) (current []byte, err error) {
	value, info, err := m.read(ctx, name)
	switch {
	case errors.Is(err, vault.ErrNotFound):
		r.Info = vault.Info{}
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer clear(value)
	r.Info, current = info, m.digest(value)
	stored := info.Modified // of an envelope, the revision is a more exact time
	if info.Revision > 0 {
		stored = time.UnixMicro(info.Revision)
	}
	switch {
	case info.Pending:
		return nil, ErrPending
	case hmac.Equal(current, digest), m.options.Overwrite, own != "" && info.Tag == own:
		return current, nil
	case info.Legacy != "" && m.options.InPlace:
		return nil, &changedError{ErrChanging}
	case r.Updated.IsZero(), r.Updated.After(m.options.Now().Add(margin)), stored.Sub(r.Updated).Abs() <= margin:
		return nil, ErrDiffers
	case stored.After(r.Updated):
		return nil, ErrNewer
	}
	return current, nil
}

// store stores the value, on the condition that the vault still has the object that compare has read.
func (m *Migration) store(ctx context.Context, r *Result, name vault.Name, value, digest, current []byte, attempt int) (vault.Info, error) {
	if r.Info.Legacy != "" {
		o := &vault.ConvertOptions{
			NoOtherWriters: m.options.NoOtherWriters, Overwrite: m.options.Overwrite,
			Same: func(value []byte) bool { return hmac.Equal(m.digest(value), current) },
		}
		if !hmac.Equal(current, digest) {
			o.Value = value
		}
		return m.vault.ConvertLegacy(ctx, name, o)
	}
	o := &vault.PutOptions{Spool: vault.SpoolOff, IfTag: r.Info.Tag, Create: r.Info.Tag == ""}
	info, err := m.put(ctx, name, value, o)
	refused := errors.Is(err, vault.ErrUnsupported) || attempt == maxAttempts && errors.Is(err, vault.ErrConflict) // some servers refuse every condition
	if refused && m.options.NoOtherWriters {
		o.Create, o.IfTag = false, ""
		info, err = m.put(ctx, name, value, o)
	}
	return info, err
}

func (m *Migration) put(ctx context.Context, name vault.Name, value []byte, o *vault.PutOptions) (vault.Info, error) {
	return m.vault.Put(ctx, name, bytes.NewReader(value), o)
}

// digest returns a digest of a value, which reveals nothing without the key.
func (m *Migration) digest(value []byte) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write(value)
	return h.Sum(nil)
}
