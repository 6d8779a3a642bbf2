package tencent

import (
	"strings"

	"github.com/objectvault/objectvault/internal/text"
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

// Language is the policy language of CAM (598/10603).
type Language struct{}

// Syntax implements [policy.Language].
func (Language) Syntax() *policy.Syntax { return syntax }

// version is the only version of CAM's policy language.
const version = "2.0"

// The samples of CAM write names in upper and lower case, but its console accepts only lower case.
var syntax = &policy.Syntax{
	LowerCase: true,
	Aliases:   map[string]string{"id": "Sid", "not_principal": "NotPrincipal", "not_action": "NotAction", "not_resource": "NotResource"},
	Versions:  []string{version},
	Kinds:     []string{"qcs", "federated", "service"},
	IfExists:  "_if_exist",
	Sets:      []string{"for_all_value", "for_any_value"},
	Operators: []string{ // 598/10608
		"string_equal", "string_not_equal", "string_equal_ignore_case", "string_not_equal_ignore_case", "string_like", "string_not_like",
		"numeric_equal", "numeric_not_equal", "numeric_greater_than", "numeric_greater_than_equal", "numeric_less_than", "numeric_less_than_equal",
		"date_equal", "date_not_equal", "date_greater_than", "date_greater_than_equal", "date_less_than", "date_less_than_equal",
		"bool_equal", "ip_equal", "ip_not_equal", "null_equal",
	},
	// CAM always accepts lists. The manuals write a single boolean or number without a list.
	Single: func(operator string) bool {
		return strings.HasPrefix(operator, "bool_") || strings.HasPrefix(operator, "numeric_")
	},
	Assumes:  func(action string) bool { return strings.HasPrefix(strings.TrimPrefix(action, "name/"), "sts:") },
	Envelope: "Response",               // in responses of the API; tccli removes it
	Lists:    []string{"List", "Data"}, // DescribeRoleList
	Holders: []policy.Holder{
		{Name: "RoleInfo", Inner: "PolicyDocument", Part: policy.TrustPolicy}, // GetRole
		{Name: "PolicyDocument"}, // GetPolicy, and the input of CreateRole and CreatePolicy
		{Name: "PolicyVersion", Inner: "Document", Part: policy.RolePolicy}, // GetPolicyVersion
		{Name: "Document", Part: policy.RolePolicy},                         // its --filter PolicyVersion
		{Name: "Policy", Part: policy.BucketPolicy},                         // GET ?policy, of SDKs
	},
	Known:    []string{"oidc_provider", "role_name", "role_arn", "lifecycle", "versioning", "strict_signature", "audit", "commands", "comments", "notes"},
	OriginOf: originOf,
}

// originOf returns the owner of the policy in an object of a response.
func originOf(v *policy.Value) policy.Origin {
	o := policy.Origin{Name: v.StringOf("PolicyName")}
	if name := v.StringOf("RoleName"); name != "" {
		o.Owner = "role/" + name
		if arn := v.StringOf("RoleArn"); policy.ShortName(arn) == o.Owner {
			o.Owner = arn
		}
	}
	return o
}

// decoder decodes the characters that the expressions below contain.
var decoder = strings.NewReplacer("%25", "%", "%22", `"`, "%3A", ":", "%3a", ":", "%20", " ", "%5C", `\`, "%5c", `\`)

var (
	hasVersion = text.NewRegexp(`(?i)"version\\*"\s*:\s*\\*"2\.0\\*"`)
	hasName    = text.NewRegexp(`"statement\\*"\s*:|"IdentityUrl"\s*:|"RoleInfo"\s*:`)
)

// Recognise reports whether data looks like a document of Tencent Cloud: it has version
// 2.0, or names in lower case. Documents of AWS have neither. [Parse] reports errors in it.
func Recognise(data []byte) bool {
	text := string(data[:min(len(data), policy.MaxSize)])
	for range 3 { // the text may be encoded several times, and a % may be literal
		text = decoder.Replace(text)
	}
	return hasVersion.MatchString(text) || hasName.MatchString(text)
}

// Parse returns the policies in data. The data may contain policies, [Documents] as JSON, and the
// responses of CAM GetRole, DescribeRoleList, GetPolicy and GetPolicyVersion, and of COS GET
// ?policy. A response may be reduced with --filter. The data may contain several of these, or lists
// of them, and may be URL-encoded. The name of the file is used in messages. Errors wrap
// [policy.ErrDocument].
func Parse(file string, data []byte) ([]Document, error) { return policy.Parse[Language](file, data) }

func conditions(s Statement) []policy.Condition { return syntax.Conditions(s) }

// requires reports whether the condition is true only if its key exists and has one of the values.
// A negated operator of CAM also requires the key, but excludes the values.
func requires(c policy.Condition) bool {
	return !strings.Contains(c.Base, "_not_") && !c.IfExists && c.Set != "for_all_value" && c.Base != "null_equal"
}

// wild reports whether * in a value is a wildcard.
func wild(c policy.Condition) bool { return c.Base == "string_like" || c.Base == "string_not_like" }
