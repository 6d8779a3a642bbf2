package tencent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

func TestCaller(t *testing.T) {
	s := newServer(t, nil)
	issuer := newIssuer(t, s)
	role := tencent.Config{Region: s.Region(), Bucket: s.Bucket(), Endpoint: s.URL()}
	role.Identity = federation.NewProvider(sourceOf(mint(t, issuer)), newExchanger(t, s, addRole(t, s, issuer, "vault", "")), nil)
	creds, err := role.Identity.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := callerOf(t, role, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	id, session, ok := strings.Cut(got.User, ":")
	if !ok || session != "objectvault" || got.ARN != "qcs::sts:100000000001:assumed-role/"+id {
		t.Errorf("the caller with a role: %+v", got)
	}
	got.ARN, got.User = "", ""
	if diff := cmp.Diff(vault.Caller{From: "identity", KeyID: creds.AccessKeyID, Expires: creds.Expires, Account: "100000000001", Type: "CAMRole"}, got); diff != "" {
		t.Errorf("the caller with a role (-want +got):\n%s", diff)
	}

	ownerIs := vault.Caller{KeyID: s.SecretID(), ARN: "qcs::cam::uin/100000000001:uin/100000000001", Account: "100000000001", Type: "CAMUser", User: "100000000001"}
	ownerIs.From = "static"
	got, err = callerOf(t, config(s, owner(s)), s.URL())
	if diff := cmp.Diff(ownerIs, got); diff != "" || err != nil {
		t.Errorf("the caller with the owner's keys: %v (-want +got):\n%s", err, diff)
	}
	if _, err := callerOf(t, config(s, owner(s)), strings.Replace(s.URL(), "127.0.0.1", "LocalHost", 1)); err != nil {
		t.Errorf("the caller at a host with capital letters: %v", err)
	}
	t.Setenv("TENCENTCLOUD_SECRET_ID", s.SecretID())
	t.Setenv("TENCENTCLOUD_SECRET_KEY", s.SecretKey())
	ownerIs.From = "environment"
	got, err = callerOf(t, config(s, nil), s.URL())
	if diff := cmp.Diff(ownerIs, got); diff != "" || err != nil {
		t.Errorf("the caller with keys from the environment: %v (-want +got):\n%s", err, diff)
	}
}

func TestCallerRefused(t *testing.T) {
	s := newServer(t, nil)
	c := config(s, owner(s))
	for _, tc := range []struct {
		fault  *costest.Fault
		want   error
		reason vault.Reason
	}{
		{callError("AuthFailure.SignatureExpire"), vault.ErrUnauthenticated, vault.ClockSkew},
		{callError("AuthFailure.TokenFailure"), vault.ErrUnauthenticated, vault.TokenExpired},
		{callError("AuthFailure.SecretIdNotFound"), vault.ErrUnauthenticated, vault.CredentialsRejected},
		{callError("UnauthorizedOperation"), vault.ErrPermission, vault.AccessDenied},
		{callError("AuthFailure.UnauthorizedOperation"), vault.ErrPermission, vault.AccessDenied},
		{callError("RequestLimitExceeded"), vault.ErrBusy, vault.Throttled},
		{callError("InvalidAction"), vault.ErrUnsupported, vault.ReasonUnknown},
		{callError("InternalError.SystemError"), vault.ErrUnavailable, vault.ReasonUnknown},
		{costest.RespondBefore(502, "<html>"), vault.ErrUnavailable, vault.ReasonUnknown},
		{costest.RespondBefore(200, "<html>"), vault.ErrUnavailable, vault.ForeignResponse},
		{costest.RespondBefore(200, `{"Response":{}}`), vault.ErrUnavailable, vault.ReasonUnknown},
		{costest.DropBefore(), vault.ErrUnavailable, vault.Unreachable},
		{costest.CutBody(10), vault.ErrUnavailable, vault.Unreachable},
	} {
		s.SetRule(func(*costest.Request) *costest.Fault { return tc.fault })
		got, err := callerOf(t, c, s.URL())
		if !errors.Is(err, tc.want) || !strings.HasPrefix(fmt.Sprint(err), tc.want.Error()) {
			t.Errorf("error %v, want %v", err, tc.want)
		}
		var cause *vault.Cause
		if !errors.As(err, &cause) || cause.Reason != tc.reason {
			t.Errorf("%v: reason %v, want %v", err, cause, tc.reason)
		}
		if got.KeyID != s.SecretID() || got.ARN != "" {
			t.Errorf("%v: the caller is %+v", err, got)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, got), s.SecretKey()) {
			t.Error("the secret is in the error")
		}
	}
	s.SetRule(nil)
	c.Static = temporary(federation.Credentials{AccessKeyID: s.SecretID(), SecretKey: federation.NewSecret("wrong")})
	if _, err := callerOf(t, c, s.URL()); !errors.Is(err, vault.ErrUnauthenticated) || !strings.Contains(err.Error(), "AuthFailure.SignatureFailure") {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := callerOf(t, config(s, nil), s.URL()); !errors.Is(err, vault.ErrUnauthenticated) {
		t.Errorf("no key: %v", err)
	}
	if _, err := callerOf(t, c, "http://sts.example.com"); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("plain http: %v", err)
	}
}

