package tencent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/tc3"
	"github.com/objectvault/objectvault/vault"
)

// A signedCall is a call of GetCallerIdentity.
type signedCall struct{ endpoint, region, id, key, token string }

// send makes the call and stores the result in caller.
func (c signedCall) send(ctx context.Context, base http.RoundTripper, caller *vault.Caller) error {
	r, err := tc3.NewRequest(ctx, tc3.Call{
		Endpoint: c.endpoint, Service: "sts", Action: "GetCallerIdentity", Version: "2018-08-13", Region: c.region, Body: []byte("{}"),
	}, tc3.Keys{ID: c.id, Secret: c.key, Token: c.token}, time.Now())
	if err != nil {
		return err
	}
	resp, err := noRedirects(base).Do(r)
	if err != nil {
		return explained(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	var got struct {
		Response struct {
			Error                        *struct{ Code, Message string }
			RequestID                    string `json:"RequestId"`
			Arn, AccountID, Type, UserID string
		}
	}
	switch {
	case err != nil:
		return explained(&url.Error{Op: "Post", URL: c.endpoint, Err: err})
	case tc3.IsTemporary(resp.StatusCode):
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: fmt.Sprintf("STS responded with status %d", resp.StatusCode)}
	case !isResponse(resp, text), json.Unmarshal(text, &got) != nil: // the error of Unmarshal may quote the response
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Reason: vault.ForeignResponse, Message: newForeignSTS(resp, text, c.token).Error()}
	}
	response := got.Response
	if e := response.Error; e != nil {
		message := "STS " + e.Code + ", " + strings.TrimRight(tc3.Redacted(e.Message, c.token), ".")
		if response.RequestID != "" {
			message += ", request " + response.RequestID
		}
		f := callFailure(e.Code)
		return &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: message}
	}
	if response.Arn == "" {
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: "the STS response has no ARN"}
	}
	caller.ARN, caller.Account, caller.Type, caller.User = response.Arn, response.AccountID, response.Type, response.UserID
	return nil
}

// callFailure returns the meaning of an error code of a signed call.
func callFailure(code string) failure {
	switch code {
	case "AuthFailure.SignatureExpire":
		return failure{vault.ErrUnauthenticated, vault.ClockSkew}
	case "AuthFailure.TokenFailure":
		return failure{vault.ErrUnauthenticated, vault.TokenExpired}
	case "AuthFailure.UnauthorizedOperation":
		return failure{vault.ErrPermission, vault.AccessDenied}
	}
	switch class, _, _ := strings.Cut(code, "."); class {
	case "AuthFailure":
		return failure{vault.ErrUnauthenticated, vault.CredentialsRejected}
	case "UnauthorizedOperation":
		return failure{vault.ErrPermission, vault.AccessDenied}
	case "RequestLimitExceeded":
		return failure{vault.ErrBusy, vault.Throttled}
	case "InvalidAction", "NoSuchVersion", "UnsupportedOperation":
		return failure{vault.ErrUnsupported, vault.ReasonUnknown}
	}
	return failure{vault.ErrUnavailable, vault.ReasonUnknown}
}
