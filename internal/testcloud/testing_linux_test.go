package testcloud_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// TestRequired runs in a process without any installed server, which TestRequire starts.
func TestRequired(t *testing.T) {
	t.Run("rgw", func(t *testing.T) { testcloud.RequireRGW(t) })
	t.Run("versity", func(t *testing.T) { testcloud.RequireVersity(t) })
	t.Run("weed", func(t *testing.T) { testcloud.RequireWeed(t) })
	t.Run("kms", func(t *testing.T) { testcloud.RequireLocalKMS(t) })
}

// A test whose server cannot be installed is skipped, or fails if the server is required.
func TestRequire(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		require string
		want    string
		fails   bool
	}{
		{"", "--- SKIP", false},
		{"node,awsome", "--- SKIP", false},
		{"node,aws", "--- FAIL", true},
	} {
		cmd := exec.Command(self, "-test.run=^TestRequired$", "-test.v")
		cmd.Env = []string{"PATH=/nonexistent", "HOME=" + t.TempDir(), "OBJECTVAULT_TEST_REQUIRE=" + tc.require}
		out, err := cmd.CombinedOutput()
		if (err != nil) != tc.fails {
			t.Errorf("%q: %v\n%s", tc.require, err, out)
		}
		for _, want := range []string{tc.want + ": TestRequired/rgw", tc.want + ": TestRequired/versity", tc.want + ": TestRequired/weed", tc.want + ": TestRequired/kms", "no Ceph RGW: ", "no versitygw: ", "no SeaweedFS: ", "no local-kms: ", "not installed"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q: no %q in\n%s", tc.require, want, out)
			}
		}
	}
}
