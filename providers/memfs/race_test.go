package memfs_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// The test binary acts as other processes: a variable selects the role, and the arguments
// contain the directory.
const partVariable = "MEMFS_TEST_PART"

func TestMain(m *testing.M) {
	switch part := os.Getenv(partVariable); part {
	case "":
		os.Exit(m.Run())
	case "creator":
		err := creator(os.Args[1], os.Args[2], os.Stdin, os.Stdout)
		exit(err)
	case "victim":
		exit(killedWriter(os.Args[1], os.Args[2], os.Stdout))
	default:
		exit(fmt.Errorf("no such part: %s", part))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func other(t *testing.T, part string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), partVariable+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

func open(t testing.TB, c memfs.Config) *vault.Store {
	t.Helper()
	s, err := memfs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// configs returns one empty store of each kind. Opening them again opens the same stores.
func configs(t testing.TB) map[string]memfs.Config {
	return map[string]memfs.Config{
		"mem":  {Memory: new(memfs.Memory)},
		"file": {Dir: filepath.Join(t.TempDir(), "store")},
	}
}

func fill(value string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, value); return err }
}

// race starts concurrent creators of key and returns the values of those that succeeded.
func race(s *vault.Store, key string, creators int, value func(i int) string) (winners []string, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range creators {
		wg.Go(func() {
			<-start
			_, e := s.Create.Create(context.Background(), key, fill(value(i)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case e == nil:
				winners = append(winners, value(i))
			case !errors.Is(e, vault.ErrExist):
				err = errors.Join(err, e)
			}
		})
	}
	close(start)
	wg.Wait()
	return winners, err
}

const (
	creators = 16
	rounds   = 200
)

// TestRacingCreates runs 200 races of 16 creators: one wins each time, and its value is stored.
func TestRacingCreates(t *testing.T) {
	t.Parallel()
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			for round := range rounds {
				key := fmt.Sprintf("race/%d/object", round)
				winners, err := race(s, key, creators, func(i int) string { return fmt.Sprint("creator ", i) })
				if err != nil {
					t.Fatal(err)
				}
				checkWinner(t, s, key, winners)
			}
		})
	}
}

func checkWinner(t *testing.T, s *vault.Store, key string, winners []string) {
	t.Helper()
	if len(winners) != 1 {
		t.Fatalf("%s: the winners are %q, want one", key, winners)
	}
	got, err := s.Bucket.ReadAll(t.Context(), key)
	if err != nil || string(got) != winners[0] {
		t.Fatalf("%s has the value %q, %v; the winner wrote %q", key, got, err, winners[0])
	}
	n := 0
	for _, err := range s.History.Versions(t.Context(), key) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Fatalf("%s has %d versions, want 1", key, n)
	}
}

// TestRacingCreatesOfProcesses is TestRacingCreates with four creators in each of four processes.
func TestRacingCreatesOfProcesses(t *testing.T) {
	t.Parallel()
	c := memfs.Config{Dir: filepath.Join(t.TempDir(), "store")} // the processes also race to create the store
	const processes = 4
	var in []io.Writer
	var out []*bufio.Scanner
	for i := range processes {
		cmd := other(t, "creator", c.Dir, strconv.Itoa(i))
		w, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		r, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			w.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %d: %v", i, err)
			}
		}()
		in, out = append(in, w), append(out, bufio.NewScanner(r))
	}
	var s *vault.Store
	for round := range rounds {
		for _, w := range in {
			if _, err := fmt.Fprintln(w, round); err != nil {
				t.Fatal(err)
			}
		}
		var winners []string
		for i, r := range out {
			if !r.Scan() {
				t.Fatalf("process %d has ended", i)
			}
			if line := r.Text(); line != "" {
				winners = append(winners, strings.Split(line, ",")...)
			}
		}
		if s == nil {
			s = open(t, c)
		}
		checkWinner(t, s, fmt.Sprintf("race/%d/object", round), winners)
	}
}

