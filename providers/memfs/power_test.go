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

// A node is a file or a directory of a platter: as programs see it, and as it would
// be found after a power cut.
type node struct {
	dir     bool
	data    []byte
	mtime   time.Time
	entries map[string]*node

	synced      bool // a file that never was has nothing on the disk, not even itself
	safeData    []byte
	safeMtime   time.Time
	safeEntries map[string]*node
}

// A platter is a disk that knows what was synced and what was not: it follows the
// calls of a store, which a real disk answers. The power can be cut after each.
type platter struct {
	root  *node
	calls []string       // what changed something, and every sync
	op    string         // what its process does
	drop  string         // the sync that has no effect, as if the code had forgotten it
	after func(c string) // called after each
	dead  bool           // its process was killed: nothing has an effect any more
	killN int            // calls before it is
}

var errKilled = errors.New("killed")

func newPlatter() *platter {
	return &platter{root: &node{dir: true, entries: map[string]*node{}}, killN: -1}
}

func (p *platter) at(name string) *node {
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

func (p *platter) put(name string, n *node) { p.at(path.Dir(name)).entries[path.Base(name)] = n }

// say is a call in words, with no name that differs from run to run.
func (c *call) say() string {
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

// do makes a call on the real disk and then on the platter.
func (p *platter) do(c *call, real func() error) error {
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
		real = func() error { return nil } // the platter knows better
		if p.drop == p.op+": "+c.say() {
			p.calls = append(p.calls, "forgotten: "+c.say())
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
		c.file.node.data = append(c.file.node.data, c.data...)
	case "chtime":
		p.at(c.name).mtime = c.mtime
	case "fsync":
		n := c.file.node
		n.synced, n.safeData, n.safeMtime = true, bytes.Clone(n.data), n.mtime
	case "sync":
		n := c.dir.node // which may not have its name any more
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
	p.calls = append(p.calls, p.op+": "+c.say())
	if p.after != nil {
		p.after(c.say())
	}
	return nil
}

// An outage says what a power cut leaves of what was not synced.
type outage string

const (
	nothingLate outage = "only what was synced"
	namesLate   outage = "all names, and the files that were synced"
	zerosLate   outage = "all names, and zeros where data were not synced"
	everything  outage = "all: the process was killed, the power stayed"
)

// leave makes in dir what is found after an outage.
func (n *node) leave(t *testing.T, dir string, o outage) {
	entries := n.entries
	if o == nothingLate {
		entries = n.safeEntries
	}
	for name, e := range entries {
		at := filepath.Join(dir, name)
		if e.dir {
			if err := os.Mkdir(at, 0o700); err != nil {
				t.Fatal(err)
			}
			e.leave(t, at, o)
			continue
		}
		data, mtime := e.safeData, e.safeMtime
		switch {
		case o == everything:
			data, mtime = e.data, e.mtime
		case !e.synced && o == zerosLate:
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

// An account is what a store has promised about one key.
type account struct {
	value   string   // acknowledged, empty if there is to be nothing
	id      string   // of value
	past    []string // acknowledged before, and so in history
	pending []string // being written, or half written: may be there instead of value
	leaving bool     // being deleted: value may be gone
	deleted bool     // a deletion was acknowledged: there is a marker
}

// audit opens what an outage has left, and says what is missing of what was promised.
func (a *account) audit(t *testing.T, p *platter, o outage) error {
	dir := quickDir(t)
	defer os.RemoveAll(dir)
	p.root.leave(t, dir, o)
	ctx := context.Background()
	s, err := openTapped(t, Config{Dir: dir}, hasty)
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
		return fmt.Errorf("found %q, and %q was promised, with %q to come", found, a.value, a.pending)
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
			return fmt.Errorf("found %q as %s, and it was acknowledged as %s", found, attrs.ETag, a.id)
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
			return fmt.Errorf("%q is not in history, which has %v", value, all)
		}
	}
	if a.deleted && !marked {
		return errors.New("there is no marker of the deletion")
	}
	for l, err := s.Bucket.List(nil).Next(ctx); err != io.EOF; err = io.EOF {
		if err != nil {
			return err
		}
		if l.Key != subject {
			return fmt.Errorf("a stranger was found: %s", l.Key)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, meta, "tmp")); err != nil || len(left) > 0 {
		return fmt.Errorf("left in tmp: %v, %v", left, err)
	}
	// And it can be written to.
	return write(s, "bots/t/later.enc", "later")
}

func write(s *vault.Store, key, value string) error {
	return s.Bucket.WriteAll(context.Background(), key, []byte(value), withItself(value))
}

// hasty makes calls, but for syncs, which take their time.
func hasty(c *call, real func() error) error {
	if c.op == "sync" || c.op == "fsync" {
		return nil
	}
	return real()
}

// A deed is an operation of a store, and keeps the account.
type deed struct {
	name string
	do   func(s *vault.Store, a *account) error
}

func putDeed(value string) deed {
	return deed{"put " + value, func(s *vault.Store, a *account) error {
		a.pending = append(a.pending, value)
		if err := write(s, subject, value); err != nil {
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

var removeDeed = deed{"remove", func(s *vault.Store, a *account) error {
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

// A drama is what happens to one platter: one process does its deeds, killed or not
// in their midst, and then another one does its own.
type drama struct {
	first  []deed
	second deed
}

var dramas = []drama{
	{nil, putDeed("one")},
	{[]deed{putDeed("one")}, putDeed("two")},
	{[]deed{putDeed("one")}, removeDeed},
	{[]deed{putDeed(plain)}, putDeed("two")},
	{[]deed{putDeed(plain)}, removeDeed},
	{[]deed{putDeed("one"), removeDeed}, putDeed("two")},
	{[]deed{putDeed("one"), putDeed("two")}, removeDeed},
	// The first process removes directories whose names it has made durable, and makes them again.
	{[]deed{putDeed("one"), removeDeed, putDeed("one")}, putDeed("two")},
}

// cuts say when the power is cut.
type cuts int

const (
	never     cuts = iota
	atTheEnd       // when the second process is done, and where the first was killed
	afterEach      // also after every call of the second process
)

// play plays d. The first process is killed after killed calls, never if that is
// negative; drop is a sync that both forget. play returns the calls of the second
// process, whether the kill took place, and the first broken promise that the cuts find.
func (d drama) play(t *testing.T, killed int, drop string, cuts cuts) (calls []string, died bool, broken error) {
	p, a := newPlatter(), &account{}
	p.drop = drop
	dir := quickDir(t)
	defer os.RemoveAll(dir)
	var clock int64
	config := Config{Dir: dir, Now: func() time.Time { clock++; return time.Unix(1700000000, clock*1000) }}

	check := func(o outage, when string) {
		if cuts == never || broken != nil {
			return
		}
		if err := a.audit(t, p, o); err != nil {
			broken = fmt.Errorf("%s, %s: %w", when, o, err)
		}
	}
	process := func(deeds []deed) error {
		p.op = "open"
		s, err := openTapped(t, config, p.do)
		if err != nil {
			return err
		}
		defer s.Close()
		for _, d := range deeds {
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
	if err != nil && !died { // the other way round it died while it cleaned up
		t.Fatalf("the first process: %v", err)
	}
	first := len(p.calls)
	if died {
		check(everything, "first process killed")
		check(nothingLate, "first process killed, then the power")
	}
	p.dead, p.killN = false, -1
	if cuts == afterEach {
		p.after = func(c string) {
			for _, o := range []outage{nothingLate, namesLate, zerosLate, everything} {
				check(o, fmt.Sprintf("after call %d, %s", len(p.calls), c))
			}
		}
	}
	if err := process([]deed{d.second}); err != nil {
		t.Fatalf("the second process: %v", err)
	}
	for _, o := range []outage{nothingLate, namesLate, zerosLate} {
		check(o, "at the end")
	}
	return p.calls[first:], died, broken
}

// TestPowerCut cuts the power after every call of a put and of a delete, also where
// another process was killed before, after any of its calls: what was acknowledged
// is there, and nothing is there in part.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("one write after the other")
	}
	t.Parallel()
	for _, d := range dramas {
		for killed := -1; ; killed++ {
			cuts := atTheEnd
			if killed < 0 || killed%3 == 0 { // all of them would take 20 s
				cuts = afterEach
			}
			_, died, broken := d.play(t, killed, "", cuts)
			if broken != nil {
				t.Fatalf("%s, first process killed after %d calls: %v", d.second.name, killed, broken)
			}
			if killed >= 0 && !died {
				break
			}
		}
	}
}

// TestEverySyncCounts leaves out the syncs of an open, a put and a delete one by one.
// Each time some promise must break when the power is cut, if only after a certain
// kill: else this test could not tell when that sync goes missing.
func TestEverySyncCounts(t *testing.T) {
	t.Parallel()
	needed := map[string]bool{} // by sync: a promise broke without it
	for _, d := range dramas {
		for killed := -1; ; killed++ {
			calls, died, _ := d.play(t, killed, "", never)
			for _, c := range calls {
				if strings.Contains(c, "sync ") && !needed[c] {
					_, _, broken := d.play(t, killed, c, atTheEnd)
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
		t.Errorf("syncs, and whether a promise breaks without them (-want +got):\n%s", diff)
	}
}

var versionName = regexp.MustCompile("[0-9a-f]{16}")

// TestCalls holds the order of the calls of one create, one overwrite and one delete.
func TestCalls(t *testing.T) {
	t.Parallel()
	p := newPlatter()
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
			"chtime TMP", "fsync TMP", // the clock stands still, and so the id has to be raised
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

// TestDirectoriesMadeAgain lets another process remove the directories that a store has
// made durable, make them again and be killed before it syncs them. The store's next
// write is durable all the same.
func TestDirectoriesMadeAgain(t *testing.T) {
	t.Parallel()
	p, a := newPlatter(), &account{}
	var clock int64
	config := Config{Dir: quickDir(t), Now: func() time.Time { clock++; return time.Unix(1700000000, clock*1000) }}
	p.op = "open"
	s, err := openTapped(t, config, p.do)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := putDeed("one").do(s, a); err != nil {
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
	if err := removeDeed.do(other, a); err != nil {
		t.Fatal(err)
	}
	if err := put(other, "bots/t/other.enc", "x"); !errors.Is(err, errKilled) || p.at("bots/t") == nil {
		t.Fatalf("the other process was not killed where it should: %v", err)
	}
	if err := putDeed("two").do(s, a); err != nil {
		t.Fatal(err)
	}
	for _, o := range []outage{nothingLate, namesLate, everything} {
		if err := a.audit(t, p, o); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
}

// TestPowerCutInPlan takes the plan of a write up to each of its steps, and then cuts the
// power. It also leaves out each sync of the plan: then a promise must break.
func TestPowerCutInPlan(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		before []deed
		value  string // put then; empty means that the object is removed
		steps  []action
	}{
		{"create", nil, plain,
			[]action{doMakeDirs, doCreate, doSyncUp}},
		{"create with attributes", nil, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doSyncUp, doCreate, doSyncUp}},
		{"overwrite", []deed{putDeed(plain)}, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doKeep, doSyncUp, doReplace, doSyncUp}},
		{"second overwrite", []deed{putDeed("one"), putDeed("two")}, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doKeep, doSyncUp, doReplace, doSyncUp}},
		{"create again", []deed{putDeed("one"), removeDeed}, "new",
			[]action{doMakeDirs, doMakeDirs, doWrite, doSyncUp, doCreate, doSyncUp}},
		{"remove", []deed{putDeed("one")}, "",
			[]action{doMakeDirs, doKeep, doWrite, doSyncUp, doErase, doSync, doCleanUp}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var id string // of the new object
			// run makes the plan and takes those of its steps that some returns.
			run := func(some func(plan []step) []step) (p *platter, a *account, plan []step) {
				p, a = newPlatter(), &account{}
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
				if err := shelf.carryOut(some(plan)); err != nil {
					t.Fatal(err)
				}
				return p, a, plan
			}
			// done acknowledges the write.
			done := func(a *account) {
				if a.value != "" {
					a.past = append(a.past, a.value)
				}
				a.value, a.deleted = tc.value, tc.value == ""
				a.pending, a.leaving, a.id = nil, false, id
			}
			audit := func(p *platter, a *account) error {
				for _, o := range []outage{nothingLate, namesLate, zerosLate, everything} {
					if err := a.audit(t, p, o); err != nil {
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
				if err := audit(p, a); err != nil {
					t.Errorf("after %d of %d steps, %v", n, len(plan), err)
				}
			}
			for n, st := range plan {
				if st.do != doSyncUp && st.do != doSync {
					continue
				}
				p, a, _ := run(func(plan []step) []step { return slices.Delete(plan, n, n+1) })
				done(a)
				if audit(p, a) == nil {
					t.Errorf("no promise breaks without step %d, %s", n+1, st.do)
				}
			}
		})
	}
}
