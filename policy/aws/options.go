package aws

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ErrOptions means that no documents can be made from the options.
var ErrOptions = errors.New("policy options")

const (
	maxRoleName  = 64 // of IAM
	hashedTenant = 24 // hexadecimal digits of a tenant that is too long for a role's name

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
	hostForm    = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)
	pathForm    = regexp.MustCompile(`^[A-Za-z0-9/._~%-]*$`)

	// What package vault takes.
	tenantForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	collectionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// complete checks o and fills in what was left empty.
func (o *Options) complete() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...)
	}
	o.Dialect = or(o.Dialect, AWS)
	o.Isolation = or(o.Isolation, ByTag)
	o.Grants = or(o.Grants, InRole)
	o.Partition = or(o.Partition, "aws")
	o.Audience = or(o.Audience, DefaultAudience)
	rgw, byRole := o.Dialect == RGW, o.Isolation == ByRole
	if !byRole {
		o.Tag = or(o.Tag, DefaultTag)
	}
	switch {
	case o.Dialect != AWS && !rgw:
		return bad("the dialect is aws or rgw, not %q", o.Dialect)
	case o.Isolation != ByTag && !byRole:
		return bad("isolation is by tag or by role, not by %q", o.Isolation)
	case o.Grants != InRole && o.Grants != InBucket:
		return bad("grants are in the role or in the bucket, not in %q", o.Grants)
	case !slices.Contains([]string{"aws", "aws-cn", "aws-us-gov"}, o.Partition):
		return bad("the partition is aws, aws-cn or aws-us-gov, not %q", o.Partition)
	case !bucketForm.MatchString(o.Bucket) || strings.Contains(o.Bucket, "..") || isAddress(o.Bucket):
		return bad("bucket %q is not 3–63 of a-z 0-9 . - between letters or digits, or looks like an address", o.Bucket)
	case !rgw && !accountForm.MatchString(o.Account):
		return bad("account %q is not 12 digits", o.Account)
	case rgw && o.Account != "":
		return bad("an RGW has no account in its ARNs")
	case rgw && o.Partition != "aws":
		return bad("an RGW has only the partition aws")
	case !roleForm.MatchString(o.Role):
		return bad("role %q is not 1–64 of A-Z a-z 0-9 _ + = , . @ -", o.Role)
	case byRole && len(o.Role) > maxRoleName-1-hashedTenant:
		return bad("role %q is longer than %d, which leaves no room for the tenant in the role's name", o.Role, maxRoleName-1-hashedTenant)
	case byRole && o.Tag != "":
		return bad("a tag means nothing where a role per tenant isolates")
	case byRole && o.Subject != "":
		return bad("with a role per tenant each tenant has a subject of its own")
	case !byRole && (!tagForm.MatchString(o.Tag) || strings.HasPrefix(strings.ToLower(o.Tag), "aws:")):
		return bad("tag %q is not 1–128 of A-Z a-z 0-9 _ . : / = + @ -, not starting with aws:", o.Tag)
	case !plainText(o.Audience):
		return bad("the audience is empty, longer than 255 bytes, or holds a space, a control character or a $")
	case o.Subject != "" && !plainText(o.Subject):
		return bad("the subject is longer than 255 bytes, or holds a space, a control character or a $")
	case o.Collection != "" && !collectionForm.MatchString(o.Collection):
		return bad("collection %q is not 1–63 of a-z 0-9 - starting with a letter or digit", o.Collection)
	case o.ExpireDays < 0 || o.ExpireDays > 36500:
		return bad("objects expire after 1 to 36500 days, or 0 for never")
	case o.ExpireDays > 0 && o.Collection != "":
		return bad("a lifecycle rule cannot pick one collection of each tenant: objects of every collection would expire")
	case o.KMSKey != "" && (rgw || !keyForm.MatchString(o.KMSKey) || strings.Split(o.KMSKey, ":")[1] != o.Partition):
		return bad("%q is not the ARN of a KMS key in this partition: arn:%s:kms:REGION:ACCOUNT:key/ID", o.KMSKey, o.Partition)
	case o.Region != "" && !regionForm.MatchString(o.Region):
		return bad("region %q is not of a-z 0-9 -", o.Region)
	case o.Endpoint != "" && !rgw:
		return bad("an endpoint is for an RGW")
	case o.TLS && !rgw:
		return bad("at AWS plain http is always refused")
	}
	for _, t := range o.Thumbprints {
		if !thumbForm.MatchString(t) {
			return bad("thumbprint %q is not 40 hexadecimal digits", t)
		}
	}
	if err := checkIssuer(o.Issuer, rgw); err != nil {
		return bad("issuer %q %w", o.Issuer, err)
	}
	if o.Endpoint != "" && !plainEndpoint(o.Endpoint) {
		return bad("endpoint %q is not an http or https URL of a host, a port and a path", o.Endpoint)
	}
	return o.checkTenants(bad)
}

