package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// trust checks an allow of a trust policy.
func (c *checker) trust(s Statement) {
	assumes := false
	for _, a := range s.Action {
		switch strings.ToLower(a) {
		case "sts:assumerolewithwebidentity":
			assumes = true
		case "sts:tagsession":
		default:
			c.Report(ExcessAction, "%s", a)
			assumes = assumes || glob(a, "sts:AssumeRoleWithWebIdentity")
		}
	}
	federated := s.Principal["Federated"]
	switch {
	case isPublic(s):
		c.Report(AnyoneAssumes, "")
	case s.Principal != nil && (federated == nil || len(s.Principal) > 1):
		c.Report(AnyoneAssumes, "%s", policy.Compact(s.Principal))
	}
	var keys []string // the trusted issuers, in the form of condition keys
	for _, f := range federated {
		_, host, ok := strings.Cut(f, ":oidc-provider/")
		if !ok || strings.ContainsAny(f, "*?") {
			c.Report(AnyProvider, "%s", f)
			continue
		}
		keys = append(keys, strings.ToLower(host))
	}
	if !assumes && s.NotAction == nil {
		return
	}
	c.audience(s, keys)
	if c.o.Isolation == ByTag {
		c.requestTag(s)
	} else {
		c.subject(s, keys)
	}
}

// audience checks the condition on the token's aud.
func (c *checker) audience(s Statement, issuers []string) {
	found := false
	for _, cond := range conditions(s) {
		issuer, ok := strings.CutSuffix(cond.Key, ":aud")
		if !ok || negated(cond) || !compares(cond) {
			continue
		}
		found = true
		if len(issuers) > 0 && !slices.Contains(issuers, issuer) {
			c.Report(WrongAudience, "%s does not belong to the trusted provider", cond.Key)
		}
		for _, v := range cond.Values {
			if _, plain := literalText(tokens(v, wild(cond))); !plain || v == "" {
				c.Report(WrongAudience, "%s", policy.Quote(v))
			} else if c.o.Audience != "" && v != c.o.Audience {
				c.Report(WrongAudience, "%s, not %s", policy.Quote(v), policy.Quote(c.o.Audience))
			}
		}
	}
	if !found {
		c.Report(NoAudience, "")
	}
}

// subject checks the condition that limits the role to one tenant: the tenant's subject, or one
// exact tag. It also checks whether other roles accept the same token.
func (c *checker) subject(s Statement, issuers []string) {
	required := slices.DeleteFunc(conditions(s), func(cond policy.Condition) bool {
		issuer, isSub := strings.CutSuffix(cond.Key, ":sub")
		isTag := strings.HasPrefix(cond.Key, requestTag) && c.isTagKey(cond.Key)
		return !isSub && !isTag || !requires(cond) || !compares(cond) || isSub && len(issuers) > 0 && !slices.Contains(issuers, issuer)
	})
	if len(required) == 0 {
		c.Report(NoSubject, "")
	}
	c.Narrow(required, func(cond policy.Condition, v string) (id, details string) {
		if ignoresCase(cond) { // shape reports this
			return "", ""
		}
		if _, plain := literalText(tokens(v, wild(cond))); !plain {
			return WildcardSubject, cond.Key + " " + policy.Quote(v)
		}
		return "", ""
	})
	t := policy.Trusted{Role: c.tenantOf(c.roles[c.Nth]), Issuers: issuers, Tags: make(map[string][]string)}
	for _, cond := range required {
		if !exact(cond) && !ignoresCase(cond) {
			continue
		}
		for _, v := range cond.Values {
			text, _ := literalText(tokens(v, wild(cond)))
			if strings.HasSuffix(cond.Key, ":sub") {
				t.Subjects = append(t.Subjects, text)
			} else {
				t.Tags[cond.Key] = append(t.Tags[cond.Key], text)
			}
		}
	}
	if value, other := t.Shared(c.trusted); value != "" {
		c.Report(SharedSubject, "a token with %s can assume the roles of %s and %s", policy.Quote(value), other, t.Role)
	}
	c.trusted = append(c.trusted, t)
}

// requestTag checks the conditions on the tag.
func (c *checker) requestTag(s Statement) {
	all := c.Doc.Policy.Statement
	if !slices.ContainsFunc(all, func(s Statement) bool { return s.Effect == "Allow" && grants(s, "sts:TagSession") }) {
		c.Report(NoTagSession, "")
	}
	if !c.tagGuarded(s, requestTag) {
		c.Report(NoTagGuard, "%s", strings.TrimSuffix("tokens without the tag "+c.o.Tag, " "))
	}
	if c.o.Dialect == RGW {
		return // an RGW only compares a tag, and does not insert it into a pattern
	}
	for _, mark := range []string{"/", "*", "?"} {
		if !c.narrow(s, mark) && !slices.ContainsFunc(all, func(d Statement) bool { return c.refuses(d, s.Principal["Federated"], mark) }) {
			c.Report(WildcardTag, "values with %s", mark)
		}
	}
}

func grants(s Statement, action string) bool {
	return slices.ContainsFunc(s.Action, func(a string) bool { return glob(a, action) })
}

// narrow reports whether a statement accepts no tag value that contains mark.
func (c *checker) narrow(s Statement, mark string) bool {
	for _, cond := range conditions(s) {
		if !strings.HasPrefix(cond.Key, requestTag) || !c.isTagKey(cond.Key) || cond.Set != "" {
			continue
		}
		if exact(cond) && !slices.ContainsFunc(cond.Values, func(v string) bool { return strings.Contains(v, mark) || strings.Contains(v, "${") }) {
			return true
		}
		if cond.Base == "StringNotLike" && anywhere(cond.Values, mark) {
			return true
		}
	}
	return false
}

// refuses reports whether a denial excludes tag values that contain mark in tokens of all
// trusted providers.
func (c *checker) refuses(s Statement, trusted []string, mark string) bool {
	missed := len(trusted) == 0 || slices.ContainsFunc(trusted, func(p string) bool { return !slices.Contains(s.Principal["Federated"], p) })
	if s.Effect != "Deny" || !isPublic(s) && missed || !grants(s, "sts:AssumeRoleWithWebIdentity") && !grants(s, "sts:TagSession") {
		return false
	}
	list := conditions(s)
	return len(list) == 1 && strings.HasPrefix(list[0].Key, requestTag) && c.isTagKey(list[0].Key) && list[0].Base == "StringLike" &&
		list[0].Set != "ForAllValues" && anywhere(list[0].Values, mark)
}

// anywhere reports whether one of the patterns matches every value that contains mark.
func anywhere(patterns []string, mark string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		t := tokens(p, true)
		return len(t) == 3 && t[0].kind == '*' && t[1] == (token{'l', mark}) && t[2].kind == '*'
	})
}
