package vaulturl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/vault"
)

const (
	awsARN    = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	tencentID = "93866e69-9755-11ef-8e65-52540089bc41"
)

// withToken is an environment with a token for Vault.
func withToken(name string) string { return map[string]string{"VAULT_TOKEN": "PASSWORD"}[name] }

// none is an environment without variables.
func none(string) string { return "" }

// roundTrip enrols the key at a URL, seals an object and opens it without the record.
func roundTrip(t *testing.T, keyURL string, o *Options, creds *federation.Provider) (kms.Enrolment, error) {
	t.Helper()
	u, err := parseKeyURL(keyURL)
	if err != nil {
		return kms.Enrolment{}, err
	}
	if !isKMS(u) {
		t.Errorf("%s is not accepted as the URL of a KMS", keyURL)
	}
	e, err := enrolKMS(t.Context(), u, o, creds)
	if err != nil {
		return e, err
	}
	sealing, err := openKMS(t.Context(), u, o, creds, &e)
	if err != nil {
		return e, err
	}
	ref := envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "openrouter"}
	var object bytes.Buffer
	w, err := envelope.Seal(t.Context(), &object, ref, []envelope.KeySource{sealing}, nil)
	if err != nil {
		return e, err
	}
	io.WriteString(w, "sk-demo")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := envelope.Open(t.Context(), &object, ref, []envelope.KeySource{sealing})
	if err != nil {
		return e, err
	}
	if value, err := io.ReadAll(r); string(value) != "sk-demo" || err != nil {
		t.Errorf("%s: the value is %q, %v", keyURL, value, err)
	}
	reading, err := openKMS(t.Context(), u, o, creds, nil)
	if err != nil {
		return e, err
	}
	if _, err := reading.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrNotEnrolled) {
		t.Errorf("%s: Wrap without the record: %v", keyURL, err)
	}
	return e, nil
}

