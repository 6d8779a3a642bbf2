package testcloud

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An Issuer is an OpenID Connect issuer on a loopback port, with discovery and one key (RFC 7517,
// with the x5c that Ceph requires). It issues tokens with any claims that a test needs. With
// sessions, it also mints tokens as the broker of agentKeys does. The caller must call Close.
type Issuer struct {
	URL  string // http://127.0.0.1:port
	Name string // the iss of its tokens; the default is URL

	alg         jose.SignatureAlgorithm
	key, forged crypto.Signer // forged is not in the published key set
	cert        *x509.Certificate
	now         func() time.Time
	sessions    map[string]Claims
	server      *http.Server
}

// IssuerOptions configures [NewIssuer]. Nil, or the zero value, is ready to use.
type IssuerOptions struct {
	Algorithm string           // ES256, the default, or RS256
	Now       func() time.Time // nil means [time.Now]

	// Name is the iss of the tokens; "" means the URL of the issuer. AWS accepts only https URLs
	// without a port. A server that trusts this issuer must be configured with the URL of its keys,
	// or must be able to resolve the name.
	Name string

	// Sessions maps session tokens to the claims that the broker mints for them. The response to
	// POST /v1/mint-oidc-jwt with "Authorization: Bearer TOKEN" is {"jwt","wallet","expiration"},
	// with the expiration in seconds since 1970. For any other token it is 401.
	Sessions map[string]Claims
}

// jwksPath is the path of the published keys of an issuer.
const jwksPath = "/.well-known/jwks.json"

// keyID is the kid of every issuer. It is always the same, so a server that trusts the kid alone
// fails the tests.
const keyID = "key-1"

// NewIssuer starts an issuer. Like [net/http/httptest.NewServer], it panics if it cannot listen on
// the loopback interface.
func NewIssuer(o *IssuerOptions) *Issuer {
	if o == nil {
		o = new(IssuerOptions)
	}
	i := &Issuer{alg: jose.SignatureAlgorithm(o.Algorithm), now: o.Now, sessions: o.Sessions}
	if i.alg == "" {
		i.alg = jose.ES256
	}
	if i.now == nil {
		i.now = time.Now
	}
	i.key, i.forged = newSigningKey(i.alg), newSigningKey(i.alg)
	i.cert = selfSigned(i.key)
	i.server, i.URL = serve(i)
	i.Name = cmp.Or(o.Name, i.URL)
	return i
}

// Close stops the issuer. Because Ceph reads the keys at each exchange, it rejects all later
// tokens.
func (i *Issuer) Close() error { return i.server.Close() }

// Thumbprint returns the SHA-1 of the certificate in hexadecimal, as CreateOpenIDConnectProvider
// requires.
func (i *Issuer) Thumbprint() string {
	sum := sha1.Sum(i.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// ServeHTTP serves discovery, the key set and the broker.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /.well-known/openid-configuration":
		reply(w, http.StatusOK, map[string]any{
			"issuer":                                i.Name,
			"jwks_uri":                              i.URL + jwksPath,
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{string(i.alg)},
		})
	case "GET " + jwksPath:
		reply(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
			Key: i.key.Public(), KeyID: keyID, Algorithm: string(i.alg), Use: "sig", Certificates: []*x509.Certificate{i.cert},
		}}})
	case "POST /v1/mint-oidc-jwt":
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, ok := i.sessions[token]
		if !ok {
			reply(w, http.StatusUnauthorized, map[string]any{"error": "unauthorized", "message": "no such session"})
			return
		}
		c := claims.filled(i)
		reply(w, http.StatusOK, map[string]any{"jwt": i.Mint(c), "wallet": c.Tags[WalletTag], "expiration": c.Expires.Unix()})
	default:
		http.NotFound(w, r)
	}
}

// Mint returns a valid token with the given claims.
func (i *Issuer) Mint(c Claims) string {
	return sign(i.alg, i.key, c.filled(i).encode())
}

// MintForged returns the same token as [Issuer.Mint], but signed by a key that the issuer does not
// publish, with the kid of the published key.
func (i *Issuer) MintForged(c Claims) string {
	return sign(i.alg, i.forged, c.filled(i).encode())
}

// MintUnsigned returns a token with alg none and no signature.
func (i *Issuer) MintUnsigned(c Claims) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","kid":"`+keyID+`","typ":"JWT"}`)) + "." + encode(c.filled(i).encode()) + "."
}

// MintExpired returns a correctly signed token that expired a minute ago.
func (i *Issuer) MintExpired(c Claims) string {
	now := i.now()
	c.IssuedAt, c.NotBefore, c.Expires = now.Add(-10*time.Minute), now.Add(-10*time.Minute), now.Add(-time.Minute)
	return i.Mint(c)
}

// TokenFile writes a token to a new file with mode 0600 in dir and returns its path.
func (i *Issuer) TokenFile(dir string, c Claims) (path string, err error) {
	path = filepath.Join(dir, "token-"+rand.Text()[:8])
	return path, os.WriteFile(path, []byte(i.Mint(c)+"\n"), 0o600)
}

// Tamper returns the token with changed claims and the old signature.
func Tamper(token string, change func(claims map[string]any)) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		panic("testcloud: a token of other than three parts")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	var claims map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		panic("testcloud: " + err.Error())
	}
	change(claims)
	parts[1] = base64.RawURLEncoding.EncodeToString(marshal(claims))
	return strings.Join(parts, ".")
}

func sign(alg jose.SignatureAlgorithm, key crypto.Signer, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	token, err := signer.Sign(payload)
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	text, err := token.CompactSerialize()
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	return text
}

func newSigningKey(alg jose.SignatureAlgorithm) crypto.Signer {
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.RS256:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("algorithm %q must be ES256 or RS256", alg)
	}
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	return key
}

func selfSigned(key crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testcloud issuer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	return cert
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(marshal(v))
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	return b
}

// serve starts a server for h on a loopback port.
func serve(h http.Handler) (*http.Server, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	server := &http.Server{Handler: h, ErrorLog: quiet}
	go server.Serve(l)
	return server, "http://" + l.Addr().String()
}
