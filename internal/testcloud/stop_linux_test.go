package testcloud_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// If the directory is kept, the daemons get SIGTERM and write their state to the disk before they
// exit.
func TestStopInOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("TestRGW also stops servers")
	}
	testcloud.RequireRGW(t)
	testcloud.RequireVersity(t)
	t.Run("rgw", func(t *testing.T) {
		r, err := testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{Dir: filepath.Join(t.TempDir(), "kept")})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		t.Logf("stopped in %v", time.Since(begin))
		ends := r.Ends()
		if len(ends) != 3 {
			t.Errorf("%d daemons", len(ends))
		}
		for i, state := range ends {
			if !state.Success() {
				t.Errorf("daemon %d ended with %v", i, state)
			}
		}
	})
	t.Run("versity", func(t *testing.T) {
		v, err := testcloud.StartVersity(t.Context(), &testcloud.VersityOptions{Dir: filepath.Join(t.TempDir(), "kept")})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Stop(); err != nil {
			t.Error(err)
		}
		if ends := v.Ends(); len(ends) != 1 || !ends[0].Success() {
			t.Errorf("the daemons ended with %v", ends)
		}
	})
}
