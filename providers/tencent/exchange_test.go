package tencent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

func TestExchange(t *testing.T) {
	s := newServer(t, &costest.Options{Unsure: map[string]string{"authorization-skip": "refuse"}})
	issuer := newIssuer(t, s)
	arn := addRole(t, s, issuer, "vault-0xabc", "")
	e, err := tencent.NewExchanger(tencent.Role{ARN: arn, Provider: provider, Endpoint: s.URL(), Session: "bot", Duration: 15 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Exchange(t.Context(), mint(t, issuer))
	if err != nil {
		t.Fatal(err)
	}
	if c.AccessKeyID == "" || c.SecretKey.Reveal() == "" || c.SessionToken.Reveal() == "" {
		t.Error("the credentials are not complete")
	}
	if c.Role != arn || c.Session != "bot" || c.Account != "100000000001" || c.Subject != subject || c.Issuer != issuer.URL {
		t.Errorf("the credentials contain %q, %q, %q, %q, %q", c.Role, c.Session, c.Account, c.Subject, c.Issuer)
	}
	if left := time.Until(c.Expires); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("the credentials are valid for %v, want 15m", left)
	}
	for _, r := range s.Requests() {
		if r.Action != "AssumeRoleWithWebIdentity" || r.AccessKeyID != "" {
			t.Errorf("request %v, signed by %q, want one that is not signed", r, r.AccessKeyID)
		}
	}
}

func TestExchangeErrors(t *testing.T) {
	s := newServer(t, nil)
	issuer := newIssuer(t, s)
	good := addRole(t, s, issuer, "vault-0xabc", "")
	claims := testcloud.Claims{Subject: subject, Audience: audience}
	valid := issuer.Mint(claims)
	const uin = "qcs::cam::uin/100000000001:roleName/"
	for _, tc := range []struct {
		name       string
		arn, token string
		fault      *costest.Fault
		want       error
		text       string
	}{
		{"wrong subject", good, issuer.Mint(testcloud.Claims{Subject: "bot:other", Audience: audience}), nil, federation.ErrRefused, "UnauthorizedOperation"},
		{"no such role", uin + "absent", valid, nil, federation.ErrRefused, "GetRoleError"},
		{"expired token", good, issuer.MintExpired(claims), nil, federation.ErrTokenInvalid, "WebIdentityTokenError"},
		{"forged token", good, issuer.MintForged(claims), nil, federation.ErrTokenInvalid, "WebIdentityTokenError"},
		{"wrong audience", good, issuer.Mint(testcloud.Claims{Subject: subject, Audience: "other"}), nil, federation.ErrTokenInvalid, "WebIdentityTokenError"},
		{"no such role, second code", good, valid, callError("ResourceNotFound.RoleNotFound"), federation.ErrRefused, "RoleNotFound"},
		{"too many requests", good, valid, callError("RequestLimitExceeded"), federation.ErrUnavailable, "RequestLimitExceeded"},
		{"internal error of STS", good, valid, callError("InternalError.SystemError"), federation.ErrUnavailable, "SystemError"},
		{"clock skew", good, valid, callError("AuthFailure.SignatureExpire"), federation.ErrUnavailable, "SignatureExpire"},
		{"unknown error code", good, valid, callError("Surprise"), federation.ErrUnavailable, "Surprise"},
		{"status 502", good, valid, costest.RespondBefore(502, "<html>"), federation.ErrUnavailable, "status 502"},
		{"connection closed", good, valid, costest.DropBefore(), federation.ErrUnavailable, "EOF"},
		{"not JSON", good, valid, costest.RespondBefore(200, "<html>"), federation.ErrUnavailable, "not an STS response"},
		{"no credentials", good, valid, costest.RespondBefore(200, `{"Response":{"RequestId":"x"}}`), federation.ErrUnavailable, "no credentials"},
		{"token in the response", good, valid, costest.RespondBefore(200, costest.ErrorJSON("InvalidParameter.ParamError", "bad token "+valid)), federation.ErrRefused, "[redacted]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.SetRule(func(*costest.Request) *costest.Fault { return tc.fault })
			defer s.SetRule(nil)
			_, err := newExchanger(t, s, tc.arn).Exchange(t.Context(), parse(t, tc.token))
			if !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			for _, other := range []error{federation.ErrRefused, federation.ErrTokenInvalid, federation.ErrUnavailable} {
				if other != tc.want && errors.Is(err, other) {
					t.Errorf("error %v is also %v", err, other)
				}
			}
			text := fmt.Sprintf("%v %+v", err, err)
			if !strings.Contains(text, tc.text) || !strings.Contains(text, tc.arn) {
				t.Errorf("error %q, want it to name %q and the role", text, tc.text)
			}
			if strings.Contains(text, tc.token) {
				t.Error("the error contains the token")
			}
		})
	}
}

