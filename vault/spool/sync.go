package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// SyncOptions configures [Spool.Sync]. With nil or the zero value, Sync sends every pending entry
// of the tenant and collection.
type SyncOptions struct {
	// OnlyDue makes Sync skip an entry if the pause after its last attempt has not passed yet: see
	// [NextAttempt]. The pause doubles with each attempt, from a second to ten minutes.
	OnlyDue bool
	// Jobs is how many names are sent in parallel; 0 means 16.
	Jobs int
	// Each is called for each entry that was sent or failed, one at a time. It may be nil.
	Each func(Result)
}

// A Result is the result of sending one entry. Err is nil if the store has the value.
type Result struct {
	Entry vault.SpoolEntry
	Info  vault.Info
	Err   error
}

// A Summary counts the entries that [Spool.Sync] sent or left in the spool.
type Summary struct {
	Sent    int
	Pending int
	Refused int // refused by the store, now or earlier
	// Cause is the first error that left an entry pending. It is nil if Sync skipped the pending
	// entries.
	Cause error
}

// Sync sends the pending entries of the tenant and collection of v to the store, and those that
// [Spool.Keep] added for the same [Config].Identity. It sends the entries of one name in order, and
// skips entries that another process is sending. If the store cannot be reached, or does not
// accept the caller's token, Sync sends no further entries and returns. Sync returns an error only if the
// spool cannot be read, or if s is not the [vault.Options].Spool of v. Entries that could not be sent are counted in the [Summary].
func (s *Spool) Sync(ctx context.Context, v *vault.Vault, o *SyncOptions) (Summary, error) {
	if o == nil {
		o = &SyncOptions{}
	}
	if v == nil || !s.isSpoolOf(v) {
		return Summary{}, fmt.Errorf("%w: the vault has no spool, or another one", vault.ErrConfig)
	}
	entries, err := s.list(ctx)
	if err != nil {
		return Summary{}, err
	}
	ref := envelope.Ref{Vault: v.VaultID(), Tenant: string(v.Tenant()), Collection: string(v.Collection())}
	entries = slices.DeleteFunc(entries, func(e *entry) bool {
		return e.e.Ref.Vault != ref.Vault || e.e.Ref.Collection != ref.Collection || !s.isOf(e.e, ref.Tenant)
	})
	run := &syncRun{spool: s, options: o}
	names := make(map[vault.Name][]*entry)
	var order []vault.Name
	for _, e := range entries {
		name := vault.Name(e.e.Ref.Name)
		if _, ok := names[name]; !ok {
			order = append(order, name)
		}
		names[name] = append(names[name], e)
	}
	run.delivery = v.NewDelivery(order)
	jobs := o.Jobs
	if jobs <= 0 {
		jobs = 16
	}
	work := make(chan []*entry)
	var workers sync.WaitGroup
	for range min(jobs, len(order)) {
		workers.Go(func() {
			for entries := range work {
				run.name(ctx, entries)
			}
		})
	}
	for _, name := range order {
		work <- names[name]
	}
	close(work)
	workers.Wait()
	run.closing.Wait()
	return run.summary, nil
}

// isSpoolOf reports whether v saves its values in s, or in another Spool of the same directory, store and
// identity. Otherwise the entries of s are for another store or tenant.
func (s *Spool) isSpoolOf(v *vault.Vault) bool {
	switch own := v.Spool().(type) {
	case nil:
		return false
	case *Spool:
		return own != nil && own.dir == s.dir && own.config.Identity == s.config.Identity
	}
	return true // a Spool of the program, around one of this package
}

// A syncRun is one call of Sync.
type syncRun struct {
	spool    *Spool
	delivery *vault.Delivery
	options  *SyncOptions
	closing  sync.WaitGroup // files of entries that were sent

	mu      sync.Mutex
	summary Summary
	ended   bool // the store cannot be reached, or does not accept the caller
}

// name sends the entries of one name in order, until one of them stays pending.
func (r *syncRun) name(ctx context.Context, entries []*entry) {
	for i, e := range entries {
		switch {
		case e.e.Refused:
			r.count(e, vault.Info{}, nil, func(s *Summary) { s.Refused++ })
			continue
		case r.isEnded(ctx), r.options.OnlyDue && !due(e.e, r.spool.config.Now()):
			r.pending(entries[i:], nil)
			return
		}
		e.closing = &r.closing
		e.noWait = true // if another process holds the lock, that process is sending the entry
		info, err := r.delivery.Deliver(ctx, e)
		var spooled *vault.SpooledError
		switch {
		case errors.Is(err, filelock.ErrLocked):
			r.pending(entries[i:], nil)
			return
		case err == nil && info.Name == "": // another process has sent it
		case err == nil:
			r.count(e, info, nil, func(s *Summary) { s.Sent++ })
		case errors.As(err, &spooled) && spooled.Refused:
			r.count(e, info, err, func(s *Summary) { s.Refused++ })
		case !e.e.Mirrored && (errors.Is(err, ErrDamaged) || errors.Is(err, envelope.ErrDecrypt) || errors.Is(err, envelope.ErrFormat)):
			r.count(e, info, err, func(*Summary) {}) // set aside
		default:
			r.mu.Lock()
			r.ended = r.ended || endsSync(err)
			r.mu.Unlock()
			r.pending(entries[i:], err)
			return
		}
	}
}

