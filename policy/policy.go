// Package policy contains what the policy languages of AWS and Tencent Cloud have in
// common: a JSON reader that keeps positions, policy documents, the skeleton of a checker,
// the checks of options, and a Terraform writer.
//
// Programs generate and check policies with one of the dialects, package aws (IAM, S3 and Ceph
// RADOS Gateway) and package tencent (CAM and COS). A dialect describes in a [Syntax] how its
// documents are written. It defines its own operators, its own generator, and the weaknesses that
// its checker detects, because the two languages give different meanings to actions, resources and
// conditions.
//
// The packages do no I/O and import no SDK.
package policy

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// ErrDocument means that a document is not a policy, or has an unknown form. The whole document
// is rejected, because a checker cannot judge elements that it does not know.
var ErrDocument = errors.New("malformed policy")

// ErrNoPolicy means that a file contains no policy. The error of a parser that wraps it also wraps
// [ErrDocument].
var ErrNoPolicy = errors.New("it contains no policy")

// A Language is an empty type that represents a policy language. Documents of different
// languages have different types.
type Language interface{ Syntax() *Syntax }

// A Syntax describes how the documents of a language are written.
type Syntax struct {
	// LowerCase means that names are written in lower case, and compared without regard to case
	// when they are read. Otherwise they are written and compared as in the manuals of IAM.
	LowerCase bool
	Aliases   map[string]string // other names of elements, in lower case
	Versions  []string          // the known values of Version
	Kinds     []string          // the kinds of principals
	IfExists  string            // suffix of operators that are true if the request does not have the key
	Sets      []string          // the set operators
	Operators []string          // the operators, without suffix and set operator
	Plain     []string          // the operators that have neither suffix nor set operator
	// Single reports whether a single value of an operator is written without a list.
	Single func(operator string) bool
	// Assumes reports whether an action belongs to the service that assumes roles.
	Assumes func(action string) bool

	Envelope string   // the member around a response of the cloud's API; empty: none
	Lists    []string // the members of responses that contain objects with policies
	Holders  []Holder // the members of responses that contain policies
	Known    []string // the members of generated documents that contain no policies
	// OriginOf returns the owner and the name of the policy in an object of a response. It may
	// be nil.
	OriginOf func(v *Value) Origin
	// IsAccount reports whether an object of a response describes an account and contains all policies
	// of its roles. Account returns the policies in such objects. Both may be nil.
	IsAccount func(v *Value) bool
	Account   func(all []*Value) ([]Source, error)
}

// A Holder is a member that contains a policy in a response of a cloud.
type Holder struct {
	Name  string
	Inner string // empty: the policy is the member Name itself; otherwise it is the member Inner of Name
	Part  Part   // empty: it is determined from the policy
}

// A Part is the kind of a policy in generated documents: trust policy, role policy or bucket
// policy.
type Part string

// The kinds of policies.
const (
	TrustPolicy  Part = "trust_policy"
	RolePolicy   Part = "role_policy"
	BucketPolicy Part = "bucket_policy"
)

// A Document is a policy and its origin.
type Document[L Language] struct {
	File   string // for messages
	Part   Part
	Tenant string // the tenant of a policy in the field "tenants" of generated documents; otherwise empty
	Origin Origin
	Policy *Policy[L]
}

// An Origin describes the source of a document, as far as its file shows it.
type Origin struct {
	Owner  string // the role, user or group that has the policy: its ARN, or role/NAME; empty: unknown
	Name   string // of the policy, if its owner may have several
	Whole  bool   // the file contains every policy of the owner
	Unseen bool   // the file contains only the name of the policy

	label string // distinguishes documents with the same part
}

// Equal always returns true. A comparison of documents, such as that of go-cmp, thus ignores their
// origins.
func (Origin) Equal(Origin) bool { return true }

// ShortName returns KIND/NAME of an ARN, such as role/vault, without account and path.
func ShortName(arn string) string {
	rest := arn[strings.LastIndex(arn, ":")+1:]
	kind, name, ok := strings.Cut(rest, "/")
	if !ok {
		return rest
	}
	switch kind {
	case "assumed-role": // the ARN of a session
		name, _, _ = strings.Cut(name, "/")
		kind = "role"
	case "roleName": // the form of CAM
		kind = "role"
	}
	return kind + "/" + name[strings.LastIndex(name, "/")+1:]
}

// A Policy is a policy document. Its statements keep their order.
type Policy[L Language] struct {
	Version   string
	ID        string
	Statement []Statement
}

// A Statement allows or denies requests. A list that was written as a string has one element.
type Statement struct {
	Sid          string
	Effect       string // Allow or Deny; in a language with lower-case names, allow or deny
	Principal    Principal
	NotPrincipal Principal
	Action       []string
	NotAction    []string
	Resource     []string
	NotResource  []string
	Condition    Conditions
}

