//go:build !allkms

package vaulturl

import (
	"errors"
	"strings"
	"testing"
)

func TestWithoutAllKMS(t *testing.T) {
	for _, keyURL := range []string{"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k", "azurekeyvault://v.vault.azure.net/keys/k/1"} {
		u, err := parseKeyURL(keyURL)
		if err == nil {
			_, err = openKMS(t.Context(), u, nil, nil, nil)
		}
		var problem *URLError
		if !errors.As(err, &problem) || !strings.Contains(problem.Advice, "-tags allkms") {
			t.Errorf("%s: %v", keyURL, err)
		}
	}
}
