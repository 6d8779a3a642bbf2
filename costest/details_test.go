package costest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// TestEncryptionAtRest: after a put that requests SSE-COS, each response has the header.
func TestEncryptionAtRest(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	check(t, last(c.Object.Put(t.Context(), "plain", strings.NewReader("value"), nil)))
	encrypted := func(what string, h http.Header, want string) {
		t.Helper()
		if got := h.Get("X-Cos-Server-Side-Encryption"); got != want {
			t.Errorf("%s has encryption %q, want %q", what, got, want)
		}
	}
	put, err := c.Object.Put(t.Context(), "sse", strings.NewReader("value"), &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XCosServerSideEncryption: "AES256"}})
	check(t, err)
	encrypted("put", put.Header, "AES256")
	up, begun, err := c.Object.InitiateMultipartUpload(t.Context(), "parts", &cos.InitiateMultipartUploadOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XCosServerSideEncryption: "AES256"}})
	check(t, err)
	encrypted("initiate", begun.Header, "AES256")
	part, err := c.Object.UploadPart(t.Context(), "parts", up.UploadID, 1, strings.NewReader("value"), nil)
	check(t, err)
	encrypted("a part", part.Header, "AES256")
	_, done, err := c.Object.CompleteMultipartUpload(t.Context(), "parts", up.UploadID, &cos.CompleteMultipartUploadOptions{Parts: []cos.Object{{PartNumber: 1, ETag: part.Header.Get("ETag")}}})
	check(t, err)
	encrypted("complete", done.Header, "AES256")
	for key, want := range map[string]string{"sse": "AES256", "parts": "AES256", "plain": ""} {
		head, err := c.Object.Head(t.Context(), key, nil)
		check(t, err)
		encrypted("head of "+key, head.Header, want)
		get, err := c.Object.Get(t.Context(), key, nil)
		check(t, err)
		io.Copy(io.Discard, get.Body)
		get.Body.Close()
		encrypted("get of "+key, get.Header, want)
	}
	_, copied, err := c.Object.Copy(t.Context(), "copy", sourceOf(s, s.Bucket(), "sse"), nil)
	check(t, err)
	encrypted("a copy", copied.Header, "") // a copy does not keep the encryption
}

func last(_ *cos.Response, err error) error { return err }

// TestCopySourceSlash: the source may start with a slash, as in S3.
func TestCopySourceSlash(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	check(t, last(c.Object.Put(t.Context(), "a", strings.NewReader("value"), nil)))
	_, _, err := c.Object.Copy(t.Context(), "b", "/"+sourceOf(s, s.Bucket(), "a"), nil)
	check(t, err)
	wantValue(t, c, "b", "value")
}

// TestServiceOfRegion: the host of a region lists only the buckets of this region.
func TestServiceOfRegion(t *testing.T) {
	s := start(t, &costest.Options{Region: "ap-guangzhou"})
	for host, want := range map[string]int{"cos.ap-guangzhou.myqcloud.com": 1, "cos.ap-shanghai.myqcloud.com": 0, "service.cos.myqcloud.com": 1} {
		c := cos.NewClient(&cos.BaseURL{ServiceURL: &url.URL{Scheme: "http", Host: host}}, &http.Client{
			Transport: &cos.AuthorizationTransport{SecretID: s.SecretID(), SecretKey: s.SecretKey(), Transport: s.Client().Transport},
		})
		got, _, err := c.Service.Get(t.Context())
		if err != nil || len(got.Buckets) != want {
			t.Errorf("%s lists %+v, %v; want %d buckets", host, got, err, want)
		}
	}
}

// TestForgedToken: a bad signature by a known key causes no request to the issuer.
func TestForgedToken(t *testing.T) {
	i := newIssuer(t, nil)
	s := start(t, nil)
	fetched := 0
	check(t, s.AddProvider(costest.Provider{Name: "idp", Issuer: i.URL, Audiences: []string{"vault"}, Client: &http.Client{
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			fetched++
			return http.DefaultTransport.RoundTrip(r)
		}),
	}}))
	_, err := s.AddRole("role-a", trustOf(i.URL, "vault", "bot:a"), "")
	check(t, err)
	assume := func(token string) map[string]any {
		return ask(t, s, time.Now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", token), nil)
	}
	wantCall(t, "a good token", assume(i.Mint(bot("a"))), "")
	before := fetched
	if before == 0 {
		t.Fatal("the keys were not fetched")
	}
	wantCall(t, "a forged token", assume(i.MintForged(bot("a"))), "InvalidParameter.WebIdentityTokenError")
	if fetched != before {
		t.Errorf("the issuer received %d more requests", fetched-before)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
