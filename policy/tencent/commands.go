package tencent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// commands returns shell commands that read the parts from policy.json and apply them, in an order
// that works. They use tccli for CAM and coscli for COS. coscli has no command for lifecycle and
// strict signature: see comments.
func (d *Documents) commands() []string {
	o := d.o
	key := `"$(jq -r .oidc_provider.IdentityKey policy.json)"`
	if d.OIDCProvider.IdentityKey == "" {
		key = fmt.Sprintf(`"$(curl -fsS "$(curl -fsS '%s/.well-known/openid-configuration' | jq -r .jwks_uri)" | base64 | tr -d '\n')"`, strings.TrimSuffix(o.Issuer, "/"))
	}
	list := []string{fmt.Sprintf(`tccli cam CreateOIDCConfig --Name %s --IdentityUrl '%s' --ClientId "$(jq -c .oidc_provider.ClientId policy.json)" --AutoRotateKey 1 --IdentityKey %s`,
		o.Provider, o.Issuer, key)}
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		name := d.Tenants[id].RoleName
		part := func(p string) string { return fmt.Sprintf(`"$(jq -c '.tenants["%s"].%s' policy.json)"`, id, p) }
		list = append(list,
			"tccli cam CreateRole --RoleName "+name+" --PolicyDocument "+part("trust_policy"),
			"tccli cam CreatePolicy --PolicyName "+name+" --PolicyDocument "+part("role_policy"),
			"tccli cam AttachRolePolicy --AttachRoleName "+name+" --PolicyName "+name)
	}
	if d.Versioning != "" { // 436/69256
		list = append(list, fmt.Sprintf("coscli bucket-versioning --method put cos://%s Enabled -e cos.%s.myqcloud.com", o.Bucket, o.Region))
	}
	return append(list, d.auditCommands()...)
}

// comments describes the requests for which there is no command. Any client that signs requests can
// send them.
func (d *Documents) comments() []string {
	put := func(bucket, query, part string) string {
		return fmt.Sprintf("PUT https://%s.cos.%s.myqcloud.com/?%s as the bucket's owner, with the body: jq -r .%s policy.json", bucket, d.o.Region, query, part)
	}
	list := []string{put(d.o.Bucket, "lifecycle", "lifecycle"), put(d.o.Bucket, "strict-signature", "strict_signature")}
	if d.Audit != nil {
		list = append(list, put(d.Audit.Bucket, "lifecycle", "audit.lifecycle"), put(d.o.Bucket, "logging", "audit.logging"))
	}
	return list
}

// notes returns advice for the operator that the documents cannot express.
func (d *Documents) notes() []string {
	o := d.o
	var list []string
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	note("A public-read ACL of the bucket, or a bucket policy for anyone, gives every tenant access, regardless of these policies. Check that the bucket has neither.")
	note("Applying strict_signature is optional but recommended. Without it, COS checks only the headers and parameters that the signature lists. With it, a signed request cannot be used for another host or with other parameters.")
	note("After you add or remove a policy, CAM needs about a minute to apply the change everywhere.")
	note("The documentation of Tencent's international site does not mention AutoRotateKey. If CAM rejects it, omit it, and upload each new key with UpdateOIDCConfig.")
	if o.KMSKey != "" {
		note("A key source with one KMS key for all tenants does not isolate them: every tenant can decrypt a data key that another tenant has sealed with it. Only the permissions on the bucket keep the objects apart.")
		if !strings.HasPrefix(o.KMSKey, "qcs::") {
			note("The resource of the KMS key contains the account that created the key. If a sub-account created it, use --kms-key qcs::kms:%s:uin/%s:key/creatorUin/SUBACCOUNT/%s.", o.Region, o.Account, o.KMSKey)
		}
	}
	if strings.HasSuffix(o.Issuer, "/") {
		note("The issuer URL ends with /. The iss claim of the tokens must also end with /, because CAM compares them byte for byte.")
	}
	if strings.HasPrefix(o.Issuer, "http:") {
		note("The issuer URL is plain http on the loopback address. This works only with a test server, because the real CAM cannot reach it.")
	}
	if o.Versioned {
		note("After versioning is enabled, it cannot be disabled again. A conflict between two create-only writes is then detected after the write: both values stay in the history, and the writer that lost gets an error.")
		note("Tenants can delete their own old versions permanently. A writer that lost a race needs this permission to undo its write.")
	} else {
		note("Create-only writes work only in a bucket in which versioning was never enabled.")
	}
	if o.ForbidOverwrite {
		note("Every put that would replace an object is refused, because the policies require the header x-cos-forbid-overwrite. The documentation of COS does not list the condition key for this header.")
	}
	if len(o.Tenants) > maxRoles {
		note("An account may have %d roles, unless Tencent has granted a higher quota. These documents have %d roles.", maxRoles, len(o.Tenants))
	}
	return append(list, d.auditNotes()...)
}
