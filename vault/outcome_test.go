package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

var errReset = errors.New("connection reset")

func always(int) bool { return true }

// TestUnansweredWrite: a request without a response may be applied after its caller has given
// up. A missing object does not prove that it was not applied.
func TestUnansweredWrite(t *testing.T) {
	for _, how := range []string{"put", "overwrite", "create", "swap"} {
		for _, size := range []int{5, 3 << 20} {
			s := newStore(t)
			o := &vault.PutOptions{Create: how == "create"}
			if how == "overwrite" || how == "swap" {
				info := put(t, newVault(t, s, nil), "a", "old", nil)
				if how == "swap" {
					o.IfRevision = info.Revision
				}
			}
			lossy := *s
			w := &withheld{s: s, lose: always}
			lossy.Put, lossy.Create, lossy.Swap = w, w, w
			v := newVault(t, &lossy, nil)
			_, err := v.Put(t.Context(), "a", strings.NewReader(strings.Repeat("v", size)), o)
			if !errors.Is(err, vault.ErrUnsure) || !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("%s of %d bytes that is never answered: %v, want ErrUnsure", how, size, err)
			}
			w.arrive(t) // the write may really arrive later
			if got := get(t, newVault(t, s, nil), "a", nil); len(got) != size {
				t.Errorf("%s of %d bytes: after it arrived the value has %d bytes", how, size, len(got))
			}
		}
	}
}

// A withheld writer delays writes until the test calls arrive.
type withheld struct {
	s    *vault.Store
	lose func(n int) bool

	mu   sync.Mutex
	n    int
	kept []func() error
	ops  []string
}

func (w *withheld) write(op string, fill func(io.Writer) error, write func(fill func(io.Writer) error) error) error {
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		return err
	}
	send := func() error {
		return write(func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	w.ops = append(w.ops, op)
	if !w.lose(w.n) {
		return send()
	}
	w.kept = append(w.kept, send)
	return errReset
}

// arrive applies the delayed writes. Their conditions may reject them.
func (w *withheld) arrive(t *testing.T) {
	t.Helper()
	for _, send := range w.kept {
		if err := send(); err != nil && !errors.Is(err, vault.ErrExist) && !errors.Is(err, vault.ErrConflict) {
			t.Error(err)
		}
	}
	w.kept = nil
}

func (w *withheld) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return "", w.write("put", fill, func(fill func(io.Writer) error) error {
		var b bytes.Buffer
		if err := fill(&b); err != nil {
			return err
		}
		return w.s.Bucket.WriteAll(context.WithoutCancel(ctx), key, b.Bytes(), nil)
	})
}

func (w *withheld) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return "", w.write("create", fill, func(fill func(io.Writer) error) error {
		_, err := w.s.Create.Create(context.WithoutCancel(ctx), key, fill)
		return err
	})
}

func (w *withheld) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
	return "", w.write("swap", fill, func(fill func(io.Writer) error) error {
		_, err := w.s.Swap.Swap(context.WithoutCancel(ctx), key, tag, fill)
		return err
	})
}

// TestSecondAttempt: a retry of a put without a response is conditional on the object that was
// read back, so that it does not replace an object that another writer stored in between.
func TestSecondAttempt(t *testing.T) {
	for _, old := range []bool{false, true} {
		s := newStore(t)
		others := newVault(t, s, nil)
		if old {
			put(t, others, "a", "old", nil)
		}
		lossy := *s
		w := &withheld{s: s, lose: func(n int) bool { return n == 1 }}
		lossy.Put, lossy.Create, lossy.Swap = w, w, w
		put(t, newVault(t, &lossy, nil), "a", "ours", nil)
		want := []string{"put", "create"}
		if old {
			want = []string{"put", "swap"}
		}
		if diff := cmp.Diff(want, w.ops); diff != "" {
			t.Errorf("old object %v: attempts (-want +got):\n%s", old, diff)
		}
	}
	// Another writer stores a later object between the read-back and the second attempt.
	s := newStore(t)
	others := newVault(t, s, nil)
	lossy := *s
	w := &withheld{s: s, lose: func(n int) bool {
		if n == 2 {
			put(t, others, "a", "theirs", nil)
		}
		return n == 1
	}}
	lossy.Put, lossy.Create, lossy.Swap = w, w, w
	_, err := newVault(t, &lossy, nil).Put(t.Context(), "a", strings.NewReader("ours"), nil)
	if !errors.Is(err, vault.ErrUnsure) {
		t.Errorf("put = %v, want ErrUnsure: the first attempt may yet arrive", err)
	}
	if got := get(t, newVault(t, s, nil), "a", nil); got != "theirs" {
		t.Errorf("the value is %q: a second attempt overtook another writer", got)
	}
}

