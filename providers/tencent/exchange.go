package tencent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/tc3"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// A Role is a CAM role whose credentials Tencent's STS issues. ARN and Provider are required. Region
// is required unless Endpoint is set.
type Role struct {
	// ARN is the name of the role, such as qcs::cam::uin/100000000001:roleName/vault-0xabc.
	ARN string
	// Provider is the name of the OIDC provider in CAM.
	Provider string
	// Session is the name of the session in the logs of Tencent: 2 to 128 characters of A-Z
	// a-z 0-9 _+=,.@-. The default is objectvault.
	Session string
	// Duration is the lifetime of the credentials, at most 12 hours. The default is two hours.
	// STS limits it to the maximum of the role.
	Duration time.Duration
	// Region is sent with the request, because STS requires a region.
	Region string
	// Endpoint is the URL of STS, for example of the international site, of a VPC or of a test
	// server. The default is https://sts.tencentcloudapi.com.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool
	// Timeout limits an exchange, with all of its attempts, of which there are at most three. The
	// default is 30 seconds.
	Timeout time.Duration
}

var (
	roleARN     = text.NewRegexp(`^qcs::cam::uin/([0-9]+):(?:roleName|role)/[A-Za-z0-9+=,.@_-]+$`)
	sessionName = text.NewRegexp(`^[A-Za-z0-9_+=,.@-]{2,128}$`)
)

// TKE returns the role and the token file of a pod of Tencent Kubernetes Engine. They come from the
// environment variables TKE_ROLE_ARN, TKE_PROVIDER_ID, TKE_REGION and TKE_WEB_IDENTITY_TOKEN_FILE. ok
// is false if one of them is missing.
func TKE(getenv func(string) string) (r Role, tokenFile string, ok bool) {
	r = Role{ARN: getenv("TKE_ROLE_ARN"), Provider: getenv("TKE_PROVIDER_ID"), Region: getenv("TKE_REGION")}
	tokenFile = getenv("TKE_WEB_IDENTITY_TOKEN_FILE")
	if r.ARN == "" || r.Provider == "" || r.Region == "" || tokenFile == "" {
		return Role{}, "", false
	}
	return r, tokenFile, true
}

