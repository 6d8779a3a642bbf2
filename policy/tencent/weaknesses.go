package tencent

import "github.com/objectvault/objectvault/policy"

// The ids of the weaknesses. A weakness that AWS has too has the same id in package aws.
const (
	ListWithoutPrefix = "list_without_prefix"
	ListPrefixWide    = "list_prefix_wide"
	PrefixNotEncoded  = "prefix_not_encoded"
	OpenPrefix        = "open_prefix"
	BroadAllow        = "broad_allow"
	BroadAction       = "broad_action"
	ExcessAction      = "excess_action"
	UnboundPrefix     = "unbound_prefix"
	OtherVariable     = "other_variable"
	WrongOwner        = "wrong_owner"
	IfExistsOperator  = "if_exists"
	SetOperator       = "set_operator"
	NoIssuer          = "no_issuer"
	WrongIssuer       = "wrong_issuer"
	NoAudience        = "no_audience"
	WrongAudience     = "wrong_audience"
	NoSubject         = "no_subject"
	WildcardSubject   = "wildcard_subject"
	SharedSubject     = "shared_subject"
	AnyProvider       = "any_provider"
	AnyoneAssumes     = "anyone_assumes"
	PublicAllow       = "public_allow"
	PublicHeader      = "public_header"
	RolePrincipal     = "role_principal"
	HTTPAllowed       = "http_allowed"
	NotElement        = "not_element"
	OtherBucket       = "other_bucket"
)

// Weaknesses returns the weaknesses that [Check] detects.
func Weaknesses() []policy.Weakness {
	return []policy.Weakness{
		{ID: ListWithoutPrefix, Meaning: "a list without a condition on cos:prefix", Fix: "put GetBucket in a statement of its own with string_like cos:prefix bots%2FTENANT%2F*"},
		{ID: ListPrefixWide, Meaning: "a list whose cos:prefix reaches other tenants", Fix: "let cos:prefix start with bots%2FTENANT%2F"},
		{ID: PrefixNotEncoded, Meaning: "a cos:prefix that is not URL-encoded, which is compared with one that is", Fix: "write bots%2FTENANT%2F*, with %2F for each /"},
		{ID: OpenPrefix, Meaning: "a prefix that does not end its tenant with /", Fix: "write / after the tenant, %2F in cos:prefix: 0xab* is also 0xabc"},
		{ID: BroadAllow, Meaning: "an allow that reaches every tenant's objects", Fix: "allow only bots/TENANT/* of one bucket"},
		{ID: BroadAction, Meaning: "an action with a wildcard", Fix: "name each action: name/cos:* is also PutObjectACL and PutBucketPolicy"},
		{ID: ExcessAction, Meaning: "an action that no tenant needs", Fix: "drop it"},
		{ID: UnboundPrefix, Meaning: "one role or principal for the prefixes of several tenants", Fix: "give each tenant a role: no tag or variable tells sessions apart at Tencent"},
		{ID: OtherVariable, Meaning: "a variable, which COS takes for plain text", Fix: "write the tenant out: no variable works in a COS path, and no claim of a token becomes one"},
		{ID: WrongOwner, Meaning: "a resource of uin/, or of no owner, where COS wants the APPID", Fix: "write qcs::cos:REGION:uid/APPID:BUCKET-APPID/…"},
		{ID: IfExistsOperator, Meaning: "an operator with _if_exist, which is true where the key is missing", Fix: "drop _if_exist"},
		{ID: SetOperator, Meaning: "for_all_value, which is true where the key is missing", Fix: "drop it: these keys have one value"},
		{ID: NoIssuer, Meaning: "no condition on oidc:iss", Fix: "add string_equal oidc:iss with the issuer"},
		{ID: WrongIssuer, Meaning: "another issuer, or a pattern of issuers", Fix: "compare oidc:iss with the tokens' iss, by string_equal"},
		{ID: NoAudience, Meaning: "tokens for any audience", Fix: "add string_equal oidc:aud"},
		{ID: WrongAudience, Meaning: "another audience, or a pattern of audiences", Fix: "compare oidc:aud with the tokens' aud, by string_equal"},
		{ID: NoSubject, Meaning: "every token of the issuer may assume the role", Fix: "add string_equal oidc:sub with the tenant's subject"},
		{ID: WildcardSubject, Meaning: "a subject with a wildcard, or in any case of letters", Fix: "write each subject out, with string_equal"},
		{ID: SharedSubject, Meaning: "one subject for the roles of several tenants", Fix: "give each tenant a subject of its own: whoever has the token may assume either role"},
		{ID: AnyProvider, Meaning: "tokens of any provider", Fix: "name the one provider: qcs::cam::uin/UIN:oidc-provider/NAME"},
		{ID: AnyoneAssumes, Meaning: "somebody without a token may assume the role", Fix: "trust the OIDC provider and nobody else, for AssumeRoleWithWebIdentity alone"},
		{ID: PublicAllow, Meaning: "an allow for anyone, which COS gives to each tenant too", Fix: "drop it: grant on the roles"},
		{ID: PublicHeader, Meaning: "writes that may make their object public by a header", Fix: "deny PutObject and InitiateMultipartUpload with string_not_equal cos:x-cos-acl private, and with string_like * for each cos:x-cos-grant-…"},
		{ID: RolePrincipal, Meaning: "a role in a bucket policy, where COS does not say that it knows roles", Fix: "grant on the role itself"},
		{ID: HTTPAllowed, Meaning: "plain http", Fix: "add bool_equal cos:secure-transport true to each allow"},
		{ID: NotElement, Meaning: "an allow of all but something", Fix: "name what is allowed: action, resource, principal"},
		{ID: OtherBucket, Meaning: "a policy that is about no bucket of the name that --bucket gives", Fix: "correct --bucket, which is NAME-APPID, or leave out the file"},
	}
}
