package credserver

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// Vault returns a [Backend] that keeps each credential as an object of v, whose name is that of the
// service. spool is the [vault.Options].Spool of v; it must be nil if v has none.
func Vault(v *vault.Vault, spool vault.Spool) Backend {
	return &vaultBackend{v: v, spool: spool, writers: make(map[string]*writers)}
}

type vaultBackend struct {
	v     *vault.Vault
	spool vault.Spool // may be nil

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
// report a rollback.
func (b *vaultBackend) Store(ctx context.Context, service string, value []byte) error {
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
	case <-ctx.Done():
		return fmt.Errorf("%w: another store of %s is in progress: %w", vault.ErrBusy, service, ctx.Err())
	}
	_, err := b.v.Put(ctx, vault.Name(service), bytes.NewReader(value), nil)
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
	names, err := b.pending(ctx)
	if err != nil {
		return nil, err
	}
	for e, err := range b.v.List(ctx, "") {
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
func (b *vaultBackend) pending(ctx context.Context) (names []string, err error) {
	if b.spool == nil {
		return nil, nil
	}
	entries, err := b.spool.Entries(ctx, envelope.Ref{Vault: b.v.VaultID(), Tenant: string(b.v.Tenant()), Collection: string(b.v.Collection())})
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if entry := e.Entry(); !entry.Refused {
			names = append(names, entry.Ref.Name)
		}
	}
	return names, nil
}

func (b *vaultBackend) Teardown(ctx context.Context) error {
	_, err := b.v.Teardown(ctx, nil)
	return err
}
