package costest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Provider is an OIDC issuer that roles can trust.
type Provider struct {
	Name      string   // the provider ID in STS
	Issuer    string   // the exact iss of its tokens
	Audiences []string // the accepted audiences
	// JWKS is the key set. If it is empty, discovery gets it when the first token arrives.
	JWKS []byte
	// Client fetches key sets. Nil means a new client with a timeout of ten seconds.
	Client *http.Client
}

type provider struct {
	Provider
	description string
	rotate      bool // CAM fetches new keys when they change
	keys        []verificationKey
}

// AddProvider creates an OIDC provider, like CreateOIDCConfig.
func (s *Server) AddProvider(p Provider) error {
	if err := s.access.createProvider(&provider{Provider: p, rotate: true}); err != nil {
		return fmt.Errorf("costest: %w", err)
	}
	return nil
}

// ProviderARN returns the name of a provider in a trust policy.
func (s *Server) ProviderARN(name string) string {
	return "qcs::cam::uin/" + s.o.OwnerUin + ":oidc-provider/" + name
}

func (a *access) createProvider(p *provider) error {
	if !providerName.MatchString(p.Name) || len(p.Audiences) == 0 {
		return refuse("InvalidParameter.ParamError", "Name or ClientId is missing or malformed.")
	}
	if !strings.HasPrefix(p.Issuer, "https://") && !strings.HasPrefix(p.Issuer, "http://127.0.0.1") && !strings.HasPrefix(p.Issuer, "http://localhost") {
		return refuse("InvalidParameterValue.IdentityUrlError", "IdentityUrl must be https.")
	}
	if len(p.JWKS) > 0 {
		keys, err := parseKeys(p.JWKS)
		if err != nil {
			return refuse("InvalidParameterValue.IdentityKeyError", "IdentityKey: %v.", err)
		}
		p.keys = keys
	}
	if p.Client == nil {
		p.Client = &http.Client{Timeout: 10 * time.Second}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.providers[p.Name] != nil {
		return refuse("InvalidParameter.IdentityNameInUse", "The name %s is in use.", p.Name)
	}
	a.providers[p.Name] = p
	return nil
}

func (a *access) putOIDCConfig(c *call) (map[string]any, error) {
	var in struct {
		IdentityURL   string   `json:"IdentityUrl"`
		ClientID      []string `json:"ClientId"`
		Name          string
		IdentityKey   string
		Description   string
		AutoRotateKey *int
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.AutoRotateKey != nil && a.s.unsure("rotate-key") == "unknown" {
		return nil, refuse("UnknownParameter", "The parameter AutoRotateKey is not recognized.")
	}
	jwks, err := base64.StdEncoding.DecodeString(in.IdentityKey)
	if err != nil || len(jwks) == 0 {
		return nil, refuse("InvalidParameterValue.IdentityKeyError", "IdentityKey is missing, or not base64.")
	}
	p := &provider{
		Provider:    Provider{Name: in.Name, Issuer: in.IdentityURL, Audiences: in.ClientID, JWKS: jwks},
		description: in.Description, rotate: in.AutoRotateKey != nil && *in.AutoRotateKey == 1,
	}
	if c.action == "CreateOIDCConfig" {
		return nil, a.createProvider(p)
	}
	a.mu.Lock()
	old := a.providers[in.Name]
	delete(a.providers, in.Name)
	a.mu.Unlock()
	if old == nil {
		return nil, errNoIdentity
	}
	p.Client = old.Client
	if in.AutoRotateKey == nil {
		p.rotate = old.rotate
	}
	err = a.createProvider(p)
	if err != nil {
		a.mu.Lock()
		a.providers[in.Name] = old
		a.mu.Unlock()
	}
	return nil, err
}

var errNoIdentity = refuse("ResourceNotFound.IdentityNotExist", "The identity provider does not exist.")

type byName struct{ Name string }

func (a *access) describeOIDCConfig(c *call) (map[string]any, error) {
	var in byName
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.providers[in.Name]
	if p == nil {
		return nil, errNoIdentity
	}
	rotate := 0
	if p.rotate {
		rotate = 1
	}
	return map[string]any{
		"ProviderType": 11, "IdentityUrl": p.Issuer, "IdentityKey": base64.StdEncoding.EncodeToString(p.JWKS), "ClientId": p.Audiences,
		"Status": 11, "Description": p.description, "Name": p.Name, "AutoRotateKey": rotate,
	}, nil
}

func (a *access) deleteOIDCConfig(c *call) (map[string]any, error) {
	var in byName
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.providers[in.Name] == nil {
		return nil, errNoIdentity
	}
	delete(a.providers, in.Name)
	return nil, nil
}

// claimsOf verifies a token in the same way as CAM does for one of its providers.
func (a *access) claimsOf(ctx context.Context, providerName, token string) (claims, string, error) {
	bad := func(reason string) (claims, string, error) {
		return claims{}, "", refuse("InvalidParameter.WebIdentityTokenError", "WebIdentityToken error. | id token error | %s", reason)
	}
	a.mu.Lock()
	p := a.providers[providerName]
	var keys []verificationKey
	if p != nil {
		keys = p.keys
	}
	a.mu.Unlock()
	if p == nil {
		return bad("Unknown provider")
	}
	algorithms := []string{"RS256", "ES256"}
	if a.s.unsure("token-algorithm") == "refuse" {
		algorithms = algorithms[:1]
	}
	c, err := verify(token, keys, algorithms...)
	if errors.Is(err, errNoKey) && p.rotate { // only an unknown key is a reason to fetch the key set again, not a bad signature
		var jwks []byte
		if jwks, err = discover(ctx, p.Client, p.Issuer); err == nil {
			if keys, err = parseKeys(jwks); err == nil {
				a.mu.Lock()
				p.keys = keys
				a.mu.Unlock()
				c, err = verify(token, keys, algorithms...)
			}
		}
	}
	if err != nil {
		return bad(err.Error())
	}
	now := float64(a.s.o.Now().UnixNano()) / 1e9
	switch {
	case c.Expires == nil || *c.Expires <= now:
		return bad("Expired token")
	case c.NotBefore != nil && *c.NotBefore > now:
		return bad("Token used before issued")
	case c.Issuer != p.Issuer:
		return bad("Issuer mismatch")
	}
	for _, audience := range c.Audiences {
		if slices.Contains(p.Audiences, audience) {
			return c, audience, nil
		}
	}
	return bad("Audience mismatch")
}
