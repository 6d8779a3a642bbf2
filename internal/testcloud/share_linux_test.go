package testcloud_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// TestSharing runs in two processes that TestShare starts.
func TestSharing(t *testing.T) {
	const foreign = "TESTCLOUD_FOREIGN_BUCKET"
	r, v := testcloud.RequireRGW(t), testcloud.RequireVersity(t)
	if len(r.PIDs()) > 0 || len(v.PIDs()) > 0 {
		if os.Getenv(foreign) != "" {
			t.Errorf("the process has started %d and %d", r.PIDs(), v.PIDs())
		}
		t.Skip("nothing is shared")
	}
	bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
	if err := put(t.Context(), testcloud.S3Client(r.URL, r.Owner), bucket, "k", "value"); err != nil {
		t.Error(err)
	}
	if _, err := get(t.Context(), testcloud.S3Client(r.URL, r.Other), bucket, "k"); status(err) != http.StatusForbidden {
		t.Errorf("get as another user: %v", err)
	}
	if name := os.Getenv(foreign); name != "" {
		if _, err := get(t.Context(), testcloud.S3Client(r.URL, r.Owner), name, "k"); status(err) != http.StatusForbidden {
			t.Errorf("get from a bucket of another binary: %v", err)
		}
	}
	if err := r.DeleteRole(t.Context(), "absent"); err == nil || !strings.Contains(err.Error(), "no such role") {
		t.Errorf("the owner cannot call IAM: %v", err)
	}
	i := newIssuer(t, nil)
	var provider string
	var err error
	for range 2 { // the second issuer may get the port of the first
		if provider, err = r.CreateProvider(t.Context(), i.URL, i.Thumbprint(), testcloud.Audience); err != nil {
			t.Error(err)
		}
	}
	if err := r.DeleteProvider(t.Context(), provider); err != nil {
		t.Error(err)
	}
	alice, err := v.AddUser(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	testcloud.NewBucket(t, v.URL, alice, true)
}

// Two binaries use the servers of a third process as different users, and do not stop them. When
// the third process stops them, nothing remains.
func TestShare(t *testing.T) {
	testcloud.RequireRGW(t) // installs both servers
	testcloud.RequireVersity(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s, err := testcloud.Share(t.Context(), nil)
	if s != nil {
		defer s.Stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name, file, _ := strings.Cut(s.Env(), "=")
	t.Setenv(name, file)
	r := testcloud.RGW{URL: s.RGW().URL, Owner: s.RGW().Owner}
	bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
	if err := put(t.Context(), testcloud.S3Client(r.URL, r.Owner), bucket, "k", "value"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := exec.Command(self, "-test.run=^TestSharing$", "-test.v")
		cmd.Env = append(os.Environ(), "TESTCLOUD_FOREIGN_BUCKET="+bucket)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestSharing") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	pids := s.PIDs()
	for _, pid := range pids {
		if hasEnded(pid) {
			t.Errorf("process %d has ended", pid)
		}
	}
	if left := dirs(t, tmp); len(left) != 3 {
		t.Errorf("after two binaries %q remain, want one directory for each server and one for their addresses", left)
	}
	checkStopped(t, s.Stop, pids, s.RGW().URL, tmp)
}

// If the file is missing, the tests fail. They must not silently start servers or be skipped.
func TestShareGone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestRequired$/^rgw$", "-test.v")
	cmd.Env = append(os.Environ(), "OBJECTVAULT_TEST_SERVERS=/absent", "OBJECTVAULT_TEST_REQUIRE=aws")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no Ceph RGW: OBJECTVAULT_TEST_SERVERS: open /absent: ") {
		t.Errorf("%v\n%s", err, out)
	}
}