func TestAWSKMS(t *testing.T) {
	k := testcloud.RequireLocalKMS(t)
	arn, err := k.NewKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := arn[strings.LastIndex(arn, "/")+1:]
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "credentials"))
	for _, keyURL := range []string{
		"awskms://" + arn + "?credentials=default&endpoint=" + k.URL,
		"awskms:///" + arn + "?credentials=default&region=" + k.Region + "&endpoint=" + k.URL,
		"awskms://" + id + "?credentials=default&region=" + k.Region + "&endpoint=" + k.URL,
	} {
		if e, err := roundTrip(t, keyURL, nil, nil); err != nil || e.KeyID != arn {
			t.Errorf("%s: %+v, %v", keyURL, e, err)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL_KMS", k.URL)
	if _, err := roundTrip(t, "awskms://"+arn+"?credentials=default", nil, nil); err != nil {
		t.Errorf("with AWS_ENDPOINT_URL_KMS: %v", err)
	}
	t.Setenv("AWS_ENDPOINT_URL_KMS", "http://kms.example.com")
	if _, err := roundTrip(t, "awskms://"+arn+"?credentials=default", nil, nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("with plain http in AWS_ENDPOINT_URL_KMS: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := roundTrip(t, "awskms://"+arn+"?credentials=default&endpoint="+k.URL, nil, nil); !errors.Is(err, envelope.ErrUnauthenticated) {
		t.Errorf("without credentials: %v", err)
	}
}

// tencentRole returns the credentials of a role with the given actions on a key.
func tencentRole(t *testing.T, s *costest.Server, i *testcloud.Issuer, name, actions, key string) *federation.Provider {
	t.Helper()
	arn, err := s.AddRole(name,
		`{"version":"2.0","statement":[{"effect":"allow","action":["name/sts:AssumeRoleWithWebIdentity"],"principal":{"federated":["`+s.ProviderARN("idp")+`"]},
			"condition":{"string_equal":{"oidc:iss":["`+i.URL+`"],"oidc:aud":["vault"],"oidc:sub":["bot"]}}}]}`,
		`{"version":"2.0","statement":[{"effect":"allow","action":[`+actions+`],"resource":["`+s.KMSKeyResource(key)+`"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ParseStore("cos://"+s.Bucket()+"?region="+s.Region()+"&endpoint="+s.URL()+"&provider=idp&role="+arn, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := i.TokenFile(t.TempDir(), testcloud.Claims{Subject: "bot", Audience: "vault"})
	if err != nil {
		t.Fatal(err)
	}
	source, err := l.Source("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := l.Exchanger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return federation.NewProvider(source, exchange, nil)
}

func TestTencentKMS(t *testing.T) {
	i := testcloud.NewIssuer(nil)
	defer i.Close()
	s, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddProvider(costest.Provider{Name: "idp", Issuer: i.URL, Audiences: []string{"vault"}}); err != nil {
		t.Fatal(err)
	}
	key := s.NewKMSKey()
	keyURL := "tencentkms://" + s.Region() + "/" + key + "?endpoint=" + s.URL()
	granted := tencentRole(t, s, i, "granted", `"kms:Encrypt","kms:Decrypt"`, key)
	if e, err := roundTrip(t, keyURL, nil, granted); err != nil || e.KeyID != key {
		t.Errorf("with the credentials of the store: %+v, %v", e, err)
	}
	// The credentials expire: a new token is exchanged once.
	c, err := granted.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.ExpireKey(c.AccessKeyID)
	if _, err := roundTrip(t, keyURL, nil, granted); err != nil {
		t.Errorf("with expired credentials: %v", err)
	}
	if _, err := roundTrip(t, keyURL, nil, tencentRole(t, s, i, "reader", `"kms:Decrypt"`, key)); !errors.Is(err, envelope.ErrDenied) {
		t.Errorf("with a role that may only decrypt: %v", err)
	}
	if _, err := roundTrip(t, keyURL, nil, nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("with a store that has no role: %v", err)
	}
	environment := &Options{Getenv: func(name string) string {
		return map[string]string{"TENCENTCLOUD_SECRET_ID": s.SecretID(), "TENCENTCLOUD_SECRET_KEY": s.SecretKey()}[name]
	}}
	if _, err := roundTrip(t, keyURL+"&credentials=default", environment, granted); err != nil {
		t.Errorf("with the keys of the environment: %v", err)
	}
	if _, err := roundTrip(t, keyURL+"&credentials=default", &Options{Getenv: none}, granted); !errors.Is(err, envelope.ErrUnauthenticated) {
		t.Errorf("without keys in the environment: %v", err)
	}
	broken := federation.NewProvider(failing{federation.ErrUnavailable}, nil, nil)
	if _, err := roundTrip(t, keyURL, nil, broken); !errors.Is(err, envelope.ErrUnavailable) || !errors.Is(err, federation.ErrUnavailable) {
		t.Errorf("with an unreachable token source: %v", err)
	}
	broken = federation.NewProvider(failing{federation.ErrTokenInvalid}, nil, nil)
	if _, err := roundTrip(t, keyURL, nil, broken); !errors.Is(err, envelope.ErrUnauthenticated) || !errors.Is(err, federation.ErrTokenInvalid) {
		t.Errorf("with an invalid token: %v", err)
	}
}

// A failing source returns no token.
type failing struct{ err error }

func (f failing) Token(context.Context) (federation.Token, error) { return federation.Token{}, f.err }

// TestHashivault: the token and the address come from the environment. Package hashivault has a test
// server of the transit engine; here the requests show what the URL means.
func TestHashivault(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+" "+r.Header.Get("X-Vault-Token")+" "+r.Header.Get("X-Vault-Namespace"))
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errors":["permission denied"]}`)
	}))
	defer server.Close()
	environment := &Options{Getenv: func(name string) string {
		return map[string]string{"VAULT_TOKEN": "hvs.token", "VAULT_ADDR": server.URL, "VAULT_NAMESPACE": "team"}[name]
	}}
	for keyURL, want := range map[string]string{
		"hashivault://key": "/v1/transit/encrypt/key hvs.token team",
		"hashivault://key?engine=a/b&namespace=other": "/v1/a/b/encrypt/key hvs.token other",
		"hashivault://key?address=" + server.URL:      "/v1/transit/encrypt/key hvs.token team",
	} {
		got = nil
		if _, err := roundTrip(t, keyURL, environment, nil); !errors.Is(err, envelope.ErrDenied) || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, the requests are %q, want %q", keyURL, err, got, want)
		}
	}
	if _, err := roundTrip(t, "hashivault://key?address="+server.URL, &Options{Getenv: none}, nil); !errors.Is(err, envelope.ErrUnauthenticated) {
		t.Errorf("without a token: %v", err)
	}
}

