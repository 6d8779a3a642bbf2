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

// knownCeph is what the tests know the deviations of.
const knownCeph = "16.2"

// cephPackages are the packages that hold the programs of [cephTools].
var cephPackages = []string{"radosgw", "ceph-mon", "ceph-osd"}

// installCeph installs Ceph as the package lists have it, be they fresh or, where that
// cannot be had, those of before: one source that does not answer is no reason to stop.
func installCeph(ctx context.Context, log io.Writer, grace time.Duration) error {
	// Other programs hold dpkg's lock now and then, at the boot of a machine for minutes.
	const lock = "DPkg::Lock::Timeout=300"
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	stale := tool(ctx, log, grace, env, "apt-get", "update", "-o", lock)
	if err := ctx.Err(); err != nil {
		return cmp.Or(stale, err)
	}
	note := unknownCeph(candidate(ctx, "radosgw"))
	if note != "" && log != nil {
		fmt.Fprintln(log, note)
	}
	err := tool(ctx, log, grace, env, "apt-get", append([]string{"install", "-o", lock, "-y", "--no-install-recommends"}, cephPackages...)...)
	switch {
	case err == nil:
		return nil
	case stale != nil:
		err = fmt.Errorf("%w; %w", stale, err)
	}
	if note != "" {
		err = fmt.Errorf("%w; %s", err, note)
	}
	return err
}

// candidate returns the version that apt would install, "" if it has none.
func candidate(ctx context.Context, pkg string) string {
	cmd := exec.CommandContext(ctx, "apt-cache", "policy", pkg)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return "" // what is wrong, apt-get install says
	}
	for line := range strings.Lines(string(out)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok && version != "(none)" {
			return version
		}
	}
	return ""
}

// unknownCeph says that version, of Ceph or of a package of it, is not what the tests
// know; "" if it is, or if there is none.
func unknownCeph(version string) string {
	upstream := version
	if _, after, ok := strings.Cut(version, ":"); ok { // Debian's epoch
		upstream = after
	}
	if version == "" || strings.HasPrefix(upstream, knownCeph+".") {
		return ""
	}
	return fmt.Sprintf("this is Ceph %s: how %s departs from AWS is known, of others it is not, and tests may fail", version, knownCeph)
}
