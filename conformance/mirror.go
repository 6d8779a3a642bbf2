package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// A mirrorFault is a fault of the requests to the mirror, or of the bodies that it returns.
type mirrorFault struct {
	fault
	cut bool // every body ends after a few bytes
}

func (f mirrorFault) String() string {
	if f.cut {
		return "bodies of the mirror cut"
	}
	return "mirror: " + f.fault.String()
}

func (f mirrorFault) hooks() intercept.Hooks {
	if f.cut {
		return intercept.Hooks{Body: func(_ intercept.Call, r io.Reader) io.Reader { return io.LimitReader(r, 10) }}
	}
	return f.fault.hooks()
}

// checkMirrorFaults runs every operation that writes, with each way in which the requests to the mirror
// can fail. The operation must be successful, because the primary store is available. Afterwards
// [vault.Vault.Repair] must make the mirror equal.
func checkMirrorFaults(ctx context.Context, f *fixture) error {
	if f.mirror == nil {
		return errNotOffered
	}
	var all failures
	var ops errgroup.Group
	ops.SetLimit(4)
	for _, op := range operations {
		if !op.applies(f) || op.after == sameValue || op.partial {
			continue
		}
		ops.Go(func() error {
			requests, err := f.countMirrorRequests(ctx, op)
			all.add(err, "%s", op.name)
			faults := []mirrorFault{{cut: true}}
			for first := range requests {
				for _, count := range []int{1, 2, permanently} {
					for _, applied := range []bool{false, true} {
						faults = append(faults, mirrorFault{fault: fault{first, count, applied}})
					}
				}
			}
			var cases errgroup.Group
			cases.SetLimit(8)
			for _, fault := range faults {
				cases.Go(func() error {
					all.add(f.runWithMirrorFault(ctx, op, fault), "%s, %v", op.name, fault)
					return nil
				})
			}
			return cases.Wait()
		})
	}
	ops.Wait()
	return all.err()
}

// mirrored returns a vault whose requests to the mirror pass through h.
func (p space) mirrored(h intercept.Hooks, seen vault.Seen) *vault.Vault {
	return p.over(p.store, &vault.Options{Seen: seen, Mirror: &vault.Mirror{Vaults: []*vault.Vault{p.alone(intercept.Store(p.mirror, h))}}})
}

// countMirrorRequests runs an operation without a fault, and returns how many requests it made to the mirror. A
// write waits two seconds for a mirror (mirrorTime in package vault). If the mirror takes longer, it does not
// get the change, and the operation is run again.
func (f *fixture) countMirrorRequests(ctx context.Context, op operation) (n int, err error) {
	for range 3 {
		var s *setup
		if s, err = f.setUp(ctx, op); err != nil {
			return 0, err
		}
		begin := time.Now()
		if n, err = f.countOnce(ctx, op, s); err == nil || time.Since(begin) < 2*time.Second {
			break
		}
	}
	return n, err
}

func (f *fixture) countOnce(ctx context.Context, op operation, s *setup) (int, error) {
	var n atomic.Int64
	v := s.mirrored(intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		n.Add(1)
		return do()
	}}, nil)
	if err := op.run(ctx, s, v); err != nil {
		return 0, err
	}
	if n.Load() == 0 {
		return 0, errors.New("the operation made no request to the mirror")
	}
	return int(n.Load()), s.wantSame(ctx)
}

func (f *fixture) runWithMirrorFault(ctx context.Context, op operation, fault mirrorFault) error {
	s, err := f.setUp(ctx, op)
	if err != nil {
		return err
	}
	seen := new(memory)
	if s.before != nil { // this machine has seen the object that the operation removes
		if _, err := s.mirrored(intercept.Hooks{}, seen).Stat(ctx, target); err != nil {
			return err
		}
	}
	if err := op.run(ctx, s, s.mirrored(fault.hooks(), seen)); err != nil {
		return fmt.Errorf("the primary store was available: %w", err)
	}
	if err := s.wantValue(ctx, target, s.after); err != nil {
		return err
	}
	for r, err := range s.mirrored(intercept.Hooks{}, seen).Repair(ctx, nil) {
		if err == nil {
			err = r.Err
		}
		if err != nil {
			return fmt.Errorf("repair: %w", s.recordError(err))
		}
	}
	return s.wantSame(ctx)
}

// wantSame checks that both stores have the value after the operation.
func (s *setup) wantSame(ctx context.Context) error {
	for what, store := range map[string]*vault.Store{"the primary store": s.store, "the mirror": s.mirror} {
		got, err := s.get(ctx, s.alone(store), target, nil)
		switch {
		case s.after == nil && errors.Is(err, vault.ErrNotFound):
		case err != nil:
			return fmt.Errorf("%s: want %s, got the error: %w", what, describe(s.after), err)
		case string(got) != string(s.after):
			return fmt.Errorf("%s has a different value, %s", what, describe(got))
		}
	}
	return nil
}

// A memory is a [vault.Seen] in memory.
type memory struct {
	mu     sync.Mutex
	states map[envelope.Ref]vault.SeenState
}

func (m *memory) Last(_ context.Context, ref envelope.Ref) vault.SeenState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[ref]
}

func (m *memory) Record(_ context.Context, ref envelope.Ref, old, state vault.SeenState) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.states[ref].Same(old) {
		return false
	}
	if m.states == nil {
		m.states = make(map[envelope.Ref]vault.SeenState)
	}
	m.states[ref] = state
	return true
}
