package testcloud

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/template"
	"time"
)

//go:embed ceph.conf.tmpl
var cephConfText string

// A cephConf contains the settings that differ between clusters. The other settings, with comments,
// are in ceph.conf.tmpl.
type cephConf struct {
	Dir, FSID, Store, STSKey                string
	MonPort, GatewayPort, OSDFirst, OSDLast int
	LifecycleSeconds                        int // duration of a lifecycle day; -1 means 24 hours
	OpsLog                                  bool
}

func newCephConf(dir string, p *ports, o *RGWOptions) (cephConf, error) {
	c := cephConf{
		Dir: dir, FSID: newUUID(), Store: o.Store, STSKey: rand.Text()[:16], LifecycleSeconds: -1, OpsLog: o.OpsLog,
		MonPort: p.first, GatewayPort: p.first + 1,
		OSDFirst: p.first + 2, OSDLast: p.first + blockSize - 1, // the OSD uses the first four free ports
	}
	switch c.Store {
	case "":
		c.Store = "memstore"
	case "memstore", "bluestore":
	default:
		return c, fmt.Errorf("store %q must be memstore or bluestore", c.Store)
	}
	if o.LifecycleDay > 0 {
		if o.LifecycleDay < time.Second {
			return c, fmt.Errorf("lifecycle day %v is shorter than a second", o.LifecycleDay)
		}
		c.LifecycleSeconds = int(o.LifecycleDay / time.Second)
	}
	return c, nil
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c cephConf) write(path string) error {
	t, err := template.New("ceph.conf").Parse(cephConfText)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, dir := range []string{"mon", "osd", "log", "crash"} {
		if err := os.MkdirAll(c.Dir+"/"+dir, 0o700); err != nil {
			return err
		}
	}
	return t.Execute(f, c)
}

// cephTools returns the paths of Ceph's programs, or an error that wraps [ErrNotInstalled].
func cephTools() (map[string]string, error) {
	if unsupported != "" {
		return nil, fmt.Errorf("%w: %s", ErrNotInstalled, unsupported)
	}
	tools := make(map[string]string)
	for _, name := range []string{"ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotInstalled, err)
		}
		tools[name] = path
	}
	return tools, nil
}

// cephVersion returns the version, such as 16.2.15, from "ceph version 16.2.15 (…) pacific
// (stable)".
func cephVersion(ctx context.Context, radosgw string) (string, error) {
	out, err := exec.CommandContext(ctx, radosgw, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("radosgw --version: %w", err)
	}
	words := strings.Fields(string(out))
	if len(words) < 3 || words[1] != "version" {
		return "", fmt.Errorf("radosgw --version printed %q", out)
	}
	return words[2], nil
}
