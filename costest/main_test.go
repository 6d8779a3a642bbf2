package costest_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

func start(t testing.TB, o *costest.Options) *costest.Server {
	t.Helper()
	s, err := costest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sdk returns a client of a bucket with the owner's key and without retries.
func sdk(t testing.TB, s *costest.Server, bucket string) *cos.Client {
	t.Helper()
	return sdkAs(t, s, bucket, s.SecretID(), s.SecretKey(), "")
}

func sdkAs(t testing.TB, s *costest.Server, bucket, id, key, token string) *cos.Client {
	t.Helper()
	b, err := url.Parse(s.BucketURL(bucket))
	if err != nil {
		t.Fatal(err)
	}
	service := &url.URL{Scheme: b.Scheme, Host: "service.cos.myqcloud.com"}
	c := cos.NewClient(&cos.BaseURL{BucketURL: b, ServiceURL: service}, &http.Client{
		Transport: &cos.AuthorizationTransport{SecretID: id, SecretKey: key, SessionToken: token, Transport: s.Client().Transport},
		Timeout:   time.Minute,
	})
	c.Conf.RetryOpt.Count = 1
	return c
}

// check fails the test if there is an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// code returns the status and the code of an error of the SDK, or the error itself.
func code(err error) string {
	var e *cos.ErrorResponse
	if errors.As(err, &e) {
		return strings.TrimSpace(fmt.Sprint(e.Response.StatusCode, " ", e.Code))
	}
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func wantCode(t testing.TB, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func put(t testing.TB, c *cos.Client, key, value string) *cos.Response {
	t.Helper()
	resp, err := c.Object.Put(context.Background(), key, strings.NewReader(value), nil)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return resp
}

func get(c *cos.Client, key string, id ...string) (string, error) {
	resp, err := c.Object.Get(context.Background(), key, nil, id...)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func wantValue(t testing.TB, c *cos.Client, key, want string, id ...string) {
	t.Helper()
	if got, err := get(c, key, id...); err != nil || got != want {
		t.Errorf("get %q %q: %d bytes %.40q, %v; want %d bytes", key, id, len(got), got, err, len(want))
	}
}

func contentMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func header(pairs ...string) *http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return &h
}

// The test sets the time of a clock.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// do sends a request unchanged, signed by the owner unless sign is nil.
func do(t testing.TB, s *costest.Server, method, path, body string, signer func(*http.Request), pairs ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.BucketURL(s.Bucket())+path, strings.NewReader(body))
	check(t, err)
	for i := 0; i < len(pairs); i += 2 {
		req.Header[pairs[i]] = []string{pairs[i+1]}
	}
	if signer != nil {
		signer(req)
	}
	resp, err := s.Client().Do(req)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, resp.Header, string(b)
}

func owner(s *costest.Server) func(*http.Request) {
	return func(r *http.Request) {
		cos.AddAuthorizationHeader(s.SecretID(), s.SecretKey(), "", r, cos.NewAuthTime(time.Hour))
	}
}

// signAt signs with the owner's key. The signature is valid from now for an hour.
func signAt(s *costest.Server, r *http.Request, now time.Time) {
	end := now.Add(time.Hour)
	cos.AddAuthorizationHeader(s.SecretID(), s.SecretKey(), "", r, &cos.AuthTime{SignStartTime: now, SignEndTime: end, KeyStartTime: now, KeyEndTime: end})
}

// readFull reads the body of a response into b and closes it.
func readFull(resp *cos.Response, b []byte) (int, error) {
	defer resp.Body.Close()
	return io.ReadFull(resp.Body, b)
}
