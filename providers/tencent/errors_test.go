package tencent_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

func value(w io.Writer) error { _, err := io.WriteString(w, "value"); return err }

// explained is what a store makes of an error: its text, the reason, and whether nothing was
// done.
func explained(t *testing.T, st *vault.Store, err error) (text string, reason vault.Reason, notApplied bool) {
	t.Helper()
	if e := st.Explain(err); e != nil {
		err = e
	}
	var cause *vault.Cause
	if !errors.As(err, &cause) {
		return err.Error(), vault.ReasonUnknown, false
	}
	return err.Error(), cause.Reason, cause.Effect == vault.NotApplied
}

func is(st *vault.Store, err, want error) bool {
	return errors.Is(err, want) || errors.Is(st.Explain(err), want)
}

// TestExplain answers a write with each code.
func TestExplain(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	for _, tc := range []struct {
		status    int
		code      string
		want      error
		reason    vault.Reason
		unapplied bool
	}{
		{403, "AccessDenied", vault.ErrPermission, vault.AccessDenied, true},
		{404, "NoSuchBucket", vault.ErrUnavailable, vault.NoBucket, true},
		{400, "ExpiredToken", vault.ErrUnauthenticated, vault.TokenExpired, true},
		{403, "InvalidAccessKeyId", vault.ErrUnauthenticated, vault.CredentialsRejected, true},
		{403, "SignatureDoesNotMatch", vault.ErrUnauthenticated, vault.CredentialsRejected, true},
		{403, "RequestTimeTooSkewed", vault.ErrUnauthenticated, vault.ClockSkew, true},
		{403, "Request has expired", vault.ErrUnauthenticated, vault.ClockSkew, true},
		{403, "PathStyleDomainForbidden", vault.ErrPermission, vault.PathStyle, true},
		{451, "UnavailableForLegalReasons", vault.ErrPermission, vault.AccountBlocked, true},
		{409, "ObjectLocked", vault.ErrPermission, vault.Locked, true},
		{400, "KeyTooLong", vault.ErrInvalidName, vault.ReasonUnknown, true},
		{501, "NotImplemented", vault.ErrUnsupported, vault.ReasonUnknown, false},
		{503, "SlowDown", vault.ErrBusy, vault.Throttled, true},
		{503, "ServiceUnavailable", vault.ErrUnavailable, vault.Throttled, false},
		{500, "InternalError", vault.ErrUnavailable, vault.ReasonUnknown, false},
		{520, "", vault.ErrUnavailable, vault.ReasonUnknown, false},
		{403, "", vault.ErrPermission, vault.AccessDenied, true},
		{401, "", vault.ErrUnauthenticated, vault.CredentialsRejected, true},
		{307, "TemporaryRedirect", vault.ErrUnavailable, vault.WrongRegion, true},
	} {
		t.Run(tc.code, func(t *testing.T) {
			body := ""
			if tc.code != "" {
				body = costest.ErrorXML(tc.code, "told by a test.")
			}
			s.SetRule(func(*costest.Request) *costest.Fault { return costest.RespondBefore(tc.status, body) })
			defer s.SetRule(nil)
			_, err := st.Put.Put(t.Context(), "key", value)
			if !is(st, err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			text, reason, unapplied := explained(t, st, err)
			if !strings.HasPrefix(text, tc.want.Error()) || !strings.Contains(text, tc.code) {
				t.Errorf("it says %q, want %q and the code", text, tc.want)
			}
			if reason != tc.reason {
				t.Errorf("reason %v, want %v", reason, tc.reason)
			}
			if unapplied != tc.unapplied {
				t.Errorf("unapplied is %v, want %v", unapplied, tc.unapplied)
			}
		})
	}
}

func TestExplainIdentity(t *testing.T) {
	s := newServer(t, nil)
	issuer := newIssuer(t, s)
	arn := addRole(t, s, issuer, "vault-0xabc", "")
	for _, tc := range []struct {
		name, arn string
		source    federation.Source
		want      error
		reason    vault.Reason
	}{
		{"no such role", arn + "x", sourceOf(mint(t, issuer)), vault.ErrUnauthenticated, vault.TrustRefused},
		{"a forged token", arn, sourceOf(parse(t, issuer.MintForged(testcloud.Claims{Subject: subject, Audience: audience}))), vault.ErrUnauthenticated, vault.TokenInvalid},
		{"no token", arn, noSource{federation.ErrTokenInvalid}, vault.ErrUnauthenticated, vault.TokenInvalid},
		{"an issuer that refuses", arn, noSource{federation.ErrRefused}, vault.ErrUnauthenticated, vault.TokenRefused},
		{"an issuer that is gone", arn, noSource{federation.ErrUnavailable}, vault.ErrUnavailable, vault.TokenSourceUnavailable},
		{"another tenant", arn, noSource{federation.ErrTenantMismatch}, vault.ErrPermission, vault.TenantMismatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := config(s, nil)
			c.Identity = federation.NewProvider(tc.source, newExchanger(t, s, tc.arn), nil)
			st := open(t, c)
			for what, err := range map[string]error{
				"put":    second(st.Put.Put(t.Context(), "key", value)),
				"create": second(st.Create.Create(t.Context(), "key", value)),
				"remove": errRemove(t, st, "key"),
			} {
				text, reason, unapplied := explained(t, st, err)
				if !is(st, err, tc.want) || reason != tc.reason || !unapplied {
					t.Errorf("%s says %q, reason %v, unapplied %v", what, text, reason, unapplied)
				}
			}
		})
	}
}

func second(_ string, err error) error { return err }

func errRemove(t *testing.T, st *vault.Store, keys ...string) error {
	_, err := st.Remover.Remove(t.Context(), keys)
	return err
}

func TestNoCredentials(t *testing.T) {
	for _, name := range []string{"TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN"} {
		t.Setenv(name, "")
	}
	s := newServer(t, nil)
	st := open(t, config(s, nil))
	_, err := st.Put.Put(t.Context(), "key", value)
	if _, reason, unapplied := explained(t, st, err); !is(st, err, vault.ErrUnauthenticated) || reason != vault.NoCredentials || !unapplied {
		t.Errorf("error %v, reason %v, unapplied %v", err, reason, unapplied)
	}
	t.Setenv("TENCENTCLOUD_SECRET_ID", s.SecretID())
	t.Setenv("TENCENTCLOUD_SECRET_KEY", s.SecretKey())
	if _, err := st.Put.Put(t.Context(), "key", value); err != nil {
		t.Errorf("with the keys of the environment: %v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    tencent.Config
	}{
		{"no bucket", tencent.Config{Region: "ap-guangzhou"}},
		{"a bucket without an APPID", tencent.Config{Bucket: "vault", Region: "ap-guangzhou"}},
		{"no region", tencent.Config{Bucket: "vault-1250000000"}},
		{"a region that is none", tencent.Config{Bucket: "vault-1250000000", Region: "a/b"}},
		{"plain http", tencent.Config{Bucket: "vault-1250000000", Endpoint: "http://cos.example.com"}},
		{"no URL", tencent.Config{Bucket: "vault-1250000000", Endpoint: "cos.example.com"}},
		{"a password", tencent.Config{Bucket: "vault-1250000000", Endpoint: "https://user:hunter2@cos.example.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.c.Static = cosblob.Static("id", "key", "")
			_, err := tencent.Open(t.Context(), tc.c)
			if !errors.Is(err, vault.ErrConfig) {
				t.Fatalf("error %v, want %v", err, vault.ErrConfig)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a password: %v", err)
			}
		})
	}
}
