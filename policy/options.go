package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/objectvault/objectvault/internal/loopback"
	"github.com/objectvault/objectvault/internal/text"
)

// ErrOptions means that no documents can be generated from the options.
var ErrOptions = errors.New("policy options")

// OptionError returns an error that wraps [ErrOptions].
func OptionError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrOptions, fmt.Errorf(format, args...))
}

// A Tenant is a tenant for whom statements or a role are generated.
type Tenant struct {
	ID      string // as vault.ParseTenant returns it
	Subject string // with a role per tenant: the exact sub of its tokens
}

// TenantDocuments are the generated documents of one tenant.
type TenantDocuments[L Language] struct {
	RoleName    string     `json:"role_name,omitempty"`
	RoleARN     string     `json:"role_arn,omitempty"`
	TrustPolicy *Policy[L] `json:"trust_policy,omitempty"`
	RolePolicy  *Policy[L] `json:"role_policy,omitempty"`
}

var (
	hostForm = text.NewRegexp(`^[A-Za-z0-9.-]+$`)
	pathForm = text.NewRegexp(`^[A-Za-z0-9/._~%-]*$`)

	// The form that package vault accepts.
	tenantForm     = text.NewRegexp(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	collectionForm = text.NewRegexp(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// CheckCollection returns an error unless collection is empty or a valid name of a collection.
func CheckCollection(collection string) error {
	if collection != "" && !collectionForm.MatchString(collection) {
		return OptionError("invalid collection %q: it must have 1 to 63 characters a-z 0-9 - and start with a letter or digit", collection)
	}
	return nil
}

// TenantDigits is the number of hexadecimal digits that replace a tenant in a role's name, if the
// tenant's id is too long for the name.
const TenantDigits = 24

// RoleName returns ROLE-TENANT or, if that is longer than limit, ROLE- and the start of the
// tenant's hash.
func RoleName(role, tenant string, limit int) string {
	if name := role + "-" + tenant; len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(tenant))
	return role + "-" + hex.EncodeToString(sum[:TenantDigits/2])
}

// CheckTenants returns an error if two tenants would be confused with each other. If roles is true,
// each tenant must have its own subject and role name. If roles is false, no tenant may have a
// subject. The parameter forbidden is that of [CheckText].
func CheckTenants(tenants []Tenant, roles bool, forbidden string, roleName func(tenant string) string) error {
	seen, subjects, names := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, t := range tenants {
		switch {
		case !tenantForm.MatchString(t.ID):
			return OptionError("invalid tenant %q: it must have 1 to 128 characters a-z 0-9 . _ - and start with a letter or digit", t.ID)
		case seen[t.ID]:
			return OptionError("tenant %q occurs twice", t.ID)
		case !roles && t.Subject != "":
			return OptionError("tenant %q has a subject, but a subject can be used only if roles isolate tenants", t.ID)
		case roles && t.Subject == "":
			return OptionError("tenant %q has no subject: every token of the issuer could assume its role", t.ID)
		case roles && subjects[t.Subject]:
			return OptionError("tenant %q has the same subject as another tenant", t.ID)
		case roles && names[roleName(t.ID)]:
			return OptionError("tenant %q would have the same role as another tenant", t.ID)
		}
		if roles {
			if err := CheckText(fmt.Sprintf("the subject of tenant %q", t.ID), t.Subject, forbidden); err != nil {
				return err
			}
		}
		seen[t.ID], subjects[t.Subject], names[roleName(t.ID)] = true, true, true
	}
	return nil
}

// CheckText returns an error unless every service accepts text unchanged. The forbidden characters
// have a special meaning in the policy language, such as $, which starts a variable.
func CheckText(what, text, forbidden string) error {
	if text != "" && len(text) <= 255 && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(forbidden, r) }) < 0 {
		return nil
	}
	bad := []string{"a space", "a control character"}
	for _, c := range forbidden {
		bad = append(bad, "a "+string(c))
	}
	return OptionError("%s is empty, longer than 255 bytes, or contains %s", what, oneOf(bad))
}

// CheckIssuer returns an error unless issuer is a URL that can be compared byte for byte
// with the iss of tokens. With local it may have a port, and may be plain http on the
// loopback address.
func CheckIssuer(issuer string, local bool) error {
	u, err := url.Parse(issuer)
	loopback := err == nil && local && loopback.Host(u.Hostname())
	problem := ""
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		problem = "is not a URL"
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback):
		problem = "is not https"
	case u.User != nil || strings.ContainsAny(issuer, "?#"):
		problem = "has a user, a query or a fragment"
	case u.Port() != "" && !local:
		problem = "has a port, which AWS does not accept"
	case u.String() != issuer || !pathForm.MatchString(u.EscapedPath()) || len(issuer) > 255:
		problem = "is not in normal form or is too long: use plain characters without escapes, because the cloud compares it byte for byte"
	case !hostForm.MatchString(u.Hostname()) && !loopback:
		problem = "has an invalid host name"
	default:
		return nil
	}
	return OptionError("issuer %q %s", issuer, problem)
}

// CheckEndpoint returns an error unless endpoint, which is printed in commands, is a URL
// without characters that have a meaning in a shell.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err == nil && u.User == nil && (u.Scheme == "https" || u.Scheme == "http") && !strings.ContainsAny(endpoint, "?#") && u.String() == endpoint {
		a, err := netip.ParseAddr(u.Hostname())
		if (hostForm.MatchString(u.Hostname()) || err == nil && a.Zone() == "") && pathForm.MatchString(u.EscapedPath()) {
			return nil
		}
	}
	return OptionError("invalid endpoint %q: it must be an http or https URL with a host, and optionally a port and a path", endpoint)
}