// creator races in its own process, each time it reads a line, and answers with the winners.
func creator(dir, name string, in io.Reader, out io.Writer) error {
	var s *vault.Store
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if s == nil {
			var err error
			if s, err = memfs.Open(context.Background(), memfs.Config{Dir: dir}); err != nil {
				return err
			}
		}
		winners, err := race(s, fmt.Sprintf("race/%s/object", lines.Text()), creators/4,
			func(i int) string { return fmt.Sprintf("creator %d of process %s", i, name) })
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, strings.Join(winners, ",")); err != nil {
			return err
		}
	}
	return nil
}

// TestOverwritersAtOnce lets two clients overwrite and swap one object: every acknowledged
// value is in the history, and one of the swaps with the same tag succeeds.
func TestOverwritersAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			clients := []*vault.Store{open(t, c), open(t, c)}
			for round := range 50 {
				key := fmt.Sprint("object ", round)
				write(t, clients[0], key, "first")
				tag := currentID(t, clients[0], key)
				want := []string{"first", "0", "1"}
				var wg sync.WaitGroup
				swapped := make([]bool, 2)
				for i, s := range clients {
					wg.Go(func() {
						write(t, s, key, strconv.Itoa(i))
						_, err := s.Swap.Swap(t.Context(), key, tag, fill("swapped"))
						if swapped[i] = err == nil; err != nil && !errors.Is(err, vault.ErrConflict) {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if swapped[0] || swapped[1] {
					t.Fatal("swapped what another writer had overwritten")
				}
				if got := history(t, clients[0], key); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
					t.Fatalf("history has %q, want %q in some order", got, want)
				}

				tag = currentID(t, clients[0], key)
				for i, s := range clients {
					wg.Go(func() {
						_, err := s.Swap.Swap(t.Context(), key, tag, fill(fmt.Sprint("swapped by ", i)))
						if swapped[i] = err == nil; err != nil && !errors.Is(err, vault.ErrConflict) {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if swapped[0] == swapped[1] {
					t.Fatalf("two swaps with one tag succeeded: %v", swapped)
				}
			}
		})
	}
}

func write(t testing.TB, s *vault.Store, key, value string) {
	t.Helper()
	if err := s.Bucket.WriteAll(t.Context(), key, []byte(value), nil); err != nil {
		t.Error(err)
	}
}

func currentID(t testing.TB, s *vault.Store, key string) string {
	t.Helper()
	for v, err := range s.History.Versions(t.Context(), key) {
		if err != nil {
			t.Fatal(err)
		}
		if !v.Current || v.Deleted {
			t.Fatalf("%s: the newest version is %+v", key, v)
		}
		return v.ID
	}
	t.Fatalf("%s has no versions", key)
	return ""
}

// history returns the contents of all versions of key, newest first; "-" is a deletion.
func history(t testing.TB, s *vault.Store, key string) []string {
	t.Helper()
	var all []string
	for v, err := range s.History.Versions(t.Context(), key) {
		if err != nil {
			t.Fatal(err)
		}
		if v.Deleted {
			all = append(all, "-")
			continue
		}
		r, _, err := s.History.OpenVersion(t.Context(), key, v.ID, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil || int64(len(b)) != v.Size {
			t.Fatalf("version %+v has %d bytes, %v", v, len(b), err)
		}
		all = append(all, string(b))
	}
	return all
}

// TestReadersSeeWholeObjects reads while other clients overwrite and delete.
func TestReadersSeeWholeObjects(t *testing.T) {
	t.Parallel()
	for name, c := range configs(t) {
		c.Versions = -1 // superseded versions are removed immediately
		t.Run(name, func(t *testing.T) {
			s := open(t, c)
			const key = "object"
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						value := bytes.Repeat([]byte{byte('a' + (n+i)%20)}, 1000+n%5000)
						o := &blob.WriterOptions{ContentType: "text/" + string(value[:1])}
						if err := s.Bucket.WriteAll(t.Context(), key, value, o); err != nil {
							t.Error(err)
							return
						}
						if n%8 == 7 {
							if err := s.Bucket.Delete(t.Context(), key); err != nil && !errors.Is(err, vault.ErrNotFound) {
								t.Error(err)
							}
						}
					}
				})
			}
			reads := 0
			begin := time.Now()
			for time.Since(begin) < 500*time.Millisecond || reads == 0 && time.Since(begin) < time.Minute {
				r, err := s.Bucket.NewReader(t.Context(), key, nil)
				if errors.Is(err, vault.ErrNotFound) {
					continue
				}
				if err != nil {
					t.Error(err)
					break
				}
				size, kind := r.Size(), r.ContentType()
				b, err := io.ReadAll(r)
				r.Close()
				if err != nil || int64(len(b)) != size || len(b) == 0 || len(bytes.Trim(b, string(b[:1]))) > 0 || kind != "text/"+string(b[:1]) {
					t.Errorf("read %d bytes of %d of %s, %v", len(b), size, kind, err)
					break
				}
				reads++
			}
			stop()
			wg.Wait()
			if reads == 0 {
				t.Error("no object was ever read")
			}
		})
	}
}

