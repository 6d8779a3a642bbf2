package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// newCommand builds the command and gives it a new home directory.
func newCommand(b *testing.B) func(args ...string) *exec.Cmd {
	dir := b.TempDir()
	binary := filepath.Join(dir, "vault")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/vault")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return func(args ...string) *exec.Cmd {
		c := exec.Command(binary, args...)
		c.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		c.Stderr = os.Stderr
		return c
	}
}

// BenchmarkStart measures a complete process, from fork to exit.
func BenchmarkStart(b *testing.B) {
	command := newCommand(b)
	mustRun(b, command("init", "--quiet"))
	put := command("put", "openrouter", "--quiet")
	put.Stdin = strings.NewReader("sk-demo")
	mustRun(b, put)
	b.Run("true", func(b *testing.B) { // the minimum cost of any process
		for b.Loop() {
			mustRun(b, exec.Command("true"))
		}
	})
	b.Run("version", func(b *testing.B) {
		for b.Loop() {
			mustRun(b, command("version"))
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			mustRun(b, command("get", "openrouter"))
		}
	})
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			put := command("put", "openrouter", "--quiet")
			put.Stdin = strings.NewReader("sk-demo")
			mustRun(b, put)
		}
	})
}

var memorySizes = []struct {
	name string
	n    int64
}{{"1KiB", kib}, {"1MiB", mib}, {"16MiB", 16 * mib}, {"128MiB", 128 * mib}, {"512MiB", 512 * mib}, {"2GiB", 2 * gib}}

// BenchmarkMemory reports the peak resident memory of a put and a get, by the size of the value.
func BenchmarkMemory(b *testing.B) {
	command := newCommand(b)
	mustRun(b, command("init", "--quiet"))
	for _, size := range memorySizes {
		b.Run("put/"+size.name, func(b *testing.B) {
			b.SetBytes(size.n)
			peak := 0.0
			for b.Loop() {
				put := command("put", size.name, "--quiet")
				put.Stdin = io.LimitReader(pattern{}, size.n)
				peak = max(peak, watch(b, put))
			}
			b.ReportMetric(peak, "peak-MiB")
		})
		b.Run("get/"+size.name, func(b *testing.B) {
			b.SetBytes(size.n)
			peak := 0.0
			for b.Loop() {
				var w discard
				get := command("get", size.name)
				get.Stdout = &w
				peak = max(peak, watch(b, get))
				if w.n != size.n {
					b.Fatalf("got %d bytes of %d", w.n, size.n)
				}
			}
			b.ReportMetric(peak, "peak-MiB")
		})
	}
}

func mustRun(b *testing.B, c *exec.Cmd) {
	b.Helper()
	if err := c.Run(); err != nil {
		b.Fatalf("%v: %v", c.Args[1:], err)
	}
}

// watch runs c and returns its peak resident memory in MiB, or zero if there is no /proc. It reads
// the kernel's high water mark every millisecond, because the value from wait(2) includes the
// memory of the process that forked.
func watch(b *testing.B, c *exec.Cmd) (peak float64) {
	b.Helper()
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, highWater(c.Process.Pid))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	err := c.Wait()
	close(stop)
	<-stopped
	if err != nil {
		b.Fatalf("%v: %v", c.Args[1:], err)
	}
	return peak
}

// highWater returns the high water mark of a process and of its children, such as those of a pipe.
func highWater(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	fmt.Sscan(rest, &kib)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // empty without CONFIG_PROC_CHILDREN
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			kib += 1024 * highWater(n)
		}
	}
	return kib / 1024
}
