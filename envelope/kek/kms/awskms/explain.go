package awskms

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
)

// A meaning is what an error code says about the key.
type meaning struct {
	kind  error
	state string
}

// meanings maps error codes of KMS to their meaning.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
// https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
var meanings = map[string]meaning{
	"AccessDeniedException": {envelope.ErrDenied, ""},
	"AccessDenied":          {envelope.ErrDenied, ""},
	"NotAuthorized":         {envelope.ErrDenied, ""},
	"OptInRequired":         {envelope.ErrDenied, "the account does not have KMS"},

	"InvalidCiphertextException": {envelope.ErrDecrypt, ""},
	"IncorrectKeyException":      {envelope.ErrDecrypt, "it was encrypted with another key"},

	"DisabledException":                   {envelope.ErrUnavailable, "the key is disabled"},
	"KMSInvalidStateException":            {envelope.ErrUnavailable, "the state of the key does not allow its use, for example because its deletion is scheduled"},
	"KMSInvalidStateFault":                {envelope.ErrUnavailable, "the state of the key does not allow its use, for example because its deletion is scheduled"},
	"NotFoundException":                   {envelope.ErrUnavailable, "the key does not exist in this account and region"},
	"KeyUnavailableException":             {envelope.ErrUnavailable, "the key is temporarily unavailable"},
	"DependencyTimeoutException":          {envelope.ErrUnavailable, ""},
	"KMSInternalException":                {envelope.ErrUnavailable, ""},
	"InternalFailure":                     {envelope.ErrUnavailable, ""},
	"ServiceUnavailable":                  {envelope.ErrUnavailable, ""},
	"ServiceUnavailableException":         {envelope.ErrUnavailable, ""},
	"ThrottlingException":                 {envelope.ErrUnavailable, "too many requests"},
	"LimitExceededException":              {envelope.ErrUnavailable, "too many requests"},
	"RequestTimeTooSkewed":                {envelope.ErrUnauthenticated, "the clock of this machine is wrong"},
	"RequestExpired":                      {envelope.ErrUnauthenticated, "the clock of this machine is wrong"},
	"ExpiredTokenException":               {envelope.ErrUnauthenticated, "the credentials have expired"},
	"ExpiredToken":                        {envelope.ErrUnauthenticated, "the credentials have expired"},
	"TokenRefreshRequired":                {envelope.ErrUnauthenticated, "the credentials have expired"},
	"UnrecognizedClientException":         {envelope.ErrUnauthenticated, "the credentials are not valid"},
	"InvalidClientTokenId":                {envelope.ErrUnauthenticated, "the credentials are not valid"},
	"InvalidToken":                        {envelope.ErrUnauthenticated, "the credentials are not valid"},
	"InvalidSignatureException":           {envelope.ErrUnauthenticated, "the signature was rejected"},
	"SignatureDoesNotMatch":               {envelope.ErrUnauthenticated, "the signature was rejected"},
	"IncompleteSignature":                 {envelope.ErrUnauthenticated, "the signature was rejected"},
	"IncompleteSignatureException":        {envelope.ErrUnauthenticated, "the signature was rejected"},
	"MissingAuthenticationToken":          {envelope.ErrUnauthenticated, "the request was not signed"},
	"MissingAuthenticationTokenException": {envelope.ErrUnauthenticated, "the request was not signed"},

	"InvalidKeyUsageException": {envelope.ErrInvalid, "the key is not a symmetric encryption key"},
	"InvalidArnException":      {envelope.ErrInvalid, "the ARN of the key is not valid"},
	"ValidationException":      {envelope.ErrInvalid, ""},
	"ValidationError":          {envelope.ErrInvalid, ""},
}

// expiredCodes are the codes after which renewed credentials may help.
var expiredCodes = map[string]bool{
	"ExpiredTokenException": true, "ExpiredToken": true, "TokenRefreshRequired": true, "InvalidToken": true, "UnrecognizedClientException": true,
}

// code returns the error code of the service, or "".
func code(err error) string {
	var ae smithy.APIError
	if !errors.As(err, &ae) {
		return ""
	}
	return ae.ErrorCode()
}

// explain returns the meaning of an error of the SDK. A response that does not come from KMS, such
// as the page of a proxy, means that KMS is not reachable. The message of a validation error is
// omitted, because it may repeat the plaintext.
func explain(ctx context.Context, err error, creds aws.Credentials) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &kms.Error{Kind: envelope.ErrUnavailable}
	var op *smithy.OperationError
	if errors.As(err, &op) {
		e.Operation = op.ServiceID + " " + op.OperationName
	}
	var re *awshttp.ResponseError
	var ae smithy.APIError
	var network *url.Error
	switch {
	case errors.As(err, &re) && errors.As(err, &ae):
		e.Code, e.Message, e.RequestID, e.Status = ae.ErrorCode(), ae.ErrorMessage(), re.ServiceRequestID(), re.HTTPStatusCode()
		if m, ok := meanings[e.Code]; ok {
			e.Kind, e.State = m.kind, m.state
			if m.kind == envelope.ErrInvalid && m.state == "" && op != nil && op.OperationName == "Decrypt" {
				e.Kind, e.Message = envelope.ErrDecrypt, "" // the ciphertext is the only parameter that is not checked
			}
		} else if e.RequestID != "" {
			e.Kind = kindOfStatus(e.Status)
		}
	case errors.As(err, &re) && re.HTTPStatusCode() != 0: // 0: there was no response
		e.Status, e.State = re.HTTPStatusCode(), "this is not a response of KMS"
	case errors.As(err, &network):
		e.Message = network.Error()
	default:
		e.Message = "the request failed"
	}
	if e.Kind == envelope.ErrInvalid {
		e.Message = ""
	}
	for _, secret := range []string{creds.SecretAccessKey, creds.SessionToken} {
		if secret != "" {
			e.Message = strings.ReplaceAll(e.Message, secret, "[redacted]")
		}
	}
	return e
}

func kindOfStatus(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return envelope.ErrUnauthenticated
	case http.StatusForbidden:
		return envelope.ErrDenied
	}
	return envelope.ErrUnavailable
}
