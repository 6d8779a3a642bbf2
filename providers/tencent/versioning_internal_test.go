package tencent

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestVersioningReadAgain: if versioning is enabled and suspended while a Store is open, the Store
// detects this before a create could replace an object.
func TestVersioningReadAgain(t *testing.T) {
	server, err := costest.New(&costest.Options{Bucket: "bucket-1250000000"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s, err := newStore(t.Context(), Config{
		Bucket: server.Bucket(), Region: server.Region(), Endpoint: server.URL(),
		Static: cosblob.Static(server.SecretID(), server.SecretKey(), ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	fill := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	if _, err := s.Create(t.Context(), "key", fill("old")); err != nil {
		t.Fatal(err)
	}
	for _, versioning := range []string{"Enabled", "Suspended"} {
		if err := server.SetVersioning(server.Bucket(), versioning); err != nil {
			t.Fatal(err)
		}
	}
	s.state.at = time.Now().Add(-2 * maxNeverAge)
	if _, err := s.Create(t.Context(), "key", fill("new")); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("create: %v, want %v", err, vault.ErrUnsupported)
	}
	if got, err := s.bucket.ReadAll(t.Context(), "key"); string(got) != "old" || err != nil {
		t.Errorf("afterwards the value is %q, %v", got, err)
	}
}

// TestNextPage: a truncated list of versions must contain the marker of its next page, so that the
// listing is complete and ends.
func TestNextPage(t *testing.T) {
	for _, tc := range []struct {
		name, last, key, id string
		ok                  bool
	}{
		{"next version of the key", "v2", "a", "v2", true},
		{"later version of the key", "v3", "a", "v3", true},
		{"no version id, next key", "", "b", "", true},
		{"version id null, next key", "null", "b", "", true},
		{"no marker for the key", "v2", "", "v2", false},
		{"no marker for the version", "v2", "a", "", false},
		{"same marker again", "v1", "a", "v1", false},
	} {
		l := listing{IsTruncated: true, NextKeyMarker: tc.key, NextVersion: tc.id, Entries: []entry{{VersionID: tc.last}, {VersionID: "no version"}}}
		l.Entries[0].XMLName.Local = "Version"
		l.Entries[1].XMLName.Local = "Owner"
		key, id, err := l.next("a", "v1")
		if (err == nil) != tc.ok || tc.ok && (key != tc.key || id != tc.id) || !tc.ok && !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("%s: %q, %q, %v", tc.name, key, id, err)
		}
	}
}
