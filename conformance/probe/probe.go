// Package probe checks whether a [vault.Store] meets the contract of package vault, one clause
// at a time. A clause is one promise of the contract.
//
// The package does not import package testing, so a program can check a bucket in production.
// Every object has a random key under a prefix that the caller chooses. A probe makes at most
// five concurrent requests, or seventeen if it tests concurrent writes. It deletes the objects
// that it wrote.
//
//	s := &probe.Subject{Store: store, Reopen: open, Prefix: "bots/acme/probe-3f9a/"}
//	for _, p := range probe.All() {
//		r := s.Run(ctx, p)
//		fmt.Println(r.Clause, r.Verdict, r.Err)
//	}
//
// A verdict describes only the store. If a connection breaks, a permission is missing or a disk
// is full, the verdict is [NotProven], never [NotSupported].
//
// The identifiers of clauses are stable, because tests list them. New clauses may be added.
//
//	read-after-write      a read reflects the last completed write, overwrite or delete
//	two-clients           a second client immediately sees the completed writes, overwrites and deletes of the first client
//	sizes                 objects of 0 bytes, 1 byte and 1 MiB are returned unchanged
//	large                 a large object is returned unchanged, as a whole and in ranges across parts
//	names                 every key that a vault derives from a name can be written, read and deleted, and is listed unchanged
//	ranges                a range read returns exactly the requested bytes, up to the end of the object, or an error
//	list                  a list of 1,100 objects is in byte order, in pages of at most 1000; each page starts after the last key of the previous page
//	list-after-write      a list immediately shows completed writes and deletes
//	all-or-nothing        a write whose source fails or panics, or whose context ends, leaves the previous object unchanged
//	all-or-nothing-large  a write of a large object that fails after some parts were stored leaves the previous object unchanged
//	create                a create-only write succeeds if the object does not exist, and never replaces an existing object
//	create-after-delete   a create-only write succeeds if the object was deleted
//	create-large          create-only writes also work for large objects
//	create-detects        exactly one of sixteen concurrent creates succeeds, and its value stays
//	create-atomic         exactly one of sixteen concurrent creates succeeds, and no reader ever sees the value of a create that failed
//	swap                  compare-and-swap replaces an object only if it has the given tag; an open reader returns the tag of the object that it reads, without another request
//	swap-atomic           exactly one of sixteen concurrent compare-and-swaps with the same tag succeeds, and its value stays
//	swap-large            compare-and-swap also works for a large object
//	splice                a splice replaces the start of an object, and keeps the other bytes exactly; if the object does not have the given tag, or the context ends, nothing changes
//	splice-atomic         exactly one of four concurrent splices and compare-and-swaps with the same tag succeeds, and the object is never a mix of two
//	history               every version of a key is listed, newest first, including delete markers
//	history-overwriters   after concurrent overwrites of a key, its history contains every value
//	versions              every version can be read by its ID, as a whole and in ranges; for any other ID a read returns "not found"
//	remove                one call deletes the objects of 1000 keys, and no other objects
//	remove-tells-absent   a delete of several keys reports which objects do not exist
//	delete-tells-absent   a delete of a missing object returns "not found"
//	purge                 old versions and delete markers can be listed and permanently deleted; current objects stay
//	errors                "not found", "already exists" and "conflict" are different errors
//	errors-denied         a caller without permission gets "permission denied", and changes nothing
//	errors-expired        a caller with expired credentials gets a distinct error, and changes nothing
//	errors-unreachable    an unreachable store is reported as unavailable
//	close                 closing a store ends its goroutines
//	no-secrets            no error contains a credential or a value
package probe

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// A Probe checks one clause of the contract.
type Probe struct {
	Clause string // a stable identifier, such as "create-large"
	Doc    string // the promise of the clause, in a sentence
	Large  bool   // the probe writes objects of [Subject.Large] bytes

	// Chance means that a violation depends on timing. The probe may pass although the store
	// does not promise the clause.
	Chance bool

	requires []requirement
	check    func(context.Context, *probeRun) error
}

