package testcloud

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// The ports of servers lie below the range from which the kernel takes the ports of
// outgoing connections, of which tests make thousands.
const (
	firstPort = 10000
	blockSize = 32
	blocks    = 600
)

// A ports is a block of ports for one server. Between the look whether a port is free and
// the daemon that listens there is time for another test to do the same, and many test
// binaries start at once: the block is locked for all processes of this user.
type ports struct {
	first int
	held  *os.File // locked until release, or the death of the process
}

// newPorts takes a block in which no process listens.
func newPorts() (*ports, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "ports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, n := range mathrand.Perm(blocks) {
		held, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(n)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		first := firstPort + n*blockSize
		ours, err := tryLock(held)
		if err == nil && ours && unused(first) {
			return &ports{first, held}, nil
		}
		held.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("every block of ports is in use")
}

// release lets others have the block.
func (p *ports) release() { p.held.Close() }

// unused reports whether no process listens in the block.
func unused(first int) bool {
	for port := first; port < first+blockSize; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
