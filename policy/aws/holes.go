package aws

// A Hole is a way in which policies let a tenant reach another one's objects, or the
// operator lose hold of them.
type Hole struct {
	ID  string // stable
	Is  string // what it is, in a line
	Fix string // what to do
}

// The ids of the holes.
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
	IfExistsOperator  = "if_exists"
	SetOperator       = "set_operator"
	NoAudience        = "no_audience"
	WrongAudience     = "wrong_audience"
	NoSubject         = "no_subject"
	WildcardSubject   = "wildcard_subject"
	AnyProvider       = "any_provider"
	AnyoneAssumes     = "anyone_assumes"
	PublicAllow       = "public_allow"
	OtherPrincipal    = "other_principal"
	HTTPAllowed       = "http_allowed"
	ExcessAction      = "excess_action"
	NotElement        = "not_element"
	OldVersion        = "old_version"
	RGWNull           = "rgw_null"
	RGWVariable       = "rgw_variable"
)

// Holes returns all that [Check] looks for.
func Holes() []Hole {
	return []Hole{
		{ListWithoutPrefix, "a list without a condition on s3:prefix", "put ListBucket in a statement of its own with StringLike s3:prefix bots/${aws:PrincipalTag/TAG}/*"},
		{ListPrefixWide, "a list whose s3:prefix reaches other tenants", "let s3:prefix start with bots/${aws:PrincipalTag/TAG}/"},
		{OpenPrefix, "a prefix that does not end its tenant with /", "write / after the tenant: 0xab* is also 0xabc"},
		{BroadAllow, "an allow that reaches every tenant's objects, whatever else is written", "allow only bots/${aws:PrincipalTag/TAG}/* of one bucket"},
		{UnboundPrefix, "one tenant's prefix, open to sessions of another", "add StringEquals aws:PrincipalTag/TAG with this tenant, or give each tenant a role"},
		{OtherVariable, "a prefix made from something other than the tenant's tag", "use ${aws:PrincipalTag/TAG}, with nothing in it that stands for a missing tag"},
		{NegatedMissing, "a negated operator, which is true where the key is missing", "add Null with \"false\" for the same key, or compare with StringEquals or StringLike"},
		{NoTagSession, "tags are asked for, and sts:TagSession is not allowed", "allow sts:TagSession beside sts:AssumeRoleWithWebIdentity"},
		{NoTagGuard, "no condition that the tag is there", "add Null with \"false\" for the tag; at an RGW, StringLike with ?*"},
		{InvertedNull, "Null \"true\", which admits those without the tag", "write \"false\": it means that the key is not missing"},
		{WildcardTag, "tag values that stand for other tenants", "refuse them in the trust policy: StringNotLike aws:RequestTag/TAG [\"*/*\", \"*${*}*\", \"*${?}*\"]"},
		{IfExistsOperator, "an operator with IfExists, which is true where the key is missing", "drop IfExists"},
		{SetOperator, "ForAllValues, which is true where the key is missing, or ForAnyValue with a negation", "drop it: these keys have one value"},
		{NoAudience, "tokens for any audience", "add StringEquals ISSUER:aud"},
		{WrongAudience, "another audience, or another issuer's", "compare ISSUER:aud of this provider with the tokens' aud, by StringEquals"},
		{NoSubject, "every token of the issuer may assume the role", "add StringEquals ISSUER:sub with the tenant's subject, or isolate by tag"},
		{WildcardSubject, "a subject with a wildcard", "write each subject out, with StringEquals"},
		{AnyProvider, "tokens of any provider", "name the one provider by its ARN"},
		{AnyoneAssumes, "somebody without a token may assume the role, with tags of his choice", "trust the OIDC provider and nobody else"},
		{PublicAllow, "an allow for everybody", "name the role"},
		{OtherPrincipal, "a tenant's prefix, for somebody other than a role: whoever tags users chooses the tenant", "name the one role by its ARN"},
		{HTTPAllowed, "plain http", "deny everybody s3:* on the bucket and its objects with Bool aws:SecureTransport \"false\""},
		{ExcessAction, "an action that no tenant needs", "drop it"},
		{NotElement, "an allow of all but something", "name what is allowed: Action, Resource, Principal"},
		{OldVersion, "a version without variables: they are plain text", "write \"Version\": \"2012-10-17\""},
		{RGWNull, "Null at an RGW, which reads it as must-be-absent, whatever the value: it admits the untagged and refuses the tagged", "write StringLike with ?* for the tag instead"},
		{RGWVariable, "a variable at an RGW, which takes none in a resource and none inside a value", "write a statement pair per tenant: vault policy aws --dialect rgw"},
	}
}
