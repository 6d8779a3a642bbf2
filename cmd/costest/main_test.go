package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// start runs the command and returns its output. stop ends the command and returns its exit code.
func start(t *testing.T, args ...string) (at line, stop func() int) {
	t.Helper()
	in, eof := io.Pipe()
	out, w := io.Pipe()
	var talk bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(context.Background(), append(args, "-until-eof"), &world{in, w, &talk})
		w.Close()
	}()
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	return at, func() int { eof.Close(); return <-code }
}

func TestServe(t *testing.T) {
	for _, tc := range []struct {
		args       []string
		versioning string
	}{
		{nil, ""},
		{[]string{"-versioning"}, "Enabled"},
		{[]string{"-versioning=Suspended", "-tls", "-bucket", "b-1250000001", "-region", "ap-hongkong", "-secret-id", "id", "-secret-key", "key", "-unsure", "multipart-etag=s3"}, "Suspended"},
	} {
		at, stop := start(t, tc.args...)
		if at.PID != os.Getpid() || at.STS != at.COS || at.CAM != at.COS || at.KMS != at.COS || at.KMSKey == "" || (at.SecretID == "") != (len(tc.args) > 1) {
			t.Errorf("%q: %+v", tc.args, at)
		}
		id, key := at.SecretID, at.SecretKey
		if id == "" {
			id, key = "id", "key"
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		if at.CA != "" {
			pem, err := os.ReadFile(at.CA)
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(pem)
			transport.TLSClientConfig = &tls.Config{RootCAs: pool}
		}
		u, err := url.Parse(at.COS)
		if err != nil || (u.Scheme == "https") != (at.CA != "") {
			t.Fatal(at.COS, err)
		}
		c := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{SecretID: id, SecretKey: key, Transport: transport}})
		got, _, err := c.Bucket.GetVersioning(t.Context())
		if err != nil || got.Status != tc.versioning {
			t.Errorf("%q: %+v, %v", tc.args, got, err)
		}
		if _, err := c.Object.Put(t.Context(), "k", strings.NewReader("v"), nil); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		if code := stop(); code != 0 {
			t.Errorf("%q: exit %d", tc.args, code)
		}
		if _, err := os.Stat(at.CA); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", at.CA, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		talk string
	}{
		{[]string{"-nonsense"}, 2, "flag provided but not defined"},
		{[]string{"more"}, 2, `unexpected argument "more"`},
		{[]string{"-h"}, 0, "multipart-etag=opaque|s3"},
		{[]string{"-bucket", "vault"}, 1, "costest: bucket \"vault\": InvalidBucketName"},
		{[]string{"-addr", "192.0.2.1:0"}, 1, "costest: 192.0.2.1:0 is not on loopback"},
		{[]string{"-unsure", "x=y"}, 1, `costest: unknown question "x"`},
		{[]string{"-versioning=On"}, 1, "costest: versioning must be Enabled, Suspended or empty"},
		{[]string{"-kms-key", "vault"}, 1, `costest: "vault" is not the id of a key`},
		{[]string{"-setup", "absent.json"}, 1, "absent.json"},
		{[]string{"-setup", "main.go", "-issuer", "idp"}, 1, `-issuer: "idp" is not a URL`},
	} {
		var out, talk bytes.Buffer
		code := run(t.Context(), tc.args, &world{strings.NewReader(""), &out, &talk})
		if code != tc.code || !strings.Contains(talk.String(), tc.talk) || out.Len() > 0 {
			t.Errorf("%q: exit %d, %q, %s", tc.args, code, out.String(), talk.String())
		}
	}
}

// The output of vault policy tencent is applied before costest prints its line.
func TestSetup(t *testing.T) {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	defer issuer.Close()
	file := filepath.Join(t.TempDir(), "policy.json")
	printed := `{"oidc_provider":{"Name":"idp","IdentityUrl":"https://idp.example","ClientId":["vault"],"IdentityKey":""},` +
		`"tenants":{},"versioning":"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}`
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	at, stop := start(t, "-setup", file, "-issuer", issuer.URL)
	defer stop()
	u, err := url.Parse(at.COS)
	if err != nil {
		t.Fatal(err)
	}
	c := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{SecretID: at.SecretID, SecretKey: at.SecretKey}})
	if got, _, err := c.Bucket.GetVersioning(t.Context()); err != nil || got.Status != "Enabled" {
		t.Errorf("versioning: %+v, %v", got, err)
	}

	to, err := url.Parse(issuer.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: elsewhere{to}}).Get("https://idp.example/jwks")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "/jwks" {
		t.Errorf("the issuer elsewhere: %s, %v", b, err)
	}
}
