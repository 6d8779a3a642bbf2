package testcloud_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// until calls done every few milliseconds, for at most two minutes, until it returns true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(2*time.Minute)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not true after two minutes: %s", what)
		}
	}
}

// hasEnded reports whether no process has this id, not even a zombie of this process.
func hasEnded(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// free reports whether the port of rawURL is free.
func free(t *testing.T, rawURL string) bool {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// If a test binary is killed, its daemons end, too, and the next start removes their files.
func TestKilledParent(t *testing.T) {
	if testing.Short() {
		t.Skip("the kernel ends the servers, so there is nothing for the race detector")
	}
	testcloud.RequireRGW(t) // installs both servers
	testcloud.RequireVersity(t)
	tmp := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), childVar+"=1", "TMPDIR="+tmp), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	var r running
	if err := json.Unmarshal(line, &r); err != nil || len(r.PIDs) != 4 {
		t.Fatalf("the child printed %s: %v", line, err)
	}
	t.Cleanup(func() { // ends daemons that survived
		for _, pid := range r.PIDs {
			if name, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && strings.HasPrefix(name, tmp) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	for _, pid := range r.PIDs {
		// The process that adopts orphans may reap them late, so a zombie counts as ended.
		until(t, fmt.Sprintf("process %d ends", pid), func() bool { return hasEnded(pid) || zombie(pid) })
	}
	for _, u := range r.URLs {
		until(t, "the port of "+u+" is free", func() bool { return free(t, u) })
	}

	left := dirs(t, tmp)
	if len(left) != 2 {
		t.Fatalf("after the kill %q remain, want two directories", left)
	}
	t.Setenv("TMPDIR", tmp)
	v, err := testcloud.StartVersity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Stop()
	for _, dir := range left {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the next start %s still exists: %v", dir, err)
		}
	}
	if now := dirs(t, tmp); len(now) != 1 {
		t.Errorf("the running server has the directories %q", now)
	}
}

// A server continues to run after the thread that started it has ended.
func TestOutlivesThread(t *testing.T) {
	testcloud.RequireVersity(t)
	var v *testcloud.Versity
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		v, err = testcloud.StartVersity(t.Context(), nil)
	}()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	defer v.Stop()
	for range 200 {
		if _, err := testcloud.S3Client(v.URL, v.Root).ListBuckets(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func dirs(t *testing.T, tmp string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(tmp, "ovtc-*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(b), ") ")
	return err == nil && strings.HasPrefix(after, "Z")
}
