package loopback_test

import (
	"testing"

	"github.com/objectvault/objectvault/internal/loopback"
)

func TestHost(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.8.7": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example.com": false, "10.0.0.1": false, "0.0.0.0": false, "::": false, "::1%eth0": false, "127.0.0.1:80": false, "[::1]": false, "127.1": false,
	} {
		if got := loopback.Host(name); got != want {
			t.Errorf("Host(%q) = %v", name, got)
		}
	}
}
