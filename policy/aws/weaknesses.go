package aws

import "github.com/objectvault/objectvault/policy"

// The ids of the weaknesses.
const (
	ListWithoutPrefix = "list_without_prefix"
	ListPrefixWide    = "list_prefix_wide"
	OpenPrefix        = "open_prefix"
	BroadAllow        = "broad_allow"
	UnboundPrefix     = "unbound_prefix"
	OtherVariable     = "other_variable"
	NegatedMissing    = "negated_missing"
	NoTagSession      = "no_tag_session"
	NoTagGuard        = "no_tag_guard"
	InvertedNull      = "inverted_null"
	WildcardTag       = "wildcard_tag"
	IgnoresCase       = "ignores_case"
	IfExistsOperator  = "if_exists"
	SetOperator       = "set_operator"
	NoAudience        = "no_audience"
	WrongAudience     = "wrong_audience"
	NoSubject         = "no_subject"
	WildcardSubject   = "wildcard_subject"
	SharedSubject     = "shared_subject"
	AnyProvider       = "any_provider"
	AnyoneAssumes     = "anyone_assumes"
	PublicAllow       = "public_allow"
	OtherPrincipal    = "other_principal"
	HTTPAllowed       = "http_allowed"
	ExcessAction      = "excess_action"
	NotElement        = "not_element"
	OldVersion        = "old_version"
	OtherBucket       = "other_bucket"
	UnseenPolicy      = "unseen_policy"
	RGWNull           = "rgw_null"
	RGWVariable       = "rgw_variable"
)

// Weaknesses returns the weaknesses that [Check] detects.
func Weaknesses() []policy.Weakness {
	return []policy.Weakness{
		{ID: ListWithoutPrefix, Meaning: "a list without a condition on s3:prefix", Fix: "put ListBucket in a statement of its own with StringLike s3:prefix bots/${aws:PrincipalTag/TAG}/*"},
		{ID: ListPrefixWide, Meaning: "a list whose s3:prefix reaches other tenants", Fix: "let s3:prefix start with bots/${aws:PrincipalTag/TAG}/"},
		{ID: OpenPrefix, Meaning: "a prefix that does not end its tenant with /", Fix: "write / after the tenant: 0xab* is also 0xabc"},
		{ID: BroadAllow, Meaning: "an allow that reaches every tenant's objects, whatever else is written", Fix: "allow only bots/${aws:PrincipalTag/TAG}/* of one bucket"},
		{ID: UnboundPrefix, Meaning: "one tenant's prefix, open to sessions of another", Fix: "add StringEquals aws:PrincipalTag/TAG with this tenant, or give each tenant a role; --operator names who may reach all"},
		{ID: OtherVariable, Meaning: "a prefix made from something other than the tenant's tag", Fix: "use ${aws:PrincipalTag/TAG}, with nothing in it that stands for a missing tag"},
		{ID: NegatedMissing, Meaning: "a negated operator, which is true where the key is missing", Fix: "add Null with \"false\" for the same key, or compare with StringEquals or StringLike"},
		{ID: NoTagSession, Meaning: "tags are asked for, and sts:TagSession is not allowed", Fix: "allow sts:TagSession beside sts:AssumeRoleWithWebIdentity"},
		{ID: NoTagGuard, Meaning: "no condition that the tag is there", Fix: "add Null with \"false\" for the tag; at an RGW, StringLike with ?*"},
		{ID: InvertedNull, Meaning: "Null \"true\", which admits those without the tag", Fix: "write \"false\": it means that the key is not missing"},
		{ID: WildcardTag, Meaning: "tag values that stand for other tenants", Fix: "refuse them in the trust policy: StringNotLike aws:RequestTag/TAG [\"*/*\", \"*${*}*\", \"*${?}*\"]"},
		{ID: IgnoresCase, Meaning: "an operator that takes a tag in any case of its letters for the tenant's", Fix: "compare with StringEquals: another tenant's tag may differ in case alone"},
		{ID: IfExistsOperator, Meaning: "an operator with IfExists, which is true where the key is missing", Fix: "drop IfExists"},
		{ID: SetOperator, Meaning: "ForAllValues, which is true where the key is missing, or ForAnyValue with a negation", Fix: "drop it: these keys have one value"},
		{ID: NoAudience, Meaning: "tokens for any audience", Fix: "add StringEquals ISSUER:aud"},
		{ID: WrongAudience, Meaning: "another audience, or another issuer's", Fix: "compare ISSUER:aud of this provider with the tokens' aud, by StringEquals"},
		{ID: NoSubject, Meaning: "every token of the issuer may assume the role", Fix: "add StringEquals ISSUER:sub with the tenant's subject, or isolate by tag"},
		{ID: WildcardSubject, Meaning: "a subject with a wildcard, or in any case of letters", Fix: "write each subject out, with StringEquals"},
		{ID: SharedSubject, Meaning: "one subject for the roles of several tenants", Fix: "give each tenant a subject of its own: the holder of the token may assume either role"},
		{ID: AnyProvider, Meaning: "tokens of any provider", Fix: "name the one provider by its ARN"},
		{ID: AnyoneAssumes, Meaning: "somebody without a token may assume the role, with tags of his choice", Fix: "trust the OIDC provider and nobody else"},
		{ID: PublicAllow, Meaning: "an allow for everybody", Fix: "name the role"},
		{ID: OtherPrincipal, Meaning: "a tenant's prefix, for somebody other than a role: whoever tags users chooses the tenant", Fix: "name the one role by its ARN"},
		{ID: HTTPAllowed, Meaning: "plain http", Fix: "deny everybody s3:* on the bucket and its objects with Bool aws:SecureTransport \"false\""},
		{ID: ExcessAction, Meaning: "an action that no tenant needs", Fix: "drop it"},
		{ID: NotElement, Meaning: "an allow of all but something", Fix: "name what is allowed: Action, Resource, Principal"},
		{ID: OldVersion, Meaning: "a version without variables: they are plain text", Fix: "write \"Version\": \"2012-10-17\""},
		{ID: OtherBucket, Meaning: "a policy that is about no bucket of the name that --bucket gives", Fix: "correct --bucket, or leave out the file"},
		{ID: UnseenPolicy, Meaning: "a policy of the role that is not among the documents", Fix: "fetch it too: aws iam get-account-authorization-details without --filter"},
		{ID: RGWNull, Meaning: "Null at an RGW, which reads it as must-be-absent, whatever the value: it admits the untagged and refuses the tagged", Fix: "write StringLike with ?* for the tag instead"},
		{ID: RGWVariable, Meaning: "a variable at an RGW, which takes none in a resource and none inside a value", Fix: "write a statement pair per tenant: vault policy aws --dialect rgw"},
	}
}
