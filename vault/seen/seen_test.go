package seen_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

var keys = []envelope.KeySource{kek.InsecureFixed()}

// A world is a store and a machine that remembers what it has seen.
type world struct {
	t     *testing.T
	store *vault.Store
	raw   *vault.Store // without the hook
	dir   string
	now   atomic.Int64
	hook  func(c intercept.Call, do func() error) error // nil: does the request
	mu    sync.Mutex
	warns []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "state", "seen")}
	w.now.Store(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	var err error
	if w.raw, err = memfs.Open(t.Context(), memfs.Config{Versions: 20}); err != nil {
		t.Fatal(err)
	}
	w.store = intercept.Store(w.raw, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if hook := w.hook; hook != nil {
			return hook(c, do)
		}
		return do()
	}})
	t.Cleanup(func() { w.store.Close() })
	return w
}

func (w *world) clock() time.Time { return time.UnixMicro(w.now.Add(1)) }

func (w *world) log() *seen.Log {
	w.t.Helper()
	l, err := seen.Open(seen.Config{Dir: w.dir, Store: "0123456789abcdef", Warn: w.warn})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) warn(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warns = append(w.warns, err.Error())
}

// process returns the vault of a new process of this machine.
func (w *world) process() *vault.Vault { return w.vault(&vault.Options{Seen: w.log()}) }

// other returns the vault of another machine.
func (w *world) other() *vault.Vault { return w.vault(&vault.Options{}) }

func (w *world) vault(o *vault.Options) *vault.Vault {
	w.t.Helper()
	if o.Now == nil {
		o.Now = w.clock
	}
	v, err := vault.New(w.store, "0xabc", keys, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) put(v *vault.Vault, name vault.Name, value string, o *vault.PutOptions) vault.Info {
	w.t.Helper()
	info, err := v.Put(w.t.Context(), name, strings.NewReader(value), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

const prefix = "bots/0xabc/credentials/"

// sealed returns the stored bytes of a name.
func (w *world) sealed(name string) []byte {
	w.t.Helper()
	b, err := w.raw.Bucket.ReadAll(w.t.Context(), prefix+name+".enc")
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// replaces stores bytes under a name, as the operator of the store could.
func (w *world) replaces(name string, sealed []byte) {
	w.t.Helper()
	if err := w.raw.Bucket.WriteAll(w.t.Context(), prefix+name+".enc", sealed, nil); err != nil {
		w.t.Fatal(err)
	}
}

// withholds removes a name, as the operator of the store could.
func (w *world) withholds(name string) {
	w.t.Helper()
	if err := w.raw.Bucket.Delete(w.t.Context(), prefix+name+".enc"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantValue(v *vault.Vault, name vault.Name, want string) {
	w.t.Helper()
	value, _, err := v.ReadAll(w.t.Context(), name, nil)
	if err != nil || string(value) != want {
		w.t.Errorf("%s is %q, %v; want %q", name, value, err, want)
	}
}

// reads are the reads of a current object.
var reads = map[string]func(ctx context.Context, v *vault.Vault, name vault.Name) error{
	"get": func(ctx context.Context, v *vault.Vault, name vault.Name) error {
		_, _, err := v.ReadAll(ctx, name, nil)
		return err
	},
	"range": func(ctx context.Context, v *vault.Vault, name vault.Name) error {
		r, err := v.Get(ctx, name, &vault.GetOptions{Range: &vault.Range{Offset: -1}})
		if err == nil {
			r.Close()
		}
		return err
	},
	"stat": func(ctx context.Context, v *vault.Vault, name vault.Name) error {
		_, err := v.Stat(ctx, name)
		return err
	},
}

// wantRollback expects that every read in a new process detects an object of revision returned.
func (w *world) wantRollback(name vault.Name, last, returned int64) {
	w.t.Helper()
	for op, read := range reads {
		err := read(w.t.Context(), w.process(), name)
		var detected *vault.SeenError
		if !errors.Is(err, vault.ErrRollback) || !errors.As(err, &detected) || detected.Last.Revision != last || detected.Returned.Revision != returned {
			w.t.Errorf("%s of an older object: %v", op, err)
			continue
		}
		for _, cause := range []string{"the object is old", "the clock of its writer is slow"} {
			if !strings.Contains(err.Error(), cause) {
				w.t.Errorf("%s does not name the cause %q: %v", op, cause, err)
			}
		}
	}
}

// TestOlder: a new process detects an object that is older than one that another process has put or
// read, until it is accepted.
func TestOlder(t *testing.T) {
	for _, by := range []string{"put", "get", "range", "stat"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			first := w.put(w.other(), "a", "one", nil)
			old := w.sealed("a")
			writer := w.other()
			if by == "put" {
				writer = w.process()
			}
			second := w.put(writer, "a", "two", nil)
			current := w.sealed("a")
			if by != "put" {
				if err := reads[by](t.Context(), w.process(), "a"); err != nil {
					t.Fatal(err)
				}
			}
			w.replaces("a", old)
			w.wantRollback("a", second.Revision, first.Revision)
			if _, err := w.process().Put(t.Context(), "a", strings.NewReader("x"), &vault.PutOptions{IfTag: first.Tag}); !errors.Is(err, vault.ErrRollback) {
				t.Errorf("compare-and-swap of an older object: %v", err)
			}

			v := w.process()
			if info, err := v.AcceptOlder(t.Context(), "a"); err != nil || info.Revision != first.Revision {
				t.Fatalf("accepting: %+v, %v", info, err)
			}
			w.wantValue(v, "a", "one")
			w.wantValue(w.process(), "a", "one")
			w.replaces("a", current) // it is newer than the accepted one
			w.wantValue(w.process(), "a", "two")
			w.replaces("a", old)
			w.wantRollback("a", second.Revision, first.Revision)
		})
	}
}

// TestAcceptInMemory: a Vault that rejects an object because of what it has read itself accepts it, too.
func TestAcceptInMemory(t *testing.T) {
	w := newWorld(t)
	v := w.other()
	w.put(v, "a", "one", nil)
	old := w.sealed("a")
	w.put(v, "a", "two", nil)
	w.replaces("a", old)
	if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrRollback) {
		t.Fatalf("stat of an older object: %v", err)
	}
	if _, err := v.AcceptOlder(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	w.wantValue(v, "a", "one")
	keyless, err := vault.New(w.store, "0xabc", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyless.AcceptOlder(t.Context(), "a"); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("accepting without a key: %v", err)
	}
}

// TestVersions: reading an old version, or a part of it, neither fails nor changes what was seen.
func TestVersions(t *testing.T) {
	w := newWorld(t)
	first := w.put(w.process(), "a", "one", nil)
	old := w.sealed("a")
	second := w.put(w.process(), "a", "two", nil)
	for _, o := range []vault.GetOptions{
		{Version: "@2"}, {Version: fmt.Sprint("r:", first.Revision)}, {Version: "@2", Range: &vault.Range{Offset: 1}},
	} {
		r, err := w.process().Get(t.Context(), "a", &o)
		if err != nil || r.Info().Revision != first.Revision {
			t.Fatalf("%+v: %v", o, err)
		}
		r.Close()
	}
	w.replaces("a", old)
	w.wantRollback("a", second.Revision, first.Revision)
	if _, err := w.process().Get(t.Context(), "a", &vault.GetOptions{Version: "@9"}); !errors.Is(err, vault.ErrNotFound) || isSeen(err) {
		t.Errorf("a version that does not exist: %v", err)
	}
	restored, err := w.process().Rollback(t.Context(), "a", fmt.Sprint("r:", second.Revision))
	if err != nil || restored.Revision <= second.Revision {
		t.Fatalf("rollback: %+v, %v", restored, err)
	}
	w.wantValue(w.process(), "a", "two")
}

func isSeen(err error) bool {
	var detected *vault.SeenError
	return errors.As(err, &detected)
}

// TestRewrap: of one revision, the object with fewer rewraps is older, and a later revision is newer
// however often the earlier one was rewrapped.
func TestRewrap(t *testing.T) {
	w := newWorld(t)
	info := w.put(w.process(), "a", "one", nil)
	old := w.sealed("a")
	ref := refOf("a")
	header, err := envelope.ReadHeader(bytes.NewReader(old))
	if err != nil {
		t.Fatal(err)
	}
	again, err := envelope.Rewrap(t.Context(), header, ref, keys, keys)
	if err != nil {
		t.Fatal(err)
	}
	w.replaces("a", append(again, old[header.Len():]...))
	if got, err := w.process().Stat(t.Context(), "a"); err != nil || got.Rewrap != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	w.replaces("a", old)
	w.wantRollback("a", info.Revision, info.Revision)
	w.put(w.process(), "a", "two", nil)
	w.wantValue(w.process(), "a", "two")
}

// TestEqual: two writers may use the same revision. Neither object is older.
func TestEqual(t *testing.T) {
	w := newWorld(t)
	at := time.UnixMicro(w.now.Load())
	same := func() *vault.Vault { return w.vault(&vault.Options{Now: func() time.Time { return at }}) }
	one := w.put(same(), "a", "one", nil)
	first := w.sealed("a")
	two := w.put(same(), "a", "two", nil)
	second := w.sealed("a")
	if one.Revision != two.Revision || one.Tag == two.Tag {
		t.Fatalf("the writers stored %+v and %+v", one, two)
	}
	for _, s := range [][]byte{first, second, first} {
		w.replaces("a", s)
		for op, read := range reads {
			if err := read(t.Context(), w.process(), "a"); err != nil {
				t.Errorf("%s: %v", op, err)
			}
		}
	}
}

// TestSlowClock: a write gets a later revision than what this machine has seen, even if its clock is
// slow.
func TestSlowClock(t *testing.T) {
	w := newWorld(t)
	info := w.put(w.process(), "a", "one", nil)
	slow := func() time.Time { return w.clock().Add(-time.Hour) }
	got := w.put(w.vault(&vault.Options{Seen: w.log(), Now: slow}), "a", "two", nil)
	if got.Revision <= info.Revision {
		t.Errorf("revision %d after %d", got.Revision, info.Revision)
	}
	w.wantValue(w.process(), "a", "two")
}

// TestGone: reading a name that was seen and no longer exists is ErrNotFound, with the last state that
// was seen. After a deletion on this machine the error does not contain that state.
func TestGone(t *testing.T) {
	w := newWorld(t)
	info := w.put(w.process(), "a", "one", nil)
	old := w.sealed("a")
	w.withholds("a")
	wantGone := func(op string, err error) {
		t.Helper()
		var gone *vault.SeenError
		if !errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrRollback) || !errors.As(err, &gone) || gone.Last.Revision != info.Revision {
			t.Fatalf("%s: %v", op, err)
		}
		want := fmt.Sprintf("not found; last seen on this machine: revision %d, 2026-12-01T12:00:00Z; another writer or a lifecycle rule deleted it, or the store hides it", info.Revision)
		if !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", op, err, want)
		}
	}
	for op, read := range reads {
		wantGone(op, read(t.Context(), w.process(), "a"))
	}
	wantGone("delete", w.process().Delete(t.Context(), "a", nil))
	wantSilent := func(name vault.Name) {
		t.Helper()
		for op, read := range reads {
			if err := read(t.Context(), w.process(), name); !errors.Is(err, vault.ErrNotFound) || isSeen(err) {
				t.Errorf("%s of %s after a deletion here: %v", op, name, err)
			}
		}
	}
	wantSilent("a")
	wantSilent("never-seen")

	w.replaces("a", old) // the store returns the deleted object again
	w.wantRollback("a", info.Revision, info.Revision)
	w.put(w.other(), "a", "again", nil)
	w.wantValue(w.process(), "a", "again")
	if err := w.process().Delete(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	wantSilent("a")

	info = w.put(w.process(), "b", "one", nil)
	if err := w.process().Delete(t.Context(), "b", &vault.DeleteOptions{IfTag: info.Tag}); err != nil {
		t.Fatal(err)
	}
	wantSilent("b")
	w.put(w.process(), "b", "two", nil)
	if _, err := w.process().Undelete(t.Context(), "b"); !errors.Is(err, vault.ErrExist) {
		t.Fatal(err)
	}
	if err := w.process().Delete(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.process().Undelete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	w.wantValue(w.process(), "b", "two")
}

// TestExpires: the expiry of a value that is gone was recorded when it was stored, read or rewrapped, and
// also on a machine that has imported the record. The error has the key of the object.
func TestExpires(t *testing.T) {
	w := newWorld(t)
	expires := time.UnixMicro(w.now.Load()).Add(time.Hour).UTC().Truncate(time.Second)
	w.put(w.process(), "a", "one", &vault.PutOptions{Expires: expires})
	w.put(w.other(), "b", "one", &vault.PutOptions{Expires: expires})
	w.wantValue(w.process(), "b", "one")
	w.put(w.process(), "c", "one", nil)
	w.put(w.process(), "d", "one", &vault.PutOptions{Expires: expires})
	if _, err := w.process().Rewrap(t.Context(), "d", &vault.RewrapOptions{Add: []envelope.KeySource{kek.NewLocal(kek.RandomRoot())}}); err != nil {
		t.Fatal(err)
	}
	wantExpiry := func(v *vault.Vault, name vault.Name, want time.Time) {
		t.Helper()
		var gone *vault.SeenError
		if _, err := v.Stat(t.Context(), name); !errors.As(err, &gone) || !gone.Last.Expires.Equal(want) || gone.Key != prefix+string(name)+".enc" {
			t.Errorf("%s: %v, %+v", name, err, gone)
		}
	}
	var exported bytes.Buffer
	for _, name := range []string{"a", "b", "c", "d"} {
		w.withholds(name)
	}
	wantExpiry(w.process(), "a", expires)
	wantExpiry(w.process(), "b", expires)
	wantExpiry(w.process(), "c", time.Time{})
	wantExpiry(w.process(), "d", expires)
	if _, err := w.log().Export(t.Context(), &exported); err != nil {
		t.Fatal(err)
	}
	w.dir = t.TempDir()
	if _, err := w.log().Import(t.Context(), &exported); err != nil {
		t.Fatal(err)
	}
	wantExpiry(w.process(), "a", expires)
	wantExpiry(w.process(), "c", time.Time{})
}

// TestExpiresLater: a read adds the expiry to a state that was recorded without it, and nothing else.
func TestExpiresLater(t *testing.T) {
	w := newWorld(t)
	expires := time.UnixMicro(w.now.Load()).Add(time.Hour).UTC().Truncate(time.Second)
	w.put(w.process(), "a", "one", &vault.PutOptions{Expires: expires})
	text, err := os.ReadFile(w.file("a"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	if err := os.WriteFile(w.file("a"), sealLine(fields[:len(fields)-2]), 0o600); err != nil {
		t.Fatal(err)
	}
	w.wantValue(w.process(), "a", "one")
	w.withholds("a")
	var gone *vault.SeenError
	if _, err := w.process().Stat(t.Context(), "a"); !errors.As(err, &gone) || !gone.Last.Expires.Equal(expires) {
		t.Fatalf("%v, %+v", err, gone)
	}
	if recorded := strings.Fields(string(text))[5]; fmt.Sprint(gone.Last.Time.Unix()) != recorded {
		t.Errorf("the state is from %v, want %s", gone.Last.Time.Unix(), recorded)
	}
}

// sealLine returns a line of a file with these fields and their checksum.
func sealLine(fields []string) []byte {
	text := strings.Join(fields, " ")
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

// laterField adds an expiry and an unknown field to the last line of text.
func laterField(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	lines[len(lines)-1] = string(sealLine(append(fields[:len(fields)-1], "1796008821", "new=1")))
	return strings.Join(lines, "\n")
}

// TestTeardown: a teardown records the names that it deleted, also in other collections.
func TestTeardown(t *testing.T) {
	for _, remover := range []bool{true, false} {
		w := newWorld(t)
		if !remover {
			w.store.Remover = nil
		}
		inOther := func() *vault.Vault { return w.vault(&vault.Options{Seen: w.log(), Collection: "files"}) }
		info := w.put(w.process(), "a", "one", nil)
		old := w.sealed("a")
		w.put(inOther(), "b/c", "one", nil)
		if _, err := w.process().Teardown(t.Context(), &vault.TeardownOptions{AllCollections: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.process().Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) || isSeen(err) {
			t.Errorf("after a teardown: %v", err)
		}
		if _, err := inOther().Stat(t.Context(), "b/c"); !errors.Is(err, vault.ErrNotFound) || isSeen(err) {
			t.Errorf("after a teardown of all collections: %v", err)
		}
		w.replaces("a", old)
		w.wantRollback("a", info.Revision, info.Revision)
	}
}

// TestSeparate: the state of a name does not apply to the same name in another vault, tenant or
// collection.
func TestSeparate(t *testing.T) {
	w := newWorld(t)
	w.put(w.process(), "a", "one", nil)
	for _, o := range []vault.Options{{Collection: "files"}, {VaultID: "other"}} {
		o.Seen = w.log()
		if o.VaultID != "" {
			w.withholds("a")
		}
		if _, err := w.vault(&o).Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) || isSeen(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestSpooled: a value that is delivered from the spool later is recorded.
func TestSpooled(t *testing.T) {
	w := newWorld(t)
	first := w.put(w.other(), "a", "one", nil)
	old := w.sealed("a")
	sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef", Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	v := w.vault(&vault.Options{Seen: w.log(), Spool: sp})
	for _, applied := range []bool{false, true} {
		w.hook = func(c intercept.Call, do func() error) error {
			if applied && c.Op == "put" {
				do()
			}
			return fmt.Errorf("%w: connection refused", vault.ErrUnavailable)
		}
		info, err := v.Put(t.Context(), "a", strings.NewReader("two"), nil)
		if !errors.Is(err, vault.ErrSpooled) {
			t.Fatal(err)
		}
		w.hook = nil
		if result, err := sp.Sync(t.Context(), v, nil); err != nil || result.Sent != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
		w.replaces("a", old)
		w.wantRollback("a", info.Revision, first.Revision)
		w.replaces("a", w.version(v, info.Revision))
	}
}

// version returns the sealed bytes of a revision.
func (w *world) version(v *vault.Vault, revision int64) []byte {
	w.t.Helper()
	for e, err := range v.History(w.t.Context(), "a") {
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Revision == revision {
			r, _, err := w.raw.History.OpenVersion(w.t.Context(), prefix+"a.enc", e.Version, 0, -1)
			if err != nil {
				w.t.Fatal(err)
			}
			defer r.Close()
			var b bytes.Buffer
			b.ReadFrom(r)
			return b.Bytes()
		}
	}
	w.t.Fatalf("no revision %d", revision)
	return nil
}

// TestOverlap: two processes write one name at the same time, and the write with the lower revision is
// applied last. No later read is a rollback, whichever response arrives first.
func TestOverlap(t *testing.T) {
	for _, lateResponse := range []bool{false, true} {
		w := newWorld(t)
		w.store.Put = nil // so that a hook can hold back the response
		w.put(w.process(), "a", "zero", nil)
		var n atomic.Int32
		waiting, applied, done := make(chan bool), make(chan bool), make(chan bool)
		w.hook = func(c intercept.Call, do func() error) error {
			if c.Op != "put" {
				return do()
			}
			if n.Add(1) == 1 { // the lower revision
				close(waiting)
				<-applied
				return do()
			}
			err := do()
			close(applied)
			if lateResponse {
				<-done
			}
			return err
		}
		go func() {
			defer close(done)
			if _, err := w.process().Put(context.Background(), "a", strings.NewReader("applied last"), nil); err != nil {
				t.Error(err)
			}
		}()
		<-waiting
		w.put(w.process(), "a", "later revision", nil)
		<-done
		w.hook = nil
		w.wantValue(w.process(), "a", "applied last")
	}
}

// TestReadDuringWrite: a state that another process records while an object is read does not make that
// read a rollback, and the read does not lower it.
func TestReadDuringWrite(t *testing.T) {
	for op, read := range reads {
		w := newWorld(t)
		first := w.put(w.process(), "a", "one", nil)
		old := w.sealed("a")
		var second vault.Info
		inside := false
		w.hook = func(c intercept.Call, do func() error) error {
			err := do()
			if !inside && c.Op == "get" {
				inside = true
				second = w.put(w.process(), "a", "two", nil)
			}
			return err
		}
		if err := read(t.Context(), w.process(), "a"); err != nil || !inside {
			t.Errorf("%s: %v", op, err)
		}
		w.hook = nil
		w.replaces("a", old)
		w.wantRollback("a", second.Revision, first.Revision)
	}
}

// TestUnchanged: reading again writes nothing.
func TestUnchanged(t *testing.T) {
	w := newWorld(t)
	w.put(w.process(), "a", "one", nil)
	before := w.files()
	for op, read := range reads {
		if err := read(t.Context(), w.process(), "a"); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
	}
	if after := w.files(); after != before {
		t.Errorf("the files were %s and are %s", before, after)
	}
	for path, mode := range map[string]fs.FileMode{w.dir: 0o700, filepath.Dir(w.dir): 0o700, w.file("a"): 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	if strings.Contains(before, "0xabc") || strings.Contains(before, "credentials") {
		t.Errorf("the files contain names: %s", before)
	}
}

func refOf(name string) envelope.Ref {
	return envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: name}
}

// file returns the file with the states of a name.
func (w *world) file(name string) string {
	sum := refOf(name).Context()
	return filepath.Join(w.log().Dir(), fmt.Sprintf("%02x", sum[0]))
}

// files returns the names, times and contents of all files.
func (w *world) files() string {
	w.t.Helper()
	list, err := os.ReadDir(w.log().Dir())
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for _, d := range list {
		fi, _ := d.Info()
		text, _ := os.ReadFile(filepath.Join(w.log().Dir(), d.Name()))
		fmt.Fprintln(&b, d.Name(), fi.ModTime(), string(text))
	}
	return b.String()
}

// TestUnusable: a directory that cannot be read or written is reported, and no operation fails.
func TestUnusable(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.dir = file // not a directory
	v := w.process()
	w.put(v, "a", "one", nil)
	w.wantValue(v, "a", "one")
	w.wantValue(w.process(), "a", "one")
	if _, err := v.AcceptOlder(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	if len(w.warns) == 0 {
		t.Error("nothing was reported")
	}
	for _, c := range []seen.Config{{}, {Dir: "d"}, {Store: "s"}, {Dir: "d", Store: "../s"}} {
		if _, err := seen.Open(c); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestDamage: damaged lines are reported and removed, and do not affect other lines. An incomplete line
// of a killed process does not affect later lines.
func TestDamage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(text string) string
		lost   bool // the state of the name
		report bool
	}{
		{"incomplete line after a complete one", func(s string) string { return s + s[:len(s)/2] }, false, false},
		{"only line is incomplete", func(s string) string { return s[:len(s)-20] }, true, false},
		{"invalid bytes after the line", func(s string) string { return s + "\x00\x00\x00\n" }, false, true},
		{"invalid line before the line", func(s string) string { return "1 x\n" + s }, false, true},
		{"altered revision", func(s string) string { return strings.Replace(s, " 0 ", " 1 ", 1) }, true, true},
		{"unknown format version", func(s string) string { return "2" + s[1:] }, true, true},
		{"file of 1 MiB", func(s string) string { return strings.Repeat("x", 1<<20) + "\n" + s }, false, true},
		{"field of a later version", laterField, false, false},
		{"empty file", func(string) string { return "" }, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			first := w.put(w.other(), "a", "one", nil)
			old := w.sealed("a")
			second := w.put(w.process(), "a", "two", nil)
			text, err := os.ReadFile(w.file("a"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.file("a"), []byte(tc.change(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			current := w.sealed("a")
			if !tc.lost {
				w.replaces("a", old)
				w.wantRollback("a", second.Revision, first.Revision)
				w.replaces("a", current)
			}
			w.wantValue(w.process(), "a", "two")
			if reported := len(w.warns) > 0; reported != tc.report {
				t.Errorf("the reports are %q", w.warns)
			}
			// After any damage, a new state is recorded.
			third := w.put(w.process(), "a", "three", nil)
			w.replaces("a", current)
			w.wantRollback("a", third.Revision, second.Revision)
			w.warns = nil
			w.process().Stat(t.Context(), "a")
			if len(w.warns) > 0 {
				t.Errorf("reported again: %q", w.warns)
			}
			if fi, err := os.Stat(w.file("a")); err != nil || fi.Size() > 4096 {
				t.Errorf("the file has %d bytes", fi.Size())
			}
		})
	}
}

// TestBounded: neither many changes nor many names make a file grow without limit. The newest states
// stay, and deleted objects are forgotten first.
func TestBounded(t *testing.T) {
	w := newWorld(t)
	l := w.log()
	state := func(n int64) vault.SeenState {
		return vault.SeenState{Revision: n, Tag: strings.Repeat("a", 64), Time: time.Unix(n, 0)}
	}
	largest := func() (most int64) {
		list, err := os.ReadDir(l.Dir())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if fi, err := d.Info(); err == nil {
				most = max(most, fi.Size())
			}
		}
		return most
	}
	same := envelope.Ref{Tenant: "t", Collection: "c", Name: "same"}
	last := vault.SeenState{}
	for n := int64(1); n <= 500; n++ {
		if !l.Record(t.Context(), same, last, state(n)) {
			t.Fatalf("record %d failed", n)
		}
		last = state(n)
	}
	if got := l.Last(t.Context(), same); !got.Same(last) || largest() > 8<<10 {
		t.Errorf("after 500 changes: %+v in %d bytes", got, largest())
	}
	var refs []envelope.Ref // of one file
	for i := 0; len(refs) < 700; i++ {
		ref := envelope.Ref{Tenant: "t", Collection: "c", Name: fmt.Sprint(i)}
		if ref.Context()[0] == 7 {
			refs = append(refs, ref)
		}
	}
	for i, ref := range refs {
		s := state(int64(1000 + i))
		s.Deleted = i%7 == 0
		l.Record(t.Context(), ref, vault.SeenState{}, s)
	}
	if most := largest(); most > 128<<10 {
		t.Errorf("700 names take %d bytes in one file", most)
	}
	for i, ref := range refs[500:] {
		if i += 500; i%7 != 0 && l.Last(t.Context(), ref).Revision != int64(1000+i) {
			t.Fatalf("the new name %d of %d was forgotten", i, len(refs))
		}
	}
	if l.Last(t.Context(), refs[1]).Revision != 0 {
		t.Error("the oldest name was not forgotten")
	}
	if len(w.warns) > 0 {
		t.Errorf("reported: %q", w.warns)
	}
}

// TestKilled: a temporary file of a killed process is no obstacle.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.put(w.process(), "a", "one", nil)
	if err := os.WriteFile(w.file("a")+".tmp", bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		w.put(w.process(), "a", fmt.Sprint(i), nil)
	}
	if _, err := os.Stat(w.file("a") + ".tmp"); err == nil {
		t.Error("the temporary file is still there")
	}
	if fi, err := os.Stat(w.file("a")); err != nil || fi.Size() > 8<<10 || len(w.warns) > 0 {
		t.Errorf("%v, %v, %q", fi, err, w.warns)
	}
}

// TestExport: another machine that imports what was seen here detects older objects. The newer state
// wins, whatever the order.
func TestExport(t *testing.T) {
	w := newWorld(t)
	there := t.TempDir()
	onOther := func() *seen.Log {
		l, err := seen.Open(seen.Config{Dir: there, Store: "0123456789abcdef", Warn: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := w.put(w.process(), "a", "one", nil)
	old := w.sealed("a")
	var early, late bytes.Buffer
	export := func(to *bytes.Buffer, want int) {
		t.Helper()
		if n, err := w.log().Export(t.Context(), to); err != nil || n != want {
			t.Fatalf("exported %d, %v", n, err)
		}
	}
	export(&early, 1)
	second := w.put(w.process(), "a", "two", nil)
	w.put(w.process(), "b", "one", nil)
	if err := w.process().Delete(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	export(&late, 2)
	for _, tc := range []struct {
		text string
		want int
	}{{late.String(), 2}, {early.String(), 0}, {late.String(), 0}, {"", 0}} {
		if n, err := onOther().Import(t.Context(), strings.NewReader(tc.text)); err != nil || n != tc.want {
			t.Fatalf("imported %d, want %d, %v", n, tc.want, err)
		}
	}
	w.replaces("a", old)
	_, err := w.vault(&vault.Options{Seen: onOther()}).Stat(t.Context(), "a")
	var detected *vault.SeenError
	if !errors.Is(err, vault.ErrRollback) || !errors.As(err, &detected) || detected.Last.Revision != second.Revision || detected.Returned.Revision != first.Revision {
		t.Errorf("on the other machine: %v", err)
	}
	if _, err := w.vault(&vault.Options{Seen: onOther()}).Stat(t.Context(), "b"); !errors.Is(err, vault.ErrNotFound) || isSeen(err) {
		t.Errorf("deleted on the first machine: %v", err)
	}
	// A deletion is newer than the object that it removed, but not than a later one.
	if a, b := (vault.SeenState{Revision: 2, Deleted: true}), (vault.SeenState{Revision: 2, Rewrap: 1}); a.Compare(b) >= 0 || b.Compare(a) <= 0 {
		t.Error("a deletion is newer than a later rewrap")
	}
	before := w.files()
	for _, text := range []string{
		"x\n", late.String() + "{}\n", late.String()[:late.Len()-20],
		strings.Replace(late.String(), "0123456789abcdef", "fedcba9876543210", 1),
		strings.Replace(late.String(), `"revision":1`, `"revision":1000000000`, 1),
		strings.Replace(late.String(), `"object":"`, `"object":"../`, 1),
		strings.Repeat(" ", 1<<17),
	} {
		if n, err := w.log().Import(t.Context(), strings.NewReader(text)); !errors.Is(err, seen.ErrImport) || n != 0 {
			t.Errorf("importing %.40q: %d, %v", text, n, err)
		}
	}
	if w.files() != before {
		t.Error("a refused import changed the files")
	}
}

// TestWriting: while this Vault writes a name, and another write has already ended, a read of the name is
// no rollback.
func TestWriting(t *testing.T) {
	w := newWorld(t)
	w.store.Put = nil // so that a hook can hold back the response
	v := w.process()
	var n atomic.Int32
	waiting, next, applied, release := make(chan bool), make(chan bool), make(chan bool), make(chan bool)
	w.hook = func(c intercept.Call, do func() error) error {
		if c.Op != "put" || n.Add(1) > 1 {
			return do()
		}
		close(waiting)
		<-next
		err := do()
		close(applied)
		<-release
		return err
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		if _, err := v.Put(context.Background(), "a", strings.NewReader("applied last"), nil); err != nil {
			t.Error(err)
		}
	}()
	<-waiting
	w.put(v, "a", "later revision", nil)
	close(next)
	<-applied
	w.wantValue(v, "a", "applied last")
	close(release)
	<-done
	w.wantValue(v, "a", "applied last")
	w.wantValue(w.process(), "a", "applied last")
}

// TestRecordedMeanwhile: a write of another process that is applied after a later revision, and ends
// during a read, does not make that read a rollback.
func TestRecordedMeanwhile(t *testing.T) {
	for op, read := range reads {
		w := newWorld(t)
		var n atomic.Int32
		waiting, next, done := make(chan bool), make(chan bool), make(chan bool)
		w.hook = func(c intercept.Call, do func() error) error {
			switch {
			case c.Op == "put" && n.Add(1) == 1:
				close(waiting)
				<-next
			case c.Op == "get":
				close(next)
				<-done
			}
			return do()
		}
		go func() {
			defer close(done)
			if _, err := w.process().Put(context.Background(), "a", strings.NewReader("applied last"), nil); err != nil {
				t.Error(err)
			}
		}()
		<-waiting
		w.put(w.process(), "a", "later revision", nil)
		if err := read(t.Context(), w.process(), "a"); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		<-done
		w.hook = nil
		w.wantValue(w.process(), "a", "applied last")
	}
}