// TestKMSRefused: an invalid URL of a key is a URLError that does not repeat the URL.
func TestKMSRefused(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for keyURL, want := range map[string]string{
		"https://PASSWORD@h/%zz":                          "it is not a URL",
		"base64key://PASSWORD":                            "base64key:// is refused",
		"base64key://":                                    "base64key:// is refused",
		"awskms://u:PASSWORD@alias/vault":                 "the URL of a key must not contain a user",
		"awskms://alias/vault#PASSWORD":                   "the URL contains a #",
		"awskms:" + awsARN:                                "the URL of a key must have the form awskms://ARN",
		"awskms://" + awsARN:                              "the key source uses the credentials that the store gets",
		"awskms://" + awsARN + "?credentials=PASSWORD":    "credentials= must be default",
		"awskms://" + awsARN + "?region=eu-west-1":        "region= is not the region in the ARN",
		"awskms://" + awsARN + "?context=PASSWORD":        `unknown parameter "context"; awskms:// supports only region`,
		"awskms://" + awsARN + "?region=":                 `parameter "region" is empty`,
		"awskms://" + awsARN + "?%zz":                     "its parameters are malformed",
		"awskms://alias/PASSWORD%20x?credentials=default": "the key is not an ARN such as",
		"awskms://?credentials=default":                   "the key is not an ARN such as",
		"awskms://alias/vault?credentials=default":        "the region of the key is unknown",
		"awskms://" + awsARN + "?credentials=default&endpoint=http://u:PASSWORD@kms.example.com": "endpoint",
		"hashivault://":                                             "the URL of a key must have the form hashivault://KEY",
		"hashivault://key/more":                                     "the URL of a key must have the form hashivault://KEY",
		"hashivault://key":                                          "the address of the Vault server is missing",
		"hashivault://key?token=PASSWORD":                           `unknown parameter "token"; hashivault:// supports only address`,
		"hashivault://..?address=https://vault.example":             "the name of the key must have",
		"hashivault://key?address=https://u:PASSWORD@vault.example": "the address of Vault",
		"tencentkms://ap-guangzhou":                                 "the URL of a key must have the form tencentkms://REGION/ID",
		"tencentkms:///" + tencentID:                                "the URL of a key must have the form tencentkms://REGION/ID",
		"tencentkms://ap-guangzhou:80/" + tencentID:                 "the URL of a key must have the form tencentkms://REGION/ID",
		"tencentkms://ap-guangzhou/vault?credentials=default":       "the key is not an id such as",
		"tencentkms://ap-guangzhou/" + tencentID:                    "the key source uses the credentials that the store gets",
		"tencentkms://ap-guangzhou/" + tencentID + "?credentials=default&endpoint=http://kms.example.com": "endpoint is plain http",
	} {
		u, err := parseKeyURL(keyURL)
		if err == nil {
			_, err = openKMS(t.Context(), u, &Options{Getenv: withToken}, nil, nil)
		}
		var problem *URLError
		if !errors.As(err, &problem) || !errors.Is(err, vault.ErrConfig) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s…", keyURL, err, want)
		} else if strings.Contains(err.Error()+problem.Advice, "PASSWORD") {
			t.Errorf("%s: the error repeats the URL: %v", keyURL, err)
		}
	}
	u, err := parseKeyURL("tencentkms://ap-guangzhou/" + tencentID + "?credentials=default")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openKMS(t.Context(), u, &Options{Getenv: none}, nil, &kms.Enrolment{}); !errors.Is(err, envelope.ErrInvalid) || errors.Is(err, vault.ErrConfig) {
		t.Errorf("a malformed record: %v", err)
	}
}

// FuzzKeyURL: no URL makes openKMS panic, and a rejected one is not repeated.
func FuzzKeyURL(f *testing.F) {
	for _, seed := range []string{
		"", "awskms://" + awsARN, "awskms:///" + awsARN + "?region=us-east-1", "awskms://alias/vault?region=us-east-1", "awskms://[::1]:80/x",
		"tencentkms://ap-guangzhou/" + tencentID + "?credentials=default", "base64key://c2VjcmV0", "hashivault://key", "gcpkms://projects/p", "azurekeyvault://v/keys/k",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, keyURL string) {
		u, err := parseKeyURL(keyURL)
		if err != nil || u.Scheme == "awskms" { // the SDK reads the files of the user
			return
		}
		s, err := openKMS(context.Background(), u, &Options{Getenv: none}, nil, nil)
		if err == nil && !strings.HasPrefix(s.Name(), u.Scheme) {
			t.Errorf("%q is %s", keyURL, s.Name())
		}
	})
}
