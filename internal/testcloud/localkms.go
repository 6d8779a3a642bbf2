package testcloud

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// LocalKMSVersion is the version of github.com/nsmithuk/local-kms that is installed. It has no tag.
const LocalKMSVersion = "v0.0.0-20260228092603-2a5e92d09ab6"

// The handler of local-kms is built with another main package, because the one of local-kms listens
// on every address of the machine.
var (
	//go:embed localkms.mod
	localKMSModule []byte
	//go:embed localkms.sum
	localKMSSums []byte
	//go:embed localkms.go.txt
	localKMSProgram []byte
)

// A LocalKMS is a running local-kms: the API of AWS KMS with keys, aliases and key states, but
// without signatures and policies, so every caller is allowed everything. The caller must call Stop.
type LocalKMS struct {
	URL     string // http://127.0.0.1:port
	Region  string
	Account string

	group *group
	dir   *dir
}

// LocalKMSOptions configures [StartLocalKMS]. Nil, or the zero value, is ready to use.
type LocalKMSOptions struct {
	// Dir is the directory for the keys. It must be empty or absent, and Stop keeps it. "" means a
	// temporary directory, which Stop removes.
	Dir string

	// Log receives the name and the duration of each step of the start. Nil means no log.
	Log io.Writer
}

// InstallLocalKMS builds local-kms into the user's cache directory, unless it is already
// there. For log, see [InstallRGW].
func InstallLocalKMS(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := localKMSPath(); return err }, func() error {
		path, err := localKMSPlace()
		if err != nil {
			return err
		}
		announce(log, "installing local-kms %s with go build, about a minute: one file of 13 MB, %s", LocalKMSVersion, path)
		// The program is built in another directory and renamed, so a build that was killed leaves
		// no program.
		tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		for name, text := range map[string][]byte{"go.mod": localKMSModule, "go.sum": localKMSSums, "main.go": localKMSProgram} {
			if err := os.WriteFile(filepath.Join(tmp, name), text, 0o600); err != nil {
				return err
			}
		}
		program := filepath.Join(tmp, "local-kms")
		env := []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=", "GOARCH=", "CGO_ENABLED=0"}
		if err := tool(ctx, log, toolGrace, env, "go", "-C", tmp, "build", "-p=2", "-trimpath", "-ldflags=-s -w", "-o", program, "."); err != nil {
			return err
		}
		return os.Rename(program, path)
	})
}

// StartLocalKMS starts a server without keys. ctx limits only the start. After an error no process
// runs, and no temporary directory remains. StartLocalKMS does not install local-kms; see
// [InstallLocalKMS].
func StartLocalKMS(ctx context.Context, o *LocalKMSOptions) (*LocalKMS, error) {
	if o == nil {
		o = new(LocalKMSOptions)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("local-kms does not respond after %v", startWithin))
	defer cancel()
	path, err := localKMSPath()
	if err != nil {
		return nil, err
	}
	return onFreePorts(o.Dir, func() (*LocalKMS, error) { return startLocalKMS(ctx, path, o) })
}

func startLocalKMS(ctx context.Context, path string, o *LocalKMSOptions) (_ *LocalKMS, err error) {
	step := steps(o.Log)
	d, g, err := newHost(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	k := &LocalKMS{URL: fmt.Sprintf("http://127.0.0.1:%d", g.ports.first), Region: Region, Account: "111122223333", group: g, dir: d}
	defer func() {
		if err != nil {
			k.Stop()
		}
	}()
	cmd := exec.Command(path, strings.TrimPrefix(k.URL, "http://"), k.Region, k.Account, filepath.Join(d.path, "keys"))
	if err := g.start("local-kms", cmd); err != nil {
		return nil, err
	}
	ctx, cancel := g.within(ctx)
	defer cancel()
	if err := waitForResponse(ctx, k.URL); err != nil {
		return nil, err
	}
	step("first response")
	if _, err := k.Client().ListKeys(ctx, nil); err != nil {
		return nil, g.reasonOr(fmt.Errorf("local-kms does not list its keys: %w", err))
	}
	step("ready")
	return k, nil
}

// Client returns a client of the server.
func (k *LocalKMS) Client() *kms.Client {
	return kms.New(kms.Options{
		Region: k.Region, BaseEndpoint: aws.String(k.URL),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// NewKey creates a key for encryption and returns its ARN.
func (k *LocalKMS) NewKey(ctx context.Context) (arn string, err error) {
	out, err := k.Client().CreateKey(ctx, nil)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.KeyMetadata.Arn), nil
}

// Stop ends the server, waits for it, and removes a temporary directory. A second Stop does nothing.
func (k *LocalKMS) Stop() error { return stop(k.group, k.dir) }

// PIDs returns the process id of the server.
func (k *LocalKMS) PIDs() []int { return k.group.pids() }

// localKMSPlace returns the path at which the pinned version is installed.
func localKMSPlace() (string, error) {
	cache, err := cacheDir()
	return filepath.Join(cache, "local-kms-"+LocalKMSVersion), err
}

// localKMSPath returns the path of the program, or an error that wraps [ErrNotInstalled].
func localKMSPath() (string, error) {
	if unsupported != "" {
		return "", fmt.Errorf("%w: %s", ErrNotInstalled, unsupported)
	}
	path, err := localKMSPlace()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	return path, nil
}