// A Subject is the store to check. It may run several probes concurrently.
type Subject struct {
	// Store is a client of the store. The Subject does not close it.
	Store *vault.Store
	// Reopen opens another client of the same store, like a client in another process. If it
	// is nil, the probes that need two clients are not applicable.
	Reopen func(context.Context) (*vault.Store, error)
	// Prefix is the prefix of every key that is written. No other program may use it.
	Prefix string
	// Large is the size of a large object. It must be so large that the store needs several
	// requests to write it. The default is a little over 16 MiB. If it is negative, the probes
	// with large objects are not applicable.
	Large int64
	// HidesAbsent means that the store denies reads of objects that do not exist. Clouds do
	// this for a tenant that may list only its own prefix.
	HidesAbsent bool
	// Secrets are credentials of the store, which must not appear in any error.
	Secrets []string
	// Denied opens a client without any permission. Expired opens a client whose credentials
	// have expired. Unreachable opens a client whose store does not respond. Nil means that
	// the caller cannot create such a client.
	Denied, Expired, Unreachable func(context.Context) (*vault.Store, error)

	mu   sync.Mutex
	errs []error // every error of the store
}

// A Verdict is the result of a probe.
type Verdict string

// The verdicts.
const (
	Supported     Verdict = "supported"      // the store supports the clause
	NotSupported  Verdict = "not supported"  // the store violated the clause
	NotProven     Verdict = "not proven"     // the probe could not find out
	NotApplicable Verdict = "not applicable" // the store lacks the feature, or the Subject lacks a field that the probe needs
)

// ErrViolated means that the store violated the clause.
var ErrViolated = errors.New("clause violated")

// A Result is the verdict on one clause.
type Result struct {
	Clause  string
	Verdict Verdict
	Err     error // the expected and the actual result; nil if the verdict is Supported
	Left    error // the error of the cleanup, if any; it does not change the verdict
	Took    time.Duration
}

// Run checks one clause, and deletes the objects that it wrote even if ctx ends.
func (s *Subject) Run(ctx context.Context, p Probe) (r Result) {
	start := time.Now()
	defer func() { r.Took = time.Since(start) }()
	for _, n := range p.requires {
		if !n.met(s) {
			return Result{Clause: p.Clause, Verdict: NotApplicable, Err: errors.New(n.reason)}
		}
	}
	if p.Large && s.Large < 0 {
		return Result{Clause: p.Clause, Verdict: NotApplicable, Err: errors.New("probes with large objects are disabled")}
	}
	t := &probeRun{Subject: s, prefix: s.Prefix + p.Clause + "." + random() + ".", keys: make(map[string]bool)}
	err := t.judge(ctx, p)
	r = Result{Clause: p.Clause, Verdict: Supported, Err: err, Left: t.clean(ctx)}
	switch {
	case errors.Is(err, ErrViolated):
		r.Verdict = NotSupported
	case err != nil:
		r.Verdict = NotProven
	}
	return r
}

func (t *probeRun) judge(ctx context.Context, p Probe) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = violation("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return p.check(ctx, t)
}

// violation returns an error that wraps ErrViolated.
func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrViolated, fmt.Errorf(format, args...))
}

// A requirement is a condition without which a probe is not applicable.
type requirement struct {
	met    func(*Subject) bool
	reason string
}

var (
	needReopen  = requirement{func(s *Subject) bool { return s.Reopen != nil }, "the test has no second client"}
	needSwap    = requirement{func(s *Subject) bool { return s.Store.Swap != nil && s.Store.Tag != nil }, "the store does not support compare-and-swap"}
	needSplice  = requirement{func(s *Subject) bool { return s.Store.Splice != nil && s.Store.Tag != nil }, "the store cannot copy within the store"}
	needHistory = requirement{func(s *Subject) bool { return s.Store.History != nil }, "the store has no history"}
	needRemover = requirement{func(s *Subject) bool { return s.Store.Remover != nil }, "the store cannot delete several objects in one call"}
	needPurge   = requirement{func(s *Subject) bool { return s.Store.Purge != nil && s.Store.History != nil }, "the store does not support purge"}
	needDenied  = requirement{func(s *Subject) bool { return s.Denied != nil }, "the test has no client without permission"}
	needExpired = requirement{func(s *Subject) bool { return s.Expired != nil }, "the test has no client with expired credentials"}
	needNetwork = requirement{func(s *Subject) bool { return s.Unreachable != nil }, "the test has no client that cannot reach the store"}
)

