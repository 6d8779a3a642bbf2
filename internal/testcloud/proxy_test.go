package testcloud_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// echo starts a server that returns each request in the response, and counts the requests.
func echo(t *testing.T) (url string, applied *atomic.Int32) {
	applied = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		applied.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", fmt.Sprintf("%s %s host=%s range=%s agent=%q body=%s", r.Method, r.RequestURI, r.Host, r.Header.Get("Range"), r.Header.Get("User-Agent"), body))
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "0123456789")
	}))
	t.Cleanup(server.Close)
	return server.URL, applied
}

func newProxy(t *testing.T, upstream string, o *testcloud.ProxyOptions) *testcloud.Proxy {
	p := testcloud.NewProxy(upstream, o)
	t.Cleanup(func() { p.Close() })
	return p
}

func send(t *testing.T, method, url, body string, header ...string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestProxyPassesOn(t *testing.T) {
	url, _ := echo(t)
	p := newProxy(t, url, nil)
	host := strings.TrimPrefix(p.URL, "http://")
	for _, path := range []string{"/b/k", "/b/a%2Fb", "/b//x/../y%20z?versions=&prefix=a%2Fb&x-id=Get", "/b/%E2%98%BA+=@!%25", "/?b;c=1"} {
		resp, body, err := send(t, "PUT", p.URL+path, "data", "Range", "bytes=1-2", "User-Agent", "me")
		if err != nil || body != "0123456789" {
			t.Errorf("%s: %q, %v", path, body, err)
			continue
		}
		want := fmt.Sprintf("PUT %s host=%s range=bytes=1-2 agent=%q body=data", path, host, "me")
		if diff := cmp.Diff(want, resp.Header.Get("X-Got")); diff != "" {
			t.Errorf("the server got (-want +got):\n%s", diff)
		}
	}
	p.Reset()
	credential := "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
	if _, _, err := send(t, "GET", p.URL+"/b?z=1&list-type=2&a", "", "Authorization", credential, "Amz-Sdk-Request", "attempt=2; max=3"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := send(t, "GET", p.URL+"/b/k?X-Amz-Credential=OTHER%2F20260101%2Fus-east-1%2Fsts%2Faws4_request", ""); err != nil {
		t.Fatal(err)
	}
	got := p.Requests()
	if len(got) != 2 {
		t.Fatalf("%d requests", len(got))
	}
	if auth := got[0].Header.Get("Authorization"); auth != "" {
		t.Errorf("the record contains %q", auth)
	}
	for i := range got {
		got[i].Header = nil
	}
	want := []testcloud.Request{
		{Method: "GET", Path: "/b", Query: "a=&list-type=2&z=1", AccessKeyID: "AKID", Service: "s3", Attempt: "attempt=2; max=3", Status: 200, Applied: true},
		{Method: "GET", Path: "/b/k", Query: "X-Amz-Credential=OTHER%2F20260101%2Fus-east-1%2Fsts%2Faws4_request", AccessKeyID: "OTHER", Service: "sts", Status: 200, Applied: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if got := got[0].String(); got != "GET /b?a=&list-type=2&z=1 200" {
		t.Errorf("String() = %q", got)
	}
}

func TestProxyFaults(t *testing.T) {
	url, applied := echo(t)
	for _, tc := range []struct {
		name    string
		fault   *testcloud.Fault
		status  int // of the response; 0 if there is none
		body    string
		err     error // the error while reading the body; with status 0, any error
		applied bool
	}{
		{"no fault", nil, 200, "0123456789", nil, true},
		{"respond before", testcloud.RespondBefore(503, "busy"), 503, "busy", nil, false},
		{"apply then", testcloud.ApplyThen(500, "oops"), 500, "oops", nil, true},
		{"drop before", testcloud.DropBefore(), 0, "", io.EOF, false},
		{"drop after", testcloud.DropAfter(), 0, "", io.EOF, true},
		{"truncated body, connection closed", testcloud.CutBody(4), 200, "0123", io.ErrUnexpectedEOF, true},
		{"no body, connection closed", testcloud.CutBody(0), 200, "", io.ErrUnexpectedEOF, true},
		{"truncated body, shorter length", testcloud.Truncated(4), 200, "0123", nil, true},
		{"truncation beyond the end", testcloud.Truncated(40), 200, "0123456789", nil, true},
		{"delay", testcloud.Delay(time.Millisecond), 200, "0123456789", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProxy(t, url, &testcloud.ProxyOptions{Rule: func(r *http.Request, n int) *testcloud.Fault {
				if n == 2 {
					return tc.fault
				}
				return nil
			}})
			for n := 1; n <= 3; n++ {
				before := applied.Load()
				resp, body, err := send(t, "PUT", p.URL+"/b/k", strings.Repeat("x", 100_000))
				want, status, wasApplied := "0123456789", 200, true
				var wantErr error
				if n == 2 {
					want, status, wantErr, wasApplied = tc.body, tc.status, tc.err, tc.applied
				}
				if (resp == nil) != (status == 0) || resp != nil && resp.StatusCode != status || body != want {
					t.Errorf("request %d: %v %q, want %d %q", n, resp, body, status, want)
				}
				if (err == nil) != (wantErr == nil) || resp != nil && !errors.Is(err, wantErr) {
					t.Errorf("request %d: error %v, want %v", n, err, wantErr)
				}
				if got := applied.Load() > before; got != wasApplied {
					t.Errorf("request %d: applied = %v", n, got)
				}
				seen := p.Requests()[n-1]
				if seen.Status != status || seen.Applied != wasApplied {
					t.Errorf("request %d is recorded as %+v", n, seen)
				}
			}
		})
	}
}

// A request reaches the server long after its client has given up, with the connection closed or
// left open.
func TestProxyLater(t *testing.T) {
	url, applied := echo(t)
	var later testcloud.Later
	for i, f := range []*testcloud.Fault{later.Cut(), later.Wait()} {
		p := newProxy(t, url, &testcloud.ProxyOptions{Rule: func(*http.Request, int) *testcloud.Fault { return f }})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // the waiting client gives up
			if later.Kept(ctx) == nil {
				cancel()
			}
		}()
		req, err := http.NewRequestWithContext(ctx, "PUT", p.URL+"/b/k", strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("the request got a response: %d", resp.StatusCode)
		}
		cancel()
		if seen := p.Requests()[0]; applied.Load() != int32(i) || seen.Applied || seen.Status != 0 {
			t.Errorf("before: %d requests reached the server, %+v", applied.Load(), seen)
		}
		if n := later.Apply(); n != 1 {
			t.Errorf("%d requests were forwarded", n)
		}
		if seen := p.Requests()[0]; applied.Load() != int32(i)+1 || !seen.Applied || seen.Status != 0 {
			t.Errorf("after: %d requests reached the server, %+v", applied.Load(), seen)
		}
	}
	if n := later.Apply(); n != 0 {
		t.Errorf("%d requests were forwarded twice", n)
	}
}

// SetRule replaces the rule, and Reset restarts n.
func TestProxyRule(t *testing.T) {
	url, _ := echo(t)
	p := newProxy(t, url, nil)
	var got []int
	p.SetRule(func(r *http.Request, n int) *testcloud.Fault {
		got = append(got, n)
		return testcloud.RespondBefore(418, r.URL.Path)
	})
	for range 2 {
		if resp, body, err := send(t, "GET", p.URL+"/tea", ""); err != nil || resp.StatusCode != 418 || body != "/tea" {
			t.Errorf("%v %q %v", resp, body, err)
		}
	}
	p.Reset()
	send(t, "GET", p.URL+"/tea", "")
	p.SetRule(nil)
	if resp, _, err := send(t, "GET", p.URL+"/tea", ""); err != nil || resp.StatusCode != 200 {
		t.Errorf("without a rule: %v %v", resp, err)
	}
	if !slices.Equal(got, []int{1, 2, 1}) {
		t.Errorf("n = %v", got)
	}
}

func code(err error) string {
	if e := smithy.APIError(nil); errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// With the SDK and a real server, signatures stay valid, and the SDK reports the expected error for
// each fault.
func TestProxyVersity(t *testing.T) {
	v := testcloud.RequireVersity(t)
	p := newProxy(t, v.URL, nil)
	ctx, bucket := t.Context(), testcloud.NewBucket(t, v.URL, v.Root, false)
	other, err := v.AddUser(ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	root := testcloud.S3Client(p.URL, v.Root)
	once := testcloud.S3Client(p.URL, v.Root, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	value := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB, so the SDK expects 100 Continue
	for _, key := range []string{"k", "a b+c/☺=%25"} {
		if err := put(ctx, root, bucket, key, value); err != nil {
			t.Fatal(err)
		}
		if got, err := get(ctx, root, bucket, key); got != value || err != nil {
			t.Fatalf("%s: %d bytes, %v", key, len(got), err)
		}
	}

	t.Run("expire", func(t *testing.T) {
		p.Reset()
		p.ExpireKeyAfter(2)
		for n := 1; n <= 4; n++ {
			_, err := get(ctx, root, bucket, "k")
			if expired := n > 2; expired != (code(err) == "ExpiredToken") || expired != (status(err) == 400) {
				t.Errorf("request %d: %v", n, err)
			}
		}
		if got := len(p.Requests()); got != 4 {
			t.Errorf("%d requests: the SDK tried an expired token again", got)
		}
		for range 4 { // another key continues to work
			if _, err := testcloud.S3Client(p.URL, other).ListBuckets(ctx, nil); err != nil {
				t.Error(err)
			}
		}
		p.ExpireKey(other.AccessKeyID)
		if _, err := testcloud.S3Client(p.URL, other).ListBuckets(ctx, nil); code(err) != "ExpiredToken" {
			t.Errorf("an expired key: %v", err)
		}
	})

	p = newProxy(t, v.URL, nil)
	root = testcloud.S3Client(p.URL, v.Root)
	once = testcloud.S3Client(p.URL, v.Root, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	t.Run("slow down", func(t *testing.T) {
		p.SlowDown(2)
		if _, err := get(ctx, root, bucket, "k"); err != nil {
			t.Errorf("the SDK gave up: %v", err)
		}
		var got []string
		for _, r := range p.Requests() {
			got = append(got, fmt.Sprint(r.Attempt, " ", r.Status))
		}
		if want := []string{"attempt=1; max=3 503", "attempt=2; max=3 503", "attempt=3; max=3 200"}; !slices.Equal(got, want) {
			t.Errorf("requests %q", got)
		}
		p.SlowDown(1)
		if _, err := get(ctx, once, bucket, "k"); code(err) != "SlowDown" || status(err) != 503 {
			t.Errorf("one attempt: %v", err)
		}
	})

	t.Run("range", func(t *testing.T) {
		part := "bytes=1-2"
		ask := func() (string, int64, error) {
			out, err := once.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &[]string{"k"}[0], Range: &part})
			if err != nil {
				return "", 0, err
			}
			defer out.Body.Close()
			b, err := io.ReadAll(io.LimitReader(out.Body, 3))
			return string(b), *out.ContentLength, err
		}
		if got, n, err := ask(); got != "12" || n != 2 || err != nil {
			t.Errorf("range: %q of %d, %v", got, n, err)
		}
		p.SetRule(func(*http.Request, int) *testcloud.Fault { return testcloud.IgnoreRange(v.Root) })
		defer p.SetRule(nil)
		if got, n, err := ask(); got != "012" || n != int64(len(value)) || err != nil {
			t.Errorf("ignored range: %q of %d, %v", got, n, err)
		}
		p.SetRule(func(*http.Request, int) *testcloud.Fault { return testcloud.IgnoreRange(testcloud.Keys{}) })
		if _, _, err := ask(); code(err) != "SignatureDoesNotMatch" {
			t.Errorf("a range removed without a new signature: %v", err)
		}
	})

	t.Run("write", func(t *testing.T) {
		for _, tc := range []struct {
			fault   *testcloud.Fault
			code    string
			applied bool
		}{
			{testcloud.RespondBefore(500, testcloud.ErrorXML("InternalError", "no")), "InternalError", false},
			{testcloud.ApplyThen(500, testcloud.ErrorXML("InternalError", "no")), "InternalError", true},
			{testcloud.DropBefore(), "", false},
			{testcloud.DropAfter(), "", true},
		} {
			key := fmt.Sprintf("write-%s-%v", tc.code, tc.applied)
			p.SetRule(func(*http.Request, int) *testcloud.Fault { return tc.fault })
			err := put(ctx, once, bucket, key, value)
			p.SetRule(nil)
			if err == nil || code(err) != tc.code {
				t.Errorf("%s: %v", key, err)
			}
			_, err = get(ctx, once, bucket, key)
			if want := map[bool]int{false: 404}[tc.applied]; status(err) != want {
				t.Errorf("%s: get afterwards: %v", key, err)
			}
		}
	})

	t.Run("read", func(t *testing.T) {
		for _, tc := range []struct {
			fault *testcloud.Fault
			err   error
		}{{testcloud.CutBody(1 << 20), io.ErrUnexpectedEOF}, {testcloud.Truncated(1 << 20), nil}} {
			p.SetRule(func(*http.Request, int) *testcloud.Fault { return tc.fault })
			got, err := get(ctx, once, bucket, "k")
			p.SetRule(nil)
			if got != value[:1<<20] || !errors.Is(err, tc.err) {
				t.Errorf("%d bytes, %v, want error %v", len(got), err, tc.err)
			}
		}
	})
}

// A proxy with the certificate of an https server reaches it. A proxy without the certificate does
// not.
func TestProxyTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // discards the messages about failed handshakes
	server.StartTLS()
	defer server.Close()
	ca := x509.NewCertPool()
	ca.AddCert(server.Certificate())
	for _, known := range []bool{true, false} {
		o := new(testcloud.ProxyOptions)
		if known {
			o.CA = ca
		}
		p := testcloud.NewProxy(server.URL, o)
		defer p.Close()
		_, body, err := send(t, "GET", p.URL, "")
		if (err == nil) != known || known && "http://"+body != p.URL {
			t.Errorf("certificate known %v: %q, %v", known, body, err)
		}
	}
}
