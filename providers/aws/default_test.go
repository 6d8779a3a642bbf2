package aws_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestAsOnAWS uses the configuration for AWS with another server: TLS, the SDK's checksums, and no
// endpoint. The credentials expire once.
func TestAsOnAWS(t *testing.T) {
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, true)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // the signed host
	}})
	t.Cleanup(front.Close)
	t.Cleanup(aws.TakeForAWS("127.0.0.1"))
	t.Setenv("AWS_ENDPOINT_URL_S3", front.URL)
	t.Setenv("AWS_CA_BUNDLE", caFile(t, front))
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Region: server.Region, Static: static(server.Root)}), "acme")
	for name, size := range map[vault.Name]int64{"small": 100, "medium": 200 << 10, "large": 20 << 20} {
		t.Run(string(name), func(t *testing.T) {
			loseOne(proxy, func(r *http.Request) bool {
				return size < 1<<20 && isPut(r) || r.URL.Query().Get("partNumber") == "2"
			}, func() *testcloud.Fault {
				return testcloud.RespondBefore(400, testcloud.ErrorXML("ExpiredToken", "The provided token has expired."))
			})
			proxy.Reset()
			info, err := v.Put(t.Context(), name, noise(10, size), &vault.PutOptions{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			sums := false
			for _, r := range proxy.Requests() {
				sums = sums || r.Header.Get("X-Amz-Trailer") != "" || r.Header.Get("X-Amz-Checksum-Crc32") != ""
			}
			if !sums {
				t.Error("no checksum was sent, so this is not the configuration for AWS")
			}
			if _, err := v.Put(t.Context(), name, noise(11, size), &vault.PutOptions{IfRevision: info.Revision}); err != nil {
				t.Fatal(err)
			}
			for version, seed := range map[string]uint64{"": 11, "@2": 10} {
				r, err := v.Get(t.Context(), name, &vault.GetOptions{Version: version})
				if err != nil {
					t.Fatal(err)
				}
				if sum(t, r) != sum(t, noise(seed, size)) {
					t.Errorf("version %q has another value", version)
				}
				r.Close()
			}
			// versitygw responds to UploadPartCopy with the checksum of the source, if it has one.
			other := open(t, aws.Config{Bucket: bucket, Endpoint: strings.Replace(server.URL, "127.0.0.1", "localhost", 1), Static: static(server.Root)})
			if _, err := newVault(t, other, "acme").Put(t.Context(), name, noise(11, size), nil); err != nil {
				t.Fatal(err)
			}
			rewrapOnAWS(t, v, proxy, name, size)
			if err := v.Delete(t.Context(), name, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// rewrapOnAWS replaces the key source of an object whose value is noise(11, size). At AWS, a splice sends
// no requests to find out what the server supports, and the parts have checksums.
func rewrapOnAWS(t *testing.T, v *vault.Vault, proxy *testcloud.Proxy, name vault.Name, size int64) {
	t.Helper()
	proxy.Reset()
	if _, err := v.Rewrap(t.Context(), name, &vault.RewrapOptions{Add: []envelope.KeySource{kek.NewLocal(kek.RandomRoot())}}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range proxy.Requests() {
		got = append(got, r.Method)
		if strings.Contains(r.Query, "uploads=") && r.Header.Get("X-Amz-Checksum-Algorithm") != "CRC32" {
			t.Errorf("%s has the headers %v", r, r.Header)
		}
	}
	want := []string{"GET", "PUT"}
	switch {
	case size > 16<<20:
		want = []string{"GET", "GET", "POST", "PUT", "PUT", "POST"}
	case size > 16<<10: // more than the first request returns
		want = []string{"GET", "GET", "PUT"}
	}
	if !slices.Equal(got, want) {
		t.Errorf("a rewrap of %d bytes sent the requests %v, want %v", size, got, want)
	}
	r, err := v.Get(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if sum(t, r) != sum(t, noise(11, size)) {
		t.Error("after a rewrap the object has another value")
	}
}
