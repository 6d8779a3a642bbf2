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

// errLost is the error of a call whose request or response was lost. Like most network
// errors, it has no error code.
var errLost = errors.New("connection reset on purpose")

// A fault loses some of the requests that an operation makes.
type fault struct {
	first   int  // index of the first lost request
	count   int  // number of consecutive lost requests
	applied bool // the requests take effect, and only their responses are lost
}

func (f fault) String() string {
	effect := "lost"
	if f.applied {
		effect = "applied, with the response lost"
	}
	switch f.count {
	case 1:
		return fmt.Sprintf("request %d %s", f.first+1, effect)
	case permanently:
		return fmt.Sprintf("all requests, starting with request %d, %s", f.first+1, effect)
	}
	return fmt.Sprintf("%d requests, starting with request %d, %s", f.count, f.first+1, effect)
}

const permanently = 1 << 30

// hooks returns hooks that inject the fault. Requests are counted in the order in which the
// vault makes them.
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

// An operation is a call of a vault on the object with the name target.
type operation struct {
	name      string
	supported func(*vault.Store) bool // nil means always
	needs     string                  // a clause that the operation depends on
	before    int                     // size of the value before the operation, or noValue
	after     int                     // size of the value after it, or noValue, or sameValue
	// prepare completes the setup. When it is called, the value before is already stored.
	prepare func(ctx context.Context, s *setup) error
	run     func(ctx context.Context, s *setup, v *vault.Vault) error
	// refused means that the store must refuse the write because of the existing object.
	refused bool
	// partial means that an error may leave the operation partly done. The result then
	// reports which part.
	partial bool
	// retried means that the operation must succeed if one request is lost.
	retried bool
	// secondError is an error that a second attempt may return if the first took effect.
	secondError error
}

// applies reports whether the store supports the operation and the clause that it needs.
func (op operation) applies(f *fixture) bool {
	return (op.supported == nil || op.supported(f.store)) && !f.deviates(op.needs)
}

const (
	noValue   = -1
	sameValue = -2
)

// A setup is the setup of one operation.
type setup struct {
	space
	before, after []byte // the values before and after the operation; nil means no value
	revision      int64  // of before
}

const target = "target"

const streamed = 1<<20 + 70_000 // size of a value that a vault streams instead of keeping it in memory

func hasSwap(s *vault.Store) bool    { return s.Swap != nil }
func hasHistory(s *vault.Store) bool { return s.History != nil }

func putWith(o vault.PutOptions) func(context.Context, *setup, *vault.Vault) error {
	return func(ctx context.Context, s *setup, v *vault.Vault) error {
		_, err := s.put(ctx, v, target, s.after, &o)
		return err
	}
}

func putIfRevision(ctx context.Context, s *setup, v *vault.Vault) error {
	_, err := s.put(ctx, v, target, s.after, &vault.PutOptions{IfRevision: s.revision})
	return err
}

// getAndCompare runs a get, and compares the result with part of the value.
func getAndCompare(o vault.GetOptions, part func(value []byte) []byte) func(context.Context, *setup, *vault.Vault) error {
	return func(ctx context.Context, s *setup, v *vault.Vault) error {
		got, err := s.get(ctx, v, target, &o)
		if err == nil && !bytes.Equal(got, part(s.before)) {
			return wrongf("get returned %s, which is a different value", describe(got))
		}
		return err
	}
}

func wholeValue(value []byte) []byte { return value }

// errWrong marks a wrong result. Every other error is a failed request.
var errWrong = errors.New("wrong")

func wrongf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errWrong, fmt.Errorf(format, args...))
}

