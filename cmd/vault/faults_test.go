package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// faultsVar names a file. TestFaultMatrix then runs all cells and writes the page docs/faults.md to the
// file. Without it, the test runs a fixed sample of the cells of some operations.
const faultsVar = "OBJECTVAULT_FAULTS"

// faultsOnlyVar is a regular expression that selects cells by their text.
const faultsOnlyVar = "OBJECTVAULT_FAULTS_ONLY"

// sample is the denominator of the sample: CI runs one of so many cells, unless the operation requests
// all.
const sample = 5

// A faultCell is one run of an operation, in which one request, or every request from that one on,
// meets a fault.
type faultCell struct {
	store string
	op    *faultOp
	plan  faultPlan
	of    int // requests of the operation without a fault
}

func (c faultCell) String() string {
	lasting := ""
	if c.plan.lasting {
		lasting = " and all later ones"
	}
	return fmt.Sprintf("%s, %s, request %d of %d%s: %s", c.store, c.op.name, c.plan.n, c.of, lasting, c.plan.kind)
}

// A cellEnd is how an operation ended.
type cellEnd int

const (
	ended    cellEnd = iota // with the same result as without a fault
	saved                   // the value is on this machine only
	reported                // it failed with an error
)

// A faultOp is an operation of the command.
type faultOp struct {
	name  string
	all   bool // CI runs all cells of the operation
	every int  // CI runs one cell of so many; 0: sample
	size  int  // of the value; 0: small
	old   bool // the name has a value before
	first int  // the size of that value; 0: small
	swaps bool // the store must support compare-and-swap
	reads bool // the command reads the value from standard input
	mints bool // the command runs a program that prints the value, unless its output cannot be saved
	setup func(h *faultHome)
	args  func(h *faultHome) []string
	check func(h *faultHome, r ran, k faultKind) cellEnd
}

const multipartSize = 10 << 20

var faultOps = []*faultOp{
	{name: "put small", all: true, old: true, reads: true, args: func(h *faultHome) []string { return []string{"put", "openai"} }, check: (*faultHome).checkPut},
	{name: "put multipart", all: true, old: true, size: multipartSize, reads: true, args: func(h *faultHome) []string { return []string{"put", "openai"} }, check: (*faultHome).checkPut},
	{name: "create", all: true, reads: true, args: func(h *faultHome) []string { return []string{"put", "openai", "--create"} }, check: (*faultHome).checkPut},
	{name: "compare-and-swap", old: true, swaps: true, setup: func(h *faultHome) {
		r := h.must(nil, "stat", "openai", "--json")
		var info struct {
			Revision json.Number `json:"revision"`
		}
		h.decode(r.out, &info)
		h.revision = info.Revision.String()
	}, reads: true, args: func(h *faultHome) []string { return []string{"put", "openai", "--if-revision", h.revision} }, check: (*faultHome).checkPut},
	{name: "get", all: true, old: true, args: func(h *faultHome) []string { return []string{"get", "openai"} }, check: func(h *faultHome, r ran, _ faultKind) cellEnd {
		return h.checkRead(r, string(h.old))
	}},
	{name: "range", old: true, args: func(h *faultHome) []string { return []string{"get", "openai", "--range", "4-9"} }, check: func(h *faultHome, r ran, _ faultKind) cellEnd {
		return h.checkRead(r, string(h.old[4:10]))
	}},
	{name: "list", old: true, setup: addOther, args: func(h *faultHome) []string { return []string{"ls"} }, check: func(h *faultHome, r ran, _ faultKind) cellEnd {
		names := strings.Fields(r.out)
		switch {
		case r.code == exitOK && !slices.Equal(names, []string{"openai", "other"}):
			h.errorf("exit code 0, and the list is %q", names)
		case slices.ContainsFunc(names, func(n string) bool { return n != "openai" && n != "other" }):
			h.errorf("the list has unknown names: %q", names)
		}
		return h.checkFailure(r)
	}},
	{name: "delete", all: true, old: true, args: func(h *faultHome) []string { return []string{"rm", "openai"} }, check: func(h *faultHome, r ran, k faultKind) cellEnd {
		return h.checkRemoved(r, k, "rm", "openai")
	}},
	{name: "teardown", old: true, setup: addOther, args: func(h *faultHome) []string { return []string{"teardown", "--yes"} }, check: func(h *faultHome, r ran, k faultKind) cellEnd {
		return h.checkRemoved(r, k, "teardown", "--yes")
	}},
	{name: "sync", all: true, old: true, setup: func(h *faultHome) {
		h.store.arm(faultPlan{1, resetBefore, true}, func() {})
		r := h.vault(h.secret, "put", "openai")
		h.store.disarm()
		if r.code != exitSpooled {
			h.fatalf("put without a store: %v", r)
		}
	}, args: func(h *faultHome) []string { return []string{"sync"} }, check: func(h *faultHome, r ran, k faultKind) cellEnd {
		if r.code == exitPartial {
			r.code = exitDenied // the value was refused
		}
		return h.checkPut(r, k)
	}},
	{name: "capture", old: true, mints: true, args: func(h *faultHome) []string { return []string{"capture", "openai", "--line", "2", "--", "mint-key"} }, check: func(h *faultHome, r ran, k faultKind) cellEnd {
		if k == spoolFull {
			return h.checkNotMinted(r)
		}
		h.checkShown(r)
		return h.checkPut(r, k)
	}},
	{name: "rotate", every: 13, old: true, mints: true, args: func(h *faultHome) []string { return rotateArgs(h) }, check: (*faultHome).checkRotate},
	{name: "rotate --revoke", every: 13, old: true, mints: true, args: func(h *faultHome) []string { return rotateArgs(h, "--revoke", revoker) }, check: (*faultHome).checkRotate},
	{name: "rewrap", every: 13, old: true, setup: addKey, args: rewrapArgs, check: (*faultHome).checkRewrap},
	{name: "rewrap large", every: 61, old: true, first: rewrapSize, setup: addKey, args: rewrapArgs, check: (*faultHome).checkRewrap},
}

