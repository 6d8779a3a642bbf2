package testcloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// startWithin limits the start of a server. It usually takes about a second, but many tests may run
// on the machine at once.
const startWithin = 3 * time.Minute

// An RGW is a running Ceph object gateway with a monitor and an OSD. It serves S3, IAM and STS on
// one loopback port. The caller must call Stop. For the methods in iam.go, a literal with URL and
// Owner is sufficient.
type RGW struct {
	URL    string // http://127.0.0.1:port
	Region string

	// Owner and Other are two users. Only Owner may call IAM, with the capabilities roles and
	// oidc-provider.
	Owner, Other Keys

	Version string // for example 16.2.15

	group *group
	dir   *dir
	conf  string
}

// RGWOptions configures [StartRGW]. Nil, or the zero value, is ready to use.
type RGWOptions struct {
	// Store is memstore or bluestore. memstore is the default. It writes nothing to the disk and is
	// limited to some gigabytes. bluestore uses a sparse file, for benchmarks and large objects,
	// and starts in 8 s.
	Store string

	// LifecycleDay is the duration of a day in lifecycle rules, in whole seconds. 0 means 24 hours.
	LifecycleDay time.Duration

	// OpsLog makes the gateway write its ops log, and count the requests: see [RGW.OpsLog],
	// [RGW.OpsLogSocket] and [RGW.Usage].
	OpsLog bool

	// Dir is the directory for data and logs. It must be empty or absent, and Stop keeps it. ""
	// means a temporary directory, which Stop removes.
	Dir string

	// Log receives the name and the duration of each step of the start. Nil means no log.
	Log io.Writer
}

// StartRGW starts a new cluster, which contains only its two users. ctx limits only the start.
// After an error no process runs, and no temporary directory remains. StartRGW does not install
// Ceph; see [InstallRGW].
func StartRGW(ctx context.Context, o *RGWOptions) (*RGW, error) {
	if o == nil {
		o = new(RGWOptions)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("radosgw does not respond after %v", startWithin))
	defer cancel()
	tools, err := cephTools()
	if err != nil {
		return nil, err
	}
	return onFreePorts(o.Dir, func() (*RGW, error) { return startRGW(ctx, tools, o) })
}

