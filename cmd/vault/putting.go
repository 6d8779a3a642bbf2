package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// A putting is one put of the command. It saves the value in the spool before it needs a token or a
// connection.
type putting struct {
	*session
	name    vault.Name
	options *vault.PutOptions
	remote  bool // --require-remote

	// Where no setting names the tenant, and only a request can: see withoutTenant.
	set   config.Settings
	spool *spool.Spool
}

// open opens the vault without a request. It returns nil if only a request can tell the tenant.
func (p *putting) open(ctx context.Context) (*opened, error) {
	set, err := p.settings()
	if err != nil {
		return nil, err
	}
	if set.SpoolRequired && p.options.Spool == vault.SpoolDefault {
		p.options.Spool = vault.SpoolRequire
	}
	location, err := p.session.location(set)
	if err != nil {
		return nil, err
	}
	if err := p.checkScope(set); err != nil {
		return nil, err
	}
	if p.options.Spool == vault.SpoolOff || !p.spoolAlways && !spooling(set, location) {
		if p.options.Spool == vault.SpoolRequire {
			p.options.Spool = vault.SpoolDefault // this store needs none
		}
		return p.session.open(ctx, mustKeys)
	}
	if _, known := p.tenantOffline(ctx, set, location); known {
		return p.session.open(ctx, mustKeys)
	}
	if _, err := p.planOffline(ctx, set); err != nil {
		return nil, err
	}
	if _, err := p.keys(ctx, set, mustKeys, new(opened)); err != nil {
		return nil, err
	}
	p.set = set
	if p.spool, err = p.openSpool(set, location, p.spoolLimit); err != nil {
		return nil, err
	}
	return nil, nil
}

// checkScope returns an error if the profile does not allow the put, or if its format cannot express it, so that no value is read, and no
// program runs, that could then not be stored.
func (p *putting) checkScope(set config.Settings) error {
	s, err := scope(set)
	if err != nil {
		return err
	}
	err = s.Check(p.name, true)
	if err == nil && set.Write.Text != "" {
		err = vault.CheckLegacyPut(p.name, p.options)
	}
	if err != nil {
		return about(p.name, err)
	}
	return nil
}

// put stores the value.
func (p *putting) put(ctx context.Context, v *opened, value io.Reader, size int64) error {
	limitMemory(size)
	bar := p.progress("put "+string(p.name), size)
	info, err := v.Put(ctx, p.name, bar.reader(value), p.options)
	bar.done()
	return p.finish(ctx, v, info, v.explainKey(err))
}

// withoutTenant saves the value for the key of the spool, and then asks for the token that names the
// tenant. It holds the value in memory until then, so that it can still be sent if it cannot be saved. A
// value that is longer than the limit of the spool is not saved before.
func (p *putting) withoutTenant(ctx context.Context, value io.Reader, length int64) error {
	longest := int64(spool.DefaultLimit)
	if p.spool == nil || length > longest {
		longest = 0
	}
	start, err := io.ReadAll(io.LimitReader(value, longest+1))
	if err != nil {
		return about(p.name, &vault.SourceError{Err: err})
	}
	var entry vault.Spooled
	unsaved := fmt.Errorf("%w: the tenant is not known yet, because there is no valid token; until then only values of at most %s are saved on this machine", vault.ErrTooLarge, size(spool.DefaultLimit))
	switch {
	case p.spool == nil:
		unsaved = errors.New("there is no directory for the spool")
	case int64(len(start)) <= longest:
		ref := envelope.Ref{Vault: p.set.VaultID.Text, Collection: string(vault.DefaultCollection), Name: string(p.name)}
		if c, err := vault.ParseCollection(p.set.Collection.Text); err == nil {
			ref.Collection = string(c)
		}
		if entry, unsaved = p.spool.Keep(ctx, ref, bytes.NewReader(start), p.options); unsaved == nil {
			defer entry.Unlock()
		}
	}
	if unsaved != nil && p.options.Spool == vault.SpoolRequire {
		return about(p.name, fmt.Errorf("the value cannot be saved on this machine: %w", unsaved))
	}
	v, err := p.session.open(ctx, mustKeys)
	switch {
	case unsaved != nil && err != nil:
		return about(p.name, &vault.UnsavedError{Err: err, Spool: unsaved})
	case unsaved != nil:
		return p.put(ctx, v, io.MultiReader(bytes.NewReader(start), value), length)
	case err != nil:
		refused := !errors.Is(err, vault.ErrUnavailable) && !errors.Is(err, vault.ErrUnauthenticated) && !errors.Is(err, context.Canceled)
		// If the line is lost, the value stays pending: nothing was sent, and another attempt meets the same error.
		entry.Attempted(vault.SpoolAttempt{Time: p.now(), Reason: err.Error(), Refused: refused})
		return p.finish(ctx, nil, vault.Info{Name: p.name}, about(p.name, &vault.SpooledError{ID: entry.Entry().ID, Refused: refused, Err: err}))
	}
	replacing := *p.options
	replacing.Replaces = entry
	info, err := v.Put(ctx, p.name, bytes.NewReader(start), &replacing)
	return p.finish(ctx, v, info, v.explainKey(err))
}