// TestLateFirstAttempt: two puts succeed in order, and then an attempt at the first one
// arrives. The Vault that made them detects it.
func TestLateFirstAttempt(t *testing.T) {
	s := newStore(t)
	lossy := *s
	w := &withheld{s: s, lose: func(n int) bool { return n == 1 }}
	lossy.Put, lossy.Create, lossy.Swap = w, w, w
	v := newVault(t, &lossy, nil)
	put(t, v, "a", "A", nil)
	put(t, v, "a", "B", nil)
	if got := get(t, v, "a", nil); got != "B" {
		t.Fatalf("the value is %q", got)
	}
	w.arrive(t)
	if _, err := v.Get(t.Context(), "a", nil); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("get of a value that arrived late = %v, want ErrRollback", err)
	}
	if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("stat of a value that arrived late = %v, want ErrRollback", err)
	}
	put(t, v, "a", "C", nil)
	if got := get(t, v, "a", nil); got != "C" {
		t.Errorf("the value is %q", got)
	}
}

// TestCancelledDelete: a delete whose context ends while it is in progress reports its outcome.
func TestCancelledDelete(t *testing.T) {
	for _, applied := range []bool{true, false} {
		s := newStore(t)
		put(t, newVault(t, s, nil), "a", "1", nil)
		ctx, cancel := context.WithCancel(t.Context())
		v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op != "remove" {
				return do()
			}
			if applied {
				do()
			}
			cancel()
			return context.Canceled
		}}), nil)
		err := v.Delete(ctx, "a", nil)
		switch {
		case applied && err != nil:
			t.Errorf("a delete that took effect: %v", err)
		case !applied && (!errors.Is(err, vault.ErrUnsure) || !errors.Is(err, context.Canceled)):
			t.Errorf("a delete that may yet arrive: %v, want ErrUnsure and Canceled", err)
		}
	}
	// The outcome of a request that was never sent is certain.
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", "1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newVault(t, s, nil).Delete(ctx, "a", nil); !errors.Is(err, context.Canceled) || errors.Is(err, vault.ErrUnsure) {
		t.Errorf("a delete that was not sent: %v", err)
	}
}

// TestCancelledTeardown: the result of a teardown does not list removed objects as failed.
func TestCancelledTeardown(t *testing.T) {
	s := newStore(t)
	for i := range 3 {
		put(t, newVault(t, s, nil), vault.Name(fmt.Sprint("a", i)), "1", nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "remove" {
			do()
			cancel()
			return context.Canceled
		}
		return do()
	}}), nil)
	result, err := v.Teardown(ctx, nil)
	if result.Deleted != 3 || len(result.Failed) != 0 {
		t.Errorf("teardown = %+v, %v; all three were removed", result, err)
	}
	if got := names(t, newVault(t, s, nil), ""); got != nil {
		t.Errorf("left are %q", got)
	}
}

