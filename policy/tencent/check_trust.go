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
			// Whether AssumeRole works for tokens is not known, so it is judged as if it did.
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

// shared looks for subjects of the same issuer that another tenant's role trusts, too.
func (c *checker) shared(s Statement) {
	t := policy.Trusted{Role: c.tenantOf(c.roles[c.Nth])}
	for _, cond := range conditions(s) {
		if cond.Base != "string_equal" && cond.Base != "string_like" || !requires(cond) {
			continue
		}
		for _, v := range cond.Values {
			switch {
			case wild(cond) && strings.Contains(v, "*"): // no single one, and a weakness of its own
			case cond.Key == "oidc:sub":
				t.Subjects = append(t.Subjects, v)
			case cond.Key == "oidc:iss":
				t.Issuers = append(t.Issuers, v)
			}
		}
	}
	if subject, other := t.Shared(c.trusted); subject != "" {
		c.Report(SharedSubject, "%s assumes the roles of %s and %s", policy.Quote(subject), other, t.Role)
	}
	c.trusted = append(c.trusted, t)
}

// claim checks the condition on a claim.
func (c *checker) claim(s Statement, key, want, none, wrong string) {
	held := slices.DeleteFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key != key || !requires(cond) || !strings.HasPrefix(cond.Base, "string_")
	})
	if len(held) == 0 {
		c.Report(none, "")
	}
	c.Narrow(held, func(cond policy.Condition, v string) (id, details string) {
		loose := v == "" || cond.Base == "string_equal_ignore_case" || wild(cond) && strings.Contains(v, "*") || strings.Contains(v, "${")
		if loose || want != "" && v != want {
			return wrong, key + " " + policy.Quote(v)
		}
		return "", ""
	})
}