// finish reports the result of a put.
func (p *putting) finish(ctx context.Context, v *opened, info vault.Info, err error) error {
	var spooled *vault.SpooledError
	o := p.options
	var few *vault.QuorumError
	if err != nil {
		p.noteUnfinished(p.name, info.Unfinished) // in the stores that have the value: err has those of the others
	}
	switch {
	case errors.As(err, &few):
		p.owe(v, info)
		return about(p.name, &savedError{tagged{err, vault.ErrSpooled}, p.tooFew(few)})
	case errors.As(err, &spooled) && !spooled.Refused:
		if v != nil {
			p.owe(v, info)
		}
		return p.saved(v, spooled)
	case errors.Is(err, vault.ErrExist):
		return hint(err, "omit --create to replace it")
	case errors.Is(err, vault.ErrConflict):
		return hint(err, "{vault} stat {name} shows the current revision")
	case errors.Is(err, vault.ErrLegacyLimit):
		return err
	case errors.Is(err, vault.ErrUnsupported) && o.IfRevision != 0:
		return hint(err, "omit --if-revision")
	case errors.Is(err, vault.ErrUnsupported) && o.Create && reasonHint(err) == "":
		return hint(err, "omit --create")
	case err != nil:
		return err
	}
	if v.spool != nil {
		v.spool.MarkReached()
		p.flush(ctx, v)
	}
	p.flushMirrors(ctx, v)
	return p.stored(v, info)
}

// tooFew describes a value that fewer stores have than the profile requires.
func (p *putting) tooFew(few *vault.QuorumError) string {
	next := "run " + p.command("sync") + " when they can be reached"
	if errors.Is(few, vault.ErrSpooled) {
		next = "later commands and " + p.command("sync") + " send it to the others"
	}
	return fmt.Sprintf("stored in %d of the %s that quorum requires: %s; %s", few.Stored, plural(few.Quorum, "store", "stores"), explain("put", causeOf(few.Err)).Message, next)
}

// saved reports a value that is on this machine only.
func (p *putting) saved(v *opened, spooled *vault.SpooledError) error {
	sp := p.spool
	if v != nil {
		sp = v.spool
	}
	if sp != nil && !sp.Reached() {
		store, _ := p.settings()
		p.note("this machine has never reached this store; check the URL of the store: %s", shownURL(store.Store.Text))
	}
	if p.remote {
		return about(p.name, &requiredRemote{spooled})
	}
	cause := explain("put", spooled.Err)
	dir := ""
	if sp != nil {
		dir = " in " + sp.Dir()
	}
	next := "later commands and " + p.command("sync") + " send it"
	if !p.usuallySpools() {
		next = p.command("sync") + " sends it"
	}
	return &hinted{about(p.name, &savedError{spooled, fmt.Sprintf("saved as %s%s, not yet in the store: %s; %s", spool.ShortID(spooled.ID), dir, cause.Message, next)}), ""}
}

// usuallySpools reports whether every command uses the spool of the store, and not only capture and rotate.
func (s *session) usuallySpools() bool {
	set, err := s.settings()
	if err != nil {
		return false
	}
	location, err := s.location(set)
	return err == nil && spooling(set, location)
}

// A savedError is a SpooledError with a text for people.
type savedError struct {
	err  error
	text string
}

func (e *savedError) Error() string { return e.text }
func (e *savedError) Unwrap() error { return e.err }

// A requiredRemote is the error of a put with --require-remote: the cause decides about the exit code.
type requiredRemote struct{ spooled *vault.SpooledError }

func (e *requiredRemote) Error() string { return e.spooled.Err.Error() }
func (e *requiredRemote) Unwrap() error { return e.spooled.Err }
