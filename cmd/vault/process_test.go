//go:build !windows

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A home is a separate home directory in which the command runs.
type home struct {
	t   *testing.T
	dir string
}

func newHome(t *testing.T) home {
	h := home{t, t.TempDir()}
	h.run(nil, 0, "init")
	return h
}

func (h home) command(args ...string) *exec.Cmd {
	cmd := exec.Command("vault", args...)
	cmd.Env = []string{"HOME=" + h.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + h.dir, "GORACE=" + os.Getenv("GORACE")}
	cmd.Dir = h.dir
	return cmd
}

// run runs a command, checks its exit code, and returns its output.
func (h home) run(in io.Reader, code int, args ...string) (stdout, stderr string) {
	h.t.Helper()
	cmd := h.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		h.t.Fatalf("vault %q: %v", args, err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		h.t.Errorf("vault %q: exit code %d, want %d: %s", args, got, code, &errs)
	}
	return out.String(), errs.String()
}

// TestNoSecretAnywhere: a value given to put occurs in no argv, no error and no file of the store. Of
// all outputs, only those of get and of the program that exec runs contain it.
func TestNoSecretAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other")
	}
	const secret = "sk-live-N0tT0BeSeenAnywhere"
	forms := map[string]string{
		"as it is": secret, "half of it": secret[8:20], "in hex": hex.EncodeToString([]byte(secret)),
		"in base64": base64.StdEncoding.EncodeToString([]byte(secret))[:30],
	}
	look := func(where, text string) {
		t.Helper()
		for how, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s contains the secret %s", where, how)
			}
		}
	}
	h := newHome(t)
	in := func() io.Reader { return strings.NewReader(secret) }
	object := filepath.Join(h.dir, ".local/share/objectvault/store/bots/default/credentials/a.enc")
	flip := func() {
		data, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if err := os.WriteFile(object, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		code int
		args string
		do   func()
	}{
		{0, "put a", nil}, {0, "put a --json --verbose", nil}, {0, "put a - -v --label k=v --expires 1d", nil},
		{11, "put a --create -v", nil}, {11, "put a --create --json", nil}, {11, "put a --if-revision 1", nil},
		{2, "put a//b", nil}, {2, "put a " + secret, nil}, {2, "put a -- -" + secret, nil}, {2, "put a -" + secret, nil}, {2, "put a --if-revision " + secret, nil},
		{2, "put a --create=" + secret, nil}, {2, "put a x " + secret, nil}, {2, "put a --expires " + secret, nil}, {2, "put a --label " + secret, nil},
		{2, "put a --store s3://b", nil}, {16, "put a --keys local:///none", nil},
		{2, "exec --env A=" + secret + "// -- true", nil}, {0, "exec --env A=a -v -- true", nil}, {127, "exec --env A=a -- no-such", nil},
		{0, "ls -v", nil}, {0, "ls --long --json -v", nil}, {0, "stat a -v", nil}, {0, "stat a --json", nil}, {0, "history a -v", nil}, {0, "history a --json", nil},
		{0, "get a -o out -v", nil}, {0, "get a -o out --json", nil}, {0, "rollback a @2 -v --json", nil}, {0, "version", nil}, {0, "help put", nil},
		{15, "get a -v", flip}, {15, "get a --json", nil}, {15, "exec --env A=a -- true", nil}, {15, "rollback a @1", nil},
		{0, "put a", nil}, {0, "rm a -v", nil}, {10, "get a", nil}, {0, "undelete a -v", nil}, {0, "teardown --yes --json -v", nil}, {0, "init", nil},
	} {
		if step.do != nil {
			step.do()
		}
		args := strings.Fields(step.args)
		out, errs := h.run(in(), step.code, args...)
		look("the output of "+args[0], out)
		look("stderr of "+args[0], errs)
	}
	// The program that exec runs has the secret in its environment only.
	h.run(in(), 0, "put", "a", "-q")
	if _, err := os.Stat("/proc/self/cmdline"); err == nil {
		out, _ := h.run(nil, 0, "exec", "--env", "A=a", "--", "sh", "-c", "cat /proc/$$/cmdline; ls -l /proc/$$/fd; test -n \"$A\"")
		look("argv or the open files of the program", out)
		// The same holds for put while it waits for the rest of its value.
		cmd := h.command("put", "b")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(stdin, secret)
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, file))
			if err != nil {
				t.Fatal(err)
			}
			look("put's "+file, string(text))
		}
		stdin.Close()
		cmd.Wait()
	}
	os.Remove(filepath.Join(h.dir, "out")) // get -o wrote the value here
	files := 0
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		look("a file name", path)
		if d.Type().IsRegular() {
			files++
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			look(path, string(text))
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files were searched, %v", files, err)
	}
	// The search would find the secret: get does write it.
	if out, _ := h.run(nil, 0, "get", "a"); out != secret {
		t.Errorf("get wrote %q", out)
	}
}

// TestKillPut: if put is killed, the previous value stays, and no temporary file is left.
func TestKillPut(t *testing.T) {
	h := newHome(t)
	h.run(strings.NewReader("old"), 0, "put", "a", "-q")
	for i := range 12 {
		cmd := h.command("put", "a")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// More than fits into the pipes, so that put is still reading when this function returns.
		if _, err := stdin.Write(make([]byte, 3<<20+i*65536)); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		if out, _ := h.run(nil, 0, "get", "a"); out != "old" {
			t.Fatalf("get wrote %d bytes after a kill", len(out))
		}
	}
	if out, _ := h.run(nil, 0, "history", "a"); strings.Count(out, "\n") != 1 {
		t.Errorf("history after the kills:\n%s", out)
	}
	h.run(strings.NewReader("new"), 0, "put", "a", "-q")
	if left, err := os.ReadDir(filepath.Join(h.dir, ".local/share/objectvault/store/.objectvault/tmp")); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files are left, %v", len(left), err)
	}
}

