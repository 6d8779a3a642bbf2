package memfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob/driver"

	"github.com/objectvault/objectvault/vault"
)

// A node is a file or a directory of a simulatedDisk. It contains the state that programs see, and the
// state after a power failure.
type node struct {
	dir     bool
	data    []byte
	mtime   time.Time
	entries map[string]*node

	synced      bool // a file that was never synced does not exist after a power failure
	safeData    []byte
	safeMtime   time.Time
	safeEntries map[string]*node
}

// A simulatedDisk records which data was synced. It forwards the calls of a store to a real disk. The
// test can simulate a power failure after each call.
type simulatedDisk struct {
	root  *node
	calls []string       // all calls that change the disk, and all syncs
	op    string         // the current operation of the process
	drop  string         // a sync without effect, as if the code did not call it
	after func(c string) // called after each call
	dead  bool           // the process was killed, so calls have no effect
	killN int            // number of calls before the process is killed; never if negative
}

var errKilled = errors.New("killed")

func newSimulatedDisk() *simulatedDisk {
	return &simulatedDisk{root: &node{dir: true, entries: map[string]*node{}}, killN: -1}
}

func (p *simulatedDisk) at(name string) *node {
	n := p.root
	if name == "." {
		return n
	}
	for part := range strings.SplitSeq(name, "/") {
		if n = n.entries[part]; n == nil {
			return nil
		}
	}
	return n
}

func (p *simulatedDisk) put(name string, n *node) { p.at(path.Dir(name)).entries[path.Base(name)] = n }

// describe describes a call without the names that differ from run to run.
func (c *call) describe() string {
	anon := func(name string) string {
		if path.Dir(name) == tmpDir {
			return "TMP"
		}
		return strings.Replace(name, meta, "M", 1)
	}
	s := c.op + " " + versionName.ReplaceAllString(anon(c.name), "ID")
	if c.op == "open" {
		s = "create " + versionName.ReplaceAllString(anon(c.name), "ID")
	}
	if c.to != "" {
		s += " " + versionName.ReplaceAllString(anon(c.to), "ID")
	}
	return s
}

// do makes a call on the real disk and then on the simulated disk.
func (p *simulatedDisk) do(c *call, real func() error) error {
	changes := slices.Contains([]string{"write", "fsync", "mkdir", "link", "rename", "remove", "chtime", "sync"}, c.op) ||
		c.op == "open" && c.flag&os.O_CREATE != 0 && p.at(c.name) == nil
	if p.dead {
		return errKilled
	}
	if !changes {
		err := real()
		if err == nil {
			switch c.op {
			case "open":
				c.file.node = p.at(c.name)
			case "opendir":
				c.dir.node = p.at(c.name)
			}
		}
		return err
	}
	if p.killN == len(p.calls) {
		p.dead = true
		return errKilled
	}
	if c.op == "sync" || c.op == "fsync" {
		real = func() error { return nil } // only the simulated disk records syncs
		if p.drop == p.op+": "+c.describe() {
			p.calls = append(p.calls, "dropped: "+c.describe())
			return nil
		}
	}
	if err := real(); err != nil {
		return err
	}
	switch c.op {
	case "open":
		c.file.node = &node{mtime: time.Now()}
		p.put(c.name, c.file.node)
	case "write":
		n := c.file.node
		if c.at == nil {
			n.data = append(n.data, c.data...)
			break
		}
		n.data = append(n.data, make([]byte, max(*c.at+int64(len(c.data))-int64(len(n.data)), 0))...)
		copy(n.data[*c.at:], c.data)
	case "chtime":
		p.at(c.name).mtime = c.mtime
	case "fsync":
		n := c.file.node
		n.synced, n.safeData, n.safeMtime = true, bytes.Clone(n.data), n.mtime
	case "sync":
		n := c.dir.node // the directory may no longer have its name
		n.safeEntries = maps.Clone(n.entries)
	case "mkdir":
		p.put(c.name, &node{dir: true, entries: map[string]*node{}})
	case "link":
		p.put(c.to, p.at(c.name))
	case "rename":
		p.put(c.to, p.at(c.name))
		delete(p.at(path.Dir(c.name)).entries, path.Base(c.name))
	case "remove":
		delete(p.at(path.Dir(c.name)).entries, path.Base(c.name))
	}
	p.calls = append(p.calls, p.op+": "+c.describe())
	if p.after != nil {
		p.after(c.describe())
	}
	return nil
}

