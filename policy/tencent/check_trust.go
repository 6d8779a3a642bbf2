package tencent

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// trust checks an allow of a trust policy.
func (c *checker) trust(s Statement) {
	const assume = "sts:AssumeRoleWithWebIdentity"
	assumes := s.NotAction != nil
	for _, a := range s.Action {
		switch name := strings.TrimPrefix(a, "name/"); {
		case name == assume:
			assumes = true
		case strings.Contains(a, "*"):
			c.Report(BroadAction, "%s", a)
			assumes = assumes || glob(name, assume)
		default:
			// It is not known whether AssumeRole accepts tokens, so it is checked as if it did.
			c.Report(ExcessAction, "%s", a)
			assumes = assumes || strings.HasPrefix(name, "sts:AssumeRole")
		}
	}
	federated := s.Principal["federated"]
	switch {
	case isPublic(s.Principal):
		c.Report(AnyoneAssumes, "")
	case s.Principal != nil && (federated == nil || len(s.Principal) > 1):
		c.Report(AnyoneAssumes, "%s", policy.Compact(s.Principal))
	}
	for _, f := range federated {
		if _, name, ok := strings.Cut(f, ":oidc-provider/"); !ok || name == "" || strings.ContainsAny(f, "*$") {
			c.Report(AnyProvider, "%s", f)
		}
	}
	if !assumes {
		return
	}
	c.claim(s, "oidc:iss", c.o.Issuer, NoIssuer, WrongIssuer)
	c.claim(s, "oidc:aud", c.o.Audience, NoAudience, WrongAudience)
	c.claim(s, "oidc:sub", "", NoSubject, WildcardSubject)
	c.shared(s)
}

// shared checks whether another tenant's role trusts the same subject of the same issuer.
func (c *checker) shared(s Statement) {
	t := policy.Trusted{Role: c.tenantOf(c.roles[c.Nth])}
	for _, cond := range conditions(s) {
		if cond.Base != "string_equal" && cond.Base != "string_like" || !requires(cond) {
			continue
		}
		for _, v := range cond.Values {
			switch {
			case wild(cond) && strings.Contains(v, "*"): // matches several subjects; claim reports this
			case cond.Key == "oidc:sub":
				t.Subjects = append(t.Subjects, v)
			case cond.Key == "oidc:iss":
				t.Issuers = append(t.Issuers, v)
			}
		}
	}
	if subject, other := t.Shared(c.trusted); subject != "" {
		c.Report(SharedSubject, "a token with %s can assume the roles of %s and %s", policy.Quote(subject), other, t.Role)
	}
	c.trusted = append(c.trusted, t)
}

// claim checks the condition on a claim. It reports missing if there is no condition, and wrong if
// the condition accepts another value than expected. If expected is empty, any single value is
// correct.
func (c *checker) claim(s Statement, key, expected, missing, wrong string) {
	required := slices.DeleteFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key != key || !requires(cond) || !strings.HasPrefix(cond.Base, "string_")
	})
	if len(required) == 0 {
		c.Report(missing, "")
	}
	c.Narrow(required, func(cond policy.Condition, v string) (id, details string) {
		loose := v == "" || cond.Base == "string_equal_ignore_case" || wild(cond) && strings.Contains(v, "*") || strings.Contains(v, "${")
		if loose || expected != "" && v != expected {
			return wrong, key + " " + policy.Quote(v)
		}
		return "", ""
	})
}