// TestTeardownEnds: a teardown stops when a whole request is refused.
func TestTeardownEnds(t *testing.T) {
	s := newStore(t)
	for i := range 2500 {
		if err := s.Bucket.WriteAll(t.Context(), fmt.Sprintf("bots/0xabc/credentials/%04d.enc", i), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, refusal := range []error{vault.ErrUnauthenticated, errReset} {
		removals := 0
		v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op == "remove" {
				removals++
				return refusal
			}
			return do()
		}}), nil)
		result, err := v.Teardown(t.Context(), nil)
		most := 1
		if refusal == errReset {
			most = 3 // attempts, of the first page
		}
		if err == nil || errors.Is(err, vault.ErrPartial) || removals > most || len(result.Failed) > 0 {
			t.Errorf("%v: teardown = %v after %d requests, %d failures listed", refusal, err, removals, len(result.Failed))
		}
	}
	// A teardown continues when single objects are refused, and lists the first thousand of
	// them.
	stuck := *s
	stuck.Remover = refuseAll{}
	result, err := newVault(t, &stuck, nil).Teardown(t.Context(), nil)
	if !errors.Is(err, vault.ErrPartial) || result.NotRemoved != 2500 || len(result.Failed) != 1000 {
		t.Errorf("teardown = %v, %d not removed, %d listed; want ErrPartial, 2500, 1000", err, result.NotRemoved, len(result.Failed))
	}
}

type refuseAll struct{}

func (refuseAll) Remove(_ context.Context, keys []string) (map[string]error, error) {
	failed := map[string]error{}
	for _, k := range keys {
		failed[k] = vault.ErrPermission
	}
	return failed, nil
}

// TestSlowSealing: a put ends while the key source of an earlier put is still busy. The earlier
// put succeeds last, so its value is the current one, and reading it is not ErrRollback.
func TestSlowSealing(t *testing.T) {
	s := newStore(t)
	slow := &slowKey{KeySource: keys[0]}
	v, err := vault.New(s, "0xabc", []envelope.KeySource{slow}, nil)
	fatal(t, err)
	var second vault.Info
	slow.wrapping = func() {
		slow.wrapping = nil
		second = put(t, v, "a", "second", nil)
	}
	first := put(t, v, "a", "first", nil)
	if first.Revision <= second.Revision {
		t.Errorf("the put that was stored last has revision %d, the other one %d", first.Revision, second.Revision)
	}
	if got := get(t, v, "a", nil); got != "first" {
		t.Errorf("the value is %q", got)
	}
}

// A slowKey calls a function while it wraps a key.
type slowKey struct {
	envelope.KeySource
	wrapping func()
}

func (k *slowKey) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	if k.wrapping != nil {
		k.wrapping()
	}
	return k.KeySource.Wrap(ctx, ref, dek, aad)
}