// callerOf asks the STS at endpoint for the identity of the credentials in c.
func callerOf(t *testing.T, c tencent.Config, endpoint string) (vault.Caller, error) {
	t.Helper()
	c.STSEndpoint = endpoint
	store, err := tencent.Open(t.Context(), c)
	if err != nil {
		return vault.Caller{}, err
	}
	defer store.Close()
	return store.Cloud.Caller(t.Context())
}

func timeOf(t *testing.T, c tencent.Config) (time.Time, error) {
	t.Helper()
	store, err := tencent.Open(t.Context(), c)
	if err != nil {
		return time.Time{}, err
	}
	defer store.Close()
	return store.Cloud.ServerTime(t.Context())
}

// TestSettings checks that each setting is requested once, and the returned values.
func TestSettings(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	store := open(t, config(s, owner(s)))
	before := len(s.Requests())
	for _, got := range store.Cloud.Settings(t.Context()) {
		switch got.Name {
		case "endpoint":
			if !strings.HasPrefix(got.Document, s.URL()) {
				t.Errorf("endpoint is %q", got.Document)
			}
		case "versioning", "acl":
			if want := map[string]string{"versioning": "<Status>Enabled</Status>", "acl": "<AccessControlPolicy"}[got.Name]; got.Err != nil || !strings.Contains(got.Document, want) {
				t.Errorf("%s is %q, %v", got.Name, got.Document, got.Err)
			}
		case "logging":
			if got.Err != nil || !strings.Contains(got.Document, "<BucketLoggingStatus") {
				t.Errorf("logging is %q, %v", got.Document, got.Err)
			}
		default:
			if got.Err != nil || got.Document != "" {
				t.Errorf("the unset %s is %q, %v", got.Name, got.Document, got.Err)
			}
		}
	}
	var asked []string
	for _, r := range s.Requests()[before:] {
		asked = append(asked, r.Action)
	}
	if diff := cmp.Diff([]string{"GetBucketVersioning", "GetBucketLifecycle", "GetBucketACL", "GetBucketPolicy", "GetBucketStrictSignature", "GetBucketLogging"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestOwnsBucket: the account in the bucket's ACL and its users own the bucket. Roles, federated
// users and other accounts do not.
func TestOwnsBucket(t *testing.T) {
	s := newServer(t, nil)
	const denied = "denied"
	for _, tc := range []struct {
		arn, kind, owner string
		want             bool
	}{
		{"qcs::cam::uin/100000000001:uin/100000000001", "CAMUser", "", true},
		{"qcs::cam::uin/100000000001:uin/100000000011", "CAMUser", "", true},
		{"qcs::cam::uin/100000000002:uin/100000000002", "CAMUser", "", false},
		{"qcs::cam::uin/1000000000011:uin/1", "CAMUser", "", false},
		{"qcs::cam::uin/100000000001:roleName/vault", "CAMUser", "", false},
		{"qcs::sts:100000000001:assumed-role/4611686018427397919", "CAMRole", "", false},
		{"qcs::sts:100000000001:federated-user/100000000001", "FederatedUser", "", false},
		{"qcs::cam::uin/100000000001:uin/100000000001", "", "", false},
		{"qcs::cam::uin/100000000001:uin/100000000001", "CAMUser", "1250000000", false},
		{"qcs::cam::uin/100000000001:uin/100000000001", "CAMUser", denied, false},
		{"", "CAMUser", " ", false},
	} {
		s.SetRule(func(r *costest.Request) *costest.Fault {
			switch {
			case r.Action != "GetBucketACL" || tc.owner == "":
				return nil
			case tc.owner == denied:
				return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "told by a test"))
			}
			return costest.RespondBefore(200, "<AccessControlPolicy><Owner><ID>"+tc.owner+"</ID></Owner></AccessControlPolicy>")
		})
		o, ok := open(t, config(s, owner(s))).Cloud.(vault.BucketOwner)
		if !ok {
			t.Fatal("the cloud does not report the owner of the bucket")
		}
		if got, err := o.OwnsBucket(t.Context(), vault.Caller{ARN: tc.arn, Type: tc.kind, Account: "100000000001"}); got != tc.want || err != nil {
			t.Errorf("%s %s, ACL %q: %v, %v, want %v", tc.kind, tc.arn, tc.owner, got, err, tc.want)
		}
	}
	s.SetRule(func(*costest.Request) *costest.Fault {
		return costest.RespondBefore(503, costest.ErrorXML("SlowDown", "told by a test"))
	})
	o := open(t, config(s, owner(s))).Cloud.(vault.BucketOwner)
	if got, err := o.OwnsBucket(t.Context(), vault.Caller{ARN: "qcs::cam::uin/100000000001:uin/100000000001", Type: "CAMUser"}); got || err == nil {
		t.Errorf("an ACL that cannot be read: %v, %v", got, err)
	}
}

func TestServerTime(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]tencent.Config{
		"the owner": config(s, owner(s)), "unsigned": config(s, nil), // the request is always unsigned
	} {
		got, err := timeOf(t, c)
		if off := time.Since(got); err != nil || off < -time.Hour || off > time.Hour {
			t.Errorf("%s: the time of the server is %v, %v", name, got, err)
		}
	}
	heads := 0
	for _, r := range s.Requests() {
		if r.Method != "HEAD" {
			continue // Open already requests the versioning
		}
		if heads++; r.AccessKeyID != "" || r.Status != 403 {
			t.Errorf("ServerTime sent the request %v with key %q, want an unsigned one", r, r.AccessKeyID)
		}
	}
	if heads != 2 {
		t.Errorf("ServerTime sent %d HEAD requests, want 2", heads)
	}
	if _, err := timeOf(t, tencent.Config{Bucket: s.Bucket(), Endpoint: testcloud.NoServer(t), Static: owner(s)}); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	if _, err := timeOf(t, tencent.Config{Bucket: s.Bucket()}); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("without a region: %v", err)
	}
}