// rewrapSize is the length of a value whose payload the store copies in a rewrap.
const rewrapSize = 16<<20 + 1

// nextKey returns the file of another key.
func (h *faultHome) nextKey() string { return filepath.Join(h.dir, "next.key") }

func addKey(h *faultHome) {
	if err := os.WriteFile(h.nextKey(), []byte(strings.Repeat("5a", 32)+"\n"), 0o600); err != nil {
		h.fatalf("%v", err)
	}
}

func rewrapArgs(h *faultHome) []string {
	args := []string{"keys", "rewrap", "--add", "local://" + h.nextKey()}
	if h.c.store == "tencent" {
		args = append(args, "--no-other-writers") // without versioning there is no compare-and-swap
	}
	return args
}

// revoker is the command of --revoke. It must exist, but does not run: see within.
const revoker = "true"

func rotateArgs(h *faultHome, flags ...string) []string {
	if h.c.store == "tencent" {
		flags = append(flags, "--no-other-writers")
	}
	return slices.Concat([]string{"rotate", "openai", "--line", "2"}, flags, []string{"--", "mint-key"})
}

func addOther(h *faultHome) { h.must([]byte("another value"), "put", "other") }

// TestFaultMatrix runs each operation once for each of its requests and each fault, on a real S3
// server, on costest and in a directory. It asserts what docs/durability.md promises. An acknowledged
// value is readable. Any other value is in the spool, or was reported as not saved. No write takes
// effect twice, no unfinished upload or file is left, and no output contains the secret.
func TestFaultMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	page := os.Getenv(faultsVar)
	log.SetOutput(io.Discard) // main does the same
	server := testcloud.RequireVersity(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.Root.AccessKeyID) // the SDKs read the environment
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.Root.SecretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("TENCENTCLOUD_SECRET_ID", cosKeys[0])
	t.Setenv("TENCENTCLOUD_SECRET_KEY", cosKeys[1])
	bucket := testcloud.NewBucket(t, server.URL, server.Root, true)

	const workers = 16
	m := &faultMatrix{t: t, counts: make(map[[3]string]*[4]int)}
	var stores [workers]map[string]faultStore
	for w := range workers {
		stores[w] = map[string]faultStore{
			"aws":                newAWSFaults(t, w, server, bucket),
			"tencent":            newCOSFaults(t, w, ""),
			"tencent, versioned": newCOSFaults(t, w, "Enabled"),
			"file":               newDirFaults(t),
			mirrorName:           newMirrorFaults(t, w),
		}
	}
	var cells []faultCell
	for _, name := range slices.Sorted(maps.Keys(stores[0])) {
		for _, op := range opsOf(name) {
			if op.swaps && name == "tencent" {
				continue // the operation needs versioning
			}
			requests := m.clean(stores[0][name], name, op, 1)
			t.Logf("%s, %s: %q", name, op.name, requests)
			for i := range requests {
				for _, kind := range stores[0][name].faults() {
					for _, lasting := range []bool{false, true} {
						if lasting && kind == refusedConnection {
							continue // such a fault always lasts
						}
						cells = append(cells, faultCell{name, op, faultPlan{i + 1, kind, lasting}, len(requests)})
					}
				}
			}
		}
	}
	if page == "" {
		n := 0
		seen := make(map[*faultOp]int)
		cells = slices.DeleteFunc(cells, func(c faultCell) bool {
			if c.op.all && !c.plan.lasting {
				return false
			}
			if c.op.every > 0 {
				seen[c.op]++
				return seen[c.op]%c.op.every != 0
			}
			n++
			return n%sample != 0
		})
	}
	if only := os.Getenv(faultsOnlyVar); only != "" {
		match := regexp.MustCompile(only)
		cells = slices.DeleteFunc(cells, func(c faultCell) bool { return !match.MatchString(c.String()) })
	}
	work := make(chan faultCell)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for c := range work {
				m.cell(stores[w][c.store], c, 0)
			}
		})
	}
	for _, c := range cells {
		work <- c
	}
	close(work)
	group.Wait()
	t.Logf("%d cells", len(cells))
	if page != "" && !t.Failed() {
		if err := os.WriteFile(page, m.page(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// opsOf returns the operations of a store.
func opsOf(store string) []*faultOp {
	if store == mirrorName {
		return mirrorOps
	}
	return faultOps
}

// A faultMatrix runs cells and counts how they end.
type faultMatrix struct {
	t       *testing.T
	tenants atomic.Int32

	mu     sync.Mutex
	counts map[[3]string]*[4]int // by store, operation and fault: the number of cells, and of each end
}

// clean runs an operation without a fault, and returns its requests. It tries again if the mirror was so slow
// that a put did not wait for it.
func (m *faultMatrix) clean(s faultStore, name string, op *faultOp, tries int) []string {
	h := m.newHome(s, faultCell{store: name, op: op})
	defer h.remove()
	s.arm(faultPlan{}, nil)
	r := h.operate()
	requests := s.disarm()
	if r.code != exitOK {
		h.fatalf("without a fault: %v", r)
	}
	op.check(h, r, "")
	if len(requests) == 0 && name == mirrorName && tries < 6 {
		return m.clean(s, name, op, tries+1) // it did not wait for a slow mirror
	}
	if len(requests) == 0 {
		h.fatalf("it made no request")
	}
	return requests
}

// cell runs one cell. If the machine was so slow that an earlier request than the intended one failed,
// it tries again, with twice the time limit. It also tries again if a put did not wait for a slow mirror.
func (m *faultMatrix) cell(s faultStore, c faultCell, tries int) {
	start := time.Now()
	h := m.newHome(s, c)
	h.tries = tries
	defer h.remove()
	if c.plan.kind == spoolFull {
		h.fillSpool()
	}
	var hits atomic.Int32
	s.arm(c.plan, func() { hits.Add(1) })
	r := h.operate()
	h.requests = s.disarm()
	if hits.Load() == 0 && !(c.plan.kind == spoolFull && c.op.mints) {
		if c.store == mirrorName && c.plan.n > 1 && (c.plan.kind != noResponse || tries == 6) {
			return // a put does not wait for a slow mirror, and sends fewer requests if it cannot be saved
		}
		if (c.plan.kind == noResponse || c.store == mirrorName) && tries < 6 {
			m.cell(s, c, tries+1)
			return
		}
		h.errorf("no request met the fault: %v", r)
	}
	for _, text := range []string{r.err, r.out} {
		if strings.Contains(text, string(h.secret[:20])) {
			h.errorf("the output has the secret: %v", r)
		}
	}
	end := c.op.check(h, r, c.plan.kind)
	h.checkLeft(r, c)
	if d := time.Since(start); d > 5*time.Second {
		m.t.Logf("%v: it took %v: %v", c, d, r)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [3]string{c.store, c.op.name, string(c.plan.kind)}
	if m.counts[key] == nil {
		m.counts[key] = new([4]int)
	}
	m.counts[key][0]++
	m.counts[key][1+int(end)]++
}

// A faultHome is the machine of one cell: a home directory, a tenant, and the values.
type faultHome struct {
	m        *faultMatrix
	c        faultCell
	tries    int // earlier runs of the cell, which failed because the machine was slow
	store    faultStore
	tenant   string
	dir      string
	old      []byte // the value before; nil: none
	secret   []byte // the value that is put
	revision string
	minted   bool   // the program of capture or rotate ran
	revoked  []byte // what the command of --revoke read; nil: it did not run
	requests []string
}

func (m *faultMatrix) newHome(s faultStore, c faultCell) *faultHome {
	h := &faultHome{m: m, c: c, store: s, tenant: fmt.Sprintf("tenant-%d", m.tenants.Add(1))}
	var err error
	if h.dir, err = os.MkdirTemp(m.t.TempDir(), "home"); err != nil {
		h.fatalf("%v", err)
	}
	h.secret = []byte("sk-" + rand.Text() + rand.Text())
	if c.op.size > 0 {
		h.secret = long(c.op.size, h.secret)
	}
	h.must(nil, "init")
	if c.op.old {
		h.old = []byte("old-" + rand.Text())
		if c.op.first > 0 {
			h.old = long(c.op.first, h.old)
		}
		h.must(h.old, "put", "openai")
	}
	if c.op.setup != nil {
		c.op.setup(h)
	}
	return h
}

// long returns first and random bytes, together size bytes.
func long(size int, first []byte) []byte {
	b := make([]byte, size)
	var seed [32]byte
	rand.Read(seed[:])
	mathrand.NewChaCha8(seed).Read(b)
	copy(b, first)
	return b
}

// remove removes the machine, and large objects of its tenant: the matrix has thousands of cells.
func (h *faultHome) remove() {
	if h.c.op.first > 0 {
		r := h.vault(nil, "teardown", "--yes", "--purge")
		if r.code != exitOK { // there is no history
			r = h.vault(nil, "teardown", "--yes")
		}
		if r.code != exitOK {
			h.m.t.Logf("%v: the objects stay: %v", h.c, r)
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.errorf("%v", err)
	}
}

func (h *faultHome) errorf(format string, args ...any) {
	h.m.t.Errorf("%v: %s\nrequests: %q", h.c, fmt.Sprintf(format, args...), h.requests[:min(12, len(h.requests))])
}

func (h *faultHome) fatalf(format string, args ...any) {
	panic(fmt.Sprintf("%v: %s", h.c, fmt.Sprintf(format, args...)))
}

// A ran is a finished run of the command.
type ran struct {
	args     []string
	code     int
	out, err string
}

func (r ran) String() string {
	out := r.out
	if len(out) > 100 {
		out = out[:100] + "…"
	}
	return fmt.Sprintf("vault %s: exit code %d, stdout %q, stderr %q", strings.Join(r.args, " "), r.code, out, r.err)
}

// operate runs the operation of the cell.
func (h *faultHome) operate() ran {
	timeout, deadline := "", ""
	limit := func(first time.Duration) string { return (first << h.tries).String() }
	switch {
	case h.c.plan.kind == noResponse && h.c.store == "file" && h.c.op.first > 0:
		deadline = limit(5 * time.Second)
	case h.c.plan.kind == noResponse && h.c.store == "file":
		deadline = limit(2 * time.Second) // there is no connection whose silence could be limited
	case h.c.plan.kind == noResponse && (h.c.op.first > 0 || h.c.op.size > 0):
		timeout = limit(2 * time.Second) // enough to send a part
	case h.c.plan.kind == noResponse:
		timeout = limit(300 * time.Millisecond)
	}
	var in []byte
	if h.c.op.reads {
		in = h.secret
	}
	return h.within(timeout, deadline, in, h.c.op.args(h)...)
}

// vault runs the command with a deadline that suffices on a busy machine.
func (h *faultHome) vault(in []byte, args ...string) ran { return h.within("", "", in, args...) }

// within runs the command with a timeout and a deadline.
func (h *faultHome) within(timeout, deadline string, in []byte, args ...string) ran {
	env := map[string]string{
		"HOME": h.dir, "OBJECTVAULT_STORE": h.store.url(), "OBJECTVAULT_TENANT": h.tenant,
		"OBJECTVAULT_TIMEOUT": timeout, "OBJECTVAULT_DEADLINE": deadline, "OBJECTVAULT_SPOOL": filepath.Join(h.dir, "spool"),
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"} {
		env[name] = os.Getenv(name)
	}
	if m, ok := h.store.(*mirrorFaults); ok {
		maps.Copy(env, m.config(h))
	}
	var out, errs lockedBuffer
	code := run(context.Background(), append([]string{"vault"}, args...), &world{
		in: struct{ io.Reader }{bytes.NewReader(in)}, out: &out, err: &errs, goos: "linux", now: time.Now,
		getenv: func(name string) string { return env[name] }, environ: func() []string { return nil },
		readFile: os.ReadFile, open: openFile, create: createFile, writeNew: writeNew, canSync: canSync, fileSystem: fileSystem,
		quietly: func(error) bool { return false }, wrapStore: h.store.wrap,
		runChild: func(_ context.Context, c child) (code int, err error) {
			if c.argv[0] == revoker {
				h.revoked, err = io.ReadAll(c.in)
				return 0, err
			}
			h.minted = true
			_, err = fmt.Fprintf(c.out, "a new key:\n%s\n", h.secret)
			return 0, err
		},
	})
	return ran{args, code, out.String(), errs.String()}
}

// A lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// must runs the command without a fault.
func (h *faultHome) must(in []byte, args ...string) ran {
	r := h.vault(in, args...)
	if r.code != exitOK {
		h.fatalf("%v", r)
	}
	return r
}

func (h *faultHome) decode(text string, v any) {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		h.fatalf("%q: %v", text, err)
	}
}

// fillSpool lets the spool reach its limit.
func (h *faultHome) fillSpool() {
	dirs, err := filepath.Glob(filepath.Join(h.dir, "spool", "*"))
	if err != nil || len(dirs) == 0 {
		h.must([]byte("x"), "put", "first")
		h.must(nil, "rm", "first")
		if dirs, err = filepath.Glob(filepath.Join(h.dir, "spool", "*")); err != nil || len(dirs) == 0 {
			h.fatalf("there is no spool: %v", err)
		}
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		f, err := os.Create(filepath.Join(dir, "full"))
		if err == nil {
			err = f.Truncate(256 << 20)
			f.Close()
		}
		if err != nil {
			h.fatalf("%v", err)
		}
	}
}

// A spooledRow is an entry of the spool.
type spooledRow struct{ ID, Name, State, Reason string }

func (h *faultHome) spooled() (rows []spooledRow) {
	r := h.must(nil, "spool", "ls", "--json")
	for line := range strings.Lines(r.out) {
		var row spooledRow
		h.decode(line, &row)
		rows = append(rows, row)
	}
	return rows
}

// value returns the value of openai, or nil if there is none.
func (h *faultHome) value() []byte {
	r := h.vault(nil, "get", "openai")
	switch {
	case r.code == exitOK:
		return []byte(r.out)
	case r.code == exitNotFound && r.out == "":
		return nil
	}
	h.errorf("afterwards: %v", r)
	return nil
}

// checkPut checks a write of secret.
func (h *faultHome) checkPut(r ran, k faultKind) cellEnd {
	defer h.checkOnce()
	rows := h.spooled()
	switch {
	case r.code == exitOK:
		if len(rows) > 0 {
			h.errorf("exit code 0, and the spool has %v", rows)
		}
		if !bytes.Equal(h.value(), h.secret) {
			h.errorf("acknowledged and not readable: %v", r)
		}
		return ended
	case strings.Contains(r.err, "saved neither in the store nor on this machine"):
		if k != spoolFull || len(rows) > 0 {
			h.errorf("the value could have been saved: %v, spool %v", r, rows)
		}
		if r.code != exitUnreachable && r.code != exitDenied && r.code != exitUnauthenticated {
			h.errorf("not saved, and %v", r)
		}
		if v := h.value(); !bytes.Equal(v, h.secret) && !bytes.Equal(v, h.old) {
			h.errorf("not saved, and afterwards the name has a value that no writer stored: %d bytes", len(v))
		}
		return reported
	case len(rows) != 1 || rows[0].Name != "openai":
		h.errorf("the value is lost: %v, spool %v", r, rows)
		return reported
	case r.code == exitSpooled && rows[0].State == "pending":
		if !bytes.Equal(h.value(), h.secret) {
			h.errorf("acknowledged and not readable: %v", r)
		}
		if s := h.vault(nil, "sync"); s.code != exitOK {
			h.errorf("after %v\nthe store is back: %v", r, s)
		}
	case r.code != exitSpooled && rows[0].State == "refused":
		if r.code == exitConflict {
			h.errorf("there is no other writer: %v", r)
		}
		if v := h.value(); !bytes.Equal(v, h.old) {
			h.errorf("refused, and the name has another value: %v, %d bytes, %q", r, len(v), rows[0].Reason)
		}
		if s := h.vault(nil, "spool", "retry", rows[0].ID); s.code != exitOK {
			h.errorf("after %v\nretried: %v", r, s)
		}
	default:
		h.errorf("%v, and the spool has %v", r, rows)
	}
	if !bytes.Equal(h.value(), h.secret) {
		h.errorf("saved and not readable after a sync: %v", r)
	}
	if rows := h.spooled(); len(rows) > 0 {
		h.errorf("after the sync the spool has %v", rows)
	}
	return saved
}

// checkNotMinted checks that the program did not run, because its output cannot be saved.
func (h *faultHome) checkNotMinted(r ran) cellEnd {
	if r.code != exitFailure || h.minted {
		h.errorf("the output cannot be saved, and the program ran: %v (%v)", h.minted, r)
	}
	return reported
}

// checkShown checks that the output of the program is shown without the value.
func (h *faultHome) checkShown(r ran) {
	if want := "a new key:\n[openai]\n"; r.out != want {
		h.errorf("it shows %q, want %q", r.out, want)
	}
}

// checkRotate checks a rotation. Neither value may be lost, and the old one is revoked only if the store
// has the new one.
func (h *faultHome) checkRotate(r ran, k faultKind) cellEnd {
	old, output := h.takeAside()
	has := func(value []byte) bool { return bytes.Equal(h.value(), value) }
	switch {
	case strings.Contains(r.out+r.err, string(h.old)):
		h.errorf("the output has the old value: %v", r)
	case h.revoked != nil && (r.code != exitOK || !bytes.Equal(h.revoked, h.old) || !has(h.secret) || old != nil):
		h.errorf("the old value was revoked: %v, %d bytes of it; the spool has it: %v", r, len(h.revoked), old != nil)
	case h.revoked == nil && h.minted && slices.Contains(r.args, "--revoke") && !bytes.Equal(old, h.old):
		h.errorf("the old value was not revoked, and is not in the spool: %v", r)
	case !h.minted && old != nil:
		h.errorf("the program did not run, and the old value is in the spool: %v", r)
	case (!h.minted || output != nil) && !has(h.old):
		h.errorf("nothing was stored, and the name has another value: %v", r)
	case output != nil && (r.code == exitOK || !bytes.Contains(output, h.secret)):
		h.errorf("the output in the spool is %q: %v", output, r)
	}
	switch {
	case k == spoolFull:
		return h.checkNotMinted(r)
	case !h.minted:
		return h.checkFailure(r)
	case output != nil:
		return saved
	}
	h.checkShown(r)
	return h.checkPut(r, k)
}

// takeAside removes the entries from the spool that are never sent, and returns their values: the old
// value of a rotation, and the output of a program.
func (h *faultHome) takeAside() (old, output []byte) {
	for _, row := range h.spooled() {
		if row.State != "aside" {
			continue
		}
		value := []byte(h.must(nil, "spool", "get", row.ID).out)
		switch {
		case row.Reason == maybeOldReason, row.Reason == oldValueReason:
			old = value
		case strings.HasPrefix(row.Reason, "output of a program: "):
			output = value
		default:
			h.errorf("the spool has %v", row)
		}
		h.must(nil, "spool", "drop", row.ID, "--yes")
	}
	return old, output
}

// checkOnce checks that a value was stored under one revision only.
func (h *faultHome) checkOnce() {
	if h.c.store == "tencent" {
		return // no history
	}
	r := h.vault(nil, "history", "openai", "--json")
	if r.code != exitOK && r.code != exitNotFound {
		h.errorf("%v", r)
	}
	revisions := make(map[int64]bool)
	for line := range strings.Lines(r.out) { // none, if the name has no value
		var v struct{ Revision int64 }
		h.decode(line, &v)
		revisions[v.Revision] = true
	}
	most := 1
	if h.old != nil {
		most = 2
	}
	if len(revisions) > most {
		h.errorf("%d revisions, want at most %d:\n%s", len(revisions), most, r.out)
	}
}

// checkRead checks a read.
func (h *faultHome) checkRead(r ran, want string) cellEnd {
	switch {
	case r.code == exitOK && r.out != want:
		h.errorf("%v, want %q", r, want)
	case r.code != exitOK && r.out != "":
		h.errorf("it failed, and wrote something: %v", r)
	}
	if v := h.value(); !bytes.Equal(v, h.old) {
		h.errorf("after a read the value is %q", v)
	}
	return h.checkFailure(r)
}

// checkFailure checks the exit code of an operation that stores nothing.
func (h *faultHome) checkFailure(r ran) cellEnd {
	if rows := h.spooled(); len(rows) > 0 {
		h.errorf("the spool has %v", rows)
	}
	switch r.code {
	case exitOK:
		return ended
	case exitUnreachable, exitDenied, exitUnauthenticated, exitPartial:
	case exitFailure:
		if h.c.plan.kind != storeFull && h.c.plan.kind != foreignResponse {
			h.errorf("%v", r)
		}
	default:
		h.errorf("%v", r)
	}
	return reported
}

// checkRewrap checks that the value has another key, or only its former one. The former key always opens it.
func (h *faultHome) checkRewrap(r ran, _ faultKind) cellEnd {
	defer h.checkOnce()
	added := func() []byte {
		if r := h.vault(nil, "get", "openai", "--keys", "local://"+h.nextKey()); r.code == exitOK {
			return []byte(r.out)
		}
		return nil
	}
	if !bytes.Equal(h.value(), h.old) {
		h.errorf("the former key opens another value: %v", r)
	}
	switch v := added(); {
	case r.code == exitOK && !bytes.Equal(v, h.old), v != nil && !bytes.Equal(v, h.old):
		h.errorf("the added key opens %d bytes of %d: %v", len(v), len(h.old), r)
	case strings.Contains(r.err, "another writer"):
		h.errorf("there is no other writer: %v", r)
	}
	if again := h.vault(nil, rewrapArgs(h)...); again.code != exitOK {
		h.errorf("after %v\nagain: %v", r, again)
	}
	if !bytes.Equal(added(), h.old) || !bytes.Equal(h.value(), h.old) {
		h.errorf("rewrapped again, but one of the keys does not open the value: %v", r)
	}
	return h.checkFailure(r)
}

// checkRemoved checks a removal.
func (h *faultHome) checkRemoved(r ran, k faultKind, again ...string) cellEnd {
	v := h.value()
	switch {
	case r.code == exitOK && v != nil:
		h.errorf("removed, but the value still exists: %q", v)
	case v != nil && !bytes.Equal(v, h.old):
		h.errorf("the name has a value that no writer stored: %q", v)
	case (r.code == exitDenied || r.code == exitUnauthenticated) && v == nil && h.c.of == 1:
		h.errorf("refused, but the value was removed: %v", r)
	}
	if s := h.vault(nil, again...); s.code != exitOK && s.code != exitNotFound {
		h.errorf("again: %v", s)
	}
	if v := h.value(); v != nil {
		h.errorf("removed again, but the value still exists: %q", v)
	}
	return h.checkFailure(r)
}

// checkLeft checks that nothing unfinished is left.
func (h *faultHome) checkLeft(r ran, c faultCell) {
	temps, err := filepath.Glob(filepath.Join(h.dir, "spool", "*", ".*"))
	if err != nil || len(temps) > 0 {
		h.errorf("left in the spool: %q, %v", temps, err)
	}
	left := h.store.uploads(h.m.t, "bots/"+h.tenant+"/")
	// An upload whose start was not confirmed has no known id. On a busy machine this includes an
	// upload that was confirmed after the timeout. An upload that could not be aborted is reported.
	lost := slices.Contains([]faultKind{resetAfter, appliedLater, cutBody, noResponse}, c.plan.kind)
	reported := strings.Contains(r.err, "an unfinished upload of ")
	left = slices.DeleteFunc(left, func(u string) bool { return reported || lost && strings.HasSuffix(u, " with 0 parts") })
	if len(left) > 0 {
		h.errorf("left in the store: %q (%v)", left, r)
	}
}

// faultPageHead is the start of docs/faults.md.
const faultPageHead = `# Fault matrix

` + "`make faults`" + ` writes this page. It runs each operation of the command once without a fault, and then once
for each request that the operation made and each fault: the request meets the fault alone, or with all
later ones. After each run it asserts:

- a value that was acknowledged (exit code 0 or 75) is readable;
- a value that was not acknowledged is in the spool, refused, and can be sent from there, or the command
  reported that it is saved nowhere (only if the spool was full, too);
- after a rotation, the old value was revoked only if the store has the new one; otherwise it is in the store
  or in the spool. If the output of its program cannot be saved, the program did not run;
- no value was stored under two revisions, also when the store applied requests later;
- a read returned the value or failed, and a removed value does not come back;
- after a rewrap the former key opens the value, and if it succeeded, the added key does, too;
- no temporary file is left, and no unfinished upload, except one whose start was not confirmed or which
  the command reported;
- no output contains the secret.

S3 is versitygw behind a proxy, COS is costest with and without versioning, and the directory is a
` + "`file://`" + ` store whose calls fail. "Disk full in the spool" means that the spool has reached its limit
and the request is reset. The last table is about a profile with a mirror: an operation must be
successful while only the mirror fails, and the next ` + "`vault sync`" + ` must make the mirror equal. Only a rotation
fails if the spool is full, too.

An entry of a table has three numbers: runs that ended as without a fault, runs whose value was saved on this
machine, and runs that reported a failure.
`

// faultStoreTitles are the titles of the tables.
var faultStoreTitles = [][2]string{
	{"aws", "S3 (versitygw)"}, {"tencent", "COS (costest), never versioned"},
	{"tencent, versioned", "COS (costest), versioned"}, {"file", "Directory"},
	{mirrorName, "Directory with a mirror on COS (costest), versioned: the requests to the mirror fail"},
}

// page returns docs/faults.md.
func (m *faultMatrix) page() []byte {
	var b bytes.Buffer
	b.WriteString(faultPageHead)
	var all [4]int
	for _, title := range faultStoreTitles {
		kinds := httpFaults
		if title[0] == "file" {
			kinds = fileFaults
		}
		fmt.Fprintf(&b, "\n## %s\n\n| fault |", title[1])
		for _, op := range opsOf(title[0]) {
			fmt.Fprintf(&b, " %s |", op.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(opsOf(title[0]))) + "\n")
		var total [4]int
		for _, kind := range kinds {
			fmt.Fprintf(&b, "| %s |", kind)
			for _, op := range opsOf(title[0]) {
				n := m.counts[[3]string{title[0], op.name, string(kind)}]
				if n == nil {
					b.WriteString(" |")
					continue
				}
				fmt.Fprintf(&b, " %d / %d / %d |", n[1], n[2], n[3])
				for i := range total {
					total[i] += n[i]
					all[i] += n[i]
				}
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\n%d runs: %d ended as without a fault, %d saved the value on this machine, %d reported a failure.\n", total[0], total[1], total[2], total[3])
	}
	fmt.Fprintf(&b, "\n## All stores\n\n%d runs: %d ended as without a fault, %d saved the value on this machine, %d reported a failure. None\nviolated an assertion.\n", all[0], all[1], all[2], all[3])
	return b.Bytes()
}
