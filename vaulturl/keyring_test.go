package vaulturl_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	system "github.com/zalando/go-keyring"

	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vaulturl"
)

// If the keyring has lost the root key, or if only the record was copied to this machine, the root key is
// restored from a copy, although the source is enrolled.
func TestRestoreKeyring(t *testing.T) {
	system.MockInit()
	root, err := kek.ParseRoot([]byte(rootText))
	if err != nil {
		t.Fatal(err)
	}
	o := &vaulturl.Options{Records: t.TempDir()}
	how := &vaulturl.EnrolOptions{Root: root}
	if e, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, how); err != nil || !e.Created || e.Fingerprint != rootPrint {
		t.Fatalf("%+v, %v", e, err)
	}
	system.MockInit() // the keyring is empty
	if e, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, how); err != nil || e.Created || e.Fingerprint != rootPrint {
		t.Errorf("%+v, %v", e, err)
	}
	if text, err := system.Get("objectvault", "work"); err != nil || !strings.EqualFold(text, rootText) {
		t.Errorf("the keyring does not have the root key: %v", err)
	}
	if _, err := vaulturl.EnrolKeySource(t.Context(), "keyring:work", o, &vaulturl.EnrolOptions{Root: kek.RandomRoot()}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another root key: %v", err)
	}
}
