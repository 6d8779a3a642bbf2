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

// An unrecorded entry is one whose file cannot be written.
type unrecorded struct{ vault.Spooled }

func (unrecorded) Attempted(vault.SpoolAttempt) error { return errDisk }

var errDisk = fmt.Errorf("%w: the disk is full", vault.ErrNoSpace)

// TestFlushUnrecorded: a value is not sent if the spool cannot record that an attempt starts. Otherwise an
// attempt without a response would seem to have sent nothing, and a value that another writer has deleted
// since would be stored again.
func TestFlushUnrecorded(t *testing.T) {
	w := newWorld(t)
	w.away(errNotSent)
	w.fill(several, nil)
	w.away(nil)
	s := w.spool(nil)
	all, err := s.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := w.store
	w.store = stopAfterWrite(store)
	d := w.vault(s).NewDelivery(several)
	for _, e := range all {
		var err error
		stopped(func() { _, err = d.Deliver(t.Context(), unrecorded{e}) })
		var spooled *vault.SpooledError
		if !errors.As(err, &spooled) || spooled.Refused || !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, errDisk) {
			t.Errorf("deliver %s: %v, want that it stays pending, because of the spool", e.Entry().Ref.Name, err)
		}
	}
	w.store = store
	other := w.vault(nil)
	deleted := map[vault.Name]bool{}
	for _, name := range several {
		deleted[name] = other.Delete(t.Context(), name, nil) == nil
	}
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != len(several) {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	for _, name := range several {
		if !deleted[name] {
			w.wantValue(other, name, "of "+string(name), false)
		} else if _, err := other.Stat(t.Context(), name); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s was deleted, and is in the store again: %v", name, err)
		}
	}
}

// A readOnly spool adds entries, and cannot write to their files again.
type readOnly struct{ *spool.Spool }

func (r readOnly) Add(ctx context.Context, e vault.SpoolEntry, fill func(io.Writer) error) (vault.Spooled, error) {
	entry, err := r.Spool.Add(ctx, e, fill)
	if entry != nil {
		entry = unrecorded{entry}
	}
	return entry, err
}

func (r readOnly) Entries(ctx context.Context, ref envelope.Ref) ([]vault.Spooled, error) {
	all, err := r.Spool.Entries(ctx, ref)
	for i, e := range all {
		all[i] = unrecorded{e}
	}
	return all, err
}

// TestPutUnrecorded: the first attempt of a Put needs no record. After an attempt that was not sent, and that
// was recorded, a later value of the name waits with the older one.
func TestPutUnrecorded(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	full := w.vault(readOnly{s})
	if _, err := full.Put(t.Context(), "a", strings.NewReader("1"), nil); err != nil {
		t.Fatal(err)
	}
	w.wantValue(w.vault(nil), "a", "1", false)
	w.away(errNotSent)
	if _, err := full.Put(t.Context(), "b", strings.NewReader("1"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatalf("put: %v", err)
	}
	if left := w.entries(s); len(left) != 1 || left[0].Unsent {
		t.Errorf("in the spool: %+v", left)
	}
	w.away(nil)
	if _, err := full.Put(t.Context(), "b", strings.NewReader("2"), nil); err != nil { // sends both
		t.Fatal(err)
	}
	w.wantValue(w.vault(nil), "b", "2", false)

	w.away(errNotSent)
	w.fill([]vault.Name{"c"}, nil)
	w.away(nil)
	_, err := full.Put(t.Context(), "c", strings.NewReader("2"), nil)
	if !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, errDisk) {
		t.Errorf("put after an older value: %v", err)
	}
	if left := w.entries(s); len(left) != 2 || left[0].Refused || left[1].Refused {
		t.Errorf("in the spool: %+v", left)
	}
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(nil), "c", "2", false)
}

