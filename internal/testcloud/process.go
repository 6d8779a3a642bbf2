package testcloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopWithin is how long a daemon may take to exit before it is killed. On a busy machine, all
// daemons of a Ceph together take five seconds.
const stopWithin = 30 * time.Second

// errDied means that a daemon ended while the server still needed it, usually because another
// process took its port.
var errDied = errors.New("ended early")

// A group is the processes of one server. A single thread starts all of them and lives as long as
// they do. The kernel kills a process when the thread that started it ends, and other threads of a
// Go program may end before the program.
type group struct {
	dir    string // its file out/NAME contains the output of a process
	logs   string // the directory with the logs of the daemons, if it is not dir
	ports  *ports // nil for a group without daemons
	starts chan func()
	died   chan struct{} // closed when a daemon ends unexpectedly

	mu       sync.Mutex
	daemons  []*daemon
	stopping bool
	why      error // valid when died is closed
}

type daemon struct {
	name  string
	cmd   *exec.Cmd
	done  chan struct{}    // closed when the process was reaped
	again func() *exec.Cmd // returns a command that restarts the daemon after a crash; nil means no restart
	lives int
}

func newGroup(dir string, p *ports) (*group, error) {
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o700); err != nil {
		return nil, err
	}
	g := &group{dir: dir, logs: dir, ports: p, starts: make(chan func()), died: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for start := range g.starts {
			start()
		}
	}()
	return g, nil
}

// launch starts a process of the group. cmd.Env extends a minimal environment.
func (g *group) launch(cmd *exec.Cmd, name string) error {
	out, err := os.OpenFile(g.out(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Dir, cmd.Env = g.dir, append(environment(g.dir), cmd.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithThread()
	started := make(chan error)
	g.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// start starts a daemon. If the daemon ends before stop, start closes died.
func (g *group) start(name string, cmd *exec.Cmd) error {
	d := &daemon{name: name, cmd: cmd, done: make(chan struct{})}
	if err := g.launch(cmd, name); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.daemons = append(g.daemons, d)
	go g.watch(d)
	return nil
}

// watch waits until a daemon ends. If the daemon has a restart command, watch starts it again.
func (g *group) watch(d *daemon) {
	err := d.cmd.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopping && g.why == nil && d.lives > 0 {
		d.lives--
		fmt.Fprintf(os.Stderr, "testcloud: %s ended (%v) and is started once more%s\n", d.name, err, g.output(d.name))
		cmd := d.again()
		if err := g.launch(cmd, d.name); err == nil {
			d.cmd = cmd
			go g.watch(d)
			return
		}
	}
	close(d.done)
	if g.stopping || g.why != nil {
		return
	}
	g.why = fmt.Errorf("%s %w (%v)%s", d.name, errDied, err, g.output(d.name))
	close(g.died)
}

// restartOnCrash makes the group restart the named daemon when it crashes, up to three times. This requires a
// daemon whose state other daemons store.
func (g *group) restartOnCrash(name string, again func() *exec.Cmd) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.daemons {
		if d.name == name {
			d.again, d.lives = again, 3
		}
	}
}

// run runs a tool to its end. If the tool does not exit with 0, the error contains its output.
func (g *group) run(name string, cmd *exec.Cmd) error {
	if err := g.launch(cmd, name); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return g.reasonOr(fmt.Errorf("%s: %w%s", name, err, g.output(name)))
	}
	return nil
}

// reasonOr returns the reason why a daemon ended, because err is only the consequence. If no daemon
// ended, it returns err.
func (g *group) reasonOr(err error) error {
	select {
	case <-g.died:
		return g.why
	default:
		return err
	}
}

// within returns a context that ends with ctx, or when a daemon ends.
func (g *group) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-g.died:
			cancel(g.why)
		case <-stop:
		}
	}()
	return ctx, sync.OnceFunc(func() { close(stop); cancel(nil) })
}

// stop ends the daemons in reverse order, with sig and if necessary with SIGKILL. When it returns,
// all are reaped. A second stop does nothing.
func (g *group) stop(sig syscall.Signal) error {
	g.mu.Lock()
	if g.stopping {
		g.mu.Unlock()
		return nil
	}
	g.stopping = true
	daemons := slices.Clone(g.daemons)
	g.mu.Unlock()
	if g.ports != nil {
		defer g.ports.release()
	}
	defer close(g.starts) // must be last: the daemons are killed when their thread ends
	// A daemon that ended earlier made tests fail, and nothing else reports it.
	errs := []error{g.reasonOr(nil)}
	for _, d := range slices.Backward(daemons) {
		d.cmd.Process.Signal(sig) // an error means that the process has ended
		slow := time.NewTimer(stopWithin)
		select {
		case <-d.done:
		case <-slow.C:
			errs = append(errs, fmt.Errorf("%s did not end within %v and was killed", d.name, stopWithin))
			d.cmd.Process.Kill()
			<-d.done
		}
		slow.Stop()
	}
	return errors.Join(errs...)
}

// pids returns the process ids of the daemons, in the order in which they were started.
func (g *group) pids() (pids []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.daemons {
		pids = append(pids, d.cmd.Process.Pid)
	}
	return pids
}

func (g *group) out(name string) string { return filepath.Join(g.dir, "out", name) }

// outputLines is enough for the backtrace of a daemon that crashed.
const outputLines = 40

// output returns the end of the output and of the log of a process, for an error message.
func (g *group) output(name string) string {
	var all []string
	logs, _ := filepath.Glob(filepath.Join(g.logs, "log", "*"+name+"*.log"))
	for _, path := range append([]string{g.out(name)}, logs...) {
		b, _ := os.ReadFile(path)
		lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
		all = append(all, lines[max(0, len(lines)-outputLines):]...)
	}
	if text := strings.TrimSpace(strings.Join(all, "\n\t")); text != "" {
		return ":\n\t" + text
	}
	return ""
}

// logged returns at most the last n bytes of the log of a daemon.
func (g *group) logged(name string, n int64) (text string) {
	paths, _ := filepath.Glob(filepath.Join(g.logs, "log", "*"+name+"*.log"))
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Size() > n {
			f.Seek(-n, io.SeekEnd)
		}
		b, _ := io.ReadAll(f)
		f.Close()
		text += string(b)
	}
	return text
}

// environment returns a minimal environment without proxies, profiles and the user's own cluster. A
// gateway that fetches the keys of a loopback issuer must not use a proxy.
func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"}
}

// RunGroup runs a command and its children to their end. When ctx ends, RunGroup sends them
// SIGTERM. Soon afterwards, or when the command has ended, it kills the remaining processes. The
// command does not outlive this process.
func RunGroup(ctx context.Context, cmd *exec.Cmd) error {
	cmd.WaitDelay = toolGrace
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the command ends with its thread
		cmd.SysProcAttr = dieWithThread()
		if err := cmd.Start(); err != nil {
			ended <- err
			return
		}
		signal := func(sig syscall.Signal) {
			if signalGroup(cmd, sig) != nil { // no process remains, or this system has no process groups
				cmd.Process.Kill()
			}
		}
		done := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			signal(syscall.SIGTERM)
			select {
			case <-time.After(toolGrace):
				signal(syscall.SIGKILL)
			case <-done:
			}
		})
		err := cmd.Wait()
		close(done)
		stop()
		signal(syscall.SIGKILL)
		ended <- err
	}()
	return <-ended
}
