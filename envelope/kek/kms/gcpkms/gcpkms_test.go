//go:build allkms

package gcpkms_test

import (
	"errors"
	"testing"

	"golang.org/x/oauth2"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/gcpkms"
)

const key = "projects/demo/locations/global/keyRings/vault/cryptoKeys/seal"

func TestConfig(t *testing.T) {
	tokens := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "SECRET"})
	for _, c := range []gcpkms.Config{
		{Tokens: tokens}, {Key: key}, {Key: key + "/cryptoKeyVersions/1", Tokens: tokens}, {Key: "projects/../" + key, Tokens: tokens},
		{Key: key, Tokens: tokens, Enrolment: &kms.Enrolment{}},
	} {
		if _, err := gcpkms.New(t.Context(), c); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("New(%s): %v, want ErrInvalid", c.Key, err)
		}
	}
	s, err := gcpkms.New(t.Context(), gcpkms.Config{Key: key, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Wrap(t.Context(), envelope.Ref{}, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrNotEnrolled) || s.Name() != "gcpkms "+key {
		t.Errorf("%s: %v", s.Name(), err)
	}
}
