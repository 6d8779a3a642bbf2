package tencent

import (
	"regexp"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// Names of package policy for programs that use this package.
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

// version is the only one that CAM has.
const version = "2.0"

// CAM's own samples write names in any case, and its console insists on lower case.
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
	// Every reader of CAM accepts lists. The manuals write booleans and numbers without one.
	Single: func(operator string) bool {
		return strings.HasPrefix(operator, "bool_") || strings.HasPrefix(operator, "numeric_")
	},
	Assumes:  func(action string) bool { return strings.HasPrefix(strings.TrimPrefix(action, "name/"), "sts:") },
	Envelope: "Response",               // of the API; tccli removes it
	Lists:    []string{"List", "Data"}, // DescribeRoleList
	Holders: []policy.Holder{
		{Name: "RoleInfo", Inner: "PolicyDocument", Part: policy.TrustPolicy}, // GetRole
		{Name: "PolicyDocument"}, // GetPolicy, and the input of CreateRole and CreatePolicy
		{Name: "PolicyVersion", Inner: "Document", Part: policy.RolePolicy}, // GetPolicyVersion
		{Name: "Document", Part: policy.RolePolicy},                         // its --filter PolicyVersion
		{Name: "Policy", Part: policy.BucketPolicy},                         // GET ?policy, of SDKs
	},
	Known:    []string{"oidc_provider", "role_name", "role_arn", "lifecycle", "versioning", "strict_signature", "commands", "comments", "notes"},
	OriginOf: originOf,
}

// originOf returns whose policy an object of a response contains.
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

// decoder decodes what the expressions below look for.
var decoder = strings.NewReplacer("%25", "%", "%22", `"`, "%3A", ":", "%3a", ":", "%20", " ", "%5C", `\`, "%5c", `\`)

var (
	hasVersion = regexp.MustCompile(`(?i)"version\\*"\s*:\s*\\*"2\.0\\*"`)
	hasName    = regexp.MustCompile(`"statement\\*"\s*:|"IdentityUrl"\s*:|"RoleInfo"\s*:`)
)

// Recognise reports whether data looks like a document of Tencent Cloud: it has version
// 2.0, or names in lower case. Documents of AWS have neither. [Parse] reports errors in it.
func Recognise(data []byte) bool {
	text := string(data[:min(len(data), policy.MaxSize)])
	for range 3 { // encoded, perhaps more than once; there may be a % that encodes nothing
		text = decoder.Replace(text)
	}
	return hasVersion.MatchString(text) || hasName.MatchString(text)
}

// Parse returns the policies in data: policies on their own, responses of CAM GetRole,
// DescribeRoleList, GetPolicy and GetPolicyVersion and of COS GET ?policy, as a whole or what
// --filter takes from them, URL-encoded or not, lists of these, several one after the other, or
// [Documents] as JSON. The name of the file is for messages. Errors wrap [policy.ErrDocument].
func Parse(file string, data []byte) ([]Document, error) { return policy.Parse[Language](file, data) }

func conditions(s Statement) []policy.Condition { return syntax.Conditions(s) }

// requires reports whether the condition needs its key, and one of its values. A negated
// operator of CAM needs the key too, but excludes its values.
func requires(c policy.Condition) bool {
	return !strings.Contains(c.Base, "_not_") && !c.IfExists && c.Set != "for_all_value" && c.Base != "null_equal"
}

// wild reports whether * in a value is a wildcard.
func wild(c policy.Condition) bool { return c.Base == "string_like" || c.Base == "string_not_like" }
