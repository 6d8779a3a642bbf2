package costest

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Setup applies the output of "vault policy tencent" for the bucket of the options. It makes the calls of
// CAM and COS in that output. If an oidc_provider has no IdentityKey, Setup gets the keys by discovery
// with client. If client is nil, it uses a default client.
func (s *Server) Setup(printed []byte, client *http.Client) error {
	var doc struct {
		OIDCProvider struct {
			Name, IdentityURL, IdentityKey string
			ClientID                       []string
			AutoRotateKey                  int
		} `json:"oidc_provider"`
		Tenants map[string]struct {
			RoleName    string          `json:"role_name"`
			TrustPolicy json.RawMessage `json:"trust_policy"`
			RolePolicy  json.RawMessage `json:"role_policy"`
		} `json:"tenants"`
		Lifecycle       string `json:"lifecycle"`
		Versioning      string `json:"versioning"`
		StrictSignature string `json:"strict_signature"`
	}
	if err := json.Unmarshal(printed, &doc); err != nil {
		return fmt.Errorf("costest: %w", err)
	}
	keys, err := base64.StdEncoding.DecodeString(doc.OIDCProvider.IdentityKey)
	if err != nil {
		return fmt.Errorf("costest: IdentityKey: %w", err)
	}
	p := doc.OIDCProvider
	if err := s.AddProvider(Provider{Name: p.Name, Issuer: p.IdentityURL, Audiences: p.ClientID, JWKS: keys, Client: client}); err != nil {
		return err
	}
	for id, t := range doc.Tenants {
		trust, policy := new(bytes.Buffer), new(bytes.Buffer)
		if err := json.Compact(trust, t.TrustPolicy); err != nil {
			return fmt.Errorf("costest: tenant %s: %w", id, err)
		}
		if err := json.Compact(policy, t.RolePolicy); err != nil {
			return fmt.Errorf("costest: tenant %s: %w", id, err)
		}
		if _, err := s.AddRole(t.RoleName, trust.String(), policy.String()); err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
	}
	for _, part := range []struct{ query, body string }{{"versioning", doc.Versioning}, {"lifecycle", doc.Lifecycle}, {"strict-signature", doc.StrictSignature}} {
		if part.body == "" {
			continue
		}
		if err := s.putBucketSetting(part.query, part.body); err != nil {
			return fmt.Errorf("costest: %s: %w", part.query, err)
		}
	}
	return nil
}

// putBucketSetting sends a bucket call, signed by the owner.
func (s *Server) putBucketSetting(query, body string) error {
	req, err := http.NewRequest(http.MethodPut, s.BucketURL(s.o.Bucket)+"/?"+query, strings.NewReader(body))
	if err != nil {
		return err
	}
	sum := md5.Sum([]byte(body))
	req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	req.Header.Set("Content-Type", "application/xml")
	now := s.o.Now().Unix()
	keyTime := fmt.Sprintf("%d;%d", now-60, now+600)
	headers := []string{"content-md5", "content-type", "host"}
	req.Host = req.URL.Host
	g := &signature{keyTime: keyTime, headers: headers, params: []string{query}}
	q, err := parseQuery(query)
	if err != nil {
		return err
	}
	format, ok := g.formatString(http.MethodPut, "/", signedHeader(req), q, false)
	if !ok || !slices.IsSorted(headers) {
		panic("costest: an own request cannot be signed")
	}
	req.Header.Set("Authorization", fmt.Sprintf("q-sign-algorithm=sha1&q-ak=%s&q-sign-time=%s&q-key-time=%s&q-header-list=%s&q-url-param-list=%s&q-signature=%s",
		s.o.SecretID, keyTime, keyTime, strings.Join(headers, ";"), query, sign(s.o.SecretKey, keyTime, stringToSign(keyTime, format))))
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}
