// Package probe judges a [vault.Store] by the contract that package vault states,
// one clause at a time. It knows nothing of package testing, so that a program can
// judge a bucket in production: every object has a key of its own under a prefix that
// the caller chooses, no more than five requests are under way at once (sixteen in a
// race), and what was written is removed again.
//
//	s := &probe.Subject{Store: store, Reopen: open, Prefix: "bots/acme/probe-3f9a/"}
//	for _, p := range probe.All() {
//		r := s.Run(ctx, p)
//		fmt.Println(r.Clause, r.Verdict, r.Err)
//	}
//
// A verdict is about the store and about nothing else: a broken connection, a missing
// right or a full disk is [NotProven], never [NotHonoured].
//
// The identifiers of clauses are stable: tests list them. New ones may be added.
//
//	read-after-write      a read returns the last completed write, overwrite or delete
//	two-clients           a second client sees completed writes, overwrites and deletes of the first at once
//	sizes                 objects of 0 bytes, 1 byte and 1 MiB are returned unchanged
//	large                 a large object is returned unchanged, as a whole and in ranges across parts
//	names                 every key that a vault derives from a name works, and is listed unchanged
//	ranges                a range returns exactly its bytes, up to the end of the object, or an error
//	list                  a list of 1,100 objects has pages of at most 1000, in byte order, and continues by key
//	list-after-write      a list shows completed writes and deletes at once
//	all-or-nothing        a write whose source fails or panics, or whose context ends, leaves the previous object
//	all-or-nothing-large  the same for large objects, after some parts were stored
//	create                create-only stores a missing object, and refuses to replace an existing one
//	create-after-delete   create-only stores an object that was deleted before
//	create-large          create-only also refuses to replace a large object
//	create-detects        exactly one of sixteen concurrent creates succeeds, and its value stays
//	create-atomic         the same, and no reader ever sees another value
//	swap                  compare-and-swap replaces only the object with its tag; a tag needs no request
//	swap-atomic           exactly one of sixteen concurrent swaps of one tag succeeds, and its value stays
//	swap-large            compare-and-swap also works for a large object
//	history               every version of a key is listed, newest first, including delete markers
//	history-overwriters   after concurrent overwrites of a key every value is in its history
//	versions              every version opens by its id, as a whole and in ranges; other ids are not found
//	remove                one call removes the objects of 1000 keys, and no others
//	remove-tells-absent   removing several keys reports the missing ones
//	delete-tells-absent   deleting a missing object is not found
//	purge                 old versions are listed and permanently deleted; current objects stay
//	errors                not found, exists and conflict have different codes
//	errors-denied         a caller without permission gets the code for that, and changes nothing
//	errors-expired        expired credentials have their own code, and change nothing
//	errors-unreachable    an unreachable store has its own code
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

// A Probe judges one clause of the contract.
type Probe struct {
	Clause string // a stable identifier, such as "create-large"
	Doc    string // what the clause promises, in a sentence
	Large  bool   // writes objects of [Subject.Large] bytes

	// Chance means that a violation shows only when timing helps, so that a store which
	// does not promise the clause may be seen to honour it.
	Chance bool

	needs []need
	check func(context.Context, *trial) error
}

// A Subject is a store on trial. It may run several probes at once.
type Subject struct {
	// Store is a client of the store. The Subject does not close it.
	Store *vault.Store
	// Reopen opens another client of the same store, as another process would. Nil
	// leaves out what takes two.
	Reopen func(context.Context) (*vault.Store, error)
	// Prefix starts every key that is written; no other program uses it.
	Prefix string
	// Large is how long a large object is. It is past the size at which the store goes
	// over to several requests. 0 means a little over 16 MiB, below 0 leaves large
	// objects out.
	Large int64
	// HidesAbsent says that a denied read may mean that there is nothing: so it is for a
	// tenant who may list only below a prefix.
	HidesAbsent bool
	// Secrets are credentials of the store, which must not appear in any error.
	Secrets []string
	// Denied opens a client that the store knows and allows nothing, Expired one whose
	// credentials have expired, Unreachable one whose store does not answer. Nil: no
	// such client can be made.
	Denied, Expired, Unreachable func(context.Context) (*vault.Store, error)

	mu   sync.Mutex
	errs []error // all that the store ever answered
}

// A Verdict is what a probe found.
type Verdict string

// The verdicts.
const (
	Honoured      Verdict = "honoured"
	NotHonoured   Verdict = "not honoured"   // the store answered, and wrongly
	NotProven     Verdict = "not proven"     // it could not be judged
	NotApplicable Verdict = "not applicable" // the store does not offer this, or the Subject lacks what it takes
)

// ErrNotHonoured means that the store broke the clause.
var ErrNotHonoured = errors.New("not honoured")

// A Result is the verdict on one clause.
type Result struct {
	Clause  string
	Verdict Verdict
	Err     error // what was expected and what was seen; nil when honoured
	Left    error // what could not be removed afterwards; it does not change the verdict
	Took    time.Duration
}

