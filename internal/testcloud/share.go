package testcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// serversVar names the variable with the file that [Share] wrote. The file describes the running
// servers. Tests that require a server use these servers instead of starting their own, with
// different users in each binary.
const serversVar = "OBJECTVAULT_TEST_SERVERS"

// A Shared is a Ceph and a versitygw that the tests of many binaries share. The caller must call
// Stop.
//
// local-kms is not shared, because it starts at once. SeaweedFS is not shared either. It reads its issuer and the allowed tags from a file when it starts, and
// each test binary has its own issuers. Each binary that requires SeaweedFS starts its own, which
// takes some seconds.
type Shared struct {
	rgw     *RGW
	versity *Versity
	dir     *dir
}

// A place describes the running servers to a test binary.
type place struct {
	PIDs    []int      // the process ids of the daemons, for diagnosis
	RGW     *rgwAt     `json:",omitempty"`
	Versity *versityAt `json:",omitempty"`
}

type rgwAt struct{ URL, Dir, Version string }

type versityAt struct {
	URL, Version string
	Root         Keys
}

// Share installs all servers, and starts Ceph and versitygw. The error lists the servers that are
// not available. As without Share, a test that requires a missing server installs and starts it, or
// is skipped.
func Share(ctx context.Context, log io.Writer) (*Shared, error) {
	d, err := newDir(ctx, "")
	if err != nil {
		return nil, err
	}
	s := &Shared{dir: d}
	var rgw, versity, weed, localKMS error
	var both errgroup.Group
	both.Go(func() error {
		if rgw = InstallRGW(ctx, log); rgw == nil {
			s.rgw, rgw = StartRGW(ctx, nil)
		}
		return nil
	})
	both.Go(func() error {
		if versity = InstallVersity(ctx, log); versity == nil {
			s.versity, versity = StartVersity(ctx, nil)
		}
		return nil
	})
	both.Wait()
	weed, localKMS = InstallWeed(ctx, log), InstallLocalKMS(ctx, log)
	var p place
	if rgw == nil {
		p.RGW = &rgwAt{s.rgw.URL, s.rgw.dir.path, s.rgw.Version}
	}
	if versity == nil {
		p.Versity = &versityAt{s.versity.URL, s.versity.Version, s.versity.Root}
	}
	p.PIDs = s.PIDs()
	text, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(s.file(), text, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, errors.Join(rgw, versity, weed, localKMS)
}

func (s *Shared) file() string { return filepath.Join(s.dir.path, "servers.json") }

// Env returns the environment variable that a test binary needs to use the servers.
func (s *Shared) Env() string { return serversVar + "=" + s.file() }

// PIDs returns the process ids of all daemons.
func (s *Shared) PIDs() (pids []int) {
	if s.rgw != nil {
		pids = s.rgw.PIDs()
	}
	if s.versity != nil {
		pids = append(pids, s.versity.PIDs()...)
	}
	return pids
}

// Stop stops the servers and removes all their files. A second Stop does nothing.
func (s *Shared) Stop() error {
	var errs []error
	if s.rgw != nil {
		errs = append(errs, s.rgw.Stop())
	}
	if s.versity != nil {
		errs = append(errs, s.versity.Stop())
	}
	return errors.Join(append(errs, s.dir.remove())...)
}

// running returns the shared servers, or an empty place if there are none.
func running() (p place, err error) {
	file := os.Getenv(serversVar)
	if file == "" {
		return p, nil
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", serversVar, err)
	}
	return p, nil
}

// join returns the gateway at p with two new users. Its Stop does not stop the gateway.
func (p *rgwAt) join(ctx context.Context) (_ *RGW, err error) {
	tools, err := cephTools()
	if err != nil {
		return nil, err
	}
	d, g, err := guest(ctx)
	if err != nil {
		return nil, err
	}
	g.logs = p.Dir
	r := &RGW{URL: p.URL, Region: Region, Owner: newKeys("owner"), Other: newKeys("other"), Version: p.Version, group: g, dir: d, conf: filepath.Join(p.Dir, "ceph.conf")}
	if err := r.addUsers(ctx, tools["radosgw-admin"]); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// join returns the gateway at p. Its Stop does not stop the gateway.
func (p *versityAt) join(ctx context.Context) (*Versity, error) {
	path, err := versityPath()
	if err != nil {
		return nil, err
	}
	d, g, err := guest(ctx)
	if err != nil {
		return nil, err
	}
	return &Versity{URL: p.URL, Region: Region, Root: p.Root, Version: p.Version, group: g, dir: d, path: path}, nil
}

// guest returns a directory and a group in which to run the tools of a server that another process
// started.
func guest(ctx context.Context) (*dir, *group, error) {
	d, err := newDir(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	g, err := newGroup(d.path, nil)
	if err != nil {
		return nil, nil, errors.Join(err, d.remove())
	}
	return d, g, nil
}
