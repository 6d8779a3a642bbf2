package tencent

// A Hole is a way in which policies let a tenant reach another one's objects, or the
// operator lose hold of them.
type Hole struct {
	ID  string // stable
	Is  string // what it is, in a line
	Fix string // what to do
}

// The ids of the holes. Where package policy of AWS knows the same hole, the id is the
// same.
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
)

// Holes returns all that [Check] looks for.
func Holes() []Hole {
	return []Hole{
		{ListWithoutPrefix, "a list without a condition on cos:prefix", "put GetBucket in a statement of its own with string_like cos:prefix bots%2FTENANT%2F*"},
		{ListPrefixWide, "a list whose cos:prefix reaches other tenants", "let cos:prefix start with bots%2FTENANT%2F"},
		{PrefixNotEncoded, "a cos:prefix that is not URL-encoded, which is compared with one that is", "write bots%2FTENANT%2F*, with %2F for each /"},
		{OpenPrefix, "a prefix that does not end its tenant with /", "write / after the tenant, %2F in cos:prefix: 0xab* is also 0xabc"},
		{BroadAllow, "an allow that reaches every tenant's objects", "allow only bots/TENANT/* of one bucket"},
		{BroadAction, "an action with a wildcard", "name each action: name/cos:* is also PutObjectACL and PutBucketPolicy"},
		{ExcessAction, "an action that no tenant needs", "drop it"},
		{UnboundPrefix, "one role or principal for the prefixes of several tenants", "give each tenant a role: no tag or variable tells sessions apart at Tencent"},
		{OtherVariable, "a variable, which COS takes for plain text", "write the tenant out: no variable works in a COS path, and no claim of a token becomes one"},
		{WrongOwner, "a resource of uin/, or of no owner, where COS wants the APPID", "write qcs::cos:REGION:uid/APPID:BUCKET-APPID/…"},
		{IfExistsOperator, "an operator with _if_exist, which is true where the key is missing", "drop _if_exist"},
		{SetOperator, "for_all_value, which is true where the key is missing", "drop it: these keys have one value"},
		{NoIssuer, "no condition on oidc:iss", "add string_equal oidc:iss with the issuer"},
		{WrongIssuer, "another issuer, or a pattern of issuers", "compare oidc:iss with the tokens' iss, by string_equal"},
		{NoAudience, "tokens for any audience", "add string_equal oidc:aud"},
		{WrongAudience, "another audience, or a pattern of audiences", "compare oidc:aud with the tokens' aud, by string_equal"},
		{NoSubject, "every token of the issuer may assume the role", "add string_equal oidc:sub with the tenant's subject"},
		{WildcardSubject, "a subject with a wildcard, or in any case of letters", "write each subject out, with string_equal"},
		{SharedSubject, "one subject for the roles of several tenants", "give each tenant a subject of its own: whoever has the token may assume either role"},
		{AnyProvider, "tokens of any provider", "name the one provider: qcs::cam::uin/UIN:oidc-provider/NAME"},
		{AnyoneAssumes, "somebody without a token may assume the role", "trust the OIDC provider and nobody else, for AssumeRoleWithWebIdentity alone"},
		{PublicAllow, "an allow for anyone, which COS gives to each tenant too", "drop it: grant on the roles"},
		{PublicHeader, "writes that may make their object public by a header", "deny PutObject and InitiateMultipartUpload with string_not_equal cos:x-cos-acl private, and with string_like * for each cos:x-cos-grant-…"},
		{RolePrincipal, "a role in a bucket policy, where COS does not say that it knows roles", "grant on the role itself"},
		{HTTPAllowed, "plain http", "add bool_equal cos:secure-transport true to each allow"},
		{NotElement, "an allow of all but something", "name what is allowed: action, resource, principal"},
	}
}