// sealed returns a content that shows whether it is complete: a number, padding, a checksum.
func sealed(n int) []byte {
	b := fmt.Appendf(nil, "%08d %s ", n, strings.Repeat("x", n*37%9000))
	sum := sha256.Sum256(b)
	return append(b, hex.EncodeToString(sum[:])...)
}

// unsealed returns the number in a value from sealed.
func unsealed(b []byte) (int, error) {
	body := len(b) - 2*sha256.Size
	if body < 9 {
		return 0, fmt.Errorf("%d bytes are not a complete object", len(b))
	}
	if sum := sha256.Sum256(b[:body]); hex.EncodeToString(sum[:]) != string(b[body:]) {
		return 0, errors.New("the checksum does not match")
	}
	return strconv.Atoi(string(b[:8]))
}

// TestKill kills a writing process at a random moment, 300 times: acknowledged objects exist
// and are complete, no object is partial, and the next process is not blocked.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills one process after the other")
	}
	t.Parallel()
	const n = 300
	var c memfs.Config
	acked := map[string]int{} // number by key; -1 is a deletion
	// The number of writes of the hot object that may have been killed after they published it
	// and before they removed the oldest version. Each leaves one more version, until a write
	// completes.
	unpruned := 0
	total := 0
	for round := range n {
		if round%20 == 0 { // a new store, so that there is little to check
			c.Dir = filepath.Join(t.TempDir(), "store")
			clear(acked)
			unpruned = 0
		}
		var acks bytes.Buffer
		cmd := other(t, "victim", c.Dir, strconv.Itoa(round*100000))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Wait for the first line, so that the victim is not killed before it has started.
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatalf("the victim did not start: %v", err)
		}
		// Kill it at a random moment after a random number of lines. The lines show the progress,
		// because the duration of a step depends on the disk.
		last := time.Now()
		var step time.Duration
		for range rand.IntN(9) {
			line, err := lines.ReadString('\n')
			if acks.WriteString(line); err != nil {
				t.Fatalf("the victim ended: %v", err)
			}
			now := time.Now()
			step, last = max(step, now.Sub(last)), now
		}
		timer := time.AfterFunc(rand.N(max(step, time.Millisecond)), func() { cmd.Process.Kill() })
		if _, err := acks.ReadFrom(lines); err != nil {
			t.Fatal(err)
		}
		timer.Stop()
		if cmd.Wait(); cmd.ProcessState.Exited() {
			t.Fatalf("the victim was not killed: %v", cmd.ProcessState)
		}
		// An incomplete last line is not an acknowledgement.
		maybe := map[string]int{}
		for line := range strings.Lines(acks.String()) {
			line, whole := strings.CutSuffix(line, "\n")
			verb, rest, _ := strings.Cut(line, " ")
			key, number, _ := strings.Cut(rest, " ")
			i, err := strconv.Atoi(number)
			switch {
			case !whole:
			case err != nil:
				t.Fatalf("the victim printed %q", line)
			case verb == "doing":
				maybe[key] = i
			case verb == "done":
				acked[key] = i
				delete(maybe, key)
				total++
				if key == "hot" {
					unpruned = 0
				}
			}
		}
		if _, ok := maybe["hot"]; ok {
			unpruned++
		}
		checkSurvivors(t, c, acked, maybe, unpruned)
	}
	t.Logf("%d rounds, %d acknowledgements", n, total)
	if total < n {
		t.Errorf("only %d acknowledgements in %d rounds, so the victims were killed too early", total, n)
	}
}