// The names of elements, in the order in which they are written.
var (
	policyElements    = []string{"Version", "Id", "Statement"}
	statementElements = []string{"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)

// elements returns pointers to the elements, in the order of statementElements.
func (s *Statement) elements() []any {
	return []any{&s.Sid, &s.Effect, &s.Principal, &s.NotPrincipal, &s.Action, &s.NotAction, &s.Resource, &s.NotResource, &s.Condition}
}

// A Principal contains lists of names by their kind. A principal that is written as "*" is
// [AnyPrincipal].
type Principal map[string][]string

// AnyPrincipal returns the principal "*".
func AnyPrincipal() Principal { return Principal{"*": {"*"}} }

// MarshalJSON returns "*", or lists by kind.
func (p Principal) MarshalJSON() ([]byte, error) {
	if _, all := p["*"]; all {
		return []byte(`"*"`), nil
	}
	return Compact(map[string][]string(p)), nil
}

// Principals returns the kind and name of each principal of the statement, sorted.
func (s Statement) Principals() []string {
	var all []string
	for kind, list := range s.Principal {
		for _, name := range list {
			all = append(all, kind+" "+name)
		}
	}
	slices.Sort(all)
	return all
}

// Conditions contains values by operator and key.
type Conditions map[string]map[string][]string

// A Condition is one key of one operator.
type Condition struct {
	Set      string // the set operator, such as ForAnyValue; or empty
	Base     string // the operator without set operator and suffix
	IfExists bool   // the operator has the suffix [Syntax].IfExists, so a request without the key meets the condition
	Key      string // in lower case
	Values   []string
}

// Conditions returns the conditions of a statement, sorted by key and operator.
func (l *Syntax) Conditions(s Statement) []Condition {
	var all []Condition
	for operator, keys := range s.Condition {
		for key, values := range keys {
			c := l.split(operator)
			c.Key, c.Values = strings.ToLower(key), values
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Condition) int {
		return strings.Compare(a.Key+"\x00"+a.Set+a.Base, b.Key+"\x00"+b.Set+b.Base)
	})
	return all
}

// split splits the name of an operator.
func (l *Syntax) split(operator string) Condition {
	var c Condition
	if set, base, ok := strings.Cut(operator, ":"); ok {
		c.Set, operator = set, base
	}
	c.Base, c.IfExists = strings.CutSuffix(operator, l.IfExists)
	return c
}

// isOperator reports whether the language has the operator.
func (l *Syntax) isOperator(name string) bool {
	c := l.split(name)
	return slices.Contains(l.Plain, name) || slices.Contains(l.Operators, c.Base) && (c.Set == "" || slices.Contains(l.Sets, c.Set))
}

// spell returns a name of IAM's manuals as the language writes it.
func (l *Syntax) spell(name string) string {
	if l.LowerCase {
		return strings.ToLower(name)
	}
	return name
}

func syntaxOf[L Language]() *Syntax {
	var language L
	return language.Syntax()
}

// MarshalJSON returns the policy as the language writes it.
func (p Policy[L]) MarshalJSON() ([]byte, error) {
	l := syntaxOf[L]()
	statements := make([]json.RawMessage, len(p.Statement))
	for i, s := range p.Statement {
		statements[i] = l.object(statementElements, s.Sid, s.Effect, s.Principal, s.NotPrincipal, s.Action, s.NotAction, s.Resource, s.NotResource, l.values(s.Condition))
	}
	return l.object(policyElements, p.Version, p.ID, json.RawMessage(Compact(statements))), nil
}

// object encodes an object from names and values. It leaves out empty values.
func (l *Syntax) object(names []string, values ...any) json.RawMessage {
	var members []string
	for i, v := range values {
		if reflect.ValueOf(v).Len() > 0 {
			members = append(members, string(Compact(l.spell(names[i])))+":"+string(Compact(v)))
		}
	}
	return json.RawMessage("{" + strings.Join(members, ",") + "}")
}

// values returns conditions with single values as the language writes them.
func (l *Syntax) values(c Conditions) map[string]map[string]any {
	all := make(map[string]map[string]any)
	for operator, keys := range c {
		all[operator] = make(map[string]any)
		for key, values := range keys {
			all[operator][key] = values
			if len(values) == 1 && l.Single(operator) {
				all[operator][key] = values[0]
			}
		}
	}
	return all
}

// String returns the policy as JSON on one line without spaces, or "" if p is nil.
func (p *Policy[L]) String() string {
	if p == nil {
		return ""
	}
	return string(Compact(p))
}
