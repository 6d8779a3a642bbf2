//go:build allkms

package vaulturl

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"gocloud.dev/gcp"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/azurekeyvault"
	"github.com/objectvault/objectvault/envelope/kek/kms/gcpkms"
)

// otherKey returns the key of a service that is only in programs with the tag allkms. Its credentials
// are those that the SDK of the service finds.
func otherKey(ctx context.Context, u parsedURL, o *Options) (kmsKey, error) {
	if err := u.onlyFilled(); err != nil {
		return kmsKey{}, err
	}
	key := strings.TrimPrefix(u.Host+u.Path, "/")
	if strings.Count(key, "/") < 3 && u.Scheme == "azurekeyvault" || strings.Count(key, "/") != 7 && u.Scheme == "gcpkms" {
		return kmsKey{}, bad("the URL of a key must have the form %s", kmsForm[u.Scheme])
	}
	if u.Scheme == "azurekeyvault" {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return kmsKey{}, fmt.Errorf("%w: the SDK of Azure finds no credentials: %w", envelope.ErrUnauthenticated, err)
		}
		config := azurekeyvault.Config{Key: key, Credential: credential, Timeout: o.Timeout}
		return kmsKey{
			open: func(e *kms.Enrolment) (*kms.Source, error) {
				config := config
				config.Enrolment = e
				return azurekeyvault.New(config)
			},
			enrol: func(ctx context.Context) (kms.Enrolment, error) { return azurekeyvault.Enrol(ctx, config) },
		}, nil
	}
	found, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return kmsKey{}, fmt.Errorf("%w: the SDK of Google Cloud finds no credentials: %w", envelope.ErrUnauthenticated, err)
	}
	config := gcpkms.Config{Key: key, Tokens: gcp.CredentialsTokenSource(found), Timeout: o.Timeout}
	return kmsKey{
		open: func(e *kms.Enrolment) (*kms.Source, error) {
			config := config
			config.Enrolment = e
			return gcpkms.New(ctx, config)
		},
		enrol: func(ctx context.Context) (kms.Enrolment, error) { return gcpkms.Enrol(ctx, config) },
	}, nil
}
