package cosblob

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/costest"
)

func clientURL(t *testing.T, b *blob.Bucket) *url.URL {
	t.Helper()
	var c *cos.Client
	if !b.As(&c) {
		t.Fatal("no *cos.Client")
	}
	return c.BaseURL.BucketURL
}

// TestURL opens buckets with the default opener and the keys from environment variables.
func TestURL(t *testing.T) {
	s, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Setenv("TENCENTCLOUD_SECRET_ID", s.SecretID())
	t.Setenv("TENCENTCLOUD_SECRET_KEY", s.SecretKey())
	t.Setenv("TENCENTCLOUD_TOKEN", "")
	b, err := blob.OpenBucket(t.Context(), "cos://"+s.Bucket()+"?region="+s.Region()+"&endpoint="+url.QueryEscape(s.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.WriteAll(t.Context(), "key", []byte("text"), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Copy(t.Context(), "copy", "key", nil); err != nil {
		t.Errorf("copy: %v", err)
	}
	if got, err := b.ReadAll(t.Context(), "copy"); string(got) != "text" {
		t.Errorf("the copy is %q, %v", got, err)
	}
	t.Setenv("TENCENTCLOUD_SECRET_KEY", "")
	if _, err := b.ReadAll(t.Context(), "key"); err == nil || !strings.Contains(err.Error(), "TENCENTCLOUD_SECRET_KEY") {
		t.Errorf("without keys: %v", err)
	}
}

func TestURLDefaults(t *testing.T) {
	b, err := blob.OpenBucket(t.Context(), "cos://vault-1250000000?region=ap-guangzhou")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := clientURL(t, b).String(); got != "https://vault-1250000000.cos.ap-guangzhou.myqcloud.com" {
		t.Errorf("the bucket is at %s", got)
	}
}

func TestRefusedURLs(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"cos://vault-1250000000", "region"},
		{"cos://vault-1250000000?region=a.b", "region"},
		{"cos://vault?region=ap-guangzhou", "name of a bucket"},
		{"cos://Vault-1250000000?region=ap-guangzhou", "name of a bucket"},
		{"cos://vault-1250000000?region=ap-guangzhou&secret=x", "unknown parameter"},
		{"cos://vault-1250000000/dir?region=ap-guangzhou", "without a user and a path"},
		{"cos://user:pass@vault-1250000000?region=ap-guangzhou", "without a user and a path"},
		{"cos://vault-1250000000?region=ap-guangzhou&endpoint=ftp://x", "endpoint"},
		{"cos://vault-1250000000?region=ap-guangzhou&endpoint=https://u:p@x", "endpoint"},
		{"cos://vault-1250000000?region=ap-guangzhou&endpoint=https://other-1250000000.cos.ap-guangzhou.myqcloud.com", "not for the bucket"},
	} {
		b, err := blob.OpenBucket(t.Context(), tc.url)
		if err == nil {
			b.Close()
			t.Errorf("%s was opened", tc.url)
		} else if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want something about %q", tc.url, err, tc.want)
		}
	}
}

