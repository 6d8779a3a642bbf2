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

// explained is what a store says of an error: the sentinel, the hint, and whether nothing
// was done.
func explained(t *testing.T, st *vault.Store, err error) (text, hint string, unapplied bool) {
	t.Helper()
	if e := st.Explain(err); e != nil {
		err = e
	}
	var h interface{ Hint() string }
	var u interface{ Unapplied() bool }
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	return err.Error(), hint, errors.As(err, &u) && u.Unapplied()
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
		hint      string
		unapplied bool
	}{
		{403, "AccessDenied", vault.ErrPermission, "policies", true},
		{404, "NoSuchBucket", vault.ErrUnavailable, "no such bucket", true},
		{400, "ExpiredToken", vault.ErrUnauthenticated, "new token", true},
		{403, "InvalidAccessKeyId", vault.ErrUnauthenticated, "does not know", true},
		{403, "SignatureDoesNotMatch", vault.ErrUnauthenticated, "does not know", true},
		{403, "RequestTimeTooSkewed", vault.ErrUnauthenticated, "clock", true},
		{403, "Request has expired", vault.ErrUnauthenticated, "clock", true},
		{403, "PathStyleDomainForbidden", vault.ErrPermission, "endpoint", true},
		{451, "UnavailableForLegalReasons", vault.ErrPermission, "console", true},
		{409, "ObjectLocked", vault.ErrPermission, "retention", true},
		{400, "KeyTooLong", vault.ErrInvalidName, "", true},
		{501, "NotImplemented", vault.ErrUnsupported, "", false},
		{503, "SlowDown", vault.ErrBusy, "fewer", true},
		{503, "ServiceUnavailable", vault.ErrUnavailable, "fewer", false},
		{500, "InternalError", vault.ErrUnavailable, "", false},
		{520, "", vault.ErrUnavailable, "", false},
		{403, "", vault.ErrPermission, "policies", true},
		{401, "", vault.ErrUnauthenticated, "does not know", true},
		{307, "TemporaryRedirect", vault.ErrUnavailable, "region", true},
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
			text, hint, unapplied := explained(t, st, err)
			if !strings.HasPrefix(text, tc.want.Error()) || !strings.Contains(text, tc.code) {
				t.Errorf("it says %q, want %q and the code", text, tc.want)
			}
			if !strings.Contains(hint, tc.hint) || tc.hint == "" && hint != "" {
				t.Errorf("it hints %q, want %q", hint, tc.hint)
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
		hint      string
	}{
		{"no such role", arn + "x", sourceOf(mint(t, issuer)), vault.ErrUnauthenticated, "trust policy"},
		{"a forged token", arn, sourceOf(parse(t, issuer.MintForged(testcloud.Claims{Subject: subject, Audience: audience}))), vault.ErrUnauthenticated, "new token"},
		{"no token", arn, noSource{federation.ErrTokenInvalid}, vault.ErrUnauthenticated, "new token"},
		{"an issuer that refuses", arn, noSource{federation.ErrRefused}, vault.ErrUnauthenticated, "issuer gives no token"},
		{"an issuer that is gone", arn, noSource{federation.ErrUnavailable}, vault.ErrUnavailable, "did not answer"},
		{"another tenant", arn, noSource{federation.ErrTenantMismatch}, vault.ErrPermission, "another tenant's"},
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
				text, hint, unapplied := explained(t, st, err)
				if !is(st, err, tc.want) || !strings.Contains(hint, tc.hint) || !unapplied {
					t.Errorf("%s says %q, hints %q, unapplied %v", what, text, hint, unapplied)
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
	if _, hint, unapplied := explained(t, st, err); !is(st, err, vault.ErrUnauthenticated) || !strings.Contains(hint, "TENCENTCLOUD_SECRET_ID") || !unapplied {
		t.Errorf("error %v, hint %q, unapplied %v", err, hint, unapplied)
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
			if !errors.Is(err, tencent.ErrConfig) {
				t.Fatalf("error %v, want %v", err, tencent.ErrConfig)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a password: %v", err)
			}
		})
	}
}
