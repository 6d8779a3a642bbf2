//go:build allkms

package azurekeyvault_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/azurekeyvault"
)

const key = "demo-vault.vault.azure.net/keys/seal/0123456789abcdef0123456789abcdef"

type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "SECRET"}, nil
}

func TestConfig(t *testing.T) {
	for _, c := range []azurekeyvault.Config{
		{Credential: credential{}}, {Key: key},
		{Key: key[:strings.LastIndex(key, "/")], Credential: credential{}}, // no version
		{Key: "evil.example/" + key, Credential: credential{}},
		{Key: key, Credential: credential{}, Enrolment: &kms.Enrolment{}},
	} {
		if _, err := azurekeyvault.New(c); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("New(%s): %v, want ErrInvalid", c.Key, err)
		}
	}
	s, err := azurekeyvault.New(azurekeyvault.Config{Key: key, Credential: credential{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Wrap(t.Context(), envelope.Ref{}, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrNotEnrolled) || s.Name() != "azurekeyvault "+key {
		t.Errorf("%s: %v", s.Name(), err)
	}
}
