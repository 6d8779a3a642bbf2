package testcloud_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// fakeApt puts shell scripts named apt-get and apt-cache first in PATH. update and install are the
// scripts of these verbs, and candidate is the version that apt-cache prints. fakeApt returns the
// file in which apt-get records its arguments.
func fakeApt(t *testing.T, update, install, candidate string) (calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	for name, text := range map[string]string{
		"apt-get":   "echo \"$*\" >>" + calls + "\ncase $1 in\nupdate) " + update + ";;\ninstall) " + install + ";;\nesac\n",
		"apt-cache": "echo \"$2:\n  Installed: (none)\n  Candidate: " + candidate + "\n  Version table:\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return calls
}

const known = "16.2.15+ds-0+deb12u1"

func TestInstallCeph(t *testing.T) {
	for _, tc := range []struct {
		name, update, install, candidate string
		err, log                         string // the complete text, or empty
	}{
		{name: "success", update: "echo lists", install: "echo unpacking >&2", candidate: known, log: "lists\nunpacking\n"},
		{name: "update fails", update: "echo E: no such host; exit 100", install: "echo unpacking", candidate: known,
			log: "E: no such host\nunpacking\n"},
		{name: "update and install fail", update: "echo E: no such host; exit 100", install: "echo E: no package; exit 100", candidate: "(none)",
			err: "apt-get update: exit status 100: E: no such host\n; apt-get install: exit status 100: E: no package\n",
			log: "E: no such host\nE: no package\n"},
		{name: "install fails", update: ":", install: "echo E: locked; exit 100", candidate: known,
			err: "apt-get install: exit status 100: E: locked\n", log: "E: locked\n"},
		{name: "another version", update: ":", install: ":", candidate: "17.2.7-0ubuntu0.22.04.2",
			log: "this is Ceph 17.2.7-0ubuntu0.22.04.2: the tests know only the deviations of 16.2 from AWS, so some may fail\n"},
		{name: "another version fails", update: ":", install: "exit 1", candidate: "19.2.0",
			err: "apt-get install: exit status 1: ; this is Ceph 19.2.0: the tests know only the deviations of 16.2 from AWS, so some may fail",
			log: "this is Ceph 19.2.0: the tests know only the deviations of 16.2 from AWS, so some may fail\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := fakeApt(t, tc.update, tc.install, tc.candidate)
			var log bytes.Buffer
			reported := ""
			if err := testcloud.InstallCeph(t.Context(), &log, time.Minute); err != nil {
				reported = err.Error()
			}
			if diff := cmp.Diff([]string{tc.err, tc.log}, []string{reported, log.String()}); diff != "" {
				t.Errorf("error and log (-want +got):\n%s", diff)
			}
			made, err := os.ReadFile(calls)
			if want := "update -o DPkg::Lock::Timeout=300\n" +
				"install -o DPkg::Lock::Timeout=300 -y --no-install-recommends radosgw ceph-mon ceph-osd\n"; string(made) != want || err != nil {
				t.Errorf("apt-get was called with\n%s%v", made, err)
			}
		})
	}
}

// At the deadline, the processes that apt-get started also end, even if they still hold its output:
// on SIGTERM if they handle it, otherwise by SIGKILL.
func TestInstallCephHangs(t *testing.T) {
	for name, tc := range map[string]struct {
		trap   string
		grace  time.Duration
		in     string // the verb that hangs
		tidied bool
	}{
		"ends on SIGTERM during install": {trap: "trap 'echo tidied; exit 1' TERM", grace: time.Minute, in: "install", tidied: true},
		"ends on SIGTERM during update":  {trap: "trap 'echo tidied; exit 1' TERM", grace: time.Minute, in: "update", tidied: true},
		"ignores SIGTERM":                {trap: "trap '' TERM", grace: 200 * time.Millisecond, in: "install"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pid, dpkg := filepath.Join(dir, "pid"), filepath.Join(dir, "dpkg")
			text := "#!/bin/sh\n" + tc.trap + "\nsleep 600 &\necho $! >" + pid + "\nwait $!\nsleep 600\n"
			if err := os.WriteFile(dpkg, []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
			dpkg += " & wait; exit 1"
			update, install := ":", dpkg
			if tc.in == "update" {
				update, install = dpkg, "echo installing"
			}
			fakeApt(t, update, install, known)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			deadline := errors.New("eight minutes are over")
			var log bytes.Buffer
			done := make(chan error, 1)
			go func() { done <- testcloud.InstallCeph(ctx, &log, tc.grace) }()
			var id int
			until(t, "dpkg sleeps", func() bool {
				b, _ := os.ReadFile(pid)
				id, _ = strconv.Atoi(strings.TrimSpace(string(b)))
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", id))
				return string(name) == "sleep\n" // exec replaced the copy of the shell, and its trap
			})
			cancel(deadline)
			err := <-done
			if !errors.Is(err, deadline) || !strings.HasPrefix(err.Error(), "apt-get "+tc.in+": eight minutes are over (") {
				t.Errorf("error %v", err)
			}
			until(t, "the child of dpkg has ended", func() bool { return hasEnded(id) || zombie(id) })
			if tidied := strings.Contains(log.String(), "tidied"); tidied != tc.tidied || strings.Contains(log.String(), "installing") {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

func TestUnknownCeph(t *testing.T) {
	for version, unknown := range map[string]bool{
		"": false, "16.2.15": false, known: false, "2:16.2.4-1": false,
		"16.20.1": true, "15.2.17": true, "2:17.2.16.2-1": true, "18.2.4": true,
	} {
		if warning := testcloud.UnknownCeph(version); (warning != "") != unknown || unknown && !strings.Contains(warning, version) {
			t.Errorf("%s: %q", version, warning)
		}
	}
}
