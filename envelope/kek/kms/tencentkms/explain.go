package tencentkms

import (
	"strings"

	"github.com/objectvault/objectvault/envelope"
)

// A meaning is what an error code says about the request.
type meaning struct {
	kind  error
	state string
	again bool // another attempt may succeed
}

// meanings maps error codes of KMS to their meaning.
// https://www.tencentcloud.com/document/api/1030/32201
var meanings = map[string]meaning{
	"AuthFailure.SignatureExpire":       {envelope.ErrUnauthenticated, "the clock of this machine is wrong", false},
	"AuthFailure.TokenFailure":          {envelope.ErrUnauthenticated, "the credentials have expired", false},
	"AuthFailure.UnauthorizedOperation": {envelope.ErrDenied, "", false},

	"InvalidParameterValue.InvalidCiphertext": {envelope.ErrDecrypt, "", false},
	"FailedOperation.DecryptError":            {envelope.ErrDecrypt, "", false},

	"InvalidParameterValue.InvalidKeyId":               {envelope.ErrInvalid, "the id of the key is not valid", false},
	"InvalidParameterValue.InvalidKeyUsage":            {envelope.ErrInvalid, "the key is not a symmetric encryption key", false},
	"ResourceUnavailable.CmkDisabled":                  {envelope.ErrUnavailable, "the key is disabled", false},
	"ResourceUnavailable.KeyDisabled":                  {envelope.ErrUnavailable, "the key is disabled", false},
	"ResourceUnavailable.CmkArchived":                  {envelope.ErrUnavailable, "the key is archived and encrypts nothing", false},
	"ResourceUnavailable.CmkStateNotSupport":           {envelope.ErrUnavailable, "the state of the key does not allow its use, for example because its deletion is scheduled", false},
	"ResourceUnavailable.CmkNotFound":                  {envelope.ErrUnavailable, "the key does not exist in this account and region", false},
	"ResourceUnavailable.NotPurchased":                 {envelope.ErrUnavailable, "the account does not have KMS", false},
	"ResourceUnavailable.TokenExpired":                 {envelope.ErrUnauthenticated, "the credentials have expired", false},
	"UnsupportedOperation.ServiceTemporaryUnavailable": {envelope.ErrUnavailable, "", true},
}

// expiredCodes are the codes after which renewed credentials may help.
var expiredCodes = map[string]bool{"AuthFailure.TokenFailure": true, "AuthFailure.SecretIdNotFound": true, "ResourceUnavailable.TokenExpired": true}

// meaningOf returns the meaning of an error code of an action. A code that is not in the table has the
// meaning of its class, the part before the dot.
func meaningOf(action, code string) meaning {
	if m, ok := meanings[code]; ok {
		return m
	}
	switch class, _, _ := strings.Cut(code, "."); class {
	case "AuthFailure":
		return meaning{envelope.ErrUnauthenticated, "the credentials are not valid", false}
	case "UnauthorizedOperation":
		return meaning{envelope.ErrDenied, "", false}
	case "ResourceNotFound":
		return meaning{envelope.ErrUnavailable, "the key does not exist in this account and region", false}
	case "RequestLimitExceeded", "LimitExceeded":
		return meaning{envelope.ErrUnavailable, "too many requests", true}
	case "InternalError", "ServiceUnavailable":
		return meaning{envelope.ErrUnavailable, "", true}
	case "InvalidParameter", "InvalidParameterValue":
		if action == "Decrypt" { // the ciphertext is its only parameter
			return meaning{envelope.ErrDecrypt, "", false}
		}
		return meaning{envelope.ErrInvalid, "", false}
	case "UnsupportedRegion":
		return meaning{envelope.ErrInvalid, "there is no KMS in this region", false}
	}
	return meaning{envelope.ErrUnavailable, "", false}
}
