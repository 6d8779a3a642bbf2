package testcloud

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Versity is a running versitygw: S3 on top of a directory, with versioning, conditional writes
// and bucket policies as on AWS, but without lifecycle and STS. The caller must call Stop.
type Versity struct {
	URL     string // http://127.0.0.1:port
	Region  string
	Root    Keys
	Version string // for example 1.8.0

	group *group
	dir   *dir
	path  string // the path of the program
}

// VersityOptions configures [StartVersity]. Nil, or the zero value, is ready to use.
type VersityOptions struct {
	// AccessLog makes the gateway write its access log: see [Versity.AccessLog].
	AccessLog bool

	// Dir is the directory for the data. It must be empty or absent, on a file system with extended
	// attributes, and Stop keeps it. "" means a temporary directory, which Stop removes.
	Dir string

	// Log receives the name and the duration of each step of the start. Nil means no log.
	Log io.Writer
}

// StartVersity starts a gateway for an empty directory. ctx limits only the start. After an error
// no process runs, and no temporary directory remains. StartVersity does not install versitygw; see
// [InstallVersity].
func StartVersity(ctx context.Context, o *VersityOptions) (*Versity, error) {
	if o == nil {
		o = new(VersityOptions)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("versitygw does not respond after %v", startWithin))
	defer cancel()
	path, err := versityPath()
	if err != nil {
		return nil, err
	}
	return onFreePorts(o.Dir, func() (*Versity, error) { return startVersity(ctx, path, o) })
}

func startVersity(ctx context.Context, path string, o *VersityOptions) (_ *Versity, err error) {
	step := steps(o.Log)
	d, g, err := newHost(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	v := &Versity{Region: Region, Root: newKeys("root"), group: g, dir: d, path: path}
	defer func() {
		if err != nil {
			v.Stop()
		}
	}()
	info, err := buildinfo.ReadFile(path) // the program prints only "git"
	if err != nil {
		return nil, err
	}
	v.Version = strings.TrimPrefix(info.Main.Version, "v")

	data, versions, users := filepath.Join(d.path, "data"), filepath.Join(d.path, "ver"), filepath.Join(d.path, "iam")
	for _, dir := range []string{data, versions, users} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	address := fmt.Sprintf("127.0.0.1:%d", g.ports.first)
	v.URL = "http://" + address
	args := []string{"--quiet", "--keep-alive", "--port", address, "--iam-dir", users, "--health", "/healthz"}
	if o.AccessLog {
		args = append(args, "--access-log", v.AccessLog())
	}
	cmd := exec.Command(path, append(args, "posix", "--versioning-dir", versions, data)...)
	cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + v.Root.AccessKeyID, "ROOT_SECRET_ACCESS_KEY=" + v.Root.SecretKey}
	if err := g.start("versitygw", cmd); err != nil {
		return nil, err
	}
	ctx, cancel := g.within(ctx)
	defer cancel()
	if err := waitForResponse(ctx, v.URL+"/healthz"); err != nil {
		return nil, err
	}
	step("first response")
	if _, err := S3Client(v.URL, v.Root).ListBuckets(ctx, nil); err != nil {
		return nil, g.reasonOr(fmt.Errorf("versitygw does not know its root user: %w", err))
	}
	step("ready")
	return v, nil
}

// AddUser creates a user who may create buckets, and use buckets whose policies allow it. The
// access key id begins with name, and is the principal in policies.
func (v *Versity) AddUser(ctx context.Context, name string) (Keys, error) {
	k := newKeys(name)
	cmd := exec.CommandContext(ctx, v.path, "admin", "create-user", "--access", k.AccessKeyID, "--secret", k.SecretKey, "--role", "userplus")
	cmd.Env = []string{"ADMIN_ENDPOINT_URL=" + v.URL, "ADMIN_ACCESS_KEY_ID=" + v.Root.AccessKeyID, "ADMIN_SECRET_ACCESS_KEY=" + v.Root.SecretKey}
	return k, v.group.run("user."+k.AccessKeyID, cmd)
}

// Stop ends the gateway, waits for it, and removes a temporary directory. A second Stop does
// nothing.
func (v *Versity) Stop() error { return stop(v.group, v.dir) }

// AccessLog returns the path of the log with a line for each request, if [VersityOptions].AccessLog is set. The
// gateway writes a line before the end of the response.
func (v *Versity) AccessLog() string { return filepath.Join(v.dir.path, "access.log") }

// PIDs returns the process id of the gateway.
func (v *Versity) PIDs() []int { return v.group.pids() }