func callError(code string) *costest.Fault {
	return costest.RespondBefore(200, costest.ErrorJSON(code, "told by a test"))
}

func TestRoleRefused(t *testing.T) {
	const arn = "qcs::cam::uin/100000000001:roleName/vault"
	for _, tc := range []struct {
		name string
		r    tencent.Role
	}{
		{"no role", tencent.Role{Provider: provider, Region: "ap-guangzhou"}},
		{"role of AWS", tencent.Role{ARN: "arn:aws:iam::123456789012:role/vault", Provider: provider, Region: "ap-guangzhou"}},
		{"no provider", tencent.Role{ARN: arn, Region: "ap-guangzhou"}},
		{"no region", tencent.Role{ARN: arn, Provider: provider}},
		{"session with spaces", tencent.Role{ARN: arn, Provider: provider, Region: "ap-guangzhou", Session: "a b"}},
		{"duration above twelve hours", tencent.Role{ARN: arn, Provider: provider, Region: "ap-guangzhou", Duration: 13 * time.Hour}},
		{"plain http", tencent.Role{ARN: arn, Provider: provider, Endpoint: "http://sts.example.com"}},
		{"endpoint is not a URL", tencent.Role{ARN: arn, Provider: provider, Endpoint: "sts.example.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tencent.NewExchanger(tc.r); !errors.Is(err, vault.ErrConfig) {
				t.Errorf("error %v, want %v", err, vault.ErrConfig)
			}
		})
	}
	if _, err := tencent.NewExchanger(tencent.Role{ARN: arn, Provider: provider, Endpoint: "http://sts.example.com", Insecure: true}); err != nil {
		t.Errorf("plain http with Insecure: %v", err)
	}
}

func TestTKE(t *testing.T) {
	env := map[string]string{
		"TKE_ROLE_ARN": "qcs::cam::uin/1:roleName/r", "TKE_PROVIDER_ID": "p", "TKE_REGION": "ap-hongkong", "TKE_WEB_IDENTITY_TOKEN_FILE": "/run/token",
	}
	r, file, ok := tencent.TKE(func(name string) string { return env[name] })
	if want := (tencent.Role{ARN: "qcs::cam::uin/1:roleName/r", Provider: "p", Region: "ap-hongkong"}); !ok || r != want || file != "/run/token" {
		t.Errorf("TKE = %+v, %q, %v", r, file, ok)
	}
	for name := range env {
		if _, _, ok := tencent.TKE(func(n string) string {
			if n == name {
				return ""
			}
			return env[n]
		}); ok {
			t.Errorf("TKE reports true without %s", name)
		}
	}
}

// TestSTSHangs: the exchange is repeated if STS does not respond or is busy, but not if STS refuses
// the token.
func TestSTSHangs(t *testing.T) {
	for name, tc := range map[string]struct {
		fault *costest.Fault
		want  error
		asked int
	}{
		"no response":       {costest.Delay(time.Hour), nil, 2},
		"connection closed": {costest.DropBefore(), nil, 2},
		"rate limit":        {costest.RespondBefore(200, costest.ErrorJSON("RequestLimitExceeded", "Your current request times exceeds the limit.")), nil, 2},
		"status 502":        {costest.RespondBefore(502, ""), nil, 2},
		"token refused":     {costest.RespondBefore(200, costest.ErrorJSON("UnauthorizedOperation", "no")), federation.ErrRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			issuer := newIssuer(t, s)
			role := tencent.Role{ARN: addRole(t, s, issuer, "vault", ""), Provider: provider, Endpoint: s.URL()}
			if name == "no response" {
				role.Timeout = 6 * time.Second // of which each request gets a third
			}
			e, err := tencent.NewExchanger(role)
			if err != nil {
				t.Fatal(err)
			}
			s.Reset()
			s.SetRule(once("AssumeRoleWithWebIdentity", tc.fault))
			if _, err := e.Exchange(t.Context(), mint(t, issuer)); !errors.Is(err, tc.want) {
				t.Errorf("exchange: %v, want %v", err, tc.want)
			}
			// On a busy machine, a second request may get no response in time either.
			if n := len(s.Requests()); n != tc.asked && (role.Timeout == 0 || n != 3) {
				t.Errorf("%d requests, want %d", n, tc.asked)
			}
		})
	}
}
