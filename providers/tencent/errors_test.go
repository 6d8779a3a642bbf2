package tencent_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func value(w io.Writer) error { _, err := io.WriteString(w, "value"); return err }

// explained returns the store's explanation of an error: the text, the reason, and whether nothing
// was applied.
func explained(t *testing.T, st *vault.Store, err error) (text string, reason vault.Reason, notApplied bool) {
	t.Helper()
	if e := st.Explain(err); e != nil {
		err = e
	}
	var cause *vault.Cause
	if !errors.As(err, &cause) {
		return err.Error(), vault.ReasonUnknown, false
	}
	return err.Error(), cause.Reason, cause.Effect == vault.NotApplied || cause.Effect == vault.Refused
}

func isKind(st *vault.Store, err, want error) bool {
	return errors.Is(err, want) || errors.Is(st.Explain(err), want)
}

// TestExplain responds to a write with each error code.
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
		{301, "PermanentRedirect", vault.ErrUnavailable, vault.WrongRegion, true},
		{307, "TemporaryRedirect", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{302, "Found", vault.ErrRefused, vault.ReasonUnknown, true},
		{400, "InvalidArgument", vault.ErrRefused, vault.ReasonUnknown, true},
		{409, "SomethingNew", vault.ErrRefused, vault.ReasonUnknown, true},
		{412, "PreconditionFailed", vault.ErrRefused, vault.ReasonUnknown, true}, // the request had no condition
		{409, "FileAlreadyExists", vault.ErrRefused, vault.ReasonUnknown, true},  // the request had no condition
		{403, "BucketQuotaExceeded", vault.ErrNoSpace, vault.ReasonUnknown, true},
		{400, "KmsKeyDisabled", vault.ErrRefused, vault.StoreKey, true},
		{403, "KMS.AccessDenied", vault.ErrPermission, vault.StoreKey, true},
		{400, "RequestTimeout", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{400, "BadDigest", vault.ErrUnavailable, vault.Damaged, true},
		{400, "IncompleteBody", vault.ErrUnavailable, vault.Damaged, true},
		{400, "EntitySizeNotMatch", vault.ErrUnavailable, vault.Damaged, true},
		{408, "", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{425, "", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{429, "", vault.ErrBusy, vault.Throttled, true},
	} {
		t.Run(tc.code, func(t *testing.T) {
			body := ""
			if tc.code != "" {
				body = costest.ErrorXML(tc.code, "told by a test.")
			}
			s.SetRule(func(*costest.Request) *costest.Fault { return costest.RespondBefore(tc.status, body) })
			defer s.SetRule(nil)
			_, err := st.Put.Put(t.Context(), "key", value)
			if !isKind(st, err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			text, reason, unapplied := explained(t, st, err)
			begin := tc.want.Error()
			if tc.want == vault.ErrRefused {
				begin = tc.code
			}
			if !strings.HasPrefix(text, begin) || !strings.Contains(text, tc.code) {
				t.Errorf("the message is %q, want %q and the code", text, begin)
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

// TestWrongClock: a put with a wrong clock is not denied but unauthenticated, so that a spool keeps its
// entry. The clock may be behind or ahead, and the error has each of its forms.
func TestWrongClock(t *testing.T) {
	for _, code := range []string{"AccessDenied", "Request has expired", "RequestIsExpired"} {
		for _, off := range []time.Duration{time.Hour, -time.Hour} {
			for _, versioning := range []string{"", "Enabled"} {
				s := newServer(t, &costest.Options{
					Versioning: versioning, Now: func() time.Time { return time.Now().Add(off) },
					Unsure: map[string]string{"expired-signature": code},
				})
				st := open(t, config(s, owner(s)))
				for what, err := range map[string]error{
					"put":    second(st.Put.Put(t.Context(), "key", value)),
					"create": second(st.Create.Create(t.Context(), "key", value)),
					"remove": errRemove(t, st, "key"),
				} {
					text, reason, unapplied := explained(t, st, err)
					if !isKind(st, err, vault.ErrUnauthenticated) || isKind(st, err, vault.ErrPermission) || reason != vault.ClockSkew || !unapplied {
						t.Errorf("%s, %s, %v, versioning %q: %s: reason %v, unapplied %v", what, code, off, versioning, text, reason, unapplied)
					}
				}
			}
		}
	}
}

// TestWrongClockInSpool: a value that could not be sent because of a wrong clock is not refused, and a
// sync sends it.
func TestWrongClockInSpool(t *testing.T) {
	var off atomic.Int64
	off.Store(int64(time.Hour))
	s := newServer(t, &costest.Options{Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) }})
	saved, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "store"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(open(t, config(s, owner(s))), "acme", keys, &vault.Options{Spool: saved})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "name", strings.NewReader("value"), nil); !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, vault.ErrUnauthenticated) {
		t.Errorf("put: %v, want %v and %v", err, vault.ErrSpooled, vault.ErrUnauthenticated)
	}
	off.Store(0)
	sent, err := saved.Sync(t.Context(), v, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Stat(t.Context(), "name"); err != nil {
		t.Errorf("after the clock was set and a sync (%+v): %v", sent, err)
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
		{"forged token", arn, sourceOf(parse(t, issuer.MintForged(testcloud.Claims{Subject: subject, Audience: audience}))), vault.ErrUnauthenticated, vault.TokenInvalid},
		{"no token", arn, noSource{federation.ErrTokenInvalid}, vault.ErrUnauthenticated, vault.TokenInvalid},
		{"issuer refuses a token", arn, noSource{federation.ErrRefused}, vault.ErrUnauthenticated, vault.TokenRefused},
		{"issuer unreachable", arn, noSource{federation.ErrUnavailable}, vault.ErrUnavailable, vault.TokenSourceUnavailable},
		{"token of another tenant", arn, noSource{federation.ErrTenantMismatch}, vault.ErrPermission, vault.TenantMismatch},
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
				if !isKind(st, err, tc.want) || reason != tc.reason || !unapplied {
					t.Errorf("%s: message %q, reason %v, unapplied %v", what, text, reason, unapplied)
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

// TestSentOnce: a request that COS refuses permanently is sent once. A request that COS refuses
// temporarily is sent three times. After a refused write, nothing is read back.
func TestSentOnce(t *testing.T) {
	s := newServer(t, nil)
	v := newVault(t, open(t, config(s, owner(s))), "acme")
	for _, tc := range []struct {
		status int
		code   string
		want   int
	}{
		{400, "InvalidArgument", 1}, {403, "AccessDenied", 1}, {404, "NoSuchBucket", 1}, {409, "SomethingNew", 1}, {403, "QuotaExceeded", 1},
		{400, "RequestTimeout", 3}, {429, "", 3}, {408, "", 3}, {425, "", 3}, {409, "OperationAborted", 3}, {409, "PathConflict", 3}, {400, "UserNetworkTooSlow", 3},
		{503, "SlowDown", 3}, {400, "BadDigest", 3}, {400, "IncompleteBody", 3}, {400, "EntitySizeNotMatch", 3},
	} {
		var sent []string
		s.SetRule(func(r *costest.Request) *costest.Fault {
			sent = append(sent, r.Method)
			body := ""
			if tc.code != "" {
				body = costest.ErrorXML(tc.code, "told by a test.")
			}
			return costest.RespondBefore(tc.status, body)
		})
		_, err := v.Put(t.Context(), "name", strings.NewReader("value"), nil)
		puts := slices.DeleteFunc(slices.Clone(sent), func(m string) bool { return m != "PUT" })
		first := len(sent)
		rmErr := v.Delete(t.Context(), "name", nil)
		s.SetRule(nil)
		rms := slices.DeleteFunc(slices.Clone(sent[first:]), func(m string) bool { return m != "DELETE" })
		sent = sent[:first]
		if err == nil || errors.Is(err, vault.ErrUnsure) || tc.want == 1 && len(sent) != 1 || len(puts) != tc.want {
			t.Errorf("%d %s: %v, the requests were %v, want %d writes", tc.status, tc.code, err, sent, tc.want)
		}
		if err == nil || errors.Is(rmErr, vault.ErrUnsure) || len(rms) != tc.want {
			t.Errorf("%d %s: %v, the requests were %v, want %d deletions", tc.status, tc.code, rmErr, sent, tc.want)
		}
	}
}

// TestSwapAfterVersioningUnknown: a store that could not read the versioning when it was opened can read
// and replace an object later. Without another writer, it reports no conflict.
func TestSwapAfterVersioningUnknown(t *testing.T) {
	t.Parallel()
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	info, err := newVault(t, open(t, config(s, owner(s))), "acme").Put(t.Context(), "name", strings.NewReader("value"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "GetBucketVersioning" {
			return costest.RespondBefore(403, costest.ErrorXML("ExpiredToken", "told by a test"))
		}
		return nil
	})
	late := newVault(t, open(t, config(s, owner(s))), "acme")
	s.SetRule(nil)
	if info, err = late.Put(t.Context(), "name", strings.NewReader("other"), &vault.PutOptions{IfRevision: info.Revision}); err != nil {
		t.Errorf("put if revision: %v", err)
	}

	// Another writer between the read and the write is still detected.
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "GetBucketVersioning" {
			return costest.RespondBefore(403, costest.ErrorXML("ExpiredToken", "told by a test"))
		}
		return nil
	})
	store := open(t, config(s, owner(s)))
	s.SetRule(nil)
	key := "bots/acme/credentials/name.enc"
	r, err := store.Bucket.NewReader(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	tag := store.Tag(r)
	r.Close()
	if _, err := late.Put(t.Context(), "name", strings.NewReader("third"), &vault.PutOptions{IfRevision: info.Revision}); err != nil {
		t.Fatal(err)
	}
	_, err = store.Swap.Swap(t.Context(), key, tag, func(w io.Writer) error { _, err := w.Write([]byte("lost update")); return err })
	if !errors.Is(err, vault.ErrConflict) {
		t.Errorf("swap after another write: %v, want %v", err, vault.ErrConflict)
	}
}

// TestVersioningUnknown: if the versioning cannot be read when the store is opened, the operations
// that depend on it return this error, until it can be read.
func TestVersioningUnknown(t *testing.T) {
	for name, tc := range map[string]struct {
		fault *costest.Fault
		want  error
	}{
		"wrong secret": {costest.RespondBefore(403, costest.ErrorXML("SignatureDoesNotMatch", "told by a test")), vault.ErrUnauthenticated},
		"unavailable":  {costest.RespondBefore(503, costest.ErrorXML("ServiceUnavailable", "told by a test")), vault.ErrUnavailable},
		"denied":       {costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "told by a test")), vault.ErrPermission},
		"login page":   {costest.RespondBefore(200, "<html>please log in</html>"), vault.ErrUnavailable},
		"empty":        {costest.RespondBefore(200, ""), vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, versioning := range []string{"Enabled", "Suspended", ""} {
				s := newServer(t, &costest.Options{Versioning: versioning})
				s.SetRule(func(r *costest.Request) *costest.Fault {
					if r.Action == "GetBucketVersioning" {
						return tc.fault
					}
					return nil
				})
				v := newVault(t, open(t, config(s, owner(s))), "acme")
				info, err := v.Put(t.Context(), "name", strings.NewReader("value"), nil)
				if err != nil {
					t.Fatal(err)
				}
				history := func() (n int, err error) {
					for _, err := range v.History(t.Context(), "name") {
						if err != nil {
							return n, err
						}
						n++
					}
					return n, nil
				}
				if _, err := history(); !errors.Is(err, tc.want) || errors.Is(err, vault.ErrUnsupported) {
					t.Errorf("%q: history: %v, want %v", versioning, err, tc.want)
				}
				if _, err := v.Put(t.Context(), "name", strings.NewReader("other"), &vault.PutOptions{IfRevision: info.Revision}); !errors.Is(err, tc.want) {
					t.Errorf("%q: put --if-revision: %v, want %v", versioning, err, tc.want)
				}
				if _, err := v.Put(t.Context(), "new", strings.NewReader("other"), &vault.PutOptions{Create: true}); !errors.Is(err, tc.want) {
					t.Errorf("%q: put --create: %v, want %v", versioning, err, tc.want)
				}
				result, err := v.Teardown(t.Context(), nil)
				if result.Deleted != 1 || result.LeftInHistory == 0 || err != nil && !errors.Is(err, tc.want) {
					t.Errorf("%q: teardown: %+v, %v", versioning, result, err)
				}
				s.SetRule(nil)
				n, err := history()
				if versioning == "" {
					if !errors.Is(err, vault.ErrUnsupported) {
						t.Errorf("never versioned: %v, want %v", err, vault.ErrUnsupported)
					}
				} else if err != nil || n == 0 {
					t.Errorf("%q: the history has %d entries, %v", versioning, n, err)
				}
			}
		})
	}
}

// TestSecurityToken: the environment variable that Terraform uses for the session token is also
// read.
func TestSecurityToken(t *testing.T) {
	s := newServer(t, nil)
	issuer := newIssuer(t, s)
	creds := exchanged(t, s, issuer, "env", `{"version":"2.0","statement":[{"effect":"allow","action":["name/cos:*"],"resource":["*"]}]}`)
	t.Setenv("TENCENTCLOUD_SECRET_ID", creds.AccessKeyID)
	t.Setenv("TENCENTCLOUD_SECRET_KEY", creds.SecretKey.Reveal())
	for set, other := range map[string]string{"TENCENTCLOUD_TOKEN": "TENCENTCLOUD_SECURITY_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN": "TENCENTCLOUD_TOKEN"} {
		t.Setenv(set, creds.SessionToken.Reveal())
		t.Setenv(other, "")
		st := open(t, config(s, nil))
		if _, err := st.Put.Put(t.Context(), "key", value); err != nil {
			t.Errorf("%s: %v", set, err)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	for _, name := range []string{"TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"} {
		t.Setenv(name, "")
	}
	s := newServer(t, nil)
	st := open(t, config(s, nil))
	_, err := st.Put.Put(t.Context(), "key", value)
	if _, reason, unapplied := explained(t, st, err); !isKind(st, err, vault.ErrUnauthenticated) || reason != vault.NoCredentials || !unapplied {
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
		{"bucket without an APPID", tencent.Config{Bucket: "vault", Region: "ap-guangzhou"}},
		{"no region", tencent.Config{Bucket: "vault-1250000000"}},
		{"invalid region", tencent.Config{Bucket: "vault-1250000000", Region: "a/b"}},
		{"plain http", tencent.Config{Bucket: "vault-1250000000", Endpoint: "http://cos.example.com"}},
		{"endpoint is not a URL", tencent.Config{Bucket: "vault-1250000000", Endpoint: "cos.example.com"}},
		{"password in the endpoint", tencent.Config{Bucket: "vault-1250000000", Endpoint: "https://user:hunter2@cos.example.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.c.Static = cosblob.Static("id", "key", "")
			_, err := tencent.Open(t.Context(), tc.c)
			if !errors.Is(err, vault.ErrConfig) {
				t.Fatalf("error %v, want %v", err, vault.ErrConfig)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error contains a password: %v", err)
			}
		})
	}
}
