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
	return append([]policy.Weakness{
		{ID: ListWithoutPrefix, Meaning: "an Allow of ListBucket without a condition on s3:prefix", Fix: "allow ListBucket in a separate statement with StringLike s3:prefix bots/${aws:PrincipalTag/TAG}/*"},
		{ID: ListPrefixWide, Meaning: "an Allow of ListBucket whose s3:prefix includes other tenants", Fix: "let s3:prefix start with bots/${aws:PrincipalTag/TAG}/"},
		{ID: OpenPrefix, Meaning: "a prefix without / after the tenant, which also matches longer tenant names", Fix: "write / after the tenant, because 0xab* also matches 0xabc"},
		{ID: BroadAllow, Meaning: "an Allow that includes the objects of every tenant", Fix: "allow only bots/${aws:PrincipalTag/TAG}/* of one bucket"},
		{ID: UnboundPrefix, Meaning: "a prefix of one tenant that sessions of another tenant can access", Fix: "add StringEquals aws:PrincipalTag/TAG with this tenant, or give each tenant a role; --operator accepts a principal that may access all"},
		{ID: OtherVariable, Meaning: "a prefix that contains a variable other than the tenant's tag", Fix: "use ${aws:PrincipalTag/TAG} without a default value"},
		{ID: NegatedMissing, Meaning: "a negated operator, which is true if the condition key is missing from the request", Fix: "add Null with \"false\" for the same key, or compare with StringEquals or StringLike"},
		{ID: NoTagSession, Meaning: "session tags are required, but sts:TagSession is not allowed", Fix: "allow sts:TagSession in addition to sts:AssumeRoleWithWebIdentity"},
		{ID: NoTagGuard, Meaning: "no condition that requires the tag", Fix: "add Null with \"false\" for the tag; at an RGW, StringLike with ?*"},
		{ID: InvertedNull, Meaning: "Null with \"true\", which admits only sessions without the tag", Fix: "write \"false\", which means that the tag must exist"},
		{ID: WildcardTag, Meaning: "tag values with wildcards, which match other tenants", Fix: "refuse them in the trust policy: StringNotLike aws:RequestTag/TAG [\"*/*\", \"*${*}*\", \"*${?}*\"]"},
		{ID: IgnoresCase, Meaning: "an operator that ignores the case of the tag", Fix: "use StringEquals, because the tags of two tenants may differ only in case"},
		{ID: IfExistsOperator, Meaning: "an operator with IfExists, which is true if the condition key is missing from the request", Fix: "remove IfExists"},
		{ID: SetOperator, Meaning: "ForAllValues, which is true if the condition key is missing, or ForAnyValue with a negated operator", Fix: "remove the set operator, because these condition keys have only one value"},
		{ID: NoAudience, Meaning: "tokens for any audience are accepted", Fix: "add StringEquals ISSUER:aud"},
		{ID: WrongAudience, Meaning: "a condition on another audience, or on the aud of another issuer", Fix: "compare ISSUER:aud of this provider with the tokens' aud, using StringEquals"},
		{ID: NoSubject, Meaning: "every token of the issuer can assume the role", Fix: "add StringEquals ISSUER:sub with the tenant's subject, or isolate by tag"},
		{ID: WildcardSubject, Meaning: "a condition on the subject that has a wildcard or ignores case", Fix: "name each subject exactly, using StringEquals"},
		{ID: SharedSubject, Meaning: "the roles of several tenants trust the same subject", Fix: "give each tenant its own subject, because a token of this subject can assume either role"},
		{ID: AnyProvider, Meaning: "tokens of any provider are accepted", Fix: "name exactly one provider by its ARN"},
		{ID: AnyoneAssumes, Meaning: "principals without a token can assume the role with any tags", Fix: "trust only the OIDC provider"},
		{ID: PublicAllow, Meaning: "an Allow for every principal", Fix: "name the role"},
		{ID: OtherPrincipal, Meaning: "a principal that is not a role, such as a user, can access a tenant's prefix, so a person who can set the tags of that user can choose the tenant", Fix: "name exactly one role by its ARN"},
		{ID: HTTPAllowed, Meaning: "plain http is allowed", Fix: "add a Deny of s3:* for every principal, on the bucket and its objects, with the condition Bool aws:SecureTransport \"false\""},
		{ID: ExcessAction, Meaning: "an action that no tenant needs", Fix: "remove the action"},
		{ID: NotElement, Meaning: "an Allow with NotAction, NotResource or NotPrincipal", Fix: "use Action, Resource and Principal to list what is allowed"},
		{ID: OldVersion, Meaning: "an old Version of the policy language, which does not support variables and treats them as plain text", Fix: "write \"Version\": \"2012-10-17\""},
		{ID: OtherBucket, Meaning: "a policy that does not apply to the bucket that --bucket names", Fix: "correct --bucket, or omit the file"},
		{ID: UnseenPolicy, Meaning: "a policy that is attached to the role, but missing in the files", Fix: "add the policy, for example with aws iam get-account-authorization-details without --filter"},
		{ID: RGWNull, Meaning: "a Null condition: an RGW ignores its value and always requires that the tag is absent, so the condition admits sessions without the tag and refuses sessions with the tag", Fix: "write StringLike with ?* for the tag instead"},
		{ID: RGWVariable, Meaning: "a variable in a resource or inside a value, where an RGW does not support it", Fix: "use a pair of statements for each tenant: vault policy aws --dialect rgw"},
	}, policy.AuditWeaknesses()...)
}
