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

// An Issuer is an OpenID Connect issuer on a loopback port, with discovery and one key
// (RFC 7517, with x5c, which Ceph wants), for tokens with claims as the test likes
// them. With sessions it also mints like the broker of agentKeys. Close must be called.
type Issuer struct {
	URL  string // http://127.0.0.1:port
	Name string // the iss of its tokens: URL, unless the options say another

	alg         jose.SignatureAlgorithm
	key, forged crypto.Signer // forged is in no key set
	cert        *x509.Certificate
	now         func() time.Time
	sessions    map[string]Claims
	server      *http.Server
}

// IssuerOptions configures [NewIssuer]. Nil, or the zero value, is ready to use.
type IssuerOptions struct {
	Algorithm string           // ES256, the default, or RS256
	Now       func() time.Time // nil means [time.Now]

	// Name is the iss of its tokens: AWS takes https URLs without a port alone. A server that
	// trusts the issuer must be told where its keys are, or be able to resolve the name. ""
	// means the URL where the issuer listens.
	Name string

	// Sessions says what the broker mints for a session token: POST /v1/mint-oidc-jwt
	// with "Authorization: Bearer TOKEN" answers {"jwt","wallet","expiration"}, the last
	// in seconds since 1970; any other token is 401.
	Sessions map[string]Claims
}

// jwksPath is where the keys of an issuer are.
const jwksPath = "/.well-known/jwks.json"

// keyID is the kid of every issuer: that they are the same proves that no server trusts it alone.
const keyID = "key-1"

// NewIssuer starts an issuer. Like [net/http/httptest.NewServer] it panics if there
// is no loopback.
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

// Close ends the issuer: Ceph reads its keys at each exchange and refuses from then on.
func (i *Issuer) Close() error { return i.server.Close() }

// Thumbprint is the SHA-1 of the certificate, in hex, as CreateOpenIDConnectProvider wants it.
func (i *Issuer) Thumbprint() string {
	sum := sha1.Sum(i.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// ServeHTTP is the issuer's web site.
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

// Mint returns a token that is right in everything that c leaves open.
func (i *Issuer) Mint(c Claims) string {
	return sign(i.alg, i.key, c.filled(i).encode())
}

// MintForged returns the token that [Issuer.Mint] returns, signed by a key that the
// issuer does not publish, under the name of the one that it does.
func (i *Issuer) MintForged(c Claims) string {
	return sign(i.alg, i.forged, c.filled(i).encode())
}

// MintUnsigned returns a token with alg none and no signature.
func (i *Issuer) MintUnsigned(c Claims) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","kid":"`+keyID+`","typ":"JWT"}`)) + "." + encode(c.filled(i).encode()) + "."
}

// MintExpired returns a well signed token that was valid until a minute ago.
func (i *Issuer) MintExpired(c Claims) string {
	now := i.now()
	c.IssuedAt, c.NotBefore, c.Expires = now.Add(-10*time.Minute), now.Add(-10*time.Minute), now.Add(-time.Minute)
	return i.Mint(c)
}

// TokenFile writes a token to a new file of mode 0600 in dir and returns its path.
func (i *Issuer) TokenFile(dir string, c Claims) (path string, err error) {
	path = filepath.Join(dir, "token-"+rand.Text()[:8])
	return path, os.WriteFile(path, []byte(i.Mint(c)+"\n"), 0o600)
}

// Tamper returns token with its claims changed and its old signature.
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
		err = fmt.Errorf("algorithm %q: ES256 and RS256 are known", alg)
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

// serve answers with h on a loopback port of its own.
func serve(h http.Handler) (*http.Server, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	server := &http.Server{Handler: h, ErrorLog: quiet}
	go server.Serve(l)
	return server, "http://" + l.Addr().String()
}