var operations = []operation{
	{name: "put", retried: true, before: noValue, after: 100, run: putWith(vault.PutOptions{})},
	{name: "overwrite", retried: true, before: 50, after: 100, run: putWith(vault.PutOptions{})},
	{name: "create", needs: "create", retried: true, before: noValue, after: 100, run: putWith(vault.PutOptions{Create: true}), secondError: vault.ErrExist},
	{name: "create of a deleted name", needs: "create-after-delete", retried: true, before: noValue, after: 100, secondError: vault.ErrExist,
		prepare: func(ctx context.Context, s *setup) error {
			if _, err := s.put(ctx, s.vault(), target, s.value(70), nil); err != nil {
				return err
			}
			return s.delete(ctx, s.vault(), target)
		},
		run: putWith(vault.PutOptions{Create: true})},
	{name: "put with IfRevision", supported: hasSwap, before: 50, after: 100, run: putIfRevision, secondError: vault.ErrConflict},
	{name: "put of a stream", before: noValue, after: streamed, run: putWith(vault.PutOptions{})},
	{name: "overwrite with a stream", before: 50, after: streamed, run: putWith(vault.PutOptions{})},
	{name: "create of a stream", needs: "create", before: noValue, after: streamed, run: putWith(vault.PutOptions{Create: true}), secondError: vault.ErrExist},
	{name: "put of a stream with IfRevision", supported: hasSwap, before: 50, after: streamed, run: putIfRevision, secondError: vault.ErrConflict},
	{name: "refused create", needs: "create", before: 50, after: sameValue, refused: true,
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			_, err := s.put(ctx, v, target, s.value(60), &vault.PutOptions{Create: true})
			return wantRefusal(vault.ErrExist, err, "a create of an existing object")
		}},
	{name: "refused put with IfRevision", supported: hasSwap, before: 50, after: sameValue, refused: true,
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			_, err := s.put(ctx, v, target, s.value(60), &vault.PutOptions{IfRevision: s.revision - 1})
			return wantRefusal(vault.ErrConflict, err, "a put with a wrong IfRevision")
		}},
	{name: "get", before: 70_000, after: sameValue, run: getAndCompare(vault.GetOptions{}, wholeValue)},
	{name: "get a range", before: 200_000, after: sameValue,
		run: getAndCompare(vault.GetOptions{Range: &vault.Range{Offset: 60_000, Length: 70_000}}, func(v []byte) []byte { return v[60_000:130_000] })},
	{name: "get a missing name", before: noValue, after: sameValue,
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			_, err := s.get(ctx, v, target, nil)
			return wantRefusal(vault.ErrNotFound, err, "get of a missing name")
		}},
	{name: "get a version", supported: hasHistory, before: 100, after: sameValue,
		run: getAndCompare(vault.GetOptions{Version: "@1"}, wholeValue)},
	{name: "get a range of a version", supported: hasHistory, before: 200_000, after: sameValue,
		run: getAndCompare(vault.GetOptions{Version: "@1", Range: &vault.Range{Offset: 60_000, Length: 70_000}}, func(v []byte) []byte { return v[60_000:130_000] })},
	{name: "stat", before: 100, after: sameValue,
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			info, err := v.Stat(ctx, target)
			if s.recordError(err) == nil && (info.Size != 100 || info.Revision != s.revision) {
				return wrongf("stat returned size %d, revision %d", info.Size, info.Revision)
			}
			return err
		}},
	{name: "list", before: 100, after: sameValue,
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			names, err := s.names(ctx, v, "")
			if err == nil && s.claims("list-after-write") && !slices.Equal(names, []string{target}) {
				return wrongf("list returned %q", names)
			}
			return err
		}},
	{name: "history", supported: hasHistory, before: 100, after: sameValue,
		prepare: func(ctx context.Context, s *setup) error {
			_, err := s.put(ctx, s.vault(), target, s.before, nil)
			return err
		},
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			all, err := s.history(ctx, v, target)
			if err == nil && (len(all) != 2 || all[1].Revision != s.revision || all[0].Damaged || all[1].Damaged) {
				return wrongf("the history is %+v", all)
			}
			return err
		}},
	{name: "delete", retried: true, before: 100, after: noValue, secondError: vault.ErrNotFound,
		run: func(ctx context.Context, s *setup, v *vault.Vault) error { return s.delete(ctx, v, target) }},
	{name: "rollback", supported: hasHistory, before: 50, after: 100,
		prepare: func(ctx context.Context, s *setup) error { // store the old value, then the current value
			if _, err := s.put(ctx, s.vault(), target, s.after, nil); err != nil {
				return err
			}
			_, err := s.put(ctx, s.vault(), target, s.before, nil)
			return err
		},
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			entries, err := s.history(ctx, s.vault(), target) // not with v: a retried write would change the version numbers
			if err != nil {
				return wrongf("reading the history: %w", err)
			}
			for _, e := range entries {
				if e.Size == int64(len(s.after)) {
					_, err := v.Rollback(ctx, target, e.Version)
					return s.recordError(err)
				}
			}
			return wrongf("the old version is not in the history")
		}},
	{name: "undelete", needs: "create-after-delete", supported: hasHistory, before: noValue, after: 100, secondError: vault.ErrExist,
		prepare: func(ctx context.Context, s *setup) error {
			if _, err := s.put(ctx, s.vault(), target, s.after, nil); err != nil {
				return err
			}
			return s.delete(ctx, s.vault(), target)
		},
		run: func(ctx context.Context, s *setup, v *vault.Vault) error {
			_, err := v.Undelete(ctx, target)
			return s.recordError(err)
		}},
	{name: "teardown", before: 100, after: noValue, partial: true, run: tearDown(false)},
	{name: "teardown with purge", supported: func(s *vault.Store) bool { return s.Purge != nil && s.History != nil }, before: 100, after: noValue, partial: true, run: tearDown(true)},
}

