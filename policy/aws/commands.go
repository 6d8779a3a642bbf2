package aws

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// policyName is the name of the inline policy that the commands put.
const policyName = "objectvault"

// commands apply each part, read from policy.json, in an order that works.
func (d *Documents) commands() []string {
	o := d.o
	aws, region := "aws ", ""
	if o.Region != "" {
		region = " --region " + o.Region
	}
	if o.Dialect == RGW {
		endpoint := `"$ENDPOINT"`
		if o.Endpoint != "" {
			endpoint = o.Endpoint
			if strings.Contains(endpoint, "[") {
				endpoint = "'" + endpoint + "'" // of an IPv6 address, a pattern to shells
			}
		}
		aws = "aws --endpoint-url " + endpoint + " "
	}
	part := func(path string) string { return fmt.Sprintf(`"$(jq -c '%s' policy.json)"`, path) }
	list := []string{aws + "iam create-open-id-connect-provider --cli-input-json " + part(".oidc_provider")}
	role := func(name, path string, t, r *Policy) {
		if t != nil {
			list = append(list, aws+"iam create-role --role-name "+name+" --assume-role-policy-document "+part(path+".trust_policy"))
		}
		if r != nil && t != nil {
			list = append(list, aws+"iam put-role-policy --role-name "+name+" --policy-name "+policyName+" --policy-document "+part(path+".role_policy"))
		}
	}
	role(o.Role, "", d.TrustPolicy, d.RolePolicy)
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		t := d.Tenants[id]
		role(t.RoleName, fmt.Sprintf(`.tenants[%q]`, id), t.TrustPolicy, t.RolePolicy)
	}
	bucket := func(call, flag, path string) {
		list = append(list, aws+"s3api "+call+" --bucket "+o.Bucket+region+" --"+flag+" "+part(path))
	}
	bucket("put-bucket-versioning", "versioning-configuration", ".versioning")
	bucket("put-public-access-block", "public-access-block-configuration", ".public_access_block")
	bucket("put-bucket-lifecycle-configuration", "lifecycle-configuration", ".lifecycle")
	if d.BucketPolicy != nil {
		bucket("put-bucket-policy", "policy", ".bucket_policy")
	}
	return list
}

// notes returns what the documents cannot express.
func (d *Documents) notes() []string {
	o := d.o
	var list []string
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if strings.HasSuffix(o.Issuer, "/") {
		note("the issuer ends in /: so must the iss of its tokens, which is compared byte for byte")
	}
	if o.Partition == "aws-cn" && o.Audience == DefaultAudience {
		note("the audience is %s: some issuers mint %s.cn for this partition, and the tokens' aud decides", DefaultAudience, DefaultAudience)
	}
	long := len(d.TrustPolicy.String()) > usualTrust
	for _, t := range d.Tenants {
		long = long || len(t.TrustPolicy.String()) > usualTrust
	}
	if long && o.Dialect == AWS {
		note("a trust policy has more than %d characters: ask IAM for a higher quota first", usualTrust)
	}
	if o.KMSKey != "" {
		note("the policy of the KMS key has to let the account's IAM policies decide, or name the role itself")
	}
	if o.Isolation == ByRole {
		note("tokens that carry tags would need sts:TagSession in the trust too: this form is for issuers that mint none")
	}
	switch {
	case o.Isolation == ByRole || o.Dialect == RGW:
		note("no denial holds a role to its prefix: whatever else it is granted, by any policy, is within its reach")
	case o.Grants == InBucket:
		note("the role's own policy must not grant more: allows are a union")
	}
	if o.Dialect == RGW {
		note("BlockPublicAcls stays off: with it an RGW denies every put of a role; and so does BlockPublicPolicy where there is a bucket policy, which it would refuse")
		note("an RGW ignores create-only in a versioned bucket: leave versioning off where put --create has to hold")
		if !o.TLS {
			note("plain http is not refused, for gateways on the loopback address: --tls refuses it")
		}
		if o.Isolation == ByTag {
			note("a token whose tag has several values reaches the prefix of each")
			if o.Grants == InRole {
				note("tenants holds each tenant's share of role_policy: put as an inline policy of its own it adds one tenant")
			}
		}
		if len(o.Thumbprints) == 0 {
			note("an RGW wants at least one thumbprint of the issuer, though it does not look at it")
		}
	}
	if d.BucketPolicy != nil {
		note("applied, the bucket policy replaces the one that is there: fetch that first, and see --delta")
	}
	note("applied, the lifecycle configuration replaces the one that is there: fetch that first")
	return list
}
