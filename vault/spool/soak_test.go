package spool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

const (
	// memberDir is the variable with the number of a writer, a colon, and the directory of a process that
	// writes and reads until its standard input ends.
	memberDir = "OBJECTVAULT_TEST_MEMBER"
	// soakVar is how long TestSoak runs.
	soakVar = "OBJECTVAULT_SOAK"
	// soakNames is the number of names. Each writer has namesEach of them: of two plain puts of one name at
	// the same time, the one with the earlier revision may replace the other.
	soakNames = 8
	namesEach = 2
)

// A soaker writes and reads at a store that comes and goes. The writers share a spool.
type soaker struct {
	dir    string
	report func(line string) // "done NAME VALUE", or "bad TEXT"
}

func (s *soaker) away() string { return filepath.Join(s.dir, "away") }

// open opens the store, and a vault with or without the spool. While the file away exists, every request
// fails, before or after it was applied.
func (s *soaker) open(ctx context.Context, spooled bool) (*vault.Vault, *spool.Spool, *vault.Store, error) {
	inner, err := memfs.Open(ctx, memfs.Config{Dir: filepath.Join(s.dir, "store"), Versions: 1 << 20})
	if err != nil {
		return nil, nil, nil, err
	}
	store := intercept.Store(inner, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		if _, err := os.Stat(s.away()); err != nil {
			return do()
		}
		if rand.IntN(2) == 0 {
			do()
		}
		return errAway
	}})
	sp, err := spool.Open(spool.Config{Dir: filepath.Join(s.dir, "spool"), Store: "0123456789abcdef", Warn: func(err error) { s.report("bad warning: " + err.Error()) }})
	if err != nil {
		return nil, nil, nil, err
	}
	o := &vault.Options{}
	if spooled {
		o.Spool = sp
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, o)
	return v, sp, inner, err
}

// write puts values until ctx ends.
func (s *soaker) write(ctx context.Context, writer int) {
	v, _, store, err := s.open(ctx, true)
	if err != nil {
		s.report("bad writer: " + err.Error())
		return
	}
	defer store.Close()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		name := "n" + strconv.Itoa(writer*namesEach+rand.IntN(namesEach))
		value := fmt.Sprintf("%s-%d", name, n)
		_, err := v.Put(context.WithoutCancel(ctx), vault.Name(name), strings.NewReader(value), nil)
		var kept *vault.SpooledError
		if err != nil && !errors.As(err, &kept) {
			s.report("bad put: " + err.Error())
		}
		s.report("done " + name + " " + value)
		<-pace.C
	}
}

// read reads values until ctx ends. With the spool, it also reads values that are pending.
func (s *soaker) read(ctx context.Context, spooled bool) {
	v, _, store, err := s.open(ctx, spooled)
	if err != nil {
		s.report("bad reader: " + err.Error())
		return
	}
	defer store.Close()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	newest := map[string]int64{}
	for ; ctx.Err() == nil; <-pace.C {
		name := "n" + strconv.Itoa(rand.IntN(soakNames))
		value, info, err := v.ReadAll(ctx, vault.Name(name), nil)
		switch {
		case errors.Is(err, vault.ErrUnavailable), errors.Is(err, context.Canceled):
		case errors.Is(err, vault.ErrNotFound) && newest[name] == 0:
		case err != nil:
			s.report("bad get " + name + ": " + err.Error())
		case !strings.HasPrefix(string(value), name+"-"):
			s.report(fmt.Sprintf("bad get %s: it has the value %q of another name", name, value))
		case info.Pending: // the store may refuse it, and then an earlier value remains
		case info.Revision < newest[name]:
			s.report(fmt.Sprintf("bad get %s: revision %d after %d", name, info.Revision, newest[name]))
		default:
			newest[name] = info.Revision
		}
	}
}

// member is a process with a writer and a reader.
func member(text string) error {
	number, dir, _ := strings.Cut(text, ":")
	writer, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var mu sync.Mutex
	s := &soaker{dir: dir, report: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(line)
	}}
	var group sync.WaitGroup
	group.Go(func() { s.write(ctx, writer) })
	group.Go(func() { s.read(ctx, writer%2 == 0) })
	group.Wait()
	return nil
}

// A soakModel is what the store and the spool must contain.
type soakModel struct {
	t *testing.T

	mu       sync.Mutex
	acked    map[string]bool // "NAME VALUE" of values that were acknowledged and not yet found durable
	stored   map[string]int  // how often a value was found in the history
	refused  map[string]bool // values that the store refused; they were in the spool
	versions map[string]bool // versions that were read
	missing  map[string]bool // values that the last check did not find
	total    int
}

// acknowledged returns the number of acknowledged values.
func (m *soakModel) acknowledged() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

func (m *soakModel) report(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text, ok := strings.CutPrefix(line, "done "); ok {
		m.total++
		if m.stored[text] == 0 && !m.refused[text] {
			m.acked[text] = true
		}
		return
	}
	m.t.Error(line)
}