// sealedForSpool returns a spool with the value "1" of "a", which is sealed for the key of the spool, because the
// key source was away. It is back.
func sealedForSpool(t *testing.T) (*world, *spool.Spool) {
	w := newWorld(t)
	source := &downSource{KeySource: w.keys[0]}
	w.keys = []envelope.KeySource{source}
	s := w.spool(nil)
	source.down.Store(true)
	if _, err := w.vault(s).Put(t.Context(), "a", strings.NewReader("1"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatalf("put: %v", err)
	}
	source.down.Store(false)
	return w, s
}

// staysDeleted deletes "a" on another machine. The spool has nothing that stores it again.
func (w *world) staysDeleted(s *spool.Spool, v *vault.Vault) {
	w.t.Helper()
	if err := w.vault(nil).Delete(w.t.Context(), "a", nil); err != nil {
		w.t.Fatal(err)
	}
	if sum, err := s.Sync(w.t.Context(), v, nil); err != nil || sum != (spool.Summary{}) {
		w.t.Errorf("sync: %+v, %v, want that nothing was left", sum, err)
	}
	if _, err := w.vault(nil).Stat(w.t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) {
		w.t.Errorf("the value was deleted, and is in the store again: %v", err)
	}
}

// An unremovable entry is one whose file cannot be removed.
type unremovable struct{ vault.Spooled }

func (unremovable) Remove() error { return errDisk }

// TestFlushUnremovable: a value that was sealed again is not sent while the spool has its former entry, too,
// which would be sent after another writer has deleted the value.
func TestFlushUnremovable(t *testing.T) {
	w, s := sealedForSpool(t)
	v := w.vault(s)
	all, err := s.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	_, err = v.Deliver(t.Context(), unremovable{all[0]})
	if !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, errDisk) {
		t.Errorf("deliver: %v, want that it stays pending, because of the spool", err)
	}
	w.wantValue(v, "a", "1", true)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(nil), "a", "1", false)
	w.staysDeleted(s, v)
}

// TestPutAfterUnremovable: an entry that was sealed again, but could not be removed, is not sent after a later
// value of its name.
func TestPutAfterUnremovable(t *testing.T) {
	w, s := sealedForSpool(t)
	v := w.vault(s)
	all, err := s.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	if _, err := v.Deliver(t.Context(), unremovable{all[0]}); !errors.Is(err, vault.ErrSpooled) {
		t.Errorf("deliver: %v", err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("2"), nil); err != nil {
		t.Fatalf("put: %v", err)
	}
	w.staysDeleted(s, v)
}

// A full spool has no space for further entries.
type full struct{ *spool.Spool }

func (full) Add(context.Context, vault.SpoolEntry, func(io.Writer) error) (vault.Spooled, error) {
	return nil, errDisk
}

// TestFlushFull: a value that must be sealed again, and for which the spool has no space, stays pending. The
// store has not refused it.
func TestFlushFull(t *testing.T) {
	w, s := sealedForSpool(t)
	if sum, err := s.Sync(t.Context(), w.vault(full{s}), nil); err != nil || sum.Pending != 1 || !errors.Is(sum.Cause, errDisk) {
		t.Errorf("sync of a full spool: %+v, %v", sum, err)
	}
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(nil), "a", "1", false)
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
	for n := range 300 { // the same if an attempt started after others that sent nothing, and had no end
		a := vault.SpoolAttempt{Reason: "retry requested", Retry: true}
		switch {
		case n%10 < 5:
			a = vault.SpoolAttempt{Reason: "away", Unsent: true}
		case n%10 == 5:
			a = vault.SpoolAttempt{Sending: true}
		}
		if err := e.Attempted(a); err != nil {
			t.Fatal(err)
		}
		if got := w.entries(s)[0].Unsent; got != (n%10 < 5) {
			t.Fatalf("after %d further lines: unsent is %v", n+1, got)
		}
	}
	if !slices.ContainsFunc(w.entries(s), func(e vault.SpoolEntry) bool { return len(e.Attempts) > 0 }) {
		t.Error("no attempts are left")
	}
}
