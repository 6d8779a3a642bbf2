package seen_test

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

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
)

// The variables of a process that writes and reads until it is killed.
const (
	victimDir  = "OBJECTVAULT_TEST_SEEN"
	victimName = "OBJECTVAULT_TEST_SEEN_NAME"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		fmt.Println(victim(dir, os.Getenv(victimName)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func openKilled(dir string, warn func(error)) (*vault.Vault, error) {
	store, err := memfs.Open(context.Background(), memfs.Config{Dir: filepath.Join(dir, "store"), Versions: 10})
	if err != nil {
		return nil, err
	}
	log, err := seen.Open(seen.Config{Dir: filepath.Join(dir, "seen"), Store: "0123456789abcdef", Warn: warn})
	if err != nil {
		return nil, err
	}
	return vault.New(store, "0xabc", keys, &vault.Options{Seen: log})
}

const started = "the first value is stored\n"

// victim puts and deletes one name, and reads the names of all processes. It returns the first error.
func victim(dir, own string) error {
	v, err := openKilled(dir, func(error) {})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		if _, err := v.Put(ctx, vault.Name(own), strings.NewReader(strconv.Itoa(i)), nil); err != nil {
			return err
		}
		if i == 0 {
			fmt.Print(started)
		}
		if rand.IntN(8) == 0 {
			if err := v.Delete(ctx, vault.Name(own), nil); err != nil {
				return err
			}
		}
		if _, err := v.Stat(ctx, vault.Name("n"+strconv.Itoa(rand.IntN(killed)))); err != nil && !errors.Is(err, vault.ErrNotFound) {
			return err
		}
	}
}

const killed = 4 // processes at once

// TestKill kills processes that write and read at random moments. None of them ever sees a rollback,
// and what they leave can be read.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes one after the other")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range killed {
		wg.Go(func() {
			for n := range 25 {
				if err := kill(t.Context(), self, n%5 == 0, victimDir+"="+dir, victimName+"=n"+strconv.Itoa(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	v, err := openKilled(dir, func(err error) { t.Log(err) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range killed {
		name := vault.Name("n" + strconv.Itoa(i))
		if _, err := v.Stat(t.Context(), name); err != nil && !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		info, err := v.Put(t.Context(), name, strings.NewReader("last"), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := openKilled(dir, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Stat(t.Context(), name); err != nil || got.Revision != info.Revision {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// kill starts a process and kills it after some milliseconds, or soon after it has stored the first value.
func kill(ctx context.Context, self string, early bool, env ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := exec.CommandContext(ctx, self) // killed when ctx ends
	c.Env = append(os.Environ(), env...)
	pipe, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	out, line := bufio.NewReader(pipe), started
	if !early {
		line, _ = out.ReadString('\n')
	}
	stop := time.AfterFunc(rand.N(60*time.Millisecond), cancel)
	rest, _ := io.ReadAll(out)
	err = c.Wait()
	if stop.Stop() || line != started || early && !strings.HasPrefix(started, string(rest)) || !early && len(rest) > 0 {
		return fmt.Errorf("a process ended by itself: %s%s, %v", line, rest, err)
	}
	return nil
}

// TestProcesses: several processes change the states of the same names. No change is lost, and none is
// mixed with another.
func TestProcesses(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 8 {
		l := w.log() // a file lock excludes other opens of the same process, too
		wg.Go(func() {
			for n := range 60 {
				ref := refOf(fmt.Sprint(n % 3))
				for {
					old := l.Last(t.Context(), ref)
					state := old
					state.Revision, state.Tag = old.Revision+1, strings.Repeat(strconv.Itoa(i), 64)
					if l.Record(t.Context(), ref, old, state) {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	for n := range 3 {
		if got := w.log().Last(t.Context(), refOf(fmt.Sprint(n))); got.Revision != 8*20 {
			t.Errorf("%d changes of %d, want %d", got.Revision, n, 8*20)
		}
	}
	if len(w.warns) > 0 {
		t.Errorf("reported: %q", w.warns)
	}
}
