package tencent

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// trust looks at an allow of a trust policy.
func (c *checker) trust(s Statement) {
	const assume = "sts:AssumeRoleWithWebIdentity"
	assumes := s.NotAction != nil
	for _, a := range s.Action {
		switch name := strings.TrimPrefix(a, "name/"); {
		case name == assume:
			assumes = true
		case strings.Contains(a, "*"):
			c.hole(BroadAction, "%s", a)
			assumes = assumes || glob(name, assume)
		default:
			// Whether AssumeRole works for tokens is not known, so it is judged as if it did.
			c.hole(ExcessAction, "%s", a)
			assumes = assumes || strings.HasPrefix(name, "sts:AssumeRole")
		}
	}
	federated := s.Principal["federated"]
	switch {
	case isPublic(s.Principal):
		c.hole(AnyoneAssumes, "")
	case s.Principal != nil && (federated == nil || len(s.Principal) > 1):
		c.hole(AnyoneAssumes, "%s", policy.Compact(s.Principal))
	}
	for _, f := range federated {
		if _, name, ok := strings.Cut(f, ":oidc-provider/"); !ok || name == "" || strings.ContainsAny(f, "*$") {
			c.hole(AnyProvider, "%s", f)
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

// shared looks for subjects that another tenant's role trusts, too. Of a document that
// does not say whose role it is nothing can be told.
func (c *checker) shared(s Statement) {
	if c.doc.Tenant == "" {
		return
	}
	for _, cond := range s.Condition.list() {
		if cond.key != "oidc:sub" || cond.base != "string_equal" && cond.base != "string_like" || !cond.requires() {
			continue
		}
		for _, v := range cond.values {
			if cond.wild() && strings.Contains(v, "*") {
				continue // no single subject, and a hole of its own
			}
			if other, ok := c.subjects[v]; ok && other != c.doc.Tenant {
				c.hole(SharedSubject, "%s assumes the roles of %s and %s", policy.Quote(v), other, c.doc.Tenant)
			}
			c.subjects[v] = c.doc.Tenant
		}
	}
}

// claim judges what is asked of a claim. Conditions must all hold, so one that is exact
// is enough.
func (c *checker) claim(s Statement, key, want, none, wrong string) {
	found, exact := false, false
	worst := func() {}
	for _, cond := range s.Condition.list() {
		if cond.key != key || !cond.requires() || !strings.HasPrefix(cond.base, "string_") {
			continue
		}
		found = true
		loose := slices.IndexFunc(cond.values, func(v string) bool {
			return v == "" || cond.base == "string_equal_ignore_case" || cond.wild() && strings.Contains(v, "*") || strings.Contains(v, "${") || want != "" && v != want
		})
		if loose < 0 {
			exact = true
			continue
		}
		v := cond.values[loose]
		worst = func() { c.hole(wrong, "%s %s", key, policy.Quote(v)) }
	}
	switch {
	case !found:
		c.hole(none, "")
	case !exact:
		worst()
	}
}