// A failure is a kind of failure: it determines which data is lost.
type failure string

const (
	loseUnsynced failure = "power failure: only synced data remains"
	keepNames    failure = "power failure: all names and the synced files remain"
	zeroData     failure = "power failure: all names remain, unsynced data is zero"
	processKill  failure = "process killed: all data remains"
)

// writeTo writes the files that remain after a failure to dir.
func (n *node) writeTo(t *testing.T, dir string, o failure) {
	entries := n.entries
	if o == loseUnsynced {
		entries = n.safeEntries
	}
	for name, e := range entries {
		at := filepath.Join(dir, name)
		if e.dir {
			if err := os.Mkdir(at, 0o700); err != nil {
				t.Fatal(err)
			}
			e.writeTo(t, at, o)
			continue
		}
		data, mtime := e.safeData, e.safeMtime
		switch {
		case o == processKill:
			data, mtime = e.data, e.mtime
		case !e.synced && o == zeroData:
			data, mtime = make([]byte, len(e.data)), time.Now()
		case !e.synced:
			continue
		}
		if err := os.WriteFile(at, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(at, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
}

const subject = "bots/t/openai.enc"

// A promise is the state of one key that a store has acknowledged.
type promise struct {
	value   string   // the acknowledged value; empty if the object must not exist
	id      string   // the ID of value
	past    []string // values that were acknowledged before, so they must be in the history
	pending []string // values of writes in progress, which may exist instead of value
	leaving bool     // a delete is in progress, so the object may not exist
	deleted bool     // a delete was acknowledged, so there must be a delete marker
}

// check opens the store after a failure, and returns an error if it breaks the promise.
func (a *promise) check(t *testing.T, p *simulatedDisk, o failure) error {
	dir := quickDir(t)
	defer os.RemoveAll(dir)
	p.root.writeTo(t, dir, o)
	ctx := context.Background()
	s, err := openTapped(t, Config{Dir: dir}, withoutSyncs)
	if err != nil {
		return err
	}
	defer s.Close()

	got, err := s.Bucket.ReadAll(ctx, subject)
	found := string(got)
	if err != nil && !errors.Is(err, vault.ErrNotFound) {
		return err
	}
	if found != a.value && !slices.Contains(a.pending, found) && !(found == "" && a.leaving) {
		return fmt.Errorf("found %q, want %q, or one of the pending %q", found, a.value, a.pending)
	}
	if found != "" {
		attrs, err := s.Bucket.Attributes(ctx, subject)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(withItself(found).Metadata, attrs.Metadata); diff != "" {
			return fmt.Errorf("found %q with other attributes (-want +got):\n%s", found, diff)
		}
		if found == a.value && attrs.ETag != `"`+a.id+`"` {
			return fmt.Errorf("found %q with the ID %s, but it was acknowledged with the ID %s", found, attrs.ETag, a.id)
		}
	}
	all := map[string]bool{}
	marked := false
	for v, err := range s.History.Versions(ctx, subject) {
		if err != nil {
			return err
		}
		if v.Deleted {
			marked = true
			continue
		}
		r, _, err := s.History.OpenVersion(ctx, subject, v.ID, 0, -1)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return err
		}
		all[string(b)] = true
	}
	for _, value := range append(a.past, a.value) {
		if value != "" && !all[value] {
			return fmt.Errorf("%q is not in the history, which contains %v", value, all)
		}
	}
	if a.deleted && !marked {
		return errors.New("the delete marker is missing")
	}
	for l, err := s.Bucket.List(nil).Next(ctx); err != io.EOF; err = io.EOF {
		if err != nil {
			return err
		}
		if l.Key != subject {
			return fmt.Errorf("found an unknown object: %s", l.Key)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, meta, "tmp")); err != nil || len(left) > 0 {
		return fmt.Errorf("files remain in tmp: %v, %v", left, err)
	}
	// The store must still accept writes.
	return write(s, "bots/t/later.enc", "later")
}

func write(s *vault.Store, key, value string) error {
	return s.Bucket.WriteAll(context.Background(), key, []byte(value), withItself(value))
}

// withoutSyncs makes all calls except syncs, which are slow.
func withoutSyncs(c *call, real func() error) error {
	if c.op == "sync" || c.op == "fsync" {
		return nil
	}
	return real()
}

// A testOperation runs an operation of a store and updates the promise.
type testOperation struct {
	name string
	do   func(s *vault.Store, a *promise) error
}

func putOperation(value string) testOperation {
	return testOperation{"put " + value, func(s *vault.Store, a *promise) error {
		a.pending = append(a.pending, value)
		if value == writtenInParts {
			if _, err := s.Put.Put(context.Background(), subject, inParts([]byte(value))); err != nil {
				return err
			}
		} else if err := write(s, subject, value); err != nil {
			return err
		}
		attrs, err := s.Bucket.Attributes(context.Background(), subject)
		if err != nil {
			return err
		}
		if a.value != "" {
			a.past = append(a.past, a.value)
		}
		a.value, a.pending, a.leaving, a.deleted, a.id = value, nil, false, false, strings.Trim(attrs.ETag, `"`)
		return nil
	}}
}

var removeOperation = testOperation{"remove", func(s *vault.Store, a *promise) error {
	a.leaving = true
	err := s.Bucket.Delete(context.Background(), subject)
	if errors.Is(err, vault.ErrNotFound) {
		err = nil
	} else if err == nil {
		a.deleted = true
		if a.value != "" {
			a.past = append(a.past, a.value)
		}
	}
	if err == nil {
		a.value, a.pending, a.leaving = "", nil, false
	}
	return err
}}

// A scenario runs two processes on one disk. The first process runs its operations, and may be killed in
// between. Then the second process runs its operation.
type scenario struct {
	first  []testOperation
	second testOperation
}

var scenarios = []scenario{
	{nil, putOperation("one")},
	{[]testOperation{putOperation("one")}, putOperation("two")},
	{[]testOperation{putOperation("one")}, putOperation(writtenInParts)}, // the other scenarios publish in the same way
	{[]testOperation{putOperation("one")}, removeOperation},
	{[]testOperation{putOperation(plain)}, putOperation("two")},
	{[]testOperation{putOperation(plain)}, removeOperation},
	{[]testOperation{putOperation("one"), removeOperation}, putOperation("two")},
	{[]testOperation{putOperation("one"), putOperation("two")}, removeOperation},
	// The first process removes directories whose names it has made durable, and makes them again.
	{[]testOperation{putOperation("one"), removeOperation, putOperation("one")}, putOperation("two")},
}

// A checkTime determines when the scenario simulates failures.
type checkTime int

const (
	never     checkTime = iota
	atTheEnd            // after the second process, and after the first was killed
	afterEach           // also after every call of the second process
)

// run runs the scenario. The first process is killed after killed calls, or never if killed is negative.
// drop is a sync without effect. run returns the calls of the second process, whether the first process
// was killed, and the first broken promise.
func (d scenario) run(t *testing.T, killed int, drop string, when checkTime) (calls []string, died bool, broken error) {
	p, a := newSimulatedDisk(), &promise{}
	p.drop = drop
	dir := quickDir(t)
	defer os.RemoveAll(dir)
	var clock int64
	config := Config{Dir: dir, Now: func() time.Time { clock++; return time.Unix(1700000000, clock*1000) }}

	check := func(f failure, at string) {
		if when == never || broken != nil {
			return
		}
		if err := a.check(t, p, f); err != nil {
			broken = fmt.Errorf("%s, %s: %w", at, f, err)
		}
	}
	process := func(operations []testOperation) error {
		p.op = "open"
		s, err := openTapped(t, config, p.do)
		if err != nil {
			return err
		}
		defer s.Close()
		for _, d := range operations {
			p.op = d.name
			if err := d.do(s, a); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
		}
		return nil
	}

	p.killN = killed
	err := process(d.first)
	died = p.dead
	if err != nil && !died { // without an error it was killed during its cleanup
		t.Fatalf("the first process: %v", err)
	}
	first := len(p.calls)
	if died {
		check(processKill, "first process killed")
		check(loseUnsynced, "first process killed, then power failure")
	}
	p.dead, p.killN = false, -1
	if when == afterEach {
		p.after = func(c string) {
			for _, o := range []failure{loseUnsynced, keepNames, zeroData, processKill} {
				check(o, fmt.Sprintf("after call %d, %s", len(p.calls), c))
			}
		}
	}
	if err := process([]testOperation{d.second}); err != nil {
		t.Fatalf("the second process: %v", err)
	}
	for _, o := range []failure{loseUnsynced, keepNames, zeroData} {
		check(o, "at the end")
	}
	return p.calls[first:], died, broken
}

// TestPowerFailure simulates a power failure after every call of a put and of a delete. Before that,
// another process may have been killed after any of its calls. Acknowledged values must exist, and
// every value must be complete.
func TestPowerFailure(t *testing.T) {
	if testing.Short() {
		t.Skip("-short skips sequential tests")
	}
	t.Parallel()
	for _, d := range scenarios {
		for killed := -1; ; killed++ {
			when := atTheEnd
			if killed < 0 || killed%3 == 0 { // checking all would take 20 s
				when = afterEach
			}
			_, died, broken := d.run(t, killed, "", when)
			if broken != nil {
				t.Fatalf("%s, first process killed after %d calls: %v", d.second.name, killed, broken)
			}
			if killed >= 0 && !died {
				break
			}
		}
	}
}

// TestEverySyncCounts omits each sync of an open, a put and a delete in turn. Each time a power failure
// must break a promise, possibly only after another process was killed. Otherwise the sync is not needed,
// or TestPowerFailure could not detect that it is missing.
func TestEverySyncCounts(t *testing.T) {
	t.Parallel()
	needed := map[string]bool{} // by sync: whether a promise broke without it
	for _, d := range scenarios {
		for killed := -1; ; killed++ {
			calls, died, _ := d.run(t, killed, "", never)
			for _, c := range calls {
				if strings.Contains(c, "sync ") && !needed[c] && d.second.name != "put "+writtenInParts {
					_, _, broken := d.run(t, killed, c, atTheEnd)
					needed[c] = broken != nil
				}
			}
			if killed >= 0 && !died {
				break
			}
		}
	}
	want := map[string]bool{}
	for op, syncs := range map[string][]string{
		"open":    {"fsync TMP"},
		"put one": {"fsync TMP", "sync M", "sync bots/t", "sync bots", "sync ."},
		"put two": {"fsync TMP", "sync M", "sync bots/t", "sync bots", "sync ."},
		"remove":  {"sync bots/t"},
	} {
		for _, c := range syncs {
			want[op+": "+c] = true
		}
	}
	const past = "M/versions/bots/t/openai.enc"
	for _, dir := range []string{past, "M/versions/bots/t", "M/versions/bots", "M/versions"} {
		for _, op := range []string{"put one", "put two", "remove"} {
			want[op+": sync "+dir] = true
		}
	}
	want["put one: fsync "+past+"/ID.attrs"] = true
	want["put two: fsync "+past+"/ID.attrs"] = true
	want["remove: fsync "+past+"/ID.deleted"] = true
	if diff := cmp.Diff(want, needed); diff != "" {
		t.Errorf("syncs without which a promise breaks (-want +got):\n%s", diff)
	}
}

var versionName = regexp.MustCompile("[0-9a-f]{16}")

// TestCalls checks the order of the calls of one create, two overwrites and one delete.
func TestCalls(t *testing.T) {
	t.Parallel()
	p := newSimulatedDisk()
	s, err := openTapped(t, Config{Dir: newDir(t), Now: func() time.Time { return time.Unix(1700000000, 0) }}, p.do)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	filled := func(value string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, value); return err }
	}
	var id string
	for _, tc := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"create", func() (err error) { id, err = s.Create.Create(ctx, subject, filled("one")); return err }, []string{
			"sync M", "sync .", // once
			"create TMP", "write TMP", "chtime TMP", "fsync TMP",
			"create M/lock/15",
			"mkdir bots", "mkdir bots/t", "link TMP bots/t/openai.enc",
			"sync bots/t", "sync bots", "sync .",
			"remove TMP",
		}},
		{"overwrite", func() (err error) { id, err = s.Swap.Swap(ctx, subject, id, filled("two")); return err }, []string{
			"create TMP", "write TMP", "chtime TMP", "fsync TMP",
			"chtime TMP", "fsync TMP", // the clock does not advance, so the ID is raised
			"mkdir M/versions/bots", "mkdir M/versions/bots/t", "mkdir M/versions/bots/t/openai.enc",
			"link bots/t/openai.enc M/versions/bots/t/openai.enc/ID",
			"sync M/versions/bots/t/openai.enc", "sync M/versions/bots/t", "sync M/versions/bots", "sync M/versions",
			"rename TMP bots/t/openai.enc",
			"sync bots/t",
		}},
		{"second overwrite", func() (err error) { id, err = s.Swap.Swap(ctx, subject, id, filled("three")); return err }, []string{
			"create TMP", "write TMP", "chtime TMP", "fsync TMP",
			"chtime TMP", "fsync TMP",
			"link bots/t/openai.enc M/versions/bots/t/openai.enc/ID",
			"sync M/versions/bots/t/openai.enc",
			"rename TMP bots/t/openai.enc",
			"sync bots/t",
		}},
		{"delete", func() error { return s.Bucket.Delete(ctx, subject) }, []string{
			"link bots/t/openai.enc M/versions/bots/t/openai.enc/ID",
			"create M/versions/bots/t/openai.enc/ID.deleted",
			"write M/versions/bots/t/openai.enc/ID.deleted",
			"fsync M/versions/bots/t/openai.enc/ID.deleted",
			"sync M/versions/bots/t/openai.enc",
			"remove bots/t/openai.enc",
			"sync bots/t",
			"remove bots/t", "remove bots",
		}},
	} {
		p.calls, p.op = nil, tc.name
		if err := tc.do(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		for i := range tc.want {
			tc.want[i] = tc.name + ": " + tc.want[i]
		}
		if diff := cmp.Diff(tc.want, p.calls); diff != "" {
			t.Errorf("calls of one %s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestDirectoriesMadeAgain: another process removes the directories that a store has made durable,
// creates them again, and is killed before it syncs them. The next write of the store must still be
// durable.
func TestDirectoriesMadeAgain(t *testing.T) {
	t.Parallel()
	p, a := newSimulatedDisk(), &promise{}
	var clock int64
	config := Config{Dir: quickDir(t), Now: func() time.Time { clock++; return time.Unix(1700000000, clock*1000) }}
	p.op = "open"
	s, err := openTapped(t, config, p.do)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := putOperation("one").do(s, a); err != nil {
		t.Fatal(err)
	}
	killed := false
	other, err := openTapped(t, config, func(c *call, real func() error) error {
		if killed = killed || c.op == "link" && c.to == "bots/t/other.enc"; killed {
			return errKilled
		}
		return p.do(c, real)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := removeOperation.do(other, a); err != nil {
		t.Fatal(err)
	}
	if err := put(other, "bots/t/other.enc", "x"); !errors.Is(err, errKilled) || p.at("bots/t") == nil {
		t.Fatalf("the other process was not killed at the right call: %v", err)
	}
	if err := putOperation("two").do(s, a); err != nil {
		t.Fatal(err)
	}
	for _, o := range []failure{loseUnsynced, keepNames, processKill} {
		if err := a.check(t, p, o); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
}

// TestPowerFailureInPlan executes the plan of a write up to each of its steps, and then simulates a power
// failure. It also omits each sync of the plan. Then a promise must break.
func TestPowerFailureInPlan(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		before []testOperation
		value  string // the value to put; empty means that the object is removed
		steps  []action
	}{
		{"create", nil, plain,
			[]action{doMakeDirs, doCreate, doSyncUp}},
		{"create with attributes", nil, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doSyncUp, doCreate, doSyncUp}},
		{"overwrite", []testOperation{putOperation(plain)}, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doKeep, doSyncUp, doReplace, doSyncUp}},
		{"second overwrite", []testOperation{putOperation("one"), putOperation("two")}, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doKeep, doSyncUp, doReplace, doSyncUp}},
		{"create again", []testOperation{putOperation("one"), removeOperation}, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doSyncUp, doCreate, doSyncUp}},
		{"remove", []testOperation{putOperation("one")}, "",
			[]action{doMakeDirs, doKeep, doWrite, doSyncUp, doErase, doSync, doCleanUp}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var id string // of the new object
			// run makes the plan and executes the steps that some returns.
			run := func(some func(plan []step) []step) (p *simulatedDisk, a *promise, plan []step) {
				p, a = newSimulatedDisk(), &promise{}
				p.op = "run"
				dir := quickDir(t)
				defer os.RemoveAll(dir)
				root, err := os.OpenRoot(dir)
				if err != nil {
					t.Fatal(err)
				}
				var clock int64
				config := Config{Dir: dir, Now: func() time.Time { clock++; return time.Unix(1700000000, clock*1000) }}
				shelf, err := newFiles(t.Context(), &tap{&rootDisk{root}, p.do}, config)
				if err != nil {
					t.Fatal(err)
				}
				defer shelf.close()
				s := newStore("file://"+dir, shelf, config)
				for _, d := range tc.before {
					if err := d.do(s, a); err != nil {
						t.Fatal(err)
					}
				}
				past, err := shelf.past(subject)
				if err != nil {
					t.Fatal(err)
				}
				if tc.value == "" {
					a.leaving = true
					plan = planRemove(past, past.last+1, 16)
				} else {
					a.pending = []string{tc.value}
					d, err := shelf.draft(t.Context(), subject)
					if err != nil {
						t.Fatal(err)
					}
					defer d.discard()
					draft := d.(*fileDraft)
					attrs, err := newAttrs("", &driver.WriterOptions{Metadata: withItself(tc.value).Metadata}).encode()
					if _, werr := io.WriteString(draft, tc.value); err != nil || werr != nil {
						t.Fatal(err, werr)
					}
					if err := draft.stamp(past.last + 1); err != nil {
						t.Fatal(err)
					}
					plan = planPut(past, draft.name, draft.id, attrs, 16)
					id = formatID(draft.id)
				}
				if err := shelf.execute(some(plan)); err != nil {
					t.Fatal(err)
				}
				return p, a, plan
			}
			// done records that the write was acknowledged.
			done := func(a *promise) {
				if a.value != "" {
					a.past = append(a.past, a.value)
				}
				a.value, a.deleted = tc.value, tc.value == ""
				a.pending, a.leaving, a.id = nil, false, id
			}
			checkAll := func(p *simulatedDisk, a *promise) error {
				for _, o := range []failure{loseUnsynced, keepNames, zeroData, processKill} {
					if err := a.check(t, p, o); err != nil {
						return fmt.Errorf("%s: %w", o, err)
					}
				}
				return nil
			}
			var actions []action
			_, _, plan := run(func(plan []step) []step { return plan })
			for _, s := range plan {
				actions = append(actions, s.do)
			}
			if diff := cmp.Diff(tc.steps, actions); diff != "" {
				t.Fatalf("steps (-want +got):\n%s", diff)
			}
			for n := range len(plan) + 1 {
				p, a, _ := run(func(plan []step) []step { return plan[:n] })
				if n == len(plan) {
					done(a)
				}
				if err := checkAll(p, a); err != nil {
					t.Errorf("after %d of %d steps, %v", n, len(plan), err)
				}
			}
			for n, st := range plan {
				if st.do != doSyncUp && st.do != doSync {
					continue
				}
				p, a, _ := run(func(plan []step) []step { return slices.Delete(plan, n, n+1) })
				done(a)
				if checkAll(p, a) == nil {
					t.Errorf("no promise breaks without step %d, %s", n+1, st.do)
				}
			}
		})
	}
}
