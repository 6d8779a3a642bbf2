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
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// A Role is what Tencent's STS gives credentials for. ARN and Provider are required, and
// Region where there is no Endpoint.
type Role struct {
	// ARN is such as qcs::cam::uin/100000000001:roleName/vault-0xabc.
	ARN string
	// Provider is the name of the OIDC provider in CAM.
	Provider string
	// Session is what Tencent's logs call the session: 2 to 128 of A-Z a-z 0-9 _+=,.@-;
	// empty means objectvault.
	Session string
	// Duration is how long the credentials live, at most 12 hours; 0 means two hours. STS
	// makes it no longer than the role allows.
	Duration time.Duration
	// Region is sent along, since STS wants one.
	Region string
	// Endpoint is the URL of an STS that is not https://sts.tencentcloudapi.com: that of
	// the international site, of a VPC, of a test server.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool
	// Timeout is how long an exchange may take, in up to three attempts; 0 means 30 seconds.
	Timeout time.Duration
}

var (
	roleARN     = regexp.MustCompile(`^qcs::cam::uin/([0-9]+):(?:roleName|role)/[A-Za-z0-9+=,.@_-]+$`)
	sessionName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,128}$`)
)

// TKE returns the role and the file of tokens that a pod of Tencent's Kubernetes Engine
// finds in its environment: TKE_ROLE_ARN, TKE_PROVIDER_ID, TKE_REGION and
// TKE_WEB_IDENTITY_TOKEN_FILE. It is false where one of them is missing.
func TKE(getenv func(string) string) (r Role, tokenFile string, ok bool) {
	r = Role{ARN: getenv("TKE_ROLE_ARN"), Provider: getenv("TKE_PROVIDER_ID"), Region: getenv("TKE_REGION")}
	tokenFile = getenv("TKE_WEB_IDENTITY_TOKEN_FILE")
	if r.ARN == "" || r.Provider == "" || r.Region == "" || tokenFile == "" {
		return Role{}, "", false
	}
	return r, tokenFile, true
}

// NewExchanger returns what exchanges a token for the role's credentials with
// AssumeRoleWithWebIdentity, a request that is not signed.
// https://www.tencentcloud.com/document/product/1150/49454
func NewExchanger(r Role) (federation.Exchanger, error) {
	name := roleARN.FindStringSubmatch(r.ARN)
	r.Session = cmp.Or(r.Session, "objectvault")
	switch {
	case name == nil:
		return nil, fmt.Errorf("%w: %q is not a role such as qcs::cam::uin/100000000001:roleName/vault", vault.ErrConfig, r.ARN)
	case r.Provider == "":
		return nil, fmt.Errorf("%w: the name of the OIDC provider in CAM is needed", vault.ErrConfig)
	case !sessionName.MatchString(r.Session):
		return nil, fmt.Errorf("%w: session %q is not 2 to 128 of A-Z a-z 0-9 _+=,.@-", vault.ErrConfig, r.Session)
	case r.Duration != 0 && (r.Duration < time.Second || r.Duration > 12*time.Hour):
		return nil, fmt.Errorf("%w: duration %v is not between 1s and 12h", vault.ErrConfig, r.Duration)
	case r.Region == "" && r.Endpoint == "":
		return nil, fmt.Errorf("%w: in which region is the bucket? say so with region=", vault.ErrConfig)
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
		// It would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

type exchanger struct {
	role    Role
	account string
	client  *http.Client
}

// maxAnswer bounds an answer, whose token has at most 4096 bytes.
const maxAnswer = 1 << 20

// An answer of STS has status 200 also when it is an error.
type answer struct {
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
	got, err := e.ask(ctx, t)
	if err != nil {
		return federation.Credentials{}, err
	}
	c := got.Response.Credentials
	if c.ID == "" || c.Key == "" || c.Token == "" {
		return federation.Credentials{}, e.unavailable(errors.New("STS answered without credentials"))
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

// ask asks STS, and once more where it did not answer or was busy: it keeps nothing of an
// exchange. An attempt has its part of the time, so that one that hangs is not the last.
func (e *exchanger) ask(ctx context.Context, t federation.Token) (*answer, error) {
	for n := 1; ; n++ {
		once, cancel := context.WithTimeout(ctx, cmp.Or(e.role.Timeout, 30*time.Second)/attempts)
		got, err := e.call(once, t)
		cancel()
		if err == nil || n == attempts || !errors.Is(err, federation.ErrUnavailable) || errors.As(err, new(*foreignSTS)) || !pause(ctx, n) {
			return got, err
		}
	}
}

func (e *exchanger) call(ctx context.Context, t federation.Token) (*answer, error) {
	in := map[string]any{
		"ProviderId": e.role.Provider, "WebIdentityToken": t.Raw.Reveal(),
		"RoleArn": e.role.ARN, "RoleSessionName": e.role.Session,
	}
	if e.role.Duration != 0 {
		in["DurationSeconds"] = int(e.role.Duration / time.Second)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.role.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Content-Type":   "application/json",
		"Authorization":  "SKIP", // newer documents want it, older ones nothing
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
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, e.unavailable(err)
	case isTemporary(resp.StatusCode):
		return nil, e.unavailable(fmt.Errorf("STS answered with status %d", resp.StatusCode))
	}
	var got answer
	if !isAnswer(resp, said) || json.Unmarshal(said, &got) != nil { // whose error may quote the answer
		return nil, e.unavailable(newForeignSTS(resp, said, t.Raw.Reveal()))
	}
	if no := got.Response.Error; no != nil {
		why := no.Code + ", " + redacted(no.Message, t.Raw.Reveal())
		if got.Response.RequestID != "" {
			why += ", request " + got.Response.RequestID
		}
		return nil, &exchangeError{role: e.role.ARN, is: blame(no.Code), err: errors.New(why)}
	}
	return &got, nil
}

func (e *exchanger) unavailable(err error) error {
	return &exchangeError{role: e.role.ARN, is: federation.ErrUnavailable, err: err}
}

// isTemporary reports whether a status says that it is a matter of time.
func isTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// isAnswer reports whether STS gave a response: each has status 200, and an object of this name.
// https://www.tencentcloud.com/document/product/1150/49443
func isAnswer(resp *http.Response, body []byte) bool {
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
	return &foreignSTS{resp.StatusCode, kind, text.Excerpt([]byte(redacted(string(body), token)))}
}

func (e *foreignSTS) Error() string {
	text := fmt.Sprintf("this is not an STS response: status %d, %s", e.status, cmp.Or(e.kind, "no content type"))
	if e.page != "" {
		text += ": " + e.page
	}
	return text
}

// blame says whose fault it is that there are no credentials. No code means that the keys of the
// issuer could not be fetched: CAM has them from its provider (CreateOIDCConfig, 598/47115), and an
// exchange fetches nothing.
func blame(code string) error {
	switch code {
	case "InvalidParameter.WebIdentityTokenError": // also for an iss or aud that the provider does not have
		return federation.ErrTokenInvalid
	case "InternalError.GetRoleError", "InternalError.IllegalRole": // there is no such role
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

// An exchangeError is why STS gave no credentials.
type exchangeError struct {
	role    string
	is, err error
}

func (e *exchangeError) Error() string {
	return fmt.Sprintf("%v: role %s: %s", e.is, e.role, e.err)
}

func (e *exchangeError) Unwrap() []error { return []error{e.is, e.err} }
