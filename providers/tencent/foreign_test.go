package tencent_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// TestForeignSTS: if a server is not an STS, the error contains its response, and does not claim
// that STS refused the token.
func TestForeignSTS(t *testing.T) {
	const arn = "qcs::cam::uin/100000000001:roleName/vault"
	issuer := testcloud.NewIssuer(nil)
	t.Cleanup(func() { issuer.Close() })
	token := mint(t, issuer)
	for _, tc := range []struct {
		name, kind string
		status     int
		body, want string
		reason     vault.Reason
		asked      int32
	}{
		{"login page", "text/html; charset=utf-8", 200, "<html>Welcome to the hotel</html>", "status 200, text/html: <html>Welcome to the hotel</html>", vault.ForeignResponse, 1},
		{"web server", "text/plain", 404, "404 page not found", "status 404, text/plain: 404 page not found", vault.ForeignResponse, 1},
		{"proxy", "text/html", 403, "<html>blocked</html>", "status 403, text/html: <html>blocked</html>", vault.ForeignResponse, 1},
		{"redirect", "text/html", 302, "<html>moved</html>", "status 302, text/html", vault.ForeignResponse, 1},
		{"empty", "", 200, "", "status 200, no content type", vault.ForeignResponse, 1},
		{"JSON of another service", "application/json", 200, `{"error":"no such route"}`, `status 200, application/json: {"error":"no such route"}`, vault.ForeignResponse, 1},
		{"token in the response", "text/plain", 200, "you sent " + token.Raw.Reveal(), "you sent", vault.ForeignResponse, 1},
		{"proxy busy", "text/html", 503, "<html>later</html>", "status 503", vault.TokenSourceUnavailable, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				w.Header()["Content-Type"] = nil
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				}
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}))
			t.Cleanup(front.Close)
			e, err := tencent.NewExchanger(tencent.Role{ARN: arn, Provider: provider, Endpoint: front.URL})
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Exchange(t.Context(), token)
			var cause *vault.Cause
			if !errors.Is(err, federation.ErrUnavailable) || !errors.As(tencent.Explain(err), &cause) || cause.Reason != tc.reason || !errors.Is(cause, vault.ErrUnavailable) {
				t.Errorf("exchange: %v (%+v), want reason %v", err, cause, tc.reason)
			} else if !strings.Contains(cause.Message, tc.want) || strings.Contains(err.Error(), token.Raw.Reveal()) {
				t.Errorf("exchange: %s, want …%s…", cause.Message, tc.want)
			}
			if asked.Load() != tc.asked {
				t.Errorf("the server received %d requests, want %d", asked.Load(), tc.asked)
			}
			_, err = callerOf(t, tencent.Config{Bucket: "vault-1250000000", Endpoint: front.URL, Static: cosblob.Static("id", "key", "the-token")}, front.URL)
			want := tc.reason
			if want == vault.TokenSourceUnavailable { // there was no token
				want = vault.ReasonUnknown
			}
			if !errors.Is(err, vault.ErrUnavailable) || !errors.As(err, &cause) || cause.Reason != want {
				t.Errorf("caller: %v (%+v), want reason %v", err, cause, want)
			}
		})
	}
}

// TestUntrusted: if a certificate is not trusted, the error names the server: COS, STS or the
// broker, whose client does not use the settings of the cloud.
func TestUntrusted(t *testing.T) {
	front := httptest.NewUnstartedServer(http.NotFoundHandler())
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	issuer := testcloud.NewIssuer(nil)
	t.Cleanup(func() { issuer.Close() })
	e, err := tencent.NewExchanger(tencent.Role{ARN: "qcs::cam::uin/100000000001:roleName/vault", Provider: provider, Endpoint: front.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Exchange(t.Context(), mint(t, issuer))
	var cause *vault.Cause
	if !errors.As(tencent.Explain(err), &cause) || cause.Reason != vault.Untrusted || cause.Service != "tencent" {
		t.Errorf("STS: %v (%+v), want %v", err, cause, vault.Untrusted)
	}
	t.Setenv("OBJECTVAULT_BROKER_SESSION", "session")
	source, err := federation.ParseSource("broker+"+front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Token(t.Context())
	if !errors.As(tencent.Explain(err), &cause) || cause.Reason != vault.Untrusted || cause.Service != "" {
		t.Errorf("broker: %v (%+v), want reason %v and no service", err, cause, vault.Untrusted)
	}
}

// TestForeignVersions: a list of versions that does not come from COS is recognized, and an
// error document keeps its code.
func TestForeignVersions(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	st := open(t, config(s, owner(s)))
	for _, tc := range []struct {
		name, body string
		want       error
		reason     vault.Reason
	}{
		{"login page", "<!DOCTYPE html>\n<html><head><title>Welcome to the hotel</title></head></html>", vault.ErrUnavailable, vault.ForeignResponse},
		{"text", "Welcome to the hotel", vault.ErrUnavailable, vault.ForeignResponse},
		{"denied", costest.ErrorXML("AccessDenied", "Access Denied."), vault.ErrPermission, vault.AccessDenied},
	} {
		s.SetRule(func(*costest.Request) *costest.Fault { return costest.RespondBefore(200, tc.body) })
		n := 0
		for _, err := range st.History.Versions(t.Context(), "bots/acme/credentials/x.enc") {
			n++
			text, reason, _ := explained(t, st, err)
			if !isKind(st, err, tc.want) || reason != tc.reason {
				t.Errorf("%s: %s: reason %v, want %v", tc.name, text, reason, tc.reason)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d results, want one error", tc.name, n)
		}
	}
}

// TestForeignVersionsInTeardown: only the number of old versions is unknown if their list does not come
// from COS. The objects are removed.
func TestForeignVersionsInTeardown(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	v := newVault(t, open(t, config(s, owner(s))), "acme")
	if _, err := v.Put(t.Context(), "x", strings.NewReader("value"), nil); err != nil {
		t.Fatal(err)
	}
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action != "GetBucketObjectVersions" {
			return nil
		}
		return costest.RespondBefore(200, "<html>Welcome to the hotel</html>")
	})
	done, err := v.Teardown(t.Context(), nil)
	if err != nil || done.Deleted != 1 || done.LeftInHistory != -1 {
		t.Errorf("teardown: %+v, %v", done, err)
	}
}

// TestErrorWithStatus200: an error document with status 200 is no setting of the bucket.
func TestErrorWithStatus200(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	s.SetRule(func(*costest.Request) *costest.Fault {
		return costest.RespondBefore(200, costest.ErrorXML("AccessDenied", "Access Denied."))
	})
	for _, setting := range st.Cloud.Settings(t.Context()) {
		if setting.Name != "endpoint" && (!errors.Is(setting.Err, vault.ErrPermission) || setting.Document != "") {
			t.Errorf("%s: %q, %v", setting.Name, setting.Document, setting.Err)
		}
	}
}
