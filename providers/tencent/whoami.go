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

	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// A Caller is whom the credentials of a [Config] belong to.
type Caller struct {
	From    string    // identity, static or environment
	KeyID   string    // the SecretId, which is no secret
	Expires time.Time // zero where they do not, or where nobody said
	// What STS says. Of a role, User is its id and the name of the session, with a colon
	// between them.
	ARN, Account, Type, User string
}

// WhoAmI says whose credentials c uses, with one request to STS: GetCallerIdentity, which is
// signed and takes no right. endpoint is the URL of an STS that is not
// https://sts.tencentcloudapi.com. If STS does not tell, the error is about that, and the
// Caller has what was known before.
// https://www.tencentcloud.com/document/product/1150/47962
func WhoAmI(ctx context.Context, c Config, endpoint string) (Caller, error) {
	if err := checkEndpoint("sts_endpoint", endpoint, c.Insecure); err != nil {
		return Caller{}, err
	}
	s, err := newStore(ctx, c)
	if err != nil {
		return Caller{}, err
	}
	defer s.close()
	snapshot, err := s.credentials.Get(ctx)
	if err != nil {
		return Caller{}, told(err)
	}
	who := Caller{From: "environment", KeyID: snapshot.SecretID()}
	switch {
	case c.Identity != nil:
		who.From = "identity"
		if creds, err := c.Identity.Credentials(ctx); err == nil {
			who.Expires = creds.Expires
		}
	case c.Static != nil:
		who.From = "static"
	}
	keys := s.client.GetCredential()
	if keys == nil {
		return who, fmt.Errorf("%w: the credentials are gone", vault.ErrUnauthenticated)
	}
	base := transport.New(c.Timeout)
	defer base.CloseIdleConnections()
	call := signedCall{
		endpoint: cmp.Or(endpoint, "https://sts.tencentcloudapi.com"), region: cmp.Or(c.Region, "ap-guangzhou"),
		id: keys.SecretID, key: keys.SecretKey, token: keys.SessionToken,
	}
	err = call.send(ctx, base, &who)
	return who, err
}

// Explain returns the sentinel of package vault behind an error of this package, with a
// Hint, or nil; what Open returns has it as [vault.Store].Explain.
func Explain(err error) error { return explain(err) }

// A signedCall is GetCallerIdentity.
type signedCall struct{ endpoint, region, id, key, token string }

// send makes the call and puts the answer into who.
func (c signedCall) send(ctx context.Context, base http.RoundTripper, who *Caller) error {
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
	client := &http.Client{Transport: base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return told(err)
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
		return told(&url.Error{Op: "Post", URL: c.endpoint, Err: err})
	case resp.StatusCode != http.StatusOK:
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: fmt.Sprintf("STS answered with status %d", resp.StatusCode)}
	case json.Unmarshal(text, &got) != nil: // whose error may quote the answer
		return &vault.Cause{Service: service, Sentinel: vault.ErrUnavailable, Message: "the answer is not STS's"}
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
