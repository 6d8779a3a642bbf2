// Package keyringtest runs tests with an unlocked GNOME Keyring of their own, so that they never touch that
// of the user.
package keyringtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Inside is an environment variable that is set in the programs of [Command].
const Inside = "OBJECTVAULT_TEST_IN_KEYRING_SESSION"

// Find returns an error that says what to install if a program that [Command] needs is missing. required
// reports whether OBJECTVAULT_TEST_REQUIRE contains "keyring": then the tests must fail, and not be skipped.
func Find() (required bool, err error) {
	required = slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "keyring")
	for _, program := range []string{"dbus-run-session", "dbus-send", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			return required, fmt.Errorf("apt-get install --no-install-recommends gnome-keyring dbus: %w", err)
		}
	}
	return required, nil
}

// The bus has no directory of services: if a program asked for the keyring before the daemon owns its name,
// the bus would start a second daemon. That one would keep the output of the tests open after their end.
const config = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`

// The daemon returns before it owns its name. The script waits for that, at least half a minute.
const script = `printf %s password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 || { echo "gnome-keyring-daemon --unlock failed" >&2; exit 1; }
n=0
until dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets 2>&1 | grep -q 'boolean true'; do
	n=$((n+1))
	if [ $n -gt 3000 ]; then echo "the keyring did not start" >&2; exit 1; fi
	sleep 0.01
done
exec "$@"`

// Command returns a command that runs argv in a session bus of its own with an unlocked keyring. home is an
// empty directory for the home of both.
func Command(home string, argv ...string) (*exec.Cmd, error) {
	file := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("dbus-run-session", append([]string{"--config-file=" + file, "--", "sh", "-c", script, "sh"}, argv...)...)
	cmd.Env = append(os.Environ(), Inside+"=1", "HOME="+home, "XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_CACHE_HOME="+home)
	return cmd, nil
}