// endsSync reports whether the entries of other names would stay pending with the same error. Another denial
// than a wrong tenant may concern one name only.
func endsSync(err error) bool {
	var cause *vault.Cause
	return errors.Is(err, vault.ErrUnavailable) && !errors.Is(err, vault.ErrBusy) || errors.Is(err, vault.ErrUnauthenticated) ||
		errors.As(err, &cause) && cause.Reason == vault.TenantMismatch
}

func (r *syncRun) isEnded(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended || ctx.Err() != nil
}

// pending counts the entries of a name that stay in the spool. The first of them failed with err,
// or was not tried; the others wait for it.
func (r *syncRun) pending(entries []*entry, err error) {
	for i, e := range entries {
		switch {
		case e.e.Refused:
			r.count(e, vault.Info{}, nil, func(s *Summary) { s.Refused++ })
		case i == 0 && err != nil:
			r.count(e, vault.Info{}, err, func(s *Summary) {
				s.Pending++
				if s.Cause == nil {
					s.Cause = err
				}
			})
		default:
			r.count(e, vault.Info{}, nil, func(s *Summary) { s.Pending++ })
		}
	}
}

func (r *syncRun) count(e *entry, info vault.Info, err error, add func(*Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.summary.Sent
	add(&r.summary)
	if r.options.Each != nil && (err != nil || r.summary.Sent > sent) {
		r.options.Each(Result{Entry: e.e, Info: info, Err: err})
	}
}

const (
	firstPause = time.Second
	lastPause  = 10 * time.Minute
)

// due reports whether the entry should be sent again.
func due(e vault.SpoolEntry, now time.Time) bool { return !now.Before(NextAttempt(e)) }

// NextAttempt returns the time from which Sync with OnlyDue sends the entry again. It is zero if
// the entry can be sent now.
func NextAttempt(e vault.SpoolEntry) time.Time {
	n := len(e.Attempts)
	if n == 0 || e.Attempts[n-1].Retry {
		return time.Time{}
	}
	pause := lastPause
	if n <= 10 {
		pause = min(lastPause, firstPause<<(n-1))
	}
	// Jitter of up to a quarter, the same for every process.
	h := fnv.New32a()
	fmt.Fprint(h, e.ID, n)
	pause += time.Duration(int64(pause) / 4 * int64(h.Sum32()%1000) / 1000)
	return e.Attempts[n-1].Time.Add(pause)
}

// Retry makes the entry with the given id, which the store refused, pending again. If overwrite is
// true, the next attempt may replace any object that the store has under the name. If the store
// also refused later values of the name, Retry makes them pending, too, so that the newest value is
// stored last. If there is no such entry, the error wraps [vault.ErrNotFound].
func (s *Spool) Retry(ctx context.Context, id string, overwrite bool) error {
	var retried vault.SpoolEntry
	retry := func(e *entry) error {
		retried = e.e
		return e.Attempted(vault.SpoolAttempt{Time: s.config.Now(), Reason: "retry requested", Retry: true, Overwrite: overwrite})
	}
	if err := s.locked(ctx, id, retry); err != nil || !overwrite {
		return err
	}
	later, err := s.named(ctx, retried.Ref)
	for _, l := range later {
		if err != nil || l.e.ID <= id || !l.e.Refused || l.e.Ref != retried.Ref || l.e.Identity != retried.Identity {
			continue
		}
		if err = s.locked(ctx, l.e.ID, retry); errors.Is(err, vault.ErrNotFound) {
			err = nil // sent or dropped meanwhile
		}
	}
	return err
}

// Drop removes the entry with the given id, and its value. If there is no such entry, the error
// wraps [vault.ErrNotFound].
func (s *Spool) Drop(ctx context.Context, id string) error {
	return s.locked(ctx, id, (*entry).Remove)
}

func (s *Spool) locked(ctx context.Context, id string, do func(*entry) error) error {
	if !isID(id) {
		return fmt.Errorf("%w: %q is not the id of an entry", vault.ErrInvalidName, id)
	}
	e := &entry{spool: s, e: vault.SpoolEntry{ID: id}}
	if err := e.Lock(ctx); err != nil {
		return err
	}
	defer e.Unlock()
	return do(e)
}

// ShortID returns the last 8 digits of id. [Spool.Find] accepts them instead of the id.
func ShortID(id string) string { return id[max(0, len(id)-8):] }

// Find returns the entry whose id or [ShortID] is text. If there is none, the error wraps
// [vault.ErrNotFound]. If several entries have that ShortID, the error wraps
// [vault.ErrInvalidName].
func (s *Spool) Find(ctx context.Context, text string) (vault.Spooled, error) {
	all, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(e vault.Spooled) bool {
		return e.Entry().ID != text && ShortID(e.Entry().ID) != text
	})
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("%w: the spool has no entry %s", vault.ErrNotFound, text)
	case 1:
		return all[0], nil
	}
	return nil, fmt.Errorf("%w: %d entries have the id %s: use the whole id", vault.ErrInvalidName, len(all), text)
}
