package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const inKeyringSession = "OBJECTVAULT_TEST_IN_KEYRING_SESSION"

// TestKeyring runs testdata/keyring in its own session bus with an unlocked GNOME Keyring.
func TestKeyring(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other")
	}
	if os.Getenv(inKeyringSession) != "" {
		setup := func(e *testscript.Env) error {
			e.Setenv("DBUS_SESSION_BUS_ADDRESS", os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
			return nil
		}
		testscript.Run(t, params([]string{"testdata/keyring/keyring.txtar"}, setup, map[string]func(*testscript.TestScript, bool, []string){"exits": exits}))
		return
	}
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			if slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "keyring") {
				t.Fatal("apt-get install --no-install-recommends gnome-keyring dbus:", err)
			}
			t.Skip(err)
		}
	}
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	const script = `printf %s password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 && exec "$@"`
	cmd := exec.Command("dbus-run-session", "--", "sh", "-c", script, "sh", os.Args[0], "-test.run=^TestKeyring$", "-test.v")
	cmd.Env = append(os.Environ(), inKeyringSession+"=1", "HOME="+home, "XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_CACHE_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestKeyring/keyring") {
		t.Errorf("%v\n%s", err, out)
	}
}
