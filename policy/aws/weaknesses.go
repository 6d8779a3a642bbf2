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
		{ID: ListWithoutPrefix, Meaning: "a list without a condition on s3:prefix", Fix: "put ListBucket in a separate statement with StringLike s3:prefix bots/${aws:PrincipalTag/TAG}/*"},
		{ID: ListPrefixWide, Meaning: "a list whose s3:prefix reaches other tenants", Fix: "let s3:prefix start with bots/${aws:PrincipalTag/TAG}/"},
		{ID: OpenPrefix, Meaning: "a prefix without / after the tenant, which also matches longer tenant names", Fix: "write / after the tenant, because 0xab* also matches 0xabc"},
		{ID: BroadAllow, Meaning: "an Allow that reaches the objects of every tenant", Fix: "allow only bots/${aws:PrincipalTag/TAG}/* of one bucket"},
		{ID: UnboundPrefix, Meaning: "a prefix of one tenant that sessions of another tenant can access", Fix: "add StringEquals aws:PrincipalTag/TAG with this tenant, or give each tenant a role; --operator accepts a principal that may access all"},
		{ID: OtherVariable, Meaning: "a prefix made from a variable other than the tenant's tag", Fix: "use ${aws:PrincipalTag/TAG} without a default value"},
		{ID: NegatedMissing, Meaning: "a negated operator, which is true if the key is missing", Fix: "add Null with \"false\" for the same key, or compare with StringEquals or StringLike"},
		{ID: NoTagSession, Meaning: "session tags are required, but sts:TagSession is not allowed", Fix: "allow sts:TagSession beside sts:AssumeRoleWithWebIdentity"},
		{ID: NoTagGuard, Meaning: "no condition that requires the tag", Fix: "add Null with \"false\" for the tag; at an RGW, StringLike with ?*"},
		{ID: InvertedNull, Meaning: "Null \"true\", which admits sessions without the tag", Fix: "write \"false\", which means that the key must exist"},
		{ID: WildcardTag, Meaning: "tag values with wildcards, which match other tenants", Fix: "refuse them in the trust policy: StringNotLike aws:RequestTag/TAG [\"*/*\", \"*${*}*\", \"*${?}*\"]"},
		{ID: IgnoresCase, Meaning: "an operator that ignores the case of the tag", Fix: "use StringEquals, because the tags of two tenants may differ only in case"},
		{ID: IfExistsOperator, Meaning: "an operator with IfExists, which is true if the key is missing", Fix: "remove IfExists"},
		{ID: SetOperator, Meaning: "ForAllValues, which is true if the key is missing, or ForAnyValue with a negated operator", Fix: "remove it, because these keys have one value"},
		{ID: NoAudience, Meaning: "tokens for any audience are accepted", Fix: "add StringEquals ISSUER:aud"},
		{ID: WrongAudience, Meaning: "the condition names another audience, or the aud of another issuer", Fix: "compare ISSUER:aud of this provider with the tokens' aud, using StringEquals"},
		{ID: NoSubject, Meaning: "every token of the issuer may assume the role", Fix: "add StringEquals ISSUER:sub with the tenant's subject, or isolate by tag"},
		{ID: WildcardSubject, Meaning: "the condition on the subject has a wildcard or ignores case", Fix: "name each subject exactly, using StringEquals"},
		{ID: SharedSubject, Meaning: "the roles of several tenants trust the same subject", Fix: "give each tenant its own subject, because a token of this subject can assume either role"},
		{ID: AnyProvider, Meaning: "tokens of any provider are accepted", Fix: "name the one provider by its ARN"},
		{ID: AnyoneAssumes, Meaning: "principals without a token may assume the role, with any tags", Fix: "trust only the OIDC provider"},
		{ID: PublicAllow, Meaning: "an Allow for every principal", Fix: "name the role"},
		{ID: OtherPrincipal, Meaning: "a principal that is not a role can access a tenant's prefix; anyone who may tag users can then choose the tenant", Fix: "name the one role by its ARN"},
		{ID: HTTPAllowed, Meaning: "plain http is allowed", Fix: "deny every principal s3:* on the bucket and its objects with Bool aws:SecureTransport \"false\""},
		{ID: ExcessAction, Meaning: "an action that no tenant needs", Fix: "remove it"},
		{ID: NotElement, Meaning: "an Allow with NotAction, NotResource or NotPrincipal", Fix: "name what is allowed: Action, Resource, Principal"},
		{ID: OldVersion, Meaning: "a policy version without variables, which are plain text there", Fix: "write \"Version\": \"2012-10-17\""},
		{ID: OtherBucket, Meaning: "a policy that does not concern the bucket that --bucket names", Fix: "correct --bucket, or omit the file"},
		{ID: UnseenPolicy, Meaning: "a policy of the role that was not given", Fix: "fetch it too: aws iam get-account-authorization-details without --filter"},
		{ID: RGWNull, Meaning: "Null at an RGW, which reads it as \"must be absent\" whatever its value: untagged sessions are admitted and tagged ones refused", Fix: "write StringLike with ?* for the tag instead"},
		{ID: RGWVariable, Meaning: "a variable, which an RGW supports neither in a resource nor inside a value", Fix: "use a pair of statements for each tenant: vault policy aws --dialect rgw"},
	}
}
