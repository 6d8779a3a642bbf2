package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// Keep adds a value whose tenant is not known yet, because the caller has no token at the moment.
// ref.Tenant must be empty. Keep seals the value with the key of the spool and returns the new
// entry, locked. identity identifies the caller: [Spool.Sync] with the same [SyncOptions].Identity
// sends the value to the tenant of the Vault that is passed to Sync. If Keep fails, nothing is
// kept.
func (s *Spool) Keep(ctx context.Context, ref envelope.Ref, value io.Reader, o *vault.PutOptions, identity string) (vault.Spooled, error) {
	if o == nil {
		o = &vault.PutOptions{}
	}
	now := s.config.Now()
	e := vault.SpoolEntry{
		Ref: ref, Revision: max(1, now.UnixMicro()), Created: now, Local: true, Identity: identity,
		Create: o.Create, IfTag: o.IfTag, IfRevision: o.IfRevision, IfRewrap: o.IfRewrap,
	}
	older, err := s.Entries(ctx, ref)
	for _, old := range older {
		e.Revision = max(e.Revision, old.Entry().Revision+1)
	}
	if err != nil {
		return nil, err
	}
	entry, err := s.keep(ctx, e, value, envelope.Metadata{ContentType: o.ContentType, Expires: o.Expires, Labels: o.Labels}, s.file)
	if err != nil {
		return nil, err
	}
	return entry, nil
}

// endTime is the time to wait for another process that is sending an entry.
const endTime = 10 * time.Second

// EndKept sets aside the pending entries that [Spool.Keep] added for the object ref and the given
// identity, so that they are not sent after the object was removed. ref.Tenant must be empty. If
// ref.Name is empty, EndKept sets aside the entries of all names; if ref.Collection is empty, those
// of all collections. It returns the number of these entries. [vault.Vault.Delete] and
// [vault.Vault.Teardown] set aside the entries that have a tenant.
func (s *Spool) EndKept(ctx context.Context, ref envelope.Ref, identity, reason string) (n int, err error) {
	if identity == "" || ref.Tenant != "" {
		return 0, fmt.Errorf("%w: EndKept: identity must not be empty, and ref.Tenant must be empty", vault.ErrConfig)
	}
	entries, err := s.Entries(ctx, ref)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if e.Entry().Refused || e.Entry().Identity != identity {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, endTime)
		err := e.Lock(limited)
		timedOut := limited.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case errors.Is(err, vault.ErrNotFound): // sent meanwhile
			continue
		case err != nil && timedOut:
			return n, fmt.Errorf("%w: another process is sending a value of this name", vault.ErrBusy)
		case err != nil:
			return n, err
		}
		err = e.SetAside(reason)
		e.Unlock()
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
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
	entry, err := s.keep(ctx, e, value, envelope.Metadata{}, func(id string) string {
		if err := s.writeReason(id, reason); err != nil {
			s.config.Warn(err) // the entry is listed without a reason
		}
		return filepath.Join(s.dir, asideDir, id+extension)
	})
	if err != nil {
		return "", err
	}
	entry.Unlock()
	return entry.e.ID, nil
}

// keep seals a value with the key of the spool into a new entry, which it returns locked.
func (s *Spool) keep(ctx context.Context, e vault.SpoolEntry, value io.Reader, m envelope.Metadata, path func(id string) string) (*entry, error) {
	key, err := s.KeySource(true)
	if err != nil {
		return nil, err
	}
	entry, err := s.add(ctx, e, func(w io.Writer) error {
		sealer, err := envelope.Seal(ctx, w, e.Ref, []envelope.KeySource{key}, &envelope.SealOptions{Revision: e.Revision, Metadata: m})
		if err != nil {
			return err
		}
		if _, err := io.Copy(sealer, value); err != nil {
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
