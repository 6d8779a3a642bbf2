package testcloud_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// The blocks of two servers do not overlap. No port of a block is in use, or in the ephemeral port
// range.
func TestPorts(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	taken, release, err := testcloud.TakePorts(60) // with random blocks, two of 60 would probably be equal
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
	// The tests of other packages have another directory, and may start a server on one of the blocks.
	busy := 0
	for _, block := range taken {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", block[0]))
		if errors.Is(err, syscall.EADDRINUSE) && busy < 2 {
			busy++
			continue
		}
		if err != nil {
			t.Errorf("port %d: %v", block[0], err)
			continue
		}
		l.Close()
	}
}