// TestInterrupted: a signal ends the command, whatever it is waiting for. The exit code is the one that
// a shell reports for the signal.
func TestInterrupted(t *testing.T) {
	h := newHome(t)
	h.run(bytes.NewReader(make([]byte, 1<<20)), 0, "put", "big", "-q")
	if err := syscall.Mkfifo(filepath.Join(h.dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what string
		args []string
	}{
		{"a value on stdin", []string{"put", "a"}},
		{"the other end of a pipe", []string{"put", "a", "fifo"}},
		{"a key on stdin", []string{"init", "--keys", "local://" + h.dir + "/other", "--import", "-"}},
		{"a reader of stdout", []string{"get", "big"}},
	} {
		for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
			// The signal kills a process that has not reached main yet. The next try waits longer.
			for wait := 100 * time.Millisecond; ; wait *= 2 {
				died, code, errs := h.interrupt(sig, wait, tc.args)
				if died && wait < 10*time.Second {
					continue
				}
				if died || code != want || !strings.Contains(errs, "interrupted") {
					t.Errorf("waiting for %s, %v: exit code %d, stderr %q", tc.what, sig, code, errs)
				}
				break
			}
		}
	}
	if out, _ := h.run(nil, 0, "ls"); out != "big\n" {
		t.Errorf("ls = %q", out)
	}
}

// interrupt runs a command that waits without end, and sends it sig after the given time.
func (h home) interrupt(sig syscall.Signal, wait time.Duration, args []string) (died bool, code int, stderr string) {
	h.t.Helper()
	cmd := h.command(args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	defer stdin.Close()
	if _, err = cmd.StdoutPipe(); err != nil {
		h.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	signal := time.AfterFunc(wait, func() { cmd.Process.Signal(sig) })
	kill := time.AfterFunc(wait+20*time.Second, func() { cmd.Process.Kill() })
	defer signal.Stop()
	defer kill.Stop()
	state, err := cmd.Process.Wait()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Wait() // waits for its stderr
	status := state.Sys().(syscall.WaitStatus)
	return status.Signaled() && status.Signal() == sig, state.ExitCode(), errs.String()
}

// TestFullDisk: a put that does not fit on the disk fails with the kind no_space, and the previous
// value stays.
func TestFullDisk(t *testing.T) {
	h := newHome(t)
	disk := smallDisk(t)
	store := "file://" + disk + "/store"
	h.run(strings.NewReader("old"), 0, "put", "a", "-q", "--store", store)
	_, errs := h.run(bytes.NewReader(make([]byte, 4<<20)), 1, "put", "a", "--store", store)
	if !strings.HasPrefix(errs, "vault: put a: ") || !strings.Contains(errs, "no space left") || !strings.Contains(errs, "vault: hint: nothing was changed; free some space and try again") {
		t.Errorf("stderr: %s", errs)
	}
	_, errs = h.run(bytes.NewReader(make([]byte, 4<<20)), 1, "put", "new", "--create", "--json", "--store", store)
	if !strings.Contains(errs, `"code":1,"kind":"no_space","op":"put","name":"new"`) {
		t.Errorf("stderr: %s", errs)
	}
	if out, _ := h.run(nil, 0, "ls", "--store", store); out != "a\n" {
		t.Errorf("ls = %q", out)
	}
	if out, _ := h.run(nil, 0, "get", "a", "--store", store); out != "old" {
		t.Errorf("get = %q", out)
	}
	// A file that does not fit is removed.
	h.run(bytes.NewReader(make([]byte, 4<<20)), 0, "put", "big", "-q")
	h.run(nil, 1, "get", "big", "-o", disk+"/big")
	if entries, err := os.ReadDir(disk); err != nil || len(entries) != 1 {
		t.Errorf("%v is left on the disk, %v", entries, err)
	}
	h.run(strings.NewReader("new"), 0, "put", "a", "-q", "--store", store)
}

// TestMemory: the memory that a command needs does not grow with the size of the value.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	// On Linux the peak of a child starts with the memory of this process, so the test runs in a new
	// process.
	const fresh = "OBJECTVAULT_TEST_FRESH"
	if os.Getenv(fresh) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMemory$")
		cmd.Env = append(os.Environ(), fresh+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	h := newHome(t)
	const length = 256 << 20
	peak := func(cmd *exec.Cmd) int64 {
		t.Helper()
		cmd.Stderr = os.Stderr
		forgetPeak()
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
		if runtime.GOOS == "darwin" {
			peak /= 1024
		}
		return peak
	}
	put := h.command("put", "big", "-q")
	put.Stdin = io.LimitReader(zeros{}, length)
	get := h.command("get", "big")
	count := &counting{}
	get.Stdout = count
	file := h.command("get", "big", "-o", "out")
	for _, cmd := range []*exec.Cmd{put, get, file} {
		if kib := peak(cmd); kib > 64<<10 {
			t.Errorf("vault %q used %d MiB", cmd.Args[1:], kib>>10)
		}
	}
	if count.n != length {
		t.Errorf("get wrote %d bytes", count.n)
	}
}

// forgetPeak resets the peak memory of this process. On Linux the peak of a child starts with it, and
// other tests may have used more than the limit.
func forgetPeak() {
	debug.FreeOSMemory()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // proc_pid_clear_refs(5)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }
