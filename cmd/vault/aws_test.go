package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// Two tenants. The scripts call them $A and $B.
const (
	walletA = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	walletB = "0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// TestAWS runs testdata/aws against a Ceph RGW with its own token issuer, so every exchange, policy and
// denial is real.
func TestAWS(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other")
	}
	rgw, kms := testcloud.RequireRGW(t), testcloud.RequireLocalKMS(t)
	issuer := testcloud.NewIssuer(&testcloud.IssuerOptions{Sessions: map[string]testcloud.Claims{
		"session-of-a": testcloud.AgentClaims(walletA), "session-of-b": testcloud.AgentClaims(walletB),
	}})
	t.Cleanup(func() { issuer.Close() })
	provider, err := rgw.CreateProvider(t.Context(), issuer.URL, issuer.Thumbprint(), testcloud.Audience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rgw.DeleteProvider(context.Background(), provider) })
	owner := testcloud.S3Client(rgw.URL, rgw.Owner)
	// The owner and the tenants share only the bucket.
	apply := func(ts *testscript.TestScript, neg bool, args []string) {
		policy, bucket, role := args[0], args[1], args[2]
		var p struct {
			Trust      json.RawMessage `json:"trust_policy"`
			Role       json.RawMessage `json:"role_policy"`
			Versioning json.RawMessage `json:"versioning"`
		}
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(policy)), &p))
		ctx := context.Background()
		_, err := owner.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
		ts.Check(err)
		ts.Defer(func() { testcloud.RemoveBucket(rgw.URL, rgw.Owner, bucket) }) // otherwise the next run finds the name in use
		if len(args) > 3 {
			_, err := owner.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket,
				VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
			ts.Check(err)
		}
		_, err = rgw.CreateRole(ctx, role, string(p.Trust))
		ts.Check(err)
		ts.Defer(func() { rgw.DeleteRole(ctx, role) })
		ts.Check(rgw.PutRolePolicy(ctx, role, "vault", string(p.Role)))
	}
	// store BUCKET KEY FILE stores a file as it is. It creates the bucket.
	store := func(ts *testscript.TestScript, neg bool, args []string) {
		ctx := context.Background()
		_, err := owner.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &args[0]}) // no error if the owner has it
		ts.Check(err)
		ts.Defer(func() { testcloud.RemoveBucket(rgw.URL, rgw.Owner, args[0]) })
		_, err = owner.PutObject(ctx, &s3.PutObjectInput{Bucket: &args[0], Key: &args[1], Body: strings.NewReader(ts.ReadFile(args[2]))})
		ts.Check(err)
	}
	runAWS(t, "testdata/aws/rgw_*.txtar", func(e *testscript.Env) error {
		if err := startSigner(e); err != nil {
			return err
		}
		e.Setenv("ENDPOINT", rgw.URL)
		e.Setenv("ISSUER", issuer.URL)
		key, err := kms.NewKey(context.Background())
		if err != nil {
			return err
		}
		e.Setenv("KMS_ARN", key)
		e.Setenv("KMS_ENDPOINT", kms.URL)
		e.Setenv("OWNER_ID", rgw.Owner.AccessKeyID)
		e.Setenv("OWNER_SECRET", rgw.Owner.SecretKey)
		e.Setenv("BROKER", strings.TrimPrefix(issuer.URL, "http://"))
		e.Setenv("A", walletA)
		e.Setenv("B", walletB)
		for name, c := range map[string]testcloud.Claims{
			"a": testcloud.AgentClaims(walletA), "b": testcloud.AgentClaims(walletB),
			"c": testcloud.AgentClaims("0xcccccccccccccccccccccccccccccccccccccccc"), "untagged": {Subject: "stranger"},
			"wallet":  testcloud.AgentClaims(e.Getenv("WALLET")),
			"capital": testcloud.AgentClaims("0xAaAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
		} {
			// Each script has its own subject, because Ceph refuses one of two concurrent first
			// exchanges of the same subject.
			c.Subject += "/" + filepath.Base(e.WorkDir)
			path, err := issuer.TokenFile(e.WorkDir, c)
			if err != nil {
				return err
			}
			if err := os.Rename(path, filepath.Join(e.WorkDir, "token-"+name)); err != nil {
				return err
			}
		}
		return os.WriteFile(filepath.Join(e.WorkDir, "token-expired"), []byte(issuer.MintExpired(testcloud.AgentClaims(walletA))), 0o600)
	}, map[string]func(*testscript.TestScript, bool, []string){"apply": apply, "store": store})
}

func runAWS(t *testing.T, scripts string, setup func(*testscript.Env) error, cmds map[string]func(*testscript.TestScript, bool, []string)) {
	files, err := filepath.Glob(scripts)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts %s (%v)", scripts, err)
	}
	cmds["exits"] = exits
	// The scripts run in parallel. The group ends when all of them have ended.
	t.Run("script", func(t *testing.T) { testscript.Run(t, params(files, setup, cmds)) })
}

func params(files []string, setup func(*testscript.Env) error, cmds map[string]func(*testscript.TestScript, bool, []string)) testscript.Params {
	return testscript.Params{
		Files: files,
		Cmds:  cmds,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("HOME", home)
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			return setup(e)
		},
	}
}

// TestPrivateNetwork reaches a store by a host name that only a proxy resolves, over TLS with a
// certificate that only our CA signed.
func TestPrivateNetwork(t *testing.T) {
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	const host = "s3.vault.test"
	ca, front := newTLS(t, host, server.URL)
	proxy, connects := newConnectProxy(t, host+":443", front)
	runAWS(t, "testdata/aws/network.txtar", func(e *testscript.Env) error {
		e.Setenv("STORE", "s3://"+bucket+"?endpoint=https://"+host)
		e.Setenv("PROXY", proxy)
		e.Setenv("AWS_ACCESS_KEY_ID", server.Root.AccessKeyID)
		e.Setenv("AWS_SECRET_ACCESS_KEY", server.Root.SecretKey)
		return os.WriteFile(filepath.Join(e.WorkDir, "ca.pem"), ca, 0o600)
	}, map[string]func(*testscript.TestScript, bool, []string){})
	if connects.Load() == 0 {
		t.Error("no request went through the proxy")
	}
}

// newTLS starts a TLS server for the host name host in front of upstream. It returns the certificate of
// the CA and the address of the server.
func newTLS(t *testing.T, host, upstream string) (ca []byte, addr string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // the signature covers the host
	}})
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // no messages about clients that do not trust the certificate
	s.StartTLS()
	t.Cleanup(s.Close)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), s.Listener.Addr().String()
}

// newConnectProxy starts an HTTP proxy that connects to one address only, and counts the connections.
func newConnectProxy(t *testing.T, place, addr string) (proxy string, connects *atomic.Int32) {
	t.Helper()
	connects = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != place {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		out, err := net.Dial("tcp", addr)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer out.Close()
		connects.Add(1)
		w.WriteHeader(http.StatusOK)
		in, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		go io.Copy(out, buf)
		io.Copy(in, out)
	}))
	t.Cleanup(s.Close)
	return s.URL, connects
}