// TestMayArrive: if a write may arrive late and replace the objects of other writers, the store
// decides its outcome, even if its context has ended.
func TestMayArrive(t *testing.T) {
	for _, cause := range []error{errReset, context.Canceled} {
		for _, how := range []string{"create", "swap"} {
			s := newStore(t)
			o := &vault.PutOptions{Create: how == "create"}
			if how == "swap" {
				o.IfRevision = put(t, newVault(t, s, nil), "a", "old", nil).Revision
			}
			optimistic := *s
			w := &arriving{Store: s, cause: cause}
			optimistic.Create, optimistic.Swap, optimistic.Settle = w, w, w
			optimistic.Explain = func(err error) error {
				if errors.Is(err, cause) {
					sentinel := vault.ErrUnavailable
					if cause == context.Canceled {
						sentinel = cause
					}
					return &vault.Cause{Sentinel: sentinel, Effect: vault.MayArrive}
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			if cause == context.Canceled {
				w.cancel = cancel
			}
			_, err := newVault(t, &optimistic, nil).Put(ctx, "a", strings.NewReader("ours"), o)
			cancel()
			if !errors.Is(err, vault.ErrUnsure) || w.settled != 1 {
				t.Errorf("%s, %v: %v after %d calls of Settle, want ErrUnsure after one", how, cause, err, w.settled)
			}
		}
	}
}

// An arriving writer never responds, and cannot settle the outcome.
type arriving struct {
	*vault.Store
	cause   error
	cancel  func()
	settled int
}

func (w *arriving) lose(fill func(io.Writer) error) error {
	if err := fill(io.Discard); err != nil {
		return err
	}
	if w.cancel != nil {
		w.cancel()
	}
	return w.cause
}

func (w *arriving) Create(_ context.Context, _ string, fill func(io.Writer) error) (string, error) {
	return "", w.lose(fill)
}

func (w *arriving) Swap(_ context.Context, _, _ string, fill func(io.Writer) error) (string, error) {
	return "", w.lose(fill)
}

func (w *arriving) Settle(context.Context, string, vault.UnknownWrite) (string, error) {
	w.settled++
	return "", vault.ErrUnsure
}

func (w *arriving) IsSettled(context.Context, string, string) (bool, error) { return true, nil }

// TestFollowUpDenied: a retry of a plain put needs no additional permission.
func TestFollowUpDenied(t *testing.T) {
	s := newStore(t)
	lossy := *s
	w := &withheld{s: s, lose: func(n int) bool { return n == 1 }}
	lossy.Put, lossy.Create = w, deniedCreator{}
	put(t, newVault(t, &lossy, nil), "a", "value", nil)
	if diff := cmp.Diff([]string{"put", "put"}, w.ops); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

type deniedCreator struct{}

func (deniedCreator) Create(context.Context, string, func(io.Writer) error) (string, error) {
	return "", &vault.Cause{Sentinel: vault.ErrPermission, Effect: vault.NotApplied}
}

// TestTeardownUnsure: an attempt that may still arrive makes the outcome unknown, even if the
// next attempt is refused. An unknown count is -1, not 0.
func TestTeardownUnsure(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", "1", nil)
	attempts := 0
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op != "remove" {
			return do()
		}
		if attempts++; attempts == 1 {
			return errReset
		}
		return vault.ErrUnauthenticated
	}}), nil)
	if _, err := v.Teardown(t.Context(), nil); !errors.Is(err, vault.ErrUnsure) || !errors.Is(err, vault.ErrUnauthenticated) {
		t.Errorf("teardown = %v, want ErrUnsure and ErrUnauthenticated", err)
	}
	v = newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "purge" {
			return vault.ErrUnauthenticated
		}
		return do()
	}}), nil)
	result, err := v.Teardown(t.Context(), &vault.TeardownOptions{Purge: true})
	if !errors.Is(err, vault.ErrUnauthenticated) || result.LeftInHistory != -1 {
		t.Errorf("a purge that was refused = %+v, %v; want -1 left in the history", result, err)
	}
}

// TestUnfinishedBefore: an upload that could not be aborted is reported even if a later attempt stores
// the value.
func TestUnfinishedBefore(t *testing.T) {
	n := 0
	s := intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if n++; n == 1 {
			return &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.UploadAborted, Effect: vault.NotApplied, Unfinished: 5_000_000}
		}
		return do()
	}})
	info, err := newVault(t, s, nil).Put(t.Context(), "a", strings.NewReader("v"), nil)
	if err != nil || n != 2 || info.Unfinished != 5_000_000 {
		t.Errorf("after %d attempts: %v, %d bytes unfinished", n, err, info.Unfinished)
	}
}

// TestUnfinishedUpload: an upload that could not be aborted is reported even if a later attempt, which
// started no upload, returns the error.
func TestUnfinishedUpload(t *testing.T) {
	n := 0
	s := intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if n++; c.Op == "put" && n == 1 {
			return &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.Unreachable, Message: "part 1", Effect: vault.NotApplied, Unfinished: 5_000_000}
		}
		return &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.Throttled, Message: "start", Effect: vault.NotApplied}
	}})
	_, err := newVault(t, s, nil).Put(t.Context(), "a", strings.NewReader("v"), nil)
	var cause *vault.Cause
	if n < 2 || !errors.As(err, &cause) || cause.Unfinished != 5_000_000 || cause.Reason != vault.Throttled {
		t.Fatalf("after %d attempts: %v", n, err)
	}
	if text := err.Error(); strings.Count(text, "an unfinished upload of 5 MB may remain") != 1 || !strings.Contains(text, "start") {
		t.Error(text)
	}
}

