package tencent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// commands apply each part that a command can apply, read from policy.json, in an order that
// works: tccli for CAM, and coscli for COS, which has no command for the other settings.
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
	return list
}

// comments describe the requests that no command makes, for any client that signs.
func (d *Documents) comments() []string {
	put := func(query, part string) string {
		return fmt.Sprintf("PUT https://%s.cos.%s.myqcloud.com/?%s as the bucket's owner, with the body: jq -r .%s policy.json", d.o.Bucket, d.o.Region, query, part)
	}
	return []string{put("lifecycle", "lifecycle"), put("strict-signature", "strict_signature")}
}

// notes returns what the documents cannot express.
func (d *Documents) notes() []string {
	o := d.o
	var list []string
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	note("a public-read ACL of the bucket, or a bucket policy for anyone, opens it to every tenant, whatever is written here: look for both")
	note("strict_signature is advice: COS checks only what a signature lists, and with it a signed request fits no other host and no other parameters")
	note("CAM takes about a minute until a new policy, or the end of an old one, holds everywhere")
	note("AutoRotateKey is not on the international site's pages: where CAM does not know it, drop it and push each new key with UpdateOIDCConfig")
	if strings.HasSuffix(o.Issuer, "/") {
		note("the issuer ends in /: so must the iss of its tokens, which is compared byte for byte")
	}
	if strings.HasPrefix(o.Issuer, "http:") {
		note("the issuer is plain http on the loopback address: for a test server, no real CAM reaches it")
	}
	if o.Versioned {
		note("versioning cannot be disabled again. From then on create-only conflicts are detected after the write: both values stay in history and the loser gets an error")
		note("tenants may delete their own old versions permanently: undoing the write that lost a race requires it")
	} else {
		note("create-only holds only while the bucket was never versioned")
	}
	if o.ForbidOverwrite {
		note("every put that replaces an object is refused: x-cos-forbid-overwrite is forced, by a condition key that COS's own pages did not list")
	}
	if len(o.Tenants) > maxRoles {
		note("an account has %d roles unless more were granted, and this is %d", maxRoles, len(o.Tenants))
	}
	return list
}
