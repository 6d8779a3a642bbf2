package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// Aliases of names of package policy, so that programs need not import it.
type (
	Document        = policy.Document[Language]
	Policy          = policy.Policy[Language]
	Statement       = policy.Statement
	Tenant          = policy.Tenant
	TenantDocuments = policy.TenantDocuments[Language]
	Finding         = policy.Finding
)

// Language is the policy language of IAM.
type Language struct{}

// Syntax implements [policy.Language].
func (Language) Syntax() *policy.Syntax { return syntax }

var syntax = &policy.Syntax{
	Versions: []string{"2012-10-17", "2008-10-17"},
	Kinds:    []string{"AWS", "Federated", "Service", "CanonicalUser"},
	IfExists: "IfExists",
	Sets:     []string{"ForAllValues", "ForAnyValue"},
	Operators: []string{
		"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
		"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
		"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
		"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike",
	},
	Plain:   []string{"Null"},
	Single:  func(string) bool { return true },
	Assumes: func(action string) bool { return strings.HasPrefix(strings.ToLower(action), "sts:") },
	Lists:   []string{"Roles", "InstanceProfiles", "InstanceProfile"},
	Holders: []policy.Holder{
		{Name: "Role", Inner: "AssumeRolePolicyDocument", Part: policy.TrustPolicy}, // get-role, create-role
		{Name: "AssumeRolePolicyDocument", Part: policy.TrustPolicy},                // list-roles; at an RGW, radosgw-admin role get
		{Name: "PolicyDocument", Part: policy.RolePolicy},                           // get-role-policy, get-user-policy, get-group-policy
		{Name: "PolicyVersion", Inner: "Document", Part: policy.RolePolicy},         // get-policy-version
		{Name: "Document", Part: policy.RolePolicy},                                 // its --query PolicyVersion
		{Name: "Permission policy", Part: policy.RolePolicy},                        // radosgw-admin role-policy get
		{Name: "Policy", Part: policy.BucketPolicy},                                 // get-bucket-policy
	},
	Known: []string{"oidc_provider", "role_name", "role_arn", "lifecycle", "public_access_block", "versioning", "audit", "commands", "comments", "notes",
		"LoggingEnabled", "Trail", "trailList", "TrailARN", "EventSelectors", "AdvancedEventSelectors"},
	OriginOf:  originOf,
	IsAccount: isAccount,
	Account:   accountPolicies,
}

// Parse returns the policies in data. The data may contain policies, [Documents] as JSON, and the
// responses of iam get-role, get-role-policy, get-policy-version, list-roles and
// get-account-authorization-details, and of s3api get-bucket-policy. A response may be reduced with
// --query. The data may contain several of these, or lists of them, and may be URL-encoded. The
// name of the file is used in messages. Errors wrap [policy.ErrDocument].
func Parse(file string, data []byte) ([]Document, error) { return policy.Parse[Language](file, data) }

func conditions(s Statement) []policy.Condition { return syntax.Conditions(s) }

// negated reports whether the operator is negated. A negated operator is true if its key is
// missing.
func negated(c policy.Condition) bool { return strings.Contains(c.Base, "Not") }

// requires reports whether the condition is false if its key is missing.
func requires(c policy.Condition) bool {
	return !negated(c) && !c.IfExists && c.Set != "ForAllValues" && c.Base != "Null"
}

// compares reports whether the operator compares a text with each value. Other operators compare
// ranges of numbers or times, for example.
func compares(c policy.Condition) bool {
	return strings.HasPrefix(c.Base, "String") || strings.HasPrefix(c.Base, "Arn")
}

// wild reports whether * and ? in a value are wildcards.
func wild(c policy.Condition) bool {
	return slices.Contains([]string{"StringLike", "StringNotLike", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"}, c.Base)
}

// exact reports whether the condition is true only for exactly one of its values. ForAnyValue makes
// no difference if the key has one value.
func exact(c policy.Condition) bool {
	return requires(c) && (c.Base == "StringEquals" || c.Base == "StringLike" && !slices.ContainsFunc(c.Values, func(v string) bool {
		_, plain := literalText(tokens(v, true))
		return !plain
	}))
}

// ignoresCase reports whether the values are compared without regard to case.
func ignoresCase(c policy.Condition) bool { return c.Base == "StringEqualsIgnoreCase" }

// isNull reports whether the condition is Null with the given value.
func isNull(c policy.Condition, value string) bool {
	return c.Base == "Null" && slices.ContainsFunc(c.Values, func(v string) bool { return strings.EqualFold(v, value) })
}
