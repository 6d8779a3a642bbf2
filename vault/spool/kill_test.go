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

// victimDir is the variable with the directory of a process that puts values until it is killed.
const victimDir = "OBJECTVAULT_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		fmt.Println(victim(dir))
		os.Exit(1)
	}
	if text := os.Getenv(memberDir); text != "" {
		if err := member(text); err != nil {
			fmt.Println("bad", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim puts values under five names and syncs, at a store that fails one request in six, before or
// after it was applied. It prints "doing NAME VALUE" before a put, and "done NAME VALUE" after one that
// was acknowledged.
func victim(dir string) error {
	ctx := context.Background()
	inner, err := memfs.Open(ctx, memfs.Config{Dir: filepath.Join(dir, "store"), Versions: 1000})
	if err != nil {
		return err
	}
	store := intercept.Store(inner, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		switch rand.IntN(12) {
		case 0:
			return errAway
		case 1:
			do()
			return errAway
		}
		return do()
	}})
	sp, err := spool.Open(spool.Config{Dir: filepath.Join(dir, "spool"), Store: "0123456789abcdef"})
	if err != nil {
		return err
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: sp})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		name, value := vault.Name("n"+strconv.Itoa(rand.IntN(5))), fmt.Sprintf("%d-%d", os.Getpid(), i)
		fmt.Printf("doing %s %s\n", name, value)
		_, err := v.Put(ctx, name, strings.NewReader(value), nil)
		switch {
		case err == nil, errors.Is(err, vault.ErrSpooled):
			fmt.Printf("done %s %s\n", name, value)
		case errors.Is(err, vault.ErrConflict): // another process was faster: it is kept as refused
			fmt.Printf("done %s %s\n", name, value)
		default:
			return err
		}
		if i%4 == 3 {
			if _, err := sp.Sync(ctx, v, nil); err != nil {
				return err
			}
		}
	}
}

// TestKill kills four processes that put and sync at random moments, 200 times. No acknowledged value
// is lost: after a sync it is in the history of the store, or in the spool with the reason of the
// refusal. The spool always opens, and nothing is left behind.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills processes for half a minute")
	}
	rounds := 50
	if n, err := strconv.Atoi(os.Getenv("OBJECTVAULT_SOAK_ROUNDS")); err == nil {
		rounds = (n + 3) / 4
	}
	total := 0
	for range rounds {
		dir := t.TempDir()
		var mu sync.Mutex
		acked := map[string]bool{} // "NAME VALUE"
		for range 2 {
			var group sync.WaitGroup
			for range 2 {
				group.Go(func() {
					for _, line := range kill(t, dir) {
						mu.Lock()
						acked[line] = true
						mu.Unlock()
					}
				})
			}
			group.Wait()
		}
		total += len(acked)
		checkKilled(t, dir, acked)
		if t.Failed() {
			return
		}
		os.RemoveAll(dir)
	}
	t.Logf("%d kills, %d acknowledged values", 4*rounds, total)
	if total < rounds {
		t.Errorf("only %d values were acknowledged", total)
	}
}

// kill runs a victim, kills it after a random number of its lines, and returns what it acknowledged.
func kill(t *testing.T, dir string) (acked []string) {
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return nil
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	lines := bufio.NewReader(out)
	last, step := time.Now(), time.Millisecond
	killAfter := 1 + rand.IntN(20)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if ack, ok := strings.CutPrefix(line, "done "); ok && err == nil {
			acked = append(acked, strings.TrimSuffix(ack, "\n"))
		}
		if err == io.EOF {
			break
		}
		if n == killAfter { // in the middle of the next step
			time.AfterFunc(rand.N(max(step, time.Millisecond)), func() { cmd.Process.Kill() })
		}
		step, last = time.Since(last), time.Now()
	}
	if cmd.Wait(); cmd.ProcessState.Exited() {
		t.Errorf("the victim ended by itself: %v", cmd.ProcessState)
	}
	return acked
}

// checkKilled syncs, and looks for every acknowledged value.
func checkKilled(t *testing.T, dir string, acked map[string]bool) {
	ctx := t.Context()
	store, err := memfs.Open(ctx, memfs.Config{Dir: filepath.Join(dir, "store"), Versions: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var warnings []string
	sp, err := spool.Open(spool.Config{Dir: filepath.Join(dir, "spool"), Store: "0123456789abcdef", Warn: func(err error) { warnings = append(warnings, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: sp})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := sp.Sync(ctx, v, nil)
	if err != nil || sum.Pending != 0 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	found := map[string]int{}
	for i := range 5 {
		name := vault.Name("n" + strconv.Itoa(i))
		for h, err := range v.History(ctx, name) {
			if errors.Is(err, vault.ErrNotFound) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			value, _, err := v.ReadAll(ctx, name, &vault.ReadAllOptions{GetOptions: vault.GetOptions{Version: h.Version}})
			if err != nil {
				t.Fatal(err)
			}
			found[string(name)+" "+string(value)]++
		}
	}
	all, err := sp.All(ctx)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{} // the refused values, which are in the spool
	for _, e := range all {
		sealed, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		r, err := envelope.Open(ctx, sealed, e.Entry().Ref, []envelope.KeySource{kek.InsecureFixed()})
		if err != nil {
			t.Fatal(err)
		}
		value, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		sealed.Close()
		kept[e.Entry().Ref.Name+" "+string(value)] = true
		if !e.Entry().Refused {
			t.Errorf("still pending: %+v", e.Entry())
		}
	}
	for line := range acked {
		if found[line] == 0 && !kept[line] {
			t.Errorf("%s was acknowledged and is lost", line)
		}
	}
	for line, n := range found {
		if n > 1 {
			t.Errorf("%s was stored %d times", line, n)
		}
	}
	temps, err := filepath.Glob(filepath.Join(sp.Dir(), ".*.tmp"))
	if err != nil || len(temps) > 0 || len(warnings) > 0 {
		t.Errorf("left behind: %q, %v; warnings %q", temps, err, warnings)
	}
}
