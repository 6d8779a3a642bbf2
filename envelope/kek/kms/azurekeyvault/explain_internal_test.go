//go:build allkms

package azurekeyvault

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
)

// TestExplain: only a refusal by the service that issues tokens means that credentials are not valid, and only
// an error of the credential that there are none.
func TestExplain(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want error
	}{
		"no credentials":          {&tokenError{azidentity.NewCredentialUnavailableError("no Azure CLI")}, envelope.ErrUnauthenticated},
		"another final error":     {azidentity.NewCredentialUnavailableError("a response was cut"), envelope.ErrUnavailable},
		"no token for now":        {&azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: http.StatusServiceUnavailable}}, envelope.ErrUnavailable},
		"not valid":               {&azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: http.StatusUnauthorized}}, envelope.ErrUnauthenticated},
		"no response for a token": {&azidentity.AuthenticationFailedError{}, envelope.ErrUnavailable},
		"denied":                  {&azcore.ResponseError{StatusCode: http.StatusForbidden}, envelope.ErrDenied},
		"another error":           {errors.New("broken"), envelope.ErrUnavailable},
	} {
		e := &kms.Error{Kind: envelope.ErrUnavailable}
		explain(fmt.Errorf("a client: %w", tc.err), e)
		if !errors.Is(e, tc.want) {
			t.Errorf("%s: %v, want %v", name, e, tc.want)
		}
	}
}