// TestRetriesOff: the retries of the SDK are disabled, because they would also repeat writes.
func TestRetriesOff(t *testing.T) {
	s, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	base, err := url.Parse(s.BucketURL(s.Bucket()))
	if err != nil {
		t.Fatal(err)
	}
	client := cos.NewClient(&cos.BaseURL{BucketURL: base}, &http.Client{Transport: &cos.AuthorizationTransport{
		SecretID: s.SecretID(), SecretKey: s.SecretKey(), Transport: s.Client().Transport,
	}})
	b, err := OpenBucket(t.Context(), client, s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s.SetRule(func(*costest.Request) *costest.Fault { return costest.RespondBefore(500, "") })
	if err := b.WriteAll(t.Context(), "key", nil, nil); gcerrors.Code(err) != gcerrors.Internal {
		t.Errorf("put: %v, want Internal", err)
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	s.SetRule(nil)
	if u, err := b.SignedURL(t.Context(), "key", nil); err != nil || !strings.Contains(u, s.SecretID()) {
		t.Errorf("a URL signed with the client's own keys: %q, %v", u, err)
	}
}

// TestSecretsAreNotPrinted: no verb of fmt and no JSON shows a key.
func TestSecretsAreNotPrinted(t *testing.T) {
	snapshot := NewSnapshot("AKIDexample", "the-secret-key", "the-token")
	c := Static("AKIDexample", "the-secret-key", "the-token")
	client, err := NewClient("vault-1250000000", "ap-guangzhou", c, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Credentials: c}
	for _, v := range []any{snapshot, &snapshot, c, []any{c}, struct{ a Snapshot }{snapshot}, o, &o, client, *client} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "secret-key") || strings.Contains(text, "the-token") || strings.Contains(text, fmt.Sprintf("%x", "the-secret-key")) {
				t.Errorf("%T printed with %s shows a secret", v, verb)
			}
		}
	}
	if text, err := json.Marshal(snapshot); string(text) != `"[redacted]"` {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

// TestEchoedSecrets: if a gateway echoes the credentials of a request, they do not appear in the error.
func TestEchoedSecrets(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>token %s, %s, and a reason</Message></Error>",
			r.Header.Get("X-Cos-Security-Token"), strings.ReplaceAll(r.Header.Get("Authorization"), "&", "&amp;"))
	}))
	t.Cleanup(front.Close)
	c := Static("id", "key", "the-token")
	client, err := NewClient("bucket-1250000000", "ap-guangzhou", c, &ClientOptions{Endpoint: front.URL})
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBucket(t.Context(), client, "bucket-1250000000", &Options{Credentials: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	_, err = b.ReadAll(t.Context(), "key")
	var e *cos.ErrorResponse
	if !b.ErrorAs(err, &e) || !strings.Contains(e.Message, "and a reason") {
		t.Fatal(err)
	}
	if strings.Contains(e.Message, "the-token") || !strings.Contains(e.Message, "q-signature=[redacted]") {
		t.Errorf("the message is %q", e.Message)
	}
}

// TestErrorsHaveNoSecrets: an error contains its request, but without the signature and the token.
func TestErrorsHaveNoSecrets(t *testing.T) {
	s, b := openSmall(t)
	_, err := b.ReadAll(t.Context(), "absent")
	var e *cos.ErrorResponse
	if !b.ErrorAs(err, &e) {
		t.Fatal(err)
	}
	if h := e.Response.Request.Header; h.Get("Authorization") != "" || h.Get("X-Cos-Security-Token") != "" {
		t.Error("the request of an error is signed")
	}
	if strings.Contains(err.Error(), s.SecretID()) {
		t.Errorf("%v contains the key", err)
	}
}

// TestSignTime: a signature is valid from a minute before the time of Now until 15 minutes after it.
func TestSignTime(t *testing.T) {
	var got string
	client, err := NewClient("vault-1250000000", "ap-guangzhou", Static("AKIDexample", "key", "token"), &ClientOptions{
		Now: func() time.Time { return time.Unix(1_700_000_000, 0) },
		Transport: sender(func(r *http.Request) (*http.Response, error) {
			got = r.Header.Get("Authorization")
			return nil, http.ErrServerClosed
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Object.Head(t.Context(), "key", nil); err == nil {
		t.Fatal("nothing was sent")
	}
	for _, want := range []string{"q-ak=AKIDexample", "q-sign-time=1699999940;1700000900", "q-key-time=1699999940;1700000900", "q-header-list=host;x-cos-security-token"} {
		if !strings.Contains(got, want) {
			t.Errorf("the signature is %s, want %s in it", got, want)
		}
	}
}

type sender func(*http.Request) (*http.Response, error)

func (f sender) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
