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

// A ward is a server over https on which the documents that package policy prints for its
// tenants were applied as they are.
type ward struct {
	t *testing.T
	*costest.Server
	issuer *testcloud.Issuer
	docs   *policy.Documents
}

// newWard starts one. change may be nil.
func newWard(t *testing.T, versioning string, tenants ...string) *ward {
	t.Helper()
	return newWardWith(t, versioning, nil, tenants...)
}

// newWardWith is like newWard with other documents than those that were printed.
func newWardWith(t *testing.T, versioning string, change func(*policy.Documents), tenants ...string) *ward {
	t.Helper()
	return newWardOn(t, costest.Options{Versioning: versioning}, change, tenants...)
}

// newWardOn is like newWardWith on a server with other options, too.
func newWardOn(t *testing.T, s costest.Options, change func(*policy.Documents), tenants ...string) *ward {
	t.Helper()
	s.TLS = true
	versioning, alg := s.Versioning, ""
	if s.Unsure["token-algorithm"] == "refuse" {
		alg = "RS256"
	}
	w := &ward{t: t, Server: newServer(t, &s), issuer: testcloud.NewIssuer(&testcloud.IssuerOptions{Algorithm: alg})}
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
		w.docs.Versioning = "" // it would be switched on
	}
	if change != nil {
		change(w.docs)
	}
	if err := w.Setup(w.docs.JSON(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// token is a fresh one of a tenant's.
func (w *ward) token(tenant string) federation.Token {
	return parse(w.t, w.issuer.Mint(testcloud.Claims{Subject: "agent:" + tenant, Audience: audience}))
}

// source mints a token each time it is asked.
type source struct {
	w      *ward
	tenant string
}

func (s source) Token(context.Context) (federation.Token, error) { return s.w.token(s.tenant), nil }

// config is the bucket as a tenant reaches it, with a token and no key.
func (w *ward) config(tenant string) tencent.Config {
	return tencent.Config{
		Bucket: w.Bucket(), Region: w.Region(), Endpoint: w.URL(),
		Identity: federation.NewProvider(source{w, tenant}, w.exchanger(tenant), nil),
	}
}

func (w *ward) exchanger(tenant string) federation.Exchanger {
	return newExchanger(w.t, w.Server, w.docs.Tenants[tenant].RoleARN)
}

// exchanged are the temporary keys of a tenant.
func (w *ward) exchanged(tenant string) federation.Credentials {
	w.t.Helper()
	c, err := w.exchanger(tenant).Exchange(w.t.Context(), w.token(tenant))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// trusted are the authorities of the servers of all tests, which the clients of this
// process take in place of the system's.
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
	return &tls.CertificateVerificationError{Err: errors.New("the server's certificate is of no authority of these tests")}
}

func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection:   trusted.verify,
	}
	os.Exit(m.Run())
}
