package memfs

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"
)

// A harness runs gocloud's conformance tests. Some do not apply:
//
//   - TestNonexistentBucket: Open creates the store, so no driver has a missing store.
//   - TestSignedURL, and the signed URLs of TestKeys: there is no server for such URLs, so
//     SignedURL returns Unimplemented.
type harness struct {
	open   func() (shelf, error)
	prefix string
}

func (h *harness) MakeDriver(context.Context) (driver.Bucket, error) {
	s, err := h.open()
	if err != nil {
		return nil, err
	}
	if h.prefix != "" {
		return driver.NewPrefixedBucket(&bucket{s}, h.prefix), nil
	}
	return &bucket{s}, nil
}

func (h *harness) MakeDriverForNonexistentBucket(context.Context) (driver.Bucket, error) {
	return nil, nil
}
func (h *harness) HTTPClient() *http.Client         { return nil }
func (h *harness) SupportsCopy() bool               { return true }
func (h *harness) SupportsNonSlashDelimiters() bool { return true }
func (h *harness) Close()                           {}

// TestDriver runs gocloud's tests on both drivers, plain and under a prefix.
func TestDriver(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix/dir/"} {
		t.Run("mem/"+prefix, func(t *testing.T) {
			drivertest.RunConformanceTests(t, func(context.Context, *testing.T) (drivertest.Harness, error) {
				var m Memory
				return &harness{func() (shelf, error) { return &memory{&m, Config{}}, nil }, prefix}, nil
			}, nil)
		})
		t.Run("file/"+prefix, func(t *testing.T) {
			drivertest.RunConformanceTests(t, func(ctx context.Context, t *testing.T) (drivertest.Harness, error) {
				c := Config{Dir: filepath.Join(t.TempDir(), "store")}
				return &harness{func() (shelf, error) { return openFiles(ctx, c) }, prefix}, nil
			}, nil)
		})
	}
}
