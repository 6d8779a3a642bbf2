package tencent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/objectvault/objectvault/policy"
)

const (
	maxRoleName = 128  // characters, of CAM
	maxPolicy   = 6144 // characters of a policy, of CAM (598/10596)
	maxHost     = 60   // of a bucket's host name (436/13312)
	maxRoles    = 1000 // of an account (598/10596)
	maxDays     = 3650 // of a lifecycle (436/8280)
)

var (
	bucketForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*-[1-9][0-9]{4,19}$`)
	regionForm   = regexp.MustCompile(`^[a-z]+-[a-z0-9-]{1,40}$`)
	accountForm  = regexp.MustCompile(`^[1-9][0-9]{4,19}$`)
	roleForm     = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`)
	providerForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

// forbidden start a variable, and are a wildcard in some conditions.
const forbidden = "$*"

// complete checks o.
func (o *Options) complete() error {
	switch host := o.Bucket + ".cos." + o.Region + ".myqcloud.com"; {
	case !bucketForm.MatchString(o.Bucket):
		return policy.OptionError("bucket %q is not NAME-APPID of a-z 0-9 -, ending in the account's APPID", o.Bucket)
	case !regionForm.MatchString(o.Region):
		return policy.OptionError("region %q is not one such as ap-guangzhou", o.Region)
	case len(host) > maxHost:
		return policy.OptionError("the host %s is longer than %d", host, maxHost)
	case !accountForm.MatchString(o.Account):
		return policy.OptionError("account %q is not the digits of a uin", o.Account)
	case !roleForm.MatchString(o.Role):
		return policy.OptionError("role %q is not 1–128 of A-Z a-z 0-9 + = , . @ _ -", o.Role)
	case len(o.Role) > maxRoleName-1-policy.TenantDigits:
		return policy.OptionError("role %q is longer than %d, which leaves no room for the tenant in the role's name", o.Role, maxRoleName-1-policy.TenantDigits)
	case !providerForm.MatchString(o.Provider):
		return policy.OptionError("provider %q is not 1–128 of A-Z a-z 0-9 _ -", o.Provider)
	case o.ExpireDays < 0 || o.ExpireDays > maxDays:
		return policy.OptionError("objects expire after 1 to %d days, or 0 for never", maxDays)
	case o.Versioned && o.ForbidOverwrite:
		return policy.OptionError("a versioned bucket ignores x-cos-forbid-overwrite: it cannot be forced there")
	case len(o.JWKS) > 0 && !isKeySet(o.JWKS):
		return policy.OptionError("the key set is no JSON object with keys")
	case len(o.Tenants) == 0:
		return policy.OptionError("each tenant has a role of its own, so it needs at least one tenant and its subject")
	}
	return cmp.Or(
		policy.CheckText("the audience", o.Audience, forbidden), policy.CheckCollection(o.Collection),
		policy.CheckIssuer(o.Issuer, true), policy.CheckTenants(o.Tenants, true, forbidden, o.roleName),
	)
}

// fits checks the policies against the limits of CAM.
func (d *Documents) fits() error {
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		for what, p := range map[string]*Policy{"trust policy": d.Tenants[id].TrustPolicy, "role policy": d.Tenants[id].RolePolicy} {
			if n := len(p.String()); n > maxPolicy {
				return fmt.Errorf("%w: the %s of tenant %q would have %d characters, and the most is %d", policy.ErrOptions, what, id, n, maxPolicy)
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
