package testcloud

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// knownCeph is the version whose deviations from AWS the tests know.
const knownCeph = "16.2"

// cephPackages are the packages that contain the programs of [cephTools].
var cephPackages = []string{"radosgw", "ceph-mon", "ceph-osd"}

// installCeph installs Ceph with apt-get. It updates the package lists first. If that fails, it
// uses the old lists, because a single package source may be unreachable.
func installCeph(ctx context.Context, log io.Writer, grace time.Duration) error {
	// Another program may hold the lock of dpkg, for some minutes after a boot.
	const lock = "DPkg::Lock::Timeout=300"
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	stale := tool(ctx, log, grace, env, "apt-get", "update", "-o", lock)
	if err := ctx.Err(); err != nil {
		return cmp.Or(stale, err)
	}
	warning := unknownCeph(candidate(ctx, "radosgw"))
	if warning != "" && log != nil {
		fmt.Fprintln(log, warning)
	}
	err := tool(ctx, log, grace, env, "apt-get", append([]string{"install", "-o", lock, "-y", "--no-install-recommends"}, cephPackages...)...)
	switch {
	case err == nil:
		return nil
	case stale != nil:
		err = fmt.Errorf("%w; %w", stale, err)
	}
	if warning != "" {
		err = fmt.Errorf("%w; %s", err, warning)
	}
	return err
}

// candidate returns the version that apt would install, or "" if there is none.
func candidate(ctx context.Context, pkg string) string {
	cmd := exec.CommandContext(ctx, "apt-cache", "policy", pkg)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return "" // apt-get install reports the error
	}
	for line := range strings.Lines(string(out)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok && version != "(none)" {
			return version
		}
	}
	return ""
}

// unknownCeph returns a warning if the tests do not know the given version of Ceph or of one of its
// packages. It returns "" if they know it, or if version is empty.
func unknownCeph(version string) string {
	upstream := version
	if _, after, ok := strings.Cut(version, ":"); ok { // the epoch of a Debian version
		upstream = after
	}
	if version == "" || strings.HasPrefix(upstream, knownCeph+".") {
		return ""
	}
	return fmt.Sprintf("this is Ceph %s: the tests know only the deviations of %s from AWS, so some may fail", version, knownCeph)
}