// killedWriter writes, overwrites and deletes until it is killed. It prints each operation before
// it starts and after it ends.
func killedWriter(dir, start string, out io.Writer) error {
	n, err := strconv.Atoi(start)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "here I am")
	ctx := context.Background()
	s, err := memfs.Open(ctx, memfs.Config{Dir: dir})
	if err != nil {
		return err
	}
	for first := n; ; n++ {
		key := fmt.Sprintf("objects/%d/%08d", n/10, n)
		steps := []struct {
			key    string
			number int
			do     func() error
		}{
			{key, n, func() error {
				_, err := s.Create.Create(ctx, key, func(w io.Writer) error { _, err := w.Write(sealed(n)); return err })
				return err
			}},
			{"hot", n, func() error {
				return s.Bucket.WriteAll(ctx, "hot", sealed(n), &blob.WriterOptions{Metadata: map[string]string{"n": strconv.Itoa(n)}})
			}},
		}
		if n%3 == 0 && n > first {
			last := fmt.Sprintf("objects/%d/%08d", (n-1)/10, n-1)
			steps = append(steps, struct {
				key    string
				number int
				do     func() error
			}{last, -1, func() error { return s.Bucket.Delete(ctx, last) }})
		}
		for _, step := range steps {
			fmt.Fprintln(out, "doing", step.key, step.number)
			if err := step.do(); err != nil {
				return err
			}
			fmt.Fprintln(out, "done", step.key, step.number)
		}
	}
}

// checkSurvivors compares a store with the acknowledged operations. maybe is the operation during
// which the last killedWriter was killed. If the store contains its result, checkSurvivors adds it
// to acked. The hot object may have more versions than allowed, which were not yet pruned.
func checkSurvivors(t *testing.T, c memfs.Config, acked, maybe map[string]int, unpruned int) {
	t.Helper()
	s, err := memfs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	left, err := os.ReadDir(filepath.Join(c.Dir, ".objectvault", "tmp"))
	if err != nil || len(left) > 0 {
		t.Fatalf("files remain in tmp: %v, %v", left, err)
	}
	found := map[string]int{}
	for objects := s.Bucket.List(nil); ; {
		o, err := objects.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Bucket.ReadAll(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		if found[o.Key], err = unsealed(b); err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
	}
	for key, n := range maybe {
		value, exists := found[key]
		if n == -1 && !exists || exists && value == n {
			acked[key] = n
		}
	}
	for key, n := range acked {
		value, exists := found[key]
		if n == -1 && exists || n >= 0 && (!exists || value != n) {
			t.Fatalf("%s: found %d (exists: %v), but %d was acknowledged", key, value, exists, n)
		}
	}
	for key := range found {
		if n, ok := acked[key]; !ok || n == -1 {
			t.Fatalf("%s exists, but was not written", key)
		}
	}
	// The history of the hot object has no gap in the acknowledged values, as far back as there are
	// versions.
	if _, ok := found["hot"]; !ok {
		return
	}
	attrs, err := s.Bucket.Attributes(t.Context(), "hot")
	if err != nil || attrs.Metadata["n"] != strconv.Itoa(found["hot"]) {
		t.Fatalf("hot is %d and has the attributes %v, %v", found["hot"], attrs, err)
	}
	var past []int
	for _, content := range history(t, s, "hot") {
		n, err := unsealed([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		past = append(past, n)
	}
	if len(past) > 17+unpruned { // the current one, 16 versions, and those that killed processes did not prune
		t.Fatalf("the history of hot is %v, want at most %d", past, 17+unpruned)
	}
	for i, n := range past {
		if i > 0 && n != past[i-1]-1 && past[i-1]%100000 != 0 {
			t.Fatalf("the history of hot is %v", past)
		}
	}
	if n := min(17, acked["hot"]%100000+1); len(past) < n {
		t.Fatalf("the history of hot is %v, want at least %d", past, n)
	}
}
