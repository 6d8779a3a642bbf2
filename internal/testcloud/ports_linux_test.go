package testcloud_test

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// No two servers have a port in common, and none is one that
// another process listens on or that an outgoing connection may get.
func TestPorts(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	taken, release, err := testcloud.TakePorts(60) // drawn by lot, two of them would be the same
	defer release()
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Sorted(slices.Values(slices.Concat(taken...)))
	if n := len(all); n != 60*32 || len(slices.Compact(all)) != n {
		t.Errorf("%d ports, of which %d are different", n, len(slices.Compact(all)))
	}
	if all[0] < 10000 || all[len(all)-1] >= 32768 {
		t.Errorf("ports from %d to %d", all[0], all[len(all)-1])
	}
	for _, block := range taken {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", block[0]))
		if err != nil {
			t.Errorf("port %d: %v", block[0], err)
			continue
		}
		l.Close()
	}
}
