package tencent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	policy "github.com/objectvault/objectvault/policy/tencent"
	"github.com/objectvault/objectvault/providers/tencent"
)

// A tenantServer is an https server to which the unchanged output of package policy for its tenants
// was applied.
type tenantServer struct {
	t *testing.T
	*costest.Server
	issuer *testcloud.Issuer
	docs   *policy.Documents
}

// newTenantServer starts a tenantServer.
func newTenantServer(t *testing.T, versioning string, tenants ...string) *tenantServer {
	t.Helper()
	return newTenantServerWith(t, versioning, nil, tenants...)
}

// newTenantServerWith is like newTenantServer, with modified documents. change may be nil.
func newTenantServerWith(t *testing.T, versioning string, change func(*policy.Documents), tenants ...string) *tenantServer {
	t.Helper()
	return newTenantServerOn(t, costest.Options{Versioning: versioning}, change, tenants...)
}

// newTenantServerOn is like newTenantServerWith, with options for the server.
func newTenantServerOn(t *testing.T, s costest.Options, change func(*policy.Documents), tenants ...string) *tenantServer {
	t.Helper()
	s.TLS = true
	versioning, alg := s.Versioning, ""
	if s.Unsure["token-algorithm"] == "refuse" {
		alg = "RS256"
	}
	w := &tenantServer{t: t, Server: newServer(t, &s), issuer: testcloud.NewIssuer(&testcloud.IssuerOptions{Algorithm: alg})}
	t.Cleanup(func() { w.issuer.Close() })
	trusted.add(t, w.CA())
	o := policy.Options{
		Bucket: w.Bucket(), Region: w.Region(), Account: "100000000001", Role: "vault",
		Provider: provider, Issuer: w.issuer.URL, Audience: audience, Versioned: versioning != "",
	}
	for _, id := range tenants {
		o.Tenants = append(o.Tenants, policy.Tenant{ID: id, Subject: "agent:" + id})
	}
	var err error
	if w.docs, err = policy.Generate(o); err != nil {
		t.Fatal(err)
	}
	if versioning == "Suspended" {
		w.docs.Versioning = "" // it would enable versioning
	}
	if change != nil {
		change(w.docs)
	}
	if err := w.Setup(w.docs.JSON(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// token returns a new token of a tenant.
func (w *tenantServer) token(tenant string) federation.Token {
	return parse(w.t, w.issuer.Mint(testcloud.Claims{Subject: "agent:" + tenant, Audience: audience}))
}

// source mints a new token for each call.
type source struct {
	w      *tenantServer
	tenant string
}

func (s source) Token(context.Context) (federation.Token, error) { return s.w.token(s.tenant), nil }

// config returns the configuration of a tenant, with a token and without a key.
func (w *tenantServer) config(tenant string) tencent.Config {
	return tencent.Config{
		Bucket: w.Bucket(), Region: w.Region(), Endpoint: w.URL(),
		Identity: federation.NewProvider(source{w, tenant}, w.exchanger(tenant), nil),
	}
}

func (w *tenantServer) exchanger(tenant string) federation.Exchanger {
	return newExchanger(w.t, w.Server, w.docs.Tenants[tenant].RoleARN)
}

// exchanged returns the temporary keys of a tenant.
func (w *tenantServer) exchanged(tenant string) federation.Credentials {
	w.t.Helper()
	c, err := w.exchanger(tenant).Exchange(w.t.Context(), w.token(tenant))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// trusted contains the CAs of all test servers. The clients of this process trust these instead of
// the CAs of the system.
var trusted authorities

type authorities struct {
	mu  sync.Mutex
	all []*x509.CertPool
}

func (a *authorities) add(t *testing.T, pem []byte) {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("the server has no authority")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, pool)
}

func (a *authorities) verify(c tls.ConnectionState) error {
	a.mu.Lock()
	pools := slices.Clone(a.all)
	a.mu.Unlock()
	for _, pool := range pools {
		if _, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, DNSName: c.ServerName}); err == nil {
			return nil
		}
	}
	return &tls.CertificateVerificationError{Err: errors.New("the server's certificate is not from a CA of these tests")}
}

func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection verifies instead
		VerifyConnection:   trusted.verify,
	}
	os.Exit(m.Run())
}
