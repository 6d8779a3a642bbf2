//go:build unix

package testcloud_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// Connections are refused, and no server can listen at the address.
func TestNoServer(t *testing.T) {
	address := strings.TrimPrefix(testcloud.NoServer(t), "http://")
	for range 3 {
		if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v, %v", c, err)
		}
		if l, err := net.Listen("tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listen: %v, %v", l, err)
		}
	}
}
