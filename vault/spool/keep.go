package spool

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// Keep adds a value whose tenant is not known yet, because the caller has no token at the moment.
// ref.Tenant must be empty. Keep seals the value with the key of the spool and returns the new
// entry, locked. The value belongs to the tenant of each Vault that uses a Spool with the same
// [Config].Identity: the Vault reads it, and [Spool.Sync] sends it to that tenant. If Identity is empty, the
// error wraps [vault.ErrConfig]. If the value is longer than [Config].Limit, the error wraps
// [vault.ErrTooLarge]. If Keep fails, nothing is kept.
//
// A caller that learns the tenant puts the value with [vault.PutOptions].Replaces, or calls Sync.
func (s *Spool) Keep(ctx context.Context, ref envelope.Ref, value io.Reader, o *vault.PutOptions) (vault.Spooled, error) {
	if s.config.Identity == "" || ref.Tenant != "" || value == nil {
		return nil, fmt.Errorf("%w: Keep needs a Config with an Identity, a name without a tenant, and a value", vault.ErrConfig)
	}
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	if o == nil {
		o = &vault.PutOptions{}
	}
	if o.Create && (o.IfTag != "" || o.IfRevision != 0) || o.IfTag != "" && o.IfRevision != 0 {
		return nil, fmt.Errorf("%w: use only one of Create, IfTag and IfRevision", vault.ErrConfig)
	}
	now := s.config.Now()
	e := vault.SpoolEntry{
		Ref: ref, Revision: max(1, now.UnixMicro()), Created: now, Local: true, Identity: s.config.Identity,
		Create: o.Create, IfTag: o.IfTag, IfRevision: o.IfRevision, IfRewrap: o.IfRewrap,
	}
	older, err := s.named(ctx, ref) // one of these tenants may be that of the caller
	for _, old := range older {
		e.Revision = max(e.Revision, old.e.Revision+1)
	}
	if err != nil {
		return nil, err
	}
	entry, err := s.keep(ctx, e, value, envelope.Metadata{ContentType: o.ContentType, Expires: o.Expires, Labels: o.Labels}, s.config.Limit, s.file)
	if err != nil {
		return nil, err
	}
	return entry, nil
}

// checkRef returns an error unless an object can have this name.
func checkRef(ref envelope.Ref) error {
	_, err := vault.ParseVaultID(ref.Vault)
	if err == nil && ref.Collection == "" {
		err = fmt.Errorf("%w: the collection is empty", vault.ErrInvalidName)
	}
	if err == nil {
		_, err = vault.ParseCollection(ref.Collection)
	}
	if err == nil {
		_, err = vault.ParseNewName(ref.Name)
	}
	return err
}

// KeepAside saves a value that is never sent, such as the output of a program, and returns its id. The
// value is sealed with the key of the spool. [Spool.Aside] lists it with the reason, and
// [Spool.OpenValue] opens it.
func (s *Spool) KeepAside(ctx context.Context, ref envelope.Ref, value io.Reader, reason string) (id string, err error) {
	if err := s.prepare(); err != nil {
		return "", err
	}
	now := s.config.Now()
	e := vault.SpoolEntry{Ref: ref, Revision: max(1, now.UnixMicro()), Created: now, Local: true}
	entry, err := s.keep(ctx, e, value, envelope.Metadata{}, math.MaxInt64, func(id string) string {
		if err := s.writeReason(id, reason); err != nil {
			s.config.Warn(err) // the entry is listed without a reason
		}
		return s.asideFile(id)
	})
	if err != nil {
		return "", err
	}
	entry.Unlock()
	return entry.e.ID, nil
}

// keep seals a value of at most limit bytes with the key of the spool into a new entry, which it returns locked.
func (s *Spool) keep(ctx context.Context, e vault.SpoolEntry, value io.Reader, m envelope.Metadata, limit int64, path func(id string) string) (*entry, error) {
	key, err := s.KeySource(true)
	if err != nil {
		return nil, err
	}
	entry, err := s.add(ctx, e, func(w io.Writer) error {
		sealer, err := envelope.Seal(ctx, w, e.Ref, []envelope.KeySource{key}, &envelope.SealOptions{Revision: e.Revision, Metadata: m})
		if err != nil {
			return err
		}
		_, err = io.Copy(sealer, io.LimitReader(value, limit))
		if n, _ := io.ReadFull(value, make([]byte, 1)); err == nil && n > 0 {
			err = fmt.Errorf("%w: it is longer than %d bytes", vault.ErrTooLarge, limit)
		}
		if err != nil {
			sealer.Abort()
			return err
		}
		return sealer.Close()
	}, path)
	if err != nil {
		if entry != nil {
			entry.discard()
		}
		return nil, fmt.Errorf("the spool %s: %w", s.dir, explain(err))
	}
	return entry, nil
}

// Check reports whether an entry can be added now: it writes a file of one byte, syncs it and removes it.
func (s *Spool) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	_, total, err := s.scan()
	switch {
	case err != nil:
		return err
	case total >= s.config.Total:
		return fmt.Errorf("%w: the spool has %d bytes, and its limit is %d", vault.ErrNoSpace, total, s.config.Total)
	}
	f, err := os.CreateTemp(s.dir, ".check.*")
	if err != nil {
		return explain(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write([]byte{0}); err != nil {
		return explain(err)
	}
	return explain(f.Sync())
}

// Reached reports whether MarkReached was ever called for this store on this machine.
// If not, the URL of the store may be wrong.
func (s *Spool) Reached() bool {
	_, err := os.Stat(s.reachedFile())
	return err == nil
}

// MarkReached records that this machine has reached the store. A program may call it after a
// request succeeded. It ignores errors.
func (s *Spool) MarkReached() {
	if !s.Reached() && s.prepare() == nil {
		os.WriteFile(s.reachedFile(), nil, 0o600)
	}
}

func (s *Spool) reachedFile() string { return filepath.Join(s.dir, "reached") }
