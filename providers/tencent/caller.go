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

// A signedCall is GetCallerIdentity.
type signedCall struct{ endpoint, region, id, key, token string }

// send makes the call and puts the answer into who.
func (c signedCall) send(ctx context.Context, base http.RoundTripper, who *vault.Caller) error {
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
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
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
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: fmt.Sprintf("STS answered with status %d", resp.StatusCode)}
	case !isAnswer(resp, text), json.Unmarshal(text, &got) != nil: // whose error may quote the answer
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Reason: vault.ForeignResponse, Message: newForeignSTS(resp, text, c.token).Error()}
	}
	answer := got.Response
	if no := answer.Error; no != nil {
		said := "STS " + no.Code + ", " + strings.TrimRight(redacted(no.Message, c.token), ".")
		if answer.RequestID != "" {
			said += ", request " + answer.RequestID
		}
		f := callFailure(no.Code)
		return &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: said}
	}
	if answer.Arn == "" {
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: "STS answered without an ARN"}
	}
	who.ARN, who.Account, who.Type, who.User = answer.Arn, answer.AccountID, answer.Type, answer.UserID
	return nil
}

// redacted is what a service says, without a token that it sends back.
func redacted(said, token string) string {
	if token == "" {
		return said
	}
	return strings.ReplaceAll(said, token, "[redacted]")
}

// callFailure is what an error code of a signed call means.
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

// signTC3 signs POST / of the API with TC3-HMAC-SHA256, over content type, host and body.
// https://www.tencentcloud.com/document/api/598/33159
func signTC3(r *http.Request, id, key, service string, body []byte, now time.Time) {
	stamp, date := strconv.FormatInt(now.Unix(), 10), now.UTC().Format(time.DateOnly)
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
