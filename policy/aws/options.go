package aws

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/policy"
)

const (
	maxRoleName     = 64       // characters; a limit of IAM
	maxBucketPolicy = 20 << 10 // bytes; a limit of S3
	maxRolePolicies = 10240    // characters of all inline policies of a role; a limit of IAM
	usualTrust      = 2048     // characters of a trust policy; the default quota of IAM
	mostTrust       = 8192     // characters of a trust policy; the highest quota of IAM
)

// The forms that AWS documents: for bucket names in the S3 user guide, for the other names in the
// IAM and STS API references.
var (
	bucketForm  = text.NewRegexp(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	accountForm = text.NewRegexp(`^[0-9]{12}$`)
	roleForm    = text.NewRegexp(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
	tagForm     = text.NewRegexp(`^[A-Za-z0-9_.:/=+@-]{1,128}$`)
	thumbForm   = text.NewRegexp(`^[0-9A-Fa-f]{40}$`)
	keyForm     = text.NewRegexp(`^arn:(aws|aws-cn|aws-us-gov):kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	regionForm  = text.NewRegexp(`^[a-z0-9-]{1,40}$`)
)

// forbidden starts a variable.
const forbidden = "$"

// complete checks o and sets the defaults of empty fields.
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
		return policy.OptionError("the dialect must be aws or rgw, not %q", o.Dialect)
	case o.Isolation != ByTag && !byRole:
		return policy.OptionError("the isolation must be tag or role, not %q", o.Isolation)
	case o.Grants != InRole && o.Grants != InBucket:
		return policy.OptionError("the grants must be in the role or in the bucket, not in %q", o.Grants)
	case !slices.Contains([]string{"aws", "aws-cn", "aws-us-gov"}, o.Partition):
		return policy.OptionError("the partition must be aws, aws-cn or aws-us-gov, not %q", o.Partition)
	case !isBucketName(o.Bucket):
		return policy.OptionError("invalid bucket name %q: it must have 3 to 63 characters a-z 0-9 . -, start and end with a letter or digit, and must not look like an IP address", o.Bucket)
	case !rgw && !accountForm.MatchString(o.Account):
		return policy.OptionError("invalid account %q: it must have 12 digits", o.Account)
	case rgw && o.Account != "":
		return policy.OptionError("an account cannot be used for an RGW, because its ARNs contain no account")
	case rgw && o.Partition != "aws":
		return policy.OptionError("the partition must be aws for an RGW")
	case !roleForm.MatchString(o.Role):
		return policy.OptionError("invalid role name %q: it must have 1 to 64 characters A-Z a-z 0-9 _ + = , . @ -", o.Role)
	case byRole && len(o.Role) > maxRoleName-1-policy.TenantDigits:
		return policy.OptionError("the role name %q is too long: it may have at most %d characters, because the tenant is appended to it", o.Role, maxRoleName-1-policy.TenantDigits)
	case byRole && o.Tag != "":
		return policy.OptionError("a tag cannot be used if roles isolate tenants")
	case byRole && o.Subject != "":
		return policy.OptionError("one subject cannot be used if roles isolate tenants: give each tenant its own subject")
	case !byRole && (!tagForm.MatchString(o.Tag) || strings.HasPrefix(strings.ToLower(o.Tag), "aws:")):
		return policy.OptionError("invalid tag %q: it must have 1 to 128 characters A-Z a-z 0-9 _ . : / = + @ -, and must not start with aws:", o.Tag)
	case o.ExpireDays < 0 || o.ExpireDays > 36500:
		return policy.OptionError("the number of days until objects expire must be 1 to 36500, or 0 for never")
	case o.ExpireDays > 0 && o.Collection != "":
		return policy.OptionError("an expiry cannot be combined with a collection, because a lifecycle rule would apply to all collections")
	case o.KMSKey != "" && !o.isKey(o.KMSKey), o.BucketKey != "" && !o.isKey(o.BucketKey):
		key := o.KMSKey
		if key == "" || o.isKey(key) {
			key = o.BucketKey
		}
		return policy.OptionError("%q is not the ARN of a KMS key in this partition: it must have the form arn:%s:kms:REGION:ACCOUNT:key/ID", key, o.Partition)
	case o.Region != "" && !regionForm.MatchString(o.Region):
		return policy.OptionError("invalid region %q: it must have at most 40 characters a-z 0-9 -", o.Region)
	case o.Endpoint != "" && !rgw:
		return policy.OptionError("an endpoint can be used only with the dialect rgw")
	case o.TLS && !rgw:
		return policy.OptionError("the option TLS can be used only with the dialect rgw: the policies for AWS always deny plain http")
	case byRole && len(o.Tenants) == 0:
		return policy.OptionError("name at least one tenant and its subject, because each tenant gets its own role")
	case rgw && len(o.Tenants) == 0:
		return policy.OptionError("name each tenant, because an RGW does not support variables in a resource")
	case !byRole && !rgw && len(o.Tenants) > 0:
		return policy.OptionError("do not name tenants, because one role with session tags is used for all of them")
	}
	if err := o.checkAudit(); err != nil {
		return err
	}
	for _, t := range o.Thumbprints {
		if !thumbForm.MatchString(t) {
			return policy.OptionError("invalid thumbprint %q: it must have 40 hexadecimal digits", t)
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

// isKey reports whether arn is the ARN of a KMS key that the role can use. An RGW has no such keys.
func (o *Options) isKey(arn string) bool {
	return o.Dialect != RGW && keyForm.MatchString(arn) && strings.Split(arn, ":")[1] == o.Partition
}

// fits checks the documents against the limits of IAM and S3.
func (d *Documents) fits() error {
	if d.o.Dialect == RGW {
		return nil
	}
	var err error
	check := func(what string, p *Policy, most int) {
		if n := len(p.String()); n > most && err == nil {
			err = fmt.Errorf("%w: the %s would have %d bytes, but the limit is %d bytes", policy.ErrOptions, what, n, most)
		}
	}
	check("trust policy", d.TrustPolicy, mostTrust)
	check("role policy", d.RolePolicy, maxRolePolicies)
	check("bucket policy", d.BucketPolicy, maxBucketPolicy)
	if d.Audit != nil {
		check("policy of the audit bucket", d.Audit.BucketPolicy, maxBucketPolicy)
	}
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		check("trust policy", d.Tenants[id].TrustPolicy, mostTrust)
		check("role policy", d.Tenants[id].RolePolicy, maxRolePolicies)
	}
	return err
}

func isBucketName(s string) bool {
	return bucketForm.MatchString(s) && !strings.Contains(s, "..") && !isAddress(s)
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
