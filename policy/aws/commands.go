package aws

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// policyName is the name of the inline policy that the commands create.
const policyName = "objectvault"

// commands apply each part, read from policy.json, in an order that works.
func (d *Documents) commands() []string {
	o := d.o
	aws, region := "aws ", ""
	if o.Region != "" {
		region = " --region " + o.Region
	}
	if o.Dialect == RGW {
		// With an endpoint, aws-cli requires a region also for IAM, which has none.
		endpoint, signed := `"$ENDPOINT"`, cmp.Or(o.Region, "us-east-1")
		if o.Endpoint != "" {
			endpoint = o.Endpoint
			if strings.Contains(endpoint, "[") {
				endpoint = "'" + endpoint + "'" // shells treat the brackets of an IPv6 address as a pattern
			}
		}
		aws, region = "aws --endpoint-url "+endpoint+" --region "+signed+" ", ""
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
	return append(list, d.auditCommands(part)...)
}

// notes returns advice for the operator that the documents cannot express.
func (d *Documents) notes() []string {
	o := d.o
	var list []string
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if strings.HasSuffix(o.Issuer, "/") {
		note("The issuer URL ends with /. The iss claim of the tokens must also end with /, because AWS compares them byte for byte.")
	}
	if o.Partition == "aws-cn" && o.Audience == DefaultAudience {
		note("The audience is %s. Some issuers use %s.cn in this partition. Use --audience with the value in the aud claim of your tokens.", DefaultAudience, DefaultAudience)
	}
	long := len(d.TrustPolicy.String()) > usualTrust
	for _, t := range d.Tenants {
		long = long || len(t.TrustPolicy.String()) > usualTrust
	}
	if long && o.Dialect == AWS {
		note("A trust policy has more than %d characters. Request a higher IAM quota before you apply it.", usualTrust)
	}
	if o.KMSKey != "" {
		note("A key source with one KMS key for all tenants does not isolate them: every tenant can decrypt a data key that another tenant has sealed with it. Only the permissions on the bucket keep the objects apart.")
	}
	if o.KMSKey != "" || o.BucketKey != "" {
		note("The policy of the KMS key must either delegate access control to the IAM policies of the account, or allow the role directly.")
	}
	if o.Isolation == ByRole {
		note("These documents are for issuers whose tokens have no session tags. If the tokens have tags, the trust policies must also allow sts:TagSession.")
	}
	switch {
	case o.Isolation == ByRole || o.Dialect == RGW:
		note("These policies contain no Deny statement that limits a role to its prefix. If another policy grants the role more access, the role has this access, too.")
	case o.Grants == InBucket:
		note("The role policy must not grant additional access, because a request is allowed if either the role policy or the bucket policy allows it.")
	}
	if o.Dialect == RGW {
		note("Leave BlockPublicAcls off: if it is on, an RGW denies every put by a role. If the bucket has a bucket policy, also leave BlockPublicPolicy off: if it is on, an RGW refuses the bucket policy.")
		note("An RGW ignores create-only writes in a versioned bucket. If you need put --create, do not enable versioning.")
		if !o.TLS {
			note("The policies do not deny plain http, because a gateway on the loopback address may use it. With --tls they deny it.")
		}
		if o.Isolation == ByTag {
			note("A token whose tag has several values can access the prefix of each value.")
			if o.Grants == InRole {
				note("The field tenants contains each tenant's part of role_policy. To add one tenant, attach its part to the role as a separate inline policy.")
			}
		}
		if len(o.Thumbprints) == 0 {
			note("An RGW requires at least one thumbprint of the issuer, but does not check it.")
		}
	}
	if d.BucketPolicy != nil {
		note("When you apply this bucket policy, it replaces the existing one. Save the existing policy first; --delta prints only the statements that it lacks.")
	}
	note("When you apply this lifecycle configuration, it replaces the existing one. Save the existing configuration first.")
	return append(list, d.auditNotes()...)
}