// TestUnfinishedDelivery: an upload that could not be aborted is reported exactly once, also if Deliver then
// finds a newer object, or writes without the condition.
func TestUnfinishedDelivery(t *testing.T) {
	for _, tc := range []struct {
		name   string
		other  time.Duration // when another writer stores an object, relative to now; 0: never
		causes []*vault.Cause
		want   error
		bytes  int64
	}{
		{"a newer object", time.Hour, []*vault.Cause{{Sentinel: vault.ErrExist, Effect: vault.Refused, Unfinished: 5_000_000}}, vault.ErrConflict, 5_000_000},
		{"an older object", -time.Hour, []*vault.Cause{{Sentinel: vault.ErrExist, Effect: vault.Refused, Unfinished: 5_000_000}}, nil, 5_000_000},
		{"no condition", 0, []*vault.Cause{{Sentinel: vault.ErrUnsupported, Effect: vault.Refused, Unfinished: 5_000_000}}, nil, 5_000_000},
		{"no condition, no space", 0, []*vault.Cause{
			{Sentinel: vault.ErrPermission, Effect: vault.Refused, Unfinished: 5_000_000},
			{Sentinel: vault.ErrNoSpace, Effect: vault.Refused, Unfinished: 3_000_000},
		}, vault.ErrNoSpace, 8_000_000},
		{"refused at once", 0, []*vault.Cause{{Sentinel: vault.ErrNoSpace, Effect: vault.Refused, Unfinished: 5_000_000}}, vault.ErrNoSpace, 5_000_000},
	} {
		s, n := newStore(t), 0
		causes := append([]*vault.Cause{errAway}, tc.causes...) // the first attempt is that of Put
		v, entry := spooledPut(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if !slices.Contains([]string{"put", "create", "swap"}, c.Op) {
				return do()
			}
			if n++; n > len(causes) {
				return do()
			}
			if n == 2 && tc.other != 0 {
				put(t, newVault(t, s, &vault.Options{Now: func() time.Time { return time.Now().Add(tc.other) }}), "a", "of another writer", nil)
			}
			return causes[n-1]
		}}))
		info, err := v.Deliver(t.Context(), entry)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		var cause *vault.Cause
		got := info.Unfinished
		if errors.As(err, &cause) {
			got += cause.Unfinished
		}
		if got != tc.bytes || err == nil && info.Unfinished != tc.bytes || err != nil && info.Unfinished != 0 {
			t.Errorf("%s: %d bytes unfinished, %d of them in the Info, want %d: %v", tc.name, got, info.Unfinished, tc.bytes, err)
		}
	}
}

// TestUnfinishedOlder: the result of a put has the size of what remains of an older value of the name, which is
// sent before it.
func TestUnfinishedOlder(t *testing.T) {
	causes := []*vault.Cause{errAway, {Sentinel: vault.ErrUnsupported, Effect: vault.Refused, Unfinished: 5_000_000}}
	n := 0
	v, _ := spooledPut(t, intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if slices.Contains([]string{"put", "create", "swap"}, c.Op) {
			if n++; n <= len(causes) {
				return causes[n-1]
			}
		}
		return do()
	}}))
	if info, err := v.Put(t.Context(), "a", strings.NewReader("2"), nil); err != nil || info.Unfinished != 5_000_000 {
		t.Errorf("put: %+v, %v, want 5000000 unfinished bytes", info, err)
	}
}

// spooledPut puts the value of "a" into a new spool, because the first write of s fails. It returns the vault
// and the entry.
func spooledPut(t *testing.T, s *vault.Store) (*vault.Vault, vault.Spooled) {
	t.Helper()
	sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "store"})
	if err != nil {
		t.Fatal(err)
	}
	v := newVault(t, s, &vault.Options{Spool: sp})
	if _, err := v.Put(t.Context(), "a", strings.NewReader("v"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatalf("Put = %v", err)
	}
	all, err := sp.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	return v, all[0]
}
