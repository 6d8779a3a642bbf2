package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// trust looks at an allow of a trust policy.
func (c *checker) trust(s Statement) {
	assumes := false
	for _, a := range s.Action {
		switch strings.ToLower(a) {
		case "sts:assumerolewithwebidentity":
			assumes = true
		case "sts:tagsession":
		default:
			c.hole(ExcessAction, "%s", a)
			assumes = assumes || glob(a, "sts:AssumeRoleWithWebIdentity")
		}
	}
	federated := s.Principal["Federated"]
	switch {
	case s.Principal["*"] != nil || slices.Contains(s.Principal["AWS"], "*"):
		c.hole(AnyoneAssumes, "")
	case s.Principal != nil && (federated == nil || len(s.Principal) > 1):
		c.hole(AnyoneAssumes, "%s", policy.Compact(s.Principal))
	}
	var keys []string // of the issuers that are trusted
	for _, f := range federated {
		_, host, ok := strings.Cut(f, ":oidc-provider/")
		if !ok || strings.ContainsAny(f, "*?") {
			c.hole(AnyProvider, "%s", f)
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

// audience judges what is asked of the token's aud.
func (c *checker) audience(s Statement, issuers []string) {
	found := false
	for _, cond := range s.Condition.list() {
		issuer, ok := strings.CutSuffix(cond.key, ":aud")
		if !ok || cond.negated() || cond.base == "Null" {
			continue
		}
		found = true
		if len(issuers) > 0 && !slices.Contains(issuers, issuer) {
			c.hole(WrongAudience, "%s is not of the provider that is trusted", cond.key)
		}
		for _, v := range cond.values {
			if _, plain := literalText(tokens(v, cond.wild())); !plain || v == "" {
				c.hole(WrongAudience, "%s", policy.Quote(v))
			} else if c.o.Audience != "" && v != c.o.Audience {
				c.hole(WrongAudience, "%s, not %s", policy.Quote(v), policy.Quote(c.o.Audience))
			}
		}
	}
	if !found {
		c.hole(NoAudience, "")
	}
}

// subject judges what ties the role to one tenant: its subject, or one exact tag.
func (c *checker) subject(s Statement, issuers []string) {
	found := false
	for _, cond := range s.Condition.list() {
		issuer, isSub := strings.CutSuffix(cond.key, ":sub")
		isTag := strings.HasPrefix(cond.key, requestTag) && c.isTagKey(cond.key)
		if !isSub && !isTag || !cond.requires() || isSub && len(issuers) > 0 && !slices.Contains(issuers, issuer) {
			continue
		}
		found = true
		for _, v := range cond.values {
			if _, plain := literalText(tokens(v, cond.wild())); !plain {
				c.hole(WildcardSubject, "%s %s", cond.key, policy.Quote(v))
			}
		}
	}
	if !found {
		c.hole(NoSubject, "")
	}
}

// requestTag judges what is asked of the tag.
func (c *checker) requestTag(s Statement) {
	all := c.doc.Policy.Statement
	if !slices.ContainsFunc(all, func(s Statement) bool { return s.Effect == "Allow" && grants(s, "sts:TagSession") }) {
		c.hole(NoTagSession, "")
	}
	if !c.tagGuarded(s, requestTag) {
		c.hole(NoTagGuard, "%s", strings.TrimSuffix("tokens without the tag "+c.o.Tag, " "))
	}
	if c.o.Dialect == RGW {
		return // a tag is only ever compared there, never put into a pattern
	}
	for _, mark := range []string{"/", "*", "?"} {
		if !c.narrow(s, mark) && !slices.ContainsFunc(all, func(d Statement) bool { return c.refuses(d, s.Principal["Federated"], mark) }) {
			c.hole(WildcardTag, "values with %s", mark)
		}
	}
}

func grants(s Statement, action string) bool {
	return slices.ContainsFunc(s.Action, func(a string) bool { return glob(a, action) })
}

// narrow says whether an allow takes no tag value that contains mark.
func (c *checker) narrow(s Statement, mark string) bool {
	for _, cond := range s.Condition.list() {
		if !strings.HasPrefix(cond.key, requestTag) || !c.isTagKey(cond.key) || cond.set != "" {
			continue
		}
		if cond.exact() && !slices.ContainsFunc(cond.values, func(v string) bool { return strings.Contains(v, mark) || strings.Contains(v, "${") }) {
			return true
		}
		if cond.base == "StringNotLike" && anywhere(cond.values, mark) {
			return true
		}
	}
	return false
}

// refuses says whether a denial stops tag values that contain mark, in tokens of all
// the providers that are trusted.
func (c *checker) refuses(s Statement, trusted []string, mark string) bool {
	everyone := s.Principal["*"] != nil || slices.Contains(s.Principal["AWS"], "*")
	missed := len(trusted) == 0 || slices.ContainsFunc(trusted, func(p string) bool { return !slices.Contains(s.Principal["Federated"], p) })
	if s.Effect != "Deny" || !everyone && missed || !grants(s, "sts:AssumeRoleWithWebIdentity") && !grants(s, "sts:TagSession") {
		return false
	}
	list := s.Condition.list()
	return len(list) == 1 && strings.HasPrefix(list[0].key, requestTag) && c.isTagKey(list[0].key) && list[0].base == "StringLike" &&
		list[0].set != "ForAllValues" && anywhere(list[0].values, mark)
}

// anywhere says whether one of patterns matches mark wherever it stands.
func anywhere(patterns []string, mark string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		t := tokens(p, true)
		return len(t) == 3 && t[0].kind == '*' && t[1] == (token{'l', mark}) && t[2].kind == '*'
	})
}
