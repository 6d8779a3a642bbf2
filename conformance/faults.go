package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"golang.org/x/sync/errgroup"
)

// errLost is what a call says whose request or answer was lost. It has no code, like
// most of what networks say.
var errLost = errors.New("connection reset on purpose")

// A fault loses some of the requests that an operation makes.
type fault struct {
	first   int  // the number of the first one, from 0
	count   int  // how many in a row
	applied bool // they took effect, and the answer was lost
}

func (f fault) String() string {
	what := "lost"
	if f.applied {
		what = "applied and then unanswered"
	}
	switch f.count {
	case 1:
		return fmt.Sprintf("request %d %s", f.first+1, what)
	case forGood:
		return fmt.Sprintf("every request from %d on %s", f.first+1, what)
	}
	return fmt.Sprintf("%d requests from %d on %s", f.count, f.first+1, what)
}

const forGood = 1 << 30

// hooks make the fault happen, to requests in the order in which they are made.
func (f fault) hooks() intercept.Hooks {
	var n atomic.Int64
	return intercept.Hooks{Call: func(ctx context.Context, c intercept.Call, do func() error) error {
		i := int(n.Add(1)) - 1
		if i < f.first || i-f.first >= f.count {
			return do()
		}
		if f.applied {
			do()
		}
		return errLost
	}}
}

// An operation is something that a vault does to the object called target.
type operation struct {
	name    string
	offered func(*vault.Store) bool // nil: always
	needs   string                  // the clause that it builds on
	before  int                     // bytes of the value that is there; -1 for none
	after   int                     // bytes of the value that is there then; -1 for none, same for the one before
	// prepare makes the rest of what the operation needs; the value before is there.
	prepare func(ctx context.Context, s *scene) error
	run     func(ctx context.Context, s *scene, v *vault.Vault) error
	// refused means that the operation tries to write, and the existing object forbids it.
	refused bool
	// partial means that a failure may leave a part done, and says which.
	partial bool
	// retried means that one lost request does not make it fail.
	retried bool
	// again is what a second attempt may say when the first took effect, besides nil.
	again error
}

// possible reports whether the store offers the operation, and honours what it needs.
func (op operation) possible(f *field) bool {
	return (op.offered == nil || op.offered(f.store)) && !f.deviates(op.needs)
}

const (
	none = -1
	same = -2
)

// A scene is one operation about to happen.
type scene struct {
	plot
	before, after []byte // nil for none
	revision      int64  // of before
}

const target = "target"

const streamed = 1<<20 + 70_000 // a value that a vault does not keep in memory

func hasSwap(s *vault.Store) bool    { return s.Swap != nil }
func hasHistory(s *vault.Store) bool { return s.History != nil }

func putWith(o vault.PutOptions) func(context.Context, *scene, *vault.Vault) error {
	return func(ctx context.Context, s *scene, v *vault.Vault) error {
		_, err := s.put(ctx, v, target, s.after, &o)
		return err
	}
}

func putIfRevision(ctx context.Context, s *scene, v *vault.Vault) error {
	_, err := s.put(ctx, v, target, s.after, &vault.PutOptions{IfRevision: s.revision})
	return err
}

// reads runs get and compares.
func reads(o vault.GetOptions, part func(value []byte) []byte) func(context.Context, *scene, *vault.Vault) error {
	return func(ctx context.Context, s *scene, v *vault.Vault) error {
		got, err := s.get(ctx, v, target, &o)
		if err == nil && !bytes.Equal(got, part(s.before)) {
			return wrongf("get gives %s, another one", about(got))
		}
		return err
	}
}

func whole(value []byte) []byte { return value }

// errWrong marks an answer that is no failure of a request.
var errWrong = errors.New("wrong")

func wrongf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errWrong, fmt.Errorf(format, args...))
}

