package aws_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

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
				t.Error("no checksum was sent, so that this is not the way to AWS")
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
					t.Errorf("version %q is another value", version)
				}
				r.Close()
			}
			if err := v.Delete(t.Context(), name, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
