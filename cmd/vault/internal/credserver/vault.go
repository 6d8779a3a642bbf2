package credserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// VaultOptions configures [Vault]. Nil, or the zero value, is for a Vault without a spool.
type VaultOptions struct {
	Spool  vault.Spool      // the [vault.Options].Spool of the Vault; nil: it has none
	Mode   vault.SpoolMode  // of each store
	Stored func(vault.Info) // called after each store; it may be called concurrently; may be nil
}

// Vault returns a [Backend] that keeps each credential as an object of v, whose name is that of the
// service.
func Vault(v *vault.Vault, o *VaultOptions) Backend {
	b := &vaultBackend{v: v, writers: make(map[string]*writers)}
	if o != nil {
		b.spool, b.mode, b.stored = o.Spool, o.Mode, o.Stored
	}
	return b
}

// The times for which a store of a value waits that can be saved in the spool.
const (
	turnTime = 5 * time.Second  // for another store of the service
	sendTime = 10 * time.Second // for the key source and the store
)

type vaultBackend struct {
	v      *vault.Vault
	spool  vault.Spool // may be nil
	mode   vault.SpoolMode
	stored func(vault.Info) // may be nil

	mu      sync.Mutex
	writers map[string]*writers // of each service that is being stored
}

// writers are the stores of one service that are in progress or wait.
type writers struct {
	turn chan struct{} // has one element while a store is in progress
	n    int
}

// Store stores the values of one service one after the other. If two writers of a name wrote at the
// same time, the object of the one with the lower revision could stay, and every read would then
// report a rollback. With a spool, a store waits for its turn, and then for the store, for a limited time:
// a value must not stay in memory only, and the client waits for its response.
func (b *vaultBackend) Store(ctx context.Context, service string, value []byte) error {
	turn := ctx
	if b.spool != nil {
		var cancel context.CancelFunc
		turn, cancel = context.WithTimeout(ctx, turnTime)
		defer cancel()
	}
	b.mu.Lock()
	w := b.writers[service]
	if w == nil {
		w = &writers{turn: make(chan struct{}, 1)}
		b.writers[service] = w
	}
	w.n++
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if w.n--; w.n == 0 {
			delete(b.writers, service)
		}
	}()
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-turn.Done():
		if b.spool == nil {
			return fmt.Errorf("%w: another store of %s is in progress: %w", vault.ErrBusy, service, ctx.Err())
		}
	}
	if b.spool != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sendTime)
		defer cancel()
	}
	info, err := b.v.Put(ctx, vault.Name(service), bytes.NewReader(value), &vault.PutOptions{Spool: b.mode})
	if b.stored != nil && (err == nil || errors.Is(err, vault.ErrSpooled)) {
		b.stored(info)
	}
	return err
}

func (b *vaultBackend) Read(ctx context.Context, service string) ([]byte, error) {
	value, _, err := b.v.ReadAll(ctx, vault.Name(service), &vault.ReadAllOptions{Limit: maxValue})
	return value, err
}

// List returns the names of the objects, and of the values in the spool that Read returns.
func (b *vaultBackend) List(ctx context.Context) ([]string, error) {
	// The spool is read first: an entry that another process sends in the meantime is then in the
	// store.
	names := b.pending(ctx)
	for e, err := range b.v.List(ctx, nil) {
		if err != nil {
			return nil, err
		}
		if !e.Foreign {
			names = append(names, string(e.Name))
		}
	}
	return names, nil
}

// pending returns the names of the values that are saved only in the spool. It omits those that the
// store refused.
func (b *vaultBackend) pending(ctx context.Context) (names []string) {
	if b.spool == nil {
		return nil
	}
	entries, err := b.spool.Entries(ctx, envelope.Ref{Vault: b.v.VaultID(), Tenant: string(b.v.Tenant()), Collection: string(b.v.Collection())})
	if err != nil {
		return nil // the spool cannot be read, and the store has the other names
	}
	for _, e := range entries {
		if entry := e.Entry(); !entry.Refused {
			names = append(names, entry.Ref.Name)
		}
	}
	return names
}

func (b *vaultBackend) Teardown(ctx context.Context) error {
	_, err := b.v.Teardown(ctx, nil)
	return err
}
