package tencent

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// A signedCall is a call of GetCallerIdentity.
type signedCall struct{ endpoint, region, id, key, token string }

// send makes the call and stores the result in caller.
func (c signedCall) send(ctx context.Context, base http.RoundTripper, caller *vault.Caller) error {
	const body = "{}"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Action", "GetCallerIdentity")
	r.Header.Set("X-TC-Version", "2018-08-13")
	r.Header.Set("X-TC-Region", c.region)
	if c.token != "" {
		r.Header.Set("X-TC-Token", c.token)
	}
	signTC3(r, c.id, c.key, "sts", []byte(body), time.Now())
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
	case isTemporary(resp.StatusCode):
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: fmt.Sprintf("STS responded with status %d", resp.StatusCode)}
	case !isResponse(resp, text), json.Unmarshal(text, &got) != nil: // the error of Unmarshal may quote the response
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Reason: vault.ForeignResponse, Message: newForeignSTS(resp, text, c.token).Error()}
	}
	response := got.Response
	if e := response.Error; e != nil {
		message := "STS " + e.Code + ", " + strings.TrimRight(redacted(e.Message, c.token), ".")
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

// redacted returns the message of a service without the token, which the service may echo.
func redacted(message, token string) string {
	if token == "" {
		return message
	}
	return strings.ReplaceAll(message, token, "[redacted]")
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

// signTC3 signs a POST / of the API with TC3-HMAC-SHA256. The signature covers the content type, the
// host and the body.
// https://www.tencentcloud.com/document/api/598/33159
func signTC3(r *http.Request, id, key, service string, body []byte, at time.Time) {
	stamp, date := strconv.FormatInt(at.Unix(), 10), at.UTC().Format(time.DateOnly)
	r.Header.Set("X-TC-Timestamp", stamp)
	host := cmp.Or(r.Host, r.URL.Host)
	canonical := "POST\n/\n\ncontent-type:" + r.Header.Get("Content-Type") + "\nhost:" + host + "\n\ncontent-type;host\n" + hashed(body)
	scope := date + "/" + service + "/tc3_request"
	secret := []byte("TC3" + key)
	for _, step := range []string{date, service, "tc3_request"} {
		secret = hmac256(secret, step)
	}
	signature := hex.EncodeToString(hmac256(secret, "TC3-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hashed([]byte(canonical))))
	r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+id+"/"+scope+", SignedHeaders=content-type;host, Signature="+signature)
}

func hmac256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hashed(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
