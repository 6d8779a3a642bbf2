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
	Stored bool       // this run stored the value; without it, a verified value was in the vault before
	Size   int        // bytes of the value
	Info   vault.Info // of the value in the vault; zero if the credential is not there
	Err    error      // why the credential was skipped or not migrated
}

var (
	// ErrDiffers means that the vault has another value than the source, and that it is not known which
	// one is newer.
	ErrDiffers = errors.New("the vault has another value, and the source does not know when its value was stored")
	// ErrNewer means that the vault has a newer value than the source.
	ErrNewer = errors.New("the vault has a newer value")
	// ErrVerify means that the vault returned another value than the one that was stored.
	ErrVerify = errors.New("the vault returned another value than the one that was stored")
	// ErrPending means that a value of the name waits in the spool.
	ErrPending = errors.New("a value of this name waits in the spool")
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
}

// A Migration moves the credentials of one source into a vault.
type Migration struct {
	source  Source
	vault   *vault.Vault
	options Options
	key     []byte // of the digests, which are compared in place of the values

	verified []Verified
}

// New returns a Migration from a source into a vault, which must not store objects of agentKeys.
func New(source Source, v *vault.Vault, o *Options) *Migration {
	m := &Migration{source: source, vault: v, key: make([]byte, sha256.Size)}
	if o != nil {
		m.options = *o
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

// Shred removes the credentials from the source that Run has verified.
func (m *Migration) Shred(ctx context.Context) (ShredReport, error) {
	if len(m.verified) == 0 {
		return ShredReport{}, nil
	}
	return m.source.Shred(ctx, m.verified)
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

func (m *Migration) move(ctx context.Context, r *Result) error {
	name, err := vault.ParseName(r.Service)
	if err != nil {
		return err
	}
	value, err := m.source.Read(ctx, r.Item)
	if err != nil {
		return err
	}
	defer clear(value)
	r.Size = len(value)
	digest := m.digest(value)
	for attempt := 1; ; attempt++ {
		same, err := m.compare(ctx, r, name, digest)
		switch {
		case err != nil && r.Stored && !errors.Is(err, ErrNewer):
			return fmt.Errorf("the value was stored, but could not be verified: %w", err)
		case err != nil:
			return err
		case same && r.Info.Legacy == "":
			r.Status = StatusVerified
			m.verified = append(m.verified, Verified{r.Item, func(value []byte) bool { return hmac.Equal(m.digest(value), digest) }})
			return nil
		case m.options.DryRun:
			r.Status = StatusFound
			return nil
		case attempt > maxAttempts:
			return ErrVerify
		}
		switch err := m.store(ctx, r, name, value, same, attempt); {
		case err == nil:
			r.Stored = true
		case !errors.Is(err, vault.ErrConflict) && !errors.Is(err, vault.ErrExist) || attempt == maxAttempts:
			return err
		} // otherwise another writer was faster: compare with its value
	}
}

// maxAttempts is how often a credential is stored while other writers store the same name.
const maxAttempts = 3

// compare reads the value of the vault, and reports whether it is that of the source. The error wraps
// ErrNewer or ErrDiffers if the vault has another value that must not be replaced.
func (m *Migration) compare(ctx context.Context, r *Result, name vault.Name, digest []byte) (same bool, err error) {
	value, info, err := m.vault.ReadAll(ctx, name, nil)
	switch {
	case errors.Is(err, vault.ErrNotFound):
		r.Info = vault.Info{}
		return false, nil
	case err != nil:
		return false, err
	}
	defer clear(value)
	r.Info = info
	switch {
	case info.Pending:
		return false, ErrPending
	case hmac.Equal(m.digest(value), digest):
		return true, nil
	case m.options.Overwrite:
		return false, nil
	case r.Updated.IsZero():
		return false, ErrDiffers
	case !info.Modified.Before(r.Updated):
		return false, ErrNewer
	}
	return false, nil
}

// store stores the value, on the condition that the vault still has the object that compare has read. same
// reports whether that object has the value, too: then it is one of agentKeys. An object of agentKeys
// cannot be replaced on a condition, so it becomes an envelope first.
func (m *Migration) store(ctx context.Context, r *Result, name vault.Name, value []byte, same bool, attempt int) error {
	if r.Info.Legacy != "" {
		info, err := m.vault.ConvertLegacy(ctx, name, &vault.ConvertOptions{NoOtherWriters: m.options.NoOtherWriters})
		if err != nil || same {
			return err
		}
		r.Info = info
	}
	o := &vault.PutOptions{Spool: vault.SpoolOff, IfTag: r.Info.Tag, Create: r.Info.Tag == ""}
	err := m.put(ctx, name, value, o)
	refused := errors.Is(err, vault.ErrUnsupported) || attempt == maxAttempts && errors.Is(err, vault.ErrConflict) // some servers refuse every condition
	if refused && m.options.NoOtherWriters {
		o.Create, o.IfTag = false, ""
		err = m.put(ctx, name, value, o)
	}
	return err
}

func (m *Migration) put(ctx context.Context, name vault.Name, value []byte, o *vault.PutOptions) error {
	_, err := m.vault.Put(ctx, name, bytes.NewReader(value), o)
	return err
}

// digest returns a digest of a value, which reveals nothing without the key.
func (m *Migration) digest(value []byte) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write(value)
	return h.Sum(nil)
}
