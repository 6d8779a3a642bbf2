//go:build allkms

package vaulturl

import (
	"errors"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

func TestAllKMSRefused(t *testing.T) {
	for _, keyURL := range []string{
		"gcpkms://projects/p", "gcpkms://", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k?x=y",
		"azurekeyvault://vault.vault.azure.net/keys/k", "azurekeyvault://", "azurekeyvault://evil.example/keys/k/0123456789abcdef0123456789abcdef",
	} {
		u, err := parseKeyURL(keyURL)
		if err == nil {
			_, err = openKMS(t.Context(), u, nil, nil, nil)
		}
		if !errors.As(err, new(*URLError)) || !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s: %v, want a URLError", keyURL, err)
		}
	}
}
