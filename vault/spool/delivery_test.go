package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// watch makes every later Vault of the world record its requests. before may be nil.
func (w *world) watch(before func(intercept.Call)) (calls func() map[string]int) {
	var mu sync.Mutex
	counts := map[string]int{}
	w.store = intercept.Store(w.store, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		mu.Lock()
		counts[c.Op]++
		mu.Unlock()
		if before != nil {
			before(c)
		}
		return do()
	}})
	return func() map[string]int { mu.Lock(); defer mu.Unlock(); return counts }
}

// fill puts a value for each name, which stays in the spool with an error that wraps want.
func (w *world) fill(names []vault.Name, o *vault.PutOptions) {
	w.t.Helper()
	v := w.vault(w.spool(nil))
	for _, name := range names {
		if _, err := v.Put(w.t.Context(), name, strings.NewReader("of "+string(name)), o); !errors.Is(err, vault.ErrSpooled) {
			w.t.Fatalf("put %s: %v", name, err)
		}
	}
}

// errNotSent means that the request was not sent, and errReset that it may have been applied.
var (
	errNotSent = &vault.Cause{Sentinel: vault.ErrUnavailable, Message: "connection refused", Effect: vault.NotApplied}
	errReset   = fmt.Errorf("%w: reset", vault.ErrUnavailable)
)

var several = []vault.Name{"a1", "a2", "a3", "a4", "b5", "b6"}

// TestFlushRequests: entries that were never sent, of names that a list does not contain, are sent with
// one request each.
func TestFlushRequests(t *testing.T) {
	for _, create := range []bool{false, true} {
		w := newWorld(t)
		w.away(errNotSent)
		w.fill(several, &vault.PutOptions{Create: create})
		w.away(nil)
		calls := w.watch(nil)
		s := w.spool(nil)
		if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != len(several) {
			t.Fatalf("sync: %+v, %v", sum, err)
		}
		got, total := calls(), 0
		for _, n := range got {
			total += n
		}
		if total != len(several)+1 || got["list"] != 1 {
			t.Errorf("create %v: %v, want one list and %d writes", create, got, len(several))
		}
		for _, name := range several {
			w.wantValue(w.vault(s), name, "of "+string(name), false)
		}
	}
}

// TestFlushOrder: several values of a name are sent in order, in one flush.
func TestFlushOrder(t *testing.T) {
	w := newWorld(t)
	w.away(errNotSent)
	w.fill(several, nil)
	v := w.vault(w.spool(nil))
	for n := range 3 {
		if _, err := v.Put(t.Context(), "a1", strings.NewReader(fmt.Sprint(n)), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatal(err)
		}
	}
	w.away(nil)
	s := w.spool(nil)
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != len(several)+3 {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	w.wantValue(v, "a1", "2", false)
}

// TestFlushNewer: a flush of several names replaces older objects, and never a later one, also if it
// was stored after the list.
func TestFlushNewer(t *testing.T) {
	w := newWorld(t)
	if _, err := w.vault(nil).Put(t.Context(), "a1", strings.NewReader("older"), nil); err != nil {
		t.Fatal(err)
	}
	w.away(errNotSent)
	w.fill(several, nil)
	w.away(nil)
	other := w.vault(nil)
	if _, err := other.Put(t.Context(), "a2", strings.NewReader("newer"), nil); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	w.watch(func(c intercept.Call) {
		if c.Op != "list" && !strings.Contains(c.Key, "a2") {
			once.Do(func() {
				if _, err := other.Put(t.Context(), "a3", strings.NewReader("newer"), nil); err != nil {
					t.Error(err)
				}
			})
		}
	})
	s := w.spool(nil)
	sum, err := s.Sync(t.Context(), w.vault(s), &spool.SyncOptions{Jobs: 1})
	if err != nil || sum.Sent != len(several)-2 || sum.Refused != 2 {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	w.wantValue(other, "a1", "of a1", false)
	w.wantValue(other, "a2", "newer", false)
	w.wantValue(other, "a3", "newer", false)
}

// TestFlushUnknown: a value that an attempt without a response has stored, and that another writer has
// deleted since, is not stored again.
func TestFlushUnknown(t *testing.T) {
	for _, end := range []string{"lost response", "killed", "killed later"} {
		w := newWorld(t)
		s := w.spool(nil)
		if end == "killed later" { // after an attempt that was certainly not applied
			w.away(errNotSent)
			w.fill(several, nil)
			w.away(nil)
		}
		switch end {
		case "lost response":
			w.after.Store(true)
			w.away(errReset)
			w.fill(several, nil)
		case "killed": // a Put that is stopped between its request and its end
			store := w.store
			w.store = stopAfterWrite(w.store)
			for _, name := range several {
				stopped(func() { w.vault(s).Put(t.Context(), name, strings.NewReader("of "+string(name)), nil) })
			}
			w.store = store
		case "killed later":
			store := w.store
			w.store = stopAfterWrite(w.store)
			v := w.vault(s)
			all, err := s.All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := v.NewDelivery(several)
			for _, e := range all {
				stopped(func() { d.Deliver(t.Context(), e) })
			}
			w.store = store
		}
		w.away(nil)
		other := w.vault(nil)
		for _, name := range several {
			if err := other.Delete(t.Context(), name, nil); err != nil {
				t.Fatalf("%s: delete %s: %v", end, name, err)
			}
		}
		if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != len(several) {
			t.Errorf("%s: sync: %+v, %v", end, sum, err)
		}
		for _, name := range several {
			if _, err := other.Stat(t.Context(), name); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("%s: %s is in the store again: %v", end, name, err)
			}
		}
	}
}

// errStopped stands for the end of the process.
var errStopped = errors.New("stopped")

// stopAfterWrite returns a store that applies a write, loses the response, and then stops the caller.
func stopAfterWrite(s *vault.Store) *vault.Store {
	wrote := false
	return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		switch {
		case c.Op == "get" && wrote:
			wrote = false
			panic(errStopped)
		case c.Op == "get", c.Op == "list", c.Op == "versions":
			return do()
		}
		wrote = true
		do()
		return errReset
	}})
}

