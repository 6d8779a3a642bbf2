package keyring_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/keyring"
	"github.com/objectvault/objectvault/internal/keyringtest"
)

// TestMain runs the tests in a session bus of their own with an unlocked GNOME Keyring, so that they
// never touch the keyring of the user.
func TestMain(m *testing.M) {
	if os.Getenv(keyringtest.Inside) != "" || runtime.GOOS != "linux" {
		os.Exit(m.Run())
	}
	if required, err := keyringtest.Find(); required && err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	} else if err != nil {
		fmt.Println("skipped:", err)
		os.Exit(0)
	}
	home, err := os.MkdirTemp("", "keyring")
	if err != nil {
		panic(err)
	}
	cmd, err := keyringtest.Command(home, os.Args...)
	if err != nil {
		panic(err)
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	os.RemoveAll(home)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var ref = envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "openrouter"}

// A root is created once, kept, and seals and opens objects.
func TestKeyring(t *testing.T) {
	c := keyring.Config{Name: "test-" + rand.Text()} // the keyring lasts for all runs
	unenrolled, err := keyring.New(c)
	if err != nil || unenrolled.Name() != "keyring "+c.Name {
		t.Fatal(unenrolled, err)
	}
	if _, err := unenrolled.Local(t.Context()); !errors.Is(err, envelope.ErrUnavailable) || err.Error() != "key source unavailable: the keyring has no root "+c.Name {
		t.Errorf("before the enrolment: %v", err)
	}
	e, err := keyring.Enrol(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := keyring.Enrol(t.Context(), c); err != nil || again != e {
		t.Errorf("enrolled again: %+v, %v", again, err)
	}
	c.Enrolment = &e
	source, err := keyring.New(c)
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, source)
	if value := open(t, sealed, unenrolled); value != "sk" {
		t.Errorf("opened %q without an enrolment", value)
	}
	if _, err := envelope.Seal(t.Context(), io.Discard, ref, []envelope.KeySource{unenrolled}, nil); !errors.Is(err, envelope.ErrNotEnrolled) {
		t.Errorf("sealed without an enrolment: %v", err)
	}
	// The backup of the root opens the object on a machine without the keyring.
	root, err := keyring.Root(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	if value := open(t, sealed, kek.NewLocal(root)); value != "sk" {
		t.Errorf("opened %q with the root", value)
	}
}

// A root of another machine is imported, and never replaces a root.
func TestImport(t *testing.T) {
	root := kek.RandomRoot()
	c := keyring.Config{Name: "imported-" + rand.Text()}
	e, err := keyring.Import(t.Context(), c, root)
	if err != nil || e.Fingerprint != kek.NewLocal(root).Fingerprint() {
		t.Fatal(e, err)
	}
	if _, err := keyring.Import(t.Context(), c, root); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := keyring.Import(t.Context(), c, kek.RandomRoot()); !errors.Is(err, envelope.ErrChanged) {
		t.Errorf("another root: %v", err)
	}
	if kept, err := keyring.Root(t.Context(), c.Name); err != nil || !bytes.Equal(kept.Reveal(), root.Reveal()) {
		t.Errorf("the root was replaced: %v", err)
	}
}

// After the root in the keyring was replaced, nothing is sealed for the new one.
func TestChanged(t *testing.T) {
	c := keyring.Config{Name: "changed", Enrolment: &keyring.Enrolment{Fingerprint: "0123456789abcdef"}}
	if _, err := keyring.Enrol(t.Context(), keyring.Config{Name: c.Name}); err != nil {
		t.Fatal(err)
	}
	source, err := keyring.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Seal(t.Context(), io.Discard, ref, []envelope.KeySource{source}, nil); !errors.Is(err, envelope.ErrChanged) {
		t.Error(err)
	}
}

// Without a bus there is no keyring, and the error differs from that for a missing root.
func TestNoKeyring(t *testing.T) {
	if os.Getenv("OBJECTVAULT_TEST_NO_BUS") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoKeyring$", "-test.v")
		cmd.Env = append(os.Environ(), "OBJECTVAULT_TEST_NO_BUS=1", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	_, err := keyring.Root(t.Context(), "test")
	if !errors.Is(err, envelope.ErrUnavailable) || !errors.Is(err, keyring.ErrNone) {
		t.Error(err)
	}
}

// A caller whose context ends does not wait for a keyring that asks its user.
func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keyring.Root(ctx, "context"); !errors.Is(err, envelope.ErrUnavailable) {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []keyring.Config{
		{}, {Name: "a b"}, {Name: strings.Repeat("x", 65)}, {Name: "a/b"},
		{Name: "a", Enrolment: &keyring.Enrolment{}},
		{Name: "a", Enrolment: &keyring.Enrolment{Fingerprint: "0123456789ABCDEF"}},
	} {
		if _, err := keyring.New(c); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func seal(t *testing.T, source envelope.KeySource) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := envelope.Seal(t.Context(), &sealed, ref, []envelope.KeySource{source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "sk")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

func open(t *testing.T, sealed []byte, source envelope.KeySource) string {
	t.Helper()
	r, err := envelope.Open(t.Context(), bytes.NewReader(sealed), ref, []envelope.KeySource{source})
	if err != nil {
		t.Fatal(err)
	}
	value, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}