// TestEchoedTokens: if a service or a gateway returns a part of a token, no message contains it.
func TestEchoedTokens(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.Header.Get("X-TC-Token"); token != "" {
			fmt.Fprintf(w, `{"Response":{"Error":{"Code":"AuthFailure.TokenFailure","Message":"bad token %s"},"RequestId":"r"}}`, token)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, costest.ErrorXML("SignatureDoesNotMatch", "bad token "+r.Header.Get("X-Cos-Security-Token")))
	}))
	t.Cleanup(front.Close)
	c := tencent.Config{Bucket: "vault-1250000000", Endpoint: front.URL, Static: cosblob.Static("id", "key", "the-token")}
	messages := []string{}
	_, err := callerOf(t, c, front.URL)
	messages = append(messages, fmt.Sprint(err))
	store := open(t, c)
	for _, s := range store.Cloud.Settings(t.Context()) {
		if s.Name != "endpoint" {
			messages = append(messages, fmt.Sprint(s.Err))
		}
	}
	_, err = store.Bucket.ReadAll(t.Context(), "key")
	messages = append(messages, fmt.Sprint(err), fmt.Sprint(store.Explain(err)))
	for _, text := range messages {
		if strings.Contains(text, "the-token") || !strings.Contains(text, "bad token [redacted]") {
			t.Errorf("the message is %q", text)
		}
	}
}

// TestForeignCloud: the page of a captive portal is not accepted as a setting, as the time of COS,
// or as a public object.
func TestForeignCloud(t *testing.T) {
	const page = "<!DOCTYPE html>\n<html><head><title>Welcome to the hotel</title></head></html>"
	for name, body := range map[string]string{"page": page, "empty": "", "object": "{}", "white space": " \n"} {
		for _, status := range []int{200, 302, 404, 503} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				t.Parallel()
				front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("ETag", `"e"`)
					if body == page {
						w.Header().Set("Content-Type", "text/html")
					}
					w.WriteHeader(status)
					io.WriteString(w, body)
				}))
				t.Cleanup(front.Close)
				store := open(t, tencent.Config{Bucket: "vault-1250000000", Endpoint: front.URL, Static: cosblob.Static("id", "key", "the-token")})
				if got, err := store.Cloud.ServerTime(t.Context()); !errors.Is(err, vault.ErrUnavailable) {
					t.Errorf("%s, %d: the time is %v, %v", name, status, got, err)
				}
				err := store.Cloud.(interface {
					TryUnsigned(ctx context.Context, key string) error
				}).TryUnsigned(t.Context(), "key")
				if !errors.Is(err, vault.ErrUnavailable) {
					t.Errorf("%s, %d: an unsigned read: %v, want %v", name, status, err, vault.ErrUnavailable)
				}
				for _, s := range store.Cloud.Settings(t.Context()) {
					if s.Name == "endpoint" || s.Name == "policy" && name == "object" && status == 200 { // a valid response
						continue
					}
					if !errors.Is(s.Err, vault.ErrUnavailable) {
						t.Errorf("%s, %d: %s is %q, %v", name, status, s.Name, s.Document, s.Err)
					}
				}
			})
		}
	}
}
