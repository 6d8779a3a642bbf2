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

// stopWithin is what a daemon gets to end by itself before it is killed. All of a Ceph take
// five seconds on a busy machine.
const stopWithin = 30 * time.Second

// errDied means that a daemon ended while the server still needed it. Its usual
// reason is a port that another process took in the meantime.
var errDied = errors.New("ended early")

// A group is the processes of one server. One thread, which lives as long as they do,
// starts them all: the kernel is asked to kill them when the thread that made them
// ends, and any other thread of a Go program may end long before the program.
type group struct {
	dir    string // out/NAME there holds what each process said
	logs   string // the directory with the logs of the daemons, if it is another one
	ports  *ports // nil for a group without daemons
	starts chan func()
	died   chan struct{} // closed when a daemon ended that was not stopped

	mu       sync.Mutex
	daemons  []*daemon
	stopping bool
	why      error // valid once died is closed
}

type daemon struct {
	name  string
	cmd   *exec.Cmd
	done  chan struct{}    // closed when it was reaped
	again func() *exec.Cmd // starts it once more, should it crash; nil: that is the end
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

// launch starts a process of the group. cmd.Env is added to a clean environment.
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

// start starts a daemon. If it ends before stop, died is closed.
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

// watch waits for the end of a daemon, and starts one that is kept once more.
func (g *group) watch(d *daemon) {
	err := d.cmd.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopping && g.why == nil && d.lives > 0 {
		d.lives--
		fmt.Fprintf(os.Stderr, "testcloud: %s ended (%v) and is started once more%s\n", d.name, err, g.said(d.name))
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
	g.why = fmt.Errorf("%s %w (%v)%s", d.name, errDied, err, g.said(d.name))
	close(g.died)
}

// keep has the daemon called name started once more when it crashes, up to three times.
// It is for one whose state others hold.
func (g *group) keep(name string, again func() *exec.Cmd) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.daemons {
		if d.name == name {
			d.again, d.lives = again, 3
		}
	}
}

// run runs a tool to its end and returns an error with what it said, unless it exits 0.
func (g *group) run(name string, cmd *exec.Cmd) error {
	if err := g.launch(cmd, name); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return g.or(fmt.Errorf("%s: %w%s", name, err, g.said(name)))
	}
	return nil
}

// or returns why a daemon ended, for which err is no more than the consequence, or else err.
func (g *group) or(err error) error {
	select {
	case <-g.died:
		return g.why
	default:
		return err
	}
}

// within returns a context that ends with ctx or with the first daemon.
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

// stop ends the daemons, last started first, with sig and, should that not help,
// with SIGKILL; when it returns all of them are reaped. A second stop does nothing.
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
	defer close(g.starts) // not before: with their thread the daemons would be killed
	// A daemon that ended before is why tests have failed, and nothing else reports it.
	errs := []error{g.or(nil)}
	for _, d := range slices.Backward(daemons) {
		d.cmd.Process.Signal(sig) // an error means that it has ended
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

// pids returns the process ids of the daemons, in the order of their start.
func (g *group) pids() (pids []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.daemons {
		pids = append(pids, d.cmd.Process.Pid)
	}
	return pids
}

func (g *group) out(name string) string { return filepath.Join(g.dir, "out", name) }

// saidLines is enough for the backtrace of a daemon that crashed.
const saidLines = 40

// said is the end of what a process wrote, and of its log, for an error text.
func (g *group) said(name string) string {
	var all []string
	logs, _ := filepath.Glob(filepath.Join(g.logs, "log", "*"+name+"*.log"))
	for _, path := range append([]string{g.out(name)}, logs...) {
		b, _ := os.ReadFile(path)
		lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
		all = append(all, lines[max(0, len(lines)-saidLines):]...)
	}
	if text := strings.TrimSpace(strings.Join(all, "\n\t")); text != "" {
		return ":\n\t" + text
	}
	return ""
}

// logged is the end of the log of a daemon, of at most n bytes.
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

// environment keeps proxies, profiles and a user's own cluster out of the servers: a
// gateway that fetches the keys of a loopback issuer must not ask a proxy for them.
func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"}
}

// RunGroup runs a command to its end, with all that it starts: when ctx ends they are
// asked to end, and what is left of them soon after, or when the command has ended, is
// killed. The command does not outlive this process.
func RunGroup(ctx context.Context, cmd *exec.Cmd) error {
	cmd.WaitDelay = toolGrace
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the command dies with its thread
		cmd.SysProcAttr = dieWithThread()
		if err := cmd.Start(); err != nil {
			ended <- err
			return
		}
		signal := func(sig syscall.Signal) {
			if signalGroup(cmd, sig) != nil { // none is left, or there are no groups
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
