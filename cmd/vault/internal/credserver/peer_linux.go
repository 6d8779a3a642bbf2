package credserver

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID returns the effective user of the process that opened the connection.
func peerUID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	switch {
	case err != nil:
		return 0, err
	case credErr != nil:
		return 0, credErr
	}
	return int(cred.Uid), nil
}
