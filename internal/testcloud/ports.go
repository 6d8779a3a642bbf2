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

// The ports of servers are below the ephemeral port range, from which the kernel chooses the ports
// of outgoing connections. Tests open thousands of these.
const (
	firstPort = 10000
	blockSize = 32
	blocks    = 600
)

// A ports is a block of ports for one server. Many test binaries start at once, and another one
// could take a port between the check and the start of the daemon. The block is therefore locked
// against all other processes of this user.
type ports struct {
	first int
	held  *os.File // locked until release, or until the process ends
}

// newPorts reserves a block in which no process listens.
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
		locked, err := tryLock(held)
		if err == nil && locked && isFree(first) {
			return &ports{first, held}, nil
		}
		held.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("every block of ports is in use")
}

// release ends the reservation of the block.
func (p *ports) release() { p.held.Close() }

// isFree reports whether no process listens in the block.
func isFree(first int) bool {
	for port := first; port < first+blockSize; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
