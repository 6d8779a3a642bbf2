//go:build !allkms

package vaulturl

import "context"

// otherKey returns the error for a service that is only in programs with the tag allkms.
func otherKey(_ context.Context, u parsedURL, _ *Options) (kmsKey, error) {
	return kmsKey{}, &URLError{"this program was built without " + u.Scheme + "://", "build it with the tag allkms: go build -tags allkms"}
}
