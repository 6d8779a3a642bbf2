package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/objectvault/objectvault/internal/keyringtest"
)

// TestKeyring runs testdata/keyring in its own session bus with an unlocked GNOME Keyring.
func TestKeyring(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other")
	}
	if os.Getenv(keyringtest.Inside) != "" {
		setup := func(e *testscript.Env) error {
			e.Setenv("DBUS_SESSION_BUS_ADDRESS", os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
			return nil
		}
		testscript.Run(t, params([]string{"testdata/keyring/keyring.txtar"}, setup, map[string]func(*testscript.TestScript, bool, []string){"exits": exits}))
		return
	}
	if required, err := keyringtest.Find(); required && err != nil {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd, err := keyringtest.Command(home, os.Args[0], "-test.run=^TestKeyring$", "-test.v")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestKeyring/keyring") {
		t.Errorf("%v\n%s", err, out)
	}
}
