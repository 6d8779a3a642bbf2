package aws

import (
	"errors"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/policy"
)

// originOf returns the owner of a policy in an object of a response.
func originOf(v *policy.Value) policy.Origin {
	o := policy.Origin{Name: v.StringOf("PolicyName")}
	for _, kind := range []struct{ member, prefix string }{{"RoleName", "role/"}, {"UserName", "user/"}, {"GroupName", "group/"}} {
		if name := v.StringOf(kind.member); name != "" {
			o.Owner = kind.prefix + name
			if arn := v.StringOf("Arn"); policy.ShortName(arn) == o.Owner {
				o.Owner = arn
			}
			break
		}
	}
	return o
}

// Members of the response of iam get-account-authorization-details, and of the lists in it, which
// --query can select.
var (
	accountLists   = []string{"UserDetailList", "GroupDetailList", "RoleDetailList"}
	accountMembers = []string{"RolePolicyList", "UserPolicyList", "GroupPolicyList", "PolicyVersionList", "AttachedManagedPolicies"}
)

func isAccount(v *policy.Value) bool {
	if p := v.Get("Policies"); p != nil && p.Kind == '[' {
		return true
	}
	return slices.ContainsFunc(slices.Concat(accountLists, accountMembers), func(name string) bool { return v.Get(name) != nil })
}

// An account collects the response from all its pages.
type account struct {
	roles, users, groups []*policy.Value
	managed              map[string]*policy.Value // ARN → the default version of a managed policy
	arns                 []string                 // of managed, in their order
	attached             map[string]bool
	sources              []policy.Source
}

// accountPolicies returns the policies of each role and user, including those of a user's groups.
func accountPolicies(pages []*policy.Value) ([]policy.Source, error) {
	a := &account{managed: make(map[string]*policy.Value), attached: make(map[string]bool)}
	cut := false
	for _, page := range pages {
		more := page.Get("IsTruncated")
		cut = more != nil && more.Text == "true" || page.StringOf("NextToken") != ""
		a.collect(page)
	}
	if cut {
		return nil, errors.New("the response is truncated: get the account's details without --max-items, or add the other pages")
	}
	for _, role := range a.roles {
		o := originOf(role)
		o.Whole = true
		if trust := role.Get("AssumeRolePolicyDocument"); trust != nil {
			a.sources = append(a.sources, policy.Source{Part: policy.TrustPolicy, Origin: o, Policy: trust})
		}
		a.policies(o, role, "RolePolicyList")
	}
	grouped := make(map[string]bool)
	for _, user := range a.users {
		o := originOf(user)
		o.Whole = true
		a.policies(o, user, "UserPolicyList")
		for _, name := range elements(user, "GroupList") {
			grouped[name.Text] = true
			for _, group := range a.groups {
				if group.StringOf("GroupName") == name.Text {
					a.policies(o, group, "GroupPolicyList")
				}
			}
		}
	}
	for _, group := range a.groups {
		if name := group.StringOf("GroupName"); !grouped[name] {
			o := originOf(group)
			o.Whole = true
			a.policies(o, group, "GroupPolicyList")
		}
	}
	for _, arn := range a.arns {
		if !a.attached[arn] && (len(a.roles)+len(a.users)+len(a.groups) == 0) { // --filter or --query selected only managed policies
			a.sources = append(a.sources, policy.Source{Part: policy.RolePolicy, Origin: policy.Origin{Owner: arn}, Policy: a.managed[arn]})
		}
	}
	return a.sources, nil
}

// elements returns the elements of a list.
func elements(v *policy.Value, name string) []*policy.Value {
	if l := v.Get(name); l != nil {
		return l.Array
	}
	return nil
}

// collect adds a page, or one element of one of its lists.
func (a *account) collect(page *policy.Value) {
	a.users = append(a.users, elements(page, "UserDetailList")...)
	a.groups = append(a.groups, elements(page, "GroupDetailList")...)
	a.roles = append(a.roles, elements(page, "RoleDetailList")...)
	managed := elements(page, "Policies")
	switch {
	case page.Get("PolicyVersionList") != nil:
		managed = append(managed, page)
	case page.StringOf("RoleName") != "":
		a.roles = append(a.roles, page)
	case page.StringOf("UserName") != "":
		a.users = append(a.users, page)
	case page.StringOf("GroupName") != "":
		a.groups = append(a.groups, page)
	}
	for i, p := range managed {
		arn := p.StringOf("Arn")
		if arn == "" {
			arn = fmt.Sprintf("policy/%s%d", p.StringOf("PolicyName"), i)
		}
		for _, version := range elements(p, "PolicyVersionList") {
			isDefault := version.Get("IsDefaultVersion")
			if doc := version.Get("Document"); doc != nil && (isDefault == nil || isDefault.Text == "true") {
				if a.managed[arn] == nil {
					a.arns = append(a.arns, arn)
				}
				a.managed[arn] = doc
			}
		}
	}
}

// policies adds the inline policies of a role, user or group, and the managed policies that are
// attached to it.
func (a *account) policies(o policy.Origin, v *policy.Value, inline string) {
	for _, p := range elements(v, inline) {
		o.Name = p.StringOf("PolicyName")
		if doc := p.Get("PolicyDocument"); doc != nil {
			a.sources = append(a.sources, policy.Source{Part: policy.RolePolicy, Origin: o, Policy: doc})
		}
	}
	for _, p := range elements(v, "AttachedManagedPolicies") {
		arn := p.StringOf("PolicyArn")
		o.Name = p.StringOf("PolicyName")
		a.attached[arn] = true
		unseen := o
		unseen.Unseen = a.managed[arn] == nil
		a.sources = append(a.sources, policy.Source{Part: policy.RolePolicy, Origin: unseen, Policy: a.managed[arn]})
	}
}