// large returns the size of a large object. The default is above 16 MiB, where s3blob starts
// to use multipart uploads, and is not a multiple of any part or segment size.
func (s *Subject) large() int64 { return cmp.Or(s.Large, 16<<20+70_001) }

// recordError keeps an error of the store for the clause no-secrets.
func (s *Subject) recordError(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// A probeRun is one run of one probe, with its own keys.
type probeRun struct {
	*Subject
	prefix string

	mu      sync.Mutex
	keys    map[string]bool // every key of the run, and whether an object may exist there
	clients []*vault.Store
}

// key returns the object key of a name, in the form that package vault uses.
func (t *probeRun) key(name string) string {
	key := t.prefix + name + ".enc"
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys[key] = true
	return key
}

// secondClient returns another client of the store, or the same client if Reopen is nil.
func (t *probeRun) secondClient(ctx context.Context) (*vault.Store, error) {
	if t.Reopen == nil {
		return t.Store, nil
	}
	return t.openClient(ctx, t.Reopen)
}

// openClient opens a client, which clean closes.
func (t *probeRun) openClient(ctx context.Context, open func(context.Context) (*vault.Store, error)) (*vault.Store, error) {
	st, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a second client: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients = append(t.clients, st)
	return st, nil
}

// markAbsent records that no objects exist at keys, so that clean does not delete them again. In
// a bucket with versioning another delete would only add a delete marker.
func (t *probeRun) markAbsent(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		t.keys[key] = false
	}
}

// CleanupTime limits the time to delete the objects of a check. A busy server deletes about ten
// versions per second.
const CleanupTime = 5 * time.Minute

// clean closes the other clients and deletes every object that the run wrote.
func (t *probeRun) clean(ctx context.Context) error {
	ctx, cancel := linger.Context(ctx, CleanupTime)
	defer cancel()
	var errs []error
	for _, st := range t.clients {
		errs = append(errs, st.Close())
	}
	keys := make([]string, 0, len(t.keys))
	for key, written := range t.keys {
		if written {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	errs = append(errs, t.cleanKeys(ctx, keys))
	if t.Store.Purge != nil && len(t.keys) > 0 {
		errs = append(errs, t.purge(ctx, t.Store, t.prefix))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cleaning up below %s: %w", t.prefix, err)
	}
	return nil
}

// cleanKeys deletes keys. It does not use a list, because a list need not show an object
// immediately after the write.
func (t *probeRun) cleanKeys(ctx context.Context, keys []string) error {
	ignoreAbsent := func(key string, err error) error {
		if err == nil || t.kind(t.Store, err) == vault.ErrNotFound {
			return nil
		}
		return fmt.Errorf("%s: %w", key, err)
	}
	if t.Store.Remover == nil {
		return forEach(ctx, keys, func(ctx context.Context, key string) error { return ignoreAbsent(key, t.delete(ctx, t.Store, key)) })
	}
	// Use small batches, because a server may not respond until it has deleted a whole batch.
	return forEach(ctx, slices.Collect(slices.Chunk(keys, 100)), func(ctx context.Context, batch []string) error {
		failed, err := t.remove(ctx, t.Store, batch)
		if err != nil {
			return err
		}
		for key, err := range failed {
			if err := ignoreAbsent(key, err); err != nil {
				return err
			}
		}
		return nil
	})
}

// forEach calls f for every item, with at most five concurrent calls, and returns the first
// error.
func forEach[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(5, len(items)) {
		wg.Go(func() {
			for item := range next {
				if err := recoverPanic(func() error { return f(ctx, item) }); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		next <- item
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}

// race calls f n times concurrently and returns the errors in order.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = recoverPanic(func() error { return f(i) })
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// recoverPanic calls f and returns a panic of f as an error.
func recoverPanic(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = violation("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