var operations = []operation{
	{name: "put", retried: true, before: none, after: 100, run: putWith(vault.PutOptions{})},
	{name: "overwrite", retried: true, before: 50, after: 100, run: putWith(vault.PutOptions{})},
	{name: "create", needs: "create", retried: true, before: none, after: 100, run: putWith(vault.PutOptions{Create: true}), again: vault.ErrExist},
	{name: "create of a deleted name", needs: "create-after-delete", retried: true, before: none, after: 100, again: vault.ErrExist,
		prepare: func(ctx context.Context, s *scene) error {
			if _, err := s.put(ctx, s.vault(), target, s.value(70), nil); err != nil {
				return err
			}
			return s.delete(ctx, s.vault(), target)
		},
		run: putWith(vault.PutOptions{Create: true})},
	{name: "put if revision", offered: hasSwap, before: 50, after: 100, run: putIfRevision, again: vault.ErrConflict},
	{name: "put of a stream", before: none, after: streamed, run: putWith(vault.PutOptions{})},
	{name: "overwrite by a stream", before: 50, after: streamed, run: putWith(vault.PutOptions{})},
	{name: "create of a stream", needs: "create", before: none, after: streamed, run: putWith(vault.PutOptions{Create: true}), again: vault.ErrExist},
	{name: "put of a stream if revision", offered: hasSwap, before: 50, after: streamed, run: putIfRevision, again: vault.ErrConflict},
	{name: "refused create", needs: "create", before: 50, after: same, refused: true,
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			_, err := s.put(ctx, v, target, s.value(60), &vault.PutOptions{Create: true})
			return expected(vault.ErrExist, err, "a create of an existing object")
		}},
	{name: "refused put if revision", offered: hasSwap, before: 50, after: same, refused: true,
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			_, err := s.put(ctx, v, target, s.value(60), &vault.PutOptions{IfRevision: s.revision - 1})
			return expected(vault.ErrConflict, err, "a put if another revision is there")
		}},
	{name: "get", before: 70_000, after: same, run: reads(vault.GetOptions{}, whole)},
	{name: "get a range", before: 200_000, after: same,
		run: reads(vault.GetOptions{Range: &vault.Range{Offset: 60_000, Length: 70_000}}, func(v []byte) []byte { return v[60_000:130_000] })},
	{name: "get what is absent", before: none, after: same,
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			_, err := s.get(ctx, v, target, nil)
			return expected(vault.ErrNotFound, err, "getting what is absent")
		}},
	{name: "get a version", offered: hasHistory, before: 100, after: same,
		run: reads(vault.GetOptions{Version: "@1"}, whole)},
	{name: "get a range of a version", offered: hasHistory, before: 200_000, after: same,
		run: reads(vault.GetOptions{Version: "@1", Range: &vault.Range{Offset: 60_000, Length: 70_000}}, func(v []byte) []byte { return v[60_000:130_000] })},
	{name: "stat", before: 100, after: same,
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			info, err := v.Stat(ctx, target)
			if s.saw(err) == nil && (info.Size != 100 || info.Revision != s.revision) {
				return wrongf("stat says size %d, revision %d", info.Size, info.Revision)
			}
			return err
		}},
	{name: "list", before: 100, after: same,
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			names, err := s.names(ctx, v, "")
			if err == nil && s.claims("list-after-write") && !slices.Equal(names, []string{target}) {
				return wrongf("list gives %q", names)
			}
			return err
		}},
	{name: "history", offered: hasHistory, before: 100, after: same,
		prepare: func(ctx context.Context, s *scene) error {
			_, err := s.put(ctx, s.vault(), target, s.before, nil)
			return err
		},
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			all, err := s.history(ctx, v, target)
			if err == nil && (len(all) != 2 || all[1].Revision != s.revision || all[0].Damaged || all[1].Damaged) {
				return wrongf("the history is %+v", all)
			}
			return err
		}},
	{name: "delete", retried: true, before: 100, after: none, again: vault.ErrNotFound,
		run: func(ctx context.Context, s *scene, v *vault.Vault) error { return s.delete(ctx, v, target) }},
	{name: "rollback", offered: hasHistory, before: 50, after: 100,
		prepare: func(ctx context.Context, s *scene) error { // the old value, then the one before
			if _, err := s.put(ctx, s.vault(), target, s.after, nil); err != nil {
				return err
			}
			_, err := s.put(ctx, s.vault(), target, s.before, nil)
			return err
		},
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			entries, err := s.history(ctx, s.vault(), target) // not through v: the number of the version moves
			if err != nil {
				return wrongf("reading the history: %w", err)
			}
			for _, e := range entries {
				if e.Size == int64(len(s.after)) {
					_, err := v.Rollback(ctx, target, e.Version)
					return s.saw(err)
				}
			}
			return wrongf("the old version is gone")
		}},
	{name: "undelete", needs: "create-after-delete", offered: hasHistory, before: none, after: 100, again: vault.ErrExist,
		prepare: func(ctx context.Context, s *scene) error {
			if _, err := s.put(ctx, s.vault(), target, s.after, nil); err != nil {
				return err
			}
			return s.delete(ctx, s.vault(), target)
		},
		run: func(ctx context.Context, s *scene, v *vault.Vault) error {
			_, err := v.Undelete(ctx, target)
			return s.saw(err)
		}},
	{name: "teardown", before: 100, after: none, partial: true, run: tearDown(false)},
	{name: "teardown with purge", offered: func(s *vault.Store) bool { return s.Purge != nil && s.History != nil }, before: 100, after: none, partial: true, run: tearDown(true)},
}

// expected turns the refusal that an operation is to get into nil, and success into
// something wrong.
func expected(refusal, err error, what string) error {
	switch {
	case err == nil:
		return wrongf("%s says nil", what)
	case errors.Is(err, refusal):
		return nil
	}
	return err
}