// failingWrites returns a store to which no write is sent.
func failingWrites(s *vault.Store) *vault.Store {
	return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		switch c.Op {
		case "get", "list", "versions":
			return do()
		}
		return errNotSent
	}})
}

// stopped calls do, which stops. The locks of the entries end, as with a process.
func stopped(do func()) {
	defer func() {
		if r := recover(); r != nil && r != any(errStopped) {
			panic(r)
		}
	}()
	do()
}

// TestFlushCOS: on every kind of COS bucket, a flush of several names stores them, and replaces no later
// object.
func TestFlushCOS(t *testing.T) {
	for _, versioning := range []string{"", "Enabled", "Suspended"} {
		server, err := costest.New(&costest.Options{Versioning: versioning})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		w := newWorld(t)
		store, err := tencent.Open(t.Context(), tencent.Config{Bucket: server.Bucket(), Endpoint: server.URL(), Static: cosblob.Static(server.SecretID(), server.SecretKey(), "")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		w.away(errNotSent)
		w.fill(several, nil)
		w.store = store
		w.now.Add(int64(time.Hour / time.Microsecond))
		other := w.vault(nil)
		if _, err := other.Put(t.Context(), "a2", strings.NewReader("newer"), nil); err != nil {
			t.Fatal(err)
		}
		s := w.spool(nil)
		if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != len(several)-1 || sum.Refused != 1 {
			t.Errorf("versioning %q: sync: %+v, %v", versioning, sum, err)
		}
		for _, name := range several {
			want := "of " + string(name)
			if name == "a2" {
				want = "newer"
			}
			w.wantValue(other, name, want, false)
		}
	}
}

// TestFlushIgnored: on a server that ignores conditions, a flush of several names does not replace a
// later object.
func TestFlushIgnored(t *testing.T) {
	w := newWorld(t)
	inner, err := memfs.Open(t.Context(), memfs.Config{Versions: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.store = inner
	ignoring := *inner
	ignoring.Create, ignoring.Swap, ignoring.RemoveIf = ignorant{inner}, nil, nil
	w.store = &ignoring
	away := intercept.Store(&ignoring, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return errNotSent }})
	store := w.store
	w.store = away
	w.fill(several, nil)
	w.store = store
	other := w.vault(nil)
	if _, err := other.Put(t.Context(), "b5", strings.NewReader("newer"), nil); err != nil {
		t.Fatal(err)
	}
	s := w.spool(nil)
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != len(several)-1 || sum.Refused != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(other, "b5", "newer", false)
	w.wantValue(other, "a1", "of a1", false)
}

// An ignorant Creator replaces existing objects.
type ignorant struct{ s *vault.Store }

func (i ignorant) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	w, err := i.s.Bucket.NewWriter(ctx, key, nil)
	if err != nil {
		return "", err
	}
	if err := fill(w); err != nil {
		return "", errors.Join(err, w.Close())
	}
	return "", w.Close()
}

// TestFlushLater: an object that another writer stores long after the list is read before the write.
func TestFlushLater(t *testing.T) {
	w := newWorld(t)
	w.away(errNotSent)
	w.fill(several, nil)
	w.away(nil)
	calls := w.watch(func(c intercept.Call) {
		if c.Op != "list" {
			w.now.Add(int64(time.Minute / time.Microsecond)) // every write takes a minute
		}
	})
	s := w.spool(nil)
	if sum, err := s.Sync(t.Context(), w.vault(s), &spool.SyncOptions{Jobs: 1}); err != nil || sum.Sent != len(several) {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	if n := calls()["list"]; n != len(several) {
		t.Errorf("%d lists, want one for each write", n)
	}
}

// TestUnsentLines: an entry is unsent only if it is certain that no request was sent, and until the next
// attempt starts.
func TestUnsentLines(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	e, err := s.Add(t.Context(), vault.SpoolEntry{Ref: envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "a"}}, func(w io.Writer) error {
		_, err := io.WriteString(w, "sealed")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Unlock()
	want := []bool{false}
	for _, a := range []struct {
		vault.SpoolAttempt
		unsent bool
	}{
		{vault.SpoolAttempt{Reason: "refused", Refused: true, Unsent: true}, true},
		{vault.SpoolAttempt{Reason: "retry requested", Retry: true}, true},
		{vault.SpoolAttempt{Sending: true}, false},
		{vault.SpoolAttempt{Reason: "unknown"}, false},
	} {
		if err := e.Attempted(a.SpoolAttempt); err != nil {
			t.Fatal(err)
		}
		for _, from := range []vault.SpoolEntry{e.Entry(), w.entries(s)[0]} {
			if from.Unsent != a.unsent {
				t.Errorf("after %+v: unsent is %v", a.SpoolAttempt, from.Unsent)
			}
		}
		want = append(want, a.unsent)
	}
	if n := len(e.Entry().Attempts); n != 3 {
		t.Errorf("%d attempts, want 3: %v", n, want)
	}
	for range 100 { // the file keeps the last attempts only
		if err := e.Attempted(vault.SpoolAttempt{Reason: "retry requested", Retry: true}); err != nil {
			t.Fatal(err)
		}
	}
	if w.entries(s)[0].Unsent {
		t.Error("unsent after many lines")
	}
	if !slices.ContainsFunc(w.entries(s), func(e vault.SpoolEntry) bool { return len(e.Attempts) > 0 }) {
		t.Error("no attempts are left")
	}
}
