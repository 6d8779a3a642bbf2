package tencent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/policy"
)

const (
	maxRoleName = 128  // characters; a limit of CAM
	maxPolicy   = 6144 // characters of a policy; a limit of CAM (598/10596)
	maxHost     = 60   // characters of a bucket's host name (436/13312)
	maxRoles    = 1000 // roles of an account (598/10596)
	maxDays     = 3650 // days of a lifecycle rule (436/8280)
)

var (
	bucketForm   = text.NewRegexp(`^[a-z0-9][a-z0-9-]*-[1-9][0-9]{4,19}$`)
	regionForm   = text.NewRegexp(`^[a-z]+-[a-z0-9-]{1,40}$`)
	accountForm  = text.NewRegexp(`^[1-9][0-9]{4,19}$`)
	roleForm     = text.NewRegexp(`^[A-Za-z0-9+=,.@_-]{1,128}$`)
	keyForm      = text.NewRegexp(`^qcs::kms:[a-z]+-[a-z0-9-]+:uin/[1-9][0-9]+:key/creatorUin/[1-9][0-9]+/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	providerForm = text.NewRegexp(`^[A-Za-z0-9_-]{1,128}$`)
)

// forbidden contains $, which starts a variable, and *, which is a wildcard in some conditions.
const forbidden = "$*"

// complete checks o.
func (o *Options) complete() error {
	switch host := o.Bucket + ".cos." + o.Region + ".myqcloud.com"; {
	case !bucketForm.MatchString(o.Bucket):
		return policy.OptionError("invalid bucket name %q: it must have the form NAME-APPID, where NAME has characters a-z 0-9 - and APPID is the number of the account", o.Bucket)
	case !regionForm.MatchString(o.Region):
		return policy.OptionError("invalid region %q: it must have a form such as ap-guangzhou", o.Region)
	case len(host) > maxHost:
		return policy.OptionError("the host name %s is too long: it may have at most %d characters", host, maxHost)
	case !accountForm.MatchString(o.Account):
		return policy.OptionError("invalid account %q: it must be a UIN, which has only digits", o.Account)
	case !roleForm.MatchString(o.Role):
		return policy.OptionError("invalid role name %q: it must have 1 to 128 characters A-Z a-z 0-9 + = , . @ _ -", o.Role)
	case len(o.Role) > maxRoleName-1-policy.TenantDigits:
		return policy.OptionError("the role name %q is too long: it may have at most %d characters, because the tenant is appended to it", o.Role, maxRoleName-1-policy.TenantDigits)
	case !providerForm.MatchString(o.Provider):
		return policy.OptionError("invalid provider name %q: it must have 1 to 128 characters A-Z a-z 0-9 _ -", o.Provider)
	case o.KMSKey != "" && !isKeyResource(o.keyResource()):
		return policy.OptionError("%q is not a KMS key: it must be the id of a key, such as 93866e69-9755-11ef-8e65-52540089bc41, or have the form qcs::kms:REGION:uin/UIN:key/creatorUin/UIN/ID", o.KMSKey)
	case o.ExpireDays < 0 || o.ExpireDays > maxDays:
		return policy.OptionError("the number of days until objects expire must be 1 to %d, or 0 for never", maxDays)
	case o.Versioned && o.ForbidOverwrite:
		return policy.OptionError("forbidding overwrites cannot be combined with versioning: a versioned bucket ignores x-cos-forbid-overwrite")
	case len(o.JWKS) > 0 && !isKeySet(o.JWKS):
		return policy.OptionError("the key set must be a JSON object with a list of keys")
	case len(o.Tenants) == 0:
		return policy.OptionError("name at least one tenant and its subject, because each tenant gets its own role")
	}
	return cmp.Or(
		o.checkAudit(), policy.CheckText("the audience", o.Audience, forbidden), policy.CheckCollection(o.Collection),
		policy.CheckIssuer(o.Issuer, true), policy.CheckTenants(o.Tenants, true, forbidden, o.roleName),
	)
}

// fits checks the policies against the limits of CAM.
func (d *Documents) fits() error {
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		for what, p := range map[string]*Policy{"trust policy": d.Tenants[id].TrustPolicy, "role policy": d.Tenants[id].RolePolicy} {
			if n := len(p.String()); n > maxPolicy {
				return fmt.Errorf("%w: the %s of tenant %q would have %d characters, but the limit is %d characters", policy.ErrOptions, what, id, n, maxPolicy)
			}
		}
	}
	return nil
}

// isKeyResource reports whether r is the resource of one KMS key.
func isKeyResource(r string) bool { return keyForm.MatchString(r) }

func isKeySet(data []byte) bool {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	return json.Unmarshal(data, &set) == nil && len(set.Keys) > 0
}
