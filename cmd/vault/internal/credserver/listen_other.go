//go:build !unix

package credserver

import (
	"context"
	"fmt"
	"net"

	"github.com/objectvault/objectvault/vault"
)

// listenUnix returns an error, because this system does not limit who may use a Unix socket.
func listenUnix(context.Context, string) (net.Listener, error) {
	return nil, fmt.Errorf("%w: Unix sockets are not supported on this system", vault.ErrConfig)
}