func startRGW(ctx context.Context, tools map[string]string, o *RGWOptions) (_ *RGW, err error) {
	step := steps(o.Log)
	d, g, err := newHost(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	r := &RGW{Region: Region, Owner: newKeys("owner"), Other: newKeys("other"), group: g, dir: d, conf: filepath.Join(d.path, "ceph.conf")}
	defer func() {
		if err != nil {
			r.Stop()
		}
	}()
	c, err := newCephConf(d.path, g.ports, o)
	if err != nil {
		return nil, err
	}
	if err := c.write(r.conf); err != nil {
		return nil, err
	}
	r.URL = fmt.Sprintf("http://127.0.0.1:%d", c.GatewayPort)

	ctx, cancel := g.within(ctx)
	defer cancel()
	run := func(name, tool string, args ...string) error {
		return g.run(name, exec.CommandContext(ctx, tools[tool], append([]string{"-c", r.conf}, args...)...))
	}
	daemon := func(tool string, args ...string) *exec.Cmd {
		return exec.Command(tools[tool], append([]string{"-c", r.conf, "-f"}, args...)...)
	}
	start := func(name, tool string, args ...string) error { return g.start(name, daemon(tool, args...)) }
	monmap, osd := filepath.Join(d.path, "monmap"), newUUID()
	if err := g.run("monmap", exec.CommandContext(ctx, tools["monmaptool"], "--create", "--clobber", "--fsid", c.FSID,
		"--addv", "a", fmt.Sprintf("[v2:127.0.0.1:%d/0]", c.MonPort), monmap)); err != nil {
		return nil, err
	}
	if err := run("mon.mkfs", "ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap); err != nil {
		return nil, err
	}
	if err := start("mon", "ceph-mon", "-i", "a"); err != nil {
		return nil, err
	}
	step("monitor")
	if err := run("osd.new", "ceph", "--connect-timeout", "150", "osd", "new", osd); err != nil {
		return nil, err
	}
	if err := run("osd.mkfs", "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd); err != nil {
		return nil, err
	}
	step("osd made")
	if err := start("osd", "ceph-osd", "-i", "0"); err != nil {
		return nil, err
	}
	if err := start("rgw", "radosgw", "-n", "client.rgw"); err != nil {
		return nil, err
	}
	if err := waitForResponse(ctx, r.URL); err != nil {
		return nil, err
	}
	step("first response")
	var all errgroup.Group
	all.Go(func() error { return r.addUsers(ctx, tools["radosgw-admin"]) })
	all.Go(func() (err error) { r.Version, err = cephVersion(ctx, tools["radosgw"]); return err })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	step("users")
	// If the gateway knows these keys, it is the one that was started here.
	if _, err := S3Client(r.URL, r.Other).ListBuckets(ctx, nil); err != nil {
		return nil, g.reasonOr(fmt.Errorf("radosgw does not know its user: %w", err))
	}
	// RGW 16.2.15 sometimes crashes while it deletes many objects. Its complete state is in the
	// OSD, and clients retry, so it can be restarted.
	g.restartOnCrash("rgw", func() *exec.Cmd { return daemon("radosgw", "-n", "client.rgw") })
	step("ready")
	return r, nil
}

// addUsers creates Owner and Other. Their user ids are their access key ids.
func (r *RGW) addUsers(ctx context.Context, admin string) error {
	user := func(k Keys, more ...string) error {
		args := []string{"-c", r.conf, "user", "create", "--uid=" + k.AccessKeyID, "--display-name=" + k.AccessKeyID,
			"--access-key=" + k.AccessKeyID, "--secret-key=" + k.SecretKey}
		create := func(log string) error {
			return r.group.run(log, exec.CommandContext(ctx, admin, append(args, more...)...))
		}
		err := create("user." + k.AccessKeyID)
		var exit *exec.ExitError
		if err == nil || ctx.Err() != nil || !errors.As(err, &exit) || exit.Exited() {
			return err
		}
		// radosgw-admin 16.2.15 sometimes crashes when it ends, after it has created the user.
		info := exec.CommandContext(ctx, admin, "-c", r.conf, "user", "info", "--uid="+k.AccessKeyID)
		if r.group.run("info."+k.AccessKeyID, info) == nil {
			return nil
		}
		return create("again." + k.AccessKeyID)
	}
	var all errgroup.Group
	all.Go(func() error { return user(r.Owner, "--caps=roles=*;oidc-provider=*") })
	all.Go(func() error { return user(r.Other) })
	return all.Wait()
}

// Stop ends the daemons, waits for them, and removes a temporary directory. A second Stop does
// nothing.
func (r *RGW) Stop() error {
	return stop(r.group, r.dir)
}

// OpsLog returns the path of the log with a line for each request, if [RGWOptions].OpsLog is set. The gateway
// writes a line shortly after the response.
func (r *RGW) OpsLog() string { return filepath.Join(r.dir.path, "log", "ops.log") }

// OpsLogSocket returns the path of a socket from which the records of the log can be read, too: those that no
// connection has read yet, and then each new one. There is no socket if the path is longer than 107 bytes.
func (r *RGW) OpsLogSocket() string { return filepath.Join(r.dir.path, "ops.sock") }

// Usage returns what radosgw-admin usage show prints: the number of requests that the gateway has counted. The
// requests of the last second can be missing.
func (r *RGW) Usage(ctx context.Context, args ...string) ([]byte, error) {
	tools, err := cephTools()
	if err != nil {
		return nil, err
	}
	for {
		out, err := exec.CommandContext(ctx, tools["radosgw-admin"], append([]string{"-c", r.conf, "usage", "show"}, args...)...).Output()
		// As in addUsers, it sometimes crashes when it ends.
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && !exit.Exited() && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("radosgw-admin usage show: %w", err)
		}
		return out, nil
	}
}

// PIDs returns the process ids of the monitor, the OSD and the gateway.
func (r *RGW) PIDs() []int { return r.group.pids() }

func stop(g *group, d *dir) error {
	sig := syscall.SIGTERM
	if d.held != nil { // the directory will be removed, so a crash is safe
		sig = syscall.SIGKILL
	}
	return errors.Join(g.stop(sig), d.remove())
}

// steps returns a function that writes the name and the duration of each step to w.
func steps(w io.Writer) func(string) {
	if w == nil {
		return func(string) {}
	}
	begin := time.Now()
	last := begin
	return func(name string) {
		now := time.Now()
		fmt.Fprintf(w, "%6.3fs  +%.3fs  %s\n", now.Sub(begin).Seconds(), now.Sub(last).Seconds(), name)
		last = now
	}
}