// wantRefusal returns nil if err is the expected refusal, and errWrong if err is nil.
func wantRefusal(refusal, err error, what string) error {
	switch {
	case err == nil:
		return wrongf("%s returned no error", what)
	case errors.Is(err, refusal):
		return nil
	}
	return err
}

func tearDown(purge bool) func(context.Context, *setup, *vault.Vault) error {
	return func(ctx context.Context, s *setup, v *vault.Vault) error {
		if !s.claims("list-after-write") {
			return s.delete(ctx, v, target) // a list may not show the object yet
		}
		result, err := v.Teardown(ctx, &vault.TeardownOptions{Purge: purge})
		if s.recordError(err) == nil && len(result.Failed) > 0 {
			return wrongf("teardown returned no error and %+v", result)
		}
		if result.Deleted > 0 {
			if herr := s.wantValue(ctx, target, nil); herr != nil {
				return wrongf("teardown returned %+v and %v: %w", result, err, herr)
			}
		}
		if all, herr := s.history(ctx, s.vault(), target); purge && err == nil && !errors.Is(herr, vault.ErrNotFound) {
			return wrongf("after a purge the history is %+v, %v", all, herr)
		}
		return err
	}
}

// checkFaults runs every operation once for each way in which its requests can be lost.
func checkFaults(ctx context.Context, f *fixture) error {
	var all failures
	var ops errgroup.Group
	ops.SetLimit(4) // most of the time is pauses between attempts
	for _, op := range operations {
		if !op.applies(f) {
			continue
		}
		ops.Go(func() error {
			requests, err := f.countRequests(ctx, op)
			all.add(err, "%s", op.name)
			var cases errgroup.Group
			cases.SetLimit(8)
			for first := range requests {
				for _, count := range []int{1, 2, permanently} {
					for _, applied := range []bool{false, true} {
						fault := fault{first, count, applied}
						cases.Go(func() error {
							all.add(f.runWithFault(ctx, op, fault), "%s, %v", op.name, fault)
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

// failures collects the errors of cases that run concurrently.
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

// setUp sets up op.
func (f *fixture) setUp(ctx context.Context, op operation) (*setup, error) {
	s := &setup{space: f.newSpace()}
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
	} else if op.after == noValue {
		s.after = nil
	}
	if op.prepare != nil {
		if err := op.prepare(ctx, s); err != nil {
			return nil, fmt.Errorf("setup: %w", err)
		}
	}
	return s, nil
}

// countRequests runs op without faults and returns the number of requests.
func (f *fixture) countRequests(ctx context.Context, op operation) (int, error) {
	s, err := f.setUp(ctx, op)
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
		return 0, errors.New("the operation made no request")
	}
	return int(n.Load()), s.wantValue(ctx, target, s.after)
}

// runWithFault runs op with a fault. The error must describe the outcome correctly, and a
// second attempt without faults must complete the operation.
func (f *fixture) runWithFault(ctx context.Context, op operation, fault fault) error {
	s, err := f.setUp(ctx, op)
	if err != nil {
		return err
	}
	err = op.run(ctx, s, s.hooked(fault.hooks()))
	applied := s.wantValue(ctx, target, s.after) == nil
	switch {
	case errors.Is(err, errWrong):
		return err
	case err == nil && !applied:
		return fmt.Errorf("the operation returned no error: %w", s.wantValue(ctx, target, s.after))
	case err == nil:
	case op.retried && fault.count == 1:
		return fmt.Errorf("another attempt would have succeeded: %w", err)
	case !errors.Is(err, vault.ErrUnavailable):
		return fmt.Errorf("want the error %q, got: %w", vault.ErrUnavailable, err)
	case errors.Is(err, vault.ErrUnsure) && op.after == sameValue && !op.refused:
		return fmt.Errorf("a read-only operation reported an unknown outcome: %w", err)
	case (errors.Is(err, vault.ErrUnsure) || op.partial) && applied:
	default:
		if err := s.wantValue(ctx, target, s.before); err != nil {
			return fmt.Errorf("the operation reported that it changed nothing: %w", err)
		}
	}
	second := op.run(ctx, s, s.vault())
	if second != nil && !(applied && op.secondError != nil && errors.Is(second, op.secondError)) {
		return fmt.Errorf("the second attempt failed; the first attempt %s and returned %v: %w", tookEffect(applied), err, second)
	}
	if err := s.wantValue(ctx, target, s.after); err != nil {
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
		return fmt.Errorf("after a second attempt the list is %q", names)
	}
	return nil
}

func tookEffect(applied bool) string {
	if applied {
		return "took effect"
	}
	return "did not take effect"
}
