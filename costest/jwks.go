package costest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// claims are the claims of a token that CAM checks.
type claims struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Audiences audiences `json:"aud"`
	Expires   *float64  `json:"exp"`
	NotBefore *float64  `json:"nbf"`
}

// audiences is a string or a list of strings (RFC 7519, section 4.1.3).
type audiences []string

func (a *audiences) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// A verificationKey is a key of an issuer's key set (RFC 7517).
type verificationKey struct {
	Kty, Kid, Use, Alg, Crv string
	N, E, X, Y              string
}

// parseKeys parses a key set, and ignores keys of other kinds.
func parseKeys(jwks []byte) ([]verificationKey, error) {
	var set struct{ Keys []verificationKey }
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, err
	}
	var keys []verificationKey
	for _, k := range set.Keys {
		if _, err := k.public(); err == nil && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no RSA or P-256 key for signatures")
	}
	return keys, nil
}

func (k verificationKey) public() (crypto.PublicKey, error) {
	number := func(s string) (*big.Int, error) {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err == nil && len(b) == 0 {
			err = errors.New("an empty number")
		}
		return new(big.Int).SetBytes(b), err
	}
	switch {
	case k.Kty == "RSA":
		n, err1 := number(k.N)
		e, err2 := number(k.E)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil, errors.New("a weak RSA key")
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case k.Kty == "EC" && k.Crv == "P-256":
		x, err1 := base64.RawURLEncoding.DecodeString(k.X)
		y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	}
	return nil, fmt.Errorf("a key of kind %q", k.Kty)
}

// errNoKey means that the key set does not contain the key of a token.
var errNoKey = errors.New("verification failure")

// verify checks the signature of a token in compact form (RFC 7515) and returns its claims, which
// the caller must check.
func verify(token string, keys []verificationKey, algorithms ...string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("malformed token")
	}
	var header struct {
		Alg, Kid string
		Crit     []string
	}
	raw, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err3 := base64.RawURLEncoding.DecodeString(parts[2])
	if errors.Join(err1, err2, err3, json.Unmarshal(raw, &header)) != nil || len(header.Crit) > 0 {
		return c, errors.New("malformed token")
	}
	known := false
	for _, a := range algorithms {
		known = known || a == header.Alg
	}
	if !known {
		return c, fmt.Errorf("the algorithm %q is not supported", header.Alg)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	tried := false
	for _, k := range keys {
		public, err := k.public()
		if err != nil || header.Kid != "" && k.Kid != "" && k.Kid != header.Kid || k.Alg != "" && k.Alg != header.Alg {
			continue
		}
		tried = true
		good := false
		switch public := public.(type) {
		case *rsa.PublicKey:
			good = header.Alg == "RS256" && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
		case *ecdsa.PublicKey:
			good = header.Alg == "ES256" && len(signature) == 64 &&
				ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}
		if !good {
			continue
		}
		if err := json.Unmarshal(payload, &c); err != nil {
			return claims{}, errors.New("malformed token")
		}
		return c, nil
	}
	if !tried {
		return c, errNoKey
	}
	return c, errors.New("verification failure")
}

// discover fetches the key set of an issuer with OpenID Connect Discovery 1.0.
func discover(ctx context.Context, client *http.Client, issuer string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	raw, err := fetch(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var config struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, err
	}
	if config.Issuer != issuer {
		return nil, fmt.Errorf("the issuer calls itself %q", config.Issuer)
	}
	return fetch(ctx, client, config.Keys)
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}