func tearDown(purge bool) func(context.Context, *scene, *vault.Vault) error {
	return func(ctx context.Context, s *scene, v *vault.Vault) error {
		if !s.claims("list-after-write") {
			return s.delete(ctx, v, target) // what was just written may not be seen
		}
		result, err := v.Teardown(ctx, &vault.TeardownOptions{Purge: purge})
		if s.saw(err) == nil && len(result.Failed) > 0 {
			return wrongf("teardown says nil and %+v", result)
		}
		if result.Deleted > 0 {
			if herr := s.holds(ctx, target, nil); herr != nil {
				return wrongf("teardown says %+v and %v: %w", result, err, herr)
			}
		}
		if all, herr := s.history(ctx, s.vault(), target); purge && err == nil && !errors.Is(herr, vault.ErrNotFound) {
			return wrongf("after a purge the history is %+v, %v", all, herr)
		}
		return err
	}
}

// checkFaults runs every operation once for each way in which one of its requests can
// get lost.
func checkFaults(ctx context.Context, f *field) error {
	var all failures
	var ops errgroup.Group
	ops.SetLimit(4) // most of the time is spent in pauses between attempts
	for _, op := range operations {
		if !op.possible(f) {
			continue
		}
		ops.Go(func() error {
			requests, err := f.count(ctx, op)
			all.add(err, "%s", op.name)
			var cases errgroup.Group
			cases.SetLimit(8)
			for first := range requests {
				for _, count := range []int{1, 2, forGood} {
					for _, applied := range []bool{false, true} {
						fault := fault{first, count, applied}
						cases.Go(func() error {
							all.add(f.faulted(ctx, op, fault), "%s, %v", op.name, fault)
							return nil
						})
					}
				}
			}
			return cases.Wait()
		})
	}
	ops.Wait()
	return all.err()
}

// failures collects what is wrong with many cases that run at once.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error, format string, args ...any) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err))
}

func (f *failures) err() error { return errors.Join(f.errs...) }

// scene prepares op.
func (f *field) scene(ctx context.Context, op operation) (*scene, error) {
	s := &scene{plot: f.plot()}
	if op.before >= 0 {
		s.before = f.value(op.before)
		info, err := s.put(ctx, s.vault(), target, s.before, nil)
		if err != nil {
			return nil, err
		}
		s.revision = info.Revision
	}
	s.after = s.before
	if op.after >= 0 {
		s.after = f.value(op.after)
	} else if op.after == none {
		s.after = nil
	}
	if op.prepare != nil {
		if err := op.prepare(ctx, s); err != nil {
			return nil, fmt.Errorf("preparing: %w", err)
		}
	}
	return s, nil
}

// count runs op without faults and says how many requests it makes.
func (f *field) count(ctx context.Context, op operation) (int, error) {
	s, err := f.scene(ctx, op)
	if err != nil {
		return 0, err
	}
	var n atomic.Int64
	v := s.hooked(intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		n.Add(1)
		return do()
	}})
	if err := op.run(ctx, s, v); err != nil {
		return 0, err
	}
	if n.Load() == 0 {
		return 0, errors.New("it makes no request")
	}
	return int(n.Load()), s.holds(ctx, target, s.after)
}

// faulted runs op with a fault. What it answers must be true, and a second attempt
// without faults must bring it to its end.
func (f *field) faulted(ctx context.Context, op operation, fault fault) error {
	s, err := f.scene(ctx, op)
	if err != nil {
		return err
	}
	err = op.run(ctx, s, s.hooked(fault.hooks()))
	applied := s.holds(ctx, target, s.after) == nil
	switch {
	case errors.Is(err, errWrong):
		return err
	case err == nil && !applied:
		return fmt.Errorf("it says nil: %w", s.holds(ctx, target, s.after))
	case err == nil:
	case op.retried && fault.count == 1:
		return fmt.Errorf("one more attempt would have done it: %w", err)
	case !errors.Is(err, vault.ErrUnavailable):
		return fmt.Errorf("want %q, it says: %w", vault.ErrUnavailable, err)
	case errors.Is(err, vault.ErrUnsure) && op.after == same && !op.refused:
		return fmt.Errorf("it only reads and is unsure: %w", err)
	case (errors.Is(err, vault.ErrUnsure) || op.partial) && applied:
	default:
		if err := s.holds(ctx, target, s.before); err != nil {
			return fmt.Errorf("it says that it did nothing: %w", err)
		}
	}
	second := op.run(ctx, s, s.vault())
	if second != nil && !(applied && op.again != nil && errors.Is(second, op.again)) {
		return fmt.Errorf("the second attempt, when the first %s and said %v: %w", tookEffect(applied), err, second)
	}
	if err := s.holds(ctx, target, s.after); err != nil {
		return fmt.Errorf("after a second attempt: %w", err)
	}
	if !f.claims("list-after-write") {
		return nil
	}
	names, err := s.names(ctx, s.vault(), "")
	if err != nil {
		return err
	}
	if want := []string{target}; s.after != nil && !slices.Equal(names, want) || s.after == nil && len(names) > 0 {
		return fmt.Errorf("after a second attempt there are %q", names)
	}
	return nil
}

func tookEffect(applied bool) string {
	if applied {
		return "took effect"
	}
	return "did not take effect"
}
