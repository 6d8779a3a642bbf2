package tencent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// ErrOptions means that no documents can be made from the options.
var ErrOptions = errors.New("policy options")

const (
	maxRoleName  = 128  // characters, of CAM
	hashedTenant = 24   // hexadecimal digits of a tenant that is too long for a role's name
	maxPolicy    = 6144 // characters of a policy, of CAM (598/10596)
	maxHost      = 60   // of a bucket's host name (436/13312)
	maxRoles     = 1000 // of an account (598/10596)
	maxDays      = 3650 // of a lifecycle (436/8280)
)

var (
	bucketForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*-[1-9][0-9]{4,19}$`)
	regionForm   = regexp.MustCompile(`^[a-z]+-[a-z0-9-]{1,40}$`)
	accountForm  = regexp.MustCompile(`^[1-9][0-9]{4,19}$`)
	roleForm     = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`)
	providerForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	hostForm     = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)
	pathForm     = regexp.MustCompile(`^[A-Za-z0-9/._~%-]*$`)

	// What package vault takes.
	tenantForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	collectionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// complete checks o.
func (o *Options) complete() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...)
	}
	switch host := o.Bucket + ".cos." + o.Region + ".myqcloud.com"; {
	case !bucketForm.MatchString(o.Bucket):
		return bad("bucket %q is not NAME-APPID of a-z 0-9 -, ending in the account's APPID", o.Bucket)
	case !regionForm.MatchString(o.Region):
		return bad("region %q is not one such as ap-guangzhou", o.Region)
	case len(host) > maxHost:
		return bad("the host %s is longer than %d", host, maxHost)
	case !accountForm.MatchString(o.Account):
		return bad("account %q is not the digits of a uin", o.Account)
	case !roleForm.MatchString(o.Role):
		return bad("role %q is not 1–128 of A-Z a-z 0-9 + = , . @ _ -", o.Role)
	case len(o.Role) > maxRoleName-1-hashedTenant:
		return bad("role %q is longer than %d, which leaves no room for the tenant in the role's name", o.Role, maxRoleName-1-hashedTenant)
	case !providerForm.MatchString(o.Provider):
		return bad("provider %q is not 1–128 of A-Z a-z 0-9 _ -", o.Provider)
	case !plainText(o.Audience):
		return bad("the audience is empty, longer than 255 bytes, or holds a space, a control character, a $ or a *")
	case o.Collection != "" && !collectionForm.MatchString(o.Collection):
		return bad("collection %q is not 1–63 of a-z 0-9 - starting with a letter or digit", o.Collection)
	case o.ExpireDays < 0 || o.ExpireDays > maxDays:
		return bad("objects expire after 1 to %d days, or 0 for never", maxDays)
	case o.Versioned && o.ForbidOverwrite:
		return bad("a versioned bucket ignores x-cos-forbid-overwrite: it cannot be forced there")
	case len(o.JWKS) > 0 && !isKeySet(o.JWKS):
		return bad("the key set is no JSON object with keys")
	}
	if err := checkIssuer(o.Issuer); err != nil {
		return bad("issuer %q %w", o.Issuer, err)
	}
	return o.checkTenants(bad)
}

func (o *Options) checkTenants(bad func(string, ...any) error) error {
	if len(o.Tenants) == 0 {
		return bad("each tenant has a role of its own, so it needs at least one tenant and its subject")
	}
	seen, subjects, names := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, t := range o.Tenants {
		switch {
		case !tenantForm.MatchString(t.ID):
			return bad("tenant %q is not 1–128 of a-z 0-9 . _ - starting with a letter or digit", t.ID)
		case seen[t.ID]:
			return bad("tenant %q is there twice", t.ID)
		case t.Subject == "":
			return bad("tenant %q has no subject: every token of the issuer could assume its role", t.ID)
		case !plainText(t.Subject):
			return bad("the subject of tenant %q is longer than 255 bytes, or holds a space, a control character, a $ or a *", t.ID)
		case subjects[t.Subject]:
			return bad("the subject of tenant %q is another tenant's too", t.ID)
		case names[o.roleName(t.ID)]:
			return bad("tenant %q would have the same role as another one", t.ID)
		}
		seen[t.ID], subjects[t.Subject], names[o.roleName(t.ID)] = true, true, true
	}
	return nil
}

// checkIssuer says what is wrong with an issuer, which is compared byte for byte
// with the iss of tokens. Plain http is for a test server on the loopback address.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("is not a URL")
	case u.Scheme == "http" && isLoopback(u):
	case u.Scheme != "https":
		return errors.New("is not https")
	}
	switch {
	case u.User != nil || strings.ContainsAny(issuer, "?#"):
		return errors.New("has a user, a query or a fragment")
	case u.String() != issuer || !pathForm.MatchString(u.EscapedPath()) || len(issuer) > 255:
		return errors.New("is not written plainly: it is compared byte for byte")
	case !hostForm.MatchString(u.Hostname()) && !isLoopback(u):
		return errors.New("has an unusual host")
	}
	return nil
}

// fits compares the policies with what CAM takes.
func (d *Documents) fits() error {
	for _, id := range d.tenantIDs() {
		for what, p := range map[string]*Policy{"trust policy": d.Tenants[id].TrustPolicy, "role policy": d.Tenants[id].RolePolicy} {
			if n := len(p.String()); n > maxPolicy {
				return fmt.Errorf("%w: the %s of tenant %q would have %d characters, and the most is %d", ErrOptions, what, id, n, maxPolicy)
			}
		}
	}
	return nil
}

func isKeySet(data []byte) bool {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	return json.Unmarshal(data, &set) == nil && len(set.Keys) > 0
}

// plainText is text that every service takes as it is. A $ would start a variable, and
// a * is a wildcard somewhere.
func plainText(s string) bool {
	return s != "" && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '$' || r == '*' }) < 0
}

// isLoopback tells the only hosts that are reached without TLS.
func isLoopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}
