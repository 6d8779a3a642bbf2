package aws_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// roundTrip writes and reads a small and a large value.
func roundTrip(t *testing.T, s *vault.Store) {
	t.Helper()
	v := newVault(t, s, "acme")
	for name, size := range map[vault.Name]int64{"small": 100, "large": 20 << 20} {
		if _, err := v.Put(t.Context(), name, noise(3, size), nil); err != nil {
			t.Fatal(err)
		}
		r, err := v.Get(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum(t, r) != sum(t, noise(3, size)) {
			t.Errorf("%s has another value", name)
		}
		r.Close()
	}
	for _, err := range v.List(t.Context(), nil) {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Teardown(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// TestRewrittenEncoding: a proxy may rewrite Accept-Encoding, because the signature does not cover
// it.
func TestRewrittenEncoding(t *testing.T) {
	t.Parallel()
	for name, tc := range realServers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := testcloud.NewBucket(t, tc.url, tc.keys, true)
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(u)
				r.Out.Host = r.In.Host
				if got := r.In.Header.Get("Accept-Encoding"); got != "identity" {
					t.Errorf("Accept-Encoding is %q: a body that a proxy compresses differs from the stored object", got)
				}
				r.Out.Header.Set("Accept-Encoding", "gzip, br")
			}})
			t.Cleanup(front.Close)
			roundTrip(t, open(t, aws.Config{Bucket: bucket, Endpoint: front.URL, Static: static(tc.keys)}))
		})
	}
}

// TestEncryptionHeaders: exactly the requests that store an object have the encryption headers.
func TestEncryptionHeaders(t *testing.T) {
	t.Parallel()
	const sse, key = "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/k"
	for _, c := range []aws.Config{{SSE: "AES256"}, {SSE: "aws:kms", KMSKey: arn}, {SSE: "aws:kms"}} {
		var stored []http.Header
		s := answering(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("ETag", `"e"`)
			switch {
			case r.URL.Query().Has("uploads"):
				stored = append(stored, r.Header)
				io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
				return
			case r.Method == http.MethodPut && !r.URL.Query().Has("partNumber"):
				stored = append(stored, r.Header)
				return
			case r.Method == http.MethodPost:
				io.WriteString(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
			}
			if r.Header.Get(sse) != "" || r.Header.Get(key) != "" {
				t.Errorf("%s %s requests encryption", r.Method, r.URL)
			}
		}, c)
		v := newVault(t, s, "acme")
		for _, size := range []int64{10, 20 << 20} {
			if _, err := v.Put(t.Context(), "openai", noise(1, size), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Bucket.WriteAll(t.Context(), "key", []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		if len(stored) != 3 {
			t.Errorf("%d objects, want 3", len(stored))
		}
		for _, h := range stored {
			if h.Get(sse) != c.SSE || h.Get(key) != c.KMSKey {
				t.Errorf("%+v: %s is %q, the key %q", c, sse, h.Get(sse), h.Get(key))
			}
		}
	}
}

// TestStaleProfile: a caller with credentials does not need the profile.
func TestStaleProfile(t *testing.T) {
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, true)
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("[profile here]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = gone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string][2]string{"gone": {filepath.Join(t.TempDir(), "none"), "gone"}, "broken": {broken, "here"}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_CONFIG_FILE", env[0])
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", env[0])
			t.Setenv("AWS_PROFILE", env[1])
			roundTrip(t, open(t, aws.Config{Bucket: bucket, Endpoint: server.URL, Static: static(server.Root)}))
			if _, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1"}); err != nil {
				t.Errorf("exchanger: %v", err)
			}
			front := httptest.NewTLSServer(proxyTo(t, server.URL))
			t.Cleanup(front.Close)
			t.Setenv("AWS_CA_BUNDLE", caFile(t, front)) // from the environment, which is still used
			roundTrip(t, open(t, aws.Config{Bucket: bucket, Endpoint: front.URL, Static: static(server.Root)}))
		})
	}
}

func proxyTo(t *testing.T, upstream string) http.Handler {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // the signed host
	}}
}

// TestEnvironmentEndpoint: an endpoint from the environment causes the same requests as one from
// the configuration.
func TestEnvironmentEndpoint(t *testing.T) {
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, true)
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		t.Run(name, func(t *testing.T) {
			proxy := testcloud.NewProxy(server.URL, nil)
			t.Cleanup(func() { proxy.Close() })
			t.Setenv(name, proxy.URL)
			t.Setenv("AWS_REGION", "")
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
			roundTrip(t, open(t, aws.Config{Bucket: bucket, Static: static(server.Root)}))
			for _, r := range proxy.Requests() {
				if !strings.HasPrefix(r.Path, "/"+bucket) {
					t.Errorf("%s is not in path style", r)
				}
				if r.Method == http.MethodPut && (r.Header.Get("X-Amz-Trailer") != "" || r.Header.Get("X-Amz-Checksum-Crc32") != "") {
					t.Errorf("%s has a checksum", r)
				}
			}
		})
	}
}

// TestEnvironmentEndpoints: the SDK handles the endpoints of AWS in the environment.
func TestEnvironmentEndpoints(t *testing.T) {
	for _, tc := range []struct {
		env     map[string]string
		s3, sts string
	}{
		{nil, "", ""},
		{map[string]string{"AWS_ENDPOINT_URL": "https://ceph.example"}, "https://ceph.example", "https://ceph.example"},
		{map[string]string{"AWS_ENDPOINT_URL_S3": "https://ceph.example"}, "https://ceph.example", ""},
		{map[string]string{"AWS_ENDPOINT_URL": "https://a.example", "AWS_ENDPOINT_URL_STS": "https://b.example"}, "https://a.example", "https://b.example"},
		{map[string]string{"AWS_ENDPOINT_URL": "https://a.example", "AWS_ENDPOINT_URL_S3": "https://vpce-1.s3.eu-central-1.vpce.amazonaws.com"}, "", "https://a.example"},
		{map[string]string{"AWS_ENDPOINT_URL_STS": "https://sts.cn-north-1.amazonaws.com.cn"}, "", ""},
		{map[string]string{"AWS_ENDPOINT_URL": "https://ceph.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "", ""},
		{map[string]string{"AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com.evil.example"}, "https://s3.amazonaws.com.evil.example", ""},
	} {
		if s3, sts := aws.EnvironmentEndpoints(func(k string) string { return tc.env[k] }); s3 != tc.s3 || sts != tc.sts {
			t.Errorf("%v: %q, %q, want %q, %q", tc.env, s3, sts, tc.s3, tc.sts)
		}
	}
}
