// Package loopback tells this machine from others, by name or address.
package loopback

import (
	"net/netip"
	"strings"
)

// Host reports whether a host name or an IP address, without a port, is this machine's:
// localhost, 127.0.0.0/8 (RFC 1122) or ::1 (RFC 4291), without a zone.
func Host(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() && ip.Zone() == ""
}
