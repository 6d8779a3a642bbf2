package tencent

import "github.com/objectvault/objectvault/policy"

// The ids of the weaknesses. A weakness that also exists at AWS has the same id in package aws.
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
	return append([]policy.Weakness{
		{ID: ListWithoutPrefix, Meaning: "an Allow of GetBucket without a condition on cos:prefix", Fix: "allow GetBucket in a separate statement with string_like cos:prefix bots%2FTENANT%2F*"},
		{ID: ListPrefixWide, Meaning: "an Allow of GetBucket whose cos:prefix includes other tenants", Fix: "let cos:prefix start with bots%2FTENANT%2F"},
		{ID: PrefixNotEncoded, Meaning: "a cos:prefix that is not URL-encoded, although COS compares the encoded prefix", Fix: "write bots%2FTENANT%2F*, with %2F for each /"},
		{ID: OpenPrefix, Meaning: "a prefix without / after the tenant, which also matches longer tenant names", Fix: "write / after the tenant (%2F in cos:prefix), because 0xab* also matches 0xabc"},
		{ID: BroadAllow, Meaning: "an Allow that includes the objects of every tenant", Fix: "allow only bots/TENANT/* of one bucket"},
		{ID: BroadAction, Meaning: "an action with a wildcard", Fix: "list each action, because name/cos:* includes PutObjectACL and PutBucketPolicy"},
		{ID: ExcessAction, Meaning: "an action that no tenant needs", Fix: "remove the action"},
		{ID: UnboundPrefix, Meaning: "one role or principal that can access the prefixes of several tenants", Fix: "give each tenant its own role, because Tencent Cloud has no session tags and no variables"},
		{ID: OtherVariable, Meaning: "a variable, which COS treats as plain text", Fix: "write the tenant itself, because COS does not support variables in paths"},
		{ID: WrongOwner, Meaning: "a resource with uin/ or without an owner, although COS requires uid/APPID", Fix: "write qcs::cos:REGION:uid/APPID:BUCKET-APPID/…"},
		{ID: IfExistsOperator, Meaning: "an operator with _if_exist, which is true if the condition key is missing from the request", Fix: "remove _if_exist"},
		{ID: SetOperator, Meaning: "for_all_value, which is true if the condition key is missing from the request", Fix: "remove the set operator, because these condition keys have only one value"},
		{ID: NoIssuer, Meaning: "no condition on oidc:iss", Fix: "add string_equal oidc:iss with the issuer"},
		{ID: WrongIssuer, Meaning: "a condition on another issuer, or on a pattern of issuers", Fix: "compare oidc:iss with the tokens' iss, using string_equal"},
		{ID: NoAudience, Meaning: "tokens for any audience are accepted", Fix: "add string_equal oidc:aud"},
		{ID: WrongAudience, Meaning: "a condition on another audience, or on a pattern of audiences", Fix: "compare oidc:aud with the tokens' aud, using string_equal"},
		{ID: NoSubject, Meaning: "every token of the issuer can assume the role", Fix: "add string_equal oidc:sub with the tenant's subject"},
		{ID: WildcardSubject, Meaning: "a condition on the subject that has a wildcard or ignores case", Fix: "name each subject exactly, using string_equal"},
		{ID: SharedSubject, Meaning: "the roles of several tenants trust the same subject", Fix: "give each tenant its own subject, because a token of this subject can assume either role"},
		{ID: AnyProvider, Meaning: "tokens of any provider are accepted", Fix: "name exactly one provider: qcs::cam::uin/UIN:oidc-provider/NAME"},
		{ID: AnyoneAssumes, Meaning: "principals without a token can assume the role", Fix: "trust only the OIDC provider, and only for AssumeRoleWithWebIdentity"},
		{ID: PublicAllow, Meaning: "an Allow for anyone, or for a pattern of principals, which may also apply to each tenant", Fix: "remove the statement, and grant access in the role policies"},
		{ID: PublicHeader, Meaning: "an Allow of writes that does not exclude the headers that make an object public", Fix: "deny PutObject and InitiateMultipartUpload with string_not_equal cos:x-cos-acl private, and with string_like * for each cos:x-cos-grant-…"},
		{ID: RolePrincipal, Meaning: "a role in a bucket policy, which COS does not document", Fix: "grant access in the role policy"},
		{ID: HTTPAllowed, Meaning: "plain http is allowed", Fix: "add the condition bool_equal cos:secure-transport true to each statement that allows requests"},
		{ID: NotElement, Meaning: "an Allow with NotAction, NotResource or NotPrincipal", Fix: "use action, resource and principal to list what is allowed"},
		{ID: OtherBucket, Meaning: "a policy that does not apply to the bucket that --bucket names", Fix: "correct --bucket, which has the form NAME-APPID, or omit the file"},
	}, policy.AuditWeaknesses()...)
}
