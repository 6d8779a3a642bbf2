package aws

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

const (
	maxRoleName     = 64       // of IAM
	maxBucketPolicy = 20 << 10 // bytes, of S3
	maxRolePolicies = 10240    // characters of all inline policies of a role, of IAM
	usualTrust      = 2048     // characters of a trust policy, unless IAM was asked for more
	mostTrust       = 8192
)

// How AWS writes them: the S3 user guide on bucket names, the IAM and STS API
// references on the rest.
var (
	bucketForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	roleForm    = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
	tagForm     = regexp.MustCompile(`^[A-Za-z0-9_.:/=+@-]{1,128}$`)
	thumbForm   = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)
	keyForm     = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	regionForm  = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

// forbidden starts a variable.
const forbidden = "$"

// complete checks o and fills in what was left empty.
func (o *Options) complete() error {
	o.Dialect = cmp.Or(o.Dialect, AWS)
	o.Isolation = cmp.Or(o.Isolation, ByTag)
	o.Grants = cmp.Or(o.Grants, InRole)
	o.Partition = cmp.Or(o.Partition, "aws")
	o.Audience = cmp.Or(o.Audience, DefaultAudience)
	rgw, byRole := o.Dialect == RGW, o.Isolation == ByRole
	if !byRole {
		o.Tag = cmp.Or(o.Tag, DefaultTag)
	}
	switch {
	case o.Dialect != AWS && !rgw:
		return policy.OptionError("the dialect is aws or rgw, not %q", o.Dialect)
	case o.Isolation != ByTag && !byRole:
		return policy.OptionError("isolation is by tag or by role, not by %q", o.Isolation)
	case o.Grants != InRole && o.Grants != InBucket:
		return policy.OptionError("grants are in the role or in the bucket, not in %q", o.Grants)
	case !slices.Contains([]string{"aws", "aws-cn", "aws-us-gov"}, o.Partition):
		return policy.OptionError("the partition is aws, aws-cn or aws-us-gov, not %q", o.Partition)
	case !bucketForm.MatchString(o.Bucket) || strings.Contains(o.Bucket, "..") || isAddress(o.Bucket):
		return policy.OptionError("bucket %q is not 3–63 of a-z 0-9 . - between letters or digits, or looks like an address", o.Bucket)
	case !rgw && !accountForm.MatchString(o.Account):
		return policy.OptionError("account %q is not 12 digits", o.Account)
	case rgw && o.Account != "":
		return policy.OptionError("an RGW has no account in its ARNs")
	case rgw && o.Partition != "aws":
		return policy.OptionError("an RGW has only the partition aws")
	case !roleForm.MatchString(o.Role):
		return policy.OptionError("role %q is not 1–64 of A-Z a-z 0-9 _ + = , . @ -", o.Role)
	case byRole && len(o.Role) > maxRoleName-1-policy.TenantDigits:
		return policy.OptionError("role %q is longer than %d, which leaves no room for the tenant in the role's name", o.Role, maxRoleName-1-policy.TenantDigits)
	case byRole && o.Tag != "":
		return policy.OptionError("a tag means nothing where a role per tenant isolates")
	case byRole && o.Subject != "":
		return policy.OptionError("with a role per tenant each tenant has a subject of its own")
	case !byRole && (!tagForm.MatchString(o.Tag) || strings.HasPrefix(strings.ToLower(o.Tag), "aws:")):
		return policy.OptionError("tag %q is not 1–128 of A-Z a-z 0-9 _ . : / = + @ -, not starting with aws:", o.Tag)
	case o.ExpireDays < 0 || o.ExpireDays > 36500:
		return policy.OptionError("objects expire after 1 to 36500 days, or 0 for never")
	case o.ExpireDays > 0 && o.Collection != "":
		return policy.OptionError("a lifecycle rule cannot pick one collection of each tenant: objects of every collection would expire")
	case o.KMSKey != "" && (rgw || !keyForm.MatchString(o.KMSKey) || strings.Split(o.KMSKey, ":")[1] != o.Partition):
		return policy.OptionError("%q is not the ARN of a KMS key in this partition: arn:%s:kms:REGION:ACCOUNT:key/ID", o.KMSKey, o.Partition)
	case o.Region != "" && !regionForm.MatchString(o.Region):
		return policy.OptionError("region %q is not of a-z 0-9 -", o.Region)
	case o.Endpoint != "" && !rgw:
		return policy.OptionError("an endpoint is for an RGW")
	case o.TLS && !rgw:
		return policy.OptionError("at AWS plain http is always refused")
	case byRole && len(o.Tenants) == 0:
		return policy.OptionError("a role per tenant needs at least one tenant and its subject")
	case rgw && len(o.Tenants) == 0:
		return policy.OptionError("an RGW takes no variable in a resource, so it needs the tenants")
	case !byRole && !rgw && len(o.Tenants) > 0:
		return policy.OptionError("one role with tags serves all tenants: none is named")
	}
	for _, t := range o.Thumbprints {
		if !thumbForm.MatchString(t) {
			return policy.OptionError("thumbprint %q is not 40 hexadecimal digits", t)
		}
	}
	var endpoint, subject error
	if o.Endpoint != "" {
		endpoint = policy.CheckEndpoint(o.Endpoint)
	}
	if o.Subject != "" {
		subject = policy.CheckText("the subject", o.Subject, forbidden)
	}
	return cmp.Or(
		policy.CheckText("the audience", o.Audience, forbidden), subject, policy.CheckCollection(o.Collection),
		policy.CheckIssuer(o.Issuer, rgw), endpoint, policy.CheckTenants(o.Tenants, byRole, forbidden, o.roleName),
	)
}

// fits checks the documents against the limits of IAM and S3.
func (d *Documents) fits() error {
	if d.o.Dialect == RGW {
		return nil
	}
	var err error
	check := func(what string, p *Policy, most int) {
		if n := len(p.String()); n > most && err == nil {
			err = fmt.Errorf("%w: the %s would have %d bytes, and the most is %d", policy.ErrOptions, what, n, most)
		}
	}
	check("trust policy", d.TrustPolicy, mostTrust)
	check("role policy", d.RolePolicy, maxRolePolicies)
	check("bucket policy", d.BucketPolicy, maxBucketPolicy)
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		check("trust policy", d.Tenants[id].TrustPolicy, mostTrust)
		check("role policy", d.Tenants[id].RolePolicy, maxRolePolicies)
	}
	return err
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