// Run judges one clause and removes what it wrote, also when ctx ends.
func (s *Subject) Run(ctx context.Context, p Probe) (r Result) {
	start := time.Now()
	defer func() { r.Took = time.Since(start) }()
	for _, n := range p.needs {
		if !n.met(s) {
			return Result{Clause: p.Clause, Verdict: NotApplicable, Err: errors.New(n.why)}
		}
	}
	if p.Large && s.Large < 0 {
		return Result{Clause: p.Clause, Verdict: NotApplicable, Err: errors.New("large objects are left out")}
	}
	t := &trial{Subject: s, prefix: s.Prefix + p.Clause + "." + random() + ".", keys: make(map[string]bool)}
	err := t.judge(ctx, p)
	r = Result{Clause: p.Clause, Verdict: Honoured, Err: err, Left: t.clean(ctx)}
	switch {
	case errors.Is(err, ErrNotHonoured):
		r.Verdict = NotHonoured
	case err != nil:
		r.Verdict = NotProven
	}
	return r
}

func (t *trial) judge(ctx context.Context, p Probe) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = broken("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return p.check(ctx, t)
}

// broken says how the store broke a clause.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrNotHonoured, fmt.Errorf(format, args...))
}

// A need is what a probe cannot do without.
type need struct {
	met func(*Subject) bool
	why string
}

var (
	needReopen  = need{func(s *Subject) bool { return s.Reopen != nil }, "there is no second client"}
	needSwap    = need{func(s *Subject) bool { return s.Store.Swap != nil && s.Store.Tag != nil }, "the store has no Swap"}
	needHistory = need{func(s *Subject) bool { return s.Store.History != nil }, "the store has no History"}
	needRemover = need{func(s *Subject) bool { return s.Store.Remover != nil }, "the store has no Remover"}
	needPurge   = need{func(s *Subject) bool { return s.Store.Purge != nil && s.Store.History != nil }, "the store has no Purge"}
	needDenied  = need{func(s *Subject) bool { return s.Denied != nil }, "no client can be made that is denied"}
	needExpired = need{func(s *Subject) bool { return s.Expired != nil }, "no client can be made whose credentials expired"}
	needNetwork = need{func(s *Subject) bool { return s.Unreachable != nil }, "no client can be made that does not reach the store"}
)

// large is the length of a large object: past 16 MiB, where s3blob goes over to
// multipart, and not a whole number of anything.
func (s *Subject) large() int64 { return cmp.Or(s.Large, 16<<20+70_001) }

// saw keeps what the store answered for the clause no-secrets.
func (s *Subject) saw(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// A trial is one run of one probe: its own keys, and the means to use a store.
type trial struct {
	*Subject
	prefix string

	mu      sync.Mutex
	keys    map[string]bool // handed out, and whether something may be there
	clients []*vault.Store
}

// key returns the object key of a name, all of it the way package vault writes keys.
func (t *trial) key(name string) string {
	key := t.prefix + name + ".enc"
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys[key] = true
	return key
}

// second returns another client of the store, or the same where there is none.
func (t *trial) second(ctx context.Context) (*vault.Store, error) {
	if t.Reopen == nil {
		return t.Store, nil
	}
	return t.client(ctx, t.Reopen)
}

// client opens a store, which is closed when the trial is over.
func (t *trial) client(ctx context.Context, open func(context.Context) (*vault.Store, error)) (*vault.Store, error) {
	st, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a second client: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients = append(t.clients, st)
	return st, nil
}

// forget says that nothing is at keys, nor will be: in a bucket with versions another delete
// would only add to its history.
func (t *trial) forget(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		t.keys[key] = false
	}
}

// CleanupTime is how long removing what a check wrote may take: a server that is busy with others
// deletes some ten versions a second.
const CleanupTime = 5 * time.Minute

// clean closes the other clients and removes all that was written.
func (t *trial) clean(ctx context.Context) error {
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

// cleanKeys does not list: a store need not show at once what was written.
func (t *trial) cleanKeys(ctx context.Context, keys []string) error {
	gone := func(key string, err error) error {
		if err == nil || t.kind(t.Store, err) == vault.ErrNotFound {
			return nil
		}
		return fmt.Errorf("%s: %w", key, err)
	}
	if t.Store.Remover == nil {
		return each(ctx, keys, func(ctx context.Context, key string) error { return gone(key, t.delete(ctx, t.Store, key)) })
	}
	// Small batches: a server may say nothing until it has deleted all of one.
	return each(ctx, slices.Collect(slices.Chunk(keys, 100)), func(ctx context.Context, batch []string) error {
		failed, err := t.remove(ctx, t.Store, batch)
		if err != nil {
			return err
		}
		for key, err := range failed {
			if err := gone(key, err); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls f for every item, five at once, and returns the first error.
func each[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(5, len(items)) {
		wg.Go(func() {
			for item := range next {
				if err := guard(func() error { return f(ctx, item) }); err != nil {
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

// race calls f n times at the same moment and returns the answers in order.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = guard(func() error { return f(i) })
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// guard turns a panic in a goroutine of the probe into an error, as judge does in its own.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = broken("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