func (o *Options) checkTenants(bad func(string, ...any) error) error {
	byRole := o.Isolation == ByRole
	switch {
	case byRole && len(o.Tenants) == 0:
		return bad("a role per tenant needs at least one tenant and its subject")
	case o.Dialect == RGW && len(o.Tenants) == 0:
		return bad("an RGW takes no variable in a resource, so it needs the tenants")
	case !byRole && o.Dialect != RGW && len(o.Tenants) > 0:
		return bad("one role with tags serves all tenants: none is named")
	}
	seen, subjects, names := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, t := range o.Tenants {
		switch {
		case !tenantForm.MatchString(t.ID):
			return bad("tenant %q is not 1–128 of a-z 0-9 . _ - starting with a letter or digit", t.ID)
		case seen[t.ID]:
			return bad("tenant %q is there twice", t.ID)
		case byRole && t.Subject == "":
			return bad("tenant %q has no subject: every token of the issuer could assume its role", t.ID)
		case byRole && !plainText(t.Subject):
			return bad("the subject of tenant %q is longer than 255 bytes, or holds a space, a control character or a $", t.ID)
		case byRole && subjects[t.Subject]:
			return bad("the subject of tenant %q is another tenant's too", t.ID)
		case !byRole && t.Subject != "":
			return bad("tenant %q has a subject, and tags isolate", t.ID)
		case names[o.roleName(t.ID)]:
			return bad("tenant %q would have the same role as another one", t.ID)
		}
		seen[t.ID], subjects[t.Subject], names[o.roleName(t.ID)] = true, true, byRole
	}
	return nil
}

// checkIssuer says what is wrong with an issuer, which is compared byte for byte
// with the iss of tokens.
func checkIssuer(issuer string, rgw bool) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("is not a URL")
	case u.Scheme == "http" && rgw && isLoopback(u):
	case u.Scheme != "https":
		return errors.New("is not https")
	case u.User != nil || strings.ContainsAny(issuer, "?#"):
		return errors.New("has a user, a query or a fragment")
	case u.Port() != "" && !rgw:
		return errors.New("has a port, which AWS does not take")
	}
	switch {
	case u.String() != issuer || !pathForm.MatchString(u.EscapedPath()) || len(issuer) > 255:
		return errors.New("is not written plainly: it is compared byte for byte")
	case !hostForm.MatchString(u.Hostname()) && (!rgw || !isLoopback(u)):
		return errors.New("has an unusual host")
	}
	return nil
}

// plainEndpoint says whether a URL, which stands in commands, has nothing in it that a
// shell would take for its own.
func plainEndpoint(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(endpoint, "?#") || u.String() != endpoint {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return (hostForm.MatchString(u.Hostname()) || err == nil && a.Zone() == "") && pathForm.MatchString(u.EscapedPath())
}

// fits compares the documents with what IAM and S3 take.
func (d *Documents) fits() error {
	if d.o.Dialect == RGW {
		return nil
	}
	var err error
	check := func(what string, p *Policy, most int) {
		if n := p.size(); n > most && err == nil {
			err = fmt.Errorf("%w: the %s would have %d bytes, and the most is %d", ErrOptions, what, n, most)
		}
	}
	check("trust policy", d.TrustPolicy, mostTrust)
	check("role policy", d.RolePolicy, maxRolePolicies)
	check("bucket policy", d.BucketPolicy, maxBucketPolicy)
	for _, id := range d.tenantIDs() {
		check("trust policy", d.Tenants[id].TrustPolicy, mostTrust)
		check("role policy", d.Tenants[id].RolePolicy, maxRolePolicies)
	}
	return err
}

// plainText is text that every service takes as it is. A $ would start a variable.
func plainText(s string) bool {
	return s != "" && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '$' }) < 0
}

// isLoopback tells the only hosts that are reached without TLS.
func isLoopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback() && a.Zone() == ""
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func or[T ~string](s, otherwise T) T {
	if s == "" {
		return otherwise
	}
	return s
}