// NewExchanger returns an Exchanger that exchanges a token for credentials of the role. It uses
// AssumeRoleWithWebIdentity, which is not signed.
// https://www.tencentcloud.com/document/product/1150/49454
func NewExchanger(r Role) (federation.Exchanger, error) {
	name := roleARN.FindStringSubmatch(r.ARN)
	r.Session = cmp.Or(r.Session, "objectvault")
	switch {
	case name == nil:
		return nil, fmt.Errorf("%w: %q is not a role such as qcs::cam::uin/100000000001:roleName/vault", vault.ErrConfig, r.ARN)
	case r.Provider == "":
		return nil, fmt.Errorf("%w: the name of the OIDC provider in CAM is missing", vault.ErrConfig)
	case !sessionName.MatchString(r.Session):
		return nil, fmt.Errorf("%w: session %q is not 2 to 128 characters of A-Z a-z 0-9 _+=,.@-", vault.ErrConfig, r.Session)
	case r.Duration != 0 && (r.Duration < time.Second || r.Duration > 12*time.Hour):
		return nil, fmt.Errorf("%w: duration %v is not between 1s and 12h", vault.ErrConfig, r.Duration)
	case r.Region == "" && r.Endpoint == "":
		return nil, fmt.Errorf("%w: no region for the bucket: set region=", vault.ErrConfig)
	}
	if err := checkEndpoint("sts_endpoint", r.Endpoint, r.Insecure); err != nil {
		return nil, err
	}
	r.Endpoint = cmp.Or(r.Endpoint, "https://sts.tencentcloudapi.com")
	r.Region = cmp.Or(r.Region, "ap-guangzhou")
	base := transport.New(r.Timeout)
	base.DisableKeepAlives = true // an Exchanger is never closed, so no connection may stay open
	return &exchanger{role: r, account: name[1], client: &http.Client{
		Transport: base,
		// A redirect would send the token to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

type exchanger struct {
	role    Role
	account string
	client  *http.Client
}

// maxResponse limits a response. Its token has at most 4096 bytes.
const maxResponse = 1 << 20

// A stsResponse is a response of STS. It has status 200 even if it is an error.
type stsResponse struct {
	Response struct {
		Error       *struct{ Code, Message string }
		RequestID   string `json:"RequestId"`
		ExpiredTime int64  // unix seconds
		Credentials struct {
			ID    string `json:"TmpSecretId"`
			Key   string `json:"TmpSecretKey"`
			Token string
		}
	}
}

func (e *exchanger) Exchange(ctx context.Context, t federation.Token) (federation.Credentials, error) {
	got, err := e.request(ctx, t)
	if err != nil {
		return federation.Credentials{}, err
	}
	c := got.Response.Credentials
	if c.ID == "" || c.Key == "" || c.Token == "" {
		return federation.Credentials{}, e.unavailable(errors.New("the STS response has no credentials"))
	}
	creds := federation.Credentials{
		AccessKeyID:  c.ID,
		SecretKey:    federation.NewSecret(c.Key),
		SessionToken: federation.NewSecret(c.Token),
		Role:         e.role.ARN,
		Session:      e.role.Session,
		Account:      e.account,
		Subject:      t.Claims.Subject,
		Issuer:       t.Claims.Issuer,
	}
	if s := got.Response.ExpiredTime; s != 0 {
		creds.Expires = time.Unix(s, 0)
	}
	return creds, nil
}

// request calls STS, and repeats the call if STS did not respond or was busy. This is safe because
// STS does not store an exchange. Each attempt has a part of the time limit, so an attempt that hangs
// does not prevent another attempt.
func (e *exchanger) request(ctx context.Context, t federation.Token) (*stsResponse, error) {
	for n := 1; ; n++ {
		attemptCtx, cancel := context.WithTimeout(ctx, cmp.Or(e.role.Timeout, 30*time.Second)/attempts)
		got, err := e.call(attemptCtx, t)
		cancel()
		if err == nil || n == attempts || !errors.Is(err, federation.ErrUnavailable) || errors.As(err, new(*foreignSTS)) || !pause(ctx, n) {
			return got, err
		}
	}
}

func (e *exchanger) call(ctx context.Context, t federation.Token) (*stsResponse, error) {
	request := map[string]any{
		"ProviderId": e.role.Provider, "WebIdentityToken": t.Raw.Reveal(),
		"RoleArn": e.role.ARN, "RoleSessionName": e.role.Session,
	}
	if e.role.Duration != 0 {
		request["DurationSeconds"] = int(e.role.Duration / time.Second)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.role.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Content-Type":   "application/json",
		"Authorization":  "SKIP", // newer documentation requires it, older documentation does not mention it
		"X-TC-Action":    "AssumeRoleWithWebIdentity",
		"X-TC-Version":   "2018-08-13",
		"X-TC-Timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"X-TC-Region":    e.role.Region,
	} {
		r.Header.Set(name, value)
	}
	resp, err := e.client.Do(r)
	if err != nil {
		return nil, e.unavailable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	switch {
	case err != nil:
		return nil, e.unavailable(err)
	case tc3.IsTemporary(resp.StatusCode):
		return nil, e.unavailable(fmt.Errorf("STS responded with status %d", resp.StatusCode))
	}
	var got stsResponse
	if !isResponse(resp, text) || json.Unmarshal(text, &got) != nil { // the error of Unmarshal may quote the response
		return nil, e.unavailable(newForeignSTS(resp, text, t.Raw.Reveal()))
	}
	if failure := got.Response.Error; failure != nil {
		message := failure.Code + ", " + tc3.Redacted(failure.Message, t.Raw.Reveal())
		if got.Response.RequestID != "" {
			message += ", request " + got.Response.RequestID
		}
		return nil, &exchangeError{role: e.role.ARN, kind: kindOfCode(failure.Code), err: errors.New(message)}
	}
	return &got, nil
}

func (e *exchanger) unavailable(err error) error {
	return &exchangeError{role: e.role.ARN, kind: federation.ErrUnavailable, err: err}
}

// isResponse reports whether a response comes from STS. Every response of STS has status 200 and a
// JSON object Response.
// https://www.tencentcloud.com/document/product/1150/49443
func isResponse(resp *http.Response, body []byte) bool {
	var got struct {
		Response *struct{}
	}
	return resp.StatusCode == http.StatusOK && json.Unmarshal(body, &got) == nil && got.Response != nil
}

// A foreignSTS is a response that does not come from STS.
type foreignSTS struct {
	status     int
	kind, page string // the content type; the start of the body, without what may be secret
}

func newForeignSTS(resp *http.Response, body []byte, token string) *foreignSTS {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return &foreignSTS{resp.StatusCode, kind, text.Excerpt([]byte(tc3.Redacted(string(body), token)))}
}

func (e *foreignSTS) Error() string {
	text := fmt.Sprintf("this is not an STS response: status %d, %s", e.status, cmp.Or(e.kind, "no content type"))
	if e.page != "" {
		text += ": " + e.page
	}
	return text
}

// kindOfCode returns the sentinel of package federation for an error code of STS. There is no code
// for keys of the issuer that could not be fetched, because CAM stores the keys in its provider
// (CreateOIDCConfig, 598/47115).
func kindOfCode(code string) error {
	switch code {
	case "InvalidParameter.WebIdentityTokenError": // also for an iss or aud that does not match the provider
		return federation.ErrTokenInvalid
	case "InternalError.GetRoleError", "InternalError.IllegalRole": // the role does not exist
		return federation.ErrRefused
	case "AuthFailure.SignatureExpire": // X-TC-Timestamp
		return federation.ErrUnavailable
	}
	switch class, _, _ := strings.Cut(code, "."); class {
	case "AuthFailure", "UnauthorizedOperation", "InvalidParameter", "InvalidParameterValue", "ResourceNotFound",
		"FailedOperation", "UnsupportedOperation", "MissingParameter", "UnknownParameter", "NoSuchVersion", "InvalidAction":
		return federation.ErrRefused
	}
	return federation.ErrUnavailable
}

// An exchangeError is the error of a token exchange.
type exchangeError struct {
	role      string
	kind, err error
}

func (e *exchangeError) Error() string {
	return fmt.Sprintf("%v: role %s: %s", e.kind, e.role, e.err)
}

func (e *exchangeError) Unwrap() []error { return []error{e.kind, e.err} }