// check looks for every acknowledged value: in the spool, and then in the history, where a value goes
// when it leaves the spool. A value that is being moved may escape one check, but not two. check drops
// the refused entries, so that they do not slow down the writers.
func (m *soakModel) check(ctx context.Context, sp *spool.Spool, store *vault.Store, v *vault.Vault) {
	m.mu.Lock()
	acked := make([]string, 0, len(m.acked))
	for line := range m.acked {
		acked = append(acked, line)
	}
	m.mu.Unlock()
	all, err := sp.All(ctx)
	if err != nil {
		m.t.Error(err)
		return
	}
	pending := map[string]bool{}
	for _, e := range all {
		r, err := sp.OpenValue(ctx, e.Entry().ID, []envelope.KeySource{kek.InsecureFixed()})
		if errors.Is(err, vault.ErrNotFound) {
			continue // it was sent
		}
		if err != nil {
			m.t.Error(err)
			continue
		}
		value, err := io.ReadAll(r)
		r.Close()
		line := e.Entry().Ref.Name + " " + string(value)
		switch {
		case err != nil:
			m.t.Error(err)
		case !e.Entry().Refused:
			pending[line] = true
		default:
			m.mu.Lock()
			m.refused[line] = true
			delete(m.acked, line)
			m.mu.Unlock()
			if err := sp.Drop(ctx, e.Entry().ID); err != nil && !errors.Is(err, vault.ErrNotFound) {
				m.t.Error(err)
			}
		}
	}
	for i := range soakNames {
		name := "n" + strconv.Itoa(i)
		for version, err := range store.History.Versions(ctx, "bots/0xabc/credentials/"+name+".enc") {
			if errors.Is(err, vault.ErrNotFound) {
				break
			}
			if err != nil {
				m.t.Error(err)
				return
			}
			if m.versions[name+" "+version.ID] {
				continue
			}
			value, err := readVersion(ctx, store, v.VaultID(), name, version.ID)
			if err != nil {
				m.t.Error(err)
				return
			}
			m.versions[name+" "+version.ID] = true
			m.mu.Lock()
			line := name + " " + string(value)
			delete(m.acked, line)
			if m.stored[line]++; m.stored[line] > 1 {
				m.t.Errorf("%s was stored %d times", line, m.stored[line])
			}
			m.mu.Unlock()
		}
	}
	missing := map[string]bool{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range acked {
		if m.acked[line] && !pending[line] {
			missing[line] = true
			if m.missing[line] {
				m.t.Errorf("%s was acknowledged and is lost", line)
			}
		}
	}
	m.missing = missing
}

// TestSoak lets four writers and four readers, half of them in other processes, work at a store that
// comes and goes. A model is checked throughout: no acknowledged value is lost or stored twice, the
// revisions that a reader sees never fall, and no name has a value of another name.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it works for some seconds")
	}
	d := 5 * time.Second
	if text := os.Getenv(soakVar); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	m := &soakModel{t: t, acked: map[string]bool{}, stored: map[string]int{}, refused: map[string]bool{}, versions: map[string]bool{}}
	s := &soaker{dir: t.TempDir(), report: m.report}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() { s.write(ctx, i) })
		group.Go(func() { s.read(ctx, i == 0) })
		group.Go(func() { runMember(ctx, t, s, i+2) })
	}
	group.Go(func() { // the store comes and goes
		for ctx.Err() == nil {
			wait(ctx, rand.N(time.Second))
			if err := os.WriteFile(s.away(), nil, 0o600); err != nil {
				t.Error(err)
			}
			wait(ctx, rand.N(time.Second))
			if err := os.Remove(s.away()); err != nil {
				t.Error(err)
			}
		}
	})
	sync, sp, closer, err := s.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	group.Go(func() {
		for ctx.Err() == nil {
			if _, err := sp.Sync(context.WithoutCancel(ctx), sync, nil); err != nil {
				t.Error(err)
			}
			wait(ctx, time.Second)
		}
	})
	// The checker's store does not go away.
	store, err := memfs.Open(t.Context(), memfs.Config{Dir: filepath.Join(s.dir, "store"), Versions: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	checker, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const least = 20 // values; a busy machine may need longer for them
	for begin := time.Now(); !t.Failed() && (time.Since(begin) < d || m.acknowledged() < least && time.Since(begin) < time.Minute); {
		m.check(t.Context(), sp, store, checker)
		wait(ctx, min(d, 2*time.Second))
	}
	cancel()
	group.Wait()
	if sum, err := sp.Sync(t.Context(), sync, nil); err != nil || sum.Pending != 0 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	m.check(t.Context(), sp, store, checker)
	m.check(t.Context(), sp, store, checker)
	if left, err := filepath.Glob(filepath.Join(sp.Dir(), ".*.tmp")); err != nil || len(left) > 0 || len(m.acked) > 0 {
		t.Errorf("left behind: %q, %v; not found: %v", left, err, m.acked)
	}
	t.Logf("%v: %d acknowledged values, %d stored, %d refused", d, m.total, len(m.stored), len(m.refused))
	if m.total < least {
		t.Errorf("only %d values were acknowledged", m.total)
	}
}

// readVersion reads one version. ReadAll would list the versions for each of them.
func readVersion(ctx context.Context, store *vault.Store, vaultID, name, id string) ([]byte, error) {
	body, _, err := store.History.OpenVersion(ctx, "bots/0xabc/credentials/"+name+".enc", id, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	ref := envelope.Ref{Vault: vaultID, Tenant: "0xabc", Collection: string(vault.DefaultCollection), Name: name}
	r, err := envelope.Open(ctx, body, ref, []envelope.KeySource{kek.InsecureFixed()})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// wait waits for d, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// runMember runs a process with a writer and a reader until ctx ends.
func runMember(ctx context.Context, t *testing.T, s *soaker, writer int) {
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), memberDir+"="+strconv.Itoa(writer)+":"+s.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	stop := context.AfterFunc(ctx, func() { in.Close() })
	defer stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.report(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
